"""The promises of options: bounds, defaults and search values from a signature."""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgclf.errors import ContractError, OptionError
from imgclf.options import (
    Choice,
    Float,
    Int,
    Weights,
    is_pretrained,
    parse_option,
    read_options,
    resolve_options,
    without_weights,
)


def deferred(
    input_shape: Any,
    num_classes: int,
    *,
    filters: Annotated[int, Int(8, 256, search=[16, 32])] = 32,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.5,
    pooling: Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])] = "max",
    activation: Literal["relu", "gelu"] = "relu",
    normalised: bool = True,
    kernel: Annotated[int, Choice(values=[3, 5])] = 3,
    depth: Optional[Literal[1, 2]] = None,  # noqa: UP045 - both spellings must work
) -> keras.Model:  # type: ignore[name-defined]  # noqa: F821 - nothing may evaluate this
    """An architecture whose annotations are text, as ``from __future__`` makes them."""


EVALUATED = """
from typing import Annotated, Literal, Optional
from imgclf.options import Choice, Float, Int

def evaluated(
    input_shape, num_classes, *,
    filters: Annotated[int, Int(8, 256, search=[16, 32])] = 32,
    dropout: Annotated[float, Float(0.0, 0.9)] = 0.5,
    pooling: Annotated[Literal["max", "avg"], Choice(search=["max", "avg"])] = "max",
    activation: Literal["relu", "gelu"] = "relu",
    normalised: bool = True,
    kernel: Annotated[int, Choice(values=[3, 5])] = 3,
    depth: Optional[Literal[1, 2]] = None,
): ...
"""

OPTIONS = read_options(deferred, "net")


def test_options_are_the_keyword_only_parameters_in_order() -> None:
    """The signature is the one source: names, defaults and order come from it."""
    assert {option.name: option.default for option in OPTIONS} == {
        "filters": 32,
        "dropout": 0.5,
        "pooling": "max",
        "activation": "relu",
        "normalised": True,
        "kernel": 3,
        "depth": None,
    }


def test_text_annotations_and_evaluated_ones_read_the_same() -> None:
    """`from __future__ import annotations` makes no difference."""
    namespace: dict[str, Any] = {}
    exec(compile(EVALUATED, "plugin.py", "exec", dont_inherit=True), namespace)  # noqa: S102
    assert not isinstance(namespace["evaluated"].__annotations__["filters"], str)
    assert read_options(namespace["evaluated"], "net") == OPTIONS


def test_only_options_with_search_values_join_the_default_search() -> None:
    """`search=` is what puts an option into the tuner's default search."""
    assert [option.name for option in OPTIONS if option.searched] == ["filters", "pooling"]


def _decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return wrapper


@pytest.mark.parametrize(
    "wrap",
    [
        functools.partial,
        _decorated,
        lambda function: functools.partial(_decorated(function)),
    ],
    ids=["partial", "decorated", "both"],
)
def test_wrapped_functions_keep_their_options(wrap: Any) -> None:
    """Decorators and partials may stand around an architecture."""
    assert read_options(wrap(deferred), "net") == OPTIONS


def test_a_callable_object_is_an_architecture_too() -> None:
    """An object with `__call__` has the options of its call."""

    class Net:
        def __call__(
            self, input_shape: Any, num_classes: int, *, kind: Literal["a", "b"] = "a"
        ) -> None: ...

    assert [option.name for option in read_options(Net(), "net")] == ["kind"]


@given(st.integers(-10, 10), st.integers(0, 20), st.integers(-40, 40))
def test_whole_numbers_are_accepted_exactly_within_their_bounds(
    low: int, span: int, value: int
) -> None:
    """Both bounds are included; nothing beyond them is."""
    assert Int(low, low + span).accepts(value) == (low <= value <= low + span)


@given(st.floats(-1, 1), st.floats(0, 2), st.floats(allow_nan=True, allow_infinity=True))
def test_numbers_are_accepted_exactly_within_their_bounds(
    low: float, span: float, value: float
) -> None:
    """Both bounds are included; NaN and infinity never are."""
    inside = not math.isnan(value) and low <= value <= low + span
    assert Float(low, low + span).accepts(value) == inside


@pytest.mark.parametrize("value", [True, 32.0, "32", None, [32]])
def test_a_whole_number_is_nothing_else(value: object) -> None:
    """Booleans, floats and text are not whole numbers."""
    assert not Int(0, 64).accepts(value)


@pytest.mark.parametrize("value", [True, "0.5", None])
def test_a_number_is_nothing_else(value: object) -> None:
    """Booleans and text are not numbers, whole numbers are."""
    assert not Float(0, 64).accepts(value)
    assert Float(0, 64).accepts(32)


def test_one_is_not_true() -> None:
    """Choices compare by type as well: a bundle records what was meant."""
    assert not Choice(values=[True, False]).accepts(1)
    assert not Choice(values=[1, 2]).accepts(True)


@given(
    st.dictionaries(
        st.sampled_from(["filters", "dropout", "pooling", "normalised", "kernel"]),
        st.one_of(st.integers(), st.floats(), st.text(max_size=5), st.booleans(), st.none()),
    )
)
def test_resolving_gives_every_option_a_valid_value_or_refuses(given_values: Any) -> None:
    """What is resolved is complete, in order, valid, and keeps what was given."""
    try:
        values = resolve_options("net", OPTIONS, given_values)
    except OptionError:
        ranges = {option.name: option.range for option in OPTIONS}
        assert not all(ranges[key].accepts(value) for key, value in given_values.items())
    else:
        assert list(values) == [option.name for option in OPTIONS]
        assert all(option.range.accepts(values[option.name]) for option in OPTIONS)
        assert all(values[key] is value for key, value in given_values.items())


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        (
            {"filters": 4},
            "Option 'filters' of architecture 'net' is 4; it accepts a whole number from 8 to 256.",
        ),
        (
            {"dropout": 1.5},
            "Option 'dropout' of architecture 'net' is 1.5; it accepts a number from 0 to 0.9.",
        ),
        (
            {"pooling": "min"},
            "Option 'pooling' of architecture 'net' is 'min'; it accepts one of 'max', 'avg'.",
        ),
        (
            {"poolng": "max"},
            (
                "Architecture 'net' has no option 'poolng'. Did you mean 'pooling'? "
                "It has: filters, dropout, pooling, activation, normalised, kernel, depth."
            ),
        ),
    ],
)
def test_errors_name_the_option_its_bounds_and_the_value(given_values: Any, message: str) -> None:
    """One line says what was given and what is accepted."""
    with pytest.raises(OptionError) as caught:
        resolve_options("net", OPTIONS, given_values)
    assert str(caught.value) == message


def test_an_architecture_without_options_says_so() -> None:
    """No list of names is shown where there are none."""
    with pytest.raises(OptionError, match=r"has no option 'filters'\. It has: none\."):
        resolve_options("net", (), {"filters": 1})


@given(st.integers(8, 256))
def test_command_line_text_of_a_whole_number_comes_back(value: int) -> None:
    """`--set filters=32` is the same as `filters=32`."""
    assert parse_option("net", OPTIONS, f"filters={value}") == ("filters", value)


@given(st.floats(0, 0.9))
def test_command_line_text_of_a_number_comes_back(value: float) -> None:
    """`--set dropout=0.3` is the same as `dropout=0.3`."""
    assert parse_option("net", OPTIONS, f" dropout = {value!r}") == ("dropout", value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pooling=AVG", ("pooling", "avg")),
        ("normalised=false", ("normalised", False)),
        ("kernel=5", ("kernel", 5)),
        ("depth=none", ("depth", None)),
        ("depth=2", ("depth", 2)),
    ],
)
def test_choices_are_typed_as_they_print(text: str, value: object) -> None:
    """Booleans, None and numbers have a spelling on the command line."""
    assert parse_option("net", OPTIONS, text) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filters", "'filters' is not an option: write name=value, as in filters=64."),
        ("filters=many", "'filters' of architecture 'net' is 'many'; it accepts a whole"),
        ("filters=", "'filters' of architecture 'net' is ''; it accepts a whole"),
        ("dropout=nan", "'dropout' of architecture 'net' is nan; it accepts a number from 0"),
        ("flters=8", "Did you mean 'filters'?"),
    ],
)
def test_wrong_command_line_text_is_refused(text: str, message: str) -> None:
    """The message repeats what was typed."""
    with pytest.raises(OptionError) as caught:
        parse_option("net", OPTIONS, text)
    assert message in str(caught.value)


def _no_type(input_shape: Any, num_classes: int, *, width=3) -> None: ...  # type: ignore[no-untyped-def]
def _bare_type(input_shape: Any, num_classes: int, *, width: int = 3) -> None: ...
def _no_default(input_shape: Any, num_classes: int, *, width: bool) -> None: ...
def _bad_default(
    input_shape: Any, num_classes: int, *, width: Annotated[int, Int(1, 2)] = 3
) -> None: ...
def _bad_search(
    input_shape: Any, num_classes: int, *, width: Annotated[int, Int(1, 9, search=[0])] = 3
) -> None: ...
def _unknown_name(
    input_shape: Any,
    num_classes: int,
    *,
    width: Elsewhere = 3,  # type: ignore[name-defined]  # noqa: F821 - the defect under test
) -> None: ...
def _reserved(input_shape: Any, num_classes: int, *, seed: Literal[1] = 1) -> None: ...
def _positional(input_shape: Any, num_classes: int, width: Literal[1] = 1) -> None: ...
def _empty_bounds(
    input_shape: Any, num_classes: int, *, width: Annotated[int, Int(9, 1)] = 3
) -> None: ...
def _log_of_zero(
    input_shape: Any, num_classes: int, *, width: Annotated[float, Float(0, 1, log=True)] = 1
) -> None: ...
def _one_argument(input_shape: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_no_type, "Option 'width' of architecture 'net' has no type with valid values"),
        (_bare_type, "Option 'width' of architecture 'net' has no type with valid values"),
        (_no_default, "Option 'width' of architecture 'net' has no default"),
        (_bad_default, "declares 3, which its own bounds refuse: a whole number from 1 to 2."),
        (_bad_search, "declares 0, which its own bounds refuse: a whole number from 1 to 9."),
        (_unknown_name, "has the annotation 'Elsewhere', which cannot be evaluated"),
        (_reserved, "Option 'seed' of architecture 'net' has a name that build_model itself uses"),
        (_positional, "Option 'width' of architecture 'net' is positional"),
        (_empty_bounds, "accepts nothing: a whole number from 9 to 1."),
        (_log_of_zero, "is searched on a logarithmic scale (log=True) from 0"),
        (_one_argument, "Architecture 'net' takes (input_shape): its signature must be"),
        (dict, "Architecture 'net'"),
    ],
)
def test_an_unusable_signature_is_a_contract_error(function: Any, message: str) -> None:
    """The author of an architecture reads which option is at fault and how to repair it."""
    with pytest.raises(ContractError) as caught:
        read_options(function, "net")
    assert message in str(caught.value)


def pretrained(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, Int(1, 9)] = 3,
    weights: Annotated[str, Weights(["photos"])] = "none",
) -> None:
    """An architecture whose first weights can come from elsewhere."""


@pytest.mark.parametrize("value", ["none", "photos", "some/folder/file.h5", "own.weights.h5"])
def test_weights_are_a_name_or_a_file(value: str) -> None:
    """``"none"``, a name that the architecture knows, or the path of a weights file."""
    options = read_options(pretrained, "pretrained")
    assert parse_option("pretrained", options, f"weights={value}") == ("weights", value)
    assert is_pretrained(options, {"weights": value}) == (value != "none")
    assert options[1].range.names_file(value) == value.endswith(".h5")


def test_other_weights_are_refused_with_what_is_accepted() -> None:
    """A mistyped name is not taken for a file."""
    options = read_options(pretrained, "pretrained")
    with pytest.raises(OptionError, match=r"'none', 'photos', or the path .* ends in \.h5"):
        parse_option("pretrained", options, "weights=photo")


def test_weights_are_left_out_of_a_rebuild() -> None:
    """Only the option of this kind is changed, whatever its value."""
    options = read_options(pretrained, "pretrained")
    assert without_weights(options, {"filters": 5, "weights": "own.h5"}) == {
        "filters": 5,
        "weights": "none",
    }
    assert not is_pretrained(options, {})


def test_an_earlier_name_is_understood() -> None:
    """Where an option says what it was called, a value under that name is its value."""

    def net(
        input_shape: Any,
        num_classes: int,
        *,
        width: Annotated[int, Int(1, 9, was="units")] = 2,
        pooling: Annotated[Literal["max", "avg"], Choice(was="pool")] = "max",
    ) -> None: ...

    options = read_options(net, "net")
    assert resolve_options("net", options, {"units": 5, "pool": "avg"}) == {
        "width": 5,
        "pooling": "avg",
    }
    with pytest.raises(OptionError, match="given twice"):
        resolve_options("net", options, {"units": 5, "width": 5})


def test_an_earlier_name_belongs_to_one_option() -> None:
    """Two options cannot share a name, be it an earlier one."""

    def net(
        input_shape: Any,
        num_classes: int,
        *,
        width: Annotated[int, Int(1, 9, was="depth")] = 2,
        depth: Annotated[int, Int(1, 9)] = 2,
    ) -> None: ...

    with pytest.raises(ContractError, match=r"'width'.* was called 'depth'"):
        read_options(net, "net")
