"""The promises about broken plugins: each hurts only its own name, and is named once."""

from __future__ import annotations

import ast
import logging
import random
import sys
from typing import TYPE_CHECKING

import keras
import pytest

import imgclf
from imgclf.errors import PluginError, UnknownArchitectureError
from imgclf.zoo import isolation
from imgclf.zoo.registry import find_architectures, list_architectures, load_architecture
from plugin_folders import SOUND_PLUGIN, install, run_python

if TYPE_CHECKING:
    from pathlib import Path

BUILT_IN = [name for name, found in find_architectures().items() if found[0].builtin]

BROKEN = {
    "raising-nets": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "misspelt-nets": ("def misspelt_nets(:", "SyntaxError"),
    "leaving-nets": ("import sys; sys.exit(7)", "SystemExit: 7"),
    "importless-nets": ("import not_installed_anywhere", "No module named"),
    "hollow-nets": ("", "has no attribute 'hollow_nets'"),
    "constant-nets": ("constant_nets = 3", "is int, not a function"),
    "untyped-nets": ("def untyped_nets(shape, classes, *, width=3): ...", "Option 'width'"),
    "defaultless-nets": ("def defaultless_nets(shape, classes, *, on: bool): ...", "no default"),
    "shapeless-nets": ("def shapeless_nets(): ...", "takes ()"),
    "modelless-nets": ("def modelless_nets(shape, classes): return 5", "returned int"),
}
"""Plugins that fail when they are used: source, and what the message says of it."""


@pytest.fixture(scope="module")
def broken_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve broken plugins, and two distributions whose metadata is damaged, installed."""
    folder = tmp_path_factory.mktemp("site")
    for distribution, (source, _) in BROKEN.items():
        install(folder, distribution, source, version="0.9")
    for distribution in ("first-nets", "second-nets"):
        source = SOUND_PLUGIN.format(name="net")
        install(folder, distribution, source, version="0.9", architectures={"twin": "net"})
    install(folder, "thieving-nets", "", version="0.9", architectures={"resnet9": "net"})
    damaged = install(folder, "damaged-nets", "") / "damaged_nets-1.0.dist-info"
    (damaged / "entry_points.txt").write_text("[imgclf.architectures]\nno equals sign here\n")
    nameless = install(folder, "nameless-nets", "") / "nameless_nets-1.0.dist-info"
    (nameless / "METADATA").unlink()
    return folder


def test_built_ins_work_beside_twelve_broken_plugins(broken_folder: Path) -> None:
    """Listing names each broken metadata once, imports nothing, and all built-ins load."""
    code = (
        "import logging; logging.basicConfig()\n"
        "import imgclf, sys\n"
        "for _ in range(2): names = imgclf.list_architectures()\n"
        f"described = [imgclf.describe_architecture(name).name for name in {BUILT_IN}]\n"
        "print([names, described, [name for name in sys.modules if name.endswith('_nets')]])"
    )
    done = run_python(code, broken_folder)
    names, described, imported = ast.literal_eval(done.stdout)
    assert described == BUILT_IN
    assert imported == []
    assert set(names) >= {name.replace("-", "_") for name in BROKEN} | {"twin"}
    assert done.stderr.count("thieving-nets 0.9") == 1
    assert done.stderr.count("damaged_nets-1.0.dist-info") == 1


@pytest.mark.parametrize("distribution", BROKEN)
def test_a_broken_plugin_is_named_once_with_its_version(
    broken_folder: Path, monkeypatch: pytest.MonkeyPatch, distribution: str
) -> None:
    """The message says which package, which version and what is wrong with it, in one line."""
    monkeypatch.syspath_prepend(broken_folder)
    name = distribution.replace("-", "_")
    with pytest.raises(imgclf.ImgclfError) as caught:
        imgclf.build_model(name, (16, 16, 3))
    text = str(caught.value)
    assert text.count(f"{distribution} 0.9") == 1
    assert BROKEN[distribution][1] in text
    assert "\n" not in text


def test_a_broken_plugin_fails_again_on_the_second_use(
    broken_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half-imported module is left that would look sound the second time."""
    monkeypatch.syspath_prepend(broken_folder)
    for _ in range(2):
        with pytest.raises(PluginError, match="no licence"):
            load_architecture("raising_nets")


def test_two_plugins_with_one_name_are_both_named(
    broken_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither wins; the message says what to do."""
    monkeypatch.syspath_prepend(broken_folder)
    with pytest.raises(PluginError, match=r"first-nets 0\.9 and second-nets 0\.9: uninstall one"):
        load_architecture("twin")


def test_a_plugin_that_prints_at_import_does_not_reach_standard_output(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What `--json` prints stays JSON; the talker is named with its version."""
    source = "print('hello!')\n" + SOUND_PLUGIN.format(name="talking_nets")
    monkeypatch.syspath_prepend(install(tmp_path, "talking-nets", source, version="3.1"))
    with caplog.at_level(logging.WARNING, "imgclf"):
        for _ in range(2):
            load_architecture("talking_nets")
    assert capsys.readouterr().out == ""
    assert [record.message for record in caplog.records] == [
        "talking-nets 3.1 prints when it is imported: hello!"
    ]


def test_a_plugin_that_configures_keras_at_import_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The user's Keras and `random` stay as they were; the culprit is named."""
    source = (
        "import keras, random\nrandom.seed(1)\nkeras.config.set_floatx('float16')\n"
        "keras.config.set_image_data_format('channels_first')\n"
        "keras.config.set_dtype_policy('mixed_float16')\n"
    ) + SOUND_PLUGIN.format(name="meddling_nets")
    monkeypatch.syspath_prepend(install(tmp_path, "meddling-nets", source))
    with caplog.at_level(logging.WARNING, "imgclf"):
        imgclf.build_model("meddling_nets", (16, 16, 3))
    assert keras.config.floatx() == "float32"
    assert keras.config.image_data_format() == "channels_last"
    assert keras.config.dtype_policy().name == "float32"
    assert len(caplog.records) == 1
    assert "meddling-nets 1.0 changes Keras' global" in caplog.records[0].message


def test_random_numbers_go_on_after_an_import_that_seeds_them(tmp_path: Path) -> None:
    """`random.seed` in a plugin does not make the user's draws predictable."""
    (tmp_path / "seeding.py").write_text(
        "import random\nrandom.seed(1)\ndef net(shape, classes): ...\n"
    )
    state = random.getstate()
    isolation.load_function(tmp_path / "seeding.py", "net")
    assert random.getstate() == state


def test_before_keras_is_imported_its_configuration_file_is_the_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plugin that is the first to import Keras is compared with what the user configured."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    usual = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}
    assert isolation._initial_keras_configuration() == usual
    (tmp_path / "keras.json").write_text('{"floatx": "float64", "backend": "tensorflow"}')
    assert isolation._initial_keras_configuration() == {**usual, "floatx": "float64"}
    (tmp_path / "keras.json").write_text("[broken")
    assert isolation._initial_keras_configuration() == usual


def test_a_function_of_a_plain_file_is_an_architecture(tmp_path: Path) -> None:
    """A function of a file is tried without packaging it; its source's hash is kept."""
    file = tmp_path / "keras.py"  # a name that must not hide Keras
    file.write_text(SOUND_PLUGIN.format(name="my_net"))
    function = isolation.load_function(file, "my_net")
    loaded = load_architecture(function)
    assert loaded.name == "my_net"
    assert len(loaded.source_sha256 or "") == 64
    assert imgclf.build_model(function, (16, 16, 3), units=3).count_params() > 0
    file.write_text(SOUND_PLUGIN.format(name="my_net") + "# changed")
    changed = load_architecture(isolation.load_function(file, "my_net"))
    assert changed.source_sha256 != loaded.source_sha256


@pytest.mark.parametrize(
    ("source", "name", "error", "message"),
    [
        (None, "net", UnknownArchitectureError, "does not exist"),
        ("x = 1", "net", UnknownArchitectureError, "has no function 'net'"),
        ("x = 1", "x", UnknownArchitectureError, "has no function 'x'"),
        ("1 / 0", "net", PluginError, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str | None,
    name: str,
    error: type[Exception],
    message: str,
) -> None:
    """The file is named together with what is wrong."""
    monkeypatch.delitem(sys.modules, "imgclf_file_nets", raising=False)
    file = tmp_path / "nets.py"
    if source is not None:
        file.write_text(source)
    with pytest.raises(error) as caught:
        isolation.load_function(file, name)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
    assert "imgclf_file_nets" not in sys.modules or source == "x = 1"


def test_listing_is_the_same_with_and_without_broken_plugins(
    broken_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the built-in zoo is lost."""
    before = list_architectures()
    monkeypatch.syspath_prepend(broken_folder)
    assert set(list_architectures()) >= set(before)
