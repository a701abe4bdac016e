"""Accuracy within a given time, everything included: from image files to the last prediction.

Usage: python benchmarks/accuracy.py ROW TRAIN_DIR TEST_DIR [--seeds 3] [--results accuracy.json]

ROW is one of the table below. Each seed is one `imgclf train` in a process of its own with a time
budget and an empty cache; the figure is that of the images in TEST_DIR, which choose nothing. A
row that was begun goes on with the seeds that are missing from the results file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgclf.atomic import write_atomically


@dataclass(frozen=True)
class Row:
    """What is asked of one data set in one time.

    Attributes:
        budget: The time, as `imgclf train --budget` takes it.
        aim: The accuracy to reach.
        arguments: Further arguments, never chosen on the test images.
    """

    budget: str
    aim: float
    arguments: tuple[str, ...] = ()


AIRNET = ("--arch", "airnet", "--recipe", "best", "--augment", "light")
"""As airbench does: mirrored predictions and averaged weights, flips and shifts alone."""

LARGE_BATCHES = ("--batch-size", "256", "--optimizer", "muon", "--learning-rate", "0.2")
"""A little better than 128 with 0.15 on validation parts of both data sets, and a little faster."""

NARROW = ("--set", "filters=24", "--set", "convolutions=3")
"""Narrow enough for seven or eight passes in ten minutes on two cores with AVX-512. On validation
images a third convolution a block gave 0.3 (Fashion-MNIST) and 0.9 points at as many passes."""

WIDER = ("--set", "filters=40", "--set", "convolutions=3")
"""The same for thirteen passes in thirty minutes."""

ROWS = {
    "cats-dogs-3m": Row("3m", 0.80),
    "cats-dogs-10m": Row("10m", 0.85),
    "fashion-mnist-10m": Row(
        "10m", 0.94, (*AIRNET, *LARGE_BATCHES, *NARROW, "--channels", "1", "--image-size", "28")
    ),
    "cifar10-9m": Row("9m", 0.904, (*AIRNET, *LARGE_BATCHES, *NARROW, "--image-size", "32")),
    "cifar10-30m": Row("30m", 0.915, (*AIRNET, *LARGE_BATCHES, *WIDER, "--image-size", "32")),
}


def main() -> None:
    """Measure the seeds of a row that are missing, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("row", choices=ROWS)
    parser.add_argument("train_dir")
    parser.add_argument("test_dir")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("accuracy.json"))
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    if arguments.results.exists():
        results = json.loads(arguments.results.read_text())
    done = results.setdefault(arguments.row, {})
    for seed in range(arguments.seeds):
        if str(seed) not in done:
            row = ROWS[arguments.row]
            done[str(seed)] = measure(row, arguments.train_dir, arguments.test_dir, seed)
            write_atomically(arguments.results, json.dumps(results, indent=2).encode())
        print(f"{arguments.row} seed {seed}: {done[str(seed)]}", flush=True)
    accuracies = [one["accuracy"] for one in done.values()]
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
    print(
        f"{arguments.row}: {statistics.mean(accuracies):.2%} +- {spread:.2%} of {len(done)} seeds, "
        f"aim {ROWS[arguments.row].aim:.1%}"
    )


def measure(row: Row, train_dir: str, test_dir: str, seed: int) -> dict[str, float]:
    """Train once; returns accuracy, seconds of the whole process and images per second."""
    with tempfile.TemporaryDirectory() as temporary:
        began_s = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own command
            [
                sys.executable, "-m", "imgclf", "train", train_dir, "--test", test_dir,
                "--budget", row.budget, "--seed", str(seed), "--json",
                "--run-dir", f"{temporary}/run", *row.arguments,
            ],
            env={**os.environ, "IMGCLF_CACHE_DIR": f"{temporary}/cache"},
            stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        total_s = time.monotonic() - began_s
        config = json.loads(Path(temporary, "run", "config.json").read_text())
    result = json.loads(done.stdout)
    return {
        "accuracy": result["accuracy"],
        "total_s": round(total_s, 1),
        "images_per_s": round(result["images_per_s"], 1),
        "image_size": config["image_size"][0],
    }


if __name__ == "__main__":
    main()
