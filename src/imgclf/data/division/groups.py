"""Groups of images that belong together: copies, or pictures of one patient, video or product."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from imgclf.data.division.duplicates import (
    SAME_PICTURE,
    DisjointSets,
    JoinedSignatures,
    group_copies,
)
from imgclf.data.division.samples import Samples, pick, rows_of, with_groups
from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from imgclf.data.division.samples import Sample

__all__ = ["compile_group_by", "drop_leaks", "group_samples"]

PART = 65_536
"""Images that are compared at a time, so that no table of all of them is made."""


def group_samples(
    samples: Sequence[Sample],
    signatures: NDArray[np.uint8] | None = None,
    group_by: str | None = None,
) -> Sequence[Sample]:
    """Give each image the group that must stay on one side of a split.

    Images belong together when their files are the same, when they look the same, or when their
    paths say that they show the same patient, video or product; also by way of a third image.

    Args:
        samples: Images of one folder.
        signatures: uint8 ``(num_files, SIGNATURE_BYTES)``, by `Sample.row`; None does not look.
        group_by: A regular expression that is searched in each path. What its first group matches,
            or all of it, names a group; images without a match have none.

    Returns:
        The samples, with their `group`.

    Raises:
        ArgumentError: `group_by` is no regular expression or matches nothing.
    """
    sets = DisjointSets(len(samples))
    for pairs in _same_content(samples):
        sets.join(pairs)
    if signatures is not None:
        # Files that are the same look the same: one of them is enough.
        different = np.flatnonzero(sets.roots(np.arange(len(samples))) == np.arange(len(samples)))
        copies = group_copies(signatures, rows=rows_of(samples)[different])
        sets.join(np.stack([different[copies], different], axis=1))
    names = _group_names(samples, group_by) if group_by else None
    if names is not None:
        sets.join(_links(names))
    if not isinstance(samples, Samples) or samples.has_groups:
        sets.join(_links([sample.group or None for sample in samples]))
    return with_groups(samples, _named_groups(samples, sets, names))


def _named_groups(
    samples: Sequence[Sample], sets: DisjointSets, names: Sequence[str | None] | None
) -> dict[int, str]:
    """Name the groups, by place; most images are alone, and their content is name enough."""
    roots = sets.roots(np.arange(len(samples)))
    is_shared = np.bincount(roots, minlength=len(roots)) > 1
    places = np.flatnonzero(is_shared[roots]) if names is None else np.arange(len(roots))
    group_names: dict[int, str] = {}
    for place in map(int, places):
        sample, root = samples[place], int(roots[place])
        name = names[place] if names is not None else None
        # Stable when files are added: a name always is, the smallest hash mostly.
        own = f" {name}" if name is not None else sample.group or sample.sha256
        group_names[root] = min(group_names.get(root, own), own)
    return {
        place: group
        for place in map(int, places)
        if samples[place].key != (group := group_names[int(roots[place])])
    }


def _same_content(samples: Sequence[Sample]) -> Iterator[NDArray[np.int64]]:
    """Yield pairs of images whose files are the same, some at a time: there may be millions."""
    if not isinstance(samples, Samples):
        yield _links([sample.sha256 for sample in samples])
        return
    hashes = samples.hashes
    beginnings = np.ascontiguousarray(hashes[:, :8]).view(np.uint64)[:, 0][samples.rows]
    order = np.argsort(beginnings)
    for first in range(0, len(order) - 1, PART):
        part = order[first : first + PART + 1]
        pairs = np.stack([part[:-1], part[1:]], axis=1)
        pairs = pairs[beginnings[pairs[:, 0]] == beginnings[pairs[:, 1]]]
        ours, others = (hashes[samples.rows[pairs[:, side]]] for side in (0, 1))
        yield pairs[(ours == others).all(axis=1)]


def _links(names: Sequence[str | None]) -> NDArray[np.int64]:
    """Pair each image with the first one of the same name."""
    first: dict[str, int] = {}
    named = np.fromiter((name is not None for name in names), np.bool_, len(names))
    firsts = (first.setdefault(name, index) for index, name in enumerate(names) if name is not None)
    counted = np.fromiter(firsts, np.int64, int(named.sum()))
    return np.stack([counted, np.flatnonzero(named)], axis=1)


def compile_group_by(group_by: str) -> re.Pattern[str]:
    """Read a regular expression; `ArgumentError` where it is none."""
    try:
        return re.compile(group_by)
    except re.error as error:
        raise ArgumentError(
            f"group_by={group_by!r} is no regular expression ({error}): give one such as "
            r"'patient(\d+)'."
        ) from error


def _group_names(samples: Sequence[Sample], group_by: str) -> list[str | None]:
    pattern = compile_group_by(group_by)
    matches = [pattern.search(sample.path) for sample in samples]
    if not any(matches):
        raise ArgumentError(
            f"group_by={group_by!r} matches no path, such as {samples[0].path!r}: "
            "check the expression."
        )
    return [match and match[1 if pattern.groups else 0] for match in matches]


def drop_leaks(
    held_out: Sequence[Sample],
    known: Sequence[Sample],
    held_out_signatures: NDArray[np.uint8] | None = None,
    known_signatures: NDArray[np.uint8] | None = None,
) -> tuple[Sequence[Sample], int]:
    """Drop held-out images that are copies of training images.

    Args:
        held_out: Images of a validation or test split.
        known: The training images.
        held_out_signatures: uint8 ``(num_files, SIGNATURE_BYTES)`` by row of `held_out`; without
            signatures only files that are the same count.
        known_signatures: The same for `known`.

    Returns:
        The images that are new to the network, and the number of the others.
    """
    hashes = {sample.sha256 for sample in held_out}
    leaked = {sample.sha256 for sample in known if sample.sha256 in hashes}
    is_new = np.array([sample.sha256 not in leaked for sample in held_out], np.bool_)
    if held_out_signatures is not None and known_signatures is not None:
        signatures = JoinedSignatures(known_signatures, held_out_signatures)
        rows = [rows_of(known), rows_of(held_out) + len(known_signatures)]
        groups = group_copies(signatures, SAME_PICTURE, first=len(known), rows=np.concatenate(rows))
        is_new &= ~np.isin(groups[len(known) :], groups[: len(known)])
    fresh = pick(held_out, np.flatnonzero(is_new))
    return fresh, len(held_out) - len(fresh)
