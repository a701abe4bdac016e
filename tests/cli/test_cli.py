"""The command line as a person meets it: real processes, exit codes, one clear line an error."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from conftest import COMMAND
from forked_python import ForkedProcess, ForkedPython

Run = Callable[..., subprocess.CompletedProcess[str]]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the error of a command that is expected to end with one line."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


@pytest.fixture(scope="module")
def run_dir(
    imgclf_command: Run, two_classes: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the run folder of one `imgclf train` in a process of its own."""
    folder = tmp_path_factory.mktemp("cli")
    (two_classes / "dark" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    done = imgclf_command(
        *("train", two_classes, "--arch", "three_conv", "--set", "filters=8"),
        *("--set", "hidden_units=8", "--image-size", "24", "--epochs", "3"),
        *("--batch-size", "16", "--learning-rate", "5e-3", "--run-dir", folder / "run"),
    )
    (two_classes / "dark" / "broken.jpg").unlink()
    assert done.returncode == 0, done.stderr
    (folder / "stdout.txt").write_text(done.stdout)
    (folder / "stderr.txt").write_text(done.stderr)
    return folder / "run"


def test_train_ends_with_a_summary(run_dir: Path) -> None:
    """The summary shows accuracy, interval, baseline, recall by class, bundle and next command."""
    text = (run_dir.parent / "stdout.txt").read_text()
    for part in ("Accuracy", "95% interval", "always answering", "recall", "light",
                 "model.imgclf", "report.html", "Next: imgclf predict"):  # fmt: skip
        assert part in text
    with_paths = ("The classifier is", "The report is", "Next:")
    table = [line for line in text.splitlines() if not line.startswith(with_paths)]
    assert max(map(len, table)) <= 80


def test_a_corrupt_image_is_named_and_counted(run_dir: Path) -> None:
    """A corrupt image among good ones is skipped, counted and named with its reason."""
    errors = (run_dir.parent / "stderr.txt").read_text()
    assert "Left out 1 unusable file" in errors
    assert "broken.jpg" in errors.replace("\n", "")


def test_three_processes_give_the_same_accuracy(
    run_dir: Path, two_classes: Path, imgclf_command: Run, tmp_path: Path
) -> None:
    """Train prints, evaluate measures and predict counts the same accuracy, to the last image."""
    with (run_dir / "split.csv").open(encoding="utf-8") as file:
        tests = [row for row in csv.DictReader(file) if row["split"] == "test"]
    for row in tests:
        target = tmp_path / row["class"] / Path(row["path"]).name
        target.parent.mkdir(exist_ok=True)
        target.symlink_to(row["path"])
    bundle = run_dir / "model.imgclf"

    info = json.loads(imgclf_command("info", bundle, "--json").stdout)
    evaluated = json.loads(imgclf_command("evaluate", bundle, tmp_path, "--json").stdout)
    predicted = json.loads(imgclf_command("predict", bundle, tmp_path, "--json").stdout)

    correct = sum(Path(item["path"]).parent.name == item["label"] for item in predicted)
    assert len(predicted) == len(tests) == evaluated["num_images"]
    assert evaluated["num_correct"] == correct
    assert evaluated["accuracy"] == info["figures"]["accuracy"] == correct / len(tests)


def test_predict_writes_csv(run_dir: Path, two_classes: Path, imgclf_command: Run) -> None:
    """--csv gives one row an image with every class's probability; quoted globs work."""
    done = imgclf_command("predict", run_dir / "model.imgclf", two_classes / "*" / "00[0-4].png",
                          "--csv")  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == 10
    for row in rows:
        assert float(row["dark"]) + float(row["light"]) == pytest.approx(1)
        assert row["label"] in ("dark", "light")


def test_predict_names_what_it_leaves_out(
    run_dir: Path, imgclf_command: Run, tmp_path: Path
) -> None:
    """Unreadable images are named on standard error and the others are still classified."""
    Image.new("RGB", (40, 30)).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"")
    done = imgclf_command("predict", run_dir / "model.imgclf", tmp_path)
    assert done.returncode == 0
    assert "good.png" in done.stdout
    assert "bad.png" in done.stderr
    assert "Traceback" not in done.stderr


def test_info_shows_the_bundle_without_tensorflow(run_dir: Path, imgclf_command: Run) -> None:
    """Info prints classes, network, accuracy and versions."""
    done = imgclf_command("info", run_dir / "model.imgclf", fresh=True)
    assert done.returncode == 0
    for part in ("dark, light", "three_conv", "filters=8", "24 x 24", "accuracy", "keras"):
        assert part in done.stdout


def test_bad_folders_are_refused_in_one_line(imgclf_command: Run, tmp_path: Path) -> None:
    """A missing, empty, flat, or one-class folder and a file: one line that says what to do."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "flat").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "flat" / "a.png")
    (tmp_path / "one" / "cat").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(tmp_path / "one" / "cat" / "a.png")
    for name, message in (
        ("missing", "does not exist"),
        ("empty", "has no images"),
        ("flat", "1 images but no class folders"),
        ("one", "one class folder"),
        ("flat/a.png", "is a file"),
    ):
        line = one_line(imgclf_command("train", tmp_path / name))
        assert message in line
        assert "sub-folder per class" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--arch", "resnt9"], "Did you mean 'resnet9'?"),
        (["--arch", "three_conv", "--set", "filtrs=3"], "Did you mean 'filters'?"),
        (["--arch", "three_conv", "--set", "filters=3"], "a whole number from 8 to 256"),
        (["--arch", "three_conv", "--set", "filters"], "name=value"),
        (["--set", "filters=16"], "name it too, such as --arch"),
    ],
)
def test_wrong_names_are_refused_with_a_suggestion(
    arguments: list[str], message: str, imgclf_command: Run, two_classes: Path
) -> None:
    """Unknown architectures and options get a suggestion, wrong values their bounds."""
    assert message in one_line(imgclf_command("train", two_classes, *arguments))


def test_too_small_images_name_the_size_that_works(imgclf_command: Run, two_classes: Path) -> None:
    """An image size below what the network needs is refused with the smallest one."""
    done = imgclf_command(
        "train", two_classes, "--arch", "three_conv", "--image-size", "16",
        "--run-dir", two_classes.parent / "never",
    )  # fmt: skip
    assert "at least 22 x 22" in done.stderr
    assert done.returncode == 1


def test_bad_bundles_are_refused_in_one_line(
    run_dir: Path, imgclf_command: Run, tmp_path: Path
) -> None:
    """Truncated, changed by one byte, no bundle, or absent: one line and exit code 1."""
    content = (run_dir / "model.imgclf").read_bytes()
    (tmp_path / "cut.imgclf").write_bytes(content[:-100])
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    (tmp_path / "changed.imgclf").write_bytes(changed)
    (tmp_path / "text.imgclf").write_text("hello")
    for name, message in (
        ("cut", "cut off"),
        ("changed", "damaged"),
        ("text", "not a classifier's file"),
        ("absent", "does not exist"),
    ):
        assert message in one_line(imgclf_command("info", tmp_path / f"{name}.imgclf"))
    line = one_line(imgclf_command("predict", tmp_path / "changed.imgclf", tmp_path))
    assert "damaged" in line


def test_malformed_flags_exit_with_2(imgclf_command: Run, two_classes: Path) -> None:
    """Usage errors are told apart from expected errors by their exit code."""
    for arguments in (
        ("train",),
        ("train", two_classes, "--epochs", "many"),
        ("train", two_classes, "--image-size", "big"),
        ("train", two_classes, "--optimizer", "magic"),
        ("dance",),
    ):
        assert imgclf_command(*arguments).returncode == 2


def test_cheap_refusals_load_nothing_heavy(two_classes: Path) -> None:
    """--help, listing, a mistyped name, a wrong option and a bad folder load no heavy library."""
    script = (
        "import sys, json\n"
        "from imgclf.cli.main import run\n"
        "try:\n    run()\n"
        "finally:\n"
        "    heavy = [m for m in ('tensorflow', 'keras', 'numpy', 'PIL') if m in sys.modules]\n"
        "    print('HEAVY', heavy)\n"
    )
    for arguments in (
        ("--help",),
        ("train", "--help"),
        ("architectures", "list"),
        ("architectures", "show", "resnet9"),
        ("train", str(two_classes), "--arch", "resnt9"),
        ("train", str(two_classes), "--set", "filters=1"),
        ("train", str(two_classes / "dark")),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "HEAVY []" in done.stdout, (arguments, done.stdout[-200:], done.stderr[-400:])


def test_help_states_the_defaults(imgclf_command: Run) -> None:
    """The help of train names its default network, size, recipe and epochs."""
    text = imgclf_command("train", "--help").stdout
    for part in ("resnet9", "96", "Default: fast", "1,000", "Example"):
        assert part in text


def start_training(python: ForkedPython, folder: Path, run_dir: Path, epochs: int) -> ForkedProcess:
    """Start a training and return once its first epoch is done."""
    process = python.start(
        COMMAND, "train", folder, "--image-size", "24", "--epochs", epochs,
        "--arch", "three_conv", "--set", "filters=8", "--run-dir", run_dir,
    )  # fmt: skip
    for line in process.stderr:
        if line.startswith("Epoch"):
            return process
    raise AssertionError("the training ended before its first epoch")


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_signals_end_a_training_in_good_order(
    number: int,
    code: int,
    two_classes: Path,
    forked_python: ForkedPython,
    imgclf_command: Run,
    tmp_path: Path,
) -> None:
    """Ctrl-C and SIGTERM end a training with a usable bundle, its exit code and no traceback."""
    process = start_training(forked_python, two_classes, tmp_path / "run", epochs=5000)
    time.sleep(0.2)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert "--resume" in errors
    assert "Accuracy" in output
    info = json.loads(imgclf_command("info", tmp_path / "run" / "model.imgclf", "--json").stdout)
    assert info["figures"]["num_images"] > 0


@pytest.mark.slow
def test_ctrl_c_at_twenty_moments(
    two_classes: Path, forked_python: ForkedPython, imgclf_command: Run, tmp_path: Path
) -> None:
    """Whenever Ctrl-C comes after the first epoch, the bundle that is left predicts."""
    image = next((two_classes / "dark").iterdir())
    for moment in range(20):
        run_dir = tmp_path / f"run-{moment}"
        process = start_training(forked_python, two_classes, run_dir, epochs=5000)
        time.sleep(0.11 * moment)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 130, (moment, errors)
        assert "Traceback" not in errors, (moment, errors)
        done = imgclf_command("predict", run_dir / "model.imgclf", image)
        assert done.returncode == 0, (moment, done.stderr)


def test_a_killed_training_is_resumed(
    two_classes: Path, forked_python: ForkedPython, imgclf_command: Run, tmp_path: Path
) -> None:
    """After SIGKILL --resume goes on to the last epoch; a finished run is not run again."""
    run_dir = tmp_path / "run"
    process = start_training(forked_python, two_classes, run_dir, epochs=25)
    process.kill()
    process.communicate()
    done = imgclf_command("train", "--resume", run_dir)
    assert done.returncode == 0, done.stderr
    with (run_dir / "history.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 25
    assert "is done" in one_line(imgclf_command("train", "--resume", run_dir))


def test_changed_images_are_refused_on_resume(
    two_classes: Path, forked_python: ForkedPython, imgclf_command: Run, tmp_path: Path
) -> None:
    """A folder that changed since the run began is refused, with the first differences."""
    images = tmp_path / "images"
    shutil.copytree(two_classes, images)
    process = start_training(forked_python, images, tmp_path / "run", epochs=5000)
    process.kill()
    process.communicate()
    shutil.copy(images / "dark" / "001.png", images / "light" / "new.png")
    done = imgclf_command("train", "--resume", tmp_path / "run")
    assert done.returncode == 1
    assert "images are not those of the run" in done.stderr
    assert "new.png" in done.stderr


def test_train_goes_on_from_a_bundle(
    run_dir: Path, two_classes: Path, imgclf_command: Run, tmp_path: Path
) -> None:
    """--from keeps network and size, shows each class before and after, and refuses others.

    It takes the folder of a run as well as a file.
    """
    bundle = run_dir / "model.imgclf"
    done = imgclf_command(
        "train", two_classes, "--from", run_dir, "--epochs", "1", "--run-dir", tmp_path / "run"
    )
    assert done.returncode == 0, done.stderr
    assert "recall before" in done.stdout
    other = imgclf_command("train", two_classes, "--from", bundle, "--image-size", "32")
    assert other.returncode == 2
    assert "--image-size" in other.stderr


def test_output_is_plain_when_it_is_no_terminal(run_dir: Path, imgclf_command: Run) -> None:
    """A pipe gets no escape codes, neither in results nor in errors."""
    done = imgclf_command("info", run_dir / "model.imgclf")
    assert "\x1b" not in done.stdout + done.stderr
    assert "\x1b" not in imgclf_command("train", "missing").stderr


def test_json_lists_architectures(imgclf_command: Run) -> None:
    """Architectures list and show print JSON for programs."""
    listed: dict[str, Any] = json.loads(imgclf_command("architectures", "list", "--json").stdout)
    assert {"three_conv", "one_hidden", "five_conv", "resnet9"} <= set(listed)
    assert listed["efficientnet_lite"]["pretrained"] == "installed"
    assert listed["convnext"]["pretrained"] == "on request"
    assert listed["resnet9"]["pretrained"] is None
    assert all(row["parameters"] > 0 for row in listed.values())
    shown = json.loads(imgclf_command("architectures", "show", "resnet9", "--json").stdout)
    assert shown["options"][0]["name"] == "filters"


def test_a_run_folder_stands_for_its_classifier(
    run_dir: Path, imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """Where a classifier's file is meant, the folder of its run is accepted, and runs/last."""
    image = two_classes / "dark" / "000.png"
    expected = imgclf_command("predict", run_dir / "model.imgclf", image, "--json").stdout
    assert imgclf_command("predict", run_dir, image, "--json").stdout == expected
    runs = tmp_path / "runs"
    runs.mkdir()
    name = "2026-03-01-142530-three_conv"
    (runs / name).symlink_to(run_dir, target_is_directory=True)
    (runs / "last").write_text(f"{name}\n")  # As on a system without links.
    assert imgclf_command("predict", runs / "last", image, "--json").stdout == expected
    (runs / "last").write_text("../elsewhere\n")
    assert imgclf_command("predict", runs / "last", image).returncode == 1


def test_a_second_classifier_is_no_image(
    run_dir: Path, imgclf_command: Run, two_classes: Path
) -> None:
    """What `runs/*/model.imgclf` names after two trainings is refused by name, not left out."""
    bundle = run_dir / "model.imgclf"
    done = imgclf_command("predict", bundle, bundle, two_classes / "dark" / "000.png")
    assert done.returncode == 1
    assert "is a classifier, not an image" in done.stderr
