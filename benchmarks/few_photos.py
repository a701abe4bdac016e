"""Accuracy of a head on a pretrained network, by the number of photos that it learned from.

Usage: python benchmarks/few_photos.py TRAIN_DIR TEST_DIR [--counts 5,10,20,50,100] [--draws 10]
           [--image-size 224] [--architecture efficientnet_lite] [--scratch SECONDS]

TRAIN_DIR and TEST_DIR hold class folders. For each count, that many photos of every class are
drawn, several times; a head is solved for on their features, with no validation images to choose
anything by, and measured on all photos of TEST_DIR. Printed is the mean over the draws, with the
lowest and the highest; last stands the figure for all photos of TRAIN_DIR.

With --scratch, `resnet9` is trained from random weights on the first draw of each count, with that
budget, and measured on the same photos: the other road.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import imgclf
from imgclf.data.batches.dataset import Batches
from imgclf.training.convex_head import fit_convex_head, measure_head
from imgclf.training.frozen_features import compute_features, divide_network


def main() -> None:
    """Compute the features once, then draw, solve and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("train_dir", type=Path)
    parser.add_argument("test_dir", type=Path)
    parser.add_argument("--counts", default="5,10,20,50,100")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--architecture", default="efficientnet_lite")
    parser.add_argument("--scratch", type=float)
    arguments = parser.parse_args()
    train, test = imgclf.make_generators(
        arguments.train_dir, arguments.test_dir, image_size=(arguments.image_size,) * 2
    )
    model = imgclf.build_model(arguments.architecture, train.input_shape, train.num_classes)
    frozen = divide_network(model).frozen
    features, test_features = (compute_features(frozen, one) for one in (train, test))
    print(f"{train.num_samples} photos to draw from, {test.num_samples} to be named", flush=True)
    for count in (int(text) for text in arguments.counts.split(",")):
        drawn = [draw(train.labels, count, seed) for seed in range(arguments.draws)]
        found = [
            accuracy(features[rows], train.labels[rows], test_features, test) for rows in drawn
        ]
        line = f"{count:4d} a class: {np.mean(found):.1%} ({min(found):.1%} to {max(found):.1%})"
        if arguments.scratch:
            files = [train.file_paths[row] for row in drawn[0]]
            reached = from_scratch(files, arguments.test_dir, arguments.scratch)
            line += f"; resnet9 from random weights {reached:.1%}"
        print(line, flush=True)
    print(f"all: {accuracy(features, train.labels, test_features, test):.1%}")


def draw(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Draw rows, as many of each class."""
    generator = np.random.default_rng(seed)
    chosen = [
        generator.permutation(np.flatnonzero(labels == label))[:count]
        for label in np.unique(labels)
    ]
    return np.sort(np.concatenate(chosen))


def accuracy(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    test_features: NDArray[np.float32],
    test: Batches,
) -> float:
    """Solve for a head and measure it."""
    head = fit_convex_head(features, labels, num_classes=test.num_classes)
    return measure_head(head, test_features, test.labels)[1]


def from_scratch(files: list[str], test_dir: Path, seconds: float) -> float:
    """Train on copies of some files; a part of them is held out to choose the epoch."""
    with tempfile.TemporaryDirectory() as folder:
        for number, file in enumerate(files):
            place = Path(folder) / Path(file).parent.name
            place.mkdir(exist_ok=True)
            shutil.copy(file, place / f"{number}{Path(file).suffix}")
        clf = imgclf.train(
            folder,
            test_dir=test_dir,
            architecture="resnet9",
            budget=seconds,
            run_dir=None,
            verbose=0,
        )
    assert clf.figures is not None
    return clf.figures.accuracy


if __name__ == "__main__":
    main()
