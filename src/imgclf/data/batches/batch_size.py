"""How many images a batch has where nothing is said."""

from __future__ import annotations

__all__ = ["usual_batch_size"]


def usual_batch_size(num_images: int) -> int:
    """Return how many images a batch has where nothing is said.

    Args:
        num_images: Training images, about.

    Returns:
        16 up to 2,000 images, and twice as many for each four times as many images, 128 at most.

    Example:
        >>> usual_batch_size(1_000), usual_batch_size(50_000)
        (16, 128)
    """
    size = 16
    while size < 128 and num_images > 2_000 * (size // 16) ** 2:
        size *= 2
    return size
