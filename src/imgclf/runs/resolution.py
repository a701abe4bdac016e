"""What settings leave open is chosen here: by the recipe, by a classifier to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from imgclf.data.batches.augmentation import resolve_augmentation
from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError
from imgclf.runs.phases import trains_a_head_first
from imgclf.runs.settings import AUTOMATIC, BY_RECIPE, PRETRAINED, Settings, check_names
from imgclf.training.recipes import FINE_TUNE_EPOCHS, choose_recipe
from imgclf.zoo.builder import origin_of

if TYPE_CHECKING:
    import os

    from imgclf.classifiers.classifier import Classifier
    from imgclf.data.reading.image_folder import ImageFolder

__all__ = [
    "Improvement", "improvement_of", "make_plan", "make_settings",
    "resolve_for_folder", "resolve_settings",
]  # fmt: skip

CLASSIC = "three_conv"
"""The network of the beginner's recipe."""

Improvement = Literal["any", "fine_tuning"]

VAL_SHARE = 0.15
TEST_SHARE = 0.15
"""How one folder is cut: 70 % to learn from, 15 % to choose the epoch, 15 % for the headline."""

MOST_VAL_IMAGES = 5_000
"""Validation images of a large folder: they tell an accuracy of 90 % to 0.4 points, which is enough
to choose by; the others are worth more to learn from, and cost no time after each epoch."""

USUAL_IMAGE_SIZE = (96, 96)


def make_settings(given: Mapping[str, Any], start_from: Classifier | None = None) -> Settings:
    """Make settings from keywords.

    Args:
        given: Settings by name.
        start_from: A classifier to go on from: its architecture, options and input are kept.

    Returns:
        The settings.

    Raises:
        ArgumentError: A name is unknown, a value is not accepted, or `given` asks for another
            network or input than the classifier's.
    """
    check_names(given)
    settings = Settings(**given)
    if start_from is None:
        return settings
    fixed = _fixed_by(start_from)
    for name, value in fixed.items():
        if name in given and getattr(settings, name) != value:
            raise ArgumentError(
                f"{name}={given[name]!r} cannot be changed when starting from a classifier, which "
                f"has {value!r}: leave it out, or train from the start."
            )
    return replace(settings, **fixed)


def _fixed_by(classifier: Classifier) -> dict[str, Any]:
    """Return what a training that goes on from a classifier cannot choose."""
    origin = origin_of(classifier.model)
    if origin is None:
        raise ArgumentError("start_from needs a network that build_model made.")
    policy = classifier.policy
    registered = origin.architecture.registration is not None
    return {
        "architecture": origin.architecture.name if registered else origin.architecture.function,
        "options": dict(origin.options),
        "image_size": policy.image_size,
        "channels": policy.channels,
        "resize": policy.resize,
        "data_format": policy.data_format,
    }


def resolve_for_folder(settings: Settings, folder: ImageFolder) -> Settings:
    """Let the recipe choose what settings leave open, for the images of a folder.

    Args:
        settings: The settings.
        folder: The folder; nothing in it is opened.

    Returns:
        Settings that leave nothing open.

    Raises:
        UnknownArchitectureError: The architecture is not installed.
    """
    if folder.splits:
        num_images = num_cut = sum(file.split == "train" for file in folder.files)
    else:
        num_cut = len(folder.files)
        num_images = round(num_cut * (1 - VAL_SHARE - TEST_SHARE))
    return resolve_settings(settings, num_images, num_cut)


def resolve_settings(settings: Settings, num_images: int, num_cut: int | None = None) -> Settings:
    """Let the recipe choose what settings leave open.

    Another optimizer than the recipe's brings its own usual rate; a rate without an optimizer is
    taken for Adam's.

    Args:
        settings: The settings.
        num_images: Training images, about.
        num_cut: Images that the validation part is cut from.

    Returns:
        Settings that leave nothing open.

    Raises:
        UnknownArchitectureError: The architecture is not installed.
    """
    settings = _with_architecture(settings)
    open_names = settings.left_to_recipe
    if not open_names:
        return settings
    chosen: dict[str, Any] = asdict(choose_recipe(settings.recipe, num_images))
    chosen["val_split"] = min(VAL_SHARE, MOST_VAL_IMAGES / max(1, num_cut or 0))
    chosen["image_size"] = USUAL_IMAGE_SIZE
    if trains_a_head_first(settings):
        # One dense layer on features: a recipe's optimizer was chosen for whole networks.
        # So was its label smoothing, which costs such a layer accuracy.
        chosen |= {
            "optimizer": "adam", "learning_rate": None, "weight_decay": None,
            "label_smoothing": 0.0,
        }  # fmt: skip
    if settings.optimizer not in (BY_RECIPE, chosen["optimizer"]):
        chosen |= {"learning_rate": None, "weight_decay": None}
    elif chosen["optimizer"] == "auto" and isinstance(settings.learning_rate, float):
        chosen["optimizer"] = "adam"  # A bare rate means Adam's, as everywhere in Keras.
    augment = chosen["augment"] if settings.augment is BY_RECIPE else settings.augment
    if not resolve_augmentation(augment).horizontal_flip:
        # Left and right may be what tells classes apart.
        chosen |= {"mirrored_prediction": False, "head_copies": "none"}
    is_open = settings.image_size is BY_RECIPE and (
        settings.budget is not None or settings.architecture == PRETRAINED
    )
    return replace(settings, **{name: chosen[name] for name in open_names}, size_is_open=is_open)


def improvement_of(settings: Settings, *, goes_on: bool = False) -> Improvement | None:
    """Tell what a training does once it has its first answer.

    Args:
        settings: The settings, as they were given.
        goes_on: Whether it goes on from a classifier.

    Returns:
        ``"any"``: whatever pays within the time, where the network is left open. ``"fine_tuning"``:
        of the pretrained network that was chosen. None: nothing of the kind; a number of epochs was
        asked for, or the same weights to the last bit, which a clock cannot give.

    Example:
        >>> improvement_of(Settings()), improvement_of(Settings(epochs=3))
        ('any', None)
    """
    is_open = (
        settings.epochs is BY_RECIPE
        and settings.two_phase is None
        and settings.fine_tune_epochs == FINE_TUNE_EPOCHS
    )
    has_time = settings.budget is not None and settings.two_phase is not False
    if (
        not (is_open or has_time)
        or settings.deterministic
        or settings.freeze
        or settings.recipe == "classic"
    ):
        return None
    if settings.architecture == AUTOMATIC:
        return "any"
    return "fine_tuning" if (has_time or goes_on) and trains_a_head_first(settings) else None


def _with_architecture(settings: Settings) -> Settings:
    """Put a network in the place of ``auto``."""
    if settings.architecture != AUTOMATIC:
        return settings
    if settings.options:
        listed = ", ".join(settings.options)
        raise ArgumentError(
            f"Options belong to an architecture ({listed}): name it too, such as "
            "architecture='resnet9' (--arch resnet9)."
        )
    if settings.recipe == "classic":
        return replace(settings, architecture=CLASSIC)
    settings = replace(settings, architecture=PRETRAINED)
    if settings.epochs is BY_RECIPE or settings.two_phase is not None:
        return settings
    return replace(settings, fine_tune_epochs=settings.epochs)


def make_plan(directory: str | os.PathLike[str], settings: Settings) -> Plan:
    """Return the plan of a training's images; nothing is read yet.

    Args:
        directory: The folder.
        settings: Every choice; what is still left to the recipe has its usual value.

    Returns:
        The plan.

    Raises:
        ArgumentError: A setting is not accepted.
    """
    import os

    settings = resolve_settings(settings, num_images=0)
    return Plan(
        train_dir=os.path.abspath(directory),  # noqa: PTH100 - resolve() would follow links
        val_dir=settings.val_dir,
        test_dir=settings.test_dir,
        policy=InputPolicy(
            settings.height_and_width, settings.channels, settings.resize, settings.data_format
        ),
        batch_size=settings.batch_size,
        augmentation=resolve_augmentation(
            settings.augment, mixup=settings.mixup or None, cutmix=settings.cutmix or None
        ),
        val_split=settings.val_split,
        test_split=TEST_SHARE,
        seed=settings.seed,
        store=settings.store,
        strict=settings.strict,
        group_by=settings.group_by,
        near_duplicates=settings.near_duplicates,
        split_file=settings.split_file,
        oversample=settings.oversample,
    )
