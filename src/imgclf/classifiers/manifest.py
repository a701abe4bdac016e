"""What a classifier's file says about itself, and what it may say."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import DecodeError, Meta, Struct, ValidationError, structs, to_builtins
from msgspec.json import Decoder

from imgclf.classifiers.strict_json import parse_json
from imgclf.data.pixels.input_policy import MAX_IMAGE_SIDE, InputPolicy
from imgclf.machine.plain_text import is_plain_text, printable
from imgclf.zoo.provenance import WeightsFile
from imgclf.zoo.registry import ARCHITECTURE_NAME, DISTRIBUTION_NAME, VERSION

__all__ = [
    "ArchitectureRecord",
    "CalibrationRecord",
    "DataRecord",
    "Figures",
    "Manifest",
    "ManifestError",
    "ThresholdRecord",
    "as_plain",
    "parse_manifest",
]

FORMAT = 2
"""Raised when the layout changes; a newer format is refused with a message."""

LICENCE = r"^[A-Za-z0-9][A-Za-z0-9 .+()-]{0,99}$"
"""What a licence may look like: an expression of SPDX."""

MAX_FORMAT = 1_000
"""A number above it is no format of a later imgclf, but damage."""

MAX_CLASSES = 100_000
MAX_OPTIONS = 1_000
"""Most options of an architecture, and most weights files."""


class ManifestError(ValueError):
    """A manifest cannot be read; the text says where and why, in one line.

    Attributes:
        found_format: The format that it has, where that is the reason; None otherwise.
    """

    def __init__(self, text: str, found_format: object = None) -> None:
        """Keep the format beside the text."""
        super().__init__(text)
        self.found_format = found_format


def _whole(pattern: str) -> str:
    """Return a pattern whose ``$`` is the end: Python's would let a line break follow."""
    return pattern.removesuffix("$") + r"\Z"


Line = Annotated[str, Meta(max_length=1_000)]
"""A text that is shown; each record refuses one with line breaks or control characters."""
Name = Annotated[str, Meta(min_length=1, max_length=1_000)]
ArchitectureName = Annotated[str, Meta(pattern=_whole(ARCHITECTURE_NAME))]
Distribution = Annotated[str, Meta(pattern=_whole(DISTRIBUTION_NAME))]
Version = Annotated[str, Meta(pattern=_whole(VERSION))]
Licence = Annotated[str, Meta(pattern=_whole(LICENCE))]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Number = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Level = Annotated[int, Meta(ge=0, le=255)]
Share = Annotated[float, Meta(ge=0, le=1)]
Loss = Annotated[float, Meta(ge=0)]
Side = Annotated[int, Meta(ge=1, le=MAX_IMAGE_SIDE)]
OptionValue = bool | Whole | float | Annotated[str, Meta(max_length=4_096)] | None


def as_plain(value: Any) -> Any:
    """Return records, and what holds them, as JSON would."""
    return to_builtins(value, enc_hook=_plain_number)


def _plain_number(value: object) -> float:
    if isinstance(value, float):  # NumPy's float64 is one, but of another class.
        return float(value)
    raise TypeError(f"a {type(value).__name__} cannot be written")


class _Record(Struct, frozen=True, forbid_unknown_fields=True):
    """A record of the manifest: unknown keys and wrong types are errors where it is read."""

    def as_dict(self) -> dict[str, Any]:
        """Return the record as JSON would hold it."""
        plain: dict[str, Any] = as_plain(self)
        return plain


class MemberRecord(_Record, frozen=True, kw_only=True):
    """Hash and size of one member."""

    sha256: Sha256
    size_bytes: Count


class WeightsFileRecord(_Record, frozen=True, kw_only=True):
    """A file that the first weights came from; see `imgclf.zoo.provenance.WeightsFile`."""

    name: Line
    sha256: Sha256
    package: Distribution | None = None
    version: Version | None = None
    licence: Licence | None = None

    def to_file(self) -> WeightsFile:
        """Return the record as `zoo` knows it."""
        return WeightsFile(**structs.asdict(self))

    def __post_init__(self) -> None:
        """Refuse what does not show itself."""
        _require_plain("name", [self.name])


class ArchitectureRecord(_Record, frozen=True, kw_only=True):
    """Which architecture the network is, and the package that provides it.

    A function that no package provides has the hash of the file that it stood in instead. The
    files of pretrained weights are provenance, by the option that named each: loading reads none.
    """

    name: ArchitectureName
    distribution: Distribution | None
    version: Version | None
    source_sha256: Sha256 | None = None
    options: Annotated[dict[Name, OptionValue], Meta(max_length=MAX_OPTIONS)]
    weights_files: Annotated[dict[Name, WeightsFileRecord], Meta(max_length=MAX_OPTIONS)] = {}

    def __post_init__(self) -> None:
        """Refuse what does not show itself."""
        _require_plain("options", self.options)
        _require_plain("weights_files", self.weights_files)

    def origins(self) -> list[str]:
        """Say of each weights file, in a line, which option it served and where it came from."""
        return [f"{option} of {file.to_file()}" for option, file in self.weights_files.items()]


class PolicyRecord(_Record, frozen=True, kw_only=True):
    """The input policy; see `imgclf.data.pixels.input_policy.InputPolicy`."""

    height: Side
    width: Side
    channels: Literal[1, 3]
    resize: Literal["stretch", "crop", "pad"]
    data_format: Literal["channels_last", "channels_first"]
    background: tuple[Level, Level, Level]
    decoder_version: Whole

    def to_policy(self) -> InputPolicy:
        """Return the policy itself."""
        return InputPolicy(
            image_size=(self.height, self.width),
            channels=self.channels,
            resize=self.resize,
            data_format=self.data_format,
            background=self.background,
        )


class Figures(_Record, frozen=True, kw_only=True):
    """What was measured on held-out images when the classifier was made."""

    split: Literal["test", "val"]
    num_images: Number
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    majority_accuracy: Share


class ThresholdRecord(_Record, frozen=True, kw_only=True):
    """How sure the classifier must be to reach a precision, on the validation images."""

    min_precision: Annotated[float, Meta(gt=0, le=1)]
    value: Share
    coverage: Share
    precision: Share


class CalibrationRecord(_Record, frozen=True, kw_only=True):
    """What was fitted on the validation images, and what the temperature changed there."""

    temperature: Annotated[float, Meta(gt=0)]
    num_images: Number
    log_loss_before: Loss
    log_loss_after: Loss
    ece_before: Share
    ece_after: Share
    thresholds: list[ThresholdRecord]


class DataRecord(_Record, frozen=True, kw_only=True):
    """Which images the classifier was made from."""

    num_train: Count
    num_val: Count
    num_test: Count
    split_sha256: Sha256 | None
    seed: Whole


class VersionsRecord(_Record, frozen=True, kw_only=True):
    """The software that made the bundle."""

    imgclf: Version
    keras: Version
    tensorflow: Version
    python: Version


class Manifest(_Record, frozen=True, kw_only=True):
    """All that a bundle says about itself."""

    format: Literal[1, 2]
    created: Line
    architecture: ArchitectureRecord
    class_names: Annotated[list[Name], Meta(min_length=2, max_length=MAX_CLASSES)]
    input: PolicyRecord
    versions: VersionsRecord
    figures: Figures | None
    data: DataRecord | None
    calibration: CalibrationRecord | None = None
    mirrored: bool = False
    members: dict[Name, MemberRecord]

    def __post_init__(self) -> None:
        """Refuse what does not show itself, and two classes of one name."""
        _require_plain("created", [self.created])
        _require_plain("class_names", self.class_names)
        _require_plain("members", self.members)
        seen: set[str] = set()
        for name in self.class_names:
            if name in seen:
                raise ValueError(f"class_names: {name[:100]!r} is given twice")
            seen.add(name)


def parse_manifest(text: bytes) -> Manifest:
    """Read a manifest that was written by a stranger.

    Args:
        text: The content of ``manifest.json``.

    Returns:
        What it says.

    Raises:
        ManifestError: It does not fit the schema, or gives a key twice.
    """
    try:
        _refuse_newer(parse_json(text))
        return _DECODER.decode(text)
    except ManifestError:
        raise
    except ValidationError as error:
        raise ManifestError(_fault(error)) from error
    except (DecodeError, ValueError, RecursionError) as error:
        raise ManifestError(f"manifest.json: {error}") from error


def _refuse_newer(value: Any) -> None:
    found = value.get("format") if isinstance(value, dict) else None
    if type(found) is int and FORMAT < found < MAX_FORMAT:
        raise ManifestError(f"format: {found} is newer", found)


def _require_plain(field: str, texts: Iterable[str]) -> None:
    for text in texts:
        if not is_plain_text(text):
            raise ValueError(f"{field}: {text[:100]!r} has control characters or line breaks")


_DECODER = Decoder(Manifest)

_PLACE = re.compile(r" - at (?:`key` in )?`\$\.?(?P<place>.*)`\Z", re.DOTALL)
"""How msgspec ends a complaint: ``- at `$.data.seed` ``."""


def _fault(error: ValidationError) -> str:
    """Write a schema's complaint as one line: where, and what."""
    text = str(error)
    found = _PLACE.search(text)
    where = found["place"][:100] if found else "manifest.json"
    message = text[: found.start()] if found else text
    return f"{printable(where, is_name=True)}: {printable(message[:300], is_name=True)}"
