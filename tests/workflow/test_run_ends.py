"""However the end of a training is cut, the run is completed, with the same figures."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from forked_python import ForkedPython
from imgclf import atomic
from imgclf.errors import ImgclfError, RunFolderError
from imgclf.runs.config import from_config
from imgclf.runs.folder import open_run_folder, read_config
from imgclf.workflow.training import Settings, resume_training, run_training
from imgclf.workflow.training_run import TrainingRun, save_run
from workflow.run_ends import END, figures, report, require_whole, without_end

SCRIPT = Path(__file__).with_name("survive_end_kills.py")


def places(*first: int, end: int = len(END) + 1) -> list[Any]:
    """Return the places in the end of a run from 1 to `end`; all but the named ones are slow."""
    return [
        pytest.param(place, marks=() if place in first else pytest.mark.slow)
        for place in range(1, end)
    ]


class StopError(BaseException):
    """As sudden as a kill: nothing may catch it."""


@contextmanager
def stop_after(count: int) -> Iterator[None]:
    """Stop this process's writing right after so many files are in place."""
    done = 0

    def sync(_folder: Path) -> None:
        nonlocal done
        done += 1
        if done == count:
            raise StopError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "sync_folder", sync)
        yield


@contextmanager
def full_disk_at(count: int) -> Iterator[Callable[[], int]]:
    """Let the disk be full in the middle of a file, the `count`-th; yield a count of all."""
    done, write_whole = 0, atomic._write_whole

    def write(path: Path, content: bytes, synced: bool) -> None:
        nonlocal done
        done += 1
        if done == count:
            path.write_bytes(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_whole(path, content, synced)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "_write_whole", write)
        yield lambda: done


def save_end(folder: Path, run: TrainingRun) -> None:
    """Write the end of a training as `run_training` does."""
    settings = from_config(read_config(folder))[1]
    with open_run_folder(folder, resume=True):
        save_run(folder, replace(run, bundle=folder / "model.imgclf"), settings)


# Before, at and behind the classifier, and at the mark of the end; the slow tests stop everywhere.
@pytest.mark.parametrize("count", places(1, 5, 6, 9, 12))
def test_a_stop_after_any_file_is_completed(trained: Any, tmp_path: Path, count: int) -> None:
    """`--resume` completes the run, and `report` does where the classifier is there."""
    whole = figures(trained.bundle.parent)
    folder = without_end(trained.bundle.parent, tmp_path / "run")
    with stop_after(count), pytest.raises(StopError):
        save_end(folder, trained)
    assert {item.name for item in folder.iterdir()} & {*END[1:]} == {*END[1:count]}
    require_whole(folder)
    is_trained = (folder / "model.imgclf").exists()
    if is_trained:
        kept = (folder / "model.imgclf").read_bytes()
        shutil.copytree(folder, tmp_path / "reported" / "run")
        report(tmp_path / "reported" / "run")
        assert figures(tmp_path / "reported" / "run") == whole
        require_whole(tmp_path / "reported" / "run")
        assert (tmp_path / "reported" / "run" / "done").exists()
    else:
        with pytest.raises(RunFolderError, match=r"imgclf train --resume"):
            report(folder)
    if not (folder / "done").exists():
        resumed = resume_training(folder)
        assert resumed.evaluation.as_dict() == trained.evaluation.as_dict()
        for name in ("history", "best_epoch", "head_epochs"):
            assert getattr(resumed.fitted, name) == getattr(trained.fitted, name)
        assert (resumed.val_probabilities == trained.val_probabilities).all()
    assert figures(folder) == whole
    require_whole(folder)
    if is_trained:
        assert (folder / "model.imgclf").read_bytes() == kept, "it was trained again"
    with pytest.raises(RunFolderError, match="is done"):
        resume_training(folder)


@pytest.mark.parametrize("count", places(5, 6, end=8)[3:])
def test_a_stop_never_mixes_two_parts_of_a_training(
    trained: Any, tmp_path: Path, count: int
) -> None:
    """Where an earlier, stopped part left a classifier, no report shows it with later figures."""
    folder = without_end(trained.bundle.parent, tmp_path / "run")
    figures_then = msgspec.structs.replace(trained.classifier.figures, accuracy=0.5)
    other = trained.classifier.with_changes(figures=figures_then)
    worse = trained.evaluation.metrics
    earlier = replace(
        trained,
        stopped=True,
        classifier=other,
        evaluation=replace(trained.evaluation, metrics=replace(worse, num_correct=1)),
    )
    save_end(folder, earlier)
    assert (folder / "stopped").exists()
    assert not (folder / "done").exists()
    before = (folder / "model.imgclf").read_bytes()
    with stop_after(count), pytest.raises(StopError):
        save_end(folder, trained)
    is_replaced = (folder / "model.imgclf").read_bytes() != before
    if count == 5:
        assert not is_replaced
        with pytest.raises(RunFolderError, match=r"another than that of record\.json.*--resume"):
            report(folder)
    else:
        report(folder)
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        assert (record["evaluation"]["num_correct"] != 1) == is_replaced
    if not (folder / "done").exists():
        resume_training(folder)
    assert figures(folder) == figures(trained.bundle.parent)
    assert (folder / "done").exists()
    assert not (folder / "stopped").exists()


@pytest.mark.parametrize("count", range(1, 7))
def test_a_stopped_training_is_never_taken_for_a_whole_one(
    trained: Any, tmp_path: Path, count: int
) -> None:
    """Its mark is there before its classifier is."""
    folder = without_end(trained.bundle.parent, tmp_path / "run")
    with stop_after(count), pytest.raises(StopError):
        save_end(folder, replace(trained, stopped=True))
    assert (folder / "stopped").exists() or not (folder / "model.imgclf").exists()


@pytest.mark.parametrize("count", places(1, 6, 11, end=len(END)))
def test_a_full_disk_at_any_file_of_the_end(trained: Any, tmp_path: Path, count: int) -> None:
    """One line names the file; nothing half-written is left; `--resume` completes the run."""
    folder = without_end(trained.bundle.parent, tmp_path / "run")
    with full_disk_at(count), pytest.raises(ImgclfError) as caught:
        save_end(folder, trained)
    # The classifier is moved into its place, so one name more stands in the list than is written.
    name = END[count - 1] if count < 6 else END[count]
    assert f"{folder / name} cannot be written (No space left on device)" in str(caught.value)
    assert "\n" not in str(caught.value)
    require_whole(folder)
    resume_training(folder)
    assert figures(folder) == figures(trained.bundle.parent)
    assert (folder / "done").exists()


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_full_disk_at_any_file_before_the_end(
    every: bool, two_classes: Path, tmp_path: Path
) -> None:
    """The same of split, settings and checkpoints; a run without settings is begun again."""
    settings = Settings(
        architecture="one_hidden", options={"filters": 8, "hidden_units": 8},
        image_size=(24, 24), epochs=1, batch_size=32,
    )  # fmt: skip
    uncut = tmp_path / "uncut"
    with full_disk_at(0) as num_files:
        run_training(two_classes, settings, run_dir=uncut)
        num_before = num_files() - (len(END) - 2)  # A single epoch has no curves.
    assert num_before >= 4, "split, settings and two checkpoints at the least"
    for count in range(1, num_before + 1) if every else (1, num_before):
        folder = tmp_path / str(count) / "run"
        with full_disk_at(count), pytest.raises(ImgclfError) as caught:
            run_training(two_classes, settings, run_dir=folder)
        assert f"{folder}/" in str(caught.value)
        assert "cannot be written (No space left on device)" in str(caught.value)
        require_whole(folder)
        if (folder / "config.json").exists():
            assert "--resume" in str(caught.value)
            resume_training(folder)
        else:
            run_training(two_classes, settings, run_dir=folder)
        assert figures(folder) == figures(uncut)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a real disk of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("needs the commands mount and umount")
    command = [mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a disk: {done.stderr.strip()}")
    yield place
    subprocess.run([umount, str(place)], check=True)


def fill_up(disk: Path, free_bytes: int) -> Path:
    """Leave so much room on a disk; return the file that takes the rest."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    ballast.write_bytes(b"\0" * (room.f_bavail * room.f_bsize - free_bytes))
    return ballast


def test_a_disk_that_is_really_full(
    trained: Any, small_disk: Path, imgclf_command: Callable[..., Any]
) -> None:
    """With less room than the end takes: one line, exit code 1; with more room, completed."""
    run = trained.bundle.parent
    sizes = {name: (run / name).stat().st_size for name in END[1:]}
    for room in (0, sum(sizes.values()) - sizes["report.html"] // 2):
        folder = without_end(run, small_disk / "run")
        ballast = fill_up(small_disk, room)
        if room:
            done = imgclf_command("train", "--resume", folder)
            assert done.returncode == 1, done.stderr
            errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
            assert len(errors) == 1, done.stderr
            assert "Traceback" not in done.stderr
            message = done.stderr
        else:
            with pytest.raises(ImgclfError) as caught:
                save_end(folder, trained)
            message = str(caught.value)
        assert "cannot be written (No space left on device)" in " ".join(message.split())
        require_whole(folder)
        ballast.unlink()
        resume_training(folder)
        assert figures(folder) == figures(run)
        shutil.rmtree(folder)


def survive(
    python: ForkedPython, folder: Path, work: Path, kills: int, first: str, timeout_s: float
) -> dict[str, Any]:
    """Run the script and return what it tells."""
    paths = [str(SCRIPT.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = python.run(
        SCRIPT.read_text(), folder, work, kills, 11, first,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, timeout=timeout_s,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_a_few_kills(two_classes: Path, forked_python: ForkedPython, tmp_path: Path) -> None:
    """Killed twice while its end is written, a run is completed with the same figures."""
    result = survive(forked_python, two_classes, tmp_path / "work", 2, END[0], timeout_s=600)
    assert result["killed"] == 2, result
    assert result["faults"] == [], result


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_forty_kills(two_classes: Path, forked_python: ForkedPython, tmp_path: Path) -> None:
    """The same with 40 kills between the classifier and the last document, in every gap."""
    result = survive(
        forked_python, two_classes, tmp_path / "work", 40, "model.imgclf", timeout_s=7200
    )
    assert result["killed"] == 40, result
    assert result["faults"] == [], result
    gaps = set(END[END.index("model.imgclf") : -1])
    seldom = {"confusion_matrix.png", "report.html"}
    assert gaps >= result["last_files"].keys() >= gaps - seldom, result
