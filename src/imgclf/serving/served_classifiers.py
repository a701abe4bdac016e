"""The classifiers that a server answers with, by name."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import load
from imgclf.errors import ArgumentError
from imgclf.serving.problems import Problem

__all__ = ["Served", "ServedClassifiers"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """A classifier that is served; a reload makes another one.

    Attributes:
        name: Its name in addresses and answers.
        path: Its file; None for one that was made in this process.
        version: ``"sha256:..."`` of the file's bytes.
        classifier: What answers.
    """

    name: str
    path: Path | None
    version: str
    classifier: Classifier


class ServedClassifiers:
    """The classifiers of a server; iterating gives each `Served`.

    Args:
        served: The classifiers, of different names.

    Raises:
        ArgumentError: There is none, or two have the same name.
    """

    def __init__(self, served: Sequence[Served]) -> None:
        if not served:
            raise ArgumentError("There is no classifier to serve: give at least one .imgclf file.")
        self._served: dict[str, Served] = {}
        for one in served:
            other = self._served.get(one.name)
            if other is not None:
                raise ArgumentError(
                    f"{other.path} and {one.path} would both be served as {one.name!r}: give one "
                    "of them another name, as NAME=PATH."
                )
            self._served[one.name] = one

    @classmethod
    def of_files(cls, paths: Mapping[str, str | os.PathLike[str]]) -> ServedClassifiers:
        """Load classifiers from files.

        Args:
            paths: The files, by the names under which they are served.

        Returns:
            The classifiers.
        """
        return cls([load_served(name, Path(path)) for name, path in paths.items()])

    def __iter__(self) -> Iterator[Served]:
        """Give each classifier, in the order in which they were given."""
        return iter(list(self._served.values()))

    def __len__(self) -> int:
        """Count the classifiers."""
        return len(self._served)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they were given."""
        return tuple(self._served)

    def get(self, name: str | None) -> Served:
        """Return a classifier by its name; a request keeps the one that it has got.

        Args:
            name: The name; None for the only one.

        Returns:
            The classifier of this moment.

        Raises:
            Problem: There is none of this name, or none was named and there are several.
        """
        if name is None:
            if len(self._served) > 1:
                raise Problem(
                    "classifier_not_named",
                    given="no classifier",
                    accepted=", ".join(self.names),
                    remedy="name one: ?classifier=NAME",
                )
            return next(iter(self._served.values()))
        if name not in self._served:
            raise Problem(
                "unknown_classifier",
                given=f"classifier {name!r}",
                accepted=", ".join(self.names),
                remedy="name one of these",
            )
        return self._served[name]


def load_served(name: str, path: Path) -> Served:
    """Load a classifier from its file.

    Args:
        name: The name under which it is served.
        path: The file.

    Returns:
        The classifier, and the hash of the file that it was read from.
    """
    classifier = load(path)
    return Served(name, path, _version(path.read_bytes()), classifier)


def _version(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
