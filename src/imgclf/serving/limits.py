"""What a server takes at the most."""

from __future__ import annotations

from dataclasses import dataclass, field

from imgclf.data.pixels.decoder import DecodingLimits
from imgclf.machine.hardware import available_processors

__all__ = ["Limits"]

MIB = 1024**2


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
        concurrency: Requests that are computed at a time.
        queue: Requests that may wait for that; more are refused with 503.
        max_connections: Connections that are open at a time.
    """

    max_bytes: int = 32 * MIB
    max_pixels: int = 50_000_000
    max_images: int = 64
    max_buffered_bytes: int = 256 * MIB
    header_timeout_s: float = 10.0
    body_timeout_s: float = 30.0
    concurrency: int = field(default_factory=available_processors)
    queue: int = 64
    max_connections: int = 512

    @property
    def decoding(self) -> DecodingLimits:
        """The decoder's limits."""
        return DecodingLimits(max_pixels=self.max_pixels, max_bytes=self.max_bytes)
