"""Memory and time to the first batch as a folder grows tenfold.

Usage: python benchmarks/scale.py FOLDER [--small 10000] [--large 100000] [--image-size 32]

FOLDER is one of class folders, such as CIFAR-10's train/. Its files are linked (hard links, so
that no content is copied) into temporary folders of both sizes, several times over where they are
too few; the search for near duplicates is off. Each size is measured in a process of its own: the
seconds to the first batch from nothing, and the peak of memory that belongs to the process alone
(pixels in the store are pages of a file, which the system may drop at any time).

Asked for: memory grows by at most 20 %, and the time per image does not grow.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOLERANCE = 1.05
"""By how much the time per image may differ before it has grown: runs differ by that much."""


def main() -> None:
    """Measure both sizes, or one of them in a child process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.folder, arguments.image_size)))
        return
    found = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder.resolve().parent) as temporary:
        for count in (arguments.small, arguments.large):
            root = Path(temporary) / str(count)
            link(arguments.folder, root, count)
            found[count] = run_child(root, arguments.image_size, Path(temporary) / "cache")
            shutil.rmtree(root)
    print_table(found)


def link(folder: Path, root: Path, count: int) -> None:
    """Link the folder's files, again and again, until there are enough."""
    files = sorted(path for path in folder.glob("*/*") if path.is_file())
    for number, path in zip(range(count), itertools.cycle(files), strict=False):
        place = root / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        os.link(path, place / f"{number:07}{path.suffix}")


def run_child(root: Path, image_size: int, cache: Path) -> dict[str, float]:
    """Measure one size in a fresh process."""
    command = [sys.executable, __file__, str(root), "--child", "--image-size", str(image_size)]
    environment = {**os.environ, "IMGCLF_CACHE_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(  # noqa: S603 - this script itself
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: Path, image_size: int) -> dict[str, float]:
    """Go from nothing to the first batch, then through an epoch."""
    import imgclf

    imgclf.make_generators  # noqa: B018 - imports TensorFlow before anything is measured
    with Watch() as watch:
        began_s = time.perf_counter()
        train, _ = imgclf.make_generators(
            folder, image_size=(image_size, image_size), batch_size=128, near_duplicates=False
        )
        next(iter(train))
        first_batch_s = time.perf_counter() - began_s
        began_s = time.perf_counter()
        for _ in train:
            pass
        epoch_s = time.perf_counter() - began_s
    return {
        "images": train.num_samples,
        "first_batch_s": first_batch_s,
        "epoch_s": epoch_s,
        "peak_mib": watch.peak_mib,
        "before_mib": watch.before_mib,
    }


class Watch:
    """Notes the largest memory that the process had to itself, looked at ten times a second."""

    def __enter__(self) -> Watch:
        """Begin to look."""
        self.before_mib = self.peak_mib = own_mib()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Look for the last time."""
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            self.peak_mib = max(self.peak_mib, own_mib())


def own_mib() -> float:
    """Return the anonymous memory of this process: no pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in lines if line.startswith("RssAnon:"))
    return int(line.split()[1]) / 1024


def print_table(found: dict[int, dict[str, float]]) -> None:
    """Print one row a size, and how both figures grow."""
    print(f"{'images':>8} {'first batch':>12} {'ms/image':>9} {'epoch':>8} {'memory':>10}")
    for count, row in found.items():
        per_image_ms = 1000 * row["first_batch_s"] / count
        print(
            f"{count:8,} {row['first_batch_s']:10.1f} s {per_image_ms:9.2f} "
            f"{row['epoch_s']:6.1f} s {row['peak_mib']:6.0f} MiB"
        )
    (small, before), (large, after) = found.items()
    memory = after["peak_mib"] / before["peak_mib"]
    per_image = (after["first_batch_s"] / large) / (before["first_batch_s"] / small)
    print(f"memory grows by {memory - 1:+.0%}, asked 20 %: {'yes' if memory <= 1.2 else 'NO'}")
    print(f"time per image {per_image:.2f} x, asked 1: {'yes' if per_image <= TOLERANCE else 'NO'}")


if __name__ == "__main__":
    main()
