"""What a server takes at the most."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgclf.arguments import whole_number
from imgclf.data.pixels.decoder import DecodingLimits
from imgclf.errors import ArgumentError
from imgclf.machine.hardware import available_processors

__all__ = ["MIB", "Limits"]

MIB = 1024**2

PIXELS_OF_A_PHOTO = 12_500_000
"""What each thread may decode at any time, beside the largest image that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a server takes at the most.

    Attributes:
        max_bytes: Bytes of a request's body.
        max_pixels: Width times height of an image, as its header states them.
        max_images: Images of a request.
        max_buffered_bytes: Bytes of all bodies that are in memory at a time.
        header_timeout_s: Seconds that a request's headers may take.
        body_timeout_s: Seconds that a request's body may take.
        concurrency: Requests that are computed at a time; by itself one for each processor.
        queue: Requests that may be read or wait besides; more are refused with 503.
        max_connections: Connections that are open at a time.

    Raises:
        ArgumentError: A number is too small.

    Example:
        >>> Limits(max_images=8).max_images
        8
    """

    max_bytes: int = 32 * MIB
    max_pixels: int = 50_000_000
    max_images: int = 64
    max_buffered_bytes: int = 128 * MIB
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    concurrency: int = field(default_factory=available_processors)
    queue: int = 64
    max_connections: int = 512

    def __post_init__(self) -> None:
        """Refuse limits that refuse everything."""
        for name in ("max_bytes", "max_pixels", "max_images", "concurrency", "max_connections"):
            whole_number(name, getattr(self, name))
        whole_number("queue", self.queue, least=0)
        for name in ("header_timeout_s", "body_timeout_s"):
            if not getattr(self, name) > 0:
                raise ArgumentError(
                    f"{name}={getattr(self, name)} is not accepted: give seconds above 0."
                )
        if self.max_buffered_bytes < self.max_bytes:
            raise ArgumentError(
                f"max_buffered_bytes={self.max_buffered_bytes} is not accepted: give at least "
                f"max_bytes={self.max_bytes}."
            )

    @property
    def decoding(self) -> DecodingLimits:
        """The decoder's limits."""
        return DecodingLimits(max_pixels=self.max_pixels, max_bytes=self.max_bytes)

    @property
    def pixels_at_a_time(self) -> int:
        """Pixels that all threads together may decode at a time."""
        return max(self.max_pixels, self.concurrency * PIXELS_OF_A_PHOTO)
