"""What a training returns beside the fitted network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["FitResult"]


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """What `imgclf.fit` and `imgclf.fit_two_phase` return; `history` is that of Keras' `History`.

    Attributes:
        history: The figures of each epoch by name, in training precision: ``loss``, ``accuracy``
            and, with validation batches, ``val_loss`` and ``val_accuracy``.
        best_epoch: The epoch whose weights were kept, counted from 0; None without validation
            batches.
        head_epochs: Epochs of the head alone, which come first; 0 but for `imgclf.fit_two_phase`.

    Example:
        >>> result = FitResult({"val_accuracy": [0.5, 0.9, 0.8]}, best_epoch=1)
        >>> result.epochs, result.history["val_accuracy"][result.best_epoch]
        (3, 0.9)
    """

    history: Mapping[str, Sequence[float]]
    best_epoch: int | None = None
    head_epochs: int = 0

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained."""
        return len(next(iter(self.history.values()), ()))
