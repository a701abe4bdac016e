"""What a classifier says of one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgclf.classifiers.familiarity import UNFAMILIAR_BELOW
from imgclf.figures.shares import shown_share

__all__ = ["Prediction"]

SURE = 0.8
"""Probability from which on the other classes are not worth a word."""

LEAST_NAMED = 0.05
"""Probability of a runner-up that is named."""

MOST_NAMED = 2
"""Runners-up that are named."""


@dataclass(frozen=True, slots=True, repr=False)
class Prediction:
    """What a classifier says of one image.

    Attributes:
        path: The image's path; None for an image that was given as pixels or bytes.
        label: Name of the most probable class; of equals the first.
        probability: Its probability, 0 to 1.
        probabilities: The probability of every class, by name, in the classifier's order.
        accepted: Whether the probability reaches the threshold of the precision that was asked
            for; always true where none was. `label` is the most probable class either way.
        familiarity: How much the image resembles the training images: the share of validation
            images that lie at least as far from them, 0 to 1; None where the classifier does not
            know.

    Example:
        >>> prediction = clf.predict("new.jpg")[0]                   # doctest: +SKIP
        >>> prediction.label, prediction.probability                 # doctest: +SKIP
    """

    path: str | None
    label: str
    probability: float
    probabilities: Mapping[str, float]
    accepted: bool = True
    familiarity: float | None = None

    def __repr__(self) -> str:
        """Show the answer, the runners-up where it is unsure, and the image."""
        answers = [(self.label, self.probability), *self.runners_up]
        shown = " or ".join(f"{name} {shown_share(probability)}" for name, probability in answers)
        flags = "".join(
            f", {flag}"
            for flag, is_set in (("unsure", not self.accepted), ("unfamiliar", self.unfamiliar))
            if is_set
        )
        return f"<Prediction: {shown}{flags}: {self.path or 'an image'}>"

    @property
    def runners_up(self) -> tuple[tuple[str, float], ...]:
        """The next likely classes with their probabilities; none below 5 %.

        Empty where the answer is sure: from 80 % on.

        Example:
            >>> row = {"cat": 0.55, "dog": 0.42, "owl": 0.03}
            >>> imgclf.Prediction("new.jpg", "cat", 0.55, row).runners_up
            (('dog', 0.42),)
        """
        if self.accepted and self.probability >= SURE:
            return ()
        others = [item for item in self.probabilities.items() if item[0] != self.label]
        others.sort(key=lambda item: -item[1])
        return tuple(item for item in others[:MOST_NAMED] if item[1] >= LEAST_NAMED)

    @property
    def index(self) -> int:
        """Index of the most probable class, in the classifier's order."""
        return list(self.probabilities).index(self.label)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, for JSON or a data frame.

        Example:
            >>> [item.as_dict() for item in clf.predict("holiday/")]     # doctest: +SKIP
        """
        return {
            "path": self.path,
            "label": self.label,
            "index": self.index,
            "probability": self.probability,
            "accepted": self.accepted,
            "familiarity": self.familiarity,
            "unfamiliar": self.unfamiliar,
            "probabilities": dict(self.probabilities),
        }

    @property
    def unfamiliar(self) -> bool:
        """Whether the image is less like the training images than 95 % of validation images."""
        return self.familiarity is not None and self.familiarity < UNFAMILIAR_BELOW
