"""What a training returns beside the fitted network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from imgclf.errors import ArgumentError
from imgclf.pictures.curves import curves_picture
from imgclf.pictures.markup import card
from imgclf.pictures.picture import Picture

__all__ = ["FitResult"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        """Show the number of epochs and the last figures, or those of the best epoch."""
        last = self.epochs - 1 if self.best_epoch is None else self.best_epoch
        figures = ", ".join(f"{name} {values[last]:.3f}" for name, values in self.history.items())
        which = "last" if self.best_epoch is None else "best"
        return f"<FitResult: {self.epochs} epochs; {which}: epoch {last + 1}, {figures}>"

    def _repr_html_(self) -> str:
        best = "" if self.best_epoch is None else f", the best one is number {self.best_epoch + 1}"
        try:
            curves = [self.plot_history().html]
        except ArgumentError:  # A cell shows what there is, even of a training that went wrong.
            curves = []
        return card(f"{self.epochs} epochs{best}", curves)

    def plot_history(self) -> Picture:
        """Draw the learning curves: loss and accuracy of each epoch, the best one marked.

        Returns:
            A picture, which a notebook shows; ``.save(path)`` and ``.to_matplotlib()`` keep it.

        Raises:
            ArgumentError: There is no loss and no accuracy in the history.

        Example:
            >>> result = FitResult({"loss": [0.9, 0.4], "val_loss": [0.8, 0.5]}, best_epoch=1)
            >>> result.plot_history()
            <Picture: Learning curves; a notebook shows it, .save('picture.html') keeps it>
        """
        return curves_picture(
            self.history, None if self.best_epoch is None else self.best_epoch + 1
        )

    @property
    def epochs(self) -> int:
        """Number of epochs that were trained."""
        return len(next(iter(self.history.values()), ()))
