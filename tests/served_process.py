"""Real `imgclf serve` processes for tests, on a free port of this machine."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from conftest import COMMAND

START_S = 60


@dataclass
class ServedProcess:
    """A server that answers.

    Attributes:
        process: The process.
        port: Where it listens.
        messages: Lines of standard error so far.
        requests: Lines of standard output so far.
    """

    process: subprocess.Popen[str]
    port: int = 0
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def children(self) -> list[int]:
        """Return the numbers of its worker processes."""
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):  # It has ended meanwhile.
                is_child = f"PPid:\t{self.process.pid}\n" in status.read_text()
                if is_child and b"spawn_main" in status.with_name("cmdline").read_bytes():
                    found.append(int(status.parent.name))
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(START_S)


@contextlib.contextmanager
def served(*arguments: object, ready: bool = True, **env: str) -> Iterator[ServedProcess]:
    """Start `imgclf serve` with some arguments; it ends with the block at the latest.

    Args:
        *arguments: Of the command, without the port.
        ready: Whether it is expected to answer; otherwise it is only started.
        **env: Of the environment.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )
    server = ServedProcess(process)
    readers = [
        threading.Thread(target=_read, args=(process.stdout, server.requests), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, server.messages), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        if ready:
            server.port = _await_port(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(START_S)
            finally:
                process.kill()
        for reader in readers:
            reader.join(START_S)
        for stream in (process.stdout, process.stderr):
            assert stream
            stream.close()


def _read(stream: Iterator[str], lines: list[str]) -> None:
    for line in stream:
        lines.append(line.rstrip("\n"))  # noqa: PERF401 - others read them meanwhile


def _await_port(server: ServedProcess) -> int:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        for line in list(server.messages):
            if found := re.search(r"Serving at http://[^:]+:(\d+)", line):
                return int(found[1])
        if server.process.poll() is not None:
            break
        time.sleep(0.02)
    raise AssertionError(f"the server does not answer: {server.messages}")
