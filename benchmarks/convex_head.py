"""Seconds and peak memory of the convex head beside scikit-learn's logistic regression.

Usage: python benchmarks/convex_head.py [--images 50000] [--features 1280] [--classes 100]
           [--strength 0.01] [--without-path]

Features are synthetic: positive, correlated, the classes overlap. Both solvers get the same file,
memory-mapped, and the same strength of the penalty, each in a process of its own:

- imgclf: `fit_convex_head` with the one strength;
- scikit-learn: mean and scale as imgclf takes them, then `LogisticRegression` with L-BFGS and its
  default tolerance; standardising is part of its time;
- imgclf, path: all five strengths, chosen on a tenth as many validation images.

Printed are seconds, the peak of the memory that was allocated meanwhile (pages of the mapped file,
which the system may drop, do not count), log loss and accuracy on the validation images, and the
ratio to scikit-learn's seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from imgclf.training.convex_head import fit_convex_head

SOLVERS = {"imgclf": "imgclf", "scikit-learn": "scikit-learn", "imgclf, path": "path"}


def main() -> None:
    """Make the features, run each solver in its process and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--strength", type=float, default=0.01)
    parser.add_argument("--without-path", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        solver, folder = arguments.child
        print(json.dumps(measure(solver, Path(folder), arguments.classes, arguments.strength)))
        return
    with tempfile.TemporaryDirectory() as folder:
        save_features(Path(folder), arguments.images, arguments.features, arguments.classes)
        seconds: dict[str, float] = {}
        for name, solver in SOLVERS.items():
            if solver == "path" and arguments.without_path:
                continue
            found = in_a_process(solver, folder, arguments)
            seconds[name] = found["seconds"]
            ratio = seconds[name] / seconds.get("scikit-learn", float("nan"))
            print(
                f"{name:14} {found['seconds']:7.1f} s  {found['peak_mib']:6.0f} MiB  "
                f"log loss {found['log_loss']:.4f}  accuracy {found['accuracy']:.4f}  "
                f"ratio {ratio:.2f}  {found['note']}",
                flush=True,
            )
        print(f"imgclf / scikit-learn: {seconds['imgclf'] / seconds['scikit-learn']:.2f}")


def save_features(folder: Path, num_images: int, num_features: int, num_classes: int) -> None:
    """Save training features, and a tenth as many for validation, in chunks."""
    rng = np.random.default_rng(0)
    centres = 0.6 * rng.standard_normal((num_classes, 64), np.float32)
    mixing = rng.standard_normal((64, num_features), np.float32) / 8
    for split, count in (("train", num_images), ("val", max(num_images // 10, 1))):
        labels = rng.integers(0, num_classes, count)
        np.save(folder / f"{split}_labels.npy", labels)
        rows = np.lib.format.open_memmap(
            folder / f"{split}.npy", "w+", np.float32, (count, num_features)
        )
        for first in range(0, count, 4096):
            part = labels[first : first + 4096]
            hidden = centres[part] + rng.standard_normal((len(part), 64), np.float32)
            noise = 0.5 * rng.standard_normal((len(part), num_features), np.float32)
            rows[first : first + 4096] = np.maximum(hidden @ mixing + noise - 0.2, 0)
        rows.flush()


def in_a_process(solver: str, folder: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one solver in a process of its own, so that its peak memory is its own."""
    command = [sys.executable, __file__, "--child", solver, folder]
    command += ["--classes", str(arguments.classes), "--strength", str(arguments.strength)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(solver: str, folder: Path, num_classes: int, strength: float) -> dict[str, Any]:
    """Fit by one solver and return its figures."""
    fit = by_scikit_learn if solver == "scikit-learn" else by_imgclf
    features, labels = load(folder, "train")
    val = load(folder, "val") if solver == "path" else None
    with watched_memory() as samples_mib:
        started = time.perf_counter()
        kernel, bias, note = fit(features, labels, val, num_classes, strength)
        seconds = time.perf_counter() - started
    val_features, val_labels = load(folder, "val")
    logits = val_features @ kernel + bias
    logits -= logits.max(axis=1, keepdims=True)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return {
        "seconds": seconds,
        "peak_mib": max(samples_mib) - samples_mib[0],
        "log_loss": -float(log_probabilities[np.arange(len(val_labels)), val_labels].mean()),
        "accuracy": float((logits.argmax(axis=1) == val_labels).mean()),
        "note": note,
    }


def by_imgclf(
    features: Any, labels: Any, val: Any, num_classes: int, strength: float
) -> tuple[Any, Any, str]:
    """Fit one strength, or the whole path where there are validation images."""
    if val is None:
        head = fit_convex_head(features, labels, num_classes=num_classes, strengths=[strength])
    else:
        head = fit_convex_head(features, labels, *val, num_classes=num_classes)
    tried = ", ".join(f"{one.strength:g}" for one in head.path)
    return head.kernel, head.bias, f"strength {head.chosen.strength:g} of {tried}"


def by_scikit_learn(
    features: Any,
    labels: Any,
    val: Any,  # noqa: ARG001 - one strength
    num_classes: int,  # noqa: ARG001 - it counts them
    strength: float,
) -> tuple[Any, Any, str]:
    """Standardise and fit as a user of scikit-learn would."""
    from sklearn.linear_model import LogisticRegression

    mean, scale = features.mean(axis=0), features.std()
    rows = (features - mean) / scale
    model = LogisticRegression(C=1 / (strength * len(rows)), max_iter=1000).fit(rows, labels)
    kernel = model.coef_.T / scale
    return kernel, model.intercept_ - mean @ kernel, f"{model.n_iter_[0]} iterations"


def load(folder: Path, split: str) -> tuple[Any, Any]:
    """Map the features of a split into memory, and read its labels."""
    return np.load(folder / f"{split}.npy", "r"), np.load(folder / f"{split}_labels.npy")


@contextmanager
def watched_memory() -> Iterator[list[float]]:
    """Sample what this process has allocated, in MiB, a hundred times a second."""
    samples_mib, done = [allocated_mib()], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            samples_mib.append(allocated_mib())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples_mib
    finally:
        done.set()
        watcher.join()


def allocated_mib() -> float:
    """Return the memory of this process that no file stands behind."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


if __name__ == "__main__":
    main()
