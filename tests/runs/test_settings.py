"""The table of settings: one place for names, ranges and defaults, on every road."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st

import imgclf
from imgclf.cli.main import app
from imgclf.errors import ArgumentError
from imgclf.reports.reproduction import command_words
from imgclf.runs.config import plain_settings, read_settings
from imgclf.runs.settings import GROUPS, OFTEN_MEANT, Settings, setting_fields
from imgclf.training.recipes import RECIPES

SHOWN = [item for item in setting_fields() if item.setting.group]


def cli_options(verb: str) -> dict[str, Any]:
    """Return the options of a verb by the name of its parameter."""
    command: Any = typer.main.get_command(app)
    return {item.name: item for item in command.commands[verb].params}


def test_every_setting_stands_on_every_road() -> None:
    """`imgclf.train` and the command line take each setting under its own name."""
    keywords = inspect.signature(imgclf.train).parameters
    options = cli_options("train")
    for item in SHOWN:
        assert item.name in keywords
        assert item.flag in options[item.name].opts
        assert item.setting.help in options[item.name].help
        assert f"{item.name}: " in (imgclf.train.__doc__ or "")
    assert not [name for name in keywords if keywords[name].kind is inspect.Parameter.VAR_KEYWORD]


def test_defaults_are_the_same_on_every_road() -> None:
    """What Python shows as a default is the table's; the command line adds none of its own."""
    keywords = inspect.signature(imgclf.train).parameters
    options = cli_options("train")
    for item in SHOWN:
        if item.name != "options":  # a fresh dictionary each time
            assert keywords[item.name].default == item.default
        assert options[item.name].default is None
    generators = inspect.signature(imgclf.make_generators).parameters
    for name in ("channels", "resize", "data_format", "seed", "store", "strict", "oversample"):
        assert generators[name].default == getattr(Settings(), name)


def test_every_setting_belongs_to_a_group_and_the_common_ones_are_ten() -> None:
    """Help shows them in panels, the first of which fits a screen."""
    assert {item.setting.group for item in SHOWN} == set(GROUPS)
    common = [item for item in cli_options("train").values() if item.rich_help_panel == "Common"]
    assert len(common) == 10


def test_the_recipes_of_the_table_are_those_of_the_library() -> None:
    """The table lists what `choose_recipe` knows."""
    (recipe,) = (item for item in setting_fields() if item.name == "recipe")
    assert set(recipe.choices) == set(RECIPES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": "3"}, "epochs='3' is not accepted: give a whole number from 1"),
        ({"epochs": True}, "epochs=True"),
        ({"epochs": 0}, "epochs=0"),
        ({"image_size": (0, 5)}, "image_size=.* is not accepted: give the side of a square"),
        ({"image_size": (1, 2, 3)}, "image_size="),
        ({"channels": 2}, "channels=2 is not accepted: give one of 1, 3"),
        ({"class_weight": "rare"}, "class_weight='rare'"),
        ({"learning_rate": "1e-3"}, "learning_rate='1e-3' is not accepted: give a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"budget": -1}, "budget=-1"),
        ({"budget": "soon"}, "budget='soon'"),
        ({"options": [1]}, "options="),
        ({"augment": "wild"}, "augment='wild' is not accepted: give one of 'none', 'classic'"),
        ({"strict": 1}, "strict=1"),
        ({"resize": None}, "resize=None"),
    ],
)
def test_a_wrong_value_is_one_line(values: dict[str, Any], message: str) -> None:
    """The error names the setting, the value and what is accepted."""
    with pytest.raises(ArgumentError, match=message) as caught:
        Settings(**values)
    assert "\n" not in str(caught.value)


def test_usual_ways_of_writing_a_value_are_read() -> None:
    """A side is a square, a time has units, numbers of NumPy are numbers."""
    settings = Settings(
        image_size=64, budget="1.5h", learning_rate=np.float32(0.5), epochs=np.int64(3)
    )  # type: ignore[arg-type]
    assert settings.image_size == (64, 64)
    assert settings.budget == 5400.0
    assert type(settings.learning_rate) is float
    assert type(settings.epochs) is int
    assert Settings(image_size=[48, 64]).image_size == (48, 64)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("epoch", "epochs"),
        ("lr", "learning_rate"),
        ("batch", "batch_size"),
        ("imagesize", "image_size"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(wrong: str, right: str) -> None:
    """Names of other tools and misspellings lead to the setting that was meant."""
    with pytest.raises(ArgumentError, match=f"no setting '{wrong}': did you mean {right}\\?"):
        imgclf.train("nowhere", **{wrong: 1})  # type: ignore[arg-type]


def test_what_is_often_meant_exists() -> None:
    """Each hint leads to a setting, and none hides one."""
    names = {item.name for item in setting_fields()}
    assert set(OFTEN_MEANT.values()) <= names
    assert not set(OFTEN_MEANT) & names


def test_settings_survive_json() -> None:
    """What config.json and best.json hold is read back as it was; functions by name only."""
    turned = imgclf.Augmentation(rotation_range=5)
    for settings in (
        Settings(),
        Settings(epochs=3, image_size=(32, 48), budget="2m", augment=turned, options={"a": 1}),
    ):
        text = json.dumps(plain_settings(settings))
        assert read_settings(json.loads(text)) == settings


CHOSEN = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 500),
        "image_size": st.tuples(st.integers(1, 500), st.integers(1, 500)),
        "batch_size": st.integers(1, 500),
        "learning_rate": st.sampled_from([1e-3, 0.1, "auto"]),
        "weight_decay": st.sampled_from([0.0, 1e-4]),
        "average_weights": st.booleans(),
        "near_duplicates": st.booleans(),
        "deterministic": st.booleans(),
        "channels": st.sampled_from([1, 3]),
        "mixup": st.sampled_from([0.0, 0.2]),
        "augment": st.sampled_from(["none", "classic", "light", "strong"]),
        "accumulate_steps": st.integers(1, 9),
        "group_by": st.sampled_from([r"(\d+) of", "a b", None]),
    },
)


@given(CHOSEN)
def test_the_command_in_a_report_says_what_the_run_was(chosen: dict[str, Any]) -> None:
    """The words of `command_words` are read by the command line as the same settings."""
    import shlex

    from imgclf.cli import _settings

    config = {
        **plain_settings(Settings(**chosen)),
        "train_dir": "a folder",
        "architecture_installed": True,
    }
    words = shlex.split(" ".join(command_words(config)))
    command: Any = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    context = command.make_context("train", words[2:])
    table = [item for item in setting_fields() if item.setting.group]
    typed = {item.name: context.params[item.name] for item in table}
    given_again = _settings._given(table, typed)
    assert str(context.params["directory"]) == "a folder"
    assert Settings(**given_again) == Settings(**chosen)


def test_the_table_is_light() -> None:
    """Reading it imports no TensorFlow, Keras, NumPy or Pillow: `--help` needs it."""
    script = (
        "import sys\n"
        "from imgclf.runs.settings import Settings, setting_fields\n"
        "Settings(image_size=64), setting_fields()\n"
        "print([name for name in ('numpy', 'PIL', 'tensorflow', 'keras') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_literals_of_the_table_are_those_of_the_rooms() -> None:
    """Where a room names its own choices, the table has the same."""
    from imgclf.data.store.pixel_store import StoreMode
    from imgclf.machine.precision import Precision
    from imgclf.training.optimizers import OPTIMIZERS
    from imgclf.training.schedules import Schedule

    by_name = {item.name: set(item.choices) for item in setting_fields()}
    assert by_name["store"] == set(get_args(StoreMode))
    assert by_name["precision"] == set(get_args(Precision))
    assert by_name["schedule"] == set(get_args(Schedule))
    assert by_name["optimizer"] == {"auto", *OPTIMIZERS}
