"""The split into train, validation and test, by a hash of each image's content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.division.samples import labels_of, pick, split_numbers_of
from imgclf.data.reading.image_folder import SPLITS
from imgclf.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from imgclf.data.division.recorded_split import RecordedSplit
    from imgclf.data.division.samples import Sample
    from imgclf.data.reading.image_folder import Split

__all__ = ["assign_splits", "divide_samples", "hash_keys"]

TRAIN = SPLITS.index("train")

NOWHERE = SPLITS.index(None)
"""Stands for an image that is in no split, or not yet."""

PART = 65_536
"""Images that are looked up at a time."""


def divide_samples(
    samples: Sequence[Sample],
    class_names: Sequence[str],
    shares: Mapping[Split, float],
    seed: int,
    recorded: RecordedSplit | None = None,
) -> dict[Split, Sequence[Sample]]:
    """Assign each image to a split: that of its folder, or one by its content.

    Args:
        samples: All images of one folder.
        class_names: Names of its classes.
        shares: Share of the images outside split folders, or in ``train/``, for each split without
            a folder of its own.
        seed: Other seeds cut other images.
        recorded: An earlier split. Its images keep their sides, new ones join their group's; a new
            one whose group is on two sides is in no split.

    Returns:
        The images of each split, in the order of `samples`.
    """
    sides = split_numbers_of(samples)
    provided = {SPLITS[side] for side in np.unique(sides).tolist()}
    missing: dict[Split, float] = {
        split: share for split, share in shares.items() if split not in provided and share > 0
    }
    is_divided = (sides == NOWHERE) | (sides == TRAIN)
    if missing:
        places = np.flatnonzero(is_divided)
        sides[places] = _cut(pick(samples, places), class_names, missing, seed, recorded)
    else:
        sides[is_divided] = TRAIN
    return {
        split: pick(samples, np.flatnonzero(sides == side))
        for side, split in enumerate(SPLITS)
        if split is not None
    }


def _cut(
    pool: Sequence[Sample],
    class_names: Sequence[str],
    missing: dict[Split, float],
    seed: int,
    recorded: RecordedSplit | None,
) -> NDArray[np.int8]:
    """Divide images by content, each group on one side; `NOWHERE` for one that has no side."""
    keys = hash_keys((sample.key for sample in pool), len(pool), seed)
    labels = labels_of(pool)
    if recorded is None:
        return assign_splits(keys, labels, class_names, fractions=missing)
    sides = (recorded.side_of(sample) for sample in pool)
    known = np.fromiter(map(SPLITS.index, sides), np.int8, len(pool))
    # A new image whose copies lie on two sides belongs on neither.
    is_placed = (known != NOWHERE) | ~np.isin(keys, _on_two_sides(keys, known))
    found = np.full(len(pool), NOWHERE, np.int8)
    found[is_placed] = assign_splits(
        keys[is_placed],
        labels[is_placed],
        class_names,
        fractions=missing,
        settled=known[is_placed],
    )
    return np.where(known == NOWHERE, found, known)


def _on_two_sides(keys: NDArray[np.uint64], known: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Return the keys whose images have several known sides."""
    sides = [np.unique(keys[known == side]) for side in range(len(SPLITS)) if side != NOWHERE]
    different, counts = np.unique(np.concatenate(sides), return_counts=True)
    return different[counts > 1]


def hash_keys(keys: Iterable[str], count: int, seed: int) -> NDArray[np.uint64]:
    """Map keys to numbers, uniformly: 8 bytes each in place of a text.

    Two of ten million keys have the same number with a probability of 3 in a million, and then
    are merely on the same side.

    Args:
        keys: What decides the sides of images, such as hashes of their content.
        count: How many there are.
        seed: Other seeds give other numbers.

    Returns:
        ``(count,)`` numbers, which `assign_splits` takes.
    """
    seed_bytes = (seed % 2**64).to_bytes(8, "big")
    digests = (
        hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8, key=seed_bytes)
        for key in keys
    )
    numbers = (int.from_bytes(digest.digest(), "big") for digest in digests)
    return np.fromiter(numbers, np.uint64, count)


def assign_splits(
    keys: NDArray[np.uint64],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    *,
    fractions: Mapping[Split, float],
    settled: NDArray[np.int8] | None = None,
) -> NDArray[np.int8]:
    """Divide images by a hash of their content.

    An image's side depends on its own key alone: equal content is never on two sides,
    and new images move no old ones. Each class is divided by the same rule; where a small class
    would have nothing on one side, the image with the nearest hash is moved there. A group that
    would fill a held-out side of its class by itself is a training group, because a figure
    measured on it would say little. Such a group can change sides as its class grows or shrinks,
    unless it is settled.

    Args:
        keys: ``(num_images,)`` what `hash_keys` made of their content; images with equal keys stay
            together.
        labels: ``(num_images,)`` class indices.
        class_names: Names of the classes, for messages.
        fractions: Share of each split cut off, for example ``{"test": 0.15, "val": 0.15}``; what
            is left is ``"train"``.
        settled: ``(num_images,)`` sides of an earlier division, whose keys must not move;
            `NOWHERE` for new images.

    Returns:
        ``(num_images,)`` places of their splits in `SPLITS`.

    Raises:
        ArgumentError: The shares are not between 0 and 1 or leave nothing to train on.
        DataError: A class has too few different images for every side to get one, and no side of
            it is settled.
    """
    if not all(0 < share < 1 for share in fractions.values()) or sum(fractions.values()) >= 1:
        raise ArgumentError(
            f"The shares {fractions} are not accepted: "
            "give numbers between 0 and 1 that leave some images for training."
        )
    different = np.unique(keys)
    sides = np.full(len(different), NOWHERE, np.int8)
    if settled is not None:
        is_settled = settled != NOWHERE
        sides[np.searchsorted(different, keys[is_settled])] = settled[is_settled]
    by_class = {
        label: np.unique(np.searchsorted(different, keys[labels == label]), return_counts=True)
        for label in np.unique(labels).tolist()
    }
    alike = np.zeros(len(different), np.bool_)
    for members, counts in by_class.values():
        alike[members[_too_many_alike(counts, fractions)]] = True
    too_small: dict[str, int] = {}
    for label, (members, _) in by_class.items():
        # A key with conflicting labels keeps the side that its first class gave it.
        fresh = members[sides[members] == NOWHERE]
        taken = set(np.unique(sides[members]).tolist()) - {NOWHERE}
        if taken or len(fresh) > len(fractions):
            positions = different[fresh].astype(np.float64) / 2**64
            sides[fresh] = _divide(positions, taken, alike[fresh], fractions)
        else:
            too_small[class_names[label]] = len(fresh)
    _require_one_each(too_small, [*fractions, "train"])
    parts = np.array_split(keys, len(keys) // PART + 1)
    return np.concatenate([sides[np.searchsorted(different, part)] for part in parts])


def _too_many_alike(
    counts: NDArray[np.int64], fractions: Mapping[Split, float]
) -> NDArray[np.bool_]:
    """Find keys whose images would fill the smallest held-out side of a class by themselves.

    Args:
        counts: Images of the class with each key.
        fractions: Share of each held-out side.
    """
    share = min(fractions.values(), default=1.0)
    are_many: NDArray[np.bool_] = counts > max(1, share * int(counts.sum()))
    return are_many


def _require_one_each(too_small: Mapping[str, int], wanted: Sequence[str]) -> None:
    """Refuse classes with fewer different images than sides; all of them are counted."""
    if not too_small:
        return
    (name, count), *others = too_small.items()
    also = f", and {len(others)} other class(es) have too few, too" if others else ""
    raise DataError(
        f"Class {name!r} has {count} different images{also}; {len(wanted)} are needed, one for "
        f"each of {', '.join(wanted)}: add images, or give separate folders."
    )


def _divide(
    positions: NDArray[np.float64],
    taken: set[int],
    alike: NDArray[np.bool_],
    fractions: Mapping[Split, float],
) -> NDArray[np.int8]:
    """Divide the different images of one class.

    Args:
        positions: From 0 to 1, ascending.
        taken: Sides that have images of the class already.
        alike: Which of them stand for so many images that they are learned from.
        fractions: Share of each held-out side.

    Returns:
        Their sides.
    """
    wanted = np.array([*map(SPLITS.index, fractions), TRAIN], np.int8)
    edges = np.cumsum([0.0, *fractions.values()])
    sides = wanted[np.searchsorted(edges[1:], positions, side="right")]
    sides[alike] = TRAIN
    middles = (edges + np.append(edges[1:], 1.0)) / 2
    for side, middle in zip(wanted.tolist(), middles, strict=True):
        if side not in taken and side not in sides:
            counts = np.bincount(sides, minlength=len(SPLITS))
            # Of no side the last one.
            spare = (counts[sides] > 1) | np.isin(sides, list(taken))
            spare = spare & ~alike if (spare & ~alike).any() else spare
            distances = np.where(spare, np.abs(positions - middle), np.inf)
            if spare.any():
                sides[distances.argmin()] = side
    return sides
