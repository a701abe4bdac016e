"""The search space: what a signature declares, narrowed and widened by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imgclf.tuning.space
from imgclf.errors import ArgumentError, OptionError, UnknownArchitectureError
from imgclf.tuning.space import make_space, parse_spaces


def test_the_default_search_is_the_learning_rate_and_what_the_signature_declares() -> None:
    """Learning rate, filter count and pooling of the baseline are searched without a word."""
    space = make_space("three_conv")
    assert space.names == ("learning_rate", "filters", "pooling")
    assert space.as_dict() == {
        "architectures": ["three_conv"],
        "learning_rate": "0.0001..0.01:log",
        "three_conv.filters": "16,32,48,64",
        "three_conv.pooling": "max,avg",
    }


def test_a_plugins_options_are_searched_like_built_in_ones(plugin: str) -> None:
    """A plugin's signature alone puts its options into the search."""
    assert make_space(plugin).names == ("learning_rate", "width", "bias")
    assert make_space("other").names == ("learning_rate", "depth")


def test_a_function_of_a_plain_file_is_refused_unread(tmp_path: Path) -> None:
    """A search takes installed architectures; the refusal of a file runs none of its code."""
    path = tmp_path / "mine.py"
    path.write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    with pytest.raises(UnknownArchitectureError, match="passed as the function itself"):
        make_space(f"{path}:net")
    assert not (tmp_path / "ran").exists()


def test_tune_names_replace_the_default_ones() -> None:
    """Named options without search= are searched over their bounds, log where declared."""
    space = make_space("three_conv", tune=["dropout", "activation", "batch_size", "optimizer"])
    texts = {item.name: item.text for item in space.dimensions}
    assert texts == {
        "dropout": "0..0.9",
        "activation": "relu,gelu,sigmoid",
        "batch_size": "16,32,64,128",
        "optimizer": "adam,adamw,rmsprop,sgd",
    }


def test_space_narrows_and_widens() -> None:
    """--space gives lists, ranges and logarithmic ranges, also to what was not searched before."""
    given = parse_spaces(
        ["learning_rate=1e-3..1e-2", "filters=16, 32", "hidden_units=8..64", "image_size=32,64"]
    )
    space = make_space("three_conv", space=given)
    by_name = {item.name: item for item in space.dimensions}
    assert by_name["filters"].values == (16, 32)
    assert (by_name["learning_rate"].low, by_name["learning_rate"].log) == (1e-3, True)
    assert (by_name["hidden_units"].whole, by_name["hidden_units"].high) == (True, 64)
    assert by_name["image_size"].values == (32, 64)
    assert by_name["pooling"].values == ("max", "avg")


def test_options_of_several_architectures_are_conditional() -> None:
    """Each architecture brings its own options; a dotted name means one of them."""
    space = make_space("three_conv,resnet9", tune=["filters"], space={"resnet9.filters": [16]})
    assert space.names == ("architecture", "filters")
    assert [item.key for item in space.active("resnet9")] == ["resnet9.filters"]
    assert space.active("resnet9")[0].values == (16,)
    assert space.active("three_conv")[0].values == (16, 32, 48, 64)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tune": ["filtrs"]}, OptionError, "Did you mean 'filters'"),
        ({"space": {"filters": "4,16"}}, ArgumentError, "a whole number from 8 to 256"),
        ({"space": {"filters": "32..16"}}, ArgumentError, "lower end comes first"),
        ({"space": {"pooling": "a..b"}}, ArgumentError, "list its values"),
        ({"space": {"dropout": "0..0.5:log"}}, ArgumentError, "begins above 0"),
        ({"space": {"dropout": "0..0.5:lin"}}, ArgumentError, "only 'log'"),
        ({"space": {"filters": "16,32:log"}}, ArgumentError, "without a range"),
        ({"space": {"learning_rate": "nan"}}, ArgumentError, "a number from"),
        ({"space": {"image_size": "32..64"}}, ArgumentError, "list the sizes"),
        ({"tune": []}, ArgumentError, "Nothing is searched"),
    ],
)
def test_wrong_spaces_are_refused(arguments: Any, error: type, message: str) -> None:
    """Unknown names, values out of bounds and malformed texts are one line that says what is."""
    with pytest.raises(error, match=message):
        make_space("three_conv", **arguments)


def test_unknown_architectures_and_assignments_are_refused() -> None:
    """A mistyped architecture gets a suggestion; a space without = is refused."""
    with pytest.raises(UnknownArchitectureError, match="resnet9"):
        make_space("three_conv,resnt9")
    with pytest.raises(ArgumentError, match="is no search space"):
        parse_spaces(["filters"])


def test_spaces_are_checked_without_heavy_libraries() -> None:
    """Making and refusing a space loads neither TensorFlow nor Keras, NumPy or KerasTuner."""
    script = (
        "import sys\n"
        "from imgclf.tuning.space import make_space\n"
        "from imgclf.tuning import candidates, local_workers, pool, proposals\n"
        "from imgclf.tuning import search, study, tasks\n"
        "make_space('three_conv,resnet9')\n"
        "names = ('tensorflow', 'keras', 'numpy', 'keras_tuner', 'PIL')\n"
        "print([name for name in names if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_two_plugins_are_searched_by_their_own_signatures(plugin: str) -> None:
    """Options of two installed distributions are searched; no code of ours knows their names."""
    space = make_space([plugin, "other"])
    assert [dimension.key for dimension in space.dimensions] == [
        "learning_rate", "shaky.width", "shaky.bias", "other.depth"
    ]  # fmt: skip
    assert [item.key for item in space.active("other")] == ["learning_rate", "other.depth"]
    sources = Path(str(imgclf.tuning.space.__file__)).parent.glob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert not any(name in code for name in ("shaky", "depth", '"bias"', '"width"'))
