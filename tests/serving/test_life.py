"""A real server starts, changes, and ends without losing a request."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from requests.exceptions import ChunkedEncodingError

from conftest import Run
from sealed_bundles import forge
from served_process import ServedProcess, served

CLIENTS = 8


@pytest.fixture(scope="module")
def photo(two_classes: Path) -> bytes:
    """Return an image."""
    return next(two_classes.rglob("*.png")).read_bytes()


class Load:
    """Clients that ask without pause, each on a connection that it keeps.

    Attributes:
        answers: How many requests ended how: a status, or an error's name where the connection was
            not refused but lost.
        labels: How many answers gave which class.
    """

    def __init__(self, server: ServedProcess, photo: bytes) -> None:
        self.answers: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self._address = f"{server.url}/predict"
        self._photo = photo
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def await_answers(self, count: int) -> None:
        """Wait until there are so many more."""
        wanted, end = self.answers["200"] + count, time.monotonic() + 60
        while self.answers["200"] < wanted:
            assert time.monotonic() < end, self.answers
            time.sleep(0.01)

    def _ask(self) -> None:
        headers = {"Content-Type": "image/png"}
        with requests.Session() as session:
            while not self._stopped.is_set():
                try:
                    answer = session.post(
                        self._address, data=self._photo, headers=headers, timeout=60
                    )
                except (requests.ConnectionError, ChunkedEncodingError) as error:
                    if "refused" in str(error):
                        return  # Nothing was sent: the server has ended.
                    self.answers[f"{type(error).__name__}: {error}"] += 1
                else:
                    self.answers[str(answer.status_code)] += 1
                    if answer.status_code == 200:
                        self.labels[answer.json()["predictions"][0]["label"]] += 1


def require_no_loss_at_a_signal(bundle: Path, photo: bytes, *options: str) -> None:
    """Stop a server under load, and require an answer to every request that was sent."""
    with served(bundle, *options) as server:
        with Load(server, photo) as load:
            load.await_answers(CLIENTS)
            assert server.stop() == 128 + signal.SIGTERM
        assert set(load.answers) == {"200"}


@pytest.mark.parametrize("options", [pytest.param((), marks=pytest.mark.slow), ("--workers", "2")])
def test_a_signal_loses_no_request(bundle: Path, photo: bytes, options: tuple[str, ...]) -> None:
    """SIGTERM under load: whatever was sent is answered, and new connections are refused."""
    require_no_loss_at_a_signal(bundle, photo, *options)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(20))
def test_twenty_signals_lose_no_request(bundle: Path, photo: bytes, attempt: int) -> None:
    """SIGTERM under load, again and again, with one and with two processes."""
    require_no_loss_at_a_signal(bundle, photo, *(() if attempt % 2 else ("--workers", "2")))


def change(source: Path, target: Path, *names: str) -> None:
    """Put another classifier in the place of a file, whole."""
    new = forge(source, target.with_suffix(".new"), lambda one: one.update(class_names=list(names)))
    new.replace(target)


def require_reloads(bundle: Path, photo: bytes, folder: Path, times: int, answers: int) -> None:
    """Change a classifier's file under load, and require that no request fails."""
    file = Path(shutil.copy(bundle, folder / "pets.imgclf"))
    with served(file) as server, Load(server, photo) as load:
        for number in range(times):
            load.await_answers(answers // times)
            change(bundle, file, f"night{number}", f"day{number}")
            await_condition(lambda n=number: bool({f"night{n}", f"day{n}"} & set(load.labels)))
        file.write_bytes(b"no classifier")
        await_condition(lambda: any("still answers" in line for line in server.messages))
        load.await_answers(CLIENTS)
        ready = requests.get(f"{server.url}/readyz", timeout=60).json()
    assert set(load.answers) == {"200"}
    assert load.answers["200"] >= answers
    assert ready["status"] == "ready"


def test_a_changed_file_is_loaded_without_a_failed_request(
    bundle: Path, photo: bytes, tmp_path: Path
) -> None:
    """The new classifier answers after a moment; a damaged file leaves the one before."""
    require_reloads(bundle, photo, tmp_path, times=1, answers=50)


@pytest.mark.slow
def test_ten_reloads_fail_no_request_of_two_thousand(
    bundle: Path, photo: bytes, tmp_path: Path
) -> None:
    """Reload after reload under load, and every request is answered."""
    require_reloads(bundle, photo, tmp_path, times=10, answers=2000)


def await_condition(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_worker_is_replaced(bundle: Path, photo: bytes) -> None:
    """SIGKILL under load: the others answer meanwhile, and there are as many as before again."""
    headers = {"Content-Type": "image/png"}
    with served(bundle, "--workers", "2") as server:
        first, second = server.children()
        with Load(server, photo) as load:
            load.await_answers(CLIENTS)
            os.kill(first, signal.SIGKILL)
            load.await_answers(CLIENTS)
            await_condition(lambda: len(set(server.children()) - {first}) == 2)
            load.await_answers(CLIENTS)
        lost = sum(load.answers.values()) - load.answers["200"]
        assert lost <= CLIENTS, "no more than those that it was answering"
        assert second in server.children()
        for _ in range(20):
            answer = requests.post(f"{server.url}/predict", data=photo, headers=headers, timeout=60)
            assert answer.status_code == 200
        counted = requests.get(f"{server.url}/metrics", timeout=60).text
        ok = 'imgclf_requests_total{method="POST",route="/predict",status="200"} '
        (line,) = [line for line in counted.splitlines() if line.startswith(ok)]
        counted_ok = float(line.removeprefix(ok)) + CLIENTS  # A killed process may forget its last.
        assert counted_ok >= load.answers["200"] + 20, "those of all processes"


def test_workers_end_with_their_parent(bundle: Path) -> None:
    """A parent that is killed leaves no process behind."""
    with served(bundle, "--workers", "2") as server:
        workers = server.children()
        assert len(workers) == 2
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
        await_condition(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


def test_ctrl_c_stops_at_once_where_nothing_is_asked(bundle: Path) -> None:
    """Exit code 130, one word, and no traceback."""
    with served(bundle) as server:
        start = time.monotonic()
        assert server.stop(signal.SIGINT) == 128 + signal.SIGINT
        assert time.monotonic() - start < 10
    assert server.messages[-1] == "Stopped."
    assert not any("Traceback" in line for line in server.messages)


def test_headers_that_do_not_come_close_the_connection(bundle: Path) -> None:
    """A client that sends nothing, or byte by byte, is not waited for."""
    with served(bundle, "--header-timeout", "0.5") as server:
        for first in (b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"):
            with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
                start = time.monotonic()
                client.sendall(first)
                assert _read_to_end(client) == b""
                assert time.monotonic() - start < 10


def _read_to_end(client: socket.socket) -> bytes:
    """Read until the server closes the connection, sending on meanwhile."""
    client.settimeout(0.1)
    while True:
        with contextlib.suppress(TimeoutError):
            try:
                return client.recv(1000)
            except ConnectionError:
                return b""
        with contextlib.suppress(OSError):
            client.sendall(b"a")


def test_the_log_is_json_where_it_is_asked_for(bundle: Path, photo: bytes) -> None:
    """Each request is a line of JSON, and no text of a stranger leaves it."""
    with served(bundle, "--log-json") as server:
        name = bundle.parent.name
        requests.post(f"{server.url}/predict", files={"image": photo}, timeout=60)
        requests.get(f"{server.url}/%0a%1b[31mred", timeout=60)
        server.stop()
    answered, refused = (json.loads(line) for line in server.requests)
    assert (answered["status"], answered["classifier"], answered["images"]) == (200, name, 1)
    assert answered["duration_ms"] > 0
    assert (refused["status"], refused["path"]) == (404, "/\n\x1b[31mred")


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Return a port that another program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_server_that_cannot_start_says_why(
    bundle: Path, tmp_path: Path, taken_port: int, imgclf_command: Run
) -> None:
    """One line and exit code 1: what was given, and what to do."""
    damaged = tmp_path / "damaged.imgclf"
    damaged.write_bytes(bundle.read_bytes()[:-100])
    short = tmp_path / "token"
    short.write_text("secret\n")
    for arguments, words in (
        ([bundle, "--port", taken_port], "Address already in use"),
        ([bundle, "--host", "0.0.0.0"], "--allow-network"),  # noqa: S104 - it is refused
        ([bundle, "--host", "no.such.host.invalid"], "is not an address of this machine"),
        ([damaged], "damaged"),
        ([damaged, "--workers", "2", "--port", "0"], "cannot start"),
        ([tmp_path / "missing.imgclf"], "does not exist"),
        ([bundle, bundle], "give one of them another name"),
        ([bundle, "--token-file", short], "holds no token"),
    ):
        done = imgclf_command("serve", *arguments)
        assert done.returncode == 1, (arguments, done)
        assert words in done.stderr
        assert "Traceback" not in done.stderr
