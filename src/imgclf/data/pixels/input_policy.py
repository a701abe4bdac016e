"""The input policy: size, channels and resizing of every image that a network reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imgclf.errors import ArgumentError

ResizeMode = Literal["stretch", "crop", "pad"]
DataFormat = Literal["channels_last", "channels_first"]

MAX_IMAGE_SIDE = 4096
"""Largest accepted target side in pixels; beyond it a batch no longer fits any machine."""


@dataclass(frozen=True, slots=True)
class InputPolicy:
    """How every image is preprocessed, in training as in prediction.

    A classifier's file records it.

    Attributes:
        image_size: Target ``(height, width)`` in pixels, each 1 to 4096.
        channels: 3 for colour (RGB), 1 for grey.
        resize: ``"stretch"`` ignores the aspect ratio (the recipe), ``"crop"`` fills the target
            and cuts what hangs over, centred; ``"pad"`` shows all of the image on `background`.
        data_format: Order of the axes that the *network* reads. Stored pixels are always
            ``(height, width, channels)``.
        background: RGB colour, 0 to 255 each, under transparent pixels and around padding.

    Raises:
        ArgumentError: A value is none of these; the message names it.

    Example:
        >>> InputPolicy((96, 128), channels=1).input_shape
        (96, 128, 1)
    """

    image_size: tuple[int, int]
    channels: Literal[1, 3] = 3
    resize: ResizeMode = "stretch"
    data_format: DataFormat = "channels_last"
    background: tuple[int, int, int] = (255, 255, 255)

    def __post_init__(self) -> None:
        """Refuse values that no decoder could honour."""
        size = self.image_size
        is_pair = isinstance(size, tuple | list) and len(size) == len(("height", "width"))
        if not is_pair or not all(
            isinstance(side, int) and 1 <= side <= MAX_IMAGE_SIDE for side in size
        ):
            raise ArgumentError(
                f"image_size={size!r} is not accepted: give (height, width) in pixels, such as "
                f"(96, 96), each a whole number from 1 to {MAX_IMAGE_SIDE}."
            )
        if self.channels not in (1, 3):
            raise ArgumentError(
                f"channels={self.channels!r} is not accepted: give 3 for colour or 1 for grey."
            )
        if self.resize not in ("stretch", "crop", "pad"):
            raise ArgumentError(
                f"resize={self.resize!r} is not accepted: give 'stretch', 'crop' or 'pad'."
            )
        if self.data_format not in ("channels_last", "channels_first"):
            raise ArgumentError(
                f"data_format={self.data_format!r} is not accepted: "
                "give 'channels_last' or 'channels_first'."
            )
        is_colour = isinstance(self.background, tuple | list) and len(self.background) == len("RGB")
        if not is_colour or not all(level in range(256) for level in self.background):
            raise ArgumentError(
                f"background={self.background!r} is not accepted: "
                "give (red, green, blue), each 0 to 255."
            )

    @property
    def pixel_shape(self) -> tuple[int, int, int]:
        """Shape of one decoded image, ``(height, width, channels)``, uint8."""
        return (*self.image_size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one network input, in the order of `data_format`."""
        height, width = self.image_size
        if self.data_format == "channels_first":
            return (self.channels, height, width)
        return (height, width, self.channels)
