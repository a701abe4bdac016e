"""The promises of the registry: name to architecture, through installed packages."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import json
import tomllib
from pathlib import Path

import pytest

import imgclf
from imgclf.errors import ContractError, PluginError, UnknownArchitectureError
from imgclf.zoo.registry import (
    describe_architecture,
    find_architectures,
    list_architectures,
    load_architecture,
)
from plugin_folders import SOUND_PLUGIN, install, run_python

BUILT_IN = {
    entry_point.name
    for entry_point in importlib.metadata.distribution("imgclf").entry_points
    if entry_point.group == "imgclf.architectures"
}


@pytest.fixture
def plugin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on `sys.path`, as site-packages is."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_zoo_is_the_table_in_the_metadata() -> None:
    """Built-ins are found by the same road as plugins, sorted by name."""
    assert list_architectures() == sorted(list_architectures())
    assert set(list_architectures()) >= {"three_conv", "one_hidden", "five_conv", "resnet9"}
    assert set(list_architectures()) >= BUILT_IN


def test_the_installed_metadata_is_that_of_the_source() -> None:
    """A family that is added to pyproject.toml is found after `pip install -e .`."""
    pyproject = Path(inspect.getfile(imgclf)).parents[2] / "pyproject.toml"
    if not pyproject.exists():
        pytest.skip("imgclf is not installed from a source folder")
    project = tomllib.loads(pyproject.read_text())["project"]
    assert set(project["entry-points"]["imgclf.architectures"]) == BUILT_IN


def test_a_plugin_is_found_listed_and_described(plugin_folder: Path) -> None:
    """An installed distribution with one entry point is an architecture like any other."""
    install(plugin_folder, "listed-nets", SOUND_PLUGIN.format(name="listed_nets"), version="2.1")
    assert "listed_nets" in list_architectures()
    description = describe_architecture("listed_nets")
    assert (description.distribution, description.version) == ("listed-nets", "2.1")
    assert description.summary == "A sound little network."
    assert [option.name for option in description.options] == ["units"]


def test_a_description_carries_the_docstring_without_its_indent() -> None:
    """The summary is the first line; the details read like the source."""
    description = describe_architecture("three_conv")
    assert description.summary.startswith("Three convolution blocks")
    assert "\nArgs:\n    input_shape:" in description.details


def test_finding_is_not_loading(plugin_folder: Path) -> None:
    """Listing imports no plugin; using one imports that one alone."""
    for number in range(3):
        install(plugin_folder, f"net{number}", SOUND_PLUGIN.format(name=f"net{number}"))
    code = (
        "import sys, imgclf\n"
        "loaded = lambda: sorted(name for name in sys.modules if name.startswith('net')"
        " and name[3:].isdigit())\n"
        "names = imgclf.list_architectures(); first = loaded()\n"
        "imgclf.describe_architecture('net1'); print([first, loaded(), len(names)])"
    )
    first, second, count = ast.literal_eval(run_python(code, plugin_folder).stdout)
    assert first == []
    assert second == ["net1"]
    assert count >= 3 + len(BUILT_IN)


def test_listing_fifty_plugins_imports_none(plugin_folder: Path) -> None:
    """A zoo of 50 plugins is listed from metadata alone; `benchmarks/listing.py` times it."""
    for number in range(50):
        install(plugin_folder / "many", f"net{number}", "raise RuntimeError('imported')")
    code = (
        "import sys, imgclf; before = set(sys.modules)\n"
        "names = [name for name in imgclf.list_architectures() if name[3:].isdigit()]\n"
        "heavy = {'keras', 'tensorflow', 'numpy', 'PIL', *names} & set(sys.modules)\n"
        "print([len(names), sorted(heavy)])"
    )
    assert ast.literal_eval(run_python(code, plugin_folder / "many").stdout) == [50, []]


def test_a_mistyped_name_gets_a_suggestion() -> None:
    """The message suggests the closest name and lists what is installed."""
    with pytest.raises(UnknownArchitectureError) as caught:
        load_architecture("resnt9")
    text = str(caught.value)
    assert text.startswith("Unknown architecture 'resnt9'. Did you mean 'resnet9'? Installed: ")
    assert all(name in text for name in BUILT_IN)


@pytest.mark.parametrize("form", ["{0}/nets.py:net", "nets.py:net", "./nets.py:net", "nets:net"])
def test_a_text_never_runs_a_file(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only installed names are looked up: a text that names a file and a function runs nothing."""
    (tmp_path / "nets.py").write_text("open('ran', 'w').close()\ndef net(shape, classes): ...\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownArchitectureError):
        load_architecture(form.format(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_an_empty_list_says_that_the_package_must_be_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A source folder without metadata has no architectures; the message says what to type."""
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: iter(()))
    with pytest.raises(UnknownArchitectureError, match=r"none is installed.*pip install"):
        load_architecture("three_conv")


def test_a_built_in_name_cannot_be_taken(plugin_folder: Path) -> None:
    """A plugin that claims a built-in's name is left out and named once, with its version."""
    install(
        plugin_folder,
        "greedy-nets",
        SOUND_PLUGIN.format(name="mine"),
        version="6.6",
        architectures={"three_conv": "mine", "greedy": "mine"},
    )
    code = (
        "import logging; logging.basicConfig()\n"
        "import imgclf, imgclf.zoo.registry as registry\n"
        "for _ in range(3): imgclf.list_architectures()\n"
        "print(registry.load_architecture('three_conv').registration)\n"
        "print(registry.load_architecture('greedy').registration)"
    )
    done = run_python(code, plugin_folder)
    assert done.stdout.splitlines() == [f"imgclf {imgclf.__version__}", "greedy-nets 6.6"]
    assert done.stderr.count("greedy-nets 6.6") == 1


def test_two_plugins_with_one_name_are_both_named(plugin_folder: Path) -> None:
    """The conflict is an error on use, not on listing, and the message names both packages."""
    for owner in ("first-nets", "second-nets"):
        install(
            plugin_folder,
            owner,
            SOUND_PLUGIN.format(name="net"),
            architectures={"shared_net": "net"},
        )
    assert "shared_net" in list_architectures()
    with pytest.raises(PluginError, match=r"first-nets 1\.0 and second-nets 1\.0"):
        load_architecture("shared_net")


def test_one_package_seen_twice_is_no_conflict(plugin_folder: Path, tmp_path: Path) -> None:
    """An old copy further down the path, spelled otherwise, does not count."""
    install(plugin_folder / "a", "twice-nets", SOUND_PLUGIN.format(name="twice_nets"), version="2")
    install(plugin_folder / "b", "Twice.Nets", "", version="1", architectures={"twice_nets": "x"})
    code = (
        "import imgclf.zoo.registry as registry\n"
        "print(registry.load_architecture('twice_nets').registration)"
    )
    done = run_python(code, plugin_folder / "a", plugin_folder / "b")
    assert done.stdout.strip() == "twice-nets 2"


@pytest.mark.parametrize("value", ["off", "OFF", "0", "false"])
def test_plugins_can_be_turned_off(
    plugin_folder: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """`IMGCLF_PLUGINS=off` leaves the built-ins alone in the zoo."""
    install(plugin_folder, "silent-nets", SOUND_PLUGIN.format(name="silent_nets"))
    monkeypatch.setenv("IMGCLF_PLUGINS", value)
    assert set(find_architectures()) == BUILT_IN


def test_a_function_is_its_own_architecture() -> None:
    """A function that the caller passes is read as it stands and belongs to no package."""

    def my_net(input_shape: tuple[int, int, int], num_classes: int) -> None: ...

    loaded = load_architecture(my_net)
    assert (loaded.name, loaded.function, loaded.options) == ("my_net", my_net, ())
    assert loaded.registration is None


def test_unusual_names_are_left_out(plugin_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A name that no classifier's file may hold is not offered; the log says which package's."""
    source = SOUND_PLUGIN.format(name="net")
    install(plugin_folder, "odd-nets", source, architectures={"../net": "net", "odd.net-2": "net"})
    assert "odd.net-2" in list_architectures()
    assert "../net" not in list_architectures()
    assert "'../net' of 'odd-nets' '1.0' is left out" in caplog.text


def test_a_function_has_a_name_that_can_be_recorded() -> None:
    """A function is refused when it is named, not when its classifier is saved."""

    def net(input_shape: tuple[int, int, int], num_classes: int) -> None: ...

    net.__name__ = "../net"
    with pytest.raises(ContractError, match="no classifier can record"):
        load_architecture(net)
    assert load_architecture(lambda shape, _classes: shape).name == "<lambda>"


def test_a_plugins_contract_error_names_its_distribution(plugin_folder: Path) -> None:
    """Who must repair an unusable signature stands in the message."""
    install(
        plugin_folder,
        "untyped-nets",
        "def untyped_nets(input_shape, num_classes, *, width=3): ...",
        version="0.3",
    )
    with pytest.raises(ContractError, match=r"Option 'width' .* It comes from untyped-nets 0\.3\."):
        load_architecture("untyped_nets")


def test_names_are_json() -> None:
    """A listing goes to `--json` as it is."""
    assert json.loads(json.dumps(list_architectures())) == list_architectures()
