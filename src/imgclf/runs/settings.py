"""Every choice of a training, in one table: name, type, range, default, help and group.

The keywords of `imgclf.train` and `imgclf.tune`, the options of the command line, ``config.json``,
``best.json`` and the command in a report are all made from the fields of `Settings`. A new setting
is a new field here, and one more parameter of the function that does what it says.
"""

from __future__ import annotations

import difflib
import functools
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal

from imgclf.errors import ArgumentError
from imgclf.options import Choice, Float, Int, Value, values_of
from imgclf.runs.setting_kinds import (
    ArchitectureKind,
    AugmentationKind,
    DurationKind,
    ImageSizeKind,
    Kind,
    LearningRateKind,
    OptionsKind,
    PathKind,
    RangeKind,
    TextKind,
)
from imgclf.training.recipes import FINE_TUNE_EPOCHS

if TYPE_CHECKING:
    from imgclf.data.batches.augmentation import Augmentation

__all__ = [
    "AUTOMATIC",
    "BY_RECIPE",
    "GROUPS",
    "PRETRAINED",
    "SettingField",
    "Settings",
    "check_names",
    "setting_fields",
]

COMMON = "Common"
IMAGES = "Images"
NETWORK = "Network"
TRAINING = "Training"
RETRAINING = "Retraining"
ADVANCED = "Advanced"

GROUPS = (COMMON, IMAGES, NETWORK, TRAINING, RETRAINING, ADVANCED)
"""The groups, in the order in which help shows them."""

AUTOMATIC = "auto"
"""In the place of an architecture: begin with a pretrained network, go on with what pays."""

PRETRAINED = "efficientnet_lite"
"""What an automatic training begins with."""

OFTEN_MEANT = {
    "arch": "architecture", "model": "architecture", "backbone": "architecture",
    "epoch": "epochs", "num_epochs": "epochs", "lr": "learning_rate", "rate": "learning_rate",
    "batch": "batch_size", "bs": "batch_size", "imgsz": "image_size", "size": "image_size",
    "img_size": "image_size", "augmentation": "augment", "balanced": "class_weight",
    "grey": "channels", "gray": "channels", "grayscale": "channels", "time": "budget",
    "budget_s": "budget", "wd": "weight_decay", "early_stopping": "patience",
    "accumulate": "accumulate_steps", "validation_split": "val_split", "val": "val_dir",
    "test": "test_dir", "set": "options",
}  # fmt: skip
"""Names that other tools use, and what they are called here."""


class _ByRecipe:
    """The default of a setting that the recipe chooses."""

    def __repr__(self) -> str:
        return "<by recipe>"

    def __reduce__(self) -> str:
        return "BY_RECIPE"

    def __copy__(self) -> _ByRecipe:
        return self

    def __deepcopy__(self, _memo: object) -> _ByRecipe:
        return self


BY_RECIPE: Any = _ByRecipe()
"""Left to the recipe, which chooses by the number of images; see `imgclf.runs.resolution`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What stands in the annotation of a field of `Settings`.

    Attributes:
        group: Its panel in the help; empty for what is only recorded.
        help: One or two short sentences.
        kind: What is valid; None reads it from the type: `bool` or a `Literal`.
        short: Further names of the command-line option.
        default_text: The default in words, where it is no plain value.
        metavar: How help calls the value.
    """

    group: str
    help: str
    kind: Kind | Int | Float | None = None
    short: tuple[str, ...] = ()
    default_text: str = ""
    metavar: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every choice of a training.

    A value is checked when the settings are made. What has the default ``BY_RECIPE`` is left to the
    recipe, which knows how many images there are.

    Raises:
        ArgumentError: A value is not accepted; the message says what is.

    Example:
        >>> Settings(epochs=20, image_size=64).image_size
        (64, 64)
    """

    architecture: Annotated[
        str | Callable[..., Any],
        Setting(
            COMMON,
            "Network, such as resnet9; auto begins with a pretrained one.",
            ArchitectureKind(),
            short=("--arch",),
            metavar="NAME",
        ),
    ] = AUTOMATIC
    options: Annotated[
        Mapping[str, Value],
        Setting(
            COMMON,
            "Option of the network: filters=16.",
            OptionsKind(),
            short=("--set",),
            metavar="NAME=VALUE",
        ),
    ] = field(default_factory=dict)
    recipe: Annotated[
        Literal["fast", "best", "classic"],
        Setting(
            COMMON,
            "What chooses the rest: fast, best (takes longer) or classic.",
            metavar="NAME",
        ),
    ] = "fast"
    budget: Annotated[
        float | str | None,
        Setting(COMMON, "Finish within this time, such as 5m.", DurationKind(), metavar="TIME"),
    ] = None
    epochs: Annotated[
        int,
        Setting(
            COMMON,
            "Passes over the training images.",
            Int(1, 1_000_000),
            default_text="40 for 1,000 images, fewer for more",
        ),
    ] = BY_RECIPE
    image_size: Annotated[
        int | tuple[int, int],
        Setting(
            COMMON,
            "Pixels a side, or HEIGHTxWIDTH such as 96x128.",
            ImageSizeKind(),
            default_text="96; without --arch the photos' own, up to 224",
            metavar="SIZE",
        ),
    ] = BY_RECIPE
    val_dir: Annotated[
        str | None,
        Setting(
            COMMON, "Folder of the validation images.", PathKind(), short=("--val",), metavar="DIR"
        ),
    ] = None
    test_dir: Annotated[
        str | None,
        Setting(COMMON, "Folder of the test images.", PathKind(), short=("--test",), metavar="DIR"),
    ] = None
    # Images
    augment: Annotated[
        str | Augmentation,
        Setting(
            IMAGES,
            "Augmentation; light and strong mirror images.",
            AugmentationKind(("none", "classic", "light", "strong")),
            default_text="light",
            metavar="NAME",
        ),
    ] = BY_RECIPE
    mixup: Annotated[
        float,
        Setting(
            IMAGES, "Alpha of MixUp, which blends images: try 0.2.", Float(0, 10), metavar="ALPHA"
        ),
    ] = 0.0
    cutmix: Annotated[
        float,
        Setting(
            IMAGES,
            "Alpha of CutMix, which puts parts of images into others: try 1.",
            Float(0, 10),
            metavar="ALPHA",
        ),
    ] = 0.0
    channels: Annotated[Literal[1, 3], Setting(IMAGES, "3 for colour, 1 for grey.")] = 3
    resize: Annotated[
        Literal["stretch", "crop", "pad"],
        Setting(IMAGES, "How images of another shape are resized."),
    ] = "stretch"
    oversample: Annotated[
        bool, Setting(IMAGES, "Show images of rare classes several times per epoch.")
    ] = False
    val_split: Annotated[
        float,
        Setting(
            IMAGES,
            "Share of the images for validation, where there is no val/.",
            Float(0.001, 0.9),
            default_text="0.15, at most 5,000 images",
        ),
    ] = BY_RECIPE
    group_by: Annotated[
        str | None,
        Setting(
            IMAGES,
            "Keep images in one split whose paths have the same match.",
            TextKind(),
            metavar="REGEX",
        ),
    ] = None
    near_duplicates: Annotated[bool, Setting(IMAGES, "Keep near-duplicates in one split.")] = True
    split_file: Annotated[
        str | None,
        Setting(
            IMAGES, "Keep the split of an earlier run: its split.csv.", PathKind(), metavar="CSV"
        ),
    ] = None
    strict: Annotated[bool, Setting(IMAGES, "Stop at an unusable file.")] = False
    # Network
    data_format: Annotated[
        Literal["channels_last", "channels_first"],
        Setting(NETWORK, "Order of the axes that the network reads."),
    ] = "channels_last"
    average_weights: Annotated[
        bool,
        Setting(NETWORK, "Keep a moving average of the weights.", default_text="only with best"),
    ] = BY_RECIPE
    mirrored_prediction: Annotated[
        bool,
        Setting(
            NETWORK,
            "Average predictions over each image and its mirror image.",
            default_text="with best, and fine-tuned by the clock",
        ),
    ] = BY_RECIPE
    # Training
    batch_size: Annotated[
        int,
        Setting(
            TRAINING,
            "Images per batch.",
            Int(1, 1_000_000),
            default_text="16, more from 2,000 images on",
            metavar="N",
        ),
    ] = BY_RECIPE
    shrink_batch: Annotated[bool, Setting(TRAINING, "Halve the batch size if memory runs out.")] = (
        False
    )
    learning_rate: Annotated[
        float | Literal["auto"] | None,
        Setting(
            TRAINING,
            "Peak learning rate, Adam's unless an optimizer is given; auto finds one.",
            LearningRateKind(),
            default_text="the optimizer's usual",
            metavar="RATE",
        ),
    ] = BY_RECIPE
    schedule: Annotated[
        Literal["cosine", "constant"],
        Setting(TRAINING, "Learning-rate schedule.", default_text="cosine"),
    ] = BY_RECIPE
    optimizer: Annotated[
        Literal["auto", "adam", "adamw", "rmsprop", "sgd", "muon"],
        Setting(
            TRAINING,
            "Optimizer.",
            default_text="muon with batch normalisation, else adam",
            metavar="NAME",
        ),
    ] = BY_RECIPE
    weight_decay: Annotated[
        float | None,
        Setting(TRAINING, "Weight decay.", Float(0, 1), default_text="the optimizer's own"),
    ] = BY_RECIPE
    label_smoothing: Annotated[
        float, Setting(TRAINING, "Label smoothing.", Float(0, 0.9), default_text="0.1")
    ] = BY_RECIPE
    clip_norm: Annotated[
        float | None,
        Setting(TRAINING, "Gradient clipping: largest global norm.", Float(1e-6, 1e6)),
    ] = None
    accumulate_steps: Annotated[
        int,
        Setting(TRAINING, "Gradient accumulation: batches per optimizer step.", Int(1, 100_000)),
    ] = 1
    class_weight: Annotated[
        Literal["balanced"] | None,
        Setting(TRAINING, "balanced: rare classes count as much as frequent ones."),
    ] = None
    patience: Annotated[
        int | None,
        Setting(TRAINING, "Early stopping: epochs without improvement.", Int(1, 1_000_000)),
    ] = None
    # Retraining
    freeze: Annotated[
        bool, Setting(RETRAINING, "Train the dense layers only; needs an earlier classifier.")
    ] = False
    two_phase: Annotated[
        bool | None,
        Setting(
            RETRAINING,
            "The head first, on frozen features, then fine-tuning.",
            default_text="for pretrained weights",
        ),
    ] = None
    fine_tune_epochs: Annotated[
        int,
        Setting(RETRAINING, "In two phases: epochs of fine-tuning.", Int(0, 1_000_000)),
    ] = FINE_TUNE_EPOCHS
    fine_tune_learning_rate: Annotated[
        float | None,
        Setting(
            RETRAINING,
            "In two phases: peak learning rate of fine-tuning.",
            Float(1e-12, 1e6),
            default_text="a tenth of the head's",
        ),
    ] = None
    head_penalty: Annotated[
        float | None,
        Setting(
            RETRAINING,
            "In two phases: L2 penalty of a linear head.",
            Float(1e-8, 1e4),
            default_text="chosen on the validation images",
        ),
    ] = None
    head_copies: Annotated[
        Literal["none", "mirrored", "shifted"],
        Setting(
            RETRAINING,
            "In two phases: augmented copies of each image for a linear head.",
            default_text="none; shifted with the recipe best",
        ),
    ] = BY_RECIPE
    # Advanced
    seed: Annotated[
        int,
        Setting(
            ADVANCED, "Seed of the split, the batches and the initial weights.", Int(0, 2**31 - 1)
        ),
    ] = 0
    deterministic: Annotated[
        bool, Setting(ADVANCED, "The same weights, to the last bit, for the same seed; slower.")
    ] = False
    precision: Annotated[
        Literal["auto", "float32", "mixed_bfloat16"],
        Setting(ADVANCED, "Precision of training steps; results are always float32."),
    ] = "auto"
    store: Annotated[
        Literal["auto", "memory", "disk", "off"],
        Setting(ADVANCED, "Where decoded pixels are kept."),
    ] = "auto"
    tensorboard: Annotated[
        bool, Setting(ADVANCED, "Write logs for TensorBoard into the run folder.")
    ] = False
    mlflow: Annotated[bool, Setting(ADVANCED, "Log to MLflow; needs the extra imgclf[mlflow].")] = (
        False
    )
    size_is_open: Annotated[
        bool, Setting("", "The image size is chosen by the images, or by the budget.")
    ] = False

    def __post_init__(self) -> None:
        """Check every value, and keep it in its usual form."""
        for item in setting_fields():
            value = getattr(self, item.name)
            if value is not BY_RECIPE:
                object.__setattr__(self, item.name, item.checked(value))

    @property
    def height_and_width(self) -> tuple[int, int]:
        """The image size, in pixels."""
        return typing.cast("tuple[int, int]", self.image_size)

    @property
    def budget_s(self) -> float | None:
        """The budget, in seconds."""
        return typing.cast("float | None", self.budget)

    @property
    def left_to_recipe(self) -> frozenset[str]:
        """Names of the settings that the recipe has still to choose."""
        names = (item.name for item in setting_fields())
        return frozenset(name for name in names if getattr(self, name) is BY_RECIPE)


@dataclass(frozen=True, slots=True)
class SettingField:
    """One row of the table.

    Attributes:
        name: The keyword in Python and, with dashes, the option on the command line.
        setting: What its annotation says.
        kind: What is valid.
        optional: Whether None is valid.
        default: The value where nothing is given.
    """

    name: str
    setting: Setting
    kind: Kind
    optional: bool
    default: Any

    @property
    def accepted(self) -> str:
        """What is valid, in words."""
        return self.kind.accepted + (", or None" if self.optional else "")

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def choices(self) -> tuple[Value, ...]:
        """The valid values, where there are a few; ``(False, True)`` for a switch."""
        if isinstance(self.kind, RangeKind) and isinstance(self.kind.range, Choice):
            return tuple(self.kind.range.values)
        return ()

    @property
    def is_switch(self) -> bool:
        """Whether it is either true or false."""
        return self.choices == (False, True)

    def checked(self, value: Any) -> Any:
        """Return a value in its usual form.

        Raises:
            ArgumentError: It is not accepted.
        """
        if value is None and self.optional:
            return None
        try:
            return self.kind.checked(value)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"{self.name}={value!r} is not accepted: give {self.accepted}."
            ) from None

    def parse(self, text: str) -> Any:
        """Read a value from a command line.

        Raises:
            ArgumentError: It is not accepted.
        """
        try:
            return self.checked(self.kind.parse(text))
        except (TypeError, ValueError):
            raise ArgumentError(
                f"{self.flag} {text!r} is not accepted: give {self.kind.accepted}."
            ) from None


@functools.cache
def setting_fields() -> tuple[SettingField, ...]:
    """Read the table.

    Returns:
        One row for each field of `Settings`, in their order.

    Example:
        >>> [item.name for item in setting_fields()][:3]
        ['architecture', 'options', 'recipe']
    """
    # The augmentation's room loads NumPy and OpenCV; its name alone is needed here.
    hints = typing.get_type_hints(Settings, localns={"Augmentation": object}, include_extras=True)
    return tuple(_read_field(item, hints[item.name]) for item in fields(Settings))


def _read_field(item: Any, hint: Any) -> SettingField:
    annotation, setting = typing.get_args(hint)
    kind = setting.kind
    optional = type(None) in typing.get_args(annotation)
    if kind is None:
        valid = tuple(value for value in values_of(annotation) if value is not None)
        kind = RangeKind(Choice(values=valid))
    elif isinstance(kind, (Int, Float)):
        kind = RangeKind(kind)
    return SettingField(item.name, setting, kind, optional, item.default)


def check_names(given: Mapping[str, object], *also: str) -> None:
    """Refuse names that no setting has, naming the one that was probably meant.

    Args:
        given: Settings by name.
        *also: Further names that are accepted.

    Raises:
        ArgumentError: A name is unknown.

    Example:
        >>> check_names({"epoch": 3})
        Traceback (most recent call last):
        imgclf.errors.ArgumentError: There is no setting 'epoch': did you mean epochs?
    """
    known = [*also, *(item.name for item in setting_fields())]
    for name in given:
        if name in known:
            continue
        close = difflib.get_close_matches(name, known, n=1)
        meant = OFTEN_MEANT.get(name) or (close[0] if close else None)
        hint = f"did you mean {meant}?" if meant else f"give one of {', '.join(known)}."
        raise ArgumentError(f"There is no setting {name!r}: {hint}")
