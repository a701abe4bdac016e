"""What a classifier's file says about itself, and what it may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

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
    "parse_manifest",
]

FORMAT = 2
"""Raised when the layout changes; a newer format is refused with a message."""

LICENCE = r"^[A-Za-z0-9][A-Za-z0-9 .+()-]{0,99}$"
"""What a licence may look like: an expression of SPDX."""

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


def _plain(text: str) -> str:
    if not is_plain_text(text):
        raise ValueError("has control characters or line breaks")
    return text


def _without_twins(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{name[:100]!r} is given twice")
        seen.add(name)
    return names


Line = Annotated[str, Field(max_length=1_000), AfterValidator(_plain)]
Name = Annotated[Line, Field(min_length=1)]
ArchitectureName = Annotated[str, Field(pattern=ARCHITECTURE_NAME)]
Distribution = Annotated[str, Field(pattern=DISTRIBUTION_NAME)]
Version = Annotated[str, Field(pattern=VERSION)]
Licence = Annotated[str, Field(pattern=LICENCE)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[Whole, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=1, le=MAX_IMAGE_SIDE)]
OptionValue = bool | Whole | float | Annotated[str, Field(max_length=4_096)] | None


class _Strict(BaseModel):
    """A record of the manifest: unknown keys and wrong types are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class MemberRecord(_Strict):
    """Hash and size of one member."""

    sha256: Sha256
    size_bytes: Count


class WeightsFileRecord(_Strict):
    """A file that the first weights came from; see `imgclf.zoo.provenance.WeightsFile`."""

    name: Line
    sha256: Sha256
    package: Distribution | None = None
    version: Version | None = None
    licence: Licence | None = None

    def to_file(self) -> WeightsFile:
        """Return the record as `zoo` knows it."""
        return WeightsFile(**self.model_dump())


class ArchitectureRecord(_Strict):
    """Which architecture the network is, and the package that provides it.

    A function that no package provides has the hash of the file that it stood in instead. The
    files of pretrained weights are provenance, by the option that named each: loading reads none.
    """

    name: ArchitectureName
    distribution: Distribution | None
    version: Version | None
    source_sha256: Sha256 | None = None
    options: dict[Name, OptionValue] = Field(max_length=MAX_OPTIONS)
    weights_files: dict[Name, WeightsFileRecord] = Field(default={}, max_length=MAX_OPTIONS)

    def origins(self) -> list[str]:
        """Say of each weights file, in a line, which option it served and where it came from."""
        return [f"{option} of {file.to_file()}" for option, file in self.weights_files.items()]


class PolicyRecord(_Strict):
    """The input policy; see `imgclf.data.pixels.input_policy.InputPolicy`."""

    height: Side
    width: Side
    channels: Literal[1, 3]
    resize: Literal["stretch", "crop", "pad"]
    data_format: Literal["channels_last", "channels_first"]
    background: list[Annotated[int, Field(ge=0, le=255)]] = Field(min_length=3, max_length=3)
    decoder_version: Whole

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
    num_images: Whole = Field(ge=1)
    accuracy: Share
    accuracy_low: Share
    accuracy_high: Share
    majority_accuracy: Share


class ThresholdRecord(_Strict):
    """How sure the classifier must be to reach a precision, on the validation images."""

    min_precision: float = Field(gt=0, le=1)
    value: Share
    coverage: Share
    precision: Share


class CalibrationRecord(_Strict):
    """What was fitted on the validation images, and what the temperature changed there."""

    temperature: float = Field(gt=0)
    num_images: Whole = Field(ge=1)
    log_loss_before: float = Field(ge=0)
    log_loss_after: float = Field(ge=0)
    ece_before: Share
    ece_after: Share
    thresholds: list[ThresholdRecord]


class DataRecord(_Strict):
    """Which images the classifier was made from."""

    num_train: Count
    num_val: Count
    num_test: Count
    split_sha256: Sha256 | None
    seed: Whole


class VersionsRecord(_Strict):
    """The software that made the bundle."""

    imgclf: Version
    keras: Version
    tensorflow: Version
    python: Version


class Manifest(_Strict):
    """All that a bundle says about itself."""

    format: Literal[1, 2]
    created: Line
    architecture: ArchitectureRecord
    class_names: Annotated[
        list[Name], Field(min_length=2, max_length=MAX_CLASSES), AfterValidator(_without_twins)
    ]
    input: PolicyRecord
    versions: VersionsRecord
    figures: Figures | None
    data: DataRecord | None
    calibration: CalibrationRecord | None = None
    mirrored: bool = False
    members: dict[Name, MemberRecord]


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
        parse_json(text)
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        found = first["input"] if first["loc"] == ("format",) else None
        raise ManifestError(first_fault(error), found) from error
    except ValueError as error:
        raise ManifestError(f"manifest.json: {error}") from error


def first_fault(error: ValidationError) -> str:
    """Write the first of a schema's complaints as one line: where, and what."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))[:100] or "manifest.json"
    message = first["msg"].removeprefix("Value error, ")
    return f"{printable(where, is_name=True)}: {message}"
