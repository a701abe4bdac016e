"""The chief: remote workers that come, work, fall silent or are not workers at all; on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from imgclf.errors import TuningError
from imgclf.tuning.chief import Chief
from imgclf.tuning.tasks import TrialTask
from scripted_worker import wait_for_events


def test_a_silent_worker_gives_its_trial_back(task: TrialTask, scripted_workers: Any) -> None:
    """Who says nothing counts as gone, with or without a trial; who says "alive" stays."""
    with Chief("127.0.0.1", 0, silence_s=1.0) as chief:
        silent = scripted_workers(chief)
        wait_for_events(chief, lambda _: chief.num_idle == 1)
        assert silent.receive() == {"welcome": True}
        chief.run(7, task)
        assert chief.num_idle == 0
        assert wait_for_events(chief, lambda events: events) == [(7, {"lost": True})]
        lively = scripted_workers(chief)
        began_s = time.monotonic()
        while time.monotonic() - began_s < 2:
            lively.send({"alive": True})
            assert not list(chief.events(0.1))
        assert chief.num_idle == 1


def test_only_the_bundle_of_the_accepted_attempt_counts(
    task: TrialTask, scripted_workers: Any
) -> None:
    """A worker that was given up cannot overwrite what another one has done with its trial."""
    with Chief("127.0.0.1", 0) as chief:
        places = []
        for _ in range(2):
            worker = scripted_workers(chief)
            wait_for_events(chief, lambda _: chief.num_idle == 1)
            chief.run(7, task)
            worker.receive()
            place = Path(task.study_dir / worker.receive()["task"]["bundle"])
            place.write_text(f"attempt {len(places)}")
            places.append(place)
            if len(places) == 1:
                worker.close()
                assert wait_for_events(chief, lambda events: events) == [(7, {"lost": True})]
        worker.send({"ended": 0})
        assert wait_for_events(chief, lambda events: events) == [(7, {"ended": 0})]
        assert Path(task.bundle).read_text() == "attempt 1"
        assert places[0] != places[1]
        assert not any(place.exists() for place in places)


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"hello": {}}\n', b"1\n",
     b"x" * (2 << 20)],
    ids=["http", "nested", "bytes", "version", "number", "endless"],
)  # fmt: skip
def test_strangers_are_sent_away(said: bytes, scripted_workers: Any) -> None:
    """Whatever else connects is never given a trial, and does not disturb the search."""
    with Chief("127.0.0.1", 0) as chief:
        stranger = scripted_workers(chief, hello=False)
        sending = threading.Thread(target=_send_all, args=(stranger.sock, said))
        sending.start()
        ended = []

        def gone(_events: Any) -> bool:
            stranger.sock.settimeout(0.05)
            with contextlib.suppress(TimeoutError):
                try:
                    ended.append(not stranger.sock.recv(4096))
                except ConnectionError:
                    ended.append(True)
            return any(ended)

        assert wait_for_events(chief, gone) == []
        sending.join()
        assert chief.num_idle == 0


def _send_all(sock: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(content)


def test_a_search_without_workers_ends(task: TrialTask) -> None:
    """The chief does not wait for ever for somebody to come; what has ended is kept."""
    with (
        Chief("127.0.0.1", 0, patience_s=0.2) as chief,
        pytest.raises(TuningError, match=r"There was no worker.*--resume"),
    ):
        wait_for_events(chief, lambda _: False)
