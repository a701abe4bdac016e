"""A classifier from its bundle, after all of it was verified."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from imgclf.classifiers.answers import Engine, NetworkEngine
from imgclf.classifiers.bundle import Bundle, Manifest, read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.contents import Content, on_disk
from imgclf.classifiers.familiarity import Familiarity
from imgclf.classifiers.fingerprints import TrainingFingerprints
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.probe_images import find_probe_fault
from imgclf.classifiers.record import ClassifierRecord, ConvertedNetwork
from imgclf.data.pixels.decoder import DECODER_VERSION
from imgclf.engines.contract import AnswerNetwork
from imgclf.engines.engine_names import EngineName
from imgclf.engines.litert import LiteRtNetwork, litert_version
from imgclf.engines.network_store import keep_network
from imgclf.errors import (
    BundleError,
    EngineError,
    ImgclfError,
    PluginError,
    UnknownArchitectureError,
)
from imgclf.machine.startup import without_notes
from imgclf.zoo.builder import rebuild_model
from imgclf.zoo.registry import installed_version, load_architecture

if TYPE_CHECKING:
    import keras

    from imgclf.classifiers.stored_tensors import Tensors

__all__ = ["build_classifier", "load"]

ONNX_CONVERSION = "onnx 1"
"""Part of the key of a cached network: another number where it is converted in another way."""

_logger = logging.getLogger(__name__)


def load(
    source: str | os.PathLike[str] | Content,
    *,
    architecture: Callable[..., keras.Model] | None = None,
    engine: EngineName = "auto",
    num_threads: int | None = None,
) -> Classifier:
    """Load a classifier from its file, after verifying all of it.

    LiteRT answers where the file has a network for it, which every file has that today's imgclf
    wrote and whose layers LiteRT knows: TensorFlow is not even imported. The Keras network is
    built from the same file when it is needed, for heat maps and further training.

    Args:
        source: A ``.imgclf`` file: its path, its content as bytes (what `Classifier.to_bytes`
            returns), or a file that is open for reading in binary mode.
        architecture: The architecture function, for a classifier whose architecture is not
            installed as a plugin. Where its source file is not the one that the classifier was made
            with, a log warning says so; the probe decides whether it builds the same network.
            The Keras network is built at once then.
        engine: What answers: ``"litert"``, ``"keras"``, or ``"auto"`` for the first that can.
            ``"onnx"`` (extra ``onnx``) and ``"openvino"`` (extra ``openvino``) convert the network
            once, by way of TensorFlow, and cache it.
        num_threads: Threads that answer; None takes all processors that the process may use. Keras
            always takes those.

    Returns:
        The classifier; its predictions are those of the one that was saved.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: It is not a classifier's file, damaged, of a newer format, was made with
            another decoder, or needs a package that is not installed; the message says what to do.
        EngineError: The engine that was asked for is not installed, or does not know a layer.

    Example:
        >>> clf = imgclf.load("pets.imgclf")          # doctest: +SKIP
        >>> clf.predict("new.jpg")                    # doctest: +SKIP
    """
    chosen: dict[str, Any] = {
        "architecture": architecture, "engine": engine, "num_threads": num_threads,
    }  # fmt: skip
    if isinstance(source, (str, os.PathLike)):
        return build_classifier(read_bundle(source), source, **chosen)
    with on_disk(source) as path:
        return build_classifier(read_bundle(path), path, kept=False, **chosen)


def build_classifier(
    bundle: Bundle,
    path: str | os.PathLike[str],
    *,
    architecture: Callable[..., keras.Model] | None = None,
    engine: EngineName = "auto",
    num_threads: int | None = None,
    kept: bool = True,
) -> Classifier:
    """Build the classifier of a file that was read already; `load` does both.

    Args:
        bundle: What `read_bundle` returned. Weights that it has not kept are read from the file
            again when the Keras network is asked for.
        path: The file, for messages and for what lies beside it.
        architecture: As for `load`.
        engine: As for `load`.
        num_threads: As for `load`.
        kept: Whether the file stays where it is, for the classifier to know.

    Returns:
        The classifier.

    Raises:
        BundleError: As for `load`.
    """
    manifest = bundle.manifest
    _require_same_decoder(manifest, path)
    changed = _source_change(manifest, architecture)
    # First, so that a file that nobody can use is refused with what is wrong with it.
    litert = _litert_engine(bundle, path, engine, num_threads)
    if litert is None and engine not in ("onnx", "openvino"):
        network = LazyModel(_build_model(bundle, path, architecture, changed))
    elif architecture is not None:
        network = LazyModel(_proven_model(bundle, path, architecture, changed))
    else:
        network = LazyModel(build=lambda: _proven_model(bundle, path, None, ""))
    used: Engine
    if engine == "onnx" or engine == "openvino":  # noqa: PLR1714 - narrows the type
        used = _onnx_engine(engine, bundle, network, num_threads)
    else:
        used = litert or _keras_engine(network.model, manifest)
    record = ClassifierRecord(
        network=network,
        class_names=manifest.class_names,
        policy=manifest.input.to_policy(),
        figures=manifest.figures,
        data=manifest.data,
        calibration=manifest.calibration,
        familiarity=_read_familiarity(used.feature_sizes, bundle, path),
        fingerprints=_read_fingerprints(bundle, manifest.input.channels),
        file=Path(path) if kept else None,
        mirrored=manifest.mirrored,
        converted=None if bundle.network is None else ConvertedNetwork(bundle.network),
    )
    classifier = Classifier.of(record, used)
    _verify_probe(classifier, bundle, path, changed)
    if changed and used.name == "keras":
        _warn_of_change(path, changed)
    return classifier


def _litert_engine(
    bundle: Bundle, path: str | os.PathLike[str], engine: EngineName, num_threads: int | None
) -> NetworkEngine | None:
    """Return LiteRT's engine; None where another has to answer."""
    if engine not in ("auto", "litert"):
        return None
    if bundle.network is None:
        if engine == "litert":
            raise BundleError(
                f"The classifier {path} has no network for LiteRT: load it with engine='keras' "
                "and save it again, or leave engine out."
            )
        return None
    try:
        litert_version()
    except EngineError as error:
        if engine == "litert":
            raise
        _logger.info("%s Keras answers.", error)
        return None
    try:
        network = LiteRtNetwork(bundle.network, num_threads=num_threads)
    except EngineError as error:
        raise BundleError(
            f"The classifier {path} is damaged ({error}): copy or train it again."
        ) from error
    policy, num_classes = bundle.manifest.input.to_policy(), len(bundle.manifest.class_names)
    units = 1 if num_classes == 2 else num_classes
    if network.image_shape != policy.pixel_shape or network.output_sizes[0] != units:
        raise BundleError(
            f"The classifier {path} is damaged (its network for LiteRT turns images "
            f"{network.image_shape} into {network.output_sizes[0]} outputs): copy or train it "
            "again."
        )
    return NetworkEngine(network)


def _onnx_engine(
    engine: Literal["onnx", "openvino"],
    bundle: Bundle,
    network: LazyModel,
    num_threads: int | None,
) -> NetworkEngine:
    """Return an engine that runs the network as ONNX, which is made once and cached."""

    def convert() -> bytes:
        with without_notes():
            from imgclf.classifiers.answer_network import write_answers_as_onnx

        manifest = bundle.manifest
        return write_answers_as_onnx(
            network.model, manifest.input.to_policy(), mirrored=manifest.mirrored
        )

    key = hashlib.sha256(f"{bundle.sha256} {ONNX_CONVERSION}".encode()).hexdigest()
    content = keep_network(key, convert)
    runnable: AnswerNetwork
    if engine == "onnx":
        from imgclf.engines.onnx_runtime import OnnxNetwork

        runnable = OnnxNetwork(content, num_threads=num_threads)
    else:
        from imgclf.engines.openvino_runtime import OpenVinoNetwork

        runnable = OpenVinoNetwork(content, num_threads=num_threads)
    return NetworkEngine(runnable, engine)


def _keras_engine(model: keras.Model, manifest: Manifest) -> Engine:
    with without_notes():
        from imgclf.classifiers.inference import make_engine

    return make_engine(model, manifest.input.to_policy(), mirrored=manifest.mirrored)


def _proven_model(
    bundle: Bundle,
    path: str | os.PathLike[str],
    architecture: Callable[..., keras.Model] | None,
    changed: str,
) -> keras.Model:
    """Build the Keras network of a classifier that LiteRT answers for, and run its probe."""
    model = _build_model(bundle, path, architecture, changed)
    manifest = bundle.manifest
    record = ClassifierRecord(
        network=LazyModel(model),
        class_names=manifest.class_names,
        policy=manifest.input.to_policy(),
        mirrored=manifest.mirrored,
    )
    _verify_probe(Classifier.of(record), bundle, path, changed)
    if changed:
        _warn_of_change(path, changed)
    return model


def _warn_of_change(path: str | os.PathLike[str], changed: str) -> None:
    _logger.warning("The classifier %s gives the outputs that it was saved with.%s", path, changed)


def _build_model(
    bundle: Bundle,
    path: str | os.PathLike[str],
    architecture: Callable[..., keras.Model] | None,
    changed: str,
) -> keras.Model:
    """Build the Keras network with the weights of the file."""
    manifest, weights = bundle.manifest, bundle.weights
    if weights is None:
        weights = _weights_again(bundle, path)
    try:
        return rebuild_model(
            architecture or manifest.architecture.name,
            manifest.input.to_policy(),
            len(manifest.class_names),
            manifest.architecture.options,
            weights,
            {name: file.to_file() for name, file in manifest.architecture.weights_files.items()},
        )
    except (UnknownArchitectureError, PluginError) as error:
        raise BundleError(_missing_plugin(path, manifest, error)) from error
    except MemoryError as error:
        raise BundleError(f"The classifier {path} needs more memory than is free.") from error
    except ImgclfError as error:
        raise BundleError(f"The classifier {path} cannot be built: {error}{changed}") from error


def _weights_again(bundle: Bundle, path: str | os.PathLike[str]) -> Tensors:
    again = read_bundle(path)
    if again.sha256 != bundle.sha256:
        raise BundleError(f"The classifier {path} was changed since it was loaded: load it again.")
    assert again.weights is not None
    return again.weights


def _source_change(manifest: Manifest, architecture: Callable[..., keras.Model] | None) -> str:
    """Say that a function's file is another one than when the bundle was made; empty if not."""
    recorded = manifest.architecture.source_sha256
    if architecture is None or recorded is None:
        return ""
    loaded = load_architecture(architecture)
    if loaded.source_sha256 == recorded:
        return ""
    found = (loaded.source_sha256 or "none")[:12]
    return (
        f" The source file of {loaded.name!r} has changed since: its sha256 is {found}..., the "
        f"bundle was made with {recorded[:12]}...."
    )


def _read_familiarity(
    sizes: Sequence[int], bundle: Bundle, path: str | os.PathLike[str]
) -> Familiarity | None:
    if bundle.familiarity is None:
        return None
    try:
        return Familiarity.from_tensors(bundle.familiarity, sizes, len(bundle.manifest.class_names))
    except ValueError as error:
        raise BundleError(
            f"The classifier {path} is damaged (its familiarity has {error}): copy or train it "
            "again."
        ) from error


def _read_fingerprints(bundle: Bundle, channels: int) -> TrainingFingerprints | None:
    if bundle.training is None:
        return None
    num_classes = len(bundle.manifest.class_names)
    return TrainingFingerprints.from_tensors(bundle.training, num_classes, channels)


def _missing_plugin(path: str | os.PathLike[str], manifest: Manifest, error: ImgclfError) -> str:
    record = manifest.architecture
    if record.distribution is None:
        return (
            f"The classifier {path} needs the architecture function {record.name!r}, which was "
            "never installed: give it as load(path, architecture=function), or on the command "
            f"line as --arch path/to/file.py:{record.name}."
        )
    if record.distribution == "imgclf" and isinstance(error, PluginError):
        return f"The classifier {path} cannot be built. {error}"  # An extra is missing.
    needed = (
        f"The classifier {path} needs the architecture {record.name!r} of the package "
        f"{record.distribution} {record.version}"
    )
    installed = installed_version(record.distribution)
    if installed is None:
        return f"{needed}: pip install {record.distribution}. ({error})"
    return f"{needed}; version {installed} is installed but cannot be used. {error}"


def _require_same_decoder(manifest: Manifest, path: str | os.PathLike[str]) -> None:
    """Refuse a classifier that learned from other pixels than this imgclf reads."""
    found = manifest.input.decoder_version
    if found == DECODER_VERSION:
        return
    remedy = (
        "install a newer imgclf"
        if found > DECODER_VERSION
        else f"train it again, or use it with imgclf {manifest.versions.imgclf}, which made it"
    )
    raise BundleError(
        f"The classifier {path} was made with version {found} of the decoder; this imgclf has "
        f"version {DECODER_VERSION} and reads other pixels from the same images: {remedy}."
    )


def _verify_probe(
    classifier: Classifier, bundle: Bundle, path: str | os.PathLike[str], changed: str
) -> None:
    """Run images and compare: the last check that this is the same classifier."""
    fault = find_probe_fault(classifier.record, classifier.uncalibrated, bundle.probe)
    if fault:
        raise BundleError(
            f"The classifier {path} {fault}: it is damaged, or its architecture "
            f"{bundle.manifest.architecture.name!r} has changed since.{changed}"
        )
