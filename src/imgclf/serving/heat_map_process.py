"""The process in which heat maps are drawn, as the server sees it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from imgclf.errors import EngineError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.serving.heat_map_worker import Request

__all__ = ["HeatMapProcess"]

MODULE = "imgclf.serving.heat_map_worker"

LONGEST_WAIT_S = 120.0
"""For one heat map, the start of TensorFlow included; a process that takes longer is ended."""

KEPT_S = 300.0
"""How long the process is kept when nobody asks: TensorFlow takes half a gigabyte."""


class HeatMapProcess:
    """Draws heat maps in another process, which starts with the first one and ends when idle.

    TensorFlow takes seconds to import, in which a server would answer nobody else, and hundreds of
    megabytes, which a server that never draws one does not need. Several threads may ask: they
    wait for each other.

    Args:
        longest_wait_s: How long one heat map may take.
        kept_s: After how long without work the process ends.
    """

    def __init__(self, longest_wait_s: float = LONGEST_WAIT_S, kept_s: float = KEPT_S) -> None:
        self.longest_wait_s = longest_wait_s
        self.kept_s = kept_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._retirement: threading.Timer | None = None

    def draw(
        self, path: str, version: str, pixels: NDArray[np.uint8], class_index: int
    ) -> tuple[NDArray[np.float32], str]:
        """Draw the heat map of one image.

        Args:
            path: The classifier's file.
            version: What tells two contents of that file apart.
            pixels: uint8 ``(height, width, channels)``, as the network reads them.
            class_index: The class to explain.

        Returns:
            float32 ``(height, width)``, 0 to 1, and how it was made; see `Explanation`.

        Raises:
            EngineError: It cannot be drawn, or takes too long; the next one gets a new process.
        """
        request: Request = {
            "path": path,
            "version": version,
            "class_index": class_index,
            "shape": list(pixels.shape),
        }
        with self._lock:
            self._keep()
            try:
                header, content = self._ask(request, pixels.tobytes())
            finally:
                self._let_go_later()
        if "error" in header:
            raise EngineError(f"The heat map cannot be drawn: {header['error']}")
        heatmap = np.frombuffer(content, np.float32).reshape(pixels.shape[:2])
        return heatmap, str(header["method"])

    def close(self) -> None:
        """End the process, if there is one."""
        with self._lock:
            self._keep()
            self._end()

    def _ask(self, request: Request, content: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._started()
        deadline = threading.Timer(self.longest_wait_s, process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            return _exchange(process, request, content)
        except (OSError, ValueError) as error:
            self._end()
            raise EngineError(
                "The heat map cannot be drawn: the process that draws it ended, or took longer "
                f"than {self.longest_wait_s:.0f} s. Try again when the machine has more memory "
                "or less to do."
            ) from error
        finally:
            deadline.cancel()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(  # noqa: S603 - this very Python
                [sys.executable, "-P", "-m", MODULE],
                stdin=subprocess.PIPE,  # It ends with the server, however that ends.
                stdout=subprocess.PIPE,
                # TensorFlow would take all memory of a GPU.
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            _close(stream)

    def _keep(self) -> None:
        if self._retirement is not None:
            self._retirement.cancel()
            self._retirement = None

    def _let_go_later(self) -> None:
        self._retirement = threading.Timer(self.kept_s, self.close)
        self._retirement.daemon = True
        self._retirement.start()


def _exchange(
    process: subprocess.Popen[bytes], request: Request, content: bytes
) -> tuple[dict[str, Any], bytes]:
    """Send a request and read its answer; a process that is gone gives an OSError or ValueError."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request).encode() + b"\n" + content)
    process.stdin.flush()
    header = json.loads(process.stdout.readline())
    height, width, _ = request["shape"]
    num_bytes = 0 if "error" in header else 4 * height * width
    answer = process.stdout.read(num_bytes)
    if len(answer) != num_bytes:
        raise BrokenPipeError("the answer was cut off")
    return header, answer


def _close(stream: IO[bytes] | None) -> None:
    assert stream is not None
    with contextlib.suppress(BrokenPipeError):  # What was written last never arrived.
        stream.close()
