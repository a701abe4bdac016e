"""Whether a training has two phases; light, so that a search can ask before anything is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgclf.options import is_pretrained
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from collections.abc import Callable

    from imgclf.runs.settings import Settings

__all__ = ["trains_a_head_first"]


def trains_a_head_first(
    settings: Settings, architecture: str | Callable[..., Any] | None = None
) -> bool:
    """Tell whether a network will be trained in two phases, its head first.

    Args:
        settings: The settings.
        architecture: Another network than theirs, with its default options.

    Returns:
        The answer.
    """
    if settings.two_phase is not None:
        return settings.two_phase
    name = architecture or settings.architecture
    options = settings.options if architecture is None else {}
    return is_pretrained(load_architecture(name).options, options)
