"""train goes the whole way, honestly: splits, headline, run folder."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import keras
import pytest

import imgclf
from forked_python import ForkedPython
from imgclf.errors import ArgumentError, DataError, ImgclfError, RunFolderError, TrainingError
from imgclf.runs.folder import open_run_folder, read_config
from imgclf.workflow.learner import TrainingObserver
from imgclf.workflow.training import Settings, run_training
from shallow_network import shallow

SMALL: dict[str, Any] = {
    "architecture": shallow,
    "image_size": (24, 24),
    "epochs": 1,
    "batch_size": 16,
}


def split_rows(run_dir: Path) -> list[dict[str, str]]:
    """Read a run's split.csv."""
    with (run_dir / "split.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_one_folder_is_cut_into_three(trained: Any, two_classes: Path) -> None:
    """Every image stands in split.csv exactly once, in about 70/15/15, each class everywhere."""
    rows = split_rows(trained.bundle.parent)
    assert sorted(row["path"] for row in rows) == sorted(map(str, two_classes.rglob("*.png")))
    counts = {split: sum(row["split"] == split for row in rows) for split in ("val", "test")}
    assert all(5 <= count <= 25 for count in counts.values())
    for split in ("train", "val", "test"):
        assert {row["class"] for row in rows if row["split"] == split} == {"dark", "light"}


def test_split_csv_names_the_content(trained: Any) -> None:
    """Each sha256 in split.csv is that of the file, and the bundle names the whole division."""
    run_dir = trained.bundle.parent
    for row in split_rows(run_dir)[::20]:
        assert hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() == row["sha256"]
    whole = hashlib.sha256((run_dir / "split.csv").read_bytes()).hexdigest()
    assert trained.classifier.data.split_sha256 == whole


def test_the_run_folder_tells_everything(trained: Any) -> None:
    """config.json holds every setting, defaults included; history.csv one row an epoch."""
    run_dir = trained.bundle.parent
    config = json.loads((run_dir / "config.json").read_text(encoding="utf-8"))
    for name in Settings.__dataclass_fields__:
        assert name in config
    assert config["augmentation"]["horizontal_flip"] is True
    assert config["precision"] in ("float32", "mixed_bfloat16")
    with (run_dir / "history.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [str(epoch) for epoch in range(1, 11)]
    assert {"loss", "val_accuracy"} <= set(rows[0])


def test_the_easy_set_is_learned(trained: Any) -> None:
    """The shared training learns what there is to learn: far better than guessing."""
    assert trained.evaluation.accuracy > trained.evaluation.metrics.majority.accuracy
    assert trained.evaluation.accuracy > 0.85


def test_what_is_refused_leaves_nothing_behind(two_classes: Path, tmp_path: Path) -> None:
    """A corrected command may take the folder of the refused one: it is as it was before."""
    for run_dir in (tmp_path / "new", tmp_path / "given"):
        (tmp_path / "given").mkdir(exist_ok=True)
        too_small = {"architecture": "three_conv", "options": {}, "image_size": (8, 8)}
        with pytest.raises(ImgclfError, match="8 x 8"):
            run_training(two_classes, Settings(**{**SMALL, **too_small}), run_dir=run_dir)
        assert not run_dir.exists()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").touch()
    with pytest.raises(ImgclfError):
        run_training(two_classes, Settings(**{**SMALL, **too_small}), run_dir=tmp_path / "notes")
    assert sorted(item.name for item in (tmp_path / "notes").iterdir()) == ["lock", "mine.txt"]


def test_what_has_learned_stays(two_classes: Path, tmp_path: Path) -> None:
    """An error after the first steps leaves the checkpoints, to go on from."""

    class _Stumbles(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            if epoch == 1:
                raise TrainingError("on purpose")

    observer = TrainingObserver(callbacks=[_Stumbles()])
    with pytest.raises(TrainingError, match="on purpose"):
        run_training(
            two_classes, Settings(**{**SMALL, "epochs": 2}), run_dir=tmp_path / "run",
            observer=observer,
        )  # fmt: skip
    assert read_config(tmp_path / "run")["epochs"] == 2


def test_same_seed_same_split_other_seed_other_split(
    trained: Any, two_classes: Path, tmp_path: Path
) -> None:
    """The division follows from the seed alone, whatever network is trained."""
    shared = trained.bundle.parent
    seed = read_config(shared)["seed"]
    splits = []
    for run_dir, chosen in ((shared, seed), (tmp_path / "same", seed), (tmp_path / "other", 2)):
        if run_dir != shared:
            imgclf.train(two_classes, run_dir=run_dir, seed=chosen, **SMALL)
        splits.append({row["path"]: row["split"] for row in split_rows(run_dir)})
    assert seed != 2
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]


def test_given_splits_are_taken_as_they_are(two_classes: Path, tmp_path: Path) -> None:
    """train/, val/ and test/ decide; copies of training images are dropped and counted."""
    for split, numbers in (("train", range(20)), ("val", range(20, 30)), ("test", range(19, 30))):
        for name in ("dark", "light"):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in numbers:
                shutil.copy(two_classes / name / f"{number:03}.png", folder)
    run = run_training(tmp_path / "data", Settings(**SMALL))
    assert (run.data.train.num_samples, run.data.val.num_samples) == (40, 20)
    assert run.headline_split == "test"
    assert run.data.num_leaked == 2
    assert run.evaluation.metrics.num_images == 20
    assert run.bundle is None


def test_without_test_images_the_headline_says_so(two_classes: Path, tmp_path: Path) -> None:
    """With train/ and val/ only, the figure is marked as coming from val."""
    for split, numbers in (("train", range(20)), ("val", range(20, 30))):
        for name in ("dark", "light"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in numbers:
                shutil.copy(two_classes / name / f"{number:03}.png", folder)
    clf = imgclf.train(tmp_path, run_dir=None, **SMALL)
    assert clf.figures is not None
    assert clf.figures.split == "val"


def test_a_used_run_folder_is_refused(trained: Any, two_classes: Path) -> None:
    """A folder that holds a run is never written into again."""
    before = trained.bundle.read_bytes()
    with pytest.raises(RunFolderError, match="already holds a run"):
        imgclf.train(two_classes, run_dir=trained.bundle.parent, **SMALL)
    assert trained.bundle.read_bytes() == before


def test_two_trainings_cannot_share_a_folder(tmp_path: Path) -> None:
    """While one process holds a run folder another is refused; a killed one's lock is free."""
    script = textwrap.dedent(
        """
        import sys, time
        from imgclf.runs.folder import open_run_folder, read_config
        with open_run_folder(sys.argv[1]):
            print("held", flush=True)
            time.sleep(60)
        """
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "run"], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(RunFolderError, match="Another training is running"),
            open_run_folder(tmp_path / "run"),
        ):
            pass
        holder.kill()
    with open_run_folder(tmp_path / "run"):
        pass


def test_wrong_settings_are_refused_before_scanning(tmp_path: Path) -> None:
    """Settings are checked before the folder is even looked for."""
    with pytest.raises(ArgumentError, match="image_size"):
        imgclf.train(tmp_path, image_size=(0, 5))
    with pytest.raises(ArgumentError, match="augment"):
        imgclf.train(tmp_path, augment="wild")
    with pytest.raises(ArgumentError, match="'colour'"):
        imgclf.train(tmp_path, colour="red")


def test_a_class_of_two_images_cannot_be_divided(two_classes: Path, tmp_path: Path) -> None:
    """A class with too few images for three sides is named, with what to do."""
    shutil.copytree(two_classes / "dark", tmp_path / "dark")
    (tmp_path / "rare").mkdir()
    for number in range(2):
        shutil.copy(two_classes / "light" / f"{number:03}.png", tmp_path / "rare")
    with pytest.raises(DataError, match="'rare' has 2 different images"):
        imgclf.train(tmp_path, run_dir=None, **SMALL)


def test_train_works_from_a_script_without_a_main_guard(
    two_classes: Path, tmp_path: Path, forked_python: ForkedPython
) -> None:
    """A plain script without ``if __name__ == "__main__"`` trains: nothing re-imports it."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import imgclf
            clf = imgclf.train(
                {str(two_classes)!r}, run_dir=None, architecture="one_hidden", epochs=1,
                options={{"filters": 8, "hidden_units": 8}}, image_size=(24, 24), batch_size=16,
            )
            print(clf.figures.num_images)
            """
        )
    )
    done = forked_python.run(
        "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')", script
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 0


def test_train_in_python_shows_its_way_and_its_result(
    two_classes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By default a script tells what was left out, each epoch, the verdict and the run folder."""
    photos = shutil.copytree(two_classes, tmp_path / "photos")
    (photos / "dark" / "broken.jpg").write_bytes(b"no image")
    monkeypatch.chdir(tmp_path)
    clf = imgclf.train("photos", **{**SMALL, "epochs": 2})
    shown = capsys.readouterr()
    assert shown.out == ""
    (folder,) = (path for path in (tmp_path / "runs").iterdir() if path.name != "last")
    for part in ("Left out 1 unusable file", "broken.jpg", "2 classes; ", "Epoch   1/2",
                 "Epoch   2/2", f"Run folder: runs/{folder.name}"):  # fmt: skip
        assert part in shown.err
    assert clf.record.file == folder / "model.imgclf"
    # The classifier knows its division: on its folder, test images alone are measured.
    with pytest.warns(imgclf.DataWarning, match=r"broken\.jpg"):
        result = imgclf.evaluate(clf, "photos")
    assert result.num_seen == 0
    assert result.accuracy == clf.figures.accuracy


def test_a_silent_training_warns_of_unusable_files(
    two_classes: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`verbose=0` prints nothing; a file that was left out is a warning at the caller's line."""
    photos = shutil.copytree(two_classes, tmp_path / "photos")
    (photos / "dark" / "broken.jpg").write_bytes(b"no image")
    with pytest.warns(imgclf.DataWarning, match=r"broken\.jpg") as warned:
        imgclf.train(photos, run_dir=None, verbose=0, **{**SMALL, "epochs": 1})
    assert [Path(one.filename).name for one in warned] == [Path(__file__).name]
    assert capfd.readouterr() == ("", "")
