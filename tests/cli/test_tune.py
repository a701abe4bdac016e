"""`imgclf tune` as a person meets it."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import COMMAND
from forked_python import ForkedPython

Run = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("--arch", "three_conv", "--image-size", "24", "--trial-epochs", "1", "--batch-size", "16",
         "--space", "filters=8,16", "--space", "hidden_units=8")  # fmt: skip


@pytest.fixture(scope="module")
def study(
    imgclf_command: Run, two_classes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Return the folder and the output of one `imgclf tune` in its default place."""
    folder = tmp_path_factory.mktemp("cli")
    done = imgclf_command("tune", two_classes, *SMALL, "--max-trials", "2", cwd=folder)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "studies").iterdir()
    return found, done


def test_tune_prints_a_line_per_trial_and_a_summary(study: tuple[Path, Run]) -> None:
    """A trial is a plain line where there is no terminal; the end names gain, accuracy, next."""
    folder, done = study
    lines = [line for line in done.stderr.splitlines() if line.startswith("Trial ")]
    assert [line.split(":")[0] for line in lines] == ["Trial 0", "Trial 1"]
    assert "\x1b" not in done.stdout + done.stderr
    for part in ("Accuracy on the validation images", "trial  accuracy", "95% interval",
                 "best.imgclf", "--settings",
                 "Gain over the defaults on the test images"):  # fmt: skip
        assert part in done.stdout.replace("\n", " "), part
    assert folder.name.startswith("three_conv-")
    with (folder / "trials.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 2


def test_the_same_command_again_names_resume_and_fresh(
    study: tuple[Path, Run], imgclf_command: Run, two_classes: Path
) -> None:
    """A finished study is neither overwritten nor shown as new; --resume can ask for more."""
    folder = study[0].parent.parent
    done = imgclf_command("tune", two_classes, *SMALL, "--max-trials", "2", cwd=folder)
    assert done.returncode == 1
    assert "--resume" in done.stderr
    assert "--fresh" in done.stderr
    more = imgclf_command(
        "tune", two_classes, *SMALL, "--max-trials", "3", "--resume", "--refit", "1", "--json",
        cwd=folder,
    )  # fmt: skip
    assert more.returncode == 0, more.stderr
    result = json.loads(more.stdout)
    assert "Continuing after 2 finished trials" in more.stderr
    assert [row["trial"] for row in sorted(result["trials"], key=lambda row: row["trial"])] == [
        0,
        1,
        2,
    ]
    assert result["split"] == "test"
    assert len(result["refit_accuracies"]) == 1
    assert (study[0] / "refit.imgclf").exists()


@pytest.mark.slow
def test_train_takes_the_best_options(
    study: tuple[Path, Run], imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """`train --settings best.json` repeats the best trial; what is typed beside it wins."""
    folder = study[0]
    best = json.loads((folder / "best.json").read_text())
    done = imgclf_command(
        "train", two_classes, "--settings", folder / "best.json", "--optimizer", "rmsprop",
        "--run-dir", tmp_path / "run", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    for name in ("architecture", "options", "image_size", "batch_size", "learning_rate", "epochs"):
        assert config[name] == best["settings"][name], name
    assert config["optimizer"] == "rmsprop"


def test_an_unusable_settings_file_is_refused(
    imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """A missing file, one that is no JSON and one without settings are one line."""
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text('{"settings": {}}')
    for name, message in (("a", "no settings"), ("b", "no settings"), ("c", "does not exist")):
        done = imgclf_command("train", two_classes, "--settings", tmp_path / f"{name}.json")
        assert done.returncode == 1, done.stderr
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


def test_cheap_refusals_load_nothing_heavy(two_classes: Path) -> None:
    """A wrong name, value, strategy's package or folder is refused before TensorFlow is loaded."""
    script = (
        "import sys\n"
        "from imgclf.cli.main import run\n"
        "try:\n    run()\n"
        "finally:\n"
        "    heavy = [m for m in ('tensorflow', 'keras', 'numpy') if m in sys.modules]\n"
        "    print('HEAVY', heavy)\n"
    )
    for arguments, message in (
        (("--help",), "Example"),
        (("--arch", "resnt9"), "Did you mean"),
        (("--tune", "poolin"), "Did you mean"),
        (("--arch", "resnet9", "--space", "filters=1"), "a whole number from"),
        (("--learning-rate", "-1"), "is not accepted"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script, "tune", str(two_classes), *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "HEAVY []" in done.stdout, (arguments, done.stderr[-300:])
        assert message in done.stdout + done.stderr
    assert done.returncode == 2


def test_malformed_budgets_exit_with_2(imgclf_command: Run, two_classes: Path) -> None:
    """A time that cannot be read is a usage error."""
    assert imgclf_command("tune", two_classes, "--budget", "soon").returncode == 2


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
)
def test_signals_end_a_search_with_all_its_processes(
    number: int, code: int, two_classes: Path, forked_python: ForkedPython, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM end search and trial at once, without a traceback; the study is whole."""
    process = forked_python.start(
        COMMAND, "tune", two_classes, *SMALL[:5], "5000", "--study-dir", tmp_path / "s"
    )
    begin = ""
    for line in process.stderr:
        begin += line
        if line.startswith("The study is in"):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert "--resume" in begin + errors
    assert children
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert (tmp_path / "s" / "study.json").exists()
