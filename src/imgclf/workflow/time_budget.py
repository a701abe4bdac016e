"""The plan of a training that has to be done in a given time, for the images of a folder."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.decoder import decode_with_facts, read_content
from imgclf.data.reading.image_folder import Folders, ImageFile, ImageFolder
from imgclf.errors import ArgumentError, ImageError
from imgclf.machine.hardware import available_processors
from imgclf.runs.settings import Settings
from imgclf.training.budget import (
    END_LOOKS,
    IMAGE_SIZES,
    BudgetPlan,
    plan_budget,
)
from imgclf.training.optimizers import choose_optimizer
from imgclf.training.speed import StepCost, measure_step_cost, mega_flop
from imgclf.zoo.builder import build_model

if TYPE_CHECKING:
    import keras

__all__ = ["budget_of", "size_of_photos", "typical_side"]

PRETRAINED_SIDE = 224
"""Side, in pixels, of the images that backbones were trained on; larger ones gain nothing."""

SMALLEST_PRETRAINED_SIDE = 96
"""Small images are enlarged to it: below it the last map of a backbone has two pixels a side."""

DECODED_SAMPLE = 24
"""Files that are decoded to estimate the scan."""

LARGEST_BY_BUDGET = 160
"""Largest side, in pixels, that a budget chooses; beyond it small networks gain little."""


def budget_of(plan: Plan, folders: Folders, settings: Settings, budget_s: float) -> BudgetPlan:
    """Plan a training that ends in time: image size and epochs.

    A few files are decoded, and a few steps made on noise at the sizes in question.

    Args:
        plan: The images.
        folders: What was read of their folders.
        settings: Every choice; `epochs` are those that the recipe would take.
        budget_s: Seconds for the whole way, scan and evaluation included.

    Returns:
        The plan.

    Raises:
        ArgumentError: The budget is no time.
        DataError: The folder cannot be used.
    """
    began_s = time.monotonic()
    if not budget_s > 0:
        raise ArgumentError(f"budget_s={budget_s!r} is not accepted: give seconds above 0.")
    num_train, num_held_out = _count(folders, plan)
    decoding_s, side = _sample(folders["train"], plan)
    scan_s = decoding_s * (num_train + num_held_out) / available_processors()
    num_classes = len(folders["train"].class_names)

    options: dict[str, Any] = dict(settings.options)

    def build(size: tuple[int, int]) -> keras.Model:
        return build_model(
            settings.architecture,
            _shape(size, settings),
            num_classes,
            data_format=settings.data_format,
            **options,
        )

    def cost(size: tuple[int, int]) -> StepCost:
        model = build(size)
        return measure_step_cost(
            model,
            settings.batch_size,
            optimizer=choose_optimizer(model)
            if settings.optimizer == "auto"
            else settings.optimizer,
            average_weights=settings.average_weights,
            precision=settings.precision,
        )

    return plan_budget(
        budget_s - scan_s - (time.monotonic() - began_s),
        num_train,
        num_held_out,
        settings.epochs,
        _sizes(settings, side),
        # Where operations cannot be counted they are taken to grow with the area.
        lambda size: mega_flop(build(size)) or float(size[0] * size[1]),
        cost,
        end_looks=END_LOOKS + settings.mirrored_prediction,
    )


def _sizes(settings: Settings, side: float) -> Sequence[tuple[int, int]]:
    """List the sizes to choose from: none beyond what the images themselves have."""
    if not settings.size_is_open:
        return [settings.height_and_width]
    largest = max(IMAGE_SIZES[0], min(side, LARGEST_BY_BUDGET))
    return [(side, side) for side in IMAGE_SIZES if side <= largest]


def _shape(size: tuple[int, int], settings: Settings) -> tuple[int, int, int]:
    if settings.data_format == "channels_first":
        return (settings.channels, *size)
    return (*size, settings.channels)


def _count(folders: Folders, plan: Plan) -> tuple[int, int]:
    """Count training and held-out images, by their folders and the shares that are cut off."""
    own = folders["train"]
    files = own.files
    if own.splits:
        num_train = sum(file.split == "train" for file in files)
        num_held_out = len(files) - num_train
        cut = 0.0 if "val" in own.splits or plan.val_dir else plan.val_split
    else:
        num_train, num_held_out = len(files), 0
        cut = 0.0 if plan.val_dir else plan.val_split
        cut += 0.0 if plan.val_dir or plan.test_dir else plan.test_split
    num_held_out += sum(len(folder.files) for folder in folders.values()) - len(files)
    return round(num_train * (1 - cut)), num_held_out + round(num_train * cut)


def typical_side(folder: ImageFolder, plan: Plan) -> float:
    """Read a few images.

    Args:
        folder: The folder.
        plan: How they are read.

    Returns:
        The median of their shorter sides, in pixels; that of a usual photo where none can be read.
    """
    return _sample(folder, plan)[1]


def size_of_photos(folders: Folders, plan: Plan) -> tuple[int, int]:
    """Return a size for a pretrained network: that of the photos, in steps of 32 pixels.

    Args:
        folders: What was read of the images' folders.
        plan: How they are read.

    Returns:
        ``(height, width)``, from 96 to 224 pixels.
    """
    side = 32 * round(typical_side(folders["train"], plan) / 32)
    side = min(max(side, SMALLEST_PRETRAINED_SIDE), PRETRAINED_SIDE)
    return side, side


def _sample(folder: ImageFolder, plan: Plan) -> tuple[float, float]:
    """Measure a few files that lie far apart: seconds to decode one, pixels of its shorter side."""
    files: Sequence[ImageFile] = folder.files[:: max(1, len(folder.files) // DECODED_SAMPLE)]
    sides = []
    began_s = time.monotonic()
    for file in files:
        try:
            content = read_content(folder.absolute(file), span=file.span)
            facts = decode_with_facts(content, plan.policy).facts
        except ImageError:
            continue  # The scan names it.
        sides.append(min(facts.width, facts.height))
    decoding_s = (time.monotonic() - began_s) / max(1, len(files))
    return decoding_s, statistics.median(sides) if sides else LARGEST_BY_BUDGET
