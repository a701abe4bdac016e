"""How soon commands answer from a cold start, and how much memory they take.

Usage: python benchmarks/cold_start.py CLASSIFIER PHOTOS [--beside SRC] [--rounds 9]

CLASSIFIER is a `.imgclf` file, PHOTOS a folder. Each command is a process of its own: one photo,
all photos, `info`, `architectures list`, `--help`, and `serve` until `/readyz` answers. With
--beside, the same commands of another checkout (its `src` folder) take turns with these. Printed
are medians of seconds and the peak of memory.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import imgclf
from imgclf.data.reading.layout import find_images

COMMAND = [sys.executable, "-c", "from imgclf.cli.main import run; run()"]

Found = tuple[float, float]
"""Seconds, MiB."""


def main() -> None:
    """Let the commands take turns, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("classifier", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    sources = {"here": Path(imgclf.__file__).parents[1]}
    if arguments.beside:
        sources["beside"] = arguments.beside
    file, photo = str(arguments.classifier), str(next(iter(find_images(arguments.photos))))
    commands = {
        "predict, one photo": ["predict", file, photo],
        "predict, all photos": ["predict", file, str(arguments.photos)],
        "info": ["info", file],
        "architectures list": ["architectures", "list"],
        "--help": ["--help"],
        "serve": ["serve", file],
    }
    found: dict[tuple[str, str], list[Found]] = {}
    for _ in range(arguments.rounds):
        for name, words in commands.items():
            for source, path in sources.items():
                measure = serve if name == "serve" else run
                found.setdefault((name, source), []).append(measure(words, path))
    for (name, source), values in found.items():
        seconds, mebibytes = (statistics.median(column) for column in zip(*values, strict=True))
        print(f"{name}, {source}: {seconds:.3f} s, {mebibytes:.0f} MiB", flush=True)


def start(words: Sequence[str], source: Path) -> subprocess.Popen[bytes]:
    """Start a command of a checkout."""
    return subprocess.Popen(  # noqa: S603 - our own
        [*COMMAND, *words], env={**os.environ, "PYTHONPATH": str(source)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def run(words: Sequence[str], source: Path) -> Found:
    """Run a command to its end."""
    began_s = time.perf_counter()
    process = start(words, source)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began_s
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}.")
    return seconds, usage.ru_maxrss / 1024


def serve(words: Sequence[str], source: Path) -> Found:
    """Start a server, wait until it is ready, and end it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began_s = time.perf_counter()
    process = start([*words, "--port", str(port)], source)
    while not is_ready(f"http://127.0.0.1:{port}/readyz"):
        time.sleep(0.005)
    seconds = time.perf_counter() - began_s
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    (peak,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    process.send_signal(signal.SIGTERM)
    process.wait()
    return seconds, int(peak.split()[1]) / 1024


def is_ready(address: str) -> bool:
    """Ask the server once."""
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except OSError:
        return False


if __name__ == "__main__":
    main()
