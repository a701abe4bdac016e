"""The promises of `imgclf architectures new` and `check`, and of `--arch file.py:function`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import imgclf
from imgclf.errors import BundleError
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


def test_a_function_of_a_file_is_trained_and_loaded_again(
    imgclf_command: Run, two_classes: Path, tmp_path: Path
) -> None:
    """`--arch file.py:function` needs no package; its bundle says what it needs to be loaded."""
    file, run_dir = tmp_path / "nets.py", tmp_path / "run"
    file.write_text(SOUND_PLUGIN.format(name="file_net"))
    done = imgclf_command(
        "train", two_classes, "--arch", f"{file}:file_net", "--set", "units=4",
        "--image-size", "16", "--epochs", "1", "--run-dir", run_dir,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    bundle = run_dir / "model.imgclf"
    shown = json.loads(imgclf_command("info", bundle, "--json").stdout)
    architecture = load_architecture(f"{file}:file_net")
    assert shown["architecture"]["source_sha256"] == architecture.source_sha256
    assert shown["architecture"]["distribution"] is None
    with pytest.raises(BundleError, match=r"load\(path, architecture=function\)"):
        imgclf.load(bundle)
    assert imgclf.load(bundle, architecture=architecture.function).class_names == ("dark", "light")
