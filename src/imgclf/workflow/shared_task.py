"""What the workers of a training on several machines are told, and what they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from imgclf.arguments import whole_number
from imgclf.clusters.address import parse_address
from imgclf.errors import ArgumentError
from imgclf.runs.settings import AUTOMATIC
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imgclf.data.batches.plan import Plan
    from imgclf.runs.settings import Settings
    from imgclf.training.fit_result import FitResult

__all__ = [
    "ClusterRequest", "Event", "Listener", "Outcome", "Report", "SharedTask", "make_request",
    "require_shareable",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """Where a training is asked to run.

    Attributes:
        address: The cluster's, as `imgclf.clusters.connection.connect` takes it.
        num_workers: Workers that share each batch; None is one for each machine.
        allow_unauthenticated: Whether a cluster without a token is accepted.
    """

    address: str
    num_workers: int | None = None
    allow_unauthenticated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class SharedTask:
    """What each worker is told.

    Attributes:
        plan: The images, under the same paths on every machine.
        settings: Every choice; nothing is left open.
        split_sha256: Hash of the division, by which a worker sees that its images are the same.
        weights: The first weights.
        is_fine_tuning: Whether a pretrained network keeps its first convolutions and averages.
        checkpoint: Name and content of the newest checkpoint; None begins at the beginning.
    """

    plan: Plan
    settings: Settings
    split_sha256: str
    weights: Sequence[NDArray[Any]]
    is_fine_tuning: bool
    checkpoint: tuple[str, bytes] | None


@dataclass(frozen=True, slots=True)
class Event:
    """What happened in the first worker: the name of a Keras callback's method, and its arguments.

    Attributes:
        method: Such as ``"on_epoch_end"``.
        number: The epoch, or the batch.
        logs: The figures.
        params: What Keras tells callbacks of the training; None but where it begins.
    """

    method: str
    number: int = 0
    logs: Mapping[str, float] | None = None
    params: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """How a worker goes on.

    Attributes:
        num_batches: Batches that it has computed so far.
        events: What happened since the last report.
        checkpoint: Name and content of a checkpoint that is new since then; None without one.
    """

    num_batches: int
    events: Sequence[Event]
    checkpoint: tuple[str, bytes] | None


class Listener(Protocol):
    """Who is told how a worker goes on."""

    folder: Path
    """For its checkpoints."""

    def note(self, event: Event | None = None) -> None:
        """Hear of an event, or of a batch."""

    def is_stop_requested(self) -> bool:
        """Tell whether to stop after the current step."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """How a worker ended.

    Attributes:
        weights: Of the best epoch; empty where it failed.
        fitted: The course of the fit; None where it failed.
        error: Why it failed: an error that would come again.
        lost: Why it failed: another worker was gone, or the network.
    """

    weights: Sequence[NDArray[Any]] = ()
    fitted: FitResult | None = None
    error: Exception | None = None
    lost: str = ""


def make_request(
    cluster: str | None, train_workers: int | None, *, allow_unauthenticated: bool = False
) -> ClusterRequest | None:
    """Read the arguments that ask for a training on several machines.

    Args:
        cluster: The cluster's address; None trains in this process.
        train_workers: Number of workers, 1 or more; None is one for each machine.
        allow_unauthenticated: Whether a cluster without a token is accepted.

    Returns:
        The request, or None.

    Raises:
        ArgumentError: A value is not accepted, or `train_workers` has no cluster.
    """
    if cluster is None:
        if train_workers is not None:
            raise ArgumentError(
                f"train_workers={train_workers!r} needs the address of a cluster: give cluster "
                "(--cluster local for one of this machine alone), or leave it out."
            )
        return None
    parse_address(cluster)
    if train_workers is not None:
        train_workers = whole_number("train_workers", train_workers)
    return ClusterRequest(cluster, train_workers, allow_unauthenticated)


def require_shareable(settings: Settings, *, has_callbacks: bool = False) -> None:
    """Refuse what several workers cannot do together.

    Args:
        settings: Every choice, as it was given.
        has_callbacks: Whether Keras callbacks were given.

    Raises:
        ArgumentError: Names the setting, and what to give instead.
    """
    if settings.architecture == AUTOMATIC:
        raise ArgumentError(
            "A training on a cluster needs the name of its network, because auto tries several on "
            "one machine: give architecture (--arch), such as resnet9."
        )
    architecture = load_architecture(settings.architecture)
    if architecture.registration is None:
        raise ArgumentError(
            f"The architecture function {architecture.name!r} is of no package, so the workers "
            "cannot find it: make it one and install it on every machine (imgclf architectures "
            "new)."
        )
    refused = {
        "budget": (settings.budget is not None, "give epochs"),
        "learning_rate='auto'": (settings.learning_rate == "auto", "give a number"),
        "shrink_batch": (settings.shrink_batch, "give a smaller batch_size"),
        "deterministic": (settings.deterministic, "leave it out"),
        "tensorboard": (settings.tensorboard, "leave it out"),
        "mlflow": (settings.mlflow, "leave it out"),
        "callbacks": (has_callbacks, "leave them out"),
    }
    for name, (is_given, remedy) in refused.items():
        if is_given:
            raise ArgumentError(
                f"{name} works on one machine only: {remedy}, or train without a cluster."
            )
