"""What a fit gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["FitResult"]


@dataclass(frozen=True, slots=True)
class FitResult:
    """The course of a fit, as `imgclf.fit` returns it.

    Attributes:
        history: One value per epoch of each figure, by name, as in Keras' ``History.history``: in
            training precision.
        best_epoch: The epoch whose weights the network has, counted from 0; None without
            validation images.
        head_epochs: Epochs at the beginning that trained the head alone.

    Example:
        >>> result = imgclf.fit(model, train, val, epochs=20)     # doctest: +SKIP
        >>> result.history["val_accuracy"][result.best_epoch]     # doctest: +SKIP
    """

    history: Mapping[str, list[float]]
    best_epoch: int | None
    head_epochs: int = 0

    @property
    def num_epochs(self) -> int:
        """Number of epochs."""
        return len(next(iter(self.history.values()), []))
