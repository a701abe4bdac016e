"""The study folder: whole files, one study a folder, broken parts set aside."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from imgclf.errors import DataError, StudyError
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.study import Study, differences, open_study, study_key
from imgclf.tuning.trials import Trial

IDENTITY = {"version": "1", "space": {"filters": "16,32"}, "settings": {"epochs": 3}}


def make_trial(number: int, accuracy: float | None, **others: Any) -> Trial:
    """Return a trial that has ended."""
    candidate = Candidate("three_conv", {"filters": 16 + number}, {"learning_rate": 1e-3}, 3)
    if accuracy is None:
        return Trial(number, candidate, "failed", "it broke")
    return Trial(number, candidate, "completed", accuracies=(accuracy,), log_loss=0.5,
                 num_correct=round(accuracy * 100), num_images=100, **others)  # fmt: skip


def test_trials_come_back_as_they_were(tmp_path: Path) -> None:
    """What was recorded is read again, failed trials included."""
    trials = (make_trial(0, 0.7), make_trial(1, None), make_trial(2, 0.9))
    with open_study(tmp_path / "s", IDENTITY) as study:
        for trial in trials:
            study.record(trial)
    with open_study(tmp_path / "s", IDENTITY, resume=True) as again:
        assert again.trials == trials


def test_an_existing_study_is_never_used_silently(tmp_path: Path) -> None:
    """The same command again is an error that names --resume and --fresh."""
    with open_study(tmp_path / "s", IDENTITY):
        pass
    with (
        pytest.raises(StudyError, match=r"--resume.*--fresh"),
        open_study(tmp_path / "s", IDENTITY),
    ):
        pass


def test_a_refused_search_leaves_nothing_behind(tmp_path: Path) -> None:
    """An error before the first trial removes the study; the corrected command can begin."""
    with (
        pytest.raises(DataError),
        open_study(tmp_path / "s", IDENTITY),
    ):
        raise DataError("refused")
    assert not (tmp_path / "s").exists()
    with pytest.raises(DataError), open_study(tmp_path / "s", IDENTITY) as study:  # noqa: PT012
        study.record(make_trial(0, 0.7))
        raise DataError("on the way")
    assert (tmp_path / "s" / "study.json").exists()


def test_another_space_is_refused_with_the_difference(tmp_path: Path) -> None:
    """Resuming with other settings shows in which place they differ."""
    with open_study(tmp_path / "s", IDENTITY):
        pass
    other = {**IDENTITY, "space": {"filters": "16,64"}}
    with (
        pytest.raises(StudyError, match=r"space\.filters: 16,32 -> 16,64"),
        open_study(tmp_path / "s", other, resume=True),
    ):
        pass
    assert differences(IDENTITY, other) == ["space.filters: 16,32 -> 16,64"]
    assert study_key(IDENTITY) != study_key(other)


def test_resuming_nothing_names_the_study_that_differs(tmp_path: Path) -> None:
    """--resume without its study says which one there is instead, and leaves no folder behind."""
    with open_study(tmp_path / "net-1", IDENTITY):
        pass
    other = {**IDENTITY, "settings": {"epochs": 5}}
    with (
        pytest.raises(StudyError, match=r"net-1 differs \(settings.epochs: 3 -> 5\)"),
        open_study(tmp_path / "net-2", other, resume=True),
    ):
        pass
    assert not (tmp_path / "net-2").exists()


def test_fresh_removes_the_study_and_nothing_else(tmp_path: Path) -> None:
    """--fresh begins anew; a file of the user's in the folder stays."""
    with open_study(tmp_path / "s", IDENTITY) as study:
        study.record(make_trial(0, 0.7))
    (tmp_path / "s" / "notes.txt").write_text("mine")
    with open_study(tmp_path / "s", {**IDENTITY, "version": "2"}, fresh=True) as study:
        assert study.trials == ()
    assert (tmp_path / "s" / "notes.txt").exists()


@pytest.mark.parametrize("content", ["", '{"number": 1', "[]", '{"number": 1}', "null", "\x00\x01"])
def test_a_broken_trial_is_set_aside(content: str, tmp_path: Path, caplog: Any) -> None:
    """One broken file is renamed and named; the other trials are there, its number is free."""
    with open_study(tmp_path / "s", IDENTITY) as study:
        for number in range(3):
            study.record(make_trial(number, 0.5))
    (tmp_path / "s" / "trials" / "0001.json").write_text(content)
    with caplog.at_level(logging.WARNING, "imgclf"):
        again = Study(tmp_path / "s", IDENTITY)
    assert [trial.number for trial in again.trials] == [0, 2]
    assert again.next_number() == 1
    assert (tmp_path / "s" / "trials" / "0001.broken").read_text() == content
    assert "0001.broken" in caplog.text


def test_two_searches_in_one_folder_are_refused(tmp_path: Path) -> None:
    """The lock of a running search keeps another one out."""
    with (
        open_study(tmp_path / "s", IDENTITY),
        pytest.raises(StudyError, match="Another search is running"),
        open_study(tmp_path / "s", IDENTITY, resume=True),
    ):
        pass


def test_only_the_best_bundles_stay(tmp_path: Path) -> None:
    """Of all bundles the best few and those of the defaults are kept."""
    study_dir = tmp_path / "s"
    with open_study(study_dir, IDENTITY) as study:
        for number, accuracy in enumerate((0.1, 0.9, None, 0.5, 0.8)):
            study.bundle(number).write_bytes(b"x")
            study.record(make_trial(number, accuracy))
            study.keep_best(2, always=[0])
    kept = sorted(path.stem for path in (study_dir / "bundles").iterdir())
    assert kept == ["0000", "0001", "0004"]


def test_a_score_below_which_nothing_is_kept(tmp_path: Path) -> None:
    """That of the last of the best few, as soon as there are as many; failures do not count."""
    with open_study(tmp_path / "s", IDENTITY) as study:
        found = []
        for number, accuracy in enumerate((0.1, None, 0.9, 0.5, 0.05)):
            study.record(make_trial(number, accuracy))
            found.append(study.least_kept(2))
    assert found == [0.0, 0.0, 0.1, 0.5, 0.5]
