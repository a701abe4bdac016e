"""The messages between chief and remote workers: they arrive whole, or are refused."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgclf.errors import TuningError
from imgclf.tuning.messages import (
    Connection,
    read_event,
    read_task,
    study_digest,
    write_task,
)
from imgclf.tuning.tasks import RefitTask, TrialTask


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


@pytest.fixture
def ends() -> Iterator[tuple[Connection, Connection]]:
    """Return two connected ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    first = Connection(socket.create_connection(listener.getsockname(), timeout=30))
    second = Connection(listener.accept()[0])
    listener.close()
    yield first, second
    first.close()
    second.close()


def receive_next(end: Connection) -> list[dict[str, Any]]:
    """Read until a message is complete."""
    messages: list[dict[str, Any]] = []
    while not messages:
        messages = end.receive()
    return messages


def test_messages_arrive_whole_however_they_are_cut(ends: tuple[Connection, Connection]) -> None:
    """A message in pieces is given once it is complete; several at once come in order."""
    sender, receiver = ends
    sender.sock.sendall(b'{"text": "a')
    assert receiver.receive() == []
    sender.sock.sendall('bü"}\n{"number": 1}\n{"next"'.encode())
    assert receiver.receive() == [{"text": "abü"}, {"number": 1}]
    sender.sock.sendall(b": null}\n")
    assert receiver.receive() == [{"next": None}]
    sender.send({"nested": {"values": [1, 2.5]}})
    assert receiver.receive() == [{"nested": {"values": [1, 2.5]}}]


@pytest.mark.parametrize(
    "line", [b"{", b"[1]", b"1", b"null", b"\xff", b"[" * 50_000, b"GET / HTTP/1.1"],
    ids=["open", "list", "number", "null", "bytes", "nested", "http"],
)  # fmt: skip
def test_lines_that_are_no_messages_are_refused(
    line: bytes, ends: tuple[Connection, Connection]
) -> None:
    """Anything but a JSON object on a line is a ValueError, never another kind of crash."""
    sender, receiver = ends
    sender.sock.sendall(line + b"\n")
    with pytest.raises(ValueError):  # noqa: PT011 - JSON's own or ours
        receive_next(receiver)


def test_an_endless_line_is_refused_and_a_closed_connection_noticed(
    ends: tuple[Connection, Connection],
) -> None:
    """A line longer than any message is not collected for ever; nor is a closed end waited for."""
    sender, receiver = ends
    sending = threading.Thread(target=sender.sock.sendall, args=(b"x" * (2 << 20),))
    sending.start()
    with pytest.raises(ValueError, match="a line of more than"):
        receive_next(receiver)
    while sending.is_alive():
        receiver.sock.recv(1 << 20)
    sending.join()
    receiver.close()
    with pytest.raises(ConnectionError):
        receive_next(sender)


def test_two_machines_know_that_they_share_a_study(tmp_path: Path) -> None:
    """Equal study files have equal digests, others do not; a missing one names --study-dir."""
    digests = []
    for number, content in enumerate(("{}", "{}", '{"version": "2"}')):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "study.json").write_text(content)
        digests.append(study_digest(folder))
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(TuningError, match="--study-dir"):
        study_digest(tmp_path / "none")
