"""The options of an architecture, read from its signature.

An option is one keyword-only parameter of an architecture function. Its annotation declares the
valid values and, with ``search=``, those that a search tries::

    def my_net(
        input_shape, num_classes, *,
        filters: Annotated[int, Int(8, 256, search=[16, 32, 64])] = 32,
        dropout: Annotated[float, Float(0.0, 0.9)] = 0.5,
        pooling: Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])] = "max",
        activation: Literal["relu", "gelu"] = "relu",
    ): ...
"""

from __future__ import annotations

import difflib
import functools
import inspect
import types
import typing
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from imgclf.arguments import plain_number
from imgclf.errors import ContractError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imgclf.packaged_weights import PackagedWeights

__all__ = [
    "WEIGHTS_ENDING",
    "WITHOUT_WEIGHTS",
    "Choice",
    "Float",
    "Int",
    "Option",
    "Weights",
    "is_pretrained",
    "parse_option",
    "read_options",
    "resolve_options",
    "values_of",
    "without_weights",
]

Value = bool | int | float | str | None
"""An option's value: JSON, so that the classifier's file can record it."""


@dataclass(frozen=True, slots=True)
class Int:
    """Whole numbers from `minimum` to `maximum`, both included.

    Attributes:
        minimum: Smallest valid value.
        maximum: Largest valid value.
        search: Values that a search tries by default; empty keeps the option out of the
            default search.
        log: Whether a search over the whole range is logarithmic.
        was: The option's earlier name, which files and callers may still use; empty without one.

    Example:
        >>> Int(8, 256, search=[16, 32, 64]).accepted
        'a whole number from 8 to 256'
    """

    minimum: int
    maximum: int
    _: KW_ONLY
    search: Sequence[int] = ()
    log: bool = False
    was: str = ""

    def __post_init__(self) -> None:
        """Freeze the list."""
        object.__setattr__(self, "search", tuple(self.search))

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        return f"a whole number from {self.minimum} to {self.maximum}"

    def accepts(self, value: object) -> bool:
        """Tell whether `value` is valid."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        return whole and self.minimum <= typing.cast("int", value) <= self.maximum

    def parse(self, text: str) -> Value:
        """Turn command-line text into a value.

        Raises:
            ValueError: It is no whole number.
        """
        return int(text)


@dataclass(frozen=True, slots=True)
class Float:
    """Numbers from `minimum` to `maximum`, both included.

    Attributes:
        minimum: Smallest valid value.
        maximum: Largest valid value.
        search: Values that a search tries by default; empty keeps the option out of the
            default search.
        log: Whether a search over the whole range is logarithmic.
        was: The option's earlier name, which files and callers may still use; empty without one.

    Example:
        >>> Float(0.0, 0.9, search=[0.0, 0.3, 0.5]).accepts(1.0)
        False
    """

    minimum: float
    maximum: float
    _: KW_ONLY
    search: Sequence[float] = ()
    log: bool = False
    was: str = ""

    def __post_init__(self) -> None:
        """Freeze the list."""
        object.__setattr__(self, "search", tuple(self.search))

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        return f"a number from {self.minimum:g} to {self.maximum:g}"

    def accepts(self, value: object) -> bool:
        """Tell whether `value` is valid; whole numbers are, NaN is not."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and self.minimum <= typing.cast("float", value) <= self.maximum

    def parse(self, text: str) -> Value:
        """Turn command-line text into a value.

        Raises:
            ValueError: It is no number.
        """
        return float(text)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few values, which come from the annotation's ``Literal`` (or ``bool``).

    Attributes:
        search: Values that a search tries by default; empty keeps the option out of the
            default search.
        values: All valid values; filled in from the annotation when it is read.
        was: The option's earlier name, which files and callers may still use; empty without one.

    Example:
        >>> Choice(search=["max", "avg"]).search
        ('max', 'avg')
    """

    _: KW_ONLY
    search: Sequence[Value] = ()
    values: Sequence[Value] = ()
    was: str = ""

    def __post_init__(self) -> None:
        """Freeze the lists."""
        object.__setattr__(self, "search", tuple(self.search))
        object.__setattr__(self, "values", tuple(self.values))

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        return "one of " + ", ".join(repr(value) for value in self.values)

    def accepts(self, value: object) -> bool:
        """Tell whether `value` is valid; 1 is not True here."""
        return any(value == valid and type(value) is type(valid) for valid in self.values)

    def parse(self, text: str) -> Value:
        """Turn command-line text into the value that prints like it.

        Raises:
            ValueError: No value does.
        """
        for value in self.values:
            if text == str(value) or text.lower() == str(value).lower():
                return value
        raise ValueError(text)


WITHOUT_WEIGHTS = "none"
"""The value of a `Weights` option that leaves a network with its random first weights."""

WEIGHTS_ENDING = ".h5"
"""How the name of a weights file ends: ``.h5`` as Keras publishes them, or ``.weights.h5``."""


@dataclass(frozen=True, slots=True)
class Weights(Choice):
    """Where a network's first weights come from: a name, ``"none"``, or the path of a file.

    The value records the origin of the weights and nothing else: the classifier's file holds all
    weights, and its network is always built with ``"none"``, so that loading it fetches nothing::

        def my_net(input_shape, num_classes, *, weights: Annotated[str, Weights()] = "none"): ...

    Attributes:
        names: Weights that the architecture knows by name.
        packaged: Tells, from the values of all options, in which file of an installed package the
            named weights lie; None where they are fetched.
        search: Values that a search tries by default.
        values: ``"none"`` and the names.

    Example:
        >>> Weights().accepts("imagenet"), Weights().accepts("random")
        (True, False)
    """

    names: Sequence[str] = ("imagenet",)
    packaged: Callable[[Mapping[str, Value]], PackagedWeights] | None = None

    def __post_init__(self) -> None:
        """Freeze the lists."""
        Choice.__post_init__(self)
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "values", (WITHOUT_WEIGHTS, *self.names))

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        names = ", ".join(repr(value) for value in self.values)
        return f"one of {names}, or the path of a weights file that ends in {WEIGHTS_ENDING}"

    def accepts(self, value: object) -> bool:
        """Tell whether `value` is a name or looks like the path of a weights file."""
        is_file = isinstance(value, str) and value.lower().endswith(WEIGHTS_ENDING)
        return is_file or Choice.accepts(self, value)

    def names_file(self, value: object) -> bool:
        """Tell whether `value` is the path of a file."""
        return self.accepts(value) and value not in self.values


Range = Int | Float | Choice

RESERVED_NAMES = frozenset({"architecture", "data_format", "input_shape", "num_classes", "seed"})
"""Keywords of `imgclf.build_model` itself: an option of that name could never be given."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option of an architecture.

    Attributes:
        name: The keyword in ``build_model(...)`` and in ``--set name=value``.
        range: Valid values, and those that a search tries.
        default: The default.
    """

    name: str
    range: Range
    default: Value

    @property
    def searched(self) -> bool:
        """Whether the option belongs to the default search."""
        return bool(self.range.search)


def read_options(architecture: Callable[..., Any], name: str) -> tuple[Option, ...]:
    """Read the options of an architecture from its signature, in the order of its parameters.

    Only the keyword-only annotations are evaluated, one by one in the function's own globals:
    the return annotation may name a type that was never imported.

    Args:
        architecture: The architecture function.
        name: Its name in error messages.

    Returns:
        One `Option` per keyword-only parameter.

    Raises:
        ContractError: The signature is not ``(input_shape, num_classes, *, ...)``, or a
            keyword-only parameter has a reserved name, no usable annotation or no default, or
            its bounds are empty or refuse its own default or search values.

    Example:
        >>> def my_net(input_shape, num_classes, *, pooling: Literal["max", "avg"] = "max"): ...
        >>> [option.name for option in read_options(my_net, "my_net")]
        ['pooling']
    """
    parameters = _parameters(architecture, name)
    options = tuple(
        _read_option(architecture, parameter, name)
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    )
    names = [option.name for option in options] + [option.range.was for option in options]
    for option in options:
        if option.range.was and names.count(option.range.was) > 1:
            raise ContractError(
                f"Option {option.name!r} of architecture {name!r} was called {option.range.was!r}, "
                "as another option is or was: give each name to one."
            )
    return options


def _parameters(architecture: Callable[..., Any], name: str) -> list[inspect.Parameter]:
    """List the parameters, after a check that two are positional: the shape and the classes."""
    expected = "its signature must be (input_shape, num_classes, *, option=..., ...)."
    try:
        parameters = list(inspect.signature(architecture).parameters.values())
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"Architecture {name!r} has no signature to read options from: {expected}"
        ) from error
    positional = [
        parameter.name
        for parameter in parameters
        if parameter.kind
        in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(positional) > 2:
        raise ContractError(
            f"Option {positional[2]!r} of architecture {name!r} is positional: {expected}"
        )
    if len(positional) < 2:
        raise ContractError(f"Architecture {name!r} takes ({', '.join(positional)}): {expected}")
    return parameters


def _read_option(
    architecture: Callable[..., Any], parameter: inspect.Parameter, name: str
) -> Option:
    where = f"Option {parameter.name!r} of architecture {name!r}"
    if parameter.name in RESERVED_NAMES:
        raise ContractError(f"{where} has a name that build_model itself uses: rename it.")
    if parameter.default is inspect.Parameter.empty:
        raise ContractError(
            f"{where} has no default: give it one, so that the name alone is enough to build it."
        )
    option_range = _range_of(_evaluate(architecture, parameter.annotation, where))
    if option_range is None:
        raise ContractError(
            f"{where} has no type with valid values: annotate it as Literal[...], bool, "
            "Annotated[int, Int(minimum, maximum)] or Annotated[float, Float(minimum, maximum)]."
        )
    if isinstance(option_range, (Int, Float)):
        _check_bounds(option_range, where)
    for value in (parameter.default, *option_range.search):
        if not option_range.accepts(value):
            raise ContractError(
                f"{where} declares {value!r}, which its own bounds refuse: {option_range.accepted}."
            )
    return Option(parameter.name, option_range, parameter.default)


def _check_bounds(option_range: Int | Float, where: str) -> None:
    if not option_range.minimum <= option_range.maximum:
        raise ContractError(f"{where} accepts nothing: {option_range.accepted}.")
    if option_range.log and option_range.minimum <= 0:
        raise ContractError(
            f"{where} is searched on a logarithmic scale (log=True) from {option_range.minimum:g}: "
            "give a minimum above 0."
        )


def _evaluate(architecture: Callable[..., Any], annotation: Any, where: str) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        # The text is part of a function that will be called anyway.
        return eval(annotation, _globals_of(architecture))  # noqa: S307
    except Exception as error:
        raise ContractError(
            f"{where} has the annotation {annotation!r}, which cannot be evaluated ({error}): "
            "import what it names at the top of its module, not under TYPE_CHECKING."
        ) from error


def _globals_of(architecture: Callable[..., Any]) -> dict[str, Any]:
    """Return the names that an architecture's own module sees, through partials and wrappers."""
    function: Any = inspect.unwrap(architecture)
    while isinstance(function, functools.partial):
        function = inspect.unwrap(function.func)
    if not hasattr(function, "__globals__"):  # a callable object
        function = type(function).__call__
    return getattr(function, "__globals__", {})


def _range_of(annotation: Any) -> Range | None:
    """Return the range that an annotation declares, or None where it declares none."""
    declared: Range | None = None
    if typing.get_origin(annotation) is Annotated:
        annotation, *metadata = typing.get_args(annotation)
        declared = next((item for item in metadata if isinstance(item, Range)), None)
    if isinstance(declared, (Int, Float, Weights)):
        return declared
    values = values_of(annotation) or (declared.values if declared else ())
    if not values:
        return None
    if declared is None:
        return Choice(values=values)
    return Choice(search=declared.search, values=values, was=declared.was)


def values_of(annotation: Any) -> tuple[Value, ...]:
    """List the values of ``Literal[...]``, ``bool``, ``None`` and unions of them.

    Args:
        annotation: A type.

    Returns:
        The values; empty for any other type.

    Example:
        >>> values_of(Literal["max", "avg"])
        ('max', 'avg')
    """
    if annotation is bool:
        return (False, True)
    if annotation is types.NoneType or annotation is None:
        return (None,)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        parts = [values_of(part) for part in typing.get_args(annotation)]
        return tuple(value for part in parts for value in part) if all(parts) else ()
    return ()


def resolve_options(
    name: str, options: Sequence[Option], given: Mapping[str, object]
) -> dict[str, Value]:
    """Check the given values and add the defaults of all others.

    Args:
        name: The architecture's name, for the message.
        options: What `read_options` returned for it.
        given: Option names and values.

    Returns:
        A value for every option, in the order of `options`.

    Raises:
        OptionError: A name is unknown or a value is not valid.
    """
    known = {option.name: option for option in options}
    given = _with_names_of_today(
        name, options, {key: plain_number(value) for key, value in given.items()}
    )
    for key, value in given.items():
        option = known.get(key) or _unknown(name, key, known)
        if not option.range.accepts(value):
            raise OptionError(
                f"Option {key!r} of architecture {name!r} is {value!r}; "
                f"it accepts {option.range.accepted}."
            )
    return {
        option.name: typing.cast("Value", given.get(option.name, option.default))
        for option in options
    }


def _with_names_of_today(
    name: str, options: Sequence[Option], given: Mapping[str, object]
) -> dict[str, object]:
    """Return values under the names that the options have now."""
    renamed = {option.range.was: option.name for option in options if option.range.was}
    found: dict[str, object] = {}
    for key, value in given.items():
        today = renamed.get(key, key)
        if today in found or (today != key and today in given):
            raise OptionError(
                f"Option {today!r} of architecture {name!r} is given twice, as {key!r} too, its "
                "earlier name: give it once."
            )
        found[today] = value
    return found


def without_weights(options: Sequence[Option], values: Mapping[str, Value]) -> dict[str, Value]:
    """Return values with which a network is built without fetching or reading any weights.

    Args:
        options: What `read_options` returned.
        values: A value for every option, or for some.

    Returns:
        The values; those of `Weights` options are ``"none"``.
    """
    ours = {option.name: WITHOUT_WEIGHTS for option in options if isinstance(option.range, Weights)}
    return {**values, **ours}


def is_pretrained(options: Sequence[Option], values: Mapping[str, Value]) -> bool:
    """Tell whether values select pretrained weights.

    Args:
        options: What `read_options` returned.
        values: Option names and values; what is missing has its default.

    Returns:
        Whether a `Weights` option is anything but ``"none"``.
    """
    return any(
        values.get(option.name, option.default) != WITHOUT_WEIGHTS
        for option in options
        if isinstance(option.range, Weights)
    )


def parse_option(name: str, options: Sequence[Option], assignment: str) -> tuple[str, Value]:
    """Turn ``"filters=64"`` from a command line into a checked name and value.

    Args:
        name: The architecture's name, for the message.
        options: What `read_options` returned for it.
        assignment: Text of the form ``name=value``.

    Returns:
        The option's name and its value.

    Raises:
        OptionError: The text has no ``=``, the name is unknown or the value is not valid.
    """
    key, separator, text = assignment.partition("=")
    key = key.strip()
    if not separator:
        raise OptionError(f"{assignment!r} is not an option: write name=value, as in filters=64.")
    known = {option.name: option for option in options}
    option = known.get(key) or _unknown(name, key, known)
    try:
        value = option.range.parse(text.strip())
    except ValueError:
        value = text.strip()
    return key, resolve_options(name, options, {key: value})[key]


def _unknown(name: str, key: str, known: Mapping[str, Option]) -> typing.NoReturn:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    accepted = ", ".join(known) or "none"
    raise OptionError(f"Architecture {name!r} has no option {key!r}.{hint} It has: {accepted}.")
