"""Decoding every file once, in processes that may die without taking the run along (D4)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from imgclf.data.decoding import DecodingLimits, ImageFacts
from imgclf.data.policy import InputPolicy
from imgclf.errors import DataError

__all__ = ["ScanLimits", "ScannedFile", "scan_files"]

CHUNK_FILES = 32
"""Files that a worker is given at a time: enough to keep it busy, few enough to share evenly."""

POLL_S = 0.1
"""How often the waiting thread reports progress and looks for workers that hang."""


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """How much one file may cost.

    Attributes:
        time_s: Seconds for one file before its worker is killed.
        memory_bytes: Address space of one worker, where the system can limit it.
    """

    time_s: float = 30.0
    memory_bytes: int = 3 * 1024**3


@dataclass(frozen=True, slots=True)
class ScannedFile:
    """What the scan learned of one file.

    Attributes:
        sha256: Hash of its content; empty where it could not be read.
        reason: Empty for an accepted image, otherwise a code of `imgclf.data.decoding.REASONS`.
        message: One line that says what is wrong.
        facts: Format, mode and size of an accepted image.
    """

    sha256: str
    reason: str = ""
    message: str = ""
    facts: ImageFacts | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is a usable image."""
        return not self.reason


def scan_files(
    paths: Sequence[str],
    policy: InputPolicy,
    *,
    pixel_file: str | None = None,
    limits: DecodingLimits | None = None,
    scan_limits: ScanLimits | None = None,
    num_workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[ScannedFile]:
    """Decode files in parallel worker processes.

    A worker that crashes, hangs or runs out of memory loses the one file that it was working on.

    Args:
        paths: ``(num_files,)`` absolute paths.
        policy: What every image is turned into.
        pixel_file: An existing file of ``num_files * height * width * channels`` bytes; image i is
            written to its i-th row. None checks the files only.
        limits: Caps on a file's bytes and pixels.
        scan_limits: Caps on the time and memory that a file may cost.
        num_workers: Processes; None takes one per processor.
        progress: Called now and then with the number of files done and in all.

    Returns:
        ``(num_files,)`` results in the order of `paths`.

    Raises:
        DataError: The disk is full, or workers cannot be started.
    """
    order = {
        "policy": asdict(policy),
        "limits": asdict(limits or DecodingLimits()),
        "pixel_file": pixel_file,
        "memory_limit_bytes": (scan_limits or ScanLimits()).memory_bytes,
    }
    scan = _Scan(paths, order, (scan_limits or ScanLimits()).time_s)
    wanted = num_workers or available_processors()
    count = max(1, min(wanted, -(-len(paths) // CHUNK_FILES)))
    threads = [threading.Thread(target=scan.work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            threads[0].join(POLL_S) if threads[0].is_alive() else time.sleep(POLL_S)
            scan.kill_hanging()
            if progress is not None:
                progress(scan.num_done, len(paths))
    finally:
        scan.stop()
    if scan.failure is not None:
        raise DataError(scan.failure)
    return [result for result in scan.results if result is not None]


def available_processors() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(slots=True)
class _Worker:
    """A running worker process and the time at which its current file must be done."""

    process: subprocess.Popen[bytes]
    deadline: float
    timed_out: bool = False


@dataclass(slots=True)
class _Scan:
    """What the threads of one scan share; each thread owns one worker process at a time."""

    paths: Sequence[str]
    order: dict[str, Any]
    time_limit_s: float
    results: list[ScannedFile | None] = field(init=False)
    next_row: int = 0
    num_done: int = 0
    failure: str | None = None
    stopped: bool = False
    workers: set[int] = field(default_factory=set)
    _running: dict[int, _Worker] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.results = [None] * len(self.paths)

    def work(self) -> None:
        """Scan chunks until none is left, with a fresh worker after each one that died."""
        worker: _Worker | None = None
        try:
            while rows := self._take_chunk():
                while rows and not self.stopped:
                    if worker is None:
                        worker = self._start()
                    if not self._scan_chunk(worker, rows):
                        self._quarantine(rows.popleft(), worker)
                        worker = None
        except (OSError, RuntimeError) as error:
            self.fail(f"The decoding processes cannot work: {error}.")
        finally:
            if worker is not None:
                self._close(worker)

    def kill_hanging(self) -> None:
        """Kill every worker whose file has taken too long."""
        now = time.monotonic()
        with self._lock:
            for worker in self._running.values():
                if now > worker.deadline:
                    worker.timed_out = True
                    worker.process.kill()

    def stop(self) -> None:
        """End all workers, whatever they are doing."""
        self.stopped = True
        with self._lock:
            for worker in self._running.values():
                worker.process.kill()

    def fail(self, message: str) -> None:
        """Record the first reason for which the whole scan has to end."""
        if not self.stopped:
            self.failure = self.failure or message
            self.stopped = True

    def _take_chunk(self) -> deque[int]:
        with self._lock:
            first = self.next_row
            self.next_row = min(first + CHUNK_FILES, len(self.paths))
            return deque(range(first, self.next_row)) if not self.stopped else deque()

    def _start(self) -> _Worker:
        process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
            [sys.executable, "-m", "imgclf.data.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff and others print there from C
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the workers
        )
        worker = _Worker(process, time.monotonic() + self.time_limit_s)
        with self._lock:
            self._running[process.pid] = worker
        self._send(worker, self.order)
        if not _stream(process.stdout).readline():
            raise RuntimeError(f"a worker ended with status {process.wait()} before its first file")
        return worker

    def _scan_chunk(self, worker: _Worker, rows: deque[int]) -> bool:
        """Scan the rows, taking off each one that is done; False when the worker died."""
        if not self._send(worker, [(row, self.paths[row]) for row in rows]):
            return False
        while rows:
            worker.deadline = time.monotonic() + self.time_limit_s
            line = _stream(worker.process.stdout).readline()
            if not line.endswith(b"\n"):
                return self.stopped
            answer = json.loads(line)
            if "fatal" in answer:
                self.fail(f"The pixels cannot be stored ({answer['fatal']}): free some disk space")
                return True
            facts = ImageFacts(*answer.pop("facts")) if "facts" in answer else None
            self._record(rows.popleft(), ScannedFile(**answer, facts=facts))
        worker.deadline = float("inf")  # Waiting for work is not hanging.
        return True

    def _send(self, worker: _Worker, message: object) -> bool:
        try:
            _stream(worker.process.stdin).write(json.dumps(message).encode() + b"\n")
            _stream(worker.process.stdin).flush()
        except BrokenPipeError:
            return False
        return True

    def _quarantine(self, row: int, worker: _Worker) -> None:
        """Give up one file together with the worker that it ended."""
        self._close(worker)
        status = worker.process.returncode
        path = self.paths[row]
        if worker.timed_out:
            message = f"{path}: decoding took longer than {self.time_limit_s:g} s."
            self._record(row, ScannedFile("", "time_out", message))
        else:
            message = f"{path}: decoding ended its process (status {status})."
            self._record(row, ScannedFile("", "worker_died", message))

    def _record(self, row: int, result: ScannedFile) -> None:
        self.results[row] = result
        with self._lock:
            self.num_done += 1

    def _close(self, worker: _Worker) -> None:
        with self._lock:
            self._running.pop(worker.process.pid, None)
        _stream(worker.process.stdout).close()
        try:
            _stream(worker.process.stdin).close()
        except BrokenPipeError:  # It died with a job still in the pipe.
            pass
        worker.process.wait()


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # Popen was given pipes
    return stream
