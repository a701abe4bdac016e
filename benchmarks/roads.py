"""Whether `auto` is as good as the better of its two roads, set by set.

Usage: python benchmarks/roads.py [DIR ...] [--budget 3m] [--seed 0] [--no-drawings]

Each DIR holds train/ and test/ (or val/, which is then used for testing). A set of 2,000 drawings
in the modes of PNG files, which this script makes, comes last. On each set three trainings have the
same budget, each in a process of its own with an empty cache: `auto`, the pretrained network
alone, and a network from random weights alone (`airnet` for many small images, else `resnet9`).
Printed are the accuracies on the test images, which choose nothing, and whether `auto` falls behind
the better road by more than the noise of the validation images that it chose by: two standard
errors of a share of as many images.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from imgclf.data.reading.layout import find_images
from imgclf.workflow.candidate_plans import MANY_SMALL_IMAGES, SMALL_SIDE

SHAPES = ("circle", "cross", "ring", "square", "star", "stripes", "triangle", "wave")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
POLYGONS = {"square": (1.0,) * 4, "star": (1.0, 0.4) * 5, "triangle": (1.0,) * 3}
"""Distance of each corner from the middle, as a share of the radius."""

SIDE = 32
DRAWINGS = 2_000


class Run(NamedTuple):
    """What a training reached."""

    test_accuracy: float
    val_images: int
    seconds: float


def main() -> None:
    """Train on every set in three ways, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-drawings", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = list(arguments.folders)
        if not arguments.no_drawings:
            folders.append(make_drawings(Path(scratch) / "drawings"))
        for folder in folders:
            compare(folder, arguments.budget, arguments.seed)


def compare(folder: Path, budget: str, seed: int) -> None:
    """Train on one set in three ways and say whether `auto` keeps up."""
    small = scratch_network(folder / "train")
    auto, *roads = (
        run(folder, name, budget, seed) for name in ("auto", "efficientnet_lite", small)
    )
    best = max(one.test_accuracy for one in roads)
    noise = 2 * math.sqrt(best * (1 - best) / auto.val_images)
    kept = "kept" if auto.test_accuracy >= best - noise else "NOT KEPT"
    print(
        f"{folder.name}: auto {auto.test_accuracy:.1%} in {auto.seconds:.0f} s; pretrained "
        f"{roads[0].test_accuracy:.1%}; {small} {roads[1].test_accuracy:.1%}; noise {noise:.1%} "
        f"of {auto.val_images} validation images: {kept}",
        flush=True,
    )


def scratch_network(train_dir: Path) -> str:
    """Choose the network from random weights as `auto` does."""
    paths = list(find_images(train_dir))
    if len(paths) < MANY_SMALL_IMAGES:
        return "resnet9"
    sizes = []
    for path in paths[:: len(paths) // 50]:
        with Image.open(path) as image:
            sizes.append(min(image.size))
    return "airnet" if np.median(sizes) <= SMALL_SIDE else "resnet9"


def run(folder: Path, name: str, budget: str, seed: int) -> Run:
    """Run one training from the command to its end."""
    test_dir = next(folder / one for one in ("test", "val") if (folder / one).is_dir())
    with tempfile.TemporaryDirectory() as scratch:
        run_dir = Path(scratch) / "run"
        command: Sequence[str | Path] = [
            sys.executable, "-m", "imgclf", "train", folder / "train", "--test", test_dir,
            "--arch", name, "--budget", budget, "--seed", str(seed), "--run-dir", run_dir,
        ]  # fmt: skip
        began_s = time.monotonic()
        subprocess.run(  # noqa: S603 - our own
            command, check=True, stdout=subprocess.DEVNULL,
            env={**os.environ, "IMGCLF_CACHE_DIR": f"{scratch}/cache"},
        )  # fmt: skip
        seconds = time.monotonic() - began_s
        record: dict[str, Any] = json.loads((run_dir / "record.json").read_text(encoding="utf-8"))
        val_images = len((run_dir / "validation.csv").read_text(encoding="utf-8").splitlines()) - 1
    return Run(record["evaluation"]["accuracy"], val_images, seconds)


def make_drawings(target: Path) -> Path:
    """Draw shapes of random place, size and colours, in every mode that PNG files have."""
    generator = np.random.default_rng(0)
    for number in range(DRAWINGS):
        shape = SHAPES[number % len(SHAPES)]
        split = "train" if number < DRAWINGS * 3 // 4 else "test"
        path = target / split / shape / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = draw(shape, generator)
        mode = MODES[generator.integers(len(MODES))]
        if mode == "I;16":
            grey = np.asarray(picture.convert("L"), np.uint16) * 257
            Image.fromarray(grey).save(path)
        else:
            picture.convert(mode).save(path)
    return target


def draw(shape: str, generator: np.random.Generator) -> Image.Image:
    """Draw one shape on a ground with a gradient and noise."""
    ground, colour = generator.integers(0, 256, (2, 3))
    while np.abs(ground - colour).sum() < 150:
        colour = generator.integers(0, 256, 3)
    slope = np.linspace(0, 1, SIDE)[:, None, None] * generator.integers(-60, 61, 3)
    noise = generator.normal(0, 8, (SIDE, SIDE, 3))
    pixels = np.broadcast_to(ground, (SIDE, SIDE, 3)) + slope + noise
    picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    radius = generator.uniform(6, 13)
    x, y = generator.uniform(radius, SIDE - radius, 2)
    ink = tuple(int(value) for value in colour)
    turn = generator.uniform(0, 2 * math.pi)
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape in ("circle", "ring"):
        filled = shape == "circle"
        pen.ellipse(box, fill=ink if filled else None, outline=ink, width=max(2, int(radius / 4)))
    elif shape in POLYGONS:
        pen.polygon(corners(x, y, [radius * share for share in POLYGONS[shape]], turn), fill=ink)
    else:
        for line in lines_of(shape, x, y, radius, turn):
            pen.line(line, fill=ink, width=2)
    return picture


def lines_of(
    shape: str, x: float, y: float, radius: float, turn: float
) -> list[list[tuple[float, float]]]:
    """Return the lines that make up a shape."""
    if shape == "cross":
        ends = corners(x, y, [radius] * 4, turn)
        return [[ends[0], ends[2]], [ends[1], ends[3]]]
    if shape == "stripes":
        heights = [y + offset for offset in np.arange(-radius, radius, 4)]
        return [[(x - radius, height), (x + radius, height)] for height in heights]
    steps = np.linspace(-radius, radius, 24)
    return [[(x + one, y + radius / 2 * math.sin(one * 0.8 + turn)) for one in steps]]


def corners(x: float, y: float, radii: Sequence[float], turn: float) -> list[tuple[float, float]]:
    """Return the corners of a figure around a point, one for each radius."""
    angles = [turn + 2 * math.pi * number / len(radii) for number in range(len(radii))]
    pairs = zip(angles, radii, strict=True)
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle, radius in pairs]


if __name__ == "__main__":
    main()
