"""The table of a search on a narrow terminal."""

from __future__ import annotations

from rich.console import Console

from imgclf.runs.resolution import resolve_settings
from imgclf.runs.settings import Settings
from imgclf.tuning.candidates import Candidate
from imgclf.tuning.display import SearchDisplay, fitting_names
from imgclf.tuning.search_spec import SearchLimits, SearchSpec
from imgclf.tuning.space import make_space
from imgclf.tuning.trial_settings import TrialSettings
from imgclf.tuning.trials import Trial


def test_columns_are_whole_or_not_there() -> None:
    """What does not fit is named, in order, and never broken over lines."""
    rows = [{"filters": 16, "learning_rate": 0.00123, "pooling": "max"}]
    assert fitting_names(list(rows[0]), rows, 99) == (["filters", "learning_rate", "pooling"], [])
    assert fitting_names(list(rows[0]), rows, 24) == (["filters", "learning_rate"], ["pooling"])
    assert fitting_names(list(rows[0]), rows, 20) == (["filters"], ["learning_rate", "pooling"])


def test_the_live_table_keeps_within_80_columns() -> None:
    """Nine options of two architectures: a line per trial, running ones with their epoch."""
    names = ["learning_rate", "filters", "pooling", "dropout", "optimizer", "batch_size",
             "image_size", "augment"]  # fmt: skip
    space = make_space("three_conv,resnet9", tune=names)
    training = {"learning_rate": 0.00123, "optimizer": "rmsprop", "batch_size": 64,
                "augment": "strong", "image_size": [96, 96]}  # fmt: skip
    candidate = Candidate("three_conv", {"filters": 48, "pooling": "max"}, training, 10)
    done = Trial(0, candidate, "completed", accuracies=(0.5,), duration_s=60)
    spec = SearchSpec(
        space, "random", TrialSettings(resolve_settings(Settings(), 100)), SearchLimits()
    )
    console = Console(width=80, force_terminal=True, color_system=None, record=True)
    display = SearchDisplay(spec, (done,), console)
    with display as callbacks:
        callbacks.on_trial_begin(1, candidate)
        callbacks.on_epoch_end(1, 3, 0.25)
        with console.capture() as capture:
            console.print(display._table())
    lines = capture.get().splitlines()
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert "epoch 3/10 25.0%" in lines[2]
    assert "no room for" in lines[3]


def test_a_search_on_a_cluster_shows_its_nodes() -> None:
    """Each running trial has the name of its node, or waits for room; 80 columns are enough."""
    space = make_space("three_conv", tune=["learning_rate", "filters"])
    candidate = Candidate("three_conv", {"filters": 48}, {"learning_rate": 0.00123}, 10)
    done = Trial(0, candidate, "completed", accuracies=(0.5,), duration_s=60)
    spec = SearchSpec(
        space, "random", TrialSettings(resolve_settings(Settings(), 100)), SearchLimits()
    )
    console = Console(width=80, force_terminal=True, color_system=None, record=True)
    display = SearchDisplay(spec, (done,), console)
    with display as callbacks:
        for number in (1, 2, 3):
            callbacks.on_trial_begin(number, candidate)
        callbacks.on_trial_placed(1, "first-0102")
        callbacks.on_trial_placed(3, "a-node-with-a-very-long-name-of-its-own")
        with console.capture() as capture:
            console.print(display._table())
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "node" in lines[0]
    assert "first-0102" in lines[2]
    assert "waiting" in lines[3]
    assert "a-node-with-a-very-l " in lines[4]
    assert "48" in lines[4]
