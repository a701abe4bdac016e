"""The promises of the error tree."""

from __future__ import annotations

import pickle
import re

import pytest

from imgclf import errors

NAMES = [name for name in errors.__all__ if name.endswith("Error")]
ALL = [getattr(errors, name) for name in NAMES]


@pytest.mark.parametrize("error", ALL)
def test_every_error_derives_from_the_root_and_a_built_in(error: type[Exception]) -> None:
    """`except ImgclfError` catches all, and so does the built-in one would catch anyway."""
    assert issubclass(error, errors.ImgclfError)
    if error is not errors.ImgclfError:
        built_in = [
            parent
            for parent in error.__mro__
            if parent.__module__ == "builtins" and parent not in (Exception, BaseException, object)
        ]
        assert built_in


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    """The drawing names every error with the built-in that it also is."""
    drawn = dict(re.findall(r"── (\w+)(?: \((\w+)\))?", errors.__doc__ or ""))
    assert set(drawn) == set(NAMES) - {"ImgclfError"}
    for name, built_in in drawn.items():
        parents = {parent.__name__ for parent in getattr(errors, name).__mro__}
        assert not built_in or built_in in parents


@pytest.mark.parametrize("error", [error for error in ALL if error is not errors.ImageError])
def test_a_message_prints_as_given(error: type[Exception]) -> None:
    """No error decorates its message, also after a journey through pickle."""
    one = error("a/b does not exist: give a folder.")
    assert str(one) == "a/b does not exist: give a folder."
    assert str(pickle.loads(pickle.dumps(one))) == str(one)  # noqa: S301 - our own bytes


def test_an_image_error_keeps_its_reason_through_pickle() -> None:
    """Worker processes send image errors home with their reason code."""
    one = pickle.loads(pickle.dumps(errors.ImageError("truncated", "ends early")))  # noqa: S301
    assert (one.reason, str(one)) == ("truncated", "ends early")


def test_a_strangers_exception_becomes_one_line() -> None:
    """Line breaks and colours go; the type stays, also where there is no text."""
    assert (
        errors.in_one_line(ValueError("\x1b[1mwrong\x1b[0m\n\n  shape"))
        == "ValueError: wrong shape"
    )
    assert errors.in_one_line(SystemExit()) == "SystemExit"
