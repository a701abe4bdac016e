"""The pool of a search's workers: local ones, remote ones, or both."""

from __future__ import annotations

import socket
from typing import Any

import pytest

import imgclf
from imgclf.errors import ArgumentError
from imgclf.tuning.chief import Chief
from imgclf.tuning.pool import CombinedPool, open_pool
from imgclf.tuning.tasks import TrialTask
from scripted_worker import wait_for_events


def test_a_combined_pool_asks_its_local_workers_first_and_hears_all(
    task: TrialTask, scripted_workers: Any
) -> None:
    """Local workers get tasks before remote ones; both are heard."""
    with Chief("127.0.0.1", 0) as local, Chief("127.0.0.1", 0) as remote:
        workers = [scripted_workers(local), scripted_workers(remote)]
        pool = CombinedPool(local, remote)
        wait_for_events(pool, lambda _: pool.num_idle == 2)
        pool.run(1, task)
        assert (local.num_idle, remote.num_idle) == (0, 1)
        pool.run(2, task)
        assert pool.num_idle == 0
        for worker in workers:
            worker.send({"error": "ValueError", "message": "no"})
        events = wait_for_events(pool, lambda found: len(found) == 2)
        assert sorted(number for number, _ in events) == [1, 2]


def test_a_pool_of_its_own_needs_a_worker_or_an_address() -> None:
    """No worker at all is refused; with an address a search may leave all trials to others."""
    addresses: list[str] = []
    with open_pool(0, "127.0.0.1:0", on_listening=addresses.append) as pool:
        assert pool.num_idle == 0
        host, _, port = addresses[0].partition(":")
        socket.create_connection((host, int(port))).close()
    for count in (0, -1, True, 1.5):
        with pytest.raises(ArgumentError, match="workers="), open_pool(count):  # type: ignore[arg-type]
            pass


def test_workers_on_other_machines_need_images_that_can_travel(batches: Any, plugin: str) -> None:
    """A plain dataset with a chief's address is refused; so is a search without any worker."""
    with pytest.raises(ArgumentError, match="workers=0"):
        imgclf.tune(plugin, *batches, workers=0)
    plain = batches[0].take(1)
    with pytest.raises(ArgumentError, match="chief_address needs"):
        imgclf.tune(plugin, plain, batches[1], chief_address="127.0.0.1:0")
