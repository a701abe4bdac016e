"""How long a report takes beyond its predictions, how much memory, and how large it is.

Usage: python benchmarks/report.py BUNDLE FOLDER...

The images of the folders (with the bundle's classes as sub-folders) are taken as held-out images
with invented answers, of which 80 % are right: a report's own work does not depend on where
answers come from. Printed for 1,000 images and for all: seconds, peak memory of the process in MB
and the page's size. The aims: 10 s for 10,000 images, memory that does not grow, 10 MB for 60,000
images.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import imgclf
from imgclf.data.reading.layout import read_folder
from imgclf.evaluation.results import Evaluation
from imgclf.figures.metrics import measure
from imgclf.reports.report import write_report
from imgclf.runs.folder import split_csv
from imgclf.runs.record import write_predictions, write_record


def main() -> None:
    """Measure and print."""
    bundle = Path(sys.argv[1])
    classifier = imgclf.load(bundle)
    paths, labels = images_of(classifier, sys.argv[2:])
    for count in (1000, len(paths)):
        chosen = np.random.default_rng(0).permutation(len(paths))[:count]
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_run(folder, bundle, classifier, [paths[at] for at in chosen], labels[chosen])
            began_s, began_cpu_s = time.monotonic(), time.process_time()
            page = write_report(folder, classifier)
            wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
            size_mb = page.stat().st_size / 1e6
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(
            f"{count:,} images: {wall_s:.1f} s ({cpu_s:.1f} s of processor time), "
            f"{peak_mb:,.0f} MB, page {size_mb:.2f} MB"
        )


def images_of(classifier: imgclf.Classifier, folders: list[str]) -> tuple[list[str], np.ndarray]:
    """List the images of class folders, with the classifier's class indices."""
    paths, labels = [], []
    for name in folders:
        folder = read_folder(name)
        for file in folder.files:
            paths.append(folder.absolute(file))
            labels.append(classifier.class_names.index(folder.class_names[file.label]))
    return paths, np.array(labels, np.int64)


def make_run(
    folder: Path,
    bundle: Path,
    classifier: imgclf.Classifier,
    paths: list[str],
    labels: np.ndarray,
) -> None:
    """Write a run folder with invented answers."""
    rng = np.random.default_rng(1)
    num_classes = len(classifier.class_names)
    answers = np.where(
        rng.random(labels.size) < 0.8,
        labels,
        (labels + rng.integers(1, num_classes, labels.size)) % num_classes,
    )
    probabilities = rng.dirichlet(np.ones(num_classes), labels.size) * 0.5
    probabilities[np.arange(labels.size), answers] += 0.5
    evaluation = Evaluation(
        metrics=measure(labels, probabilities, classifier.class_names),
        class_names=classifier.class_names,
        paths=tuple(paths),
        labels=labels,
        probabilities=probabilities,
        familiarity=rng.random(labels.size),
    )
    rows = [
        (path, f"{at:064}", classifier.class_names[label], "test")
        for at, (path, label) in enumerate(zip(paths, labels, strict=True))
    ]
    (folder / "split.csv").write_bytes(split_csv(rows)[0])
    (folder / "history.csv").write_text("epoch,loss,val_loss\n1,2.0,2.0\n2,1.0,1.0\n")
    config = {
        **dict.fromkeys(("val_dir", "test_dir", "class_weight", "patience")),
        "train_dir": "invented",
        "architecture": "resnet9",
        "options": {},
        "augment": {},
        "image_size": [32, 32],
        "channels": 3,
        "resize": "stretch",
        "epochs": 2,
        "batch_size": 32,
        "learning_rate": 1e-3,
        "schedule": "cosine",
        "optimizer": "adam",
        "precision": "float32",
        "strict": False,
        "seed": 0,
    }
    (folder / "config.json").write_text(json.dumps(config))
    facts = {"split": "test", "best_epoch": 2, "precision": "float32", "images_per_s": 1.0}
    lists = {"learning_rates": [], "quarantined": [], "warnings": []}
    others = {"durations_s": {"fit": 1.0}, "left_out": {}, "num_leaked": 0}
    write_predictions(folder, evaluation)
    write_record(folder, {"evaluation": evaluation.as_dict(), **facts, **lists, **others})
    shutil.copy(bundle, folder / "model.imgclf")


if __name__ == "__main__":
    main()
