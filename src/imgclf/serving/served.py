"""A classifier that is served, and the version of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import build_classifier
from imgclf.engines.engine_names import EngineName
from imgclf.errors import BundleError, DataNotFoundError

__all__ = ["FileStamp", "Served", "load_served", "read_stamp", "serve_object"]

FileStamp = tuple[int, int, int]
"""Time, size and number of a file: another one where its content was changed."""


@dataclass(frozen=True, slots=True)
class Served:
    """A classifier that is served; a reload makes another one.

    Attributes:
        name: Its name in addresses and answers.
        path: Its file; None for one that was made in this process.
        version: ``"sha256:..."`` of the file's bytes.
        classifier: What answers.
        stamp: Of the file, when it was read.
        engine: What its file is loaded with.
    """

    name: str
    path: Path | None
    version: str
    classifier: Classifier
    stamp: FileStamp | None = None
    engine: EngineName = "auto"


def load_served(name: str, path: Path, concurrency: int, engine: EngineName = "auto") -> Served:
    """Load a classifier from its file.

    Args:
        name: The name under which it is served.
        path: The file.
        concurrency: How many requests it answers at a time.
        engine: What answers, as for `imgclf.load`.

    Returns:
        The classifier, and the version of the file that it was read from.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: It cannot be used, or was changed while it was read.
        EngineError: The engine that was asked for is not installed, or does not know a layer.
    """
    stamp = read_stamp(path)
    # The Keras network, which most servers never need, is built from the file.
    bundle = read_bundle(path, keep_weights=False)
    classifier = build_classifier(bundle, path, engine=engine, num_threads=1)
    if stamp is None or read_stamp(path) != stamp:
        raise BundleError(f"The classifier {path} was changed while it was read: try again.")
    classifier = classifier.for_calls_at_once(concurrency)
    return Served(name, path, f"sha256:{bundle.sha256}", classifier, stamp, engine)


def serve_object(name: str, classifier: Classifier, concurrency: int) -> Served:
    """Serve a classifier that is in this process.

    Args:
        name: The name under which it is served.
        classifier: The classifier.
        concurrency: How many requests it answers at a time.

    Returns:
        The classifier; its version is that of the file that `Classifier.save` would write.
    """
    file = classifier.record.file
    if file is not None and file.is_file():
        version = _version_of_file(file)
    else:
        version = _version(classifier.to_bytes())
    return Served(name, None, version, classifier.for_calls_at_once(concurrency))


def read_stamp(path: Path) -> FileStamp | None:
    """Return the stamp of a file; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _version_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise DataNotFoundError(
            f"The classifier {path} cannot be read: {error.strerror}."
        ) from error


def _version(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
