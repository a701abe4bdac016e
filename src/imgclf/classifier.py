"""A trained network together with its classes and its input policy."""

from __future__ import annotations

import datetime
import logging
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Literal, cast

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.bundle import (
    Bundle,
    CalibrationRecord,
    DataRecord,
    Figures,
    Manifest,
    read_bundle,
    write_bundle,
)
from imgclf.data.decoding import DECODER_VERSION, Source, decode
from imgclf.data.folder import find_images
from imgclf.data.generators import Batches
from imgclf.data.policy import InputPolicy
from imgclf.data.scanning import available_processors
from imgclf.errors import (
    ArgumentError,
    BundleError,
    DataError,
    DataNotFoundError,
    ImageError,
    ImgclfError,
    PluginError,
    UnknownArchitectureError,
)
from imgclf.evaluation.abstention import find_threshold
from imgclf.evaluation.calibration import apply_temperature
from imgclf.evaluation.explaining import Explanation, grad_cam, occlusion
from imgclf.inference import make_engine
from imgclf.models import named_weights, origin_of, rebuild_model
from imgclf.traces import TrainingTraces

__all__ = ["Classifier", "Prediction", "load"]

PROBE_TOLERANCE = 1e-4
"""Largest difference between the probe's stored output and the one on this machine."""

DECODE_AT_ONCE = 64
"""Images that are decoded ahead of the network."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a classifier says of one image.

    Attributes:
        path: The image's path; None for an image that was given as pixels or bytes.
        label: Name of the most probable class; of equals the first.
        probability: Its probability, 0 to 1.
        probabilities: The probability of every class, by name, in the classifier's order.
        accepted: Whether the probability reaches the threshold of the precision that was asked
            for; always true where none was. `label` is the most probable class either way.
    """

    path: str | None
    label: str
    probability: float
    probabilities: Mapping[str, float]
    accepted: bool = True


class Classifier:
    """A network that knows the names of its classes and how to read any image.

    Attributes:
        model: The Keras model.
        class_names: Names of the classes, in the order of the outputs.
        policy: How images are resized and which channels they have.
        figures: What was measured on held-out images, if anything was.
        data: Which images it was trained on, if that is known.
        calibration: Temperature and thresholds, fitted on validation images; every prediction is
            calibrated with it. None leaves the network's own probabilities.
        traces: What is remembered of the training images, to recognise them in an evaluation.

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
        figures: Figures | None = None,
        data: DataRecord | None = None,
    ) -> None:
        """Join a network and what it was trained on.

        Args:
            model: A float32 classifier whose last layer is a sigmoid or a softmax.
            batches: What `imgclf.make_generators` returned: they carry classes and input policy.
            figures: What was measured on held-out images.
            data: Which images it was trained on.

        Raises:
            ArgumentError: `batches` carries no classes, or the model does not fit it.
        """
        if not isinstance(batches, Batches):
            raise ArgumentError(
                f"{type(batches).__name__} carries no class names: pass the batches that "
                "imgclf.make_generators returned, Classifier(model, train)."
            )
        self._set(model, batches.class_names, batches.policy, figures, data)

    def _set(
        self,
        model: keras.Model,
        class_names: Sequence[str],
        policy: InputPolicy,
        figures: Figures | None,
        data: DataRecord | None,
    ) -> None:
        units = 1 if len(class_names) == 2 else len(class_names)
        if tuple(model.input_shape[1:]) != policy.input_shape or model.output_shape[-1] != units:
            raise ArgumentError(
                f"The model turns {tuple(model.input_shape[1:])} into {model.output_shape[-1]} "
                f"outputs; {len(class_names)} classes of {policy.input_shape} images need {units}: "
                "build it with build_model(name, train.input_shape, num_classes=train.num_classes)."
            )
        self.model = model
        self.class_names = tuple(class_names)
        self.policy = policy
        self.figures = figures
        self.data = data
        self.calibration: CalibrationRecord | None = None
        self.traces: TrainingTraces | None = None
        self._engine = make_engine(model, policy)

    def __repr__(self) -> str:
        """Show classes and input."""
        return f"<Classifier {self.model.name!r} of {self.class_names} on {self.policy.image_size}>"

    def predict(
        self,
        images: Source | Sequence[Source],
        *,
        strict: bool = True,
        min_precision: float | None = None,
    ) -> list[Prediction]:
        """Classify images.

        Args:
            images: A path, a folder (all images in it and below), the content of a file as
                bytes, a PIL image, a uint8 array ``(height, width, channels)`` in RGB, or a list of
                these.
            strict: Raise at the first image that cannot be decoded; False leaves such images out
                and names them in a log warning.
            min_precision: Accept only answers as sure as those of which this share was right on
                the validation images, above 0 and at most 1; the others have ``accepted`` false.
                None accepts all.

        Returns:
            One prediction for each image, in order; a folder's images in the order of their paths.

        Raises:
            DataNotFoundError: A path does not exist.
            ImageError: An image cannot be decoded and `strict` is set.
            DataError: A folder holds no image.
            ArgumentError: `min_precision` cannot be reached.

        Example:
            >>> clf = imgclf.load("pets.imgclf")                            # doctest: +SKIP
            >>> [(p.path, p.label) for p in clf.predict("holiday/")]        # doctest: +SKIP
        """
        threshold = 0.0 if min_precision is None else self.threshold(min_precision)
        kept: list[str | None] = []
        rows = self.predict_pixels(self._decode_all(_expand(images), kept, strict=strict))
        return [
            self._prediction(path, row, threshold) for path, row in zip(kept, rows, strict=True)
        ]

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
        if label is not None and label not in self.class_names:
            raise ArgumentError(f"label={label!r} is no class: give one of {self.class_names}.")
        try:
            pixels = decode(image, self.policy)
        except ImageError as error:
            raise _as_missing(error) from error
        row = self.predict_pixels([pixels[np.newaxis]])[0]
        index = int(row.argmax()) if label is None else self.class_names.index(label)
        heatmap, method = self._heatmap(pixels, index)
        return Explanation(self.class_names[index], float(row[index]), heatmap, pixels, method)

    def _heatmap(
        self, pixels: NDArray[np.uint8], index: int
    ) -> tuple[NDArray[np.float32], Literal["grad_cam", "occlusion"]]:
        maps = grad_cam(self.model, self.policy, pixels[np.newaxis], np.array([index]))
        if maps is not None:
            return maps[0], "grad_cam"
        return occlusion(lambda batch: self.predict_pixels([batch]), pixels, index), "occlusion"

    def predict_pixels(self, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float64]:
        """Classify images that are already decoded and resized.

        Args:
            batches: Arrays ``(batch, height, width, channels)``, uint8, 0..255, of the policy's
                size; always channels last.

        Returns:
            float64 ``(num_images, num_classes)``, rows sum to 1.
        """
        probabilities = self._engine(batches)
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
        """
        origin = origin_of(self.model)
        if origin is None:
            raise BundleError(
                "Only networks that build_model made can be saved as a bundle, because a bundle "
                "holds no code: make it an architecture function and pass that to build_model."
            )
        target = Path(path)
        if not target.parent.is_dir():
            raise BundleError(f"The folder {target.parent} does not exist: make it first.")
        registration = origin.architecture.registration
        manifest = {
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "architecture": {
                "name": origin.architecture.name,
                "distribution": registration and registration.distribution,
                "version": registration and registration.version,
                "source_sha256": origin.architecture.source_sha256,
                "options": dict(origin.options),
            },
            "class_names": list(self.class_names),
            "input": _policy_record(self.policy),
            "versions": _versions(),
            "figures": self.figures,
            "data": self.data,
            "calibration": self.calibration,
        }
        weights = {
            name: np.asarray(variable) for name, variable in named_weights(self.model).items()
        }
        training = None if self.traces is None else self.traces.to_tensors()
        write_bundle(target, manifest, weights, self._probe(), training)
        return target

    def _probe(self) -> dict[str, NDArray[Any]]:
        """Make an input that reaches all levels of brightness, and the network's own output."""
        rng = np.random.default_rng(0)
        shape = self.policy.pixel_shape
        noise = rng.integers(0, 256, (2, *shape), np.uint8)
        ramp = np.broadcast_to(np.linspace(0, 255, shape[1])[None, :, None], shape).astype(np.uint8)
        image = np.concatenate([noise, ramp[None], 255 - ramp[None]])
        return {"image": image, "output": self._engine([image]).astype(np.float32)}

    def _decode_all(
        self, sources: Iterable[Source], kept: list[str | None], *, strict: bool
    ) -> Iterator[NDArray[np.uint8]]:
        """Decode in threads, a chunk ahead; notes in `kept` which images came through."""
        with ThreadPoolExecutor(available_processors()) as pool:
            for chunk in _chunks(sources):
                pixels = []
                futures = [pool.submit(decode, source, self.policy) for source in chunk]
                for source, future in zip(chunk, futures, strict=True):
                    try:
                        pixels.append(future.result())
                    except ImageError as error:
                        if strict:
                            raise _as_missing(error) from error
                        _logger.warning("Left out: %s", error)
                        continue
                    is_path = isinstance(source, (str, os.PathLike))
                    kept.append(os.fspath(source) if is_path else None)  # type: ignore[arg-type]
                if pixels:
                    yield np.stack(pixels)

    def _prediction(
        self, path: str | None, row: NDArray[np.float64], threshold: float
    ) -> Prediction:
        best = int(row.argmax())
        top = float(row[best])
        probabilities = dict(zip(self.class_names, row.tolist(), strict=True))
        return Prediction(path, self.class_names[best], top, probabilities, top >= threshold)


def load(
    path: str | os.PathLike[str], *, architecture: Callable[..., keras.Model] | None = None
) -> Classifier:
    """Load a classifier from a bundle, after verifying all of it.

    Args:
        path: A ``.imgclf`` file.
        architecture: The architecture function, for a bundle whose architecture is not installed
            as a plugin.

    Returns:
        The classifier; its predictions are those of the one that was saved.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: It is not a bundle, damaged, of a newer format, or needs a package that is
            not installed; the message names the package.

    Example:
        >>> clf = imgclf.load("pets.imgclf")          # doctest: +SKIP
        >>> clf.predict("new.jpg")                    # doctest: +SKIP
    """
    bundle = read_bundle(path)
    manifest = bundle.manifest
    try:
        policy = manifest.input.to_policy()
        model = rebuild_model(
            architecture or manifest.architecture.name,
            policy,
            len(manifest.class_names),
            manifest.architecture.options,
            bundle.weights,
        )
    except (UnknownArchitectureError, PluginError) as error:
        raise BundleError(_missing_plugin(path, manifest, error)) from error
    except ImgclfError as error:
        raise BundleError(f"The bundle {path} cannot be built: {error}") from error
    classifier = Classifier.__new__(Classifier)
    classifier._set(model, manifest.class_names, policy, manifest.figures, manifest.data)  # noqa: SLF001
    classifier.calibration = manifest.calibration
    if bundle.training is not None:
        classifier.traces = TrainingTraces.from_tensors(
            bundle.training, len(manifest.class_names), policy.channels
        )
    _verify_probe(classifier, bundle, path)
    return classifier


def _missing_plugin(path: str | os.PathLike[str], manifest: Manifest, error: ImgclfError) -> str:
    record = manifest.architecture
    if record.distribution is None:
        return (
            f"The bundle {path} needs the architecture function {record.name!r}, which was never "
            "installed: give it as load(path, architecture=function)."
        )
    return (
        f"The bundle {path} needs the architecture {record.name!r} of the package "
        f"{record.distribution} {record.version}: pip install {record.distribution}. ({error})"
    )


def _verify_probe(classifier: Classifier, bundle: Bundle, path: str | os.PathLike[str]) -> None:
    """Run the stored input and compare: the last check that this is the same classifier."""
    image, expected = bundle.probe.get("image"), bundle.probe.get("output")
    shape = classifier.policy.pixel_shape
    if image is None or expected is None or image.dtype != np.uint8 or image.shape[1:] != shape:
        raise BundleError(f"The bundle {path} is damaged (its probe): copy or train it again.")
    found = classifier._engine([image])  # noqa: SLF001 - the network's own, uncalibrated
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not difference <= PROBE_TOLERANCE:
        raise BundleError(
            f"The bundle {path} gives other results here than where it was saved (by "
            f"{difference:.2g}, accepted is {PROBE_TOLERANCE:g}): its architecture "
            f"{bundle.manifest.architecture.name!r} has changed since."
        )


def _expand(images: Source | Sequence[Source]) -> Sequence[Source]:
    """Return single images: a folder becomes its files, a batch of pixels its images."""
    if isinstance(images, (list, tuple)):
        return [single for item in images for single in _expand(item)]
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images)
    if isinstance(images, (str, os.PathLike)) and os.path.isdir(images):  # noqa: PTH112
        found = find_images(images)
        if not found:
            raise DataError(f"The folder {os.fspath(images)} has no image in it or below.")
        return list(found)
    if isinstance(images, (str, os.PathLike, bytes, np.ndarray, Image.Image)):
        return [images]
    if hasattr(images, "read"):
        return [cast("IO[bytes]", images)]
    raise ArgumentError(
        f"{type(images).__name__} is not an image: give a path, a folder, bytes, a PIL image, "
        "an array or a list of these."
    )


def _chunks(sources: Iterable[Source]) -> Iterator[list[Source]]:
    chunk: list[Source] = []
    for source in sources:
        chunk.append(source)
        if len(chunk) == DECODE_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _as_missing(error: ImageError) -> ImgclfError:
    return DataNotFoundError(str(error)) if error.reason == "not_found" else error


def _policy_record(policy: InputPolicy) -> dict[str, Any]:
    return {
        "height": policy.image_size[0],
        "width": policy.image_size[1],
        "channels": policy.channels,
        "resize": policy.resize,
        "data_format": policy.data_format,
        "background": list(policy.background),
        "decoder_version": DECODER_VERSION,
    }


def _versions() -> dict[str, str]:
    return {
        "imgclf": version("imgclf"),
        "keras": version("keras"),
        "tensorflow": version("tensorflow"),
        "python": platform.python_version(),
    }
