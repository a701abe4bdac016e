"""The promises of reloading: another process finds a plugin by its name, or names its package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from imgclf.classifiers.loader import load
from imgclf.conformance.reload import reload_bundle, save_bundle
from imgclf.errors import BundleError
from imgclf.zoo.builder import build_model
from plugin_folders import SOUND_PLUGIN, install

if TYPE_CHECKING:
    from pathlib import Path


def test_a_plugin_reloads_in_a_fresh_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin's bundle gives the same outputs in another process, found by its name."""
    monkeypatch.syspath_prepend(
        install(tmp_path, "fresh-nets", SOUND_PLUGIN.format(name="fresh_nets"))
    )
    path = tmp_path / "fresh.imgclf"
    save_bundle(build_model("fresh_nets", (16, 16, 3), 3), path)
    reload_bundle(path, "fresh_nets", fresh_process=True)


def test_a_bundle_of_a_plugin_that_is_gone_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gets a bundle without its plugin reads which package to install, in which version."""
    site = install(tmp_path / "site", "gone-nets", SOUND_PLUGIN.format(name="gone_nets"))
    path = tmp_path / "gone.imgclf"
    with monkeypatch.context() as with_plugin:
        with_plugin.syspath_prepend(site)
        save_bundle(build_model("gone_nets", (16, 16, 3), 3), path)
    with pytest.raises(BundleError, match=r"of the package gone-nets 1\.0: pip install gone-nets"):
        load(path, engine="keras")
    without = load(path)  # LiteRT's network is in the file, and needs no package.
    assert without.predict(np.zeros((16, 16, 3), np.uint8))[0].label in without.class_names
    with pytest.raises(BundleError, match=r"pip install gone-nets"):
        _ = without.model
