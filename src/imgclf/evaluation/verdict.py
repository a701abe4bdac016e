"""What the figures of an evaluation mean, in sentences for people who do not read tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgclf.figures.confusion import most_confused_pairs
from imgclf.figures.intervals import Interval, wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TrainingFacts", "verdict"]

FEWEST_MISTAKES = 3
"""Mistakes of one kind from which on they are more than an accident."""

ONE_SIDED = 0.8
"""Share of the answers from which on a classifier is said to give always the same one."""

FEW_PER_CLASS = 100
"""Training images of a class below which more of them help most."""

UNEQUAL = 3
"""How many times the images of the rarest class the most frequent one has where it misleads."""

MOST_ADVICE = 4

WIDE = 0.1
"""Width of a 95% interval from which on more test images are asked for."""


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What is known of a training, for advice that fits it.

    Attributes:
        num_train: Training images; None where that is unknown.
        is_pretrained: Whether the network began with pretrained weights; None where that is
            unknown.
    """

    num_train: int | None = None
    is_pretrained: bool | None = None


def verdict(
    confusion: NDArray[np.int64],
    class_names: Sequence[str],
    training: TrainingFacts | None = None,
    *,
    num_seen: int = 0,
) -> tuple[str, ...]:
    """Say how good a classifier is, what it gets wrong, and what to do where it learned nothing.

    Args:
        confusion: ``(num_classes, num_classes)``, images that it did not learn from; rows are true
            classes, columns predicted ones.
        class_names: Names of the classes.
        training: What is known of its training.
        num_seen: Images that it has learned from all the same.

    Returns:
        One to three sentences.

    Example:
        >>> verdict(np.array([[145, 5], [1, 149]]), ["cat", "dog"])[0]
        'About 98 of 100 new images like these will be right, give or take 2.'
    """
    num_images, num_correct = int(confusion.sum()), int(np.trace(confusion))
    supports = confusion.sum(axis=1)
    accuracy, interval = num_correct / num_images, wilson_interval(num_correct, num_images)
    usual = supports.max() / num_images
    if len(class_names) > 1 and interval.low <= usual:
        if accuracy >= (1 + usual) / 2:
            return _too_few(confusion, class_names)
        advice = _what_to_try(supports, training or TrainingFacts())
        return (_nothing_learned(confusion, class_names), advice)
    sentences = [
        _on_training_images(num_correct, num_images, num_seen)
        if num_seen
        else _how_good(num_correct, num_images, interval)
    ]
    pairs = most_confused_pairs(confusion)
    if pairs and pairs[0].num_images >= FEWEST_MISTAKES:
        true, answered = pairs[0].true_class, pairs[0].predicted_class
        back = int(confusion[answered, true])
        also = f", {back} the other way round" if back else ""
        sentences.append(
            f"The most frequent mistake: {class_names[true]} is taken for {class_names[answered]} "
            f"({pairs[0].num_images} of {supports[true]}{also})."
        )
    if interval.high - interval.low > WIDE and not num_seen:
        sentences.append(f"{num_images} test images are few: with more, the figure is surer.")
    return tuple(sentences)


def _too_few(confusion: NDArray[np.int64], class_names: Sequence[str]) -> tuple[str, ...]:
    """Say that most are right, and that so few images cannot tell it from guessing."""
    supports = confusion.sum(axis=1)
    usual, rarest = class_names[int(supports.argmax())], class_names[int(supports.argmin())]
    right = f"{np.trace(confusion)} of {confusion.sum()} images are right, too few to tell how good"
    guessed = f'it is: always answering "{usual}" would get {supports.max()}.'
    return (f"{right} {guessed}", f"Measure on more images, of {rarest} above all.")


def _on_training_images(num_correct: int, num_images: int, num_seen: int) -> str:
    """Say that the figure is of images that the classifier knows, in part or all."""
    seen = "they" if num_seen == num_images else f"{num_seen:,} of them"
    return (
        f"{num_correct:,} of {num_images:,} images are right, but {seen} were training images: "
        "of new ones fewer will be."
    )


def _how_good(num_correct: int, num_images: int, interval: Interval) -> str:
    """Say how many of a hundred new images will be right, and how sure that is."""
    if num_correct == num_images:
        least = math.floor(100 * interval.low)
        return (
            f"All {num_images} images are right; of 100 new images like these at least {least} "
            "will be."
        )
    accuracy = num_correct / num_images
    half = max(accuracy - interval.low, interval.high - accuracy)
    right, margin = _in_a_hundred(accuracy), max(1, round(100 * half))
    first = f"About {right} of 100 new images like these will be right"
    if round(100 * accuracy) + margin > 100:
        return f"{first}, at least {math.floor(100 * interval.low)} of them."
    return f"{first}, give or take {margin}."


def _nothing_learned(confusion: NDArray[np.int64], class_names: Sequence[str]) -> str:
    answered = confusion.sum(axis=0)
    most = int(answered.argmax())
    if answered[most] == confusion.sum():
        return f'It has learned nothing: it always answers "{class_names[most]}".'
    if answered[most] >= ONE_SIDED * confusion.sum():
        return f'It has learned nothing: it nearly always answers "{class_names[most]}".'
    usual = class_names[int(confusion.sum(axis=1).argmax())]
    return f'It is no better than guessing: always answering "{usual}" does as well.'


def _what_to_try(supports: NDArray[np.int64], training: TrainingFacts) -> str:
    """Name what helps, by the facts; the likeliest first."""
    num_train, advice = training.num_train, []
    if num_train is not None and num_train < FEW_PER_CLASS * len(supports):
        advice.append(
            f"more images ({num_train} to learn from are few, {FEW_PER_CLASS} per class are better)"
        )
    if training.is_pretrained is False:
        advice.append("a pretrained network (name no architecture)")
    if supports.max() > UNEQUAL * max(1, supports.min()):
        advice.append("class_weight balanced, because some classes are rare")
    advice.append("checking the labels (imgclf check)")
    if training.is_pretrained is False or len(advice) < MOST_ADVICE:
        advice.append("more epochs")
    return f"Try {_either(advice[:MOST_ADVICE])}."


def _either(items: Sequence[str]) -> str:
    return ", or ".join(filter(None, (", ".join(items[:-1]), items[-1])))


def _in_a_hundred(share: float) -> str:
    """Return a share of 100; one that is not 1 never becomes 100."""
    rounded = round(100 * share)
    return f"{math.floor(1000 * share) / 10}" if rounded == 100 and share < 1 else str(rounded)
