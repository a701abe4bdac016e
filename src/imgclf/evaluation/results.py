"""The result of an evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isnan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imgclf.arguments import whole_number
from imgclf.classifiers.abstention import Selective
from imgclf.classifiers.bundle import Figures
from imgclf.classifiers.familiarity import UNFAMILIAR_BELOW
from imgclf.data.division.samples import Quarantined
from imgclf.evaluation.card import evaluation_card, mistakes_picture
from imgclf.evaluation.verdict import TrainingFacts, verdict
from imgclf.figures.confusion import most_confused_pairs
from imgclf.figures.intervals import Interval
from imgclf.figures.metrics import ClassificationMetrics
from imgclf.figures.predictions import predicted_classes
from imgclf.figures.shares import shown_range, shown_share
from imgclf.pictures.confusion_matrix import confusion_picture
from imgclf.pictures.picture import Picture

__all__ = ["Evaluation", "figures_of"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Evaluation:
    """The figures of an evaluation, and the predictions behind them.

    Attributes:
        metrics: The figures; see `ClassificationMetrics`.
        class_names: Names of the classes, in the classifier's order.
        paths: ``(num_images,)`` absolute paths.
        labels: ``(num_images,)`` true class indices.
        probabilities: float64 ``(num_images, num_classes)``.
        quarantined: Files that look like images but could not be used.
        warnings: Remarks, one line each.
        nearest_mean_accuracy: Accuracy of a baseline, the nearest class mean on 8 x 8 thumbnails,
            0 to 1; None where the classifier has no fingerprints of its training images.
        num_seen: Images that were training images, by content.
        selective: Coverage and precision with abstention; None without `min_precision`.
        familiarity: float64 ``(num_images,)``, similarity of each image to the training images, as
            in `Prediction`; None where the classifier has no such score.
        training: What is known of the training, for the advice in `verdict`.

    Example:
        >>> result = imgclf.evaluate(clf, "data/test")               # doctest: +SKIP
        >>> result.accuracy, result.interval.low, result.interval.high  # doctest: +SKIP
        >>> {item.class_name: item.recall for item in result.metrics.classes}  # doctest: +SKIP
    """

    metrics: ClassificationMetrics
    class_names: tuple[str, ...]
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    quarantined: tuple[Quarantined, ...] = ()
    warnings: tuple[str, ...] = ()
    nearest_mean_accuracy: float | None = None
    num_seen: int = 0
    selective: Selective | None = None
    familiarity: NDArray[np.float64] | None = None
    training: TrainingFacts | None = None

    def __repr__(self) -> str:
        """Show the accuracy, its interval, and the remarks in full: they change what it means."""
        remarks, of = "".join(f"; {text}" for text in self.warnings), self.metrics.num_images
        return (
            f"<Evaluation: {self.metrics.num_correct} of {of} images right, "
            f"{shown_share(self.accuracy, of)} (95% interval "
            f"{shown_range(self.interval.low, self.interval.high, of)}){remarks}>"
        )

    @property
    def verdict(self) -> tuple[str, ...]:
        """What the figures mean, in one to three sentences.

        Example:
            >>> print(*result.verdict)                               # doctest: +SKIP
            About 98 of 100 new images like these will be right, give or take 2.
        """
        return verdict(
            self.metrics.confusion, self.class_names, self.training, num_seen=self.num_seen
        )

    def _repr_html_(self) -> str:
        return evaluation_card(self.metrics, self.class_names, self.verdict, self.warnings)

    def plot_confusion_matrix(self) -> Picture:
        """Draw the confusion matrix: rows true, columns predicted.

        Returns:
            A picture, which a notebook shows; ``.save(path)`` and ``.to_matplotlib()`` keep it.

        Example:
            >>> result.plot_confusion_matrix()                       # doctest: +SKIP
            >>> result.plot_confusion_matrix().to_matplotlib()       # doctest: +SKIP
        """
        return confusion_picture(self.metrics.confusion, self.class_names)

    def show_mistakes(self, most: int = 24) -> Picture:
        """Show the images that are answered wrongly, the surest answers first.

        Args:
            most: Images at the most, from 1 on.

        Returns:
            A picture, which a notebook shows; ``.save("mistakes.html")`` keeps it.

        Raises:
            ArgumentError: `most` is no number from 1 on.

        Example:
            >>> result.show_mistakes(12)                             # doctest: +SKIP
        """
        return mistakes_picture(
            self.labels,
            self.probabilities,
            self.paths,
            self.class_names,
            whole_number("most", most),
        )

    @property
    def accuracy(self) -> float:
        """Share of images that are classified correctly, 0 to 1."""
        return self.metrics.accuracy

    @property
    def interval(self) -> Interval:
        """95% Wilson interval of the accuracy."""
        return self.metrics.accuracy_interval

    @property
    def predicted(self) -> NDArray[np.int64]:
        """``(num_images,)`` predicted class indices."""
        return predicted_classes(self.probabilities)

    @property
    def num_unfamiliar(self) -> int | None:
        """Number of images flagged as out of distribution; 5% of usual images are."""
        if self.familiarity is None:
            return None
        return int((self.familiarity < UNFAMILIAR_BELOW).sum())

    def as_dict(self) -> dict[str, Any]:
        """Return figures, classes and left-out files as plain values for JSON."""
        return {
            **self.metrics.as_dict(),
            "class_names": list(self.class_names),
            "confused_pairs": self._pairs(),
            "nearest_mean_accuracy": self.nearest_mean_accuracy,
            "num_seen": self.num_seen,
            "num_unfamiliar": self.num_unfamiliar,
            "selective": _without_nan(self.selective),
            "quarantined": [
                {"path": item.path, "reason": item.reason, "message": item.message}
                for item in self.quarantined
            ],
            "warnings": list(self.warnings),
        }

    def figures(self, split: Literal["test", "val"]) -> Figures:
        """Return the figures of a split that the classifier's file records."""
        return figures_of(self.metrics, split)

    def _pairs(self) -> list[dict[str, Any]]:
        return [
            {
                "true": self.class_names[pair.true_class],
                "predicted": self.class_names[pair.predicted_class],
                "num_images": pair.num_images,
            }
            for pair in most_confused_pairs(self.metrics.confusion)
        ]


def figures_of(metrics: ClassificationMetrics, split: Literal["test", "val"]) -> Figures:
    """Return the figures of a split that a classifier's file records.

    Args:
        metrics: Of the split's images.
        split: Its name.

    Returns:
        The figures.
    """
    return Figures(
        split=split,
        num_images=metrics.num_images,
        accuracy=metrics.accuracy,
        accuracy_low=metrics.accuracy_interval.low,
        accuracy_high=metrics.accuracy_interval.high,
        majority_accuracy=metrics.majority.accuracy,
    )


def _without_nan(selective: Selective | None) -> dict[str, Any] | None:
    """Return plain values, None for the precision of no answers."""
    if selective is None:
        return None
    values = asdict(selective)
    return {name: None if isnan(value) else value for name, value in values.items()}
