"""The choice of a search's workers: what is not accepted is refused before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

import imgclf
from imgclf.errors import ArgumentError
from imgclf.tuning.pool import ClusterChoice
from imgclf.tuning.request import SearchRequest


@pytest.mark.parametrize("count", [0, -1, True, 1.5], ids=str)
def test_a_search_has_at_least_one_worker(count: Any) -> None:
    """Anything but a whole number from 1 on is refused."""
    with pytest.raises(ArgumentError, match="workers="):
        SearchRequest(workers=count)


@pytest.mark.parametrize(
    "wrong",
    [{"cluster": "10.0.0.5"}, {"cluster": "local", "trial_cpus": 0},
     {"cluster": "local", "trial_gpus": -1}, {"cluster": "local", "trial_memory_gb": "2"}],
    ids=str,
)  # fmt: skip
def test_what_no_cluster_can_give_is_refused(wrong: dict[str, Any]) -> None:
    """Addresses of another form, and demands that are no numbers."""
    with pytest.raises(ArgumentError, match="is not accepted"):
        SearchRequest(**wrong)


@pytest.mark.parametrize(
    "given", [{"trial_cpus": 2}, {"trial_gpus": 0.5}, {"allow_unauthenticated": True}], ids=str
)
def test_what_belongs_to_a_cluster_needs_one(given: dict[str, Any]) -> None:
    """It would have no effect on this machine's processes."""
    with pytest.raises(ArgumentError, match="belongs to a cluster"):
        SearchRequest(**given)


def test_a_trial_takes_a_gpu_where_the_cluster_has_some() -> None:
    """Unless it is told how many; a trial that does without would be slow, and nobody told."""
    from types import SimpleNamespace

    from imgclf.clusters.nodes import Demand, Node

    with_gpus: Any = SimpleNamespace(nodes=[Node("1", "a", 8, 0, 1e9), Node("2", "b", 8, 4, 1e9)])
    without: Any = SimpleNamespace(nodes=with_gpus.nodes[:1])
    choice = ClusterChoice("local")
    assert choice.demand(with_gpus) == Demand(1, 1.0, int(2e9))
    assert choice.demand(without) == Demand(1, 0.0, int(2e9))
    asked = ClusterChoice("local", trial_cpus=3, trial_gpus=0.5, trial_memory_gb=0)
    assert asked.demand(with_gpus) == Demand(3, 0.5, 0)


def test_a_plain_dataset_cannot_leave_its_process(batches: Any, plugin: str) -> None:
    """With a cluster it is refused before Ray is asked for."""
    with pytest.raises(ArgumentError, match="cluster needs a folder"):
        imgclf.tune(plugin, batches[0].take(1), batches[1], cluster="local")
