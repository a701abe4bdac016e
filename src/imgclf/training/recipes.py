"""Recipes: named sets of hyperparameters, chosen for the number of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from imgclf.data.batches.batch_size import usual_batch_size
from imgclf.errors import ArgumentError

__all__ = ["FINE_TUNE_EPOCHS", "RECIPES", "HeadCopies", "Recipe", "RecipeName", "choose_recipe"]

RecipeName = Literal["classic", "fast", "best"]
HeadCopies = Literal["none", "mirrored", "shifted"]

FINE_TUNE_EPOCHS = 5
"""Epochs of fine-tuning behind those of the head; each costs as much as hundreds of them."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained, whatever its architecture.

    Attributes:
        epochs: Number of epochs.
        batch_size: Images per batch.
        optimizer: Name of the optimizer; ``"auto"`` is Muon for networks with normalisation, which
            it needs, and Adam for others.
        learning_rate: Peak of the schedule; None is the optimizer's usual one.
        schedule: Learning-rate schedule.
        weight_decay: Weight decay; None is the optimizer's own.
        label_smoothing: Label smoothing, 0 to 1 (exclusive).
        average_weights: Whether the result is an exponential moving average of the weights.
        augment: Preset of the augmentation.
        mirrored_prediction: Whether predictions are the mean over an image and its mirror image.
        head_copies: Copies of each image that a linear head on frozen features learns from, too.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float | None
    schedule: Literal["constant", "cosine"]
    weight_decay: float | None
    label_smoothing: float
    average_weights: bool
    augment: str
    mirrored_prediction: bool
    head_copies: HeadCopies


RECIPES: tuple[RecipeName, ...] = ("classic", "fast", "best")
"""Names of the recipes."""


def choose_recipe(name: str, num_images: int) -> Recipe:
    """Choose how to train on a number of images.

    ``classic`` has the values of the beginner's recipe that imgclf grew from, whatever the number.
    ``fast`` and ``best`` go through fewer epochs the more images there are: the images that are
    seen in all grow with the square root of their number, so that a thousand are seen 40 (100)
    times and fifty thousand 6 (14) times. Small folders get small batches, because what
    networks lack there is steps.

    Args:
        name: ``"classic"``, ``"fast"`` or ``"best"``.
        num_images: Training images, about.

    Returns:
        The choices.

    Raises:
        ArgumentError: The name is unknown.

    Example:
        >>> choose_recipe("fast", 1_000).epochs, choose_recipe("fast", 50_000).epochs
        (40, 6)
    """
    if name == "classic":
        return Recipe(
            epochs=30,
            batch_size=32,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="constant",
            weight_decay=None,
            label_smoothing=0.0,
            average_weights=False,
            augment="classic",
            mirrored_prediction=False,
            head_copies="none",
        )
    if name not in RECIPES:
        raise ArgumentError(f"recipe={name!r} is not accepted: give one of {', '.join(RECIPES)}.")
    best = name == "best"
    return Recipe(
        epochs=_epochs(num_images, of_a_thousand=100 if best else 40),
        batch_size=usual_batch_size(num_images),
        optimizer="auto",
        learning_rate=None,
        schedule="cosine",
        weight_decay=None,
        label_smoothing=0.1,
        average_weights=best,
        augment="strong" if best else "light",
        mirrored_prediction=best,
        head_copies="shifted" if best else "none",
    )


FEWEST_EPOCHS, MOST_EPOCHS = 5, 200


def _epochs(num_images: int, of_a_thousand: int) -> int:
    """Return epochs so that the images seen in all grow with the square root of their number."""
    epochs = round(of_a_thousand * math.sqrt(1_000 / max(1, num_images)))
    return min(max(epochs, FEWEST_EPOCHS), MOST_EPOCHS)
