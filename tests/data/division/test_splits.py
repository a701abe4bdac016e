"""The promises of the split by content: copies together, and new files move no old ones."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgclf.data.division.samples import Sample
from imgclf.data.division.splits import assign_splits, divide_samples, hash_keys
from imgclf.data.reading.image_folder import SPLITS
from imgclf.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgclf.data.reading.image_folder import Split

SHARES: dict[Split, float] = {"test": 0.15, "val": 0.15}
NAMES = ("cat", "dog", "fox")


def keys_of(count: int, start: int = 0) -> list[str]:
    """Make content keys that look like real ones."""
    return [hashlib.sha256(b"%d" % number).hexdigest() for number in range(start, start + count)]


def divide(
    keys: list[str],
    labels: list[int],
    seed: int = 0,
    *,
    names: Sequence[str] = NAMES,
    shares: dict[Split, float] = SHARES,
) -> list[Split | None]:
    """Divide images, 70/15/15."""
    hashes = hash_keys(keys, len(keys), seed)
    sides = assign_splits(hashes, np.array(labels), names, fractions=shares)
    return [SPLITS[side] for side in sides]


images = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 2)), min_size=30, max_size=300
).filter(lambda found: all(len({key for key, its in found if its == c}) > 8 for c in range(3)))


@settings(max_examples=60, deadline=None)
@given(images, st.integers(-(2**31), 2**31))
def test_splits_keep_their_promises(found: list[tuple[int, int]], seed: int) -> None:
    """Copies stay together, each class is on each side, and the order of files plays no part."""
    keys = [f"{key}" for key, _ in found]
    labels = [label for _, label in found]
    splits = divide(keys, labels, seed)
    side_of: dict[str, set[Split | None]] = defaultdict(set)
    for key, side in zip(keys, splits, strict=True):
        side_of[key].add(side)
    assert all(len(sides) == 1 for sides in side_of.values())
    for label in range(3):
        sides = {side for side, its in zip(splits, labels, strict=True) if its == label}
        assert sides == {"train", "val", "test"}
    assert divide(keys[::-1], labels[::-1], seed) == splits[::-1]


@pytest.mark.parametrize("seed", range(5))
def test_new_files_move_no_old_ones(seed: int) -> None:
    """Ten per cent of new images in every class leave all old images where they were."""
    keys, labels = keys_of(3000), [number % 3 for number in range(3000)]
    before = divide(keys, labels, seed)
    more, their_labels = keys_of(300, 3000), [number % 3 for number in range(300)]
    after = divide(more + keys, their_labels + labels, seed)
    assert after[300:] == before


def test_removed_files_move_no_others() -> None:
    """Deleting a tenth of a folder moves nothing else."""
    keys, labels = keys_of(3000), [number % 3 for number in range(3000)]
    before = divide(keys, labels)
    assert divide(keys[300:], labels[300:]) == before[300:]


def test_shares_are_met() -> None:
    """Ten thousand images are divided to within a point of the shares that were asked for."""
    splits = divide(keys_of(10_000), [0] * 5000 + [1] * 5000)
    assert abs(splits.count("test") / 10_000 - 0.15) < 0.01
    assert abs(splits.count("val") / 10_000 - 0.15) < 0.01


@pytest.mark.parametrize("seed", range(8))
def test_a_crowd_of_likes_is_learned_from(seed: int) -> None:
    """Images that count as one and would fill a held-out side are training images, by any seed."""
    keys, labels = keys_of(200), [number % 2 for number in range(200)]
    splits = divide([*keys, *["alike"] * 60], [*labels, *[1] * 60], seed)
    assert set(splits[200:]) == {"train"}
    assert splits[:200] == divide(keys, labels, seed)


def test_classes_of_crowds_alone_are_divided_all_the_same() -> None:
    """Where every group is large, each side still gets one."""
    splits = divide([f"{number % 3}" for number in range(60)], [0] * 60)
    assert set(splits) == {"train", "val", "test"}


def test_another_seed_divides_otherwise() -> None:
    """The seed decides, and the same seed decides the same."""
    keys, labels = keys_of(300), [number % 3 for number in range(300)]
    assert divide(keys, labels, 1) == divide(keys, labels, 1) != divide(keys, labels, 2)


def test_three_images_give_one_to_each_side() -> None:
    """The smallest class that can be divided is: one image for each side."""
    assert sorted(divide(keys_of(3), [0, 0, 0])) == ["test", "train", "val"]


def test_all_classes_too_small_to_divide_are_counted() -> None:
    """Of many such classes, one is named and the others are counted: one look tells how many."""
    names = [f"c{label:03}" for label in range(520)]
    with pytest.raises(DataError, match="'c000' has 2 different images, and 519 other class"):
        divide(keys_of(1040), [n % 520 for n in range(1040)], names=names)


def test_a_class_too_small_to_divide_is_named() -> None:
    """Copies do not count as images: the error names the class and what it lacks."""
    keys = [*keys_of(20), *["copy"] * 9, "other"]
    with pytest.raises(DataError, match="'dog' has 2 different images; 3 are needed"):
        divide(keys, [0] * 20 + [1] * 10)


@pytest.mark.parametrize("shares", [{"val": 0.0}, {"val": 1.0}, {"val": 0.5, "test": 0.5}])
def test_impossible_shares_are_refused(shares: dict[Split, float]) -> None:
    """Shares must leave something to train on."""
    with pytest.raises(ArgumentError, match="leave some images for training"):
        divide(keys_of(9), [0] * 9, shares=shares)


def test_split_folders_are_not_divided() -> None:
    """train/ and val/ stay as they are; only a missing split is cut off train/."""
    folders: list[Split] = ["train"] * 40 + ["val"] * 8
    samples = [
        Sample(row, f"{row}.png", row % 2, key, split)
        for row, (key, split) in enumerate(zip(keys_of(48), folders, strict=True))
    ]
    divided = divide_samples(samples, ("a", "b"), {"val": 0.5, "test": 0.2}, seed=0)
    assert divided["val"] == samples[40:]
    assert len(divided["train"]) + len(divided["test"]) == 40
    assert divided["test"]
