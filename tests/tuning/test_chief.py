"""Searches with workers that join over the network; all of it on loopback."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import imgclf
from imgclf.errors import ArgumentError, TuningError
from imgclf.runs.resolution import resolve_settings
from imgclf.runs.settings import Settings
from imgclf.tuning.addresses import parse_address, require_private
from imgclf.tuning.candidates import default_candidate
from imgclf.tuning.chief import Chief
from imgclf.tuning.messages import PROTOCOL, read_event, read_task, write_task
from imgclf.tuning.pool import CombinedPool, WorkerPool, open_pool
from imgclf.tuning.tasks import RefitTask, TrialTask
from imgclf.tuning.trial_settings import TrialSettings

EVERYBODY = "0.0.0.0"  # noqa: S104 - asked about, never listened on


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def joined(port: int, env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start `imgclf tune-worker` for a chief that may still have to start."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", "from imgclf.cli.main import run; run()", "tune-worker",
             "--chief", f"127.0.0.1:{port}", "--wait", "200"],
            stdout=errors, stderr=errors, env=env,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_search_survives_a_worker_that_is_killed_in_mid_trial(
    batches: Any, plugin: str, command_env: dict[str, str], tmp_path: Path
) -> None:
    """Of two joined workers one dies by SIGKILL: its trial is run again, the search completes."""
    port = free_port()
    logs = (tmp_path / "first.txt", tmp_path / "second.txt")
    with (
        joined(port, command_env, logs[0]) as first,
        joined(port, command_env, logs[1]) as second,
    ):

        def kill_first() -> None:
            while first.poll() is None:
                time.sleep(0.02)
                if "Running" in logs[0].read_text():
                    first.send_signal(signal.SIGKILL)

        killing = threading.Thread(target=kill_first)
        killing.start()
        result = imgclf.tune(
            plugin, *batches, max_trials=4, trial_epochs=30, workers=0, study_dir=tmp_path / "s",
            chief_address=f"127.0.0.1:{port}",
        )  # fmt: skip
        killing.join(10)
        second.wait(60)
    errors = logs[1].read_text()
    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0, errors
    assert "The search is over; 4 trial(s) were run here." in errors
    assert [trial.number for trial in result.trials] == [0, 1, 2, 3]
    assert all(trial.status == "completed" for trial in result.trials)
    assert not list((tmp_path / "s" / "bundles").glob("attempt-*"))
    assert imgclf.evaluate(imgclf.load(result.bundle), batches[1]).accuracy == (
        result.best.bundle_accuracy
    )


class Puppet:
    """A worker whose every word the test decides."""

    def __init__(self, chief: Chief, *, hello: bool = True) -> None:
        self.sock = socket.create_connection(("127.0.0.1", chief.port), timeout=30)
        self.stream = self.sock.makefile("rb")
        if hello:
            from importlib.metadata import version

            self.say({"hello": {"imgclf": version("imgclf"), "protocol": PROTOCOL}})

    def close(self) -> None:
        self.stream.close()
        self.sock.close()

    def say(self, message: Any) -> None:
        self.sock.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> Any:
        return json.loads(self.stream.readline() or "null")


@pytest.fixture
def puppets() -> Iterator[Any]:
    """Return a function that makes workers for a chief; they are closed at the end."""
    made: list[Puppet] = []

    def make(chief: Chief, *, hello: bool = True) -> Puppet:
        made.append(Puppet(chief, hello=hello))
        return made[-1]

    yield make
    for puppet in made:
        puppet.close()


def pump(chief: WorkerPool, until: Any) -> list[tuple[int, dict[str, Any]]]:
    """Let the chief listen until something is so; returns what it was told."""
    events: list[tuple[int, dict[str, Any]]] = []
    deadline_s = time.monotonic() + 30
    while not until(events):
        assert time.monotonic() < deadline_s, events
        events += chief.events(0.05)
    return events


@pytest.fixture
def task(batches: Any, plugin: str, tmp_path: Path) -> TrialTask:
    """Return a trial of a study that exists."""
    (tmp_path / "bundles").mkdir()
    (tmp_path / "study.json").write_text("{}")
    settings = TrialSettings(resolve_settings(Settings(), 100))
    plan = batches[0].plan
    candidate = default_candidate(plugin, plan, settings)
    bundle, log = tmp_path / "bundles" / "0007.imgclf", tmp_path / "logs" / "0007.txt"
    return TrialTask(plan, candidate, settings, str(bundle), str(log))


def test_a_silent_worker_gives_its_trial_back(task: TrialTask, puppets: Any) -> None:
    """Who says nothing counts as gone, with or without a trial; who says "alive" stays."""
    with Chief("127.0.0.1", 0, silence_s=1.0) as chief:
        silent = puppets(chief)
        pump(chief, lambda _: chief.num_idle == 1)
        assert silent.hear() == {"welcome": True}
        chief.run(7, task)
        assert chief.num_idle == 0
        assert pump(chief, lambda events: events) == [(7, {"lost": True})]
        lively = puppets(chief)
        began_s = time.monotonic()
        while time.monotonic() - began_s < 2:
            lively.say({"alive": True})
            assert not list(chief.events(0.1))
        assert chief.num_idle == 1


def test_only_the_bundle_of_the_accepted_attempt_counts(task: TrialTask, puppets: Any) -> None:
    """A worker that was given up cannot overwrite what another one has done with its trial."""
    with Chief("127.0.0.1", 0) as chief:
        places = []
        for _ in range(2):
            worker = puppets(chief)
            pump(chief, lambda _: chief.num_idle == 1)
            chief.run(7, task)
            worker.hear()
            place = Path(task.study_dir / worker.hear()["task"]["bundle"])
            place.write_text(f"attempt {len(places)}")
            places.append(place)
            if len(places) == 1:
                worker.close()
                assert pump(chief, lambda events: events) == [(7, {"lost": True})]
        worker.say({"ended": 0})
        assert pump(chief, lambda events: events) == [(7, {"ended": 0})]
        assert Path(task.bundle).read_text() == "attempt 1"
        assert places[0] != places[1]
        assert not any(place.exists() for place in places)


def test_a_team_asks_its_own_workers_first_and_hears_all(task: TrialTask, puppets: Any) -> None:
    """Of two groups of workers the first is busy before the second; both are heard."""
    with Chief("127.0.0.1", 0) as own, Chief("127.0.0.1", 0) as joined_later:
        workers = [puppets(own), puppets(joined_later)]
        team = CombinedPool(own, joined_later)
        pump(team, lambda _: team.num_idle == 2)
        team.run(1, task)
        assert (own.num_idle, joined_later.num_idle) == (0, 1)
        team.run(2, task)
        assert team.num_idle == 0
        for worker in workers:
            worker.say({"error": "ValueError", "message": "no"})
        events = pump(team, lambda found: len(found) == 2)
        assert sorted(number for number, _ in events) == [1, 2]


def test_a_pool_of_its_own_needs_a_worker_or_an_address() -> None:
    """No worker at all is refused; with an address a search may leave all trials to others."""
    addresses: list[str] = []
    with open_pool(0, "127.0.0.1:0", listening=addresses.append) as pool:
        assert pool.num_idle == 0
        host, _, port = addresses[0].partition(":")
        socket.create_connection((host, int(port))).close()
    for count in (0, -1, True, 1.5):
        with pytest.raises(ArgumentError, match="workers="), open_pool(count):  # type: ignore[arg-type]
            pass


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"[" * 100_000 + b"\n", b"\xff\xfe\n", b'{"hello": {}}\n', b"1\n",
     b"x" * (2 << 20)],
    ids=["http", "nested", "bytes", "version", "number", "endless"],
)  # fmt: skip
def test_strangers_are_sent_away(said: bytes, puppets: Any) -> None:
    """Whatever else connects is never given a trial, and does not disturb the search."""
    with Chief("127.0.0.1", 0) as chief:
        stranger = puppets(chief, hello=False)
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

        assert pump(chief, gone) == []
        sending.join()
        assert chief.num_idle == 0


def _send_all(sock: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(content)


def test_results_that_make_no_sense_are_not_taken() -> None:
    """An event has exactly the parts that it should have."""
    result = {"accuracies": [0.5], "log_loss": 1.0, "fit_s": 1.0, "num_correct": 1,
              "num_images": 2, "num_parameters": 3, "best_epoch": None}  # fmt: skip
    assert read_event({"result": result}) == {"result": result}
    for wrong in (
        {"result": {**result, "accuracies": []}},
        {"result": {**result, "num_correct": "1"}},
        {"result": {**result, "extra": 1}},
        {"epoch": 1},
        {"lost": True},
        {"task": {}},
    ):
        with pytest.raises(ValueError, match=r"invalid field|field missing"):
            read_event(wrong)


def test_a_task_arrives_as_it_was_sent_and_holds_no_pickle(task: TrialTask, tmp_path: Path) -> None:
    """JSON and back gives the same task, at the place where the study lies there."""
    refit = RefitTask(task.plan, task.candidate, task.settings, task.bundle, task.log, 3)
    for sent in (task, refit):
        content = json.loads(json.dumps(write_task(sent)))
        assert read_task(content, tmp_path) == sent
        moved = read_task(content, Path("/mnt/study"))
        assert moved.bundle == "/mnt/study/bundles/0007.imgclf"
    with pytest.raises(TuningError, match="cannot be read"):
        read_task({**content, "plan": {}}, tmp_path)


def test_a_search_without_workers_ends(task: TrialTask) -> None:
    """The chief does not wait for ever for somebody to come; what has ended is kept."""
    with (
        Chief("127.0.0.1", 0, patience_s=0.2) as chief,
        pytest.raises(TuningError, match=r"No worker has been there.*--resume"),
    ):
        pump(chief, lambda _: False)


def test_other_machines_are_let_in_only_on_request(batches: Any, plugin: str) -> None:
    """An address that others can reach needs an explicit word; nonsense is named."""
    require_private("127.0.0.1", allow_network=False)
    require_private("localhost", allow_network=False)
    require_private(EVERYBODY, allow_network=True)
    assert parse_address("[::1]:7777") == ("::1", 7777)
    for host in (EVERYBODY, "::"):
        with pytest.raises(ArgumentError, match="--allow-network"):
            require_private(host, allow_network=False)
    for text in ("7777", "localhost", ":1", "a:b", "127.0.0.1:70000"):
        with pytest.raises(ArgumentError, match="HOST:PORT"):
            parse_address(text)
    with pytest.raises(ArgumentError, match="workers=0"):
        imgclf.tune(plugin, *batches, workers=0)
    plain = batches[0].take(1)
    with pytest.raises(ArgumentError, match="chief_address needs"):
        imgclf.tune(plugin, plain, batches[1], chief_address="127.0.0.1:0")


def test_a_worker_without_a_chief_says_so(imgclf_command: Any) -> None:
    """A wrong address is one line and exit code 1."""
    done = imgclf_command("tune-worker", "--chief", f"127.0.0.1:{free_port()}", "--wait", "0")
    assert done.returncode == 1
    assert "There is no chief at" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
