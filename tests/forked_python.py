"""Python processes that begin with TensorFlow imported: forks of one server a test session.

The import costs more processor time than most commands. The server, which is this file run as a
program, has paid it and has run no operation, so no thread of TensorFlow exists yet and a child
forked from it works as a fresh process does: with its own arguments, environment, folder, standard
streams, signals and exit status.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TextIO

MESSAGE_BYTES = 2**17
"""The longest order: code, arguments and environment."""

POLL_S = 0.01
"""How often the server looks whether a child has ended."""

READ_AT_IMPORT = ("CUDA_", "KERAS_", "LANG", "LC_", "LD_", "OMP_", "PYTHON", "TF_", "XLA_")
"""How variables begin that Python, Keras and TensorFlow read only when they start."""


class ForkedProcess:
    """A running child of the server, with what tests use of `subprocess.Popen`.

    Attributes:
        pid: Its number.
        stdin: Where its input is written.
        stdout: Its standard output.
        stderr: Its standard error.
        returncode: Its exit status, negative for a signal; None until it was waited for.
    """

    def __init__(self, streams: tuple[TextIO, TextIO, TextIO], status: int) -> None:
        self.stdin, self.stdout, self.stderr = streams
        self.returncode: int | None = None
        self._status = os.fdopen(status)
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """Return the exit status, None while the process runs."""
        return self._read_status(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status."""
        code = self._read_status(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Close the input, read both outputs to their ends, and wait."""
        end_s = time.monotonic() + (1e6 if timeout is None else timeout)
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        texts = ["", ""]

        def read(number: int, stream: TextIO) -> None:
            texts[number] = stream.read()

        readers = [
            threading.Thread(target=read, args=item, daemon=True)
            for item in enumerate((self.stdout, self.stderr))
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(max(0, end_s - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        self.stdout.close()
        self.stderr.close()
        self.wait(max(0, end_s - time.monotonic()))
        return texts[0], texts[1]

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing where the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read_status(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], timeout_s)[0]:
            line = self._status.readline()
            self._status.close()
            assert line, "the server of forked processes has ended"
            self.returncode = int(line)
        return self.returncode


class ForkedPython:
    """The server as tests see it; it starts with the first process that is wanted."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._orders: socket.socket | None = None

    def start(
        self,
        code: str,
        *arguments: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> ForkedProcess:
        """Start a process that runs `code`, as ``python -c`` does but with TensorFlow imported."""
        orders = self._ensure_server()
        environment = dict(os.environ if env is None else env)
        for name in {*environment, *self._environment}:
            same = environment.get(name) == self._environment.get(name)
            assert same or not name.startswith(READ_AT_IMPORT), f"{name} needs a fresh process"
        order = {
            "code": code,
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd or Path.cwd()),
            "env": environment,
        }
        (stdin, our_stdin), (our_stdout, stdout), (our_stderr, stderr), (our_status, status) = (
            os.pipe() for _ in range(4)
        )
        theirs = [stdin, stdout, stderr, status]
        socket.send_fds(orders, [json.dumps(order).encode()], theirs)
        for handle in theirs:
            os.close(handle)
        streams = (os.fdopen(our_stdin, "w"), os.fdopen(our_stdout), os.fdopen(our_stderr))
        return ForkedProcess(streams, our_status)

    def run(
        self,
        code: str,
        *arguments: object,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 240,
    ) -> subprocess.CompletedProcess[str]:
        """Run `code` to its end in a process of its own and return what it printed."""
        process = self.start(code, *arguments, cwd=cwd, env=env)
        try:
            stdout, stderr = process.communicate(timeout)
        finally:
            process.kill()
        assert process.returncode is not None
        words = [code, *map(str, arguments)]
        return subprocess.CompletedProcess(words, process.returncode, stdout, stderr)

    def can_start(self, env: Mapping[str, str]) -> bool:
        """Whether a process with this environment can be a fork of the server."""
        begun = self._environment or os.environ
        changed = (name for name in {*env, *begun} if env.get(name) != begun.get(name))
        return not any(name.startswith(READ_AT_IMPORT) for name in changed)

    def close(self) -> None:
        """End the server and its children."""
        if self._server is not None and self._orders is not None:
            self._orders.close()
            self._server.wait()

    def _ensure_server(self) -> socket.socket:
        if self._orders is None:
            self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._environment = dict(os.environ)
            with theirs:
                self._server = subprocess.Popen(
                    [sys.executable, __file__, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for pytest, which then ends the server
                )
        return self._orders


def serve(orders: socket.socket) -> None:
    """Fork a child for each order until the tests' end of the socket is closed."""
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401
    from tensorflow.python.eager import context

    import imgclf.cli.main
    import imgclf.tuning.tuner
    import imgclf.workflow.training  # noqa: F401

    gc.freeze()  # a child's collector then copies no page of what was imported
    assert not context.context()._initialized, "an operation has run: its threads cannot be forked"
    statuses: dict[int, int] = {}
    while True:
        if select.select([orders], [], [], POLL_S if statuses else None)[0]:
            message, handles, _, _ = socket.recv_fds(orders, MESSAGE_BYTES, 4)
            if not message:
                break
            *streams, status = handles
            child = os.fork()
            if child == 0:
                for handle in (orders.fileno(), status, *statuses.values()):
                    os.close(handle)
                become(json.loads(message), streams)
            for stream in streams:
                os.close(stream)
            os.write(status, b"%d\n" % child)
            statuses[child] = status
        while statuses and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            status = statuses.pop(ended[0])
            with contextlib.suppress(BrokenPipeError):  # the test no longer waits
                os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended[1]))
            os.close(status)
    for child in statuses:
        os.kill(child, signal.SIGKILL)


def become(order: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be a Python process of its own that runs the ordered code, and end as one does."""
    os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, closefd=False, errors="backslashreplace")
    sys.argv = ["-c", *order["arguments"]]
    sys.path[0] = ""
    main = sys.modules["__main__"] = ModuleType("__main__")
    code = ended_with(lambda: exec(order["code"], main.__dict__))  # noqa: S102 - a test's
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        sys.stderr.flush()
    # Not by way of the server's stack; a child waits for no thread of TensorFlow.
    os._exit(code)


def ended_with(call: Callable[[], object]) -> int:
    """Call, and return the exit status that Python would end with."""
    try:
        call()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:  # noqa: BLE001 - printed, as Python does
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
