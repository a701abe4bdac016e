"""Memory and time to the first batch as a collection grows.

Usage: python benchmarks/scale.py FOLDER --work DIR [--small 10000] [--large 1000000]
           [--image-size 32] [--as folder shards] [--no-copies] [--cold]

FOLDER is one of class folders, such as CIFAR-10's train/. Its files are linked (hard links, so
that no content is copied; DIR lies on the same disk) into folders of both sizes, several times over
where they are too few. With `--as shards` the same images are measured as tar shards, too. Each
size is measured in a process of its own: the seconds that listing, scan and what follows (search
for copies, division, first batch) take from nothing, an epoch, and the peak of memory that
belongs to the process alone (pixels in the store are pages of a file, which the system may drop at
any time).

With `--cold` (root, Linux) the system first forgets what it has read of the disk.

A million files take 5 GB in DIR, and a million inodes of no content.

Asked for, at 1,000,000: at most 0.48 ms an image to the first batch on two cores, the search for
copies included, and at most 1.5 times the memory at 10,000; shards 1.5 times as fast.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

MOST_MEMORY = 1.5
"""Times the memory of the small size that the large one may take."""

MOST_MS = 0.48
"""Milliseconds an image to the first batch: eight minutes for a million."""

SHARDS_SPEED = 1.5
"""Times the speed of a folder that shards should have."""

PER_SHARD = 10_000


def main() -> None:
    """Measure both sizes, or one of them in a child process."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--work", type=Path, help="a folder for links and cache")
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--as", dest="kinds", nargs="+", default=["folder"], choices=list(MAKERS))
    parser.add_argument("--no-copies", action="store_true", help="search for no near duplicates")
    parser.add_argument("--cold", action="store_true", help="empty the system's cache of files")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        options = {"copies": not arguments.no_copies, "cold": arguments.cold}
        print(json.dumps(measure(arguments.folder, arguments.image_size, **options)))
        return
    found: dict[tuple[str, int], dict[str, float]] = {}
    work = arguments.work or arguments.folder.resolve().parent
    work.mkdir(parents=True, exist_ok=True)
    print_heading()
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        for kind, count in itertools.product(arguments.kinds, (arguments.small, arguments.large)):
            root = Path(temporary) / f"{kind}-{count}"
            MAKERS[kind](arguments.folder, root, count)
            row = run_child(root, arguments, Path(temporary) / "cache")
            row["all_images"] = count
            print_row(kind, row)
            found[kind, count] = row
            shutil.rmtree(root)
            shutil.rmtree(Path(temporary) / "cache")
    print_verdict(found, arguments.kinds, arguments.small, arguments.large)


def images_of(folder: Path, count: int) -> Iterator[tuple[int, Path]]:
    """Yield files with running numbers, of each class in turn, until there are enough."""
    classes = (sorted(found.iterdir()) for found in sorted(folder.iterdir()) if found.is_dir())
    files = [path for row in itertools.zip_longest(*classes) for path in row if path is not None]
    return zip(range(count), itertools.cycle(files), strict=False)


def link(folder: Path, root: Path, count: int) -> None:
    """Link the folder's files into class folders."""
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    for name in names:
        (root / name).mkdir(parents=True)
    for number, path in images_of(folder, count):
        os.link(path, f"{root}/{path.parent.name}/{number:07}{path.suffix}")


def pack(folder: Path, root: Path, count: int) -> None:
    """Pack the same files as tar shards, each image with its class in a JSON file."""
    root.mkdir(parents=True)
    for shard, images in itertools.groupby(
        images_of(folder, count), lambda image: image[0] // PER_SHARD
    ):
        with tarfile.open(root / f"{shard:06}.tar", "w", format=tarfile.USTAR_FORMAT) as packed:
            for number, path in images:
                members = {
                    path.suffix: path.read_bytes(),
                    ".json": json.dumps({"class_name": path.parent.name}).encode(),
                }
                for ending, content in members.items():
                    info = tarfile.TarInfo(f"{path.parent.name}/{number:07}{ending}")
                    info.size = len(content)
                    packed.addfile(info, io.BytesIO(content))


MAKERS = {"folder": link, "shards": pack}


def run_child(root: Path, arguments: argparse.Namespace, cache: Path) -> dict[str, float]:
    """Measure one size in a fresh process."""
    command = [
        *(sys.executable, __file__, str(root), "--child"),
        *("--image-size", str(arguments.image_size)),
        *(["--no-copies"] if arguments.no_copies else []),
        *(["--cold"] if arguments.cold else []),
    ]
    environment = {**os.environ, "IMGCLF_CACHE_DIR": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(  # noqa: S603 - this script itself
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    row: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    files = (path for path in cache.rglob("*") if path.is_file())
    row["disk_mib"] = sum(path.stat().st_size for path in files) / 2**20
    return row


def measure(folder: Path, image_size: int, *, copies: bool, cold: bool) -> dict[str, float]:
    """Go from nothing to the first batch, then through an epoch."""
    import imgclf

    imgclf.make_generators  # noqa: B018 - imports TensorFlow before anything is measured
    calls: list[float] = []
    if cold:
        os.sync()
        Path("/proc/sys/vm/drop_caches").write_text("3")
    with Watch() as watch:
        began_s = time.perf_counter()
        train, _ = imgclf.make_generators(
            folder,
            image_size=(image_size, image_size),
            batch_size=128,
            near_duplicates=copies,
            progress=lambda _done, _all: calls.append(time.perf_counter()),
        )
        next(iter(train))
        first_batch_s = time.perf_counter()
        to_first_mib = watch.peak_mib
        for _ in train:
            pass
        epoch_s = time.perf_counter() - first_batch_s
    return {
        "images": train.num_samples,
        "listing_s": calls[0] - began_s,
        "scan_s": calls[-1] - calls[0],
        "rest_s": first_batch_s - calls[-1],
        "first_batch_s": first_batch_s - began_s,
        "epoch_s": epoch_s,
        "to_first_mib": to_first_mib,
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


def print_heading() -> None:
    """Name the columns."""
    print(
        f"{'':7} {'train':>9} {'listing':>9} {'scan':>9} {'the rest':>9} {'ms/image':>9} "
        f"{'epoch':>8} {'memory':>10} {'disk':>10}"
    )


def print_row(kind: str, row: dict[str, float]) -> None:
    """Print one size as soon as it is measured."""
    print(
        f"{kind:7} {row['images']:9,} {row['listing_s']:7.1f} s {row['scan_s']:7.1f} s "
        f"{row['rest_s']:7.1f} s {per_image_ms(row):9.3f} {row['epoch_s']:6.1f} s "
        f"{row['peak_mib']:6.0f} MiB {row['disk_mib']:6.0f} MiB",
        flush=True,
    )


def per_image_ms(row: dict[str, float]) -> float:
    """Return the milliseconds to the first batch, divided by the images of all splits."""
    return 1000 * row["first_batch_s"] / row["all_images"]


def print_verdict(
    found: dict[tuple[str, int], dict[str, float]], kinds: list[str], small: int, large: int
) -> None:
    """Print how the figures grow, and whether that is what is asked for."""
    for kind in kinds:
        before, after = found[kind, small], found[kind, large]
        memory = after["peak_mib"] / before["peak_mib"]
        print(f"{kind}: memory {memory:.2f} x, asked {MOST_MEMORY}: {yes(memory <= MOST_MEMORY)}")
        cost = per_image_ms(after)
        print(f"{kind}: {cost:.3f} ms an image, asked {MOST_MS}: {yes(cost <= MOST_MS)}")
    if {"folder", "shards"} <= set(kinds):
        speed = per_image_ms(found["folder", large]) / per_image_ms(found["shards", large])
        print(
            f"shards: {speed:.2f} x the speed, asked {SHARDS_SPEED}: {yes(speed >= SHARDS_SPEED)}"
        )


def yes(is_met: bool) -> str:
    """Say whether a demand is met."""
    return "yes" if is_met else "NO"


if __name__ == "__main__":
    main()
