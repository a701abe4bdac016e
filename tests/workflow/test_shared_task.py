"""What is asked of several machines, and what is refused before one of them works."""

from __future__ import annotations

from typing import Any

import pytest

from imgclf.clusters.nodes import Node
from imgclf.errors import ArgumentError
from imgclf.runs.settings import Settings
from imgclf.workflow.shared_task import make_request, require_shareable


@pytest.mark.parametrize(
    ("cluster", "count", "message"),
    [
        (None, 2, "train_workers=2 needs the address of a cluster"),
        ("local", 0, "train_workers=0 is not accepted"),
        ("nowhere", 2, "cluster='nowhere' is not accepted"),
    ],
)
def test_requests_are_checked(cluster: str | None, count: int, message: str) -> None:
    """A request that cannot be met is refused before the images are read."""
    with pytest.raises(ArgumentError, match=message):
        make_request(cluster, count)


def test_without_a_cluster_nothing_is_asked() -> None:
    """A training without an address stays in its process."""
    assert make_request(None, None) is None


def _of_no_package(input_shape: tuple[int, int, int], num_classes: int) -> Any:
    """An architecture that nothing registers."""
    raise AssertionError((input_shape, num_classes))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"needs the name of its network.*--arch"),
        ({"architecture": "resnet9", "budget": "5m"}, "budget works on one machine only"),
        ({"architecture": "resnet9", "learning_rate": "auto"}, "learning_rate='auto' works on one"),
        ({"architecture": "resnet9", "shrink_batch": True}, "shrink_batch works on one machine"),
        ({"architecture": "resnet9", "mlflow": True}, "mlflow works on one machine only"),
        ({"architecture": _of_no_package}, "is of no package"),
    ],
)
def test_what_workers_cannot_share_is_refused(given: dict[str, Any], message: str) -> None:
    """Each setting that works on one machine only is refused in one line that names it."""
    with pytest.raises(ArgumentError, match=message) as caught:
        require_shareable(Settings(**given))
    assert "\n" not in str(caught.value)


def test_a_named_network_may_be_shared() -> None:
    """An installed architecture with its usual settings is trained anywhere."""
    require_shareable(Settings(architecture="resnet9", epochs=3))


def test_workers_share_the_processors() -> None:
    """Workers get GPUs where all have one, and else as many processors as fit."""
    from imgclf.workflow.worker_crew import fair_share

    def nodes(*sizes: tuple[float, float]) -> list[Node]:
        return [Node(str(n), str(n), cpus, gpus, 0) for n, (cpus, gpus) in enumerate(sizes)]

    assert str(fair_share(nodes((8, 0), (4, 0)), 2)) == "4 CPU(s)"
    assert str(fair_share(nodes((8, 2), (4, 0)), 2)) == "4 CPU(s) and 1 GPU(s)"
    assert str(fair_share(nodes((8, 1), (8, 0)), 2)) == "8 CPU(s)"
    assert fair_share(nodes((1, 0)), 2) is None
    assert fair_share([], 1) is None
