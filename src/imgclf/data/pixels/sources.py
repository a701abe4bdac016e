"""The sources of a prediction: paths, folders, bytes or arrays, decoded in threads."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.data.pixels.decoder import Source, decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import find_images, is_collection
from imgclf.errors import ArgumentError, DataError, DataNotFoundError, ImageError, ImgclfError
from imgclf.machine.hardware import available_processors

__all__ = ["as_missing", "decode_sources", "expand_sources"]

DECODE_AT_ONCE = 64
"""Images decoded at a time, ahead of the network."""

_logger = logging.getLogger(__name__)


def expand_sources(images: Source | Sequence[Source]) -> Sequence[Source]:
    """Return single images: a folder becomes its files, a batch of pixels its images.

    Args:
        images: A path, a folder, bytes, an open file, a PIL image, an array, uint8 ``(height,
            width, channels)`` or ``(batch, height, width, channels)``, or a list of these.

    Returns:
        The images, none of them opened yet.

    Raises:
        DataError: A folder holds no image.
        ArgumentError: Something is none of these.
    """
    if isinstance(images, (list, tuple)):
        return [single for item in images for single in expand_sources(item)]
    if isinstance(images, np.ndarray) and images.ndim == 4:
        return list(images)
    if isinstance(images, (str, os.PathLike)) and is_collection(images):
        paths = find_images(images)
        if not paths:
            raise DataError(f"The folder {os.fspath(images)} has no image in it or below.")
        return list(paths)
    if isinstance(images, (str, os.PathLike, bytes, np.ndarray, Image.Image)):
        return [images]
    if hasattr(images, "read"):
        return [cast("IO[bytes]", images)]
    raise ArgumentError(
        f"{type(images).__name__} is not an image: give a path, a folder, bytes, a PIL image, "
        "an array or a list of these."
    )


def decode_sources(
    sources: Iterable[Source], policy: InputPolicy, kept: list[str | None], *, strict: bool
) -> Iterator[NDArray[np.uint8]]:
    """Decode images in threads, a chunk ahead of the consumer.

    Args:
        sources: Single images.
        policy: Size and channels.
        kept: Filled with the path of each decoded image; None for one without a path.
        strict: Raise at the first image that cannot be decoded; False names it in a log warning.

    Yields:
        uint8 ``(batch, height, width, channels)``.

    Raises:
        DataNotFoundError: A path does not exist and `strict` is set.
        ImageError: An image cannot be decoded and `strict` is set.
    """
    with ThreadPoolExecutor(available_processors()) as pool:
        for chunk in _chunks(sources):
            pixels = []
            futures = [pool.submit(decode, source, policy) for source in chunk]
            for source, future in zip(chunk, futures, strict=True):
                try:
                    pixels.append(future.result())
                except ImageError as error:
                    if strict:
                        raise as_missing(error) from error
                    _logger.warning("Left out: %s", error)
                    continue
                is_path = isinstance(source, (str, os.PathLike))
                kept.append(os.fspath(source) if is_path else None)  # type: ignore[arg-type]
            if pixels:
                yield np.stack(pixels)


def _chunks(sources: Iterable[Source]) -> Iterator[list[Source]]:
    chunk: list[Source] = []
    for source in sources:
        chunk.append(source)
        if len(chunk) == DECODE_AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def as_missing(error: ImageError) -> ImgclfError:
    """Turn a ``not_found`` error into a `DataNotFoundError`; return others as they are."""
    return DataNotFoundError(str(error)) if error.reason == "not_found" else error
