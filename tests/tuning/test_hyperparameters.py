"""KerasTuner's own tuners search our options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner
import pytest

import imgclf
from imgclf.errors import ArgumentError, OptionError


def test_keras_tuner_searches_the_options_of_an_architecture(
    two_classes: Path, tmp_path: Path
) -> None:
    """A tuner of one's own builds our networks with what it tries, and gives the best again."""
    train, val = imgclf.make_generators(two_classes, image_size=24, batch_size=32)

    def build(hp: Any) -> keras.Model:
        options = imgclf.hyperparameters(
            hp, "three_conv", tune=["filters", "pooling"], space={"filters": [8, 16]}
        )
        model = imgclf.build_model("three_conv", train.input_shape, hidden_units=8, **{
            name: value for name, value in options.items() if name != "hidden_units"
        })  # fmt: skip
        model.compile(hp.Choice("optimizer", ["adam", "sgd"]), "binary_crossentropy", ["accuracy"])
        return model

    tuner = keras_tuner.RandomSearch(
        build, "val_accuracy", max_trials=2, seed=1, directory=tmp_path, overwrite=True
    )
    tuner.search(train, validation_data=val, epochs=1, verbose=0, shuffle=False)
    best = tuner.get_best_hyperparameters()[0]
    assert best.get("filters") in (8, 16)
    assert {item.name for item in tuner.oracle.get_space().space} == {
        "filters", "pooling", "optimizer",
    }  # fmt: skip


@pytest.mark.parametrize("name", imgclf.list_architectures())
def test_every_architecture_declares_its_options(name: str) -> None:
    """The defaults of a search are valid options of the network; those without one are defaults."""
    options = imgclf.describe_architecture(name).options
    found = imgclf.hyperparameters(keras_tuner.HyperParameters(), name)
    assert list(found) == [option.name for option in options]
    assert all(option.range.accepts(found[option.name]) for option in options)


def test_ranges_booleans_and_lists_are_declared() -> None:
    """Each kind of option is the kind of hyperparameter that fits."""
    hp = keras_tuner.HyperParameters()
    found = imgclf.hyperparameters(
        hp, "three_conv", tune=["dropout", "activation"], space={"hidden_units": "16..64:log"}
    )
    assert set(hp.values) == {"dropout", "activation", "hidden_units"}
    assert found["filters"] == 32


def test_what_cannot_be_searched_is_named() -> None:
    """A training's option is the tuner's own; what is no set of hyperparameters is refused."""
    hp = keras_tuner.HyperParameters()
    with pytest.raises(OptionError, match="'learning_rate' is no option"):
        imgclf.hyperparameters(hp, "three_conv", tune=["learning_rate"])
    with pytest.raises(ArgumentError, match="hp is dict"):
        imgclf.hyperparameters({}, "three_conv")
