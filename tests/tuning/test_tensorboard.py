"""What TensorBoard itself reads back of a study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from imgclf.tuning.candidates import Candidate
from imgclf.tuning.search import SearchCallbacks
from imgclf.tuning.space import make_space
from imgclf.tuning.tensorboard import TrialLogs
from imgclf.tuning.trials import Trial


def candidate(filters: int, rate: float) -> Candidate:
    """Return what a trial of three_conv tries."""
    training = {"learning_rate": rate, "optimizer": "adam", "batch_size": 8, "augment": None,
                "image_size": [24, 24]}  # fmt: skip
    return Candidate("three_conv", {"filters": filters, "pooling": "max"}, training, 3)


def read(folder: Path, name: str) -> Any:
    """Return the HParams part of a run, as TensorBoard's plugin finds it."""
    events = EventAccumulator(str(folder)).Reload()
    content = events.SummaryMetadata(name).plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


@pytest.fixture(scope="module")
def study(tmp_path_factory: Any) -> Path:
    """Return a study of three trials: one complete with its epochs, one failed, one of before."""
    folder = tmp_path_factory.mktemp("study")
    space = make_space("three_conv", tune=["learning_rate", "filters", "image_size"])
    first = Trial(0, candidate(32, 0.001), "completed", accuracies=(0.5,), log_loss=1.0)
    second = Trial(1, candidate(16, 0.01), "completed", accuracies=(0.75, 0.25), log_loss=0.5,
                   num_parameters=123, duration_s=2.0, fit_s=1.5)  # fmt: skip
    third = Trial(2, candidate(64, 0.002), "failed", "its process was ended by SIGABRT")
    told: list[Any] = []
    logs = TrialLogs(folder, space, [candidate(32, 0.05)])
    logs.begin([first])
    callbacks = logs.add_to(SearchCallbacks(on_epoch_end=lambda *given: told.append(given)))
    callbacks.on_trial_begin(1, second.candidate)
    for epoch, accuracy in enumerate((0.25, 0.5, 0.75), 1):
        callbacks.on_epoch_end(1, epoch, accuracy)
    callbacks.on_trial_end(second, (first, second))
    callbacks.on_trial_begin(2, third.candidate)
    callbacks.on_trial_end(third, (first, second, third))
    assert told == [(1, 1, 0.25), (1, 2, 0.5), (1, 3, 0.75)]
    logs.begin([first, second, third])  # As after --resume: nothing is written twice.
    return folder / "tensorboard"


def test_each_trial_is_a_run_with_its_values_and_figures(study: Path) -> None:
    """Curve, figures, searched values and outcome of each trial come out of its event file."""
    assert sorted(path.name for path in study.iterdir()) == ["0000", "0001", "0002", "search"]
    assert all(len(list(path.iterdir())) == 1 for path in study.iterdir())
    events = EventAccumulator(str(study / "0001")).Reload()
    assert [(item.step, item.value) for item in _scalars(events, "epoch_val_accuracy")] == [
        (1, 0.25), (2, 0.5), (3, 0.75)
    ]  # fmt: skip
    assert [item.value for item in _scalars(events, "accuracy")] == [0.5]
    assert [item.value for item in _scalars(events, "num_parameters")] == [123]
    start = read(study / "0001", "_hparams_/session_start_info").session_start_info
    assert start.group_name == "0001"
    assert start.hparams["filters"].number_value == 16
    assert start.hparams["learning_rate"].number_value == 0.01
    assert start.hparams["image_size"].string_value == "24"
    ends = [read(study / run, "_hparams_/session_end_info").session_end_info.status
            for run in ("0001", "0002")]  # fmt: skip
    assert ends == [api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE]


def _scalars(events: EventAccumulator, tag: str) -> list[Any]:
    """Return a scalar's (step, value), whichever way TensorBoard keeps it."""
    from tensorboard.util.tensor_util import make_ndarray

    class Item:
        def __init__(self, event: Any) -> None:
            self.step, self.value = event.step, make_ndarray(event.tensor_proto).item()

    return [Item(event) for event in events.Tensors(tag)]


def test_the_hparams_view_lists_what_is_searched(study: Path) -> None:
    """Columns are the searched names with their values, the defaults included, and the metrics."""
    experiment = read(study / "search", "_hparams_/experiment").experiment
    columns = {info.name: info for info in experiment.hparam_infos}
    assert list(columns) == ["learning_rate", "filters", "image_size", "epochs"]
    rate = columns["learning_rate"].domain_interval
    assert (rate.min_value, rate.max_value) == (1e-4, 0.05)
    filters = [value.number_value for value in columns["filters"].domain_discrete.values]
    assert filters == sorted(filters)
    assert {16, 32, 64} <= set(filters)
    assert {info.name.tag for info in experiment.metric_infos} >= {"accuracy", "log_loss"}


def test_tensorboards_own_backend_shows_every_trial(study: Path) -> None:
    """The HParams plugin of TensorBoard itself lists the trials with values and metrics."""
    from tensorboard.backend.event_processing.data_ingester import LocalDataIngester
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import backend_context, list_session_groups

    flags = SimpleNamespace(
        logdir=str(study), logdir_spec="", detect_file_replacement=False, max_reload_threads=1,
        reload_interval=0, reload_multifile=False, reload_task="blocking",
        purge_orphaned_data=True, samples_per_plugin={}, generic_data="true",
    )  # fmt: skip
    ingester = LocalDataIngester(flags)
    ingester.start()
    context = backend_context.Context(
        TBContext(data_provider=ingester.data_provider, logdir=str(study))
    )
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=10,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
    )  # fmt: skip
    groups = list_session_groups.Handler(
        RequestContext(), context, "", request
    ).run().session_groups  # fmt: skip
    assert {group.name for group in groups} == {"0000", "0001", "0002"}
    second = next(group for group in groups if group.name == "0001")
    figures = {value.name.tag: value.value for value in second.metric_values}
    assert figures["accuracy"] == 0.5
    assert second.hparams["filters"].number_value == 16
