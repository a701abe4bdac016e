"""The classifiers that a server answers with, by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgclf.errors import ArgumentError
from imgclf.serving.problems import Problem
from imgclf.serving.served import Served

__all__ = ["Served", "ServedClassifiers"]


class ServedClassifiers:
    """The classifiers of a server; iterating gives each `Served`.

    Several threads may ask while another one replaces a classifier: a request keeps what it got.

    Args:
        served: The classifiers, of different names.

    Raises:
        ArgumentError: There is none, or two have the same name.
    """

    def __init__(self, served: Sequence[Served]) -> None:
        if not served:
            raise ArgumentError("There is no classifier to serve: give at least one .imgclf file.")
        self._served = {one.name: one for one in served}
        if len(self._served) < len(served):
            names = ", ".join(one.name for one in served)
            raise ArgumentError(f"Two classifiers have the same name ({names}): rename one.")

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
        """Return a classifier by its name.

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
                given=f"the classifier {name!r}",
                accepted=", ".join(self.names),
                remedy="name one of these",
            )
        return self._served[name]

    def replace(self, served: Served) -> None:
        """Let another classifier answer from the next request on.

        Args:
            served: The classifier, of a name that is known.
        """
        assert served.name in self._served
        self._served[served.name] = served
