"""LiteRT: runs a converted network without TensorFlow."""

from __future__ import annotations

import importlib.metadata
import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.engines.contract import require_images
from imgclf.errors import EngineError, in_one_line
from imgclf.machine.hardware import available_processors
from imgclf.machine.startup import silenced_stderr

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

__all__ = ["LiteRtNetwork", "litert_version"]

CHUNK_IMAGES = 4
"""Images that go through the network at a time; 8 took a tenth more processor time for each (224
and 160 pixels), and their maps take more memory."""

MAX_TENSOR_BYTES = 1024**3
"""Most that one tensor may take for one image; the largest kernels of the zoo take a tenth."""


def litert_version() -> str:
    """Return the version of LiteRT.

    Raises:
        EngineError: It is not installed, or cannot be loaded.
    """
    _interpreter_class()
    return importlib.metadata.version("ai-edge-litert")


class LiteRtNetwork:
    """A network in LiteRT's format, for images in any number; see `imgclf.engines.contract`.

    Damaged content may run without complaint, or end the process: whoever reads it from a file
    compares its hash first.

    Attributes:
        image_shape: ``(height, width, channels)`` of the images that it reads.
        output_sizes: Values of an image in each output, ``(batch, size)``; a map counts by its last
            axis.

    Args:
        content: What `imgclf.engines.litert_conversion.convert_to_litert` returned.
        num_threads: Threads that compute; None takes all processors that the process may use.

    Raises:
        EngineError: LiteRT is not installed, or the content is no network for uint8 images.
    """

    def __init__(self, content: bytes, *, num_threads: int | None = None) -> None:
        self._content = content  # The interpreter reads the weights from these very bytes.
        self._num_threads = num_threads or available_processors()
        self._lock = threading.Lock()
        self._process = os.getpid()
        try:
            self._interpreter = self._make()
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except (ValueError, RuntimeError, MemoryError) as error:  # also names that are no text
            raise _foreign(in_one_line(error)) from error
        if [(one["dtype"], len(one["shape"])) for one in inputs] != [(np.uint8, 4)]:
            raise _foreign("it does not read a batch of uint8 images")
        if not outputs or any(one["dtype"] != np.float32 for one in outputs):
            raise _foreign("its outputs are not float32")
        if any(len(one["shape"]) < 2 for one in outputs):
            raise _foreign("its outputs have no batch")
        self.output_sizes = tuple(int(one["shape"][-1]) for one in outputs)
        self._input: int = inputs[0]["index"]
        self._outputs: list[int] = [one["index"] for one in outputs]
        self._batch = int(inputs[0]["shape"][0])
        height, width, channels = map(int, inputs[0]["shape"][1:])
        self.image_shape = (height, width, channels)

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run images through the network; see `imgclf.engines.contract.Network`."""
        require_images(images, self.image_shape)
        if not len(images):
            return [rows[:0] for rows in self(np.zeros((1, *self.image_shape), np.uint8))]
        with self._lock:
            if self._process != os.getpid():  # A fork has none of the interpreter's threads.
                self._process, self._batch = os.getpid(), 0
                self._interpreter = self._make()
            chunks = [
                self._run(images[first : first + CHUNK_IMAGES])
                for first in range(0, len(images), CHUNK_IMAGES)
            ]
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    def _make(self) -> Any:
        make = _interpreter_class()
        with silenced_stderr():
            interpreter = make(model_content=self._content, num_threads=self._num_threads)
            _require_room(interpreter.get_tensor_details())
            interpreter.allocate_tensors()
        return interpreter

    def _run(self, chunk: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        try:
            if len(chunk) != self._batch:
                self._batch = 0  # Unknown, should what follows fail.
                self._interpreter.resize_tensor_input(self._input, chunk.shape)
                with silenced_stderr():
                    self._interpreter.allocate_tensors()
                self._batch = len(chunk)
            self._interpreter.set_tensor(self._input, np.ascontiguousarray(chunk))
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._outputs]
        except (ValueError, RuntimeError) as error:
            raise EngineError(
                f"LiteRT stopped at {len(chunk)} images of {self.image_shape} "
                f"({in_one_line(error)}): free some memory, or take smaller images."
            ) from error


def _require_room(tensors: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a network one of whose layers takes more than a machine has, before it takes it."""
    for tensor in tensors:
        size = math.prod(max(1, int(side)) for side in tensor["shape"])
        if size * np.dtype(tensor["dtype"]).itemsize > MAX_TENSOR_BYTES:
            raise ValueError(f"a layer takes more than {MAX_TENSOR_BYTES:,} bytes for an image")


def _interpreter_class() -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except (ImportError, OSError) as error:  # OSError: a library that it needs is missing
        raise EngineError(
            f"LiteRT cannot be loaded ({in_one_line(error)}): pip install ai-edge-litert, where "
            "there is one for this system."
        ) from error
    return Interpreter


def _foreign(reason: str) -> EngineError:
    return EngineError(f"The network cannot be run by LiteRT ({reason}): convert it again.")
