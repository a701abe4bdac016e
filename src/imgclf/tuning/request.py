"""What is asked of a search, checked without images and without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.arguments import checked_path, whole_number
from imgclf.errors import ArgumentError
from imgclf.options import Value
from imgclf.runs.phases import trains_a_head_first
from imgclf.runs.setting_kinds import DurationKind
from imgclf.runs.settings import AUTOMATIC, PRETRAINED, Settings, check_names
from imgclf.tuning.dimensions import HEAD_NAMES
from imgclf.tuning.pool import ClusterChoice, WorkerPool, open_pool
from imgclf.tuning.proposals import Strategy, require_strategy
from imgclf.tuning.search_spec import SearchLimits, SearchSpec
from imgclf.tuning.space import Space, listed_architectures, make_space
from imgclf.tuning.trial_settings import NOT_IN_TRIALS, TrialSettings
from imgclf.zoo.registry import load_architecture
from imgclf.zoo.travelling import TravellingFunction, travelling_function

if TYPE_CHECKING:
    from imgclf.clusters.connection import Cluster
    from imgclf.data.batches.image_data import ImageData
    from imgclf.tuning.study import Study

__all__ = ["SearchObserver", "SearchRequest"]


@dataclass(frozen=True, slots=True)
class SearchObserver:
    """Callbacks of a search; each does nothing by default.

    Attributes:
        loading: Called before TensorFlow is loaded, which takes seconds.
        connected: Called with the cluster, and with the number of trials that it has room for.
        scanning: Called with the number of files done and in all.
        scanned: Called with the images once they are known.
        opened: Called with the study as soon as it is open.
        verbose: Whether the progress is drawn on standard error.
    """

    loading: Callable[[], None] = lambda: None
    connected: Callable[[Cluster, int], None] = lambda _cluster, _room: None
    scanning: Callable[[int, int], None] | None = None
    scanned: Callable[[ImageData], None] = lambda _data: None
    opened: Callable[[Study], None] = lambda _study: None
    verbose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What is searched, and how; `imgclf.tune` says what each of it means.

    Raises:
        OptionError: A name cannot be searched.
        ArgumentError: A value is not accepted.
    """

    architecture: str | Callable[..., Any] | Sequence[str | Callable[..., Any]] = AUTOMATIC
    max_trials: int = 20
    trial_epochs: int = 10
    strategy: Strategy = "random"
    tune: Sequence[str] | None = None
    space: Mapping[str, str | Sequence[Value]] | None = None
    budget: float | str | None = None
    executions: int = 1
    max_parameters: int | None = None
    workers: int | None = None
    study_dir: str | os.PathLike[str] | None = None
    resume: bool = False
    fresh: bool = False
    keep: int = 3
    refit: int = 0
    tensorboard: bool = False
    cluster: str | None = None
    trial_cpus: int | None = None
    trial_gpus: float | None = None
    trial_memory_gb: float | None = None
    allow_unauthenticated: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can be refused without images and without TensorFlow."""
        for name in sorted(NOT_IN_TRIALS & set(self.given)):
            hint = ": give trial_epochs" if name == "epochs" else ""
            raise ArgumentError(f"{name}={self.given[name]!r} is not a setting of trials{hint}.")
        check_names(self.given, *self.__dataclass_fields__)
        whole_number("trial_epochs", self.trial_epochs)
        if self.workers is not None:
            whole_number("workers", self.workers)
        whole_number("refit", self.refit, 0)
        if self.study_dir is not None:
            checked_path("study_dir", self.study_dir)
        require_strategy(self.strategy)
        self._limits()
        TrialSettings(self.settings, self.executions, self.max_parameters)
        self._space(None)
        cluster, functions = self._cluster, self._functions()
        if functions and cluster.address not in (None, "local"):
            raise ArgumentError(
                f"The architecture function {next(iter(functions))!r} of no package cannot "
                "travel to other machines: leave cluster out, or make it a package: "
                "imgclf architectures new."
            )

    @property
    def architectures(self) -> tuple[str | Callable[..., Any], ...]:
        """Names of the architectures, and functions of no package."""
        return tuple(listed_architectures(self._asked))

    @property
    def settings(self) -> Settings:
        """Settings of the trials; what is not given is left to the recipe."""
        own = {"fine_tune_epochs": 0} if self.architecture == AUTOMATIC else {}
        return Settings(
            architecture=self.architectures[0],
            epochs=self.trial_epochs,
            **{**own, **self.given},
        )

    @property
    def _asked(self) -> str | Callable[..., Any] | Sequence[str | Callable[..., Any]]:
        """The architectures; ``auto`` searches the head of the pretrained network."""
        return PRETRAINED if self.architecture == AUTOMATIC else self.architecture

    @property
    def _searched(self) -> Sequence[str] | None:
        """Names that are searched; None takes the learning rate and what architectures declare."""
        if self.tune is not None:
            return self.tune
        settings = self.settings
        heads_only = settings.fine_tune_epochs == 0 and settings.two_phase is not False
        if heads_only and all(trains_a_head_first(settings, one) for one in self.architectures):
            return HEAD_NAMES
        return None

    def spec(self, settings: Settings) -> SearchSpec:
        """Return the description of the search.

        Args:
            settings: `settings`, with nothing left open.
        """
        return SearchSpec(
            self._space(settings.learning_rate),
            self.strategy,
            TrialSettings(
                # Functions travel on their own; the name stands for one of them.
                replace(settings, architecture=load_architecture(self.architectures[0]).name),
                self.executions,
                self.max_parameters,
                self._functions(),
            ),
            self._limits(),
            None if self.study_dir is None else Path(self.study_dir),
            self.resume,
            self.fresh,
            self.refit,
            self.tensorboard,
        )

    def open_pool(self, observer: SearchObserver) -> AbstractContextManager[WorkerPool]:
        """Start the workers, which load TensorFlow on their own, and end them."""
        return open_pool(self.workers, self._cluster, on_connected=observer.connected)

    @property
    def _cluster(self) -> ClusterChoice:
        return ClusterChoice(
            self.cluster,
            self.allow_unauthenticated,
            self.trial_cpus,
            self.trial_gpus,
            self.trial_memory_gb,
        )

    def _functions(self) -> dict[str, TravellingFunction]:
        """Return where the trials find architectures of no package, by name."""
        found = (travelling_function(item) for item in self.architectures if callable(item))
        return {item.name: item for item in found}

    def _space(self, learning_rate: object) -> Space:
        """Return the space around a rate; what is no number leaves it to the optimizer."""
        rate = {"learning_rate": learning_rate} if isinstance(learning_rate, float) else {}
        return make_space(self._asked, tune=self._searched, space=self.space, **rate)

    def _limits(self) -> SearchLimits:
        try:
            budget_s = None if self.budget is None else DurationKind().checked(self.budget)
        except ValueError:
            raise ArgumentError(
                f"budget={self.budget!r} is not accepted: give {DurationKind().accepted}."
            ) from None
        return SearchLimits(self.max_trials, budget_s, self.keep)
