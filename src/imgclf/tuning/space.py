"""The search space: read from the signatures of the architectures, narrowed or widened by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgclf.arguments import checked_names
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

__all__ = ["Space", "listed_architectures", "make_space", "parse_spaces"]

TRAINING_NAMES = tuple(option.name for option in TRAINING_OPTIONS)


@dataclass(frozen=True, slots=True)
class Space:
    """What a search may try.

    Attributes:
        architectures: Names of the architectures; more than one are a dimension of their own.
        dimensions: What else is searched. An architecture's options count only where that
            architecture is chosen.
    """

    architectures: tuple[str, ...]
    dimensions: tuple[Dimension, ...]

    def active(self, architecture: str) -> tuple[Dimension, ...]:
        """Return the dimensions that count for one architecture."""
        return tuple(
            dimension
            for dimension in self.dimensions
            if dimension.architecture in (None, architecture)
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all that is searched, for the columns of a table."""
        several = ("architecture",) if len(self.architectures) > 1 else ()
        return (*several, *dict.fromkeys(dimension.name for dimension in self.dimensions))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that say what is searched, for the study's key."""
        return {
            "architectures": list(self.architectures),
            **{dimension.key: dimension.text for dimension in self.dimensions},
        }


def make_space(
    architectures: str | Callable[..., Any] | Sequence[str | Callable[..., Any]],
    *,
    tune: Sequence[str] | None = None,
    space: Mapping[str, str | Sequence[Value]] | None = None,
    learning_rate: float = USUAL_RATE,
) -> Space:
    """Put a search space together, importing neither TensorFlow nor Keras.

    By default the learning rate is searched (a tenth to ten times of the study's own, in equal
    ratios), and every option that its architecture declares with ``search=``.

    Args:
        architectures: One name, several separated by commas, an architecture function, or a list
            of names and functions.
        tune: Names that are searched instead of the default ones: options of the architectures,
            or ``"learning_rate"``, ``"optimizer"``, ``"batch_size"``, ``"augment"`` and
            ``"image_size"``. One of two architectures is meant by ``"resnet9.filters"``.
        space: For single names the values to try: ``"16,32,64"``, ``"1e-4..1e-2:log"`` or a list.
            A name that is not in `tune` is searched as well.
        learning_rate: The study's own, around which others are searched.

    Returns:
        The space.

    Raises:
        UnknownArchitectureError: An architecture is not installed.
        OptionError: A name is no option of any of the architectures.
        ArgumentError: Values are out of bounds, or nothing is searched.

    Example:
        >>> space = make_space("three_conv", space={"filters": "16,32"})
        >>> [dimension.name for dimension in space.dimensions]
        ['learning_rate', 'filters', 'pooling']
    """
    loaded = _load(architectures)
    given = _given_spaces(space)
    if tune is not None:
        tune = checked_names("tune", tune, "names such as ['filters', 'learning_rate']")
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
    """Turn ``["filters=16,32", ...]`` of a command line into names and texts."""
    spaces = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator:
            raise ArgumentError(
                f"{assignment!r} is no search space: write name=16,32,64 or name=1e-4..1e-2:log."
            )
        spaces[name.strip()] = text
    return spaces


def listed_architectures(
    given: str | Callable[..., Any] | Sequence[str | Callable[..., Any]],
) -> list[str | Callable[..., Any]]:
    """Return what was given for the architectures of a search as a list.

    Args:
        given: One name, several separated by commas, a function, or a list of names and functions.

    Raises:
        ArgumentError: It is something else, or nothing.
    """
    if isinstance(given, str):
        listed: list[Any] = given.split(",")
    elif callable(given) or not isinstance(given, Iterable):
        listed = [given]
    else:
        listed = list(given)
    for item in listed:
        if not isinstance(item, str) and not callable(item):
            raise ArgumentError(
                f"{item!r} cannot be searched: give the name of an installed architecture, or an "
                "architecture function."
            )
    unique = list(dict.fromkeys(one.strip() if isinstance(one, str) else one for one in listed))
    if not unique:
        raise ArgumentError("No architecture is given: name one, such as three_conv.")
    return unique


def _load(
    architectures: str | Callable[..., Any] | Sequence[str | Callable[..., Any]],
) -> list[Architecture]:
    loaded = [load_architecture(item) for item in listed_architectures(architectures)]
    names = [item.name for item in loaded]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"Two of the architectures are called {name!r}: rename one.")
    return loaded


def _given_spaces(space: Mapping[str, str | Sequence[Value]] | None) -> dict[str, str]:
    """Return the texts of search spaces by name."""
    accepted = "values by name, such as {'filters': [16, 32], 'learning_rate': '1e-4..1e-2:log'}"
    if space is None:
        return {}
    if not isinstance(space, Mapping):
        raise ArgumentError(f"space={space!r} is not accepted: give {accepted}.")
    texts = {}
    for name, values in space.items():
        is_list = isinstance(values, Iterable) and not isinstance(values, (Mapping, bytes))
        if not isinstance(name, str) or not is_list:
            raise ArgumentError(f"space={{{name!r}: {values!r}}} is not accepted: give {accepted}.")
        texts[name] = values if isinstance(values, str) else ",".join(map(str, values))
    return texts


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
    """Return an architecture's options but those that share a training option's name."""
    return tuple(option for option in architecture.options if option.name not in TRAINING_NAMES)


def _dimensions(loaded: Sequence[Architecture], name: str, text: str | None) -> list[Dimension]:
    """Find what a name stands for: a training option, or an option of some architectures."""
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
