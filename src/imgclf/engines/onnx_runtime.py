"""ONNX Runtime: runs a network in ONNX without TensorFlow."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.engines.contract import require_images
from imgclf.errors import EngineError, in_one_line
from imgclf.machine.forked import require_same_process
from imgclf.machine.hardware import available_processors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["OnnxNetwork"]

MISSING = "The engine onnx needs onnxruntime, onnx and tf2onnx: pip install 'imgclf[onnx]'."

ERRORS_ALONE = 3
"""ONNX Runtime logs errors, and no warnings of its own decisions."""


class OnnxNetwork:
    """A network in ONNX, for images in any number; see `imgclf.engines.contract`.

    Images go through one by one: its kernels choose by the size of the batch, and an image would
    give other last bits beside others.

    Attributes:
        image_shape: ``(height, width, channels)`` of the images that it reads.
        output_sizes: Values of an image in each output, ``(batch, size)``.

    Args:
        content: What `imgclf.engines.onnx_conversion.convert_to_onnx` returned, as bytes.
        num_threads: Threads that compute; None takes all processors that the process may use.

    Raises:
        EngineError: ONNX Runtime is not installed, or cannot run the network; when it is called:
            this process was forked from the one that made it.
    """

    def __init__(self, content: bytes, *, num_threads: int | None = None) -> None:
        self._start(content, num_threads or available_processors())
        (image,) = self._session.get_inputs()
        height, width, channels = map(int, image.shape[1:])
        self.image_shape = (height, width, channels)
        self.output_sizes = tuple(int(one.shape[-1]) for one in self._session.get_outputs())

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run images through the network; see `imgclf.engines.contract.Network`."""
        require_images(images, self.image_shape)
        if not len(images):
            return [np.zeros((0, size), np.float32) for size in self.output_sizes]
        require_same_process(self._process, "ONNX Runtime")
        session = self._session
        rows = [
            session.run(None, {session.get_inputs()[0].name: images[place : place + 1]})
            for place in range(len(images))
        ]
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    def _start(self, content: bytes, num_threads: int) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EngineError(MISSING) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ALONE
        try:
            self._session: Any = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its own exceptions derive from nothing narrower
            raise EngineError(
                f"The network cannot be run by ONNX Runtime ({in_one_line(error)})."
            ) from error
        self._process = os.getpid()
