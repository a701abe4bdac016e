"""Findings: problems of an image folder that its owner should know before training."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imgclf.data.division.duplicates import SAME_PICTURE, group_copies
from imgclf.data.pixels.decoder import REASONS, ImageFacts
from imgclf.data.reading.class_names import alike_names, exact_name
from imgclf.data.reading.image_folder import SPLIT_FOLDERS, ImageFolder
from imgclf.data.reading.left_out import LEFT_OUT_REASONS
from imgclf.figures.intervals import MIN_MEASURED

__all__ = ["Finding", "Inspected", "Picture", "find_all"]

Severity = Literal["error", "warning", "note"]

MOST_EXAMPLES = 5

LONGEST_EXAMPLE = 200
"""Characters of an example; names in ZIP files can have 65,535."""

MAX_IMBALANCE = 3.0
"""Ratio of the largest to the smallest class beyond which training should balance them."""

MIN_SIDES = 3
"""Different pictures that a class needs to have one in each of train, val and test."""

FEW_PICTURES = 20
"""Pictures below which a class can hardly be learned or measured."""

GIVEAWAY_SHARE = 0.95
"""Share of a class with a property, and of the others without, that gives the label away."""


FORMULA_STARTS = ("=", "+", "-", "@")
"""What spreadsheets take a text for a formula by."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem or remark about a folder.

    Attributes:
        code: A short stable name, such as ``"conflicting_labels"``.
        severity: ``"error"`` where nothing can be trained, ``"warning"`` where the result would be
            worse or less trustworthy, ``"note"`` otherwise.
        what: One sentence that names the problem.
        remedy: One sentence that says what to do.
        examples: Up to five places, relative to the folder.

    Example:
        >>> for finding in imgclf.check("photos/").findings:         # doctest: +SKIP
        ...     print(finding.severity, finding.what, finding.remedy)
    """

    code: str
    severity: Severity
    what: str
    remedy: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """One usable image.

    Attributes:
        path: Relative to the folder.
        label: Index of its class.
        split: The split whose folder it lies in; None without split folders.
        sha256: Hash of its content.
        facts: What it was before it was decoded.
    """

    path: str
    label: int
    split: str | None
    sha256: str
    facts: ImageFacts


@dataclass(frozen=True)
class Inspected:
    """A folder that was read and scanned.

    Attributes:
        folder: Its layout, classes and files.
        problem: Why it cannot be trained on at all; empty where it can.
        pictures: Its usable images.
        signatures: uint8 ``(num_pictures, SIGNATURE_BYTES)``.
        unusable: ``(path, reason code)`` of each unusable file.
        near_duplicates: Whether to look for copies that are not identical files.
    """

    folder: ImageFolder
    problem: str
    pictures: Sequence[Picture] = ()
    signatures: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    unusable: Sequence[tuple[str, str]] = ()
    near_duplicates: bool = True

    @cached_property
    def copies(self) -> list[list[Picture]]:
        """Groups of two or more copies of one picture."""
        if self.near_duplicates and self.pictures:
            keys = group_copies(self.signatures, SAME_PICTURE).tolist()
        else:
            keys = list(range(len(self.pictures)))
        first: dict[str, int] = {}
        groups: dict[int, list[Picture]] = defaultdict(list)
        for key, picture in zip(keys, self.pictures, strict=True):
            groups[first.setdefault(picture.sha256, key)].append(picture)
        return [group for group in groups.values() if len(group) > 1]

    @cached_property
    def num_different(self) -> dict[int, int]:
        """Different pictures of each class."""
        counts = Counter(picture.label for picture in self.pictures)
        for group in self.copies:
            counts.subtract({label: n - 1 for label, n in Counter(p.label for p in group).items()})
        return {label: counts[label] for label in range(len(self.folder.class_names))}


def find_all(inspected: Inspected) -> tuple[Finding, ...]:
    """Find all problems of a folder.

    Args:
        inspected: The folder.

    Returns:
        The findings, errors first, then warnings, then notes.
    """
    findings = [finding for finder in _FINDERS for finding in finder(inspected)]
    order = ("error", "warning", "note")
    return tuple(sorted(findings, key=lambda finding: order.index(finding.severity)))


# --- The folder ------------------------------------------------------------------------------


def _problem(inspected: Inspected) -> Iterator[Finding]:
    if inspected.problem:
        what, _, remedy = inspected.problem.rpartition(": ")
        yield Finding("not_trainable", "error", _sentence(what), _sentence(remedy))


SUSPICIOUS = (
    *("unreadable", "unsafe_path", "too_deep", "stored_twice"),
    *("cut_off", "damaged_archive", "no_label"),
    *("missing", "missing_backslash", "missing_address", "missing_home"),
)
"""Reasons for which an image that was meant to be used may be left out."""


def _ignored(inspected: Inspected) -> Iterator[Finding]:
    paths: dict[str, list[str]] = defaultdict(list)
    for item in inspected.folder.left_out:
        paths[item.reason].append(item.path)
    for reason, examples in sorted(paths.items()):
        words, remedy = LEFT_OUT_REASONS[reason]
        what = f"Ignored {len(examples)}: {words}."
        severity: Severity = "warning" if reason in SUSPICIOUS else "note"
        yield Finding(f"ignored_{reason}", severity, what, remedy, _some(examples))


def _unusable(inspected: Inspected) -> Iterator[Finding]:
    paths: dict[str, list[str]] = defaultdict(list)
    for path, reason in inspected.unusable:
        paths[reason].append(path)
    for reason, examples in sorted(paths.items()):
        words, remedy = re.split(r"[;:] ", REASONS[reason], maxsplit=1)
        what = f"{_count(examples, 'file')} cannot be used: {words}."
        yield Finding(f"unusable_{reason}", "warning", what, _sentence(remedy), _some(examples))


def _misread_splits(inspected: Inspected) -> Iterator[Finding]:
    folder = inspected.folder
    odd = [name for name in folder.class_names if name.lower() in SPLIT_FOLDERS]
    if folder.layout == "classes" and odd:
        yield Finding(
            "class_named_like_split",
            "warning",
            f"The folder {odd[0]!r} was taken for a class.",
            "If it holds class folders, put the other folders elsewhere, or into train/ or val/.",
            tuple(odd),
        )


# --- Classes ---------------------------------------------------------------------------------


def _alike_names(inspected: Inspected) -> Iterator[Finding]:
    groups = alike_names(inspected.folder.class_names)
    if groups:
        yield Finding(
            "alike_class_names",
            "warning",
            f"{_count(groups, 'class name')} that {'looks' if len(groups) == 1 else 'look'} like "
            "another one, but for case, blanks or the way an accent is written.",
            "Put the images into one folder, if they are of one class.",
            _some(" and ".join(map(exact_name, group)) for group in groups),
        )


def _formulas(inspected: Inspected) -> Iterator[Finding]:
    names = [name for name in inspected.folder.class_names if name.startswith(FORMULA_STARTS)]
    if names:
        yield Finding(
            "formula_class_names",
            "note",
            f"{_count(names, 'class name')} that a spreadsheet would run as a formula.",
            "Rename them, or import the CSV files of imgclf as text.",
            _some(names),
        )


def _small_classes(inspected: Inspected) -> Iterator[Finding]:
    names = inspected.folder.class_names
    counts = inspected.num_different
    divided = inspected.folder.layout == "classes"
    tiny = [names[label] for label, n in counts.items() if n < (MIN_SIDES if divided else 1)]
    if tiny and not inspected.problem:
        yield Finding(
            "class_too_small",
            "error",
            f"{_count(tiny, 'class', 'classes')} with fewer than {MIN_SIDES} different pictures "
            "cannot be divided into train, val and test.",
            "Add images to these classes, or remove their folders.",
            _some(tiny),
        )
    few = [names[label] for label, n in counts.items() if n < FEW_PICTURES]
    few = sorted(set(few) - set(tiny), key=os.fsencode)
    if few:
        yield Finding(
            "few_images",
            "warning",
            f"{_count(few, 'class', 'classes')} with fewer than {FEW_PICTURES} different pictures.",
            "Add images: so few are hard to learn from and to measure on.",
            _some(few),
        )


def _imbalance(inspected: Inspected) -> Iterator[Finding]:
    counts = Counter(p.label for p in inspected.pictures if p.split in (None, "train"))
    if len(counts) < 2:
        return
    (most, largest), (least, smallest) = counts.most_common()[0], counts.most_common()[-1]
    if largest > MAX_IMBALANCE * smallest:
        names = inspected.folder.class_names
        yield Finding(
            "class_imbalance",
            "warning",
            f"Class {names[most]!r} has {largest / smallest:.1f} times as many images as "
            f"{names[least]!r} ({largest} and {smallest}).",
            "Train with --class-weight balanced or --oversample, and compare the classes' recall.",
        )


def _missing_in_split(inspected: Inspected) -> Iterator[Finding]:
    names = inspected.folder.class_names
    for split in sorted(inspected.folder.splits):
        present = {picture.label for picture in inspected.pictures if picture.split == split}
        missing = [name for label, name in enumerate(names) if label not in present]
        if missing:
            yield Finding(
                "class_missing_in_split",
                "error" if split == "train" else "warning",
                f"{split}/ has no usable image of {_count(missing, 'class', 'classes')}.",
                "Add some: a class without images cannot be learned or measured.",
                _some(missing),
            )


def _few_to_measure(inspected: Inspected) -> Iterator[Finding]:
    splits = inspected.folder.splits
    measured = "test" if "test" in splits else "val" if "val" in splits else None
    held_out = sum(picture.split == measured for picture in inspected.pictures)
    if measured is None:
        held_out = round(0.15 * len(inspected.pictures))
    if 0 < held_out < MIN_MEASURED:
        place = (
            f"in {measured}/" if measured else f"(of some {10 * round(MIN_MEASURED / 1.5)} in all)"
        )
        yield Finding(
            "few_held_out",
            "note",
            f"The accuracy will be measured on about {held_out} images: too few to know it "
            "within 5 points.",
            f"Read the interval beside it. {MIN_MEASURED} such images {place} would do.",
        )


# --- Copies ----------------------------------------------------------------------------------


def _copies(inspected: Inspected) -> Iterator[Finding]:
    harmless, conflicting, leaking = [], [], []
    for group in inspected.copies:
        if len({picture.label for picture in group}) > 1:
            conflicting.append(group)
        elif len({picture.split for picture in group}) > 1:
            leaking.append(group)
        else:
            harmless.append(group)
    if conflicting:
        yield Finding(
            "conflicting_labels",
            "warning",
            f"{_count(conflicting, 'picture')} in more than one class.",
            "Keep each picture in its right class only: the other copies teach a wrong label.",
            _some(map(_equation, conflicting)),
        )
    if leaking:
        yield Finding(
            "copies_across_splits",
            "warning",
            f"{_count(leaking, 'picture')} in more than one of train/, val/ and test/.",
            "Training leaves them out of the held-out images; keep each picture in one split.",
            _some(map(_equation, leaking)),
        )
    if harmless:
        surplus = [picture for group in harmless for picture in group[1:]]
        yield Finding(
            "copies",
            "note",
            f"{_count(surplus, 'surplus copy', 'surplus copies')} of {_count(harmless, 'picture')} "
            "within a class.",
            "Nothing to do: copies always stay in one split.",
            _some(map(_equation, harmless)),
        )


def _equation(group: Sequence[Picture]) -> str:
    more = f" and {len(group) - 2} more" if len(group) > 2 else ""
    different = [p for p in group[1:] if (p.label, p.split) != (group[0].label, group[0].split)]
    return f"{group[0].path} = {(different or group[1:])[0].path}{more}"


# --- What gives a label away -----------------------------------------------------------------

_PROPERTIES: dict[str, Callable[[ImageFacts], str]] = {
    "format": lambda facts: facts.format,
    "pixel format": lambda facts: facts.mode,
    "size": lambda facts: f"{facts.height} x {facts.width} (height x width)",
    "EXIF orientation": lambda facts: str(facts.orientation),
}


def _giveaways(inspected: Inspected) -> Iterator[Finding]:
    names = inspected.folder.class_names
    totals = Counter(picture.label for picture in inspected.pictures)
    for name, value_of in _PROPERTIES.items():
        counts = Counter((p.label, value_of(p.facts)) for p in inspected.pictures)
        overall = Counter(value_of(picture.facts) for picture in inspected.pictures)
        for (label, value), count in counts.most_common():
            others = len(inspected.pictures) - totals[label]
            alone = count >= GIVEAWAY_SHARE * totals[label] and others > 0
            if alone and overall[value] - count <= (1 - GIVEAWAY_SHARE) * others:
                yield Finding(
                    "label_given_away",
                    "warning",
                    f"The {name} {value} tells class {names[label]!r} from all others.",
                    "Save all classes in the same way: a network may learn this instead of what "
                    "the images show.",
                )
                break


def _rotated(inspected: Inspected) -> Iterator[Finding]:
    turned = [picture.path for picture in inspected.pictures if picture.facts.orientation > 1]
    if turned:
        yield Finding(
            "rotated_by_exif",
            "note",
            f"{_count(turned, 'image')} stored turned or mirrored, with an EXIF note of it.",
            "Nothing to do: they are turned upright, in training as in prediction.",
            _some(turned),
        )


_FINDERS: tuple[Callable[[Inspected], Iterator[Finding]], ...] = (
    _problem,
    _alike_names,
    _formulas,
    _small_classes,
    _missing_in_split,
    _unusable,
    _copies,
    _giveaways,
    _imbalance,
    _misread_splits,
    _ignored,
    _rotated,
    _few_to_measure,
)


def _count(things: Sequence[object], one: str, many: str = "") -> str:
    return f"{len(things)} {one if len(things) == 1 else many or one + 's'}"


def _some(texts: Iterable[str]) -> tuple[str, ...]:
    """Take the first few, with bytes that are no text made printable, none of them endless."""
    encoded = (text.encode("utf-8", "surrogateescape") for text in islice(texts, MOST_EXAMPLES))
    shown = (text.decode("utf-8", "backslashreplace") for text in encoded)
    half = LONGEST_EXAMPLE // 2
    return tuple(
        text if len(text) <= LONGEST_EXAMPLE else f"{text[:half]} ... {text[-half:]}"
        for text in shown
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."
