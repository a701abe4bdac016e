"""Makes src/imgclf/data/demo/fashion_mnist.zip from Debian's package dataset-fashion-mnist.

Usage: python tools/make_demo_images.py

Takes the first images of each class: 170 of the training part and 40 of the test part, so that the
result is the same each time. The images come from Fashion-MNIST (Xiao, Rasul and Vollgraf 2017,
arXiv:1708.07747; Copyright 2017 Zalando SE, MIT licence).
"""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

SOURCE = Path("/usr/share/datasets/fashion-mnist")
TARGET = Path(__file__).parents[1] / "src/imgclf/data/demo/fashion_mnist.zip"
CLASS_NAMES = (
    "t-shirt", "trouser", "pullover", "dress", "coat",
    "sandal", "shirt", "sneaker", "bag", "ankle-boot",
)  # fmt: skip
PARTS = {"train": ("train", 170), "test": ("t10k", 40)}


def main() -> None:
    """Write the archive."""
    with zipfile.ZipFile(TARGET, "w") as archive:
        for split, (prefix, count) in PARTS.items():
            images, labels = read_part(prefix)
            for label, name in enumerate(CLASS_NAMES):
                for number, image in enumerate(images[labels == label][:count]):
                    png = io.BytesIO()
                    Image.fromarray(image).save(png, "PNG", optimize=True)
                    # A fixed date: the same images always give the same archive.
                    entry = zipfile.ZipInfo(
                        f"{split}/{name}/{number:03}.png", (2017, 8, 25, 0, 0, 0)
                    )
                    archive.writestr(entry, png.getvalue())


def read_part(prefix: str) -> tuple[np.ndarray, np.ndarray]:
    """Read images ``(num_images, 28, 28)`` and labels ``(num_images,)`` from the IDX files."""
    pixels = gzip.decompress((SOURCE / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((SOURCE / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
    return np.frombuffer(pixels, np.uint8).reshape(-1, 28, 28), np.frombuffer(labels, np.uint8)


if __name__ == "__main__":
    main()
