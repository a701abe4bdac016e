"""A network's answers to images of any kind: predictions, and what spoke for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np

from imgclf.arguments import whole_number
from imgclf.classifiers.pixel_classifier import PixelClassifier
from imgclf.classifiers.prediction import Prediction
from imgclf.data.pixels.decoder import Source, decode
from imgclf.data.pixels.sources import as_missing, decode_sources, expand_sources, path_of
from imgclf.errors import ArgumentError, ImageError
from imgclf.machine.startup import without_notes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    with without_notes():
        from imgclf.classifiers.explanation import Explanation

__all__ = ["ImageClassifier"]

OnError = Literal["raise", "leave_out", "none"]
"""What becomes of an image that cannot be decoded."""


class ImageClassifier(PixelClassifier):
    """What reads images, wherever they are, and classifies them."""

    @overload
    def predict(
        self,
        images: Source | Iterable[Source],
        *,
        strict: bool = True,
        on_error: Literal["raise", "leave_out"] | None = None,
        min_precision: float | None = None,
    ) -> list[Prediction]: ...

    @overload
    def predict(
        self,
        images: Source | Iterable[Source],
        *,
        strict: bool = True,
        on_error: Literal["none"],
        min_precision: float | None = None,
    ) -> list[Prediction | None]: ...

    def predict(
        self,
        images: Source | Iterable[Source],
        *,
        strict: bool = True,
        on_error: OnError | None = None,
        min_precision: float | None = None,
    ) -> list[Prediction] | list[Prediction | None]:
        """Classify images.

        Args:
            images: A path, a folder (all images in it and below), the content of a file as
                bytes, a PIL image, a uint8 array or tensor ``(height, width, channels)`` in RGB, or
                any iterable of these.
            strict: Raise at the first image that cannot be decoded; False leaves such images out
                and names them in a log warning.
            on_error: The same with three choices: ``"raise"``, ``"leave_out"``, or ``"none"``,
                which gives None in the place of such an image, so that results match inputs.
            min_precision: Accept only answers as sure as those of which this share was right on
                the validation images, above 0 and at most 1; the others have ``accepted`` false.
                None accepts all.

        Returns:
            One prediction for each image, in order; a folder's images in the order of their paths.

        Raises:
            DataNotFoundError: A path does not exist.
            ImageError: An image cannot be decoded, and that is to be raised.
            DataError: A folder holds no image.
            ArgumentError: `min_precision` cannot be reached, or something is no image.

        Example:
            >>> clf = imgclf.load("pets.imgclf")                            # doctest: +SKIP
            >>> [(p.path, p.label) for p in clf.predict("holiday/")]        # doctest: +SKIP
        """
        chosen = _on_error(on_error, strict=strict)
        threshold = 0.0 if min_precision is None else self.threshold(min_precision)
        return self._predict(list(expand_sources(images)), chosen, threshold)

    def predict_iter(
        self,
        images: Source | Iterable[Source],
        *,
        batch_size: int = 64,
        on_error: OnError = "raise",
        min_precision: float | None = None,
    ) -> Iterator[Prediction | None]:
        """Classify images one batch after the other, each when it is asked for.

        For more images than fit into memory, or that come one by one. The answers are those of
        `predict`.

        Args:
            images: As for `predict`; an iterable is gone through as far as it is needed.
            batch_size: Images that are read and classified at a time, from 1 on.
            on_error: As for `predict`; only ``"none"`` gives None.
            min_precision: As for `predict`.

        Returns:
            The predictions, in order.

        Raises:
            ArgumentError: As for `predict`; at once.

        Example:
            >>> for item in clf.predict_iter("holiday/"):            # doctest: +SKIP
            ...     print(item.path, item.label)
        """
        size = whole_number("batch_size", batch_size)
        chosen = _on_error(on_error, strict=True)
        threshold = 0.0 if min_precision is None else self.threshold(min_precision)
        sources = expand_sources(images)

        def predictions() -> Iterator[Prediction | None]:
            while batch := list(islice(sources, size)):
                yield from self._predict(batch, chosen, threshold)

        return predictions()

    def _predict(self, sources: Sequence[Source], on_error: OnError, threshold: float) -> list[Any]:
        """Classify single images."""
        kept: list[int] = []
        judged = self.judge_pixels(
            decode_sources(sources, self.policy, kept, strict=on_error == "raise")
        )
        paths = [path_of(sources[place]) for place in kept]
        found: list[Prediction | None] = [None] * len(sources)
        for place, prediction in zip(
            kept, self._predictions(paths, threshold, *judged), strict=True
        ):
            found[place] = prediction
        return found if on_error == "none" else [item for item in found if item is not None]

    def predict_decoded(
        self,
        pixels: NDArray[np.uint8],
        paths: Sequence[str | None],
        *,
        min_precision: float | None = None,
    ) -> list[Prediction]:
        """Classify images that are already decoded and resized, as `predict` does from there on.

        Args:
            pixels: uint8 ``(batch, height, width, channels)``, as for `predict_pixels`.
            paths: ``(batch,)``, the path of each for its prediction, or None.
            min_precision: As for `predict`.

        Returns:
            One prediction for each image, in order.

        Raises:
            ArgumentError: `min_precision` cannot be reached.
        """
        threshold = 0.0 if min_precision is None else self.threshold(min_precision)
        return self._predictions(paths, threshold, *self.judge_pixels([pixels]))

    def explain(self, image: Source, *, label: str | None = None) -> Explanation:
        """Show which parts of an image spoke for a class.

        Grad-CAM, or occlusion for networks without convolutions.

        Args:
            image: A path, bytes, a PIL image or an array, as for `predict`.
            label: The class to explain; None takes the most probable one.

        Returns:
            A heat map with the image as the network read it; ``explanation.overlay()`` is a picture
            of both.

        Raises:
            ImageError: The image cannot be decoded.
            ArgumentError: `label` is not a class.

        Example:
            >>> clf.explain("new.jpg").overlay().save("why.png")            # doctest: +SKIP
        """
        with without_notes():
            from imgclf.classifiers.explanation import Explanation

        if label is not None and label not in self.class_names:
            raise ArgumentError(f"label={label!r} is no class: give one of {self.class_names}.")
        sources = list(islice(expand_sources(image), 2))
        if len(sources) != 1:
            raise ArgumentError("explain takes one image: give a path, bytes, or an array of one.")
        try:
            pixels = decode(sources[0], self.policy)
        except ImageError as error:
            raise as_missing(error) from error
        row = self.predict_pixels([pixels[np.newaxis]])[0]
        index = int(row.argmax()) if label is None else self.class_names.index(label)
        (heatmap,), method = self.draw_heatmaps(pixels[np.newaxis], np.array([index]))
        return Explanation(self.class_names[index], float(row[index]), heatmap, pixels, method)

    def draw_heatmaps(
        self, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], Literal["grad_cam", "occlusion"]]:
        """Show which parts of decoded images spoke for a class, for a few images in one pass.

        Args:
            pixels: uint8 ``(batch, height, width, channels)``, as for `predict_pixels`.
            classes: ``(batch,)``, the index of the class to explain for each image.

        Returns:
            float32 ``(batch, height, width)``, 0 to 1, and how they were made; see `Explanation`.
        """
        with without_notes():
            from imgclf.classifiers.explanation import grad_cam, occlusion

        maps = grad_cam(self.model, self.policy, pixels, classes)
        if maps is not None:
            return maps, "grad_cam"
        covered = [
            occlusion(lambda batch: self.predict_pixels([batch]), image, int(index))
            for image, index in zip(pixels, classes, strict=True)
        ]
        return np.stack(covered), "occlusion"

    def _predictions(
        self,
        paths: Sequence[str | None],
        threshold: float,
        rows: NDArray[np.float64],
        familiarities: NDArray[np.float64] | None,
    ) -> list[Prediction]:
        known = [None] * len(rows) if familiarities is None else familiarities.tolist()
        return [
            self._prediction(path, row, threshold, familiarity)
            for path, row, familiarity in zip(paths, rows, known, strict=True)
        ]

    def _prediction(
        self,
        path: str | None,
        row: NDArray[np.float64],
        threshold: float,
        familiarity: float | None,
    ) -> Prediction:
        best = int(row.argmax())
        top = float(row[best])
        probabilities = dict(zip(self.class_names, row.tolist(), strict=True))
        label, accepted = self.class_names[best], top >= threshold
        return Prediction(path, label, top, probabilities, accepted, familiarity)


def _on_error(on_error: OnError | None, *, strict: bool) -> OnError:
    """Return what becomes of an image that cannot be decoded."""
    if on_error is None:
        return "raise" if strict else "leave_out"
    if on_error not in get_args(OnError):
        raise ArgumentError(
            f"on_error={on_error!r} is not accepted: give 'raise', 'leave_out' or 'none'."
        )
    return on_error
