"""What the routes of a server share: its classifiers, its limits, and threads that compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
import anyio.to_thread

from imgclf.serving.limits import Limits
from imgclf.serving.served_classifiers import ServedClassifiers

__all__ = ["Service"]

Result = TypeVar("Result")


@dataclass
class Service:
    """What the routes of a server share.

    A request finds it as ``request.app.state.service``.

    Attributes:
        classifiers: What answers.
        limits: What it takes at the most.
    """

    classifiers: ServedClassifiers
    limits: Limits = field(default_factory=Limits)
    _threads: anyio.CapacityLimiter | None = None

    async def compute(self, work: Callable[[], Result]) -> Result:
        """Run something that takes time in a thread, when its turn has come.

        Args:
            work: What to do.

        Returns:
            What it returned; what it raises is raised.
        """
        if self._threads is None:
            self._threads = anyio.CapacityLimiter(self.limits.concurrency)
        return await anyio.to_thread.run_sync(work, limiter=self._threads)
