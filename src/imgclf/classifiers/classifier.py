"""A trained network with its classes and input policy: made, changed, shown and saved."""

from __future__ import annotations

import functools
import importlib
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.classifiers.answers import Engine, EnginePool, NetworkEngine
from imgclf.classifiers.card import classifier_card, shown_classes
from imgclf.classifiers.familiarity import Familiarity
from imgclf.classifiers.fingerprints import TrainingFingerprints
from imgclf.classifiers.image_classifier import ImageClassifier
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.record import ClassifierRecord, ConvertedNetwork
from imgclf.engines.litert import LiteRtNetwork
from imgclf.errors import ArgumentError, EngineError
from imgclf.figures.shares import shown_share
from imgclf.machine.startup import without_notes
from imgclf.zoo.builder import origin_of

if TYPE_CHECKING:
    import keras

    from imgclf.classifiers.bundle import CalibrationRecord, DataRecord, Figures
    from imgclf.data.batches.dataset import Batches

_logger = logging.getLogger(__name__)

__all__ = ["Classifier"]


class Classifier(ImageClassifier):
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
        record = ClassifierRecord(
            network=LazyModel(model),
            class_names=batches.class_names,
            policy=batches.policy,
            figures=figures,
            data=data,
            mirrored=mirrored,
        )
        super().__init__(record, make_engine(model, batches.policy, mirrored=mirrored))
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
        if engine is None:
            with without_notes():
                from imgclf.classifiers.inference import make_engine

            engine = make_engine(record.model, record.policy, mirrored=record.mirrored)
        classifier = cls.__new__(cls)
        ImageClassifier.__init__(classifier, record, engine)
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
            engine = NetworkEngine(LiteRtNetwork(content))
        except EngineError as error:
            _logger.info("%s Keras answers.", error)
            return self
        converted = ConvertedNetwork(content, network_fingerprint(record.model))
        return Classifier.of(replace(record, converted=converted), engine)

    def for_calls_at_once(self, num_calls: int) -> Classifier:
        """Return this classifier with as many copies of its network, for several threads.

        Load it with ``num_threads=1`` first: one processor for each call answers more calls than
        all processors for one after the other. Only LiteRT's networks are copied: others compute
        for several threads.

        Args:
            num_calls: Calls that are answered at a time, from 1 on.

        Returns:
            The classifier; its answers are the same.
        """
        engine, converted = self._engine, self.record.converted
        if not isinstance(engine, NetworkEngine) or engine.name != "litert" or converted is None:
            return self
        others = [
            NetworkEngine(LiteRtNetwork(converted.content, num_threads=1))
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
    def figures(self) -> Figures | None:
        """What was measured on held-out images, if anything was."""
        return self.record.figures

    @property
    def data(self) -> DataRecord | None:
        """Which images it was trained on, if that is known."""
        return self.record.data

    def __repr__(self) -> str:
        """Show classes, input and accuracy."""
        height, width = self.policy.image_size
        accuracy, figures = "", self.figures
        if figures is not None:
            share = shown_share(figures.accuracy, figures.num_images)
            accuracy = f", {share} of {figures.num_images} {figures.split} images right"
        classes = shown_classes(self.class_names, most=5)
        return f"<Classifier of {classes}; {height} x {width} pixels, {self.engine}{accuracy}>"

    def _repr_html_(self) -> str:
        return classifier_card(self.record, self.engine)

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
