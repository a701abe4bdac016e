"""The scan: every file decoded once, in worker processes whose crash ends nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from array import array
from collections import deque
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from itertools import groupby
from typing import IO, TYPE_CHECKING, Any

from imgclf.data.pixels.decoder import DecodingLimits, ImageFacts
from imgclf.data.pixels.signatures import can_sign_rows, sign_rows
from imgclf.data.store.scan_results import ScannedFile, ScanResults
from imgclf.errors import DataError
from imgclf.machine.hardware import available_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.reading.members import Span

__all__ = ["ScanLimits", "ScannedFile", "facts_of", "scan_files"]

CHUNK_FILES = 256
"""Most files that a worker is given at a time."""

SHARES = 4
"""A worker takes an even share of the remaining files, divided by this, so that all of them end
together."""

FILES_PER_WORKER = 32
"""Fewest files for which another worker is worth its start."""

LONGEST_PAUSE_S = 0.02
"""Longest pause between two reads of answers: waking up for each would cost the workers time."""

POLL_S = 0.1
"""Interval at which progress is reported and hanging workers are killed, in seconds."""

PIPE_BYTES = 65536

START_ATTEMPTS = 3

START_LIMIT_S = 120.0
"""Seconds that a worker may take to start; a busy machine needs some for the imports."""


@dataclass(frozen=True, slots=True)
class ScanLimits:
    """Limits on the time and memory that one file may take.

    Attributes:
        time_s: Seconds for one file before its worker is killed.
        memory_bytes: Address space of one worker, where the system can limit it.
    """

    time_s: float = 30.0
    memory_bytes: int = 3 * 1024**3


def scan_files(
    paths: Sequence[str],
    policy: InputPolicy,
    *,
    span_of: Callable[[int], Span | None] | None = None,
    pixel_file: str | None = None,
    signature_file: str | None = None,
    limits: DecodingLimits | None = None,
    scan_limits: ScanLimits | None = None,
    num_workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    known: ScanResults | None = None,
    keep: Callable[[Iterable[tuple[int, ScannedFile]]], None] | None = None,
    worker_module: str = "imgclf.data.store.worker",
) -> ScanResults:
    """Decode files in parallel worker processes.

    A worker that crashes, hangs or runs out of memory loses only the file that it was decoding; a
    worker that another program kills loses none.

    Args:
        paths: ``(num_files,)`` absolute paths.
        policy: What every image is turned into.
        span_of: Tells where an image lies in its tar file, by its index in `paths`; None looks for
            each one.
        pixel_file: An existing file of ``num_files * height * width * channels`` bytes; image i is
            written to its i-th row. None checks the files only.
        signature_file: An existing file of ``num_files * SIGNATURE_BYTES`` bytes for the
            signatures, see `imgclf.data.pixels.signatures`. None makes no signatures.
        limits: Caps on a file's bytes and pixels.
        scan_limits: Caps on the time and memory that a file may take.
        num_workers: Processes; None takes one per processor.
        progress: Called now and then with the number of files done and in all.
        known: Results of an interrupted scan of the same files, whose rows are filled already;
            these files are not scanned again. It is filled with the others.
        keep: Called with index and result of files whose rows are filled, by several threads.
        worker_module: The module that a worker runs; it must call `imgclf.data.store.worker.main`.

    Returns:
        The results in the order of `paths`.

    Raises:
        DataError: The disk is full, or workers cannot be started.
    """
    scan_limits = scan_limits or ScanLimits()
    sign = None
    if pixel_file and signature_file and can_sign_rows(policy):
        # Stored images are signed many at a time, by the thread of their worker.
        sign = partial(sign_rows, pixel_file, signature_file, policy=policy)
    setup = {
        "policy": asdict(policy),
        "limits": asdict(limits or DecodingLimits()),
        "pixel_file": pixel_file,
        "signature_file": signature_file if sign is None else None,
        "memory_limit_bytes": scan_limits.memory_bytes,
    }
    results = known or ScanResults(len(paths))
    waiting = array("q", results.unscanned())
    wanted = num_workers or available_processors()
    count = max(1, min(wanted, -(-len(waiting) // FILES_PER_WORKER)))
    scan = _RunningScan(
        *(paths, span_of, setup, scan_limits.time_s, worker_module, count, sign, keep),
        results=results,
        waiting=waiting,
        num_done=len(paths) - len(waiting),
    )
    threads = [threading.Thread(target=scan.work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        _wait_for(threads, scan, progress)
    finally:
        scan.stop()
        for thread in threads:  # So that nothing is written to the pixel file any more.
            thread.join()
    if scan.failure is not None:
        raise DataError(scan.failure)
    return scan.result()


def _wait_for(
    threads: Sequence[threading.Thread],
    scan: _RunningScan,
    progress: Callable[[int, int], None] | None,
) -> None:
    while running := [thread for thread in threads if thread.is_alive()]:
        running[0].join(POLL_S)
        scan.kill_hanging()
        if progress is not None:
            progress(scan.num_done, len(scan.paths))
    if progress is not None and not scan.stopped:
        progress(scan.num_done, len(scan.paths))


@dataclass(slots=True)
class _WorkerProcess:
    """A running worker process, the row that it decodes, and its deadline."""

    process: subprocess.Popen[bytes]
    deadline: float
    row: int | None = None
    timed_out: bool = False
    """Whether it was killed at `row` for taking too long."""


@dataclass(slots=True)
class _RunningScan:
    """State shared by the threads of one scan; each owns one worker process at a time."""

    paths: Sequence[str]
    span_of: Callable[[int], Span | None] | None
    setup: dict[str, Any]
    """The first message to every worker."""
    time_limit_s: float
    worker_module: str
    num_workers: int
    sign: Callable[[range], None] | None
    """Writes the signatures of rows whose pixels are stored."""
    keep: Callable[[Iterable[tuple[int, ScannedFile]]], None] | None
    """Keeps the results of rows that are whole."""
    results: ScanResults
    waiting: Sequence[int]
    """The rows to be scanned."""
    num_done: int
    next_place: int = 0
    failure: str | None = None
    stopped: bool = False
    suspects: set[int] = field(default_factory=set)
    _running: dict[int, _WorkerProcess] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def result(self) -> ScanResults:
        """Return the results of a scan that has come to its end."""
        assert next(self.results.unscanned(), None) is None  # Threads end early only with failures.
        return self.results

    def work(self) -> None:
        """Scan chunks until none is left, with a fresh worker after each one that died."""
        worker: _WorkerProcess | None = None
        try:
            while chunk := self._take_chunk():
                rows = deque(chunk)
                while rows and not self.stopped:
                    worker = worker or self._start()
                    if not self._scan_chunk(worker, rows):
                        self._close(worker)
                        self._blame(worker, rows)
                        worker = None
                if self.sign is not None and not self.stopped:
                    self._sign_chunk(self.sign, chunk)
                if self.keep is not None and not self.stopped:
                    self.keep((row, self.results[row]) for row in chunk)
        except Exception as error:  # noqa: BLE001 - whatever it is must reach the caller
            self.fail(f"The decoding processes cannot work: {error}.")
        finally:
            if worker is not None:
                self._close(worker)

    def kill_hanging(self) -> None:
        """Kill every worker whose file has taken too long."""
        with self._lock:
            now = time.monotonic()
            for worker in self._running.values():
                if now > worker.deadline:
                    worker.timed_out = True
                    worker.process.kill()

    def stop(self) -> None:
        """End all workers, whatever they are doing."""
        with self._lock:
            self.stopped = True
            for worker in self._running.values():
                worker.process.kill()

    def fail(self, message: str) -> None:
        """Record the first reason for which the whole scan has to end."""
        with self._lock:
            if not self.stopped:
                self.failure = message
        self.stop()

    def _fail_to_store(self, why: str) -> None:
        self.fail(f"The pixels cannot be stored ({why}): free some disk space.")

    def _take_chunk(self) -> Sequence[int]:
        with self._lock:
            if self.stopped:
                return ()
            first = self.next_place
            share = (len(self.waiting) - first) // (SHARES * self.num_workers)
            self.next_place = min(first + max(1, min(share, CHUNK_FILES)), len(self.waiting))
            return self.waiting[first : self.next_place]

    def _start(self) -> _WorkerProcess:
        """Start a worker, again where it is killed before its first file."""
        for _ in range(START_ATTEMPTS):
            worker = self._spawn()
            self._send(worker, self.setup)
            if self.stopped or _stream(worker.process.stdout).readline():
                return worker
            self._close(worker)
        raise RuntimeError(f"they end with status {worker.process.returncode} before any file")

    def _spawn(self) -> _WorkerProcess:
        process = subprocess.Popen(  # noqa: S603 - our own module in our own interpreter
            # -P: a random.py in the current folder must not be taken for Python's own.
            [sys.executable, "-P", "-m", self.worker_module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libtiff and others print there from C
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for the parent, which then ends the workers
        )
        worker = _WorkerProcess(process, time.monotonic() + START_LIMIT_S)
        with self._lock:
            self._running[process.pid] = worker
            if self.stopped:
                process.kill()
        return worker

    def _scan_chunk(self, worker: _WorkerProcess, rows: deque[int]) -> bool:
        """Scan the rows, removing each finished one; False when the worker died."""
        if not self._send(worker, [self._job(row) for row in rows]):
            return False
        answers = _stream(worker.process.stdout).fileno()
        unread, given, began_s = b"", len(rows), time.monotonic()
        while rows:
            self._expect(worker, rows[0])
            if done := given - len(rows):
                # Half of what the others will take, so that the worker never waits for its next.
                pause_s = (time.monotonic() - began_s) / done * len(rows) / 2
                time.sleep(min(pause_s, LONGEST_PAUSE_S))
            read = os.read(answers, PIPE_BYTES)
            if not read:
                return False
            *lines, unread = (unread + read).split(b"\n")
            for answer in json.loads(b"[%b]" % b",".join(lines)):
                if "fatal" in answer:
                    self._fail_to_store(answer["fatal"])
                    return False
                facts = facts_of(*answer.pop("facts")) if "facts" in answer else None
                self.results.put(rows.popleft(), ScannedFile(**answer, facts=facts))
            self._count(len(lines))
        self._expect(worker, None)
        return True

    def _job(self, row: int) -> tuple[int | str, ...]:
        """Return row and path, and where the image lies in its tar file, if that is known."""
        span = self.span_of(row) if self.span_of else None
        return row, self.paths[row], *(span or ())

    def _sign_chunk(self, sign: Callable[[range], None], chunk: Sequence[int]) -> None:
        """Sign what was accepted: where nothing is stored there is nothing to read."""
        try:
            # Run by run: what lies between them may be in the hands of another thread.
            for _, run in groupby(enumerate(chunk), lambda item: item[1] - item[0]):
                accepted = [row for _, row in run if self.results.is_accepted(row)]
                if accepted:
                    sign(range(accepted[0], accepted[-1] + 1))
        except OSError as error:
            self._fail_to_store(error.strerror or str(error))

    def _expect(self, worker: _WorkerProcess, row: int | None) -> None:
        """Set the row and deadline of a worker; a waiting one has no deadline."""
        with self._lock:
            if not worker.timed_out:
                worker.row = row
                limit_s = float("inf") if row is None else self.time_limit_s
                worker.deadline = time.monotonic() + limit_s

    def _send(self, worker: _WorkerProcess, message: object) -> bool:
        try:
            _stream(worker.process.stdin).write(json.dumps(message).encode() + b"\n")
            _stream(worker.process.stdin).flush()
        except OSError:  # A broken pipe; on Windows an invalid argument.
            return False
        return True

    def _blame(self, worker: _WorkerProcess, rows: deque[int]) -> None:
        """Give up the file that ended a worker, if one did."""
        if self.stopped or not rows:
            return
        row = rows[0]
        path = repr(os.fsencode(self.paths[row]).decode("utf-8", "backslashreplace"))
        if worker.timed_out:
            # It may have answered just before the kill: then the next file was never begun.
            if worker.row == row:
                message = f"{path}: decoding took longer than {self.time_limit_s:g} s."
                self._give_up(rows.popleft(), "time_out", message)
        elif row not in self.suspects:
            # The system kills processes too when memory runs out: try the file once more.
            self.suspects.add(row)
        else:
            message = f"{path}: decoding ended its process (status {worker.process.returncode})."
            self._give_up(rows.popleft(), "worker_died", message)

    def _give_up(self, row: int, reason: str, message: str) -> None:
        self.results.put(row, ScannedFile("", reason, message))
        self._count(1)

    def _count(self, done: int) -> None:
        with self._lock:
            self.num_done += done

    def _close(self, worker: _WorkerProcess) -> None:
        with self._lock:
            self._running.pop(worker.process.pid, None)
            if self.stopped:
                worker.process.kill()
        _stream(worker.process.stdout).close()
        with contextlib.suppress(OSError):  # It died with a job still in the pipe.
            _stream(worker.process.stdin).close()
        worker.process.wait()


@lru_cache(maxsize=4096)
def facts_of(*values: Any) -> ImageFacts:
    """Make the facts of an image from their JSON list; equal ones share one object."""
    return ImageFacts(*values)


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # Popen was given pipes
    return stream
