"""The promises of `imgclf architectures new` and `check`, and of `--arch file.py:function`."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

import imgclf
from imgclf.errors import BundleError
from imgclf.zoo.isolation import load_function
from imgclf.zoo.registry import load_architecture
from plugin_folders import SOUND_PLUGIN

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Run


def test_new_writes_a_package_and_names_the_next_command(
    imgclf_command: Run, tmp_path: Path
) -> None:
    """From nothing to a plugin: one command, and the next one to type."""
    done = imgclf_command("architectures", "new", "pet_net", cwd=tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "pet_net/src/pet_net/architecture.py").exists()
    assert "pip install -e pet_net && imgclf architectures check pet_net" in done.stdout
    again = imgclf_command("architectures", "new", "pet_net", cwd=tmp_path)
    assert again.returncode == 1
    assert "exists already" in again.stderr


def test_check_fails_with_1_and_says_why(imgclf_command: Run, tmp_path: Path) -> None:
    """A defect is a line that says FAIL and exit code 1; `--json` has the same findings."""
    file = tmp_path / "nets.py"
    file.write_text("def net(input_shape, num_classes):\n    'A net.'\n    return None\n")
    done = imgclf_command("architectures", "check", f"{file}:net")
    assert done.returncode == 1
    assert "FAIL  it builds as the contract says" in done.stdout
    assert "returned NoneType" in done.stdout


def test_check_of_a_mistyped_name_is_one_line(imgclf_command: Run) -> None:
    """A name that nobody installed is refused before TensorFlow is loaded."""
    done = imgclf_command("architectures", "check", "resnt9")
    assert done.returncode == 1
    assert "Did you mean 'resnet9'?" in done.stderr


@pytest.fixture(scope="module")
def file_run(
    imgclf_command: Run, two_classes: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Return a file with a function, and the folder of a run that trained its network."""
    folder = tmp_path_factory.mktemp("file")
    file, run_dir = folder / "nets.py", folder / "run"
    file.write_text(SOUND_PLUGIN.format(name="file_net"))
    done = imgclf_command(
        "train", two_classes, "--arch", f"{file}:file_net", "--set", "units=4",
        "--image-size", "16", "--epochs", "1", "--run-dir", run_dir,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return file, run_dir


def test_a_function_of_a_file_is_trained_and_loaded_again(
    file_run: tuple[Path, Path], imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """`--arch file.py:function` needs no package; its bundle says what it needs to be loaded."""
    file, run_dir = file_run
    bundle = run_dir / "model.imgclf"
    shown = json.loads(imgclf_command("info", bundle, "--json").stdout)
    architecture = load_architecture(load_function(file, "file_net"))
    assert shown["architecture"]["source_sha256"] == architecture.source_sha256
    assert shown["architecture"]["distribution"] is None
    with pytest.raises(BundleError, match=r"load\(path, architecture=function\).*--arch path/to"):
        imgclf.load(bundle, engine="keras")
    assert imgclf.load(bundle, architecture=architecture.function).class_names == ("dark", "light")

    image = two_classes / "dark/000.png"
    predicted = imgclf_command("predict", bundle, image, "--json", "--arch", f"{file}:file_net")
    assert len(json.loads(predicted.stdout)) == 1
    measured = imgclf_command(
        "evaluate", bundle, two_classes, "--json", "--arch", f"{file}:file_net"
    )
    assert measured.returncode == 0, measured.stderr
    again = imgclf_command(
        "train", two_classes, "--from", bundle, "--arch", f"{file}:file_net", "--epochs", "1",
        "--run-dir", tmp_path / "again",
    )  # fmt: skip
    assert again.returncode == 0, again.stderr


def test_a_run_folder_never_says_what_is_run(
    file_run: tuple[Path, Path], imgclf_command: Run, tmp_path: Path
) -> None:
    """A run of a file's function goes on where the function is typed again, and not without."""
    file, trained = file_run
    run_dir, arch = shutil.copytree(trained, tmp_path / "run"), f"{file}:file_net"
    (run_dir / "done").rename(run_dir / "stopped")
    refused = imgclf_command("train", "--resume", run_dir, cwd=tmp_path)
    assert refused.returncode == 1
    assert "give --arch path/to/file.py:file_net" in " ".join(refused.stderr.split())
    done = imgclf_command("train", "--resume", run_dir, "--arch", arch)
    assert done.returncode == 0, done.stderr


def test_settings_of_a_file_name_an_architecture_and_run_none(
    imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """`--settings best.json` cannot make a training run the file that it names."""
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()\n")
    settings = {
        "architecture": "evil.py:net", "options": {}, "image_size": [16, 16], "augment": "none",
        "data_format": "channels_last", "channels": 3, "resize": "stretch", "class_weight": None,
    }  # fmt: skip
    (tmp_path / "best.json").write_text(json.dumps({"settings": settings}))
    done = imgclf_command("train", two_classes, "--settings", "best.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "no name of an installed architecture" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_a_search_over_machines_refuses_a_function_of_a_file_at_once(
    imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """Other machines find a network by its installed name alone."""
    (tmp_path / "nets.py").write_text(SOUND_PLUGIN.format(name="net"))
    done = imgclf_command(
        "tune", two_classes, "--arch", "nets.py:net", "--cluster", "127.0.0.1:6379", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "cannot travel to other machines" in " ".join(done.stderr.split())
