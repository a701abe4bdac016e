"""The promises of the error tree."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import imgclf
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


def texts_of(module: Path) -> Iterator[str]:
    """Yield the texts of a module that are no docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    described = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and id(node) not in described:
            yield node.value


def test_no_message_advises_to_delete_what_is_the_users() -> None:
    """A file that imgclf cannot use may be dear to somebody: it is named, and left where it is."""
    advice = re.compile(
        r"\b(delete|remove|erase) (it|them|him|the (file|folder|image|cop)|this)", re.I
    )
    source = Path(imgclf.__file__).parent
    found = [
        f"{module.relative_to(source)}: {text}"
        for module in sorted(source.rglob("*.py"))
        for text in texts_of(module)
        if advice.search(text)
    ]
    assert found == []
