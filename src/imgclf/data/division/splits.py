"""The split into train, validation and test, by a hash of each image's content."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.division.samples import labels_of, pick
from imgclf.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgclf.data.division.recorded_split import RecordedSplit
    from imgclf.data.division.samples import Sample
    from imgclf.data.reading.image_folder import Split

__all__ = ["assign_splits", "divide_samples"]


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
    splits = [sample.split for sample in samples]  # Texts that all of them share.
    provided = set(splits)
    missing: dict[Split, float] = {
        split: share for split, share in shares.items() if split not in provided and share > 0
    }
    if missing:
        pool = np.array([split in (None, "train") for split in splits], np.bool_)
        places = np.flatnonzero(pool)
        cut = _cut(pick(samples, places), class_names, missing, seed, recorded)
        for place, side in zip(places.tolist(), cut, strict=True):
            splits[place] = side
    else:
        splits = [split or "train" for split in splits]
    names: tuple[Split, ...] = ("train", "val", "test")
    codes = np.fromiter((names.index(split) if split else -1 for split in splits), np.int8)
    return {name: pick(samples, np.flatnonzero(codes == code)) for code, name in enumerate(names)}


def _cut(
    pool: Sequence[Sample],
    class_names: Sequence[str],
    missing: dict[Split, float],
    seed: int,
    recorded: RecordedSplit | None,
) -> list[Split | None]:
    """Divide images by content, each group on one side; None for one that has no side."""
    shared: dict[str, str] = {}
    keys = [shared.setdefault(key, key) for key in (sample.key for sample in pool)]
    known: dict[int, Split] = {}
    sides_of: dict[str, set[Split]] = defaultdict(set)
    for place, sample in enumerate(pool if recorded else ()):
        if recorded and (side := recorded.side_of(sample)):
            known[place] = side
            sides_of[keys[place]].add(side)
    # A new image whose copies lie on two sides belongs on neither.
    ambiguous = {key for key, sides in sides_of.items() if len(sides) > 1}
    placed = [place for place, key in enumerate(keys) if place in known or key not in ambiguous]
    labels = labels_of(pool)
    splits = assign_splits(
        [keys[place] for place in placed],
        labels[placed].tolist() if placed else [],
        class_names,
        fractions=missing,
        seed=seed,
        settled={key: next(iter(sides)) for key, sides in sides_of.items()},
    )
    found: list[Split | None] = [None] * len(keys)
    for place, split in zip(placed, splits, strict=True):
        found[place] = known.get(place, split)
    return found


def assign_splits(
    keys: Sequence[str],
    labels: Sequence[int],
    class_names: Sequence[str],
    *,
    fractions: dict[Split, float],
    seed: int,
    settled: Mapping[str, Split] | None = None,
) -> list[Split]:
    """Divide images by a hash of their content.

    An image's side depends on its own key and the seed alone: equal content is never on two sides,
    and new images move no old ones. Each class is divided by the same rule; where a small class
    would have nothing on one side, the image with the nearest hash is moved there. A group that
    would fill a held-out side of its class by itself is a training group, because a figure
    measured on it would say little. Such a group can change sides as its class grows or shrinks,
    unless it is settled.

    Args:
        keys: ``(num_images,)`` content keys; images with equal keys stay together.
        labels: ``(num_images,)`` class indices.
        class_names: Names of the classes, for messages.
        fractions: Share of each split cut off, for example ``{"test": 0.15, "val": 0.15}``; what
            is left is ``"train"``.
        seed: Other seeds give other divisions.
        settled: Sides of keys that must not move, from an earlier division.

    Returns:
        ``(num_images,)`` split names.

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
    sides: dict[str, Split] = dict(settled or {})
    by_class: dict[int, Counter[str]] = defaultdict(Counter)
    for key, label in zip(keys, labels, strict=True):
        by_class[label][key] += 1
    alike = _too_many_alike(by_class, fractions)
    too_small: dict[str, int] = {}
    for label in sorted(by_class):
        # A key with conflicting labels keeps the side that its first class gave it.
        fresh = sorted(by_class[label].keys() - sides.keys(), key=lambda key: _position(key, seed))
        taken = {sides[key] for key in by_class[label].keys() & sides.keys()}
        if taken or len(fresh) > len(fractions):
            sides.update(_divide(fresh, taken, alike, fractions, seed))
        else:
            too_small[class_names[label]] = len(fresh)
    _require_one_each(too_small, [*fractions, "train"])
    return [sides[key] for key in keys]


def _too_many_alike(
    by_class: Mapping[int, Counter[str]], fractions: Mapping[Split, float]
) -> set[str]:
    """Find keys whose images would fill the smallest held-out side of a class by themselves."""
    share = min(fractions.values(), default=1.0)
    return {
        key
        for counts in by_class.values()
        for key, count in counts.items()
        if count > max(1, share * counts.total())
    }


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
    keys: list[str],
    taken: set[Split],
    alike: set[str],
    fractions: dict[Split, float],
    seed: int,
) -> dict[str, Split]:
    """Divide the keys of one class, given in the order of their positions."""
    wanted: list[Split] = [*fractions, "train"]
    sides: dict[str, Split] = {
        key: "train" if key in alike else _side(_position(key, seed), fractions) for key in keys
    }
    for split in wanted:
        if split not in sides.values() and split not in taken:
            nearest = _nearest(split, keys, sides, taken, alike, fractions, seed)
            sides |= {nearest: split} if nearest else {}
    return sides


def _position(key: str, seed: int) -> float:
    """Map a key to a number in [0, 1), uniformly."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8,
                             key=(seed % 2**64).to_bytes(8, "big"))  # fmt: skip
    return int.from_bytes(digest.digest(), "big") / 2**64


def _side(position: float, fractions: dict[Split, float]) -> Split:
    low = 0.0
    for split, share in fractions.items():
        low += share
        if position < low:
            return split
    return "train"


def _nearest(
    split: Split,
    keys: list[str],
    sides: dict[str, Split],
    taken: set[Split],
    alike: set[str],
    fractions: dict[Split, float],
    seed: int,
) -> str | None:
    """Choose the image nearest to an empty side that is not the last of its own side."""
    counts = Counter(sides.values())
    names: list[Split] = [*fractions, "train"]
    edges = [sum(list(fractions.values())[:index]) for index in range(len(names))] + [1.0]
    middle = (edges[names.index(split)] + edges[names.index(split) + 1]) / 2
    spare = [key for key in keys if counts[sides[key]] > 1 or sides[key] in taken]
    spare = [key for key in spare if key not in alike] or spare
    return min(spare, key=lambda key: abs(_position(key, seed) - middle), default=None)
