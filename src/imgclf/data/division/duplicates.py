"""Duplicates: copies of one picture, re-encoded, resized or mirrored ones too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf.data.pixels.signatures import SIGNATURE_BYTES, SIGNATURE_SIDE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = [
    "SAME_PICTURE",
    "SIMILAR_PICTURE",
    "DisjointSets",
    "JoinedSignatures",
    "group_copies",
]

SAME_PICTURE = 0.1
"""Distance up to which two images certainly show the same picture.

Measured: 200 photos saved again at quality 75 lie at most 0.03 from the original, halved ones
at most 0.08, while the nearest different photos of 1,000 lie 0.57 apart.
"""

SIMILAR_PICTURE = 0.2
"""Distance up to which images should stay on one side of a split: frames of one scene, and halved
copies of images that are only 32 pixels wide. Studio pictures of similar things come as near.
"""

MIN_CONTRAST = 3.0
"""Levels of 255 below which a picture has too little structure to be recognised."""

BLOCK = 1024
"""Pictures in a block; blocks are compared with each other, which bounds the memory."""

COARSE_SIDE = 4

NUM_AXES = 8
"""Axes along which blocks are small; more of them rule out hardly any block more."""

MARGIN = 1e-3
"""The product of the coarse versions is exact to about 1e-5 only; the next step decides."""

MANY_PAIRS = 3000
"""Near pairs of two blocks from which on comparing all their pictures at once is faster than pair
by pair; studio pictures of similar things have so many."""


@dataclass(frozen=True, slots=True)
class JoinedSignatures:
    """The signatures of two folders, one behind the other, of which only parts are copied.

    Attributes:
        first: uint8 ``(num_files, SIGNATURE_BYTES)``.
        second: The same of the other folder.
    """

    first: NDArray[np.uint8]
    second: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
        in_second = rows >= len(self.first)
        part = np.empty((len(rows), SIGNATURE_BYTES), np.uint8)
        part[~in_second] = self.first[rows[~in_second]]
        part[in_second] = self.second[rows[in_second] - len(self.first)]
        return part


def group_copies(
    signatures: NDArray[np.uint8] | JoinedSignatures,
    distance: float = SIMILAR_PICTURE,
    *,
    first: int = 0,
    rows: NDArray[np.integer[Any]] | None = None,
) -> NDArray[np.int64]:
    """Group pictures so that each one and its copies are together.

    The search is exact: every pair within `distance`, as they are or one of them mirrored, is
    found. Pictures that lie near each other along a few axes are put into blocks; only blocks
    whose boxes are near have to be compared, and a coarser version whose distance is never larger
    rules most pairs out.

    Args:
        signatures: uint8 ``(num_files, SIGNATURE_BYTES)``, see `imgclf.data.pixels.signatures`.
        distance: `SAME_PICTURE`, `SIMILAR_PICTURE` or any other up to 1: the root mean square
            difference of two pictures relative to their contrast.
        first: Only the copies of the pictures from this one on are looked for; two earlier ones
            come into one group where they are copies of the same later one.
        rows: ``(num_images,)`` rows of the pictures in `signatures`, which are read block by block,
            as from a file; None takes all of them.

    Returns:
        ``(num_images,)`` group numbers; each is the index of one of the group's pictures.

    Example:
        >>> group_copies(np.zeros((3, 768), np.uint8)).tolist()
        [0, 1, 2]
    """
    pictures = _Pictures(signatures, np.arange(len(signatures)) if rows is None else rows)
    sets = DisjointSets(len(pictures.rows))
    usable = np.flatnonzero(_contrast(pictures) >= MIN_CONTRAST)
    if not len(usable) or usable[-1] < first:
        return sets.roots(np.arange(len(pictures.rows)))
    coarse = _coarse(pictures, usable)
    position = coarse.reshape(len(coarse), -1) @ _axes(coarse)
    theirs = _in_blocks(position)
    ours = theirs[usable[theirs] >= first]

    @lru_cache(maxsize=3)  # A block on the left stays while those on its right change.
    def whole(side: int, start: int, mirrored: bool) -> NDArray[np.float32]:
        block = (theirs if side else ours)[start : start + BLOCK]
        structure, colour = _points(pictures[usable[block]])
        structure = structure[:, :, ::-1] if mirrored else structure
        points = np.concatenate([_flat(structure), colour], axis=1)
        return _factors(points, 1.0 if side else -2.0)

    for left, neighbours in _neighbouring_blocks(position[ours], position[theirs], distance):
        left_rows = ours[left : left + BLOCK]
        left_factors = _factors(coarse[left_rows], -2.0)
        for right, mirrored in product(neighbours, (False, True)):
            right_rows = theirs[right : right + BLOCK]
            points = coarse[right_rows]
            right_factors = _factors(points[:, :, ::-1] if mirrored else points)
            near = _near(left_factors, right_factors, distance**2 + MARGIN)
            are_many = len(near) > MANY_PAIRS
            if are_many:
                factors = whole(0, left, False), whole(1, right, mirrored)
                near = _near(*factors, distance**2)
            pairs = usable[np.stack([left_rows[near[:, 0]], right_rows[near[:, 1]]], axis=1)]
            pairs = sets.not_joined(pairs[pairs[:, 0] != pairs[:, 1]])
            if not are_many:
                pairs = _copies(pictures, pairs, distance, mirrored=mirrored)
            sets.join(pairs)
    return sets.roots(np.arange(len(pictures.rows)))


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Some rows of all signatures; a part is read when it is asked for."""

    signatures: NDArray[np.uint8] | JoinedSignatures
    rows: NDArray[np.integer[Any]]

    def __getitem__(self, places: NDArray[np.int64] | slice) -> NDArray[np.uint8]:
        part: NDArray[np.uint8] = self.signatures[self.rows[places]]
        return part


# --- Pictures as points ----------------------------------------------------------------------


_TO_COLOUR = np.tile(np.eye(3) / SIGNATURE_SIDE**2, (SIGNATURE_SIDE**2, 1)).astype(np.float32)
"""Means as matrix products: NumPy's own over short axes take several times as long."""

_CELLS = SIGNATURE_SIDE // COARSE_SIDE
_ROWS = np.kron(np.eye(COARSE_SIDE), np.ones((_CELLS, 1)))
_TO_AREAS = (np.kron(np.kron(_ROWS, _ROWS), np.eye(3)) / _CELLS).astype(np.float32)
"""Mean of each area times the side of an area: so distances never grow."""


def _flat(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    return pictures.reshape(len(pictures), SIGNATURE_BYTES)


def _tiles(signatures: NDArray[np.uint8]) -> NDArray[np.float32]:
    shape = (len(signatures), SIGNATURE_SIDE, SIGNATURE_SIDE, 3)
    return signatures.reshape(shape).astype(np.float32)


def _contrast(pictures: _Pictures) -> NDArray[np.float32]:
    """Return the standard deviation of each picture's levels about its mean colour."""
    contrast = np.zeros(len(pictures.rows), np.float32)
    for first in range(0, len(contrast), BLOCK):  # Blocks keep the memory flat.
        tiles = _tiles(pictures[first : first + BLOCK])
        contrast[first : first + BLOCK] = _contrast_of(tiles - _mean_colour(tiles))
    return contrast


def _mean_colour(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean over the areas, ``(num_images, 1, 1, 3)``."""
    colour: NDArray[np.float32] = _flat(tiles) @ _TO_COLOUR
    return colour[:, None, None]


def _contrast_of(structure: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the root mean square of each picture's deviations from its mean colour."""
    flat = _flat(structure)
    contrast: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", flat, flat) / SIGNATURE_BYTES)
    return contrast


def _points(signatures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Part pictures into structure, relative to its contrast, and mean colour.

    Returns:
        float32 ``(num_images, 16, 16, 3)`` and ``(num_images, 3)``.
    """
    tiles = _tiles(signatures)
    colour = _mean_colour(tiles)
    tiles -= colour
    # 4 levels more than the contrast: noise in a dull picture must not count as structure.
    tiles /= (_contrast_of(tiles) + 4)[:, None, None, None] * np.float32(SIGNATURE_BYTES**0.5)
    return tiles, colour[:, 0, 0] / np.float32(64)


def _coarse(pictures: _Pictures, usable: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average areas, scaled so that a distance never exceeds the one of `_points`.

    Returns:
        float32 ``(num_images, 5, 4, 3)``: 4 rows of structure, and the colour in a fifth.
    """
    coarse = np.zeros((len(usable), COARSE_SIDE + 1, COARSE_SIDE, 3), np.float32)
    for first in range(0, len(usable), BLOCK):
        structure, colour = _points(pictures[usable[first : first + BLOCK]])
        areas = _flat(structure) @ _TO_AREAS
        coarse[first : first + BLOCK, :-1] = areas.reshape(-1, COARSE_SIDE, COARSE_SIDE, 3)
        # Spread evenly, so that mirroring leaves it alone.
        coarse[first : first + BLOCK, -1] = colour[:, None] / np.sqrt(COARSE_SIDE)
    return coarse


def _axes(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Find the axes along which pictures differ most, among those that mirroring leaves alone.

    Returns:
        float32 ``(coordinates, NUM_AXES)``, orthonormal.
    """
    symmetric = (coarse + coarse[:, :, ::-1])[:: len(coarse) // 10_000 + 1]
    points = symmetric.reshape(len(symmetric), -1)
    _, vectors = np.linalg.eigh(np.atleast_2d(points.T @ points))
    axes: NDArray[np.float32] = vectors[:, -NUM_AXES:].astype(np.float32)
    return axes


# --- The search ------------------------------------------------------------------------------


def _in_blocks(position: NDArray[np.float32]) -> NDArray[np.int64]:
    """Order pictures so that each `BLOCK` of them lies in a small box: the tree of a k-d search.

    Args:
        position: ``(num_images, NUM_AXES)``.

    Returns:
        ``(num_images,)`` indices; every block but the last is full.
    """
    order = np.arange(len(position))
    waiting = [(0, len(order))]
    while waiting:
        first, end = waiting.pop()
        num_blocks = -(-(end - first) // BLOCK)
        if num_blocks <= 1:
            continue
        middle = (num_blocks // 2) * BLOCK
        part = order[first:end]
        spread = position[part[:: len(part) // 10_000 + 1]].std(axis=0)
        along = position[part, int(spread.argmax())]
        order[first:end] = part[np.argpartition(along, middle)]
        waiting += [(first, first + middle), (first + middle, end)]
    return order


def _neighbouring_blocks(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], distance: float
) -> Iterator[tuple[int, list[int]]]:
    """Yield the start of each block of ours, and those of the blocks of theirs that are near it.

    Where both are the same, each block with itself and with those behind it are all pairs.
    """
    our_low, our_high = _boxes(ours)
    low, high = _boxes(theirs)
    is_all = len(ours) == len(theirs)
    for place in range(len(our_low)):
        gap = np.maximum(np.maximum(low - our_high[place], our_low[place] - high), 0)
        is_near = (gap**2).sum(axis=1) <= distance**2 + MARGIN
        if is_all:
            is_near[:place] = False
        yield place * BLOCK, (np.flatnonzero(is_near) * BLOCK).tolist()


def _boxes(position: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the least and the largest coordinates of each block."""
    starts = np.arange(0, len(position), BLOCK)
    return np.minimum.reduceat(position, starts), np.maximum.reduceat(position, starts)


def _factors(coarse: NDArray[np.float32], factor: float = 1.0) -> NDArray[np.float32]:
    """Write points so that one matrix product gives the squared distances between them.

    Args:
        coarse: ``(num_images, ...)``.
        factor: 1 for the right side, -2 for the left one.

    Returns:
        float32 ``(num_images, coordinates + 2)``: |a - b|^2 is -2 a times b, |a|^2 and |b|^2.
    """
    points = coarse.reshape(len(coarse), -1)
    squares, ones = (points**2).sum(axis=1)[:, None], np.ones((len(points), 1), np.float32)
    lengths = (ones, squares) if factor == 1 else (squares, ones)
    return np.concatenate([factor * points, *lengths], axis=1, dtype=np.float32)


def _near(
    ours: NDArray[np.float32], theirs: NDArray[np.float32], limit: float
) -> NDArray[np.int64]:
    """Return ``(num_pairs, 2)`` rows of two sets of `_factors` whose squared distance is small."""
    # Nearly all of the search is spent here: go over the products as few times as possible.
    near = np.flatnonzero(ours @ theirs.T <= limit)
    return np.stack(np.divmod(near, len(theirs)), axis=1, dtype=np.int64)


def _copies(
    pictures: _Pictures, pairs: NDArray[np.int64], distance: float, *, mirrored: bool
) -> NDArray[np.int64]:
    """Keep the pairs whose pictures really are within the distance."""
    kept = np.zeros(len(pairs), np.bool_)
    for first in range(0, len(pairs), BLOCK):
        block = slice(first, first + BLOCK)
        ours, our_colour = _points(pictures[pairs[block, 0]])
        theirs, their_colour = _points(pictures[pairs[block, 1]])
        theirs = theirs[:, :, ::-1] if mirrored else theirs
        squares = ((ours - theirs) ** 2).sum(axis=(1, 2, 3))
        squares += ((our_colour - their_colour) ** 2).sum(axis=1)
        kept[block] = squares <= distance**2
    return pairs[kept]


class DisjointSets:
    """Disjoint sets of pictures, joined pair by pair (union-find)."""

    def __init__(self, count: int) -> None:
        self.parents: NDArray[np.int64] = np.arange(count)

    def roots(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the picture that stands for the group of each member."""
        roots: NDArray[np.int64] = self.parents[members]
        while ((above := self.parents[roots]) != roots).any():
            roots = above
        self.parents[members] = roots
        return roots

    def not_joined(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keep the pairs that are not in one group yet."""
        apart: NDArray[np.bool_] = self.roots(pairs[:, 0]) != self.roots(pairs[:, 1])
        kept: NDArray[np.int64] = pairs[apart]
        return kept

    def join(self, pairs: NDArray[np.int64]) -> None:
        """Join the groups of each pair; the smaller index stands for both."""
        while len(pairs := self.not_joined(pairs)):
            roots: NDArray[np.int64] = np.sort(
                np.stack([self.roots(pairs[:, side]) for side in (0, 1)]), axis=0
            )
            # One link for each group at a time; what is left over is linked in the next round.
            later, at = np.unique(roots[1], return_index=True)
            self.parents[later] = roots[0][at]
