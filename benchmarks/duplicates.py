"""How many planted copies are kept on one side of a split.

Usage: python benchmarks/duplicates.py FOLDER [--images 1000] [--copies 200] [--image-size 96]

FOLDER is one of class folders. Of the chosen images, `--copies` are copied in four ways: the same
file, saved again as JPEG at quality 75, made half as large, mirrored. Printed is for each way how
many copies are found with their originals, at the distance that divides a folder and at the one
that names copies for certain; and how many other pairs are merged, which are to be looked at.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from imgclf.data.division.duplicates import SAME_PICTURE, SIMILAR_PICTURE, group_copies
from imgclf.data.pixels.decoder import decode_with_facts
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.signatures import SIGNATURE_BYTES, sign
from imgclf.data.reading.layout import read_folder

WAYS: dict[str, Callable[[bytes], bytes]] = {
    "identical": lambda content: content,
    "quality 75": lambda content: save(open_image(content)),
    "half size": lambda content: save(halved(open_image(content)), quality=90),
    "mirrored": lambda content: save(ImageOps.mirror(open_image(content)), quality=90),
}


def main() -> None:
    """Plant, search, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=200)
    parser.add_argument("--image-size", type=int, default=96)
    arguments = parser.parse_args()
    folder = read_folder(arguments.folder, min_classes=1)
    chosen = np.random.default_rng(0).permutation(len(folder.files))[: arguments.images]
    paths = [folder.absolute(folder.files[index]) for index in chosen]
    policy = InputPolicy((arguments.image_size, arguments.image_size))
    contents = [Path(path).read_bytes() for path in paths]
    originals = [sign(decode_with_facts(content, policy).image) for content in contents]
    copies = {
        way: [
            sign(decode_with_facts(change(content), policy).image)
            for content in contents[: arguments.copies]
        ]
        for way, change in WAYS.items()
    }
    print(f"{arguments.folder}: {len(paths)} images, {arguments.copies} copies of each kind")
    for name, distance in (("division", SIMILAR_PICTURE), ("certain", SAME_PICTURE)):
        for way, planted in copies.items():
            groups = find(originals + planted, distance)
            found = (groups[: arguments.copies] == groups[len(paths) :]).sum()
            print(f"{name:<9} {distance:.2f}  {way:<11} {found:4} of {arguments.copies}")
        sizes = Counter(find(originals, distance).tolist()).values()
        print(f"{name:<9} {distance:.2f}  originals merged with each other: "
              f"{sum(size - 1 for size in sizes)}")  # fmt: skip


def find(signatures: list[bytes], distance: float) -> np.ndarray:
    """Group signatures."""
    found = np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES)
    return group_copies(found, distance)


def open_image(content: bytes) -> Image.Image:
    """Open a file's content."""
    return Image.open(io.BytesIO(content)).convert("RGB")


def halved(image: Image.Image) -> Image.Image:
    """Make an image half as wide and half as high."""
    return image.resize((max(1, image.width // 2), max(1, image.height // 2)))


def save(image: Image.Image, quality: int = 75) -> bytes:
    """Save as JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


if __name__ == "__main__":
    main()
