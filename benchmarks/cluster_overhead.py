"""What a trial costs on a Ray cluster beside the local pool of processes.

Usage: python benchmarks/cluster_overhead.py [--rounds 3] [--trials 8] [--here]

The same searches, of a small network on small made-up images, run alternately in one process of
the local pool and in one worker of a cluster of this machine (`--cluster local --workers 1`).
Printed is the median time of a trial outside its `fit`, from the second trial on, for both, their
difference (asked: at most 2 s), and the time of the whole searches.

Ray listens on the machine's outward address: the searches run in a network namespace that
has nothing but loopback, for which `unshare` needs root; --here runs them in the network as it is.
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
from pathlib import Path

import numpy as np
from PIL import Image

WAYS = {"local pool": [], "cluster": ["--cluster", "local"]}
ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
SEARCH = ["--arch", "three_conv", "--tune", "learning_rate", "--image-size", "32", "--trial-epochs",
          "2", "--batch-size", "32", "--workers", "1", "--json"]  # fmt: skip


def main() -> None:
    """Run the searches alternately and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--here", action="store_true")
    arguments = parser.parse_args()
    outside_s: dict[str, list[float]] = {way: [] for way in WAYS}
    whole_s: dict[str, list[float]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory(prefix="imgclf-") as name:
        images = write_images(Path(name) / "images")
        for _ in range(arguments.rounds):
            for way in WAYS:
                took_s, trials_s = search(way, images, arguments)
                whole_s[way].append(took_s)
                outside_s[way] += trials_s[1:]
                print(f"{way:10} {took_s:6.1f} s; outside fit {shown(trials_s)} s", flush=True)
    medians = {way: statistics.median(found) for way, found in outside_s.items()}
    for way, median_s in medians.items():
        print(
            f"{way:10} median of a trial outside its fit, from the second on: {median_s:.2f} s; "
            f"median of a search: {statistics.median(whole_s[way]):.1f} s"
        )
    print(
        f"overhead of a trial on the cluster: {medians['cluster'] - medians['local pool']:+.2f} s"
    )


def write_images(folder: Path) -> Path:
    """Write 400 images of two classes, dark and light."""
    rng = np.random.default_rng(0)
    for level, name in ((80, "dark"), (170, "light")):
        (folder / name).mkdir(parents=True)
        for number in range(200):
            pixels = rng.normal(level, 30, (32, 32, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number:03}.png")
    return folder


def search(way: str, images: Path, arguments: argparse.Namespace) -> tuple[float, list[float]]:
    """Return the time of a search, and of each of its trials outside its fit, by number."""
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        command = [
            *([] if arguments.here else ALONE), sys.executable, "-c",
            "from imgclf.cli.main import run; run()", "tune", str(images), *SEARCH, *WAYS[way],
            "--max-trials", str(arguments.trials), "--study-dir", f"{folder}/study",
        ]  # fmt: skip
        began_s = time.monotonic()
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=1200,
            env={**os.environ, "RAY_TMPDIR": folder},
        )  # fmt: skip
        took_s = time.monotonic() - began_s
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
    rows = sorted(json.loads(done.stdout)["trials"], key=lambda row: row["trial"])
    return took_s, [row["duration_s"] - row["fit_s"] for row in rows]


def shown(seconds: list[float]) -> str:
    """Return times as short text."""
    return ", ".join(f"{value:.1f}" for value in seconds)


if __name__ == "__main__":
    main()
