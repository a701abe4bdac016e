"""The study folder: what a search has learned so far, safe against a kill at any moment."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from imgclf.atomic import write_atomically
from imgclf.errors import StudyError
from imgclf.tuning.trials import Trial, rank, trial_from_dict

__all__ = [
    "ATTEMPT",
    "STUDY_FILE",
    "TENSORBOARD_FOLDER",
    "Study",
    "differences",
    "open_study",
    "study_key",
]

STUDY_FILE = "study.json"
ATTEMPT = "attempt-"
"""How the name of a bundle begins while another machine may still be writing it."""

OWN_FOLDERS = ("bundles", "logs", "trials")
TENSORBOARD_FOLDER = "tensorboard"
OWN_FILES = (
    "best.imgclf", "best.json", "refit.imgclf", "report.html", "split.csv",
    "trials.csv", STUDY_FILE,
)  # fmt: skip
"""What ``--fresh`` removes; anything else in the folder is the user's and stays."""

_logger = logging.getLogger(__name__)


class Study:
    """The trials of one study and the files that hold them.

    Each trial that has ended is one JSON file, written in full under another name and then
    renamed; a trial that was running when the process died has left nothing and is run again.

    Attributes:
        folder: The study's folder.
        identity: What makes it this study: data, space, objective, settings, version.
        warnings: Remarks about broken files, one line each.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        """Read the trials that the folder holds; broken files are set aside and named."""
        self.folder = folder
        self.identity = dict(identity)
        for name in OWN_FOLDERS:
            (folder / name).mkdir(exist_ok=True)
        for left in (folder / "bundles").glob(f"{ATTEMPT}*"):
            left.unlink(missing_ok=True)
        self.warnings: list[str] = []
        self._trials: dict[int, Trial] = {}
        for path in sorted((folder / "trials").glob("*.json")):
            self._read(path)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All trials that have ended, in the order of their numbers."""
        return tuple(self._trials[number] for number in sorted(self._trials))

    def _read(self, path: Path) -> None:
        """Take a trial from its file; one that cannot be read is set aside and run again."""
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
        warning = f"A trial's file is broken ({reason}) and was set aside as {aside}."
        self.warnings.append(warning)
        _logger.warning("%s", warning)

    def record(self, trial: Trial) -> None:
        """Keep a trial that has ended."""
        write_atomically(self.folder / "trials" / f"{trial.number:04}.json", _json(trial.as_dict()))
        self._trials[trial.number] = trial

    def bundle(self, number: int) -> Path:
        """Return where a trial's bundle lies or will lie."""
        return self.folder / "bundles" / f"{number:04}.imgclf"

    def log(self, number: int) -> Path:
        """Return the file of what a trial's process printed."""
        return self.folder / "logs" / f"{number:04}.txt"

    def next_number(self, running: Sequence[int] = ()) -> int:
        """Return the smallest number that no trial has."""
        return next(n for n in range(10**9) if n not in self._trials and n not in running)

    def keep_best(self, count: int, always: Sequence[int]) -> None:
        """Remove the bundles of all trials but the best few and the ones named in `always`."""
        kept = {trial.number for trial in rank(self.trials)[:count]} | set(always)
        for number, trial in self._trials.items():
            if number not in kept or trial.status != "completed":
                self.bundle(number).unlink(missing_ok=True)


def study_key(identity: Mapping[str, Any]) -> str:
    """Return eight characters that stand for data, space, objective, settings and version."""
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@contextmanager
def open_study(
    folder: Path, identity: Mapping[str, Any], *, resume: bool = False, fresh: bool = False
) -> Iterator[Study]:
    """Open a study folder and hold its lock.

    Args:
        folder: The folder; it is made where it does not exist.
        identity: What the study is about, as plain values.
        resume: Go on with the study that lies in the folder.
        fresh: Remove the study that lies in the folder.

    Yields:
        The study.

    Raises:
        StudyError: The folder holds a study and neither `resume` nor `fresh` was given, or
            holds another study than the one that is to be resumed, or is in use.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise StudyError(
            f"The study folder {folder} cannot be made ({error.strerror}): give another one."
        ) from error
    with lock:
        _take(lock, folder)
        if fresh:
            _remove_study(folder)
        found = _read_identity(folder)
        if found is None and resume and not fresh:
            _refuse_resuming_nothing(folder, identity)
        if found is not None:
            _require_same(folder, found, _plain(identity), resume=resume)
        else:
            write_atomically(folder / STUDY_FILE, _json(identity))
        yield Study(folder, identity)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say in which places two identities differ, as ``place: old -> new``."""
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
            f"{folder / STUDY_FILE} cannot be read ({error}): begin anew with --fresh."
        ) from error
    if not isinstance(found, dict):
        raise StudyError(f"{folder / STUDY_FILE} is no study: begin anew with --fresh.")
    return found


def _require_same(
    folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any], *, resume: bool
) -> None:
    differing = differences(found, wanted)
    if differing:
        raise StudyError(
            f"The folder {folder} holds another study ({'; '.join(differing)}): "
            "give another --study-dir, or begin anew with --fresh (fresh=True)."
        )
    if not resume:
        raise StudyError(
            f"The study {folder} exists already: go on with --resume (resume=True), "
            "or begin anew with --fresh (fresh=True)."
        )


def _refuse_resuming_nothing(folder: Path, identity: Mapping[str, Any]) -> None:
    """Say what there is instead of the study that was to be resumed, and how it differs."""
    prefix = folder.name.rpartition("-")[0]
    # The lock file that was made just now must not look like a study that somebody began.
    if not any(item.name != "lock" for item in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)
    for other in sorted(folder.parent.glob(f"{prefix}-*")):
        found = _read_identity(other)
        if found is not None:
            changes = "; ".join(differences(found, _plain(identity)))
            raise StudyError(
                f"There is no study {folder} to resume. {other} differs ({changes}): "
                "give the same settings again, or leave out --resume."
            )
    raise StudyError(f"There is no study {folder} to resume: leave out --resume.")


def _remove_study(folder: Path) -> None:
    for name in (*OWN_FOLDERS, TENSORBOARD_FOLDER):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for name in OWN_FILES:
        (folder / name).unlink(missing_ok=True)


def _take(lock: IO[str], folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Not Unix: nothing tells of a second search.
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StudyError(
            f"Another search is running in {folder}: wait for it, or give another --study-dir."
        ) from error


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the values are once they have been through a file."""
    plain: dict[str, Any] = json.loads(_json(values))
    return plain


def _json(values: Mapping[str, Any]) -> bytes:
    return json.dumps(values, indent=2).encode() + b"\n"
