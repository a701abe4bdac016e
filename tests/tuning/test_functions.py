"""A search takes an architecture function, which travels explicitly or is refused at once."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

import imgclf
from conftest import Run
from imgclf.errors import ArgumentError, PluginError, StudyError, UnknownArchitectureError
from imgclf.tuning.request import SearchRequest
from imgclf.zoo import travelling
from imgclf.zoo.isolation import load_function
from imgclf.zoo.travelling import travelling_function
from plugin_folders import SOUND_PLUGIN


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with an architecture function that no package provides."""
    path = tmp_path / "own.py"
    path.write_text(SOUND_PLUGIN.format(name="own_net"))
    return path


@pytest.mark.usefixtures("forked_servers")
def test_a_function_is_searched_and_its_best_is_loaded(
    file: Path, batches: Any, tmp_path: Path
) -> None:
    """`tune(function)` ends with a classifier and settings to train again; it can be resumed."""
    function = load_function(file, "own_net")
    folder = tmp_path / "study"
    search: dict[str, Any] = {
        "trial_epochs": 1, "space": {"units": [4, 8]}, "tune": ["units"], "study_dir": folder,
    }  # fmt: skip
    result = imgclf.tune(function, *batches, max_trials=1, **search)
    assert result.settings["architecture"] is function
    assert imgclf.load(result.bundle, architecture=function).class_names == ("dark", "light")
    again = imgclf.tune(function, *batches, max_trials=2, resume=True, **search)
    assert len(again.trials) == 2
    assert all(trial.status == "completed" for trial in again.trials)
    file.write_text(SOUND_PLUGIN.format(name="own_net") + "\n# changed\n")
    changed = load_function(file, "own_net")
    with pytest.raises(StudyError, match=r"functions\.own_net"):
        imgclf.tune(changed, *batches, max_trials=2, resume=True, **search)


def test_the_command_searches_a_function_of_a_file(
    file: Path, two_classes: Path, imgclf_command: Run, tmp_path: Path
) -> None:
    """`imgclf tune --arch file.py:function` works, and its next command names the file again."""
    done = imgclf_command(
        "tune", two_classes, "--arch", f"{file}:own_net", "--max-trials", 1, "--trial-epochs", 1,
        "--image-size", 24, "--study-dir", tmp_path / "study", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--arch own.py:own_net" in done.stdout


def test_the_next_command_of_a_training_names_the_file(
    file: Path, two_classes: Path, imgclf_command: Run, tmp_path: Path
) -> None:
    """After `train --arch file.py:function` the suggested `predict` runs as it is printed."""
    done = imgclf_command(
        "train", two_classes, "--arch", f"{file}:own_net", "--image-size", 24, "--epochs", 1,
        "--run-dir", tmp_path / "run", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    words = next(line for line in done.stdout.splitlines() if line.startswith("Next: ")).split()
    photo = two_classes / "dark" / "000.png"
    typed = [photo if word == "PHOTO.jpg" else word for word in words[2:]]
    predicted = imgclf_command(*typed, cwd=tmp_path)
    assert predicted.returncode == 0, predicted.stderr


def test_a_name_in_a_text_never_leads_to_code(file: Path) -> None:
    """`tune("file.py:function")` is refused unread, with what to do."""
    file.write_text(f"open({str(file.parent / 'ran')!r}, 'w').close()\n")
    with pytest.raises(UnknownArchitectureError, match="passed as the function itself"):
        SearchRequest(architecture=f"{file}:own_net")
    assert not (file.parent / "ran").exists()


def test_a_function_that_cannot_travel_is_refused_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function inside another, one of the running script, and a search over machines are told."""

    def inner(input_shape: Any, num_classes: int) -> keras.Model:
        """Build nothing."""
        raise NotImplementedError

    with pytest.raises(ArgumentError, match=r"'inner' cannot be searched.*file of its own"):
        SearchRequest(architecture=inner)
    function = load_function(file, "own_net")
    with pytest.raises(ArgumentError, match="other machines: leave cluster out"):
        SearchRequest(architecture=function, cluster="127.0.0.1:6379")
    with pytest.raises(ArgumentError, match="Two of the architectures"):
        SearchRequest(architecture=[function, load_function(file, "own_net")])
    monkeypatch.setattr(function, "__module__", "__main__")
    with pytest.raises(ArgumentError, match="the script that runs"):
        SearchRequest(architecture=function)


@pytest.mark.parametrize("wrong", [None, 3, [], [3]], ids=str)
def test_what_is_no_architecture_is_named(wrong: Any) -> None:
    """None, numbers and empty lists are refused in one line."""
    with pytest.raises(ArgumentError, match=r"cannot be searched|No architecture"):
        SearchRequest(architecture=wrong)


def test_a_file_that_changes_during_a_search_is_noticed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What travels is a place and a hash: another file at that place is not taken for it."""
    place = travelling_function(load_function(file, "own_net"))
    assert pickle.loads(pickle.dumps(place)) == place  # noqa: S301
    file.write_text(SOUND_PLUGIN.format(name="own_net") + "\n# changed\n")
    monkeypatch.setattr(travelling, "_known", {})  # as in another process
    with pytest.raises(PluginError, match="has changed since the search began"):
        place.load()


def test_a_function_of_a_module_travels_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A function of an importable module is imported, so that relative imports work there."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").touch()
    (tmp_path / "pack" / "nets.py").write_text(SOUND_PLUGIN.format(name="own_net"))
    monkeypatch.syspath_prepend(tmp_path)
    import pack.nets  # type: ignore[import-not-found]

    place = travelling_function(pack.nets.own_net)
    assert place.module == "pack.nets"
    monkeypatch.setattr(travelling, "_known", {})
    assert place.load() is pack.nets.own_net
    monkeypatch.delitem(sys.modules, "pack.nets")
