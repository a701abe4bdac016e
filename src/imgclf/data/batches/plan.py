"""The plan of a training's images: every choice that decides them, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgclf.data.division.groups import compile_group_by

if TYPE_CHECKING:
    from imgclf.data.batches.augmentation import Augmentation
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.store.pixel_store import StoreMode

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every choice that decides a training's images: frozen and picklable.

    `imgclf.data.batches.image_data.build_data` makes the batches of it, the same ones each time
    while the files stay as they are.

    Attributes:
        train_dir: Folder of class folders, or of ``train/`` and others; absolute.
        val_dir: Folder of the validation images; None takes them from `train_dir`.
        test_dir: Folder of the test images; None takes them from `train_dir` or has none.
        policy: Size, channels and resizing of every image.
        batch_size: Images per batch.
        augmentation: Augmentation of the training images.
        val_horizontal_flip: Whether validation images are mirrored at random, as in the recipe.
        val_split: Share of `train_dir` cut off for validation where it has no ``val/``.
        test_split: Share of `train_dir` cut off for the test where it has no split folders.
        seed: Decides split, order and augmentation.
        store: Where decoded pixels are kept.
        strict: Whether one unusable file stops everything.
        group_by: A regular expression over paths; images with the same match stay on one side.
        near_duplicates: Whether images that look the same stay on one side too, not only identical
            files.
        split_file: The ``split.csv`` of an earlier run, whose images keep their sides.
        oversample: Whether images of rare classes come several times in a training epoch.

    Raises:
        ArgumentError: `group_by` is no regular expression.
    """

    train_dir: str
    val_dir: str | None
    test_dir: str | None
    policy: InputPolicy
    batch_size: int
    augmentation: Augmentation
    val_horizontal_flip: bool = False
    val_split: float = 0.15
    test_split: float = 0.0
    seed: int = 0
    store: StoreMode = "auto"
    strict: bool = False
    group_by: str | None = None
    near_duplicates: bool = True
    split_file: str | None = None
    oversample: bool = False

    def __post_init__(self) -> None:
        """Refuse what would otherwise fail only after the scan."""
        if self.group_by is not None:
            compile_group_by(self.group_by)
