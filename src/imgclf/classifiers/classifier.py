"""A trained network together with its classes and its input policy."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np

from imgclf.arguments import whole_number
from imgclf.classifiers.abstention import find_threshold
from imgclf.classifiers.answers import Engine, EnginePool, FeatureWatch, LiteRtEngine
from imgclf.classifiers.calibration import apply_temperature
from imgclf.classifiers.card import classifier_card, shown_classes
from imgclf.classifiers.familiarity import Familiarity
from imgclf.classifiers.fingerprints import TrainingFingerprints
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.prediction import Prediction
from imgclf.classifiers.record import ClassifierRecord, ConvertedNetwork
from imgclf.data.pixels.decoder import Source, decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.sources import as_missing, decode_sources, expand_sources, path_of
from imgclf.engines.litert import LiteRtNetwork
from imgclf.errors import ArgumentError, EngineError, ImageError
from imgclf.machine.startup import without_notes
from imgclf.zoo.builder import origin_of

if TYPE_CHECKING:
    import keras
    from numpy.typing import NDArray

    from imgclf.classifiers.bundle import CalibrationRecord, DataRecord, Figures

    with without_notes():
        from imgclf.classifiers.explanation import Explanation
    from imgclf.data.batches.dataset import Batches

_logger = logging.getLogger(__name__)

__all__ = ["Classifier"]

OnError = Literal["raise", "leave_out", "none"]
"""What becomes of an image that cannot be decoded."""


class Classifier:
    """A network that knows the names of its classes and how to read any image.

    It is whole when it is made, and never changes; `with_changes` makes another one of it.

    Example:
        >>> clf = imgclf.Classifier(model, train)            # doctest: +SKIP
        >>> clf.predict("new.jpg")[0].label                  # doctest: +SKIP
        'cat'
    """

    def __init__(
        self,
        model: keras.Model,
        batches: Batches,
        *,
        calibrate: Batches | None = None,
        figures: Figures | None = None,
        data: DataRecord | None = None,
        mirrored: bool = False,
    ) -> None:
        """Join a network and what it was trained on.

        Args:
            model: A float32 classifier whose last layer is a sigmoid or a softmax.
            batches: The training batches of `imgclf.make_generators`: they carry classes and input
                policy.
            calibrate: The validation batches: probabilities are calibrated on them, thresholds for
                ``min_precision`` are found, and images unlike them and the training images are
                flagged, as `imgclf.train` does. None leaves the network's own probabilities.
            figures: What was measured on held-out images, as `Evaluation.figures` gives it.
            data: Which images it was trained on.
            mirrored: Whether predictions are the mean over each image and its mirror image.

        Raises:
            ArgumentError: `batches` carries no classes, or the model does not fit it or answers no
                probabilities.
        """
        from imgclf.classifiers.heads import require_network

        with without_notes():
            from imgclf.classifiers.inference import make_engine
        from imgclf.data.batches.dataset import Batches

        require_network(model)
        if not isinstance(batches, Batches):
            raise ArgumentError(
                f"{type(batches).__name__} carries no class names: pass the batches that "
                "imgclf.make_generators returned, Classifier(model, train)."
            )
        self._record = ClassifierRecord(
            network=LazyModel(model),
            class_names=batches.class_names,
            policy=batches.policy,
            figures=figures,
            data=data,
            mirrored=mirrored,
        )
        self._engine: Engine = make_engine(model, batches.policy, mirrored=mirrored)
        if calibrate is not None:
            from imgclf.classifiers.held_out_parts import learn_parts

            self._record = replace(self._record, **learn_parts(self, batches, calibrate))

    @classmethod
    def of(cls, record: ClassifierRecord, engine: Engine | None = None) -> Classifier:
        """Make the classifier that a record describes, as loading does.

        Args:
            record: All that makes it this one.
            engine: What runs its network; None makes that of Keras.

        Returns:
            The classifier.
        """
        classifier = cls.__new__(cls)
        classifier._record = record  # noqa: SLF001 - its own
        if engine is None:
            with without_notes():
                from imgclf.classifiers.inference import make_engine

            engine = make_engine(record.model, record.policy, mirrored=record.mirrored)
        classifier._engine = engine  # noqa: SLF001 - its own
        return classifier

    def as_saved(self) -> Classifier:
        """Return this classifier with the engine that answers when its file is loaded.

        Its network is converted for LiteRT, with the weights of this moment. Where that is not
        possible, because LiteRT is missing or does not know a layer, Keras goes on answering.

        Returns:
            The classifier.
        """
        if self._engine.name == "litert":
            return self
        with without_notes():
            from imgclf.classifiers.answer_network import convert_answers
        from imgclf.engines.fingerprint import network_fingerprint

        record = self._record
        try:
            content = convert_answers(record.model, record.policy, mirrored=record.mirrored)
            engine = LiteRtEngine(LiteRtNetwork(content))
        except EngineError as error:
            _logger.info("%s Keras answers.", error)
            return self
        converted = ConvertedNetwork(content, network_fingerprint(record.model))
        return Classifier.of(replace(record, converted=converted), engine)

    def for_calls_at_once(self, num_calls: int) -> Classifier:
        """Return this classifier with as many copies of its network, for several threads.

        Load it with ``num_threads=1`` first: one processor for each call answers more calls than
        all processors for one after the other. Where Keras answers, nothing is copied.

        Args:
            num_calls: Calls that are answered at a time, from 1 on.

        Returns:
            The classifier; its answers are the same.
        """
        engine, converted = self._engine, self.record.converted
        if not isinstance(engine, LiteRtEngine) or converted is None:
            return self
        others = [
            LiteRtEngine(LiteRtNetwork(converted.content, num_threads=1))
            for _ in range(num_calls - 1)
        ]
        return Classifier.of(self.record, EnginePool([engine, *others]))

    def with_changes(
        self,
        *,
        figures: Figures | None = None,
        data: DataRecord | None = None,
        calibration: CalibrationRecord | None = None,
        familiarity: Familiarity | None = None,
        fingerprints: TrainingFingerprints | None = None,
        file: Path | None = None,
        network: LazyModel | None = None,
    ) -> Classifier:
        """Return the same network with more that is known of it; None keeps what is known.

        Args:
            figures: What was measured on held-out images.
            data: Which images it was trained on.
            calibration: Temperature and thresholds.
            familiarity: What training images look like to the network.
            fingerprints: Of the training images.
            file: Where it is saved.
            network: The same Keras network, from elsewhere.

        Returns:
            The other classifier.

        Example:
            >>> figures = imgclf.evaluate(clf, val).figures("val")       # doctest: +SKIP
            >>> tested = clf.with_changes(figures=figures)               # doctest: +SKIP
        """
        known = {
            "figures": figures, "data": data, "calibration": calibration,
            "familiarity": familiarity, "fingerprints": fingerprints, "file": file,
            "network": network,
        }  # fmt: skip
        changes: dict[str, Any] = {name: part for name, part in known.items() if part is not None}
        return Classifier.of(replace(self._record, **changes), self._engine)

    @property
    def record(self) -> ClassifierRecord:
        """All that makes it this classifier."""
        return self._record

    @property
    def model(self) -> keras.Model:
        """The Keras model; of a loaded classifier it is built when you first ask."""
        return self.record.model

    @property
    def engine(self) -> str:
        """What computes its answers: ``"litert"`` or ``"keras"``."""
        return self._engine.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the outputs."""
        return tuple(self.record.class_names)

    @property
    def policy(self) -> InputPolicy:
        """How images are resized and which channels they have."""
        return self.record.policy

    @property
    def figures(self) -> Figures | None:
        """What was measured on held-out images, if anything was."""
        return self.record.figures

    @property
    def data(self) -> DataRecord | None:
        """Which images it was trained on, if that is known."""
        return self.record.data

    @property
    def calibration(self) -> CalibrationRecord | None:
        """Temperature and thresholds; every prediction is calibrated with them."""
        return self.record.calibration

    def __repr__(self) -> str:
        """Show classes, input and accuracy."""
        height, width = self.policy.image_size
        figures = self.figures
        accuracy = (
            ""
            if figures is None
            else f", {figures.accuracy:.1%} of {figures.num_images} {figures.split} images right"
        )
        classes = shown_classes(self.class_names, most=5)
        return f"<Classifier of {classes}; {height} x {width} pixels, {self.engine}{accuracy}>"

    def _repr_html_(self) -> str:
        return classifier_card(self.record, self.engine)

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
        """Show which parts of an image led to a class.

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
        """Show which parts of decoded images led to a class, for a few images in one pass.

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

    def predict_pixels(self, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Classify images that are already decoded and resized.

        Args:
            batches: Arrays ``(batch, height, width, channels)``, uint8, 0..255, of the policy's
                size; always channels last.

        Returns:
            float64 ``(num_images, num_classes)``, rows sum to 1.
        """
        return self._calibrated(self._engine(batches))

    def judge_pixels(
        self, batches: Iterable[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Classify decoded images, and say of each how familiar it looks, in the same pass.

        Args:
            batches: As for `predict_pixels`.

        Returns:
            The probabilities, float64 ``(num_images, num_classes)``; and the familiarity, float64
            ``(num_images,)``, 0 to 1, as in `Prediction`, or None where the classifier does not
            know.
        """
        familiarity = self.record.familiarity
        if familiarity is None:
            return self.predict_pixels(batches), None
        measured: list[NDArray[np.float64]] = []
        probabilities = self._engine(
            batches, lambda features: measured.append(familiarity.measure(features))
        )
        return self._calibrated(probabilities), np.concatenate([np.zeros(0), *measured])

    def features(self, batches: Iterable[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Return what the network makes of decoded images before its head.

        Args:
            batches: As for `predict_pixels`.

        Returns:
            float32 ``(num_images, features)`` of each layer that `feature_tensors`
            finds: the last map of each size, averaged over its places, then what the head reads.
        """
        sizes = self.feature_sizes
        chunks = [[np.zeros((0, size), np.float32) for size in sizes]]
        self._engine(batches, chunks.append)
        return [np.concatenate(parts) for parts in zip(*chunks, strict=True)]

    @property
    def feature_sizes(self) -> list[int]:
        """Number of features of each array that `features` returns."""
        return list(self._engine.feature_sizes)

    def uncalibrated(
        self, pixels: NDArray[np.uint8], watch: FeatureWatch | None = None
    ) -> NDArray[np.float64]:
        """Return the network's own probabilities for decoded images, as `predict_pixels` does."""
        return self._engine([pixels], watch)

    def _calibrated(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.calibration is None or not len(probabilities):
            return probabilities
        return apply_temperature(probabilities, self.calibration.temperature)

    def threshold(self, min_precision: float) -> float:
        """Return how sure an answer must be, for this share of such answers to be right.

        Args:
            min_precision: Wanted share, above 0 and at most 1.

        Returns:
            The lowest accepted probability; it was chosen on the validation images.

        Raises:
            ArgumentError: The classifier has no thresholds, or none that reaches the precision.
        """
        if self.calibration is None:
            raise ArgumentError(
                "This classifier has no thresholds, because it was not calibrated on validation "
                "images: train it with imgclf.train, or leave min_precision out."
            )
        table = [(entry.min_precision, entry.value) for entry in self.calibration.thresholds]
        return find_threshold(table, min_precision)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save the classifier as one bundle, whole or not at all.

        Args:
            path: The file, by custom with the ending ``.imgclf``; its folder must exist.

        Returns:
            The path.

        Raises:
            BundleError: The file cannot be written, or the network was not built by
                `imgclf.build_model`, so that nobody could build it again.

        Example:
            >>> clf.save("pets.imgclf")                                     # doctest: +SKIP
        """
        with without_notes():
            from imgclf.classifiers.packer import pack

        return pack(self.record, path)

    def to_bytes(self) -> bytes:
        """Return the content of the classifier's file, for a database or another process.

        Copies and pickles of a classifier are made through it, too.

        Returns:
            What `save` writes; `imgclf.load` reads it.

        Raises:
            BundleError: As for `save`.

        Example:
            >>> again = imgclf.load(clf.to_bytes())                         # doctest: +SKIP
        """
        with tempfile.TemporaryDirectory(prefix="imgclf-") as folder:
            return self.save(Path(folder) / "classifier.imgclf").read_bytes()

    def __reduce__(self) -> tuple[Callable[..., Classifier], tuple[bytes]]:
        """Pickle and copy through the content of the file: nothing but that is trusted."""
        # `load` stands above this module; the public door knows the way to it.
        load: Callable[..., Classifier] = importlib.import_module("imgclf").load
        # Of a function of no package the network was built when it was loaded.
        origin = origin_of(self.model) if self.record.network.is_built else None
        if origin is not None and origin.architecture.registration is None:
            # A function of no package is pickled as every function is: by its name.
            load = functools.partial(load, architecture=origin.architecture.function)
        return load, (self.to_bytes(),)

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
