"""The promises of a run's settings: read back from its folder, they choose and never run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imgclf.errors import ImgclfError, RunFolderError
from imgclf.runs.config import from_config, to_config
from imgclf.runs.resolution import make_plan
from imgclf.runs.settings import Settings
from imgclf.workflow.training import resume_training
from imgclf.zoo.isolation import load_function
from plugin_folders import SOUND_PLUGIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def net(tmp_path: Path) -> Callable[..., Any]:
    """Return an architecture function of a file that no package provides."""
    (tmp_path / "nets.py").write_text(SOUND_PLUGIN.format(name="net"))
    return load_function(tmp_path / "nets.py", "net")


def config_of(architecture: Any) -> dict[str, Any]:
    """Return what a training with an architecture writes down."""
    settings = Settings(architecture=architecture)
    return to_config(make_plan("photos", settings), settings, "float32")


def test_a_function_has_to_be_given_again(net: Callable[..., Any]) -> None:
    """The configuration names the function; the run goes on with that function alone."""
    config = config_of(net)
    assert (config["architecture"], config["architecture_installed"]) == ("net", False)
    with pytest.raises(RunFolderError, match=r"give --arch path/to/file\.py:net"):
        from_config(config)
    assert from_config(config, net)[1].architecture is net

    def other(input_shape: tuple[int, int, int], num_classes: int) -> None: ...

    with pytest.raises(RunFolderError, match="'net', not 'other'"):
        from_config(config, other)


def test_a_changed_file_is_named(
    net: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that goes on with another source than it began with says so in a log warning."""
    config = config_of(net)
    from_config(config, net)
    assert not caplog.records
    (tmp_path / "nets.py").write_text(SOUND_PLUGIN.format(name="net") + "# changed")
    from_config(config, load_function(tmp_path / "nets.py", "net"))
    assert "source file of 'net' has changed" in caplog.text


def test_an_installed_name_needs_no_function(net: Callable[..., Any]) -> None:
    """A built-in goes on by its name; a function beside it is a mistake that is named."""
    config = config_of("three_conv")
    assert from_config(config)[1].architecture == "three_conv"
    with pytest.raises(RunFolderError, match="continue without --arch"):
        from_config(config, net)


@pytest.mark.parametrize("installed", [True, False])
def test_a_run_folder_cannot_have_a_file_run(
    installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a config.json says of its architecture, going on with the run imports no file."""
    config = {**config_of("three_conv"), "architecture": "evil.py:net"}
    config["architecture_installed"] = installed
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()\n")
    (tmp_path / "split.csv").write_text("path,sha256,class,split\n")
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImgclfError):
        resume_training(tmp_path)
    assert not (tmp_path / "ran").exists()
