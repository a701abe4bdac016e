"""Runs that nobody named have names of their own, and the newest is found without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgclf.errors import RunFolderError
from imgclf.runs.folder import forget_run, open_run_folder
from imgclf.runs.run_names import make_run_folder, point_to_newest


def test_two_runs_of_one_second_have_two_names(tmp_path: Path) -> None:
    """However fast trainings begin one after the other, each has a folder of its own."""
    folders = [make_run_folder("resnet9", tmp_path / "runs") for _ in range(5)]
    assert len(set(folders)) == 5
    assert (tmp_path / "runs" / "last").resolve() == folders[-1].resolve()
    assert all(folder.is_dir() and folder.name.endswith("-resnet9") for folder in folders)


def test_last_is_the_newest_run(tmp_path: Path) -> None:
    """`last` leads to the newest run, and back to the one before where that was refused."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "2026-03-01-142530-resnet9").mkdir()
    newest = make_run_folder("resnet9", tmp_path)
    assert (tmp_path / "last").resolve() == newest.resolve()
    with open_run_folder(newest):
        forget_run(newest)
    assert not newest.exists()
    assert (tmp_path / "last").resolve().name == "2026-03-01-142530-resnet9"


def test_last_is_a_file_where_links_do_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where links are refused, `last` is a text with the newest run's name."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(1314, "A required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", refuse)
    newest = make_run_folder("resnet9", tmp_path)
    assert (tmp_path / "last").read_text() == f"{newest.name}\n"


def test_a_folder_called_last_stays(tmp_path: Path) -> None:
    """What somebody else has called `last` is not replaced."""
    (tmp_path / "last").mkdir()
    make_run_folder("resnet9", tmp_path)
    point_to_newest(tmp_path)
    assert (tmp_path / "last").is_dir()
    assert not (tmp_path / "last").is_symlink()


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
