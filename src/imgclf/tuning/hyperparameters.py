"""An architecture's options as hyperparameters of KerasTuner, for tuners of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imgclf.arguments import checked_names
from imgclf.errors import ArgumentError, OptionError
from imgclf.options import Value, resolve_options
from imgclf.tuning.dimensions import Dimension
from imgclf.tuning.space import make_space
from imgclf.zoo.registry import load_architecture

__all__ = ["hyperparameters"]


def hyperparameters(
    hp: Any,
    architecture: str,
    *,
    tune: Sequence[str] | None = None,
    space: Mapping[str, str | Sequence[Value]] | None = None,
) -> dict[str, Value]:
    """Declare an architecture's options as KerasTuner's hyperparameters, and return their values.

    For a tuner of your own: its ``build(hp)`` builds the network with what this returns.

    Args:
        hp: What KerasTuner hands to ``build``.
        architecture: Name of an installed architecture.
        tune: Options that are searched; None takes those that the architecture declares with
            ``search=``.
        space: Values to try by name, as for `imgclf.tune`.

    Returns:
        A value for every option; those that are not searched have their defaults.

    Raises:
        OptionError: A name is no option of the architecture.
        ArgumentError: Values are out of bounds, or `hp` holds no hyperparameters.

    Example:
        >>> def build(hp):
        ...     options = imgclf.hyperparameters(hp, "three_conv")
        ...     model = imgclf.build_model("three_conv", (96, 96, 3), **options)
        ...     model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
        ...     return model
        >>> import keras_tuner
        >>> tuner = keras_tuner.RandomSearch(build, "val_accuracy", overwrite=True)
    """
    for method in ("Choice", "Int", "Float", "Boolean"):
        if not callable(getattr(hp, method, None)):
            raise ArgumentError(
                f"hp is {type(hp).__name__}: give the keras_tuner.HyperParameters that the tuner "
                "hands to your build function."
            )
    loaded = load_architecture(architecture)
    names = [option.name for option in loaded.options]
    wanted = None if tune is None else checked_names("tune", tune, f"some of {', '.join(names)}")
    for name in (*(wanted or ()), *(space or {})):
        if name not in names:
            raise OptionError(
                f"{name!r} is no option of {loaded.name!r}, which has {', '.join(names)}: what "
                "belongs to the training is your tuner's."
            )
    searched = make_space(loaded.name, tune=wanted, space=space).dimensions
    chosen = {item.name: _declare(hp, item) for item in searched if item.architecture is not None}
    return resolve_options(loaded.name, loaded.options, chosen)


def _declare(hp: Any, dimension: Dimension) -> Value:
    """Declare one option under its own name, and return the value to build with."""
    value: Value
    if set(dimension.values) == {False, True} and all(type(v) is bool for v in dimension.values):
        value = hp.Boolean(dimension.name)
    elif (
        len({type(one) for one in dimension.values} - {type(None)}) > 1 or None in dimension.values
    ):
        # KerasTuner takes neither None nor mixed types: the place in the list stands for the value.
        value = dimension.values[hp.Int(dimension.name, 0, len(dimension.values) - 1)]
    elif dimension.values:
        value = hp.Choice(dimension.name, list(dimension.values))
    else:
        sampling = "log" if dimension.log else "linear"
        declare = hp.Int if dimension.whole else hp.Float
        ends = (int(dimension.low), int(dimension.high)) if dimension.whole else (
            dimension.low, dimension.high
        )  # fmt: skip
        value = declare(dimension.name, *ends, sampling=sampling)
    return value
