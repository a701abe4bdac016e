"""The contract of a network that an engine executes: uint8 images in, float32 arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from imgclf.errors import ArgumentError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["AnswerNetwork", "Network", "require_images"]


class Network(Protocol):
    """A network that is ready to run.

    It may be called from several threads at once. An image gives the same figures whatever lies
    beside it in the batch, and whatever the number of threads.
    """

    def __call__(self, images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Run images through the network.

        Args:
            images: uint8 ``(batch, height, width, channels)``, 0..255, whatever the order of the
                axes that the Keras network reads; any number of them.

        Returns:
            The outputs in the network's order, each float32 ``(batch, ...)``.

        Raises:
            ArgumentError: The images are not of the type or size that the network reads.
            EngineError: The engine cannot run the network.
        """
        ...


class AnswerNetwork(Network, Protocol):
    """A network whose outputs are one row an image: probabilities, then pooled features."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(height, width, channels)`` of the images that it reads."""

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """Values of an image in each output."""


def require_images(images: NDArray[np.uint8], image_shape: tuple[int, int, int]) -> None:
    """Refuse what is no batch of images of one size.

    Args:
        images: What a network was called with.
        image_shape: ``(height, width, channels)`` that it reads.

    Raises:
        ArgumentError: The images are of another type or shape.
    """
    if str(images.dtype) != "uint8" or images.shape[1:] != image_shape:
        raise ArgumentError(
            f"Images of type {images.dtype} and shape {images.shape} are not accepted: "
            f"give uint8 (batch, height, width, channels), each image {image_shape}."
        )
