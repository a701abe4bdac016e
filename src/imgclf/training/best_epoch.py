"""Keeping the weights of the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

__all__ = ["BestEpoch"]


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best validation accuracy, and restores them.

    Of equal accuracies, the lower validation loss is better. Unlike Keras' `EarlyStopping`, it
    restores the weights after an exception and Ctrl-C as well, because `imgclf.fit` calls it then.

    Attributes:
        best_epoch: Counted from 0; None before the first epoch with a finite validation loss.
        score: Validation accuracy and negative loss of the best epoch.
        weights: Its weights; empty before there is one.
    """

    def __init__(
        self,
        patience: int | None = None,
        weights_of: Callable[[keras.Model], Sequence[Any]] = keras.Model.get_weights,
    ) -> None:
        """Keep the best weights.

        Args:
            patience: Early stopping: epochs without improvement that end the training; None never.
            weights_of: Returns the weights that were measured.
        """
        super().__init__()
        self._weights_of = weights_of
        self.patience = patience
        self.best_epoch: int | None = None
        self.score = (-math.inf, -math.inf)
        self.weights: Sequence[Any] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Compare the epoch with the best one so far."""
        loss = (logs or {}).get("val_loss", math.nan)
        if math.isfinite(loss):
            score = ((logs or {}).get("val_accuracy", -math.inf), -loss)
            if score > self.score:
                self.score, self.best_epoch = score, epoch
                self.weights = self._weights_of(self.model)
        waited = epoch - (self.best_epoch if self.best_epoch is not None else -1)
        if self.patience is not None and waited >= self.patience:
            self.model.stop_training = True

    def restore(self) -> None:
        """Restore the weights of the best epoch, if there is one."""
        if self.weights:
            self.model.set_weights(self.weights)
