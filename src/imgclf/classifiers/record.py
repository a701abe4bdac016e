"""What a classifier is, as one frozen value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from imgclf.classifiers.bundle import CalibrationRecord, DataRecord, Figures
    from imgclf.classifiers.familiarity import Familiarity
    from imgclf.classifiers.fingerprints import TrainingFingerprints
    from imgclf.classifiers.lazy_model import LazyModel
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["ClassifierRecord", "ConvertedNetwork"]


@dataclass(frozen=True, slots=True, eq=False)
class ConvertedNetwork:
    """A network in LiteRT's format.

    Attributes:
        content: What `imgclf.classifiers.answer_network.convert_answers` returned.
        fingerprint: That of the Keras network that it was made from; None where it was read from
            the same file.
    """

    content: bytes
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassifierRecord:
    """All that makes a classifier this one.

    Attributes:
        network: A float32 network whose last layer is a sigmoid or a softmax; it may be built when
            it is asked for.
        class_names: Names of the classes, in the order of the outputs.
        policy: How images are resized and which channels they have.
        figures: What was measured on held-out images.
        data: Which images it was trained on.
        calibration: Temperature and thresholds, fitted on validation images. None leaves the
            network's own probabilities.
        familiarity: What training images look like to the network, to flag images that are unlike
            them; None flags none.
        fingerprints: Of the training images, to recognise them in an evaluation.
        file: Where the classifier was loaded from, or a training has saved it; None without a file.
        mirrored: Whether predictions are the mean over each image and its mirror image.
        converted: The network for LiteRT; None where it is made at saving.

    Raises:
        ArgumentError: The network does not fit classes and policy, or answers no probabilities.
    """

    network: LazyModel
    class_names: Sequence[str]
    policy: InputPolicy
    figures: Figures | None = None
    data: DataRecord | None = None
    calibration: CalibrationRecord | None = None
    familiarity: Familiarity | None = None
    fingerprints: TrainingFingerprints | None = None
    file: Path | None = None
    mirrored: bool = False
    converted: ConvertedNetwork | None = None

    def __post_init__(self) -> None:
        """Refuse a network for other classes or images."""
        object.__setattr__(self, "class_names", tuple(self.class_names))
        if self.network.is_built:
            self._require_fit()

    @property
    def model(self) -> keras.Model:
        """The Keras network."""
        return self.network.model

    def _require_fit(self) -> None:
        from imgclf.classifiers.heads import require_network, require_probabilities

        require_network(self.model)
        shape, outputs = tuple(self.model.input_shape[1:]), self.model.output_shape[-1]
        units = 1 if len(self.class_names) == 2 else len(self.class_names)
        if shape != self.policy.input_shape or outputs != units:
            raise ArgumentError(
                f"The model turns {shape} into {outputs} outputs; {len(self.class_names)} classes "
                f"of {self.policy.input_shape} images need {units}: build it with "
                "build_model(name, train.input_shape, num_classes=train.num_classes)."
            )
        require_probabilities(self.model, len(self.class_names))
