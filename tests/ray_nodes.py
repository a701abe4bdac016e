"""Real Ray clusters of several nodes on this machine, in a network of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from loopback_network import LoopbackNetwork

START_S = 120.0
"""A busy machine is not a defect, but nothing is waited for without end."""

PORT = 6399

RAY = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]


def _named(name: str) -> tuple[str, str]:
    """Mark the processes of a node by a variable."""
    return ("env", f"TEST_NODE={name}")


@contextlib.contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Give a process, and leave neither it nor its pipes behind."""
    with process:
        try:
            yield process
        finally:
            process.kill()


class RayNodes:
    """The nodes of a cluster; whatever it has started ends with it.

    Attributes:
        folder: Ray's files; short, because sockets lie in it.
        env: The environment of the nodes, and of those who connect to them.
        address: The address of the control service.
    """

    def __init__(self, network: LoopbackNetwork, **env: str) -> None:
        self.network = network
        self.folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self.address = f"127.0.0.1:{PORT}"
        self._started: list[subprocess.Popen[bytes]] = []
        self.env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
            **env,
        }

    def start_head(self, **options: str) -> None:
        """Start the first node, with the control service."""
        self._start(
            "--head", f"--port={PORT}", "--node-ip-address=127.0.0.1",
            "--include-dashboard=false", **options,
        )  # fmt: skip
        deadline_s = time.monotonic() + START_S
        while not self.network.listens_on(PORT):
            assert self._started[0].poll() is None, (self.folder / "start.txt").read_text()
            assert time.monotonic() < deadline_s, "the control service does not start"
            time.sleep(0.1)

    def add_node(self, name: str, prefix: tuple[str, ...] = (), **options: str) -> None:
        """Start a further node; it joins in some seconds."""
        self._start(
            f"--address={self.address}", f"--node-name={name}", prefix=(*prefix, *_named(name)),
            **options,
        )  # fmt: skip

    def kill_node(self, name: str) -> None:
        """Kill all processes of a node that `add_node` has started."""
        self.kill(*self._commands(_named(name)[1]))

    def _start(self, *arguments: str, prefix: tuple[str, ...] = (), **options: str) -> None:
        given = {"num_cpus": "1", "object_store_memory": "100000000", **options}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
        with (self.folder / "start.txt").open("ab") as log:
            process = subprocess.Popen(
                [*self.network.enter, *prefix, *RAY, "start", "--block", *arguments, *flags],
                env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        self._started.append(process)

    def processes(self, name: str = "") -> list[int]:
        """Return the processes of these nodes, and of who is connected, by their command line."""
        return [pid for pid, command in self._commands().items() if name in command]

    def kill(self, *pids: int) -> None:
        """Kill processes, as a power cut would."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_gone(self, wait_s: float = 20.0) -> list[str]:
        """Wait until no process is left; return the command lines of those that are."""
        deadline_s = time.monotonic() + wait_s
        while self._commands() and time.monotonic() < deadline_s:
            time.sleep(0.2)
        return list(self._commands().values())

    def close(self) -> None:
        """Kill whatever is left, and remove the files."""
        self.kill(*self._commands())
        self.wait_gone()
        for process in self._started:
            process.wait(START_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _commands(self, also: str = "") -> dict[int, str]:
        markers = [f"RAY_TMPDIR={self.folder}".encode(), also.encode()]
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # It has just ended, or is somebody else's.
                environ = (folder / "environ").read_bytes()
                if all(marker in environ for marker in markers):
                    content = (folder / "cmdline").read_bytes()
                    if content:  # A process that has ended, and was not waited for, has none.
                        found[int(folder.name)] = content.replace(b"\0", b" ").decode()
        return found
