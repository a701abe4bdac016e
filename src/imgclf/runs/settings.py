"""Every choice of a training, as values: from keywords, from a classifier, from a run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from imgclf.data.batches.augmentation import Augmentation, resolve_augmentation
from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.input_policy import DataFormat, InputPolicy, ResizeMode
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.pixel_store import StoreMode
from imgclf.errors import ArgumentError
from imgclf.machine.precision import Precision
from imgclf.options import Value, is_pretrained
from imgclf.training.recipes import choose_recipe
from imgclf.training.schedules import Schedule
from imgclf.training.two_phase import FINE_TUNE_EPOCHS
from imgclf.zoo.builder import origin_of
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    import keras

    from imgclf.classifiers.classifier import Classifier

__all__ = [
    "Settings",
    "from_config",
    "make_plan",
    "recipe_settings",
    "settings_of",
    "to_config",
]

VAL_SHARE = 0.15
TEST_SHARE = 0.15
"""How one folder is cut: 70 % to learn from, 15 % to choose the epoch, 15 % for the headline."""

MOST_VAL_IMAGES = 5_000
"""Validation images of a large folder: they tell an accuracy of 90 % to 0.4 points, which is enough
to choose by; the others are worth more to learn from, and cost no time after each epoch."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Every choice of a training; `recipe_settings` gives those of a recipe.

    Attributes:
        architecture: An installed name or an architecture function.
        options: Options of the architecture.
        image_size: ``(height, width)`` in pixels.
        channels: 3 for colour, 1 for grey.
        resize: ``"stretch"``, ``"crop"`` or ``"pad"``.
        data_format: Order of the axes of batches and network.
        epochs: Passes over the training images.
        batch_size: Images per batch.
        learning_rate: The highest rate; None is the optimizer's usual one, ``"auto"`` measures it.
        schedule: ``"cosine"`` or ``"constant"``.
        optimizer: ``"adam"``, ``"adamw"``, ``"rmsprop"``, ``"sgd"`` or ``"muon"``; ``"auto"`` is
            Muon for networks with normalisation and Adam for others.
        augment: A preset's name or an `Augmentation`.
        weight_decay: Share of each kernel that a step of rate 1 takes away; None is the
            optimizer's own.
        label_smoothing: Share of each label that is spread over all classes.
        average_weights: Whether the result is a moving average of the weights.
        mirrored_prediction: Whether predictions are the mean over an image and its mirror image.
        accumulate_steps: Batches whose mean gradient makes one change of the weights.
        class_weight: ``"balanced"`` or None.
        patience: Epochs without a better one after which the training ends; None never.
        precision: Of the training steps.
        budget_s: Seconds that the whole way may take, which replaces `epochs`; None sets no bound.
        size_by_budget: Whether `budget_s` also chooses the image size.
        shrink_batch: Whether a step that the memory does not hold is tried with half the batch.
        freeze: Whether the convolutional part stays as it is, when going on from a classifier.
        two_phase: Whether the head is trained first, on frozen features; None where the weights
            are pretrained. `epochs` and `learning_rate` are the head's then.
        fine_tune_epochs: Epochs of the whole network behind those of the head.
        fine_tune_learning_rate: The highest rate of these; None is a tenth of the head's.
        seed: Decides split, order, augmentation and initial weights.
        deterministic: Whether the same seed gives the same bits on one machine.
        tensorboard: Whether logs are written for TensorBoard.
        mlflow: Whether MLflow is told how it goes on.
        store: Where decoded pixels are kept.
        strict: Whether one unusable file stops everything.
        group_by: A regular expression over paths; images with the same match stay on one side.
        near_duplicates: Whether images that look the same stay on one side too.
        split_file: The ``split.csv`` of an earlier run, whose images keep their sides.
        oversample: Whether images of rare classes come several times in an epoch.
        val_split: Share of a folder without ``val/`` that is cut off for validation.
    """

    architecture: str | Callable[..., keras.Model] = "resnet9"
    options: Mapping[str, Value] = field(default_factory=dict)
    image_size: tuple[int, int] = (96, 96)
    channels: Literal[1, 3] = 3
    resize: ResizeMode = "stretch"
    data_format: DataFormat = "channels_last"
    epochs: int = 30
    batch_size: int = 32
    learning_rate: float | Literal["auto"] | None = 1e-3
    schedule: Schedule = "cosine"
    optimizer: str = "adam"
    augment: str | Augmentation = "light"
    weight_decay: float | None = None
    label_smoothing: float = 0.0
    average_weights: bool = False
    mirrored_prediction: bool = False
    accumulate_steps: int = 1
    class_weight: Literal["balanced"] | None = None
    patience: int | None = None
    precision: Precision = "auto"
    budget_s: float | None = None
    size_by_budget: bool = False
    shrink_batch: bool = False
    freeze: bool = False
    two_phase: bool | None = None
    fine_tune_epochs: int = FINE_TUNE_EPOCHS
    fine_tune_learning_rate: float | None = None
    seed: int = 0
    deterministic: bool = False
    tensorboard: bool = False
    mlflow: bool = False
    store: StoreMode = "auto"
    strict: bool = False
    group_by: str | None = None
    near_duplicates: bool = True
    split_file: str | None = None
    oversample: bool = False
    val_split: float = VAL_SHARE


def recipe_settings(recipe: str, directory: str | os.PathLike[str], **given: Any) -> dict[str, Any]:
    """Return what a recipe sets for the images of a folder; nothing is opened.

    Args:
        recipe: ``"recipe"``, ``"fast"`` or ``"best"``; see `imgclf.training.recipes`.
        directory: The folder.
        **given: Fields of `Settings` that are set already. Another optimizer than the recipe's
            brings its own usual rate; a rate without an optimizer is taken for Adam's.

    Returns:
        Fields of `Settings`, those of `given` among them.

    Raises:
        ArgumentError: The recipe or the optimizer is unknown.
        DataError: The folder cannot be used.
    """
    folder = read_folder(directory)
    if folder.splits:
        num_images = num_cut = sum(file.split == "train" for file in folder.files)
    else:
        num_cut = len(folder.files)
        num_images = round(num_cut * (1 - VAL_SHARE - TEST_SHARE))
    chosen = asdict(choose_recipe(recipe, num_images))
    chosen["val_split"] = min(VAL_SHARE, MOST_VAL_IMAGES / max(1, num_cut))
    if _trains_a_head_first(given):
        # One dense layer on features: a recipe's optimizer was chosen for whole networks.
        chosen |= {"optimizer": "adam", "learning_rate": None, "weight_decay": None}
    if given.get("optimizer", chosen["optimizer"]) != chosen["optimizer"]:
        chosen |= {"learning_rate": None, "weight_decay": None}
    elif chosen["optimizer"] == "auto" and isinstance(given.get("learning_rate"), float):
        chosen["optimizer"] = "adam"  # A bare rate means Adam's, as everywhere in Keras.
    if not resolve_augmentation(given.get("augment", chosen["augment"])).horizontal_flip:
        chosen["mirrored_prediction"] = False  # Left and right may be what tells classes apart.
    chosen["size_by_budget"] = bool(given.get("budget_s")) and "image_size" not in given
    return {**chosen, **given}


def _trains_a_head_first(given: Mapping[str, Any]) -> bool:
    """Tell whether settings will be trained in two phases."""
    if given.get("two_phase") is not None or "architecture" not in given:
        return bool(given.get("two_phase"))
    options = load_architecture(given["architecture"]).options
    return is_pretrained(options, given.get("options", {}))


def make_plan(
    directory: str | os.PathLike[str],
    settings: Settings,
    *,
    val_dir: str | os.PathLike[str] | None = None,
    test_dir: str | os.PathLike[str] | None = None,
) -> Plan:
    """Return the plan of a training's images; nothing is read yet.

    Args:
        directory: The folder.
        settings: Every choice.
        val_dir: Another folder with the validation images.
        test_dir: Another folder with the test images.

    Returns:
        The plan.

    Raises:
        ArgumentError: A setting is not accepted.
    """
    return Plan(
        train_dir=os.path.abspath(directory),  # noqa: PTH100 - resolve() would follow links
        val_dir=None if val_dir is None else os.path.abspath(val_dir),  # noqa: PTH100
        test_dir=None if test_dir is None else os.path.abspath(test_dir),  # noqa: PTH100
        policy=InputPolicy(
            settings.image_size, settings.channels, settings.resize, settings.data_format
        ),
        batch_size=settings.batch_size,
        augmentation=resolve_augmentation(settings.augment),
        val_split=settings.val_split,
        test_split=TEST_SHARE,
        seed=settings.seed,
        store=settings.store,
        strict=settings.strict,
        group_by=settings.group_by,
        near_duplicates=settings.near_duplicates,
        split_file=settings.split_file and os.path.abspath(settings.split_file),  # noqa: PTH100
        oversample=settings.oversample,
    )


def settings_of(classifier: Classifier, **overrides: Any) -> Settings:
    """Return settings with the architecture, options and input of a classifier.

    Args:
        classifier: What a training goes on from.
        **overrides: Other fields of `Settings`.

    Returns:
        The settings.

    Raises:
        ArgumentError: `overrides` asks for another network or input, or nobody knows how the
            classifier's network was built.
    """
    origin = origin_of(classifier.model)
    if origin is None:
        raise ArgumentError("start_from needs a network that build_model made.")
    policy = classifier.policy
    registered = origin.architecture.registration is not None
    fixed: dict[str, Any] = {
        "architecture": origin.architecture.name if registered else origin.architecture.function,
        "options": dict(origin.options),
        "image_size": policy.image_size,
        "channels": policy.channels,
        "resize": policy.resize,
        "data_format": policy.data_format,
    }
    changed = [name for name in fixed if overrides.get(name, fixed[name]) != fixed[name]]
    if changed:
        raise ArgumentError(
            f"{changed[0]}={overrides[changed[0]]!r} cannot be changed when going on from a "
            f"classifier, which has {fixed[changed[0]]!r}: leave it out, or train anew."
        )
    return Settings(**{**overrides, **fixed, "size_by_budget": False})


def to_config(plan: Plan, settings: Settings, precision: str) -> dict[str, Any]:
    """Write out every value, so that a run can be repeated from its folder alone.

    Args:
        plan: The images.
        settings: Every choice.
        precision: The one that was chosen for this machine.

    Returns:
        Plain values for JSON.
    """
    architecture = settings.architecture
    name = architecture if isinstance(architecture, str) else architecture.__name__
    return {
        **asdict(settings),
        "architecture": name,
        "augment": asdict(plan.augmentation),
        "precision": precision,
        "train_dir": plan.train_dir,
        "val_dir": plan.val_dir,
        "test_dir": plan.test_dir,
        "test_split": plan.test_split,
        "split_file": plan.split_file,
    }


def from_config(config: Mapping[str, Any]) -> tuple[Plan, Settings]:
    """Read what `to_config` wrote.

    Args:
        config: The content of a run's ``config.json``.

    Returns:
        The plan and the settings of the run.
    """
    values = {
        # A run of an earlier version has not all of them.
        **{item.name: config[item.name] for item in fields(Settings) if item.name in config},
        "image_size": tuple(config["image_size"]),
        "augment": Augmentation(**config["augment"]),
    }
    settings = Settings(**values)
    folders = {name: config[name] for name in ("val_dir", "test_dir")}
    return make_plan(config["train_dir"], settings, **folders), settings
