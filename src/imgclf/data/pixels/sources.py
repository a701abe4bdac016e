"""The sources of a prediction: paths, folders, bytes or arrays, decoded in threads."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.data.pixels.decoder import Source, decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import find_images, is_collection
from imgclf.errors import ArgumentError, DataError, DataNotFoundError, ImageError, ImgclfError
from imgclf.machine.hardware import available_processors

__all__ = ["as_missing", "decode_sources", "expand_sources", "path_of"]

DECODE_AT_ONCE = 64
"""Images decoded at a time, ahead of the network."""

_logger = logging.getLogger(__name__)


def expand_sources(images: Source | Iterable[Source]) -> Iterator[Source]:
    """Yield single images, each when it is asked for: a folder gives its files, a batch its images.

    Args:
        images: A path, a folder, bytes, an open file, a PIL image, an array or tensor, uint8
            ``(height, width, channels)`` or ``(batch, height, width, channels)``, or any iterable
            of these.

    Yields:
        The images, none of them opened yet.

    Raises:
        DataError: A folder holds no image.
        ArgumentError: Something is none of these.
    """
    single = _as_single(images)
    if single is not None:
        yield single
    elif isinstance(images, (str, os.PathLike)):
        paths = find_images(images)
        if not paths:
            raise DataError(f"The folder {os.fspath(images)} has no image in it or below.")
        yield from paths
    elif hasattr(images, "__array__"):
        yield from np.asarray(images)
    else:
        for item in cast("Iterable[Source]", images):
            yield from expand_sources(item)


def _as_single(images: Any) -> Source | None:
    """Return what is one image; None for what holds several, an error for what is none."""
    if isinstance(images, (str, os.PathLike)):
        return None if is_collection(images) else images
    if isinstance(images, (bytes, bytearray, memoryview, Image.Image)):
        return images
    if hasattr(images, "element_spec"):
        raise ArgumentError(
            f"{type(images).__name__} is a dataset, not images: give imgclf.evaluate the batches, "
            "or predict_pixels their pixels(), or predict the paths."
        )
    if hasattr(images, "__array__"):  # NumPy's arrays, and tensors of any library
        return None if np.ndim(images) == 4 else np.asarray(images)
    if hasattr(images, "read"):
        return cast("IO[bytes]", images)
    if isinstance(images, Iterable) and not isinstance(images, Mapping):
        return None
    raise ArgumentError(
        f"{type(images).__name__} is not an image: give a path, a folder, bytes, a PIL image, "
        "an array or an iterable of these."
    )


def decode_sources(
    sources: Iterable[Source], policy: InputPolicy, kept: list[int], *, strict: bool
) -> Iterator[NDArray[np.uint8]]:
    """Decode images in threads, a chunk ahead of the consumer.

    Args:
        sources: Single images.
        policy: Size and channels.
        kept: Filled with the place of each decoded image among `sources`.
        strict: Raise at the first image that cannot be decoded; False names it in a log warning.

    Yields:
        uint8 ``(batch, height, width, channels)``.

    Raises:
        DataNotFoundError: A path does not exist and `strict` is set.
        ImageError: An image cannot be decoded and `strict` is set.
    """
    place = -1
    with ThreadPoolExecutor(available_processors()) as pool:
        for chunk in _chunks(sources):
            pixels = []
            futures = [pool.submit(decode, source, policy) for source in chunk]
            for future in futures:
                place += 1
                try:
                    pixels.append(future.result())
                except ImageError as error:
                    if strict:
                        raise as_missing(error) from error
                    _logger.warning("Left out: %s", error)
                    continue
                kept.append(place)
            if pixels:
                yield np.stack(pixels)


def path_of(source: Source) -> str | None:
    """Return the path of an image that was given as one; None for any other."""
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else None


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
