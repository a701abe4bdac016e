"""Processor time that listing the zoo takes with installed plugins and with none.

Usage: python benchmarks/listing.py [--plugins 50] [--rounds 5]

Plugins are distributions as pip leaves them behind: a module and a dist-info folder each, on a
path of their own. Both ways run alternately, each time in a process of its own; printed are the
median processor milliseconds of one listing, the first in its process and the best of later ones,
and the difference, which must stay below 50 ms. The modules raise when they are imported.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LIMIT_MS = 50.0

CODE = """
import time, imgclf
def cost():
    start = time.process_time(); names = imgclf.list_architectures()
    return 1e3 * (time.process_time() - start), len(names)
first, count = cost()
print(first, min(cost()[0] for _ in range(7)), count)
"""


def main() -> None:
    """Measure both ways alternately and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--plugins", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.plugins):
            install(Path(folder), f"listed_net{number}")
        ways = {"none": "", f"{arguments.plugins} plugins": folder}
        results: dict[str, list[tuple[float, float, int]]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, path in ways.items():
                results[way].append(measure(path))
    print(f"{'':12} {'first':>9} {'later':>9}")
    first, later = [], []
    for way, rows in results.items():
        first.append(statistics.median(row[0] for row in rows))
        later.append(statistics.median(row[1] for row in rows))
        print(f"{way:12} {first[-1]:6.1f} ms {later[-1]:6.1f} ms   {rows[0][2]} architectures")
    difference = first[1] - first[0]
    print(f"difference   {difference:6.1f} ms {later[1] - later[0]:6.1f} ms")
    if difference > LIMIT_MS:
        raise SystemExit(f"Listing takes {difference:.0f} ms more, over {LIMIT_MS:.0f}.")


def install(folder: Path, name: str) -> None:
    """Write one distribution with one architecture."""
    (folder / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    entry = f"[imgclf.architectures]\n{name} = {name}:{name}\n"
    (metadata / "entry_points.txt").write_text(entry)


def measure(path: str) -> tuple[float, float, int]:
    """List in a process of its own; return milliseconds of the first and of a later listing."""
    command = [sys.executable, "-c", CODE]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603
    first, later, count = done.stdout.split()
    return float(first), float(later), int(count)


if __name__ == "__main__":
    main()
