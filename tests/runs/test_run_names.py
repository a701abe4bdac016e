"""Runs that nobody named have names of their own, and the newest is found without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgclf.errors import RunFolderError
from imgclf.runs.folder import forget_run, open_run_folder, write_config
from imgclf.runs.run_names import follow_newest, make_run_folder, point_to_newest


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Where runs lie; it is not made yet."""
    return tmp_path / "runs"


def begin_run(parent: Path, name: str = "") -> Path:
    """Begin a run as a training does, in a folder of this or of its own name."""
    with open_run_folder(parent / name if name else make_run_folder("resnet9", parent)) as folder:
        write_config(folder, {})
    return folder


def test_two_runs_of_one_second_have_two_names(runs: Path) -> None:
    """However fast trainings begin one after the other, each has a folder of its own."""
    folders = [begin_run(runs) for _ in range(5)]
    assert len(set(folders)) == 5
    assert (runs / "last").resolve() == folders[-1].resolve()
    assert all(folder.is_dir() and folder.name.endswith("-resnet9") for folder in folders)


@pytest.mark.parametrize("name", ["", "mine"])
def test_last_is_the_newest_run(runs: Path, name: str) -> None:
    """`last` leads to the newest run, whoever named it, and back where that one was refused."""
    (runs / "photos").mkdir(parents=True)
    (runs / "2026-03-01-142530-resnet9").mkdir()
    newest = begin_run(runs, name)
    assert (runs / "last").resolve() == newest.resolve()
    with pytest.raises(RunFolderError), open_run_folder(newest):
        pass
    forget_run(newest)
    assert not newest.exists()
    assert (runs / "last").resolve().name == "2026-03-01-142530-resnet9"


def test_last_goes_back_to_a_run_that_somebody_named(runs: Path) -> None:
    """Where the newest run was refused, a named one before it is found as well."""
    os.utime(begin_run(runs, "first") / "config.json", (0, 0))
    named = begin_run(runs, "second")
    forget_run(begin_run(runs, "third"))
    assert (runs / "last").resolve() == named.resolve()
    forget_run(named)
    assert (runs / "last").resolve().name == "first"
    forget_run(runs / "first")
    assert not os.path.lexists(runs / "last")


def test_a_folder_elsewhere_gets_no_neighbour(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run outside of `runs` leaves `runs/last` as it is, and makes none beside itself."""
    first = begin_run(runs)
    elsewhere = begin_run(tmp_path / "experiments", "first")
    assert not os.path.lexists(tmp_path / "experiments" / "last")
    assert (runs / "last").resolve() == first.resolve()
    (elsewhere.parent / "last").write_text("of somebody else")
    forget_run(elsewhere)
    assert (elsewhere.parent / "last").read_text() == "of somebody else"
    monkeypatch.chdir(runs)
    second = begin_run(Path(), "second")
    assert (runs / "last").resolve() == second.resolve()


def test_last_is_a_file_where_links_do_not_work(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links are refused, `last` is a text with the newest run's name."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    newest = begin_run(runs)
    assert (runs / "last").read_text() == f"{newest.name}\n"
    named = begin_run(runs, "mine")
    assert follow_newest(runs / "last") == named
    forget_run(named)
    assert follow_newest(runs / "last") == newest


@pytest.mark.parametrize("content", ["", "..", ".", "../runs/mine", "nothing", "x" * 9_999, "\0"])
def test_a_file_called_last_leads_to_nothing_but_its_neighbours(runs: Path, content: str) -> None:
    """A text that is called `last` stays what it is, unless it names a folder beside it."""
    begin_run(runs, "mine")
    (runs / "last").unlink()
    (runs / "last").write_text(content)
    assert follow_newest(runs / "last") == runs / "last"


def test_a_folder_called_last_stays(runs: Path) -> None:
    """What somebody else has called `last` is not replaced."""
    (runs / "last").mkdir(parents=True)
    begin_run(runs)
    point_to_newest(runs)
    assert (runs / "last").is_dir()
    assert not (runs / "last").is_symlink()


def test_a_run_goes_on_where_last_cannot_be_made(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run in a `runs` that takes no `last` begins all the same."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("imgclf.runs.run_names._link", refuse)
    assert (begin_run(runs, "mine") / "config.json").exists()


def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no run folder can be made, the error says so."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("imgclf.runs.run_names.make_folder", lambda _folder: None)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunFolderError, match=r"cannot be made \(Permission denied\)"):
        make_run_folder("resnet9", tmp_path)
