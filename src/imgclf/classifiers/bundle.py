"""The .imgclf file: one ZIP that is a classifier; written whole or not at all, read with distrust.

Layout (format 2), all members stored without compression:

- ``manifest.json``: architecture, options, input policy, classes, versions, figures, and the sha256
  and size of the other members;
- ``weights.safetensors``: the weights, keyed by layer names;
- ``probe.safetensors``: an input and the network's own output for it, which it must give again;
- ``training.safetensors``, optional: what is remembered of the training images;
- ``familiarity.safetensors``, optional: how training images look to the network;
- ``network.tflite``, optional: the network for LiteRT, as
  `imgclf.classifiers.answer_network.convert_answers` makes it from these very weights.

Format 1 had no ``network.tflite``; it is read, too.

The comment at the end of the ZIP holds the sha256 of every byte before it, so no changed byte
goes unnoticed. Nothing in a bundle is ever executed or unpickled.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import struct
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from imgclf.atomic import write_atomically
from imgclf.classifiers.manifest import (
    FORMAT,
    CalibrationRecord,
    DataRecord,
    Figures,
    Manifest,
    ManifestError,
    ThresholdRecord,
    as_plain,
    parse_manifest,
)
from imgclf.classifiers.stored_tensors import Tensors, count_values, load_tensors, save_tensors
from imgclf.errors import BundleError, DataNotFoundError

__all__ = [
    "Bundle",
    "BundleFacts",
    "CalibrationRecord",
    "DataRecord",
    "Figures",
    "Manifest",
    "ThresholdRecord",
    "read_bundle",
    "read_facts",
    "write_bundle",
]

MANIFEST = "manifest.json"

MEMBERS = {
    MANIFEST: 4 * 1024**2,
    "weights.safetensors": 8 * 1024**3,
    "probe.safetensors": 256 * 1024**2,
}
"""The members of a bundle, and the largest size of each in bytes."""

NETWORK = "network.tflite"
WEIGHTS = "weights.safetensors"

OPTIONAL_MEMBERS = {
    "training.safetensors": 1024**3,
    "familiarity.safetensors": 1024**3,
    NETWORK: 2 * 1024**3,
}
"""Members that a bundle may have or not: the manifest lists those that it has."""

LARGEST = MEMBERS | OPTIONAL_MEMBERS

MAX_FILE_BYTES = sum(LARGEST.values()) + 1024**2

MAX_DIRECTORY_BYTES = 4096
"""Of the list of members at the end of the ZIP; six take 500 bytes."""

BLOCK_BYTES = 1024**2
"""Read and hashed at a time."""

COMMENT_PREFIX = b"imgclf sha256 "
COMMENT_BYTES = len(COMMENT_PREFIX) + 64

LOCAL_HEADER = struct.Struct("<4s22x2H")
"""Before each member: signature, lengths of the name and of what follows it; the rest stands in
the list at the end, too (4.3.7)."""

END_RECORD = struct.Struct("<4s4H2LH")
"""The record before the comment: signature, disks, numbers of members, directory, comment."""

END_RECORD_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
"""The same for files above 2 GiB, and what points to it (APPNOTE.TXT 4.3.14 to 4.3.16)."""


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """The verified content of a bundle.

    Attributes:
        manifest: What it says about itself.
        weights: Tensors by ``layer/variable``; None where they were verified, but not kept.
        probe: ``image``, uint8 ``(batch, ...)``, and ``output``, float32 ``(batch, num_classes)``.
        size_bytes: Size of the file.
        training: What is remembered of the training images; None where nothing is.
        familiarity: How training images look to the network; None where that is not known.
        network: The network for LiteRT; None where the file has none.
        sha256: Of the file.
    """

    manifest: Manifest
    weights: Tensors | None
    probe: Tensors
    size_bytes: int
    sha256: str
    training: Tensors | None = None
    familiarity: Tensors | None = None
    network: bytes | None = None


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """What a bundle says of itself, with every byte verified by its hash.

    Attributes:
        manifest: What it says about itself.
        size_bytes: Size of the file.
        num_parameters: Values in its weights.
    """

    manifest: Manifest
    size_bytes: int
    num_parameters: int


def write_bundle(
    path: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    weights: Tensors,
    probe: Tensors,
    training: Tensors | None = None,
    familiarity: Tensors | None = None,
    network: bytes | None = None,
) -> Manifest:
    """Write a bundle in one step: a crash or a full disk leaves an earlier file as it was.

    Args:
        path: The file; its folder must exist.
        manifest: The fields of `Manifest` without ``format`` and ``members``.
        weights: Tensors by ``layer/variable``.
        probe: The probe's tensors.
        training: What is remembered of the training images.
        familiarity: How training images look to the network.
        network: The network for LiteRT.

    Returns:
        The manifest as it was written.

    Raises:
        BundleError: The file cannot be written there, or could not be read again.
    """
    members = {
        "weights.safetensors": save_tensors(weights),
        "probe.safetensors": save_tensors(probe),
    }
    for name, tensors in (("training", training), ("familiarity", familiarity)):
        if tensors is not None:
            members[f"{name}.safetensors"] = save_tensors(tensors)
    if network is not None:
        members[NETWORK] = network
    records = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
        for name, content in members.items()
    }
    try:
        text = _as_json({"format": FORMAT, **manifest, "members": records})
        checked = parse_manifest(text)  # What is written can be read again.
    except (TypeError, ValueError) as error:
        raise _unwritable(path, str(error)) from error
    members = {MANIFEST: text, **members}
    for name, content in members.items():
        if len(content) > LARGEST[name]:
            raise _unwritable(path, f"{name} is larger than {LARGEST[name]:,} bytes")
    _write_atomically(Path(path), members)
    return checked


def _as_json(manifest: Mapping[str, Any]) -> bytes:
    text = json.dumps(as_plain(manifest), indent=2, allow_nan=False, ensure_ascii=False)
    return text.encode()


def _unwritable(path: str | os.PathLike[str], detail: str) -> BundleError:
    return BundleError(f"The classifier cannot be saved as {path} ({detail}): change that first.")


def read_bundle(path: str | os.PathLike[str], *, keep_weights: bool = True) -> Bundle:
    """Read a bundle and verify it: size caps, hash of the whole file, schema, hashes, values.

    Args:
        path: The file.
        keep_weights: Whether its weights stay in memory, for the Keras network: LiteRT has its own.

    Returns:
        Its content; the network is not built yet.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: The file is not a bundle, damaged, or of a newer format.
    """

    def take(name: str, content: bytes, file: Path) -> Any:
        if name == NETWORK:
            return content
        tensors = _load_tensors(name, content, file)
        return tensors if keep_weights or name != WEIGHTS else None

    found, size, sha256 = _read_verified(Path(path), take)
    network = found.pop(NETWORK, None)
    fields = {name.removesuffix(".safetensors"): value for name, value in found.items()}
    return Bundle(size_bytes=size, sha256=sha256, network=network, **fields)


def read_facts(path: str | os.PathLike[str]) -> BundleFacts:
    """Read what a bundle says of itself; its hashes are verified, its tensors stay unread.

    Args:
        path: The file.

    Returns:
        The facts.

    Raises:
        DataNotFoundError: The file does not exist.
        BundleError: The file is not a bundle, damaged, or of a newer format.
    """

    def take(name: str, content: bytes, file: Path) -> int:
        try:
            return count_values(content) if name == WEIGHTS else 0
        except ValueError as error:
            raise _damaged(file, f"{name}: {error}") from error

    found, size, _ = _read_verified(Path(path), take)
    return BundleFacts(found["manifest"], size, found[WEIGHTS])


_Take = Callable[[str, bytes, Path], Any]
"""Turns the name and the content of a member of a file into what is kept of it."""


def _read_verified(file: Path, take: _Take) -> tuple[dict[str, Any], int, str]:
    """Verify a file; return what was taken of its members, its size and its sha256."""
    with _open_file(file) as stream:
        size = os.fstat(stream.fileno()).st_size
        _verify_end(stream, size, file)
        whole = _WholeFile(stream.fileno(), size)
        try:
            found = _read_content(stream, size, file, take)
        except BundleError:
            whole.verify(file)  # Whatever was damaged, it is said in the same words.
            raise
        finally:
            whole.end()
        return found, size, whole.verify(file)


def _read_content(stream: IO[bytes], size: int, file: Path, take: _Take) -> dict[str, Any]:
    """Read the members and check each by its hash; returns the manifest and what was taken."""
    with _open_zip(stream, file) as archive:
        places = _verify_places(archive, size, file)
    manifest = _read_manifest(_read_member(stream, places[MANIFEST], file), file)
    _verify_names(manifest, places, file)
    found: dict[str, Any] = {"manifest": manifest}
    for name, record in manifest.members.items():
        content = _read_member(stream, places[name], file)
        if (record.size_bytes, record.sha256) != (len(content), _sha256(content)):
            raise _damaged(file, f"{name} is not the one that the manifest names")
        found[name] = take(name, content, file)
        del content
    return found


def _write_atomically(path: Path, members: Mapping[str, bytes]) -> None:
    try:
        write_atomically(path, _as_zip(members))
    except OSError as error:
        raise BundleError(
            f"The classifier {path} cannot be written ({error.strerror}): "
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


@contextmanager
def _open_file(file: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; reading errors become one line, whenever they come."""
    try:
        # A pipe would be waited for without end.
        is_file = stat.S_ISREG(file.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        message = f"The classifier {file} does not exist: give a .imgclf file."
        raise DataNotFoundError(message) from error
    except OSError as error:
        raise BundleError(f"The classifier {file} cannot be read ({error.strerror}).") from error
    if not is_file:
        raise BundleError(f"{file} is not a file: give a .imgclf file, or the folder of its run.")
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as error:
        raise BundleError(f"The classifier {file} cannot be read ({error.strerror}).") from error
    except MemoryError as error:
        raise BundleError(f"The classifier {file} needs more memory than is free.") from error


def _verify_end(stream: IO[bytes], size: int, file: Path) -> None:
    """Check that the file ends as a bundle does, with a list of few members.

    Before `zipfile` reads that list: it takes 9 s for 100,000 members.
    """
    end = size - COMMENT_BYTES - END_RECORD.size
    if size > MAX_FILE_BYTES or end < 0:
        raise _no_bundle(file)
    stream.seek(end)
    signature, _, _, _, _, directory_bytes, _, comment_bytes = END_RECORD.unpack(
        stream.read(END_RECORD.size)
    )
    comment = stream.read(len(COMMENT_PREFIX))
    if (signature, comment_bytes, comment) != (b"PK\5\6", COMMENT_BYTES, COMMENT_PREFIX):
        stream.seek(0)
        raise _no_bundle(file, is_zip=stream.read(4) == b"PK\3\4")
    directory_bytes = _directory_bytes_64(stream, end, file) or directory_bytes
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise _damaged(file, "it has too many members")


def _directory_bytes_64(stream: IO[bytes], end: int, file: Path) -> int | None:
    """Return what the record of large files says, where `zipfile` would find one."""
    place = end - LOCATOR_64.size
    stream.seek(max(0, place))
    locator = stream.read(LOCATOR_64.size)
    if place < END_RECORD_64.size or not locator.startswith(b"PK\6\7"):
        return None
    _, _, offset, _ = LOCATOR_64.unpack(locator)
    stream.seek(place - END_RECORD_64.size)
    signature, *_, directory_bytes, _ = END_RECORD_64.unpack(stream.read(END_RECORD_64.size))
    if signature != b"PK\6\6" or offset != place - END_RECORD_64.size:
        raise _damaged(file, "its end")
    return int(directory_bytes)


class _WholeFile:
    """Hashes all bytes of a file while its members are read: each takes half of the time.

    Args:
        file: Its descriptor, which stays open until `end`; it is read at places of its own.
        size: In bytes.
    """

    def __init__(self, file: int, size: int) -> None:
        self._file, self._size = file, size
        self._found = self._stated = self._sha256 = ""
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None
        if size > BLOCK_BYTES:
            self._thread = threading.Thread(target=self._run, name="imgclf-hash", daemon=True)
            self._thread.start()
        else:
            self._run()

    def end(self) -> None:
        """Wait until the file is read."""
        if self._thread is not None:
            self._thread.join()

    def verify(self, path: Path) -> str:
        """Compare the hash with the one in the comment; returns that of the whole file.

        Raises:
            BundleError: It is another one.
        """
        self.end()
        if self._error is not None:
            raise self._error
        if self._stated != self._found:
            raise _damaged(path, "its bytes are not those that were written")
        return self._sha256

    def _run(self) -> None:
        try:
            self._hash()
        except (OSError, MemoryError) as error:
            self._error = error

    def _hash(self) -> None:
        digest = hashlib.sha256()
        place, end = 0, self._size - COMMENT_BYTES
        block = memoryview(bytearray(min(BLOCK_BYTES, self._size)))
        while place < end:
            length = os.preadv(self._file, [block[: end - place]], place)
            if not length:
                break  # It has become shorter meanwhile.
            digest.update(block[:length])
            place += length
        self._found = digest.hexdigest()
        comment = os.pread(self._file, COMMENT_BYTES + 1, end)
        self._stated = comment[len(COMMENT_PREFIX) :].decode("ascii", "replace")
        digest.update(comment)
        self._sha256 = digest.hexdigest()


@contextmanager
def _refusing_damage(file: Path, detail: str) -> Iterator[None]:
    """Turn whatever `zipfile` raises into the one error of a bundle.

    A header that lies makes it raise EOFError, UnicodeDecodeError, RuntimeError and others.
    """
    try:
        yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        raise _damaged(file, detail) from error


def _open_zip(stream: IO[bytes], file: Path) -> zipfile.ZipFile:
    with _refusing_damage(file, "its list of members is unreadable"):
        return zipfile.ZipFile(stream)


def _verify_places(archive: zipfile.ZipFile, size: int, file: Path) -> dict[str, zipfile.ZipInfo]:
    """Check which members there are, and that all of them fit into the file."""
    places = {info.filename: info for info in archive.infolist()}
    if len(places) < len(archive.infolist()) or not places.keys() <= LARGEST.keys():
        raise _damaged(file, "it has other members than a classifier's file")
    missing = sorted(MEMBERS.keys() - places.keys())
    if missing:
        raise _damaged(file, f"{missing[0]} is missing")
    for name, info in places.items():
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        stored = stored and not info.flag_bits  # neither encrypted nor named in another encoding
        if info.file_size > LARGEST[name] or not stored:
            raise _damaged(file, f"{name} is larger than {LARGEST[name]:,} bytes or compressed")
    if sum(info.file_size for info in places.values()) > size:
        raise _damaged(file, "its members are larger than itself")
    return places


def _read_member(stream: IO[bytes], place: zipfile.ZipInfo, file: Path) -> bytes:
    """Read a member as it is stored: its sha256 says more than the CRC that `zipfile` computes."""
    with _refusing_damage(file, f"{place.filename} is unreadable"):
        stream.seek(place.header_offset)
        signature, name_bytes, extra_bytes = LOCAL_HEADER.unpack(stream.read(LOCAL_HEADER.size))
        name = stream.read(name_bytes)
        stream.seek(extra_bytes, os.SEEK_CUR)
        content = stream.read(place.file_size)
        if (signature, name) != (b"PK\3\4", place.filename.encode()):
            raise ValueError("another member lies there")
        if len(content) != place.file_size:
            raise ValueError("it is cut off")
    return content


def _read_manifest(text: bytes, file: Path) -> Manifest:
    try:
        return parse_manifest(text)
    except ManifestError as error:
        if error.found_format is not None:
            raise BundleError(
                f"{file} has format {error.found_format!r}; this imgclf reads formats 1 to "
                f"{FORMAT}: install a newer imgclf."
            ) from error
        raise _damaged(file, str(error)) from error


def _verify_names(manifest: Manifest, places: Mapping[str, Any], file: Path) -> None:
    """Check that the manifest names what is there, and nothing else."""
    differing = sorted(manifest.members.keys() ^ (places.keys() - {MANIFEST}))
    if differing:
        raise _damaged(file, f"{differing[0][:100]!r} is not the one that the manifest names")


def _load_tensors(name: str, content: bytes, file: Path) -> Tensors:
    try:
        return load_tensors(content)
    except ValueError as error:
        raise _damaged(file, f"{name}: {error}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _no_bundle(file: Path, *, is_zip: bool = False) -> BundleError:
    what = "is a ZIP file but not a classifier's file, or it is cut off or damaged"
    if not is_zip:
        what = "is not a classifier's file, or it is cut off"
    return BundleError(f"{file} {what}: give a file that Classifier.save or `imgclf train` wrote.")


def _damaged(file: Path, detail: str) -> BundleError:
    return BundleError(f"The classifier {file} is damaged ({detail}): copy or train it again.")
