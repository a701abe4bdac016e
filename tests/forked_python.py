"""Python processes that begin with TensorFlow imported: forks of one server a test session.

The import costs more processor time than most commands. The server, which is this file run as a
program, has paid it and has run no operation, so no thread of TensorFlow exists yet and a child
forked from it works as a fresh process does: with its own arguments, environment, folder, standard
streams, signals and exit status.

The processes of trials, which imgclf itself starts by `sys.executable`, are such children too where
that names `ForkedPython.executable`: a program that asks the server for one, lives as long as it
does, and is Python for every other command line.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn, TextIO

MESSAGE_BYTES = 2**17
"""The longest order: code, arguments and environment."""

POLL_S = 0.01
"""How often the server looks whether a child has ended."""

READ_AT_IMPORT = ("CUDA_", "KERAS_", "LANG", "LC_", "LD_", "OMP_", "PYTHON", "TF_", "XLA_")
"""How variables begin that Python, Keras and TensorFlow read only when they start."""

EXECUTABLE = """#!{python} -IS
import json, os, socket, sys

if sys.argv[1:] != ["-P", "-m", "imgclf.tuning.trial_server"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({address!r})
code = "import sys; sys.path.pop(0); from imgclf.tuning.trial_server import main; main()"
order = dict(code=code, arguments=[], cwd=os.getcwd(), env=dict(os.environ))
socket.send_fds(server, [json.dumps(order).encode()], [0, 1, 2])
for handle in (0, 1, 2):
    os.close(handle)
server.recv(32)  # the child's number
status = int(server.recv(32) or 1)
if status < 0:
    os.kill(os.getpid(), -status)
os._exit(status)
"""
"""The program that stands for Python: ``{python}`` is the real one, ``{address}`` the server's."""


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
        self._folder = Path(tempfile.mkdtemp(prefix="forks-"))

    @property
    def executable(self) -> str:
        """A program that stands for Python; its processes of trials are the server's children."""
        self._ensure_server()
        return str(self._folder / "python")

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
        for name in self._too_late(environment):
            raise AssertionError(f"{name} needs a fresh process")
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
        return not self._too_late(env)

    def close(self) -> None:
        """End the server and its children."""
        if self._server is not None and self._orders is not None:
            self._orders.close()
            self._server.wait()
        shutil.rmtree(self._folder)

    def _too_late(self, env: Mapping[str, str]) -> list[str]:
        """List the variables that a child would have to read when it starts.

        Folders in front of those that Python looks into are no such case.
        """
        begun = self._environment or os.environ
        changed = {name for name in {*env, *begun} if env.get(name) != begun.get(name)}
        known, folders = folders_of(begun), folders_of(env)
        if folders[len(folders) - len(known) :] == known:
            changed.discard("PYTHONPATH")
        return [name for name in sorted(changed) if name.startswith(READ_AT_IMPORT)]

    def _ensure_server(self) -> socket.socket:
        if self._orders is None:
            self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._environment = dict(os.environ)
            executable, address = self._folder / "python", self._folder / "server"
            executable.write_text(EXECUTABLE.format(python=sys.executable, address=str(address)))
            executable.chmod(0o755)
            door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            door.bind(str(address))
            door.listen()
            with theirs, door:
                self._server = subprocess.Popen(
                    [
                        sys.executable,
                        __file__,
                        str(theirs.fileno()),
                        str(door.fileno()),
                        executable,
                    ],
                    pass_fds=[theirs.fileno(), door.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for pytest, which then ends the server
                )
        return self._orders


def folders_of(env: Mapping[str, str]) -> list[str]:
    """List the folders of PYTHONPATH."""
    return [folder for folder in env.get("PYTHONPATH", "").split(os.pathsep) if folder]


def serve(orders: socket.socket, door: socket.socket) -> None:
    """Fork a child for each order until the tests' end of the socket is closed.

    Orders come by `orders` from the tests, and by `door` from programs that stand for Python, each
    by a connection of its own: where that ends, so does the child.
    """
    import keras  # noqa: F401
    import tensorflow as tf  # noqa: F401
    from tensorflow.python.eager import context

    import imgclf.tuning.refit
    import imgclf.tuning.trial_run
    import imgclf.tuning.tuner
    import imgclf.workflow.training  # noqa: F401
    from imgclf.cli import main

    main.make_app()  # imports every verb
    gc.freeze()  # a child's collector then copies no page of what was imported
    assert not context.context()._initialized, "an operation has run: its threads cannot be forked"
    statuses: dict[int, int] = {}
    connections: dict[int, int] = {}
    while True:
        sources: list[socket.socket | int] = [orders, door, *connections]
        for ready in select.select(sources, [], [], POLL_S if statuses else None)[0]:
            if isinstance(ready, int):
                end_all([connections.pop(ready)])
                continue
            asking = door.accept()[0] if ready is door else orders
            message, handles, _, _ = socket.recv_fds(asking, MESSAGE_BYTES, 4)
            if not message and ready is orders:
                return end_all(statuses)
            status = asking.detach() if ready is door else handles.pop()
            child = fork(
                message, handles, (status, orders.fileno(), door.fileno(), *statuses.values())
            )
            statuses[child] = status
            if ready is door:
                connections[status] = child
            report(status, child)
        while statuses and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            status = statuses.pop(ended[0])
            connections.pop(status, None)
            report(status, os.waitstatus_to_exitcode(ended[1]))
            os.close(status)


def fork(message: bytes, streams: list[int], others: Iterable[int]) -> int:
    """Start a child that obeys an order; it has none of the other handles."""
    child = os.fork()
    if child == 0:
        for handle in others:
            os.close(handle)
        if not message:  # who asked was killed before he could say for what
            os._exit(1)
        become(json.loads(message), streams)
    for stream in streams:
        os.close(stream)
    return child


def end_all(children: Iterable[int]) -> None:
    """Kill children that still run, with what they have started."""
    for child in children:
        with contextlib.suppress(ProcessLookupError):  # it does not lead its group yet
            os.killpg(child, signal.SIGKILL)
        os.kill(child, signal.SIGKILL)


def report(status: int, number: int) -> None:
    """Write a line for who waits for a child, if he still does."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        os.write(status, b"%d\n" % number)


def become(order: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be a Python process of its own that runs the ordered code, and end as one does."""
    os.setsid()
    os.chdir(order["cwd"])
    num_begun = len(folders_of(os.environ))
    os.environ.clear()
    os.environ.update(order["env"])
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", 1, closefd=False, errors="backslashreplace")
    sys.argv = ["-c", *order["arguments"]]
    sys.path[: 1 + num_begun] = ["", *folders_of(order["env"])]
    importlib.invalidate_caches()
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
    sys.executable = sys.argv[3]
    serve(*(socket.socket(fileno=int(number)) for number in sys.argv[1:3]))
