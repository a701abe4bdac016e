"""What the routes of a server share: its classifiers, its limits, and threads that compute."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from imgclf.serving.limits import Limits
from imgclf.serving.metrics import Metrics
from imgclf.serving.pixel_budget import PixelBudget, stated_pixels
from imgclf.serving.served_classifiers import ServedClassifiers

__all__ = ["Service"]

Result = TypeVar("Result")


@dataclass(eq=False)
class Service:
    """What the routes of a server share; a request finds it as ``request.app.state.service``.

    Attributes:
        classifiers: What answers.
        limits: What it takes at the most.
        stopping: Whether it answers its last requests; connections are closed after each.
        metrics: What is counted.
    """

    classifiers: ServedClassifiers
    limits: Limits = field(default_factory=Limits)
    stopping: bool = False
    metrics: Metrics = field(default_factory=Metrics)

    async def compute(self, work: Callable[[], Result]) -> Result:
        """Run something that takes time in a thread, when its turn has come.

        Args:
            work: What to do.

        Returns:
            What it returned; what it raises is raised.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def room_for(self, content: bytes) -> AbstractContextManager[None]:
        """Wait until there is room to decode an image, and keep it; for a thread of `compute`.

        Args:
            content: The image's file.
        """
        return self.pixel_budget.taken(stated_pixels(content, self.limits.max_pixels))

    @functools.cached_property
    def pixel_budget(self) -> PixelBudget:
        """What all threads together may decode at a time."""
        return PixelBudget(self.limits.pixels_at_a_time)

    @functools.cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.limits.concurrency, thread_name_prefix="imgclf-answers")
