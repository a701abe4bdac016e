"""A Keras network that is built when somebody asks for it: answering does not need it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

__all__ = ["LazyModel"]


class LazyModel:
    """Holds a network, or what builds it; several threads may ask.

    Args:
        model: The network.
        build: Builds it, where it is not given; called once. What it raises is raised each time
            that somebody asks.
    """

    def __init__(
        self, model: keras.Model | None = None, build: Callable[[], keras.Model] | None = None
    ) -> None:
        if (model is None) == (build is None):
            raise TypeError("give either a model or what builds it")
        self._model = model
        self._build = build
        self._lock = threading.Lock()

    @property
    def is_built(self) -> bool:
        """Whether the network is there."""
        return self._model is not None

    @property
    def model(self) -> keras.Model:
        """The network; the first call may take seconds."""
        with self._lock:
            if self._model is None:
                assert self._build is not None
                self._model = self._build()
            return self._model
