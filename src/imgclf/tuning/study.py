"""The study folder: the trials of a search, safe if the process is killed at any moment."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgclf.atomic import make_folder, write_atomically
from imgclf.errors import ImgclfError, StudyError
from imgclf.runs.folder import LOCK_NAME, lock_folder
from imgclf.tuning.trials import Trial, completed, rank, trial_from_dict

__all__ = [
    "STUDY_FILE",
    "TENSORBOARD_FOLDER",
    "Study",
    "differences",
    "open_study",
    "study_key",
]

STUDY_FILE = "study.json"
OWN_FOLDERS = ("bundles", "logs", "trials")
TENSORBOARD_FOLDER = "tensorboard"
OWN_FILES = (
    "best.imgclf", "best.json", "refit.imgclf", "report.html", "split.csv",
    "trials.csv", STUDY_FILE,
)  # fmt: skip
"""Files that ``--fresh`` removes; other files in the folder are the user's and stay."""

_logger = logging.getLogger(__name__)


class Study:
    """The trials of a study, and their files.

    Each trial that has ended is one JSON file, written atomically. A trial that was running when
    the process died has left no file, and is run again.

    Attributes:
        folder: The study's folder.
        identity: What identifies the study: data, space, objective, settings, version.
        warnings: Warnings about broken files, one line each.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Read the folder's trials; broken files are renamed, with a warning."""
        self.folder = folder
        self.identity = dict(identity)
        for name in OWN_FOLDERS:
            make_folder(folder / name)
        self.warnings: list[str] = []
        self._trials: dict[int, Trial] = {}
        for path in sorted((folder / "trials").glob("*.json")):
            self._read(path)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials that have ended, by number."""
        return tuple(self._trials[number] for number in sorted(self._trials))

    def _read(self, path: Path) -> None:
        """Read a trial's file; a broken one is renamed, and its trial run again."""
        try:
            trial = trial_from_dict(json.loads(path.read_text(encoding="utf-8")))
            if f"{trial.number:04}" == path.stem:
                self._trials[trial.number] = trial
                return
            reason = f"it holds trial {trial.number}"
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
        aside = path.with_suffix(".broken")
        path.replace(aside)
        warning = f"A trial's file is broken ({reason}); it was renamed to {aside}."
        self.warnings.append(warning)
        _logger.warning("%s", warning)

    def record(self, trial: Trial) -> None:
        """Write a trial that has ended to its file."""
        write_atomically(self.folder / "trials" / f"{trial.number:04}.json", _json(trial.as_dict()))
        self._trials[trial.number] = trial

    def bundle(self, number: int) -> Path:
        """Return the path of a trial's classifier."""
        return self.folder / "bundles" / f"{number:04}.imgclf"

    def log(self, number: int) -> Path:
        """Return the path of the file with what a trial's process printed."""
        return self.folder / "logs" / f"{number:04}.txt"

    def next_number(self, running: Sequence[int] = ()) -> int:
        """Return the smallest number that no finished or `running` trial has."""
        return next(n for n in range(10**9) if n not in self._trials and n not in running)

    def least_kept(self, count: int) -> float:
        """Return the score below which a trial's classifier is not among the best `count`."""
        best = rank(completed(self.trials))[:count]
        return best[-1].score if len(best) == count else 0.0

    def keep_best(self, count: int, always: Sequence[int]) -> None:
        """Remove all classifiers, except of the best `count` trials and of those in `always`."""
        kept = {trial.number for trial in rank(self.trials)[:count]} | set(always)
        for number, trial in self._trials.items():
            if number not in kept or trial.status != "completed":
                self.bundle(number).unlink(missing_ok=True)


def study_key(identity: Mapping[str, Any]) -> str:
    """Return the first eight hex digits of the identity's SHA-256, for the folder's name."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@contextmanager
def open_study(
    folder: Path, identity: Mapping[str, Any], *, resume: bool = False, fresh: bool = False
) -> Iterator[Study]:
    """Open a study folder and hold its lock.

    Args:
        folder: The folder; it is made if it does not exist.
        identity: What identifies the study, as plain values.
        resume: Whether to go on with the study in the folder.
        fresh: Whether to remove the study in the folder first.

    Yields:
        The study.

    Raises:
        StudyError: The folder holds a study, and neither `resume` nor `fresh` is set; it holds
            another study than the one to resume; or another search uses it.
    """
    with lock_folder(folder, "study folder", "search", StudyError):
        if fresh:
            _remove_study(folder)
        found = _read_identity(folder)
        if found is None and resume and not fresh:
            _refuse_resuming_nothing(folder, identity)
        if found is not None:
            _require_same(folder, found, _plain(identity), resume=resume)
        else:
            write_atomically(folder / STUDY_FILE, _json(identity))
        study = Study(folder, identity)
        try:
            yield study
        except ImgclfError:
            if found is None and not study.trials:  # Refused: the next one starts afresh.
                _remove_study(folder)
                _remove_empty(folder)
            raise


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the differences of two identities, as ``name: old -> new``."""
    before, after = dict(_flatten(old)), dict(_flatten(new))
    places = dict.fromkeys([*before, *after])
    return [
        f"{place}: {before.get(place, 'nothing')} -> {after.get(place, 'nothing')}"
        for place in places
        if before.get(place) != after.get(place)
    ]


def _read_identity(folder: Path) -> dict[str, Any] | None:
    try:
        found = json.loads((folder / STUDY_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{folder / STUDY_FILE} cannot be read ({error}): start again with --fresh."
        ) from error
    if not isinstance(found, dict):
        raise StudyError(f"{folder / STUDY_FILE} is not a study: start again with --fresh.")
    return found


def _require_same(
    folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any], *, resume: bool
) -> None:
    differing = differences(found, wanted)
    if differing:
        raise StudyError(
            f"The folder {folder} holds another study ({'; '.join(differing)}): "
            "give another --study-dir, or start again with --fresh (fresh=True)."
        )
    if not resume:
        raise StudyError(
            f"The study {folder} exists already: continue with --resume (resume=True), "
            "or start again with --fresh (fresh=True)."
        )


def _refuse_resuming_nothing(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raise an error that names a study of the same architectures, and how it differs."""
    prefix = folder.name.rpartition("-")[0]
    _remove_empty(folder)
    for other in sorted(folder.parent.glob(f"{prefix}-*")):
        found = _read_identity(other)
        if found is not None:
            changes = "; ".join(differences(found, _plain(identity)))
            raise StudyError(
                f"There is no study {folder} to resume. {other} differs ({changes}): "
                "give the same settings again, or leave out --resume."
            )
    raise StudyError(f"There is no study {folder} to resume: leave out --resume.")


def _remove_empty(folder: Path) -> None:
    """Remove a folder with nothing but the new lock file, which would look like a study."""
    if not any(item.name != LOCK_NAME for item in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _remove_study(folder: Path) -> None:
    for name in (*OWN_FOLDERS, TENSORBOARD_FOLDER):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as they would be read back from a file."""
    plain: dict[str, Any] = json.loads(_json(values))
    return plain


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=2).encode() + b"\n"
