"""The .imgclf file: one ZIP that is a classifier; written whole or not at all, read with distrust.

Layout (format 1), all members stored without compression:

- ``manifest.json``: architecture, options, input policy, classes, versions, figures, and the sha256
  and size of the other members;
- ``weights.safetensors``: the weights, keyed by layer names;
- ``probe.safetensors``: an input and the network's own output for it, which it must give again;
- ``training.safetensors``, optional: what is remembered of the training images;
- ``familiarity.safetensors``, optional: how training images look to the network.

The comment at the end of the ZIP holds the sha256 of every byte before it, so no changed byte
goes unnoticed. Nothing in a bundle is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgclf.atomic import write_atomically
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import BundleError, DataNotFoundError

__all__ = ["Bundle", "Figures", "Manifest", "read_bundle", "write_bundle"]

FORMAT = 1
"""Raised when the layout changes; a newer format is refused with a message."""

MAX_MANIFEST_BYTES = 4 * 1024**2
MAX_PROBE_BYTES = 256 * 1024**2
MAX_WEIGHTS_BYTES = 8 * 1024**3

MEMBERS = {
    "manifest.json": MAX_MANIFEST_BYTES,
    "weights.safetensors": MAX_WEIGHTS_BYTES,
    "probe.safetensors": MAX_PROBE_BYTES,
}
"""The members of a bundle and the largest size of each."""

OPTIONAL_MEMBERS = {"training.safetensors": 1024**3, "familiarity.safetensors": 1024**3}
"""Members that a bundle may have or not: the manifest lists those that it has."""

COMMENT_PREFIX = b"imgclf sha256 "
COMMENT_BYTES = len(COMMENT_PREFIX) + 64

Sha256 = str
Tensors = Mapping[str, NDArray[Any]]


class _Strict(BaseModel):
    """A record of the manifest: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MemberRecord(_Strict):
    """Hash and size of one member."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class WeightsFileRecord(_Strict):
    """A file that the first weights came from; see `imgclf.zoo.provenance.WeightsFile`."""

    name: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ArchitectureRecord(_Strict):
    """Which architecture the network is, and the package that provides it.

    A function that no package provides has the hash of the file that it stood in instead. The
    files of pretrained weights are provenance, by the option that named each: loading reads none.
    """

    name: str
    distribution: str | None
    version: str | None
    source_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    options: dict[str, bool | int | float | str | None]
    weights_files: dict[str, WeightsFileRecord] = {}


class PolicyRecord(_Strict):
    """The input policy; see `imgclf.data.pixels.input_policy.InputPolicy`."""

    height: int
    width: int
    channels: Literal[1, 3]
    resize: Literal["stretch", "crop", "pad"]
    data_format: Literal["channels_last", "channels_first"]
    background: list[int] = Field(min_length=3, max_length=3)
    decoder_version: int

    def to_policy(self) -> InputPolicy:
        """Return the policy itself."""
        red, green, blue = self.background
        return InputPolicy(
            image_size=(self.height, self.width),
            channels=self.channels,
            resize=self.resize,
            data_format=self.data_format,
            background=(red, green, blue),
        )


class Figures(_Strict):
    """What was measured on held-out images when the classifier was made."""

    split: Literal["test", "val"]
    num_images: int = Field(ge=1)
    accuracy: float = Field(ge=0, le=1)
    accuracy_low: float = Field(ge=0, le=1)
    accuracy_high: float = Field(ge=0, le=1)
    majority_accuracy: float = Field(ge=0, le=1)


class ThresholdRecord(_Strict):
    """How sure the classifier must be to reach a precision, on the validation images."""

    min_precision: float = Field(gt=0, le=1)
    value: float = Field(ge=0, le=1)
    coverage: float = Field(ge=0, le=1)
    precision: float = Field(ge=0, le=1)


class CalibrationRecord(_Strict):
    """What was fitted on the validation images, and what the temperature changed there."""

    temperature: float = Field(gt=0, allow_inf_nan=False)
    num_images: int = Field(ge=1)
    log_loss_before: float = Field(ge=0, allow_inf_nan=False)
    log_loss_after: float = Field(ge=0, allow_inf_nan=False)
    ece_before: float = Field(ge=0, le=1)
    ece_after: float = Field(ge=0, le=1)
    thresholds: list[ThresholdRecord]


class DataRecord(_Strict):
    """Which images the classifier was made from."""

    num_train: int = Field(ge=0)
    num_val: int = Field(ge=0)
    num_test: int = Field(ge=0)
    split_sha256: str | None
    seed: int


class VersionsRecord(_Strict):
    """The software that made the bundle."""

    imgclf: str
    keras: str
    tensorflow: str
    python: str


class Manifest(_Strict):
    """All that a bundle says about itself."""

    format: Literal[1]
    created: str
    architecture: ArchitectureRecord
    class_names: list[str] = Field(min_length=2, max_length=100_000)
    input: PolicyRecord
    versions: VersionsRecord
    figures: Figures | None
    data: DataRecord | None
    calibration: CalibrationRecord | None = None
    mirrored: bool = False
    members: dict[str, MemberRecord]


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The verified content of a bundle.

    Attributes:
        manifest: What it says about itself.
        weights: Tensors by ``layer/variable``.
        probe: ``image``, uint8 ``(batch, ...)``, and ``output``, float32 ``(batch, num_classes)``.
        size_bytes: Size of the file.
        training: What is remembered of the training images; None where nothing is.
        familiarity: How training images look to the network; None where that is not known.
    """

    manifest: Manifest
    weights: Tensors
    probe: Tensors
    size_bytes: int
    training: Tensors | None = None
    familiarity: Tensors | None = None


def write_bundle(
    path: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    weights: Tensors,
    probe: Tensors,
    training: Tensors | None = None,
    familiarity: Tensors | None = None,
) -> Manifest:
    """Write a bundle in one step: a crash or a full disk leaves an earlier file as it was.

    Args:
        path: The file; its folder must exist.
        manifest: The fields of `Manifest` without ``format`` and ``members``.
        weights: Tensors by ``layer/variable``.
        probe: The probe's tensors.
        training: What is remembered of the training images.
        familiarity: How training images look to the network.

    Returns:
        The manifest as it was written.

    Raises:
        BundleError: The file cannot be written there.
    """
    members = {
        "weights.safetensors": safetensors.numpy.save(dict(weights)),
        "probe.safetensors": safetensors.numpy.save(dict(probe)),
    }
    for name, tensors in (("training", training), ("familiarity", familiarity)):
        if tensors is not None:
            members[f"{name}.safetensors"] = safetensors.numpy.save(dict(tensors))
    records = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in members.items()
    }
    checked = Manifest.model_validate({"format": FORMAT, **manifest, "members": records})
    text = checked.model_dump_json(indent=2).encode("utf-8", "surrogatepass")
    _write_atomically(Path(path), {"manifest.json": text, **members})
    return checked


def read_bundle(path: str | os.PathLike[str]) -> Bundle:
    """Read a bundle and verify it: size caps, hash of the whole file, schema, hashes, values.

    Args:
        path: The file.

    Returns:
        Its content; the network is not built yet.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: The file is not a bundle, damaged, or of a newer format.
    """
    file = Path(path)
    if not file.exists():
        raise DataNotFoundError(f"The bundle {file} does not exist: give a .imgclf file.")
    try:
        with file.open("rb") as stream, _open_zip(stream, file) as archive:
            _verify_whole(stream, archive, file)
            present = OPTIONAL_MEMBERS.keys() & set(archive.namelist())
            contents = {name: _read_member(archive, name, file) for name in {*MEMBERS, *present}}
    except OSError as error:
        raise BundleError(f"The bundle {file} cannot be read ({error.strerror}).") from error
    manifest = _parse_manifest(contents["manifest.json"], file)
    _verify_members(manifest, contents, file)
    weights = _load_tensors(contents["weights.safetensors"], file)
    probe = _load_tensors(contents["probe.safetensors"], file)
    optional = {
        name.removesuffix(".safetensors"): _load_tensors(contents[name], file) for name in present
    }
    return Bundle(manifest, weights, probe, file.stat().st_size, **optional)


def _write_atomically(path: Path, members: Mapping[str, bytes]) -> None:
    try:
        write_atomically(path, _as_zip(members))
    except OSError as error:
        raise BundleError(
            f"The bundle {path} cannot be written ({error.strerror}): "
            "free some space or give another place."
        ) from error


def _as_zip(members: Mapping[str, bytes]) -> bytes:
    """Pack the members, and put the hash of all bytes before it into the comment."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            # A fixed date: equal classifiers give equal files.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
        archive.comment = COMMENT_PREFIX + b"0" * 64
    packed = file.getvalue()
    digest = hashlib.sha256(packed[:-COMMENT_BYTES]).hexdigest()
    return packed[:-64] + digest.encode()


def _open_zip(stream: Any, file: Path) -> zipfile.ZipFile:
    try:
        archive = zipfile.ZipFile(stream)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BundleError(
            f"{file} is not an imgclf bundle, or it is cut off: give a file that "
            "Classifier.save or `imgclf train` wrote."
        ) from error
    if not archive.comment.startswith(COMMENT_PREFIX):
        raise BundleError(
            f"{file} is a ZIP file but not an imgclf bundle, or it is damaged: give a file that "
            "Classifier.save or `imgclf train` wrote."
        )
    return archive


def _verify_whole(stream: Any, archive: zipfile.ZipFile, file: Path) -> None:
    """Compare the hash of all bytes with the one in the comment."""
    end = os.fstat(stream.fileno()).st_size - COMMENT_BYTES
    stated = archive.comment[len(COMMENT_PREFIX) :]
    if _hash_until(stream, end).encode() != stated:
        raise _damaged(file, "its bytes are not those that were written")


def _hash_until(stream: Any, end: int) -> Sha256:
    digest = hashlib.sha256()
    stream.seek(0)
    left = end
    while left > 0 and (block := stream.read(min(left, 1024**2))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()


def _read_member(archive: zipfile.ZipFile, name: str, file: Path) -> bytes:
    try:
        info = archive.getinfo(name)
        most = (MEMBERS | OPTIONAL_MEMBERS)[name]
        if info.file_size > most or info.compress_type != zipfile.ZIP_STORED:
            raise _damaged(file, f"{name} is larger than {most:,} bytes or compressed")
        return archive.read(info)
    except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _damaged(file, f"{name} is missing or unreadable") from error


def _parse_manifest(text: bytes, file: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "manifest.json"
        if first["loc"] == ("format",):
            raise BundleError(
                f"{file} has format {first['input']!r}; this imgclf reads format {FORMAT}: "
                "upgrade with pip install -U imgclf."
            ) from error
        raise _damaged(file, f"{where}: {first['msg']}") from error


def _verify_members(manifest: Manifest, contents: Mapping[str, bytes], file: Path) -> None:
    for name in sorted({*contents, *manifest.members} - {"manifest.json"}):
        record = manifest.members.get(name)
        content = contents.get(name)
        if (
            record is None
            or content is None
            or record.size_bytes != len(content)
            or record.sha256 != hashlib.sha256(content).hexdigest()
        ):
            raise _damaged(file, f"{name} is not the one that the manifest names")


def _load_tensors(content: bytes, file: Path) -> Tensors:
    try:
        tensors = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(file, "its tensors are unreadable") from error
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise _damaged(file, f"{name} holds values that are not finite")
    return tensors  # type: ignore[no-any-return]


def _damaged(file: Path, detail: str) -> BundleError:
    return BundleError(f"The bundle {file} is damaged ({detail}): copy or train it again.")
