"""The tasks that a search gives its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgclf.tuning.candidates import Candidate, network_of_heads
from imgclf.tuning.trial_settings import TrialSettings

if TYPE_CHECKING:
    from imgclf.data.batches.plan import Plan
    from imgclf.tuning.datasets import DatasetPlan

__all__ = ["RefitTask", "TrialTask", "WorkerTask"]


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """What a worker needs to train a candidate; picklable.

    Attributes:
        plan: The images, with the study's own image size, batch size and augmentation.
        candidate: What is trained.
        settings: What all trials share.
        bundle: Path of the classifier's file; empty saves none.
        log: Path of the file for what the process prints.
    """

    plan: Plan | DatasetPlan
    candidate: Candidate
    settings: TrialSettings
    bundle: str
    log: str

    @property
    def shared_process(self) -> str:
        """Name of the process that runs it, after others of that name; empty for its own."""
        return ""


@dataclass(frozen=True, slots=True)
class TrialTask(WorkerTask):
    """A trial: train a candidate and measure it on the validation images.

    Attributes:
        save_from: Accuracy below which the classifier is not saved, as it would not be kept.
    """

    save_from: float = 0.0

    @property
    def shared_process(self) -> str:
        """Heads on the features of one network are fitted sooner than the network is built."""
        from imgclf.data.batches.plan import Plan  # heavy

        if not isinstance(self.plan, Plan):  # Of other data sets whole networks are trained.
            return ""
        return network_of_heads(self.settings, self.candidate)


@dataclass(frozen=True, slots=True)
class RefitTask(WorkerTask):
    """A refit: train the best candidate on training and validation images together.

    Attributes:
        seed: Seed of the initial weights.
    """

    plan: Plan
    seed: int
