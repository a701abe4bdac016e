"""The search space: taken from the architectures' signatures, and changed by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from imgclf.errors import ArgumentError, OptionError
from imgclf.options import Option, Value
from imgclf.tuning.dimensions import (
    TRAINING_OPTIONS,
    USUAL_RATE,
    Dimension,
    default_dimension,
    find_option,
    parse_dimension,
)
from imgclf.zoo.registry import Architecture, load_architecture

__all__ = ["Space", "make_space", "parse_spaces"]

TRAINING_NAMES = tuple(option.name for option in TRAINING_OPTIONS)


@dataclass(frozen=True, slots=True)
class Space:
    """A search space.

    Attributes:
        architectures: Names of the architectures; several are a dimension of their own.
        dimensions: The other dimensions. An architecture's options apply only to candidates of
            that architecture.
    """

    architectures: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    def active(self, architecture: str) -> tuple[Dimension, ...]:
        """Return the dimensions that apply to an architecture."""
        return tuple(
            dimension
            for dimension in self.dimensions
            if dimension.architecture in (None, architecture)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of everything that is searched, for the columns of a table."""
        several = ("architecture",) if len(self.architectures) > 1 else ()
        return (*several, *dict.fromkeys(dimension.name for dimension in self.dimensions))

    def as_dict(self) -> dict[str, Any]:
        """Return the space as plain values, for the study's identity."""
        return {
            "architectures": list(self.architectures),
            **{dimension.key: dimension.text for dimension in self.dimensions},
        }


def make_space(
    architectures: str | Sequence[str],
    *,
    tune: Sequence[str] | None = None,
    space: Mapping[str, str | Sequence[Value]] | None = None,
    learning_rate: float = USUAL_RATE,
) -> Space:
    """Make a search space, without importing TensorFlow or Keras.

    By default it has the learning rate (a tenth to ten times `learning_rate`, on a logarithmic
    scale) and every option that an architecture declares with ``search=``.

    Args:
        architectures: One name, several separated by commas, or a list of names.
        tune: Names to search instead of the default ones: options of the architectures,
            or ``"learning_rate"``, ``"optimizer"``, ``"batch_size"``, ``"augment"`` and
            ``"image_size"``. ``"resnet9.filters"`` is the option of that architecture only.
        space: Values to try by name: ``"16,32,64"``, ``"1e-4..1e-2:log"`` or a list. A name that
            is not in `tune` is searched as well.
        learning_rate: Learning rate of the defaults, the centre of the searched range.

    Returns:
        The space.

    Raises:
        UnknownArchitectureError: An architecture is not installed.
        OptionError: A name is not an option of any of the architectures.
        ArgumentError: Values are out of range, or nothing is searched.

    Example:
        >>> space = make_space("three_conv", space={"filters": "16,32"})
        >>> [dimension.name for dimension in space.dimensions]
        ['learning_rate', 'filters', 'pooling']
    """
    loaded = _load(architectures)
    given = {name: _text(values) for name, values in (space or {}).items()}
    if tune is None:
        found = {item.key: item for item in _default_dimensions(loaded)}
    else:
        found = {
            item.key: item for name in tune for item in _dimensions(loaded, name.strip(), None)
        }
    rate = TRAINING_OPTIONS[0]
    if rate.name in found:
        found[rate.name] = default_dimension(rate, learning_rate=learning_rate)
    for name, text in given.items():
        found.update({item.key: item for item in _dimensions(loaded, name.strip(), text)})
    if not found and len(loaded) == 1:
        raise ArgumentError(
            "Nothing is searched: name something with --tune or --space, such as learning_rate."
        )
    return Space(tuple(item.name for item in loaded), tuple(found.values()))


def parse_spaces(assignments: Iterable[str]) -> dict[str, str]:
    """Split ``["filters=16,32", ...]`` of a command line into names and texts of values."""
    spaces = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise ArgumentError(
                f"{assignment!r} is not a search space: write name=16,32,64 or name=1e-4..1e-2:log."
            )
        spaces[name.strip()] = text
    return spaces


def _load(architectures: str | Sequence[str]) -> list[Architecture]:
    names = architectures.split(",") if isinstance(architectures, str) else list(architectures)
    for name in names:
        # A trial runs in a process of its own, which looks the architecture up by name.
        if not isinstance(name, str):
            raise ArgumentError(
                f"{name!r} cannot be searched: give the name of an installed architecture."
            )
    unique = list(dict.fromkeys(name.strip() for name in names))
    if not unique:
        raise ArgumentError("No architecture is given: name one, such as three_conv.")
    # A function in a plain file is found by path and name, not by its name alone.
    return [replace(load_architecture(name), name=name) for name in unique]


def _text(values: str | Sequence[Value]) -> str:
    return values if isinstance(values, str) else ",".join(map(str, values))


def _default_dimensions(loaded: Sequence[Architecture]) -> list[Dimension]:
    rate = default_dimension(TRAINING_OPTIONS[0])
    own = [
        default_dimension(option, architecture.name)
        for architecture in loaded
        for option in _own_options(architecture)
        if option.searched
    ]
    return [rate, *own]


def _own_options(architecture: Architecture) -> tuple[Option, ...]:
    """Return an architecture's options, except those with the name of a training option."""
    return tuple(option for option in architecture.options if option.name not in TRAINING_NAMES)


def _dimensions(loaded: Sequence[Architecture], name: str, text: str | None) -> list[Dimension]:
    """Return the dimensions of a name: a training option, or options of the architectures."""
    training = find_option(TRAINING_OPTIONS, name)
    if training is not None:
        return [_dimension(training, text, None)]
    owner, _, bare = name.rpartition(".")
    found = []
    for architecture in loaded:
        option = find_option(_own_options(architecture), bare)
        if option is not None and owner in ("", architecture.name):
            found.append(_dimension(option, text, architecture.name))
    if not found:
        raise OptionError(_unknown_message(loaded, name))
    return found


def _dimension(option: Option, text: str | None, architecture: str | None) -> Dimension:
    if text is None:
        return default_dimension(option, architecture)
    return parse_dimension(option, text, architecture)


def _unknown_message(loaded: Sequence[Architecture], name: str) -> str:
    options = [option.name for item in loaded for option in _own_options(item)]
    known = list(dict.fromkeys([*options, *TRAINING_NAMES]))
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    owners = " or ".join(repr(item.name) for item in loaded)
    return f"{name!r} cannot be searched with {owners}.{hint} Known: {', '.join(known)}."
