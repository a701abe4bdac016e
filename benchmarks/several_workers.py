"""What sharing each batch between workers costs on one machine.

Usage: python benchmarks/several_workers.py DIR [--workers 1 2] [--epochs 4] [--here]

The same training in this machine's usual way and on a cluster of this machine (`--cluster local`)
with each number of workers. Printed is the median time of an epoch after the first one, and its
ratio to that of the usual way. On one machine the workers share its processors, so the ratio is
what exchanging gradients and figures costs; what several machines gain has to be measured there.

TensorFlow's workers listen on every interface: the trainings run in a network namespace that has
nothing but loopback, for which `unshare` needs root; --here runs them in the network as it is.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ALONE = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
TRAINING = ["--arch", "resnet9", "--precision", "float32", "--image-size", "64",
            "--batch-size", "64"]  # fmt: skip
SECONDS = re.compile(r"^Epoch .*\| ([0-9.]+) s$", re.MULTILINE)


def main() -> None:
    """Run the trainings and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--here", action="store_true")
    arguments = parser.parse_args()
    usual_s = None
    for count in [0, *arguments.workers]:
        cluster = ["--cluster", "local", "--train-workers", str(count)] if count else []
        epoch_s = measure(arguments.directory, arguments.epochs, cluster, arguments.here)
        usual_s = usual_s or epoch_s
        name = f"{count} worker(s)" if count else "usual way"
        print(f"{name:>12}: {epoch_s:.2f} s an epoch, ratio {epoch_s / usual_s:.2f}", flush=True)


def measure(directory: Path, epochs: int, cluster: list[str], here: bool) -> float:
    """Return the median time of an epoch after the first one, in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "imgclf", "train", str(directory), *TRAINING,
            "--epochs", str(epochs), "--run-dir", f"{folder}/run", *cluster,
        ]  # fmt: skip
        done = subprocess.run(  # noqa: S603 - our own arguments
            command if here else [*ALONE, *command], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    return statistics.median(float(text) for text in SECONDS.findall(done.stderr)[1:])


if __name__ == "__main__":
    main()
