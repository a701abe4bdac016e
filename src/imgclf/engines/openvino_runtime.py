"""OpenVINO: runs a network in ONNX without TensorFlow, on Intel's kernels."""

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

__all__ = ["OpenVinoNetwork"]

MISSING = "The engine openvino needs openvino, onnx and tf2onnx: pip install 'imgclf[openvino]'."


class OpenVinoNetwork:
    """A network in ONNX, executed by OpenVINO in float32; see `imgclf.engines.contract`.

    It is compiled for a single image, and images go through one by one: the same bits beside any
    others.

    Attributes:
        image_shape: ``(height, width, channels)`` of the images that it reads.
        output_sizes: Values of an image in each output, ``(batch, size)``.

    Args:
        content: What `imgclf.engines.onnx_conversion.convert_to_onnx` returned, as bytes.
        num_threads: Threads that compute; None takes all processors that the process may use.

    Raises:
        EngineError: OpenVINO is not installed, or cannot run the network; when it is called: this
            process was forked from the one that made it.
    """

    def __init__(self, content: bytes, *, num_threads: int | None = None) -> None:
        self._start(content, num_threads or available_processors())
        height, width, channels = map(int, self._compiled.inputs[0].shape[1:])
        self.image_shape = (height, width, channels)
        self.output_sizes = tuple(int(one.shape[-1]) for one in self._compiled.outputs)

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run images through the network; see `imgclf.engines.contract.Network`."""
        require_images(images, self.image_shape)
        if not len(images):
            return [np.zeros((0, size), np.float32) for size in self.output_sizes]
        require_same_process(self._process, "OpenVINO")
        request = self._compiled.create_infer_request()  # its own buffers: threads share none
        rows = []
        for place in range(len(images)):
            found = request.infer([np.ascontiguousarray(images[place : place + 1])])
            rows.append([found[output].copy() for output in self._compiled.outputs])
        return [np.concatenate(parts) for parts in zip(*rows, strict=True)]

    def _start(self, content: bytes, num_threads: int) -> None:
        try:
            import openvino
        except ImportError as error:
            raise EngineError(MISSING) from error
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the processor has it
            "INFERENCE_NUM_THREADS": num_threads,
        }
        try:
            core = openvino.Core()
            network = core.read_model(content)
            sides = list(network.inputs[0].partial_shape)[1:]
            network.reshape([1, *(int(side.get_length()) for side in sides)])
            self._compiled: Any = core.compile_model(network, "CPU", settings)
        except RuntimeError as error:
            raise EngineError(
                f"The network cannot be run by OpenVINO ({in_one_line(error)})."
            ) from error
        self._process = os.getpid()
