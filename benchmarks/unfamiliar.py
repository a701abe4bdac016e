"""How many images of classes that a classifier never saw does it flag as unfamiliar?

Usage: python benchmarks/unfamiliar.py TRAIN_DIR TEST_DIR CLASS,CLASS [BUNDLE]

TRAIN_DIR and TEST_DIR are folders of class folders, for example CIFAR-10's. A classifier is
trained on the named classes of TRAIN_DIR alone (the head of the pretrained network), or taken from
BUNDLE, and then shown all of TEST_DIR. Printed are its accuracy on the known classes, the share of
their test images that are kept, and of every other class the share that is flagged. The aim is 80
% flagged where 95 % are kept.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np

import imgclf
from imgclf.classifiers.familiarity import UNFAMILIAR_BELOW


def main() -> None:
    """Train or load, measure and print."""
    train_dir, test_dir, known = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].split(",")
    classifier = imgclf.load(sys.argv[4]) if len(sys.argv) > 4 else train(train_dir, known)
    flagged, kept, right, strange = {}, [], [], []
    for folder in sorted(path for path in test_dir.iterdir() if path.is_dir()):
        predictions = classifier.predict(folder)
        familiarity = np.array([item.familiarity for item in predictions], float)
        if folder.name in known:
            kept.append(familiarity)
            right += [item.label == folder.name for item in predictions]
        else:
            strange.append(familiarity)
            flagged[folder.name] = (familiarity < UNFAMILIAR_BELOW).mean()
    usual, others = np.concatenate(kept), np.concatenate(strange)
    print(f"known classes: accuracy {np.mean(right):.1%}, ", end="")
    print(f"kept {(usual >= UNFAMILIAR_BELOW).mean():.1%} of {usual.size} images")
    for name, share in flagged.items():
        print(f"  {name}: {share:.1%} flagged")
    print(f"all others: {(others < UNFAMILIAR_BELOW).mean():.1%} of {others.size} images flagged")
    exact = np.quantile(usual, 0.05)
    print(f"  {(others < exact).mean():.1%} where exactly 95 % of the known ones are kept")


def train(train_dir: Path, known: list[str]) -> imgclf.Classifier:
    """Train on some classes of a folder, through a CSV file that lists them."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "known.csv"
        with table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label"])
            for name in known:
                images = sorted((train_dir / name).resolve().iterdir())
                writer.writerows([image, name] for image in images)
        return imgclf.train(table, two_phase=True, fine_tune_epochs=0)


if __name__ == "__main__":
    main()
