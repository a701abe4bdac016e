"""A run folder says what it holds, and what it does not hold in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from imgclf.cli.main import app
from imgclf.errors import RunFolderError
from imgclf.runs.folder import (
    is_trained,
    mark_done,
    mark_stopped,
    open_run_folder,
    read_split,
    write_config,
    write_history,
)
from imgclf.runs.record import read_run
from imgclf.runs.run_names import make_run_folder


@pytest.mark.parametrize("command", [("train", "--resume"), ("report",)])
def test_a_folder_with_a_lock_alone(tmp_path: Path, command: tuple[str, ...]) -> None:
    """`--resume` and `report` say what is missing and what to do; nothing is made in it."""
    with open_run_folder(tmp_path / "run"):
        pass
    done = CliRunner().invoke(app, [*command, str(tmp_path / "run")])
    assert isinstance(done.exception, RunFolderError)
    assert str(done.exception) == (
        f"{tmp_path}/run holds no run, config.json is missing: give a run folder of `imgclf "
        "train`; if a training in it ended before it began, train again with --run-dir "
        f"{tmp_path}/run."
    )
    assert [item.name for item in (tmp_path / "run").iterdir()] == ["lock"]
    with open_run_folder(tmp_path / "run"):  # As the message says.
        pass


def test_a_run_that_has_not_finished_says_how_to_go_on(tmp_path: Path) -> None:
    """A run with settings alone is named with the file that is missing, and can be resumed."""
    with open_run_folder(tmp_path):
        write_config(tmp_path, {"epochs": 3})
    with pytest.raises(RunFolderError, match=r"record\.json is missing: continue with .*--resume"):
        read_run(tmp_path)
    with pytest.raises(RunFolderError, match=r"split\.csv cannot be read \(No such file"):
        read_split(tmp_path)
    with open_run_folder(tmp_path, resume=True):
        pass


def test_a_run_of_an_endless_name_can_be_made(tmp_path: Path) -> None:
    """The name of a run's folder, made from an architecture's, fits the disk."""
    with open_run_folder(make_run_folder("network" * 100, tmp_path)) as folder:
        assert "-networknetwork" in folder.name


def test_only_the_mark_makes_a_run_done(tmp_path: Path) -> None:
    """Figures and classifier make it trained unless it was stopped; `done` ends it."""
    write_config(tmp_path, {})
    for name in ("record.json", "model.imgclf"):
        assert not is_trained(tmp_path)
        (tmp_path / name).touch()
    assert is_trained(tmp_path)
    mark_stopped(tmp_path, True)
    assert not is_trained(tmp_path)
    mark_stopped(tmp_path, False)
    with open_run_folder(tmp_path, resume=True):
        pass
    mark_done(tmp_path)
    with pytest.raises(RunFolderError, match=r"is done, its classifier is"):  # noqa: SIM117
        with open_run_folder(tmp_path, resume=True):
            pass


def test_what_a_killed_training_was_writing_goes(tmp_path: Path) -> None:
    """Partial files of an earlier process are removed by the next one, in both folders."""
    (tmp_path / "checkpoints").mkdir()
    write_config(tmp_path, {})
    partial = [tmp_path / ".record.json.0a.partial", tmp_path / "checkpoints/.epoch.0b.partial"]
    for path in partial:
        path.touch()
    with open_run_folder(tmp_path, resume=True):
        assert not any(path.exists() for path in partial)


def test_the_history_counts_epochs_from_one(tmp_path: Path) -> None:
    """One row per epoch, every figure a column."""
    write_history(tmp_path, {"loss": [2.0, 1.0], "accuracy": [0.5, 0.75]})
    assert (tmp_path / "history.csv").read_text() == "epoch,loss,accuracy\n1,2.0,0.5\n2,1.0,0.75\n"
