"""A model of time and money for 10^7 and 10^9 images, and a check of its arithmetic.

Usage: python benchmarks/scale_model.py [--check]

Without an option the table of docs/scale.md is printed, from the rates below: MEASURED ones come
from this repository's benchmarks on a machine of two cores, ASSUMED ones are what clouds charge and
give, in round numbers. With --check two processes on this machine multiply matrices and exchange
gradients through a socket for a second; the step that the model says, of the parts measured
alone, is compared with the step measured. Asked for, on a machine that does nothing else: within
25 %. It shows that the parts add up as the model adds them; it cannot show that a cloud's network
gives what is assumed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import time
from dataclasses import dataclass

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"  # Before NumPy is imported: two processes have a core each.

import numpy as np  # noqa: E402

# MEASURED on two cores; docs/performance.md has the commands.
SCAN_IMAGES_PER_S = 690.0
"""Photos decoded to 150 x 150, hashed, signed and stored: benchmarks/loading.py."""
LISTING_S = 12e-6
"""Of one file in a folder; of one in a tar shard it is 85e-6: benchmarks/scale.py."""
COLUMN_BYTES = 150
"""Memory per image of the process that trains, counted from its columns."""
STORED_BYTES = 150 * 150 * 3 + 768
"""On disk, per image: pixels and signature."""

# ASSUMED: round numbers of what clouds give and charge; put your own in their place.
IMAGE_BYTES = 110_000
GPU_IMAGES_PER_S = 2_500.0
"""Training images a second of one data-centre GPU, 224 pixels, a network of 4 GFLOP."""
GRADIENT_BYTES = 25_000_000 * 4
NETWORK_BYTES_PER_S = 3e9
"""25 Gbit/s between nodes."""
OBJECT_STORE_BYTES_PER_S = 1e9
"""What one node reads from an object store."""
GPU_DOLLARS_PER_H, CORE_DOLLARS_PER_H = 3.0, 0.04
STORE_DOLLARS_PER_GB_MONTH = 0.02
BATCH_PER_NODE, GPUS_PER_NODE, CORES_PER_NODE = 2048, 8, 64
EPOCHS = 30


@dataclass(frozen=True)
class Cost:
    """What a collection costs on some nodes, for an epoch or once."""

    scan_h: float
    epoch_h: float
    bound_by: str
    dollars: float


def all_reduce_s(gradient_bytes: float, nodes: int, bytes_per_s: float) -> float:
    """Return the seconds of a ring all-reduce: each node sends and receives twice its share."""
    return 2 * (nodes - 1) / nodes * gradient_bytes / bytes_per_s


def step_s(compute_s: float, read_s: float, exchange_s: float) -> float:
    """Return the seconds of a step: reading runs beside it, the exchange follows the gradients."""
    return max(read_s, compute_s + exchange_s)


def cost(images: float, nodes: int, epochs: int = EPOCHS) -> Cost:
    """Return time and money for a training of 30 epochs."""
    scan_h = images / (SCAN_IMAGES_PER_S / 2 * CORES_PER_NODE * nodes) / 3600
    compute_s = BATCH_PER_NODE / (GPU_IMAGES_PER_S * GPUS_PER_NODE)
    decode_s = BATCH_PER_NODE / (SCAN_IMAGES_PER_S / 2 * CORES_PER_NODE)
    fetch_s = BATCH_PER_NODE * IMAGE_BYTES / OBJECT_STORE_BYTES_PER_S
    read_s = max(decode_s, fetch_s)
    exchange_s = all_reduce_s(GRADIENT_BYTES, nodes, NETWORK_BYTES_PER_S)
    steps = images / (BATCH_PER_NODE * nodes)
    epoch_h = steps * step_s(compute_s, read_s, exchange_s) / 3600
    parts = {
        "decoding": decode_s,
        "object store": fetch_s,
        "GPU and network": compute_s + exchange_s,
    }
    node_dollars = GPUS_PER_NODE * GPU_DOLLARS_PER_H + CORES_PER_NODE * CORE_DOLLARS_PER_H
    disk_dollars = images * IMAGE_BYTES / 1e9 * STORE_DOLLARS_PER_GB_MONTH
    dollars = nodes * node_dollars * (scan_h + epochs * epoch_h) + disk_dollars
    return Cost(scan_h, epoch_h, max(parts, key=parts.__getitem__), dollars)


def print_table() -> None:
    """Print the table of docs/scale.md."""
    print(f"{'images':>8} {'nodes':>6} {'bytes':>9} {'scan':>9} {'epoch':>9} {'bound by':>18} "
          f"{'30 epochs':>12}")  # fmt: skip
    for images, nodes in ((1e7, 1), (1e7, 8), (1e9, 8), (1e9, 64)):
        row = cost(images, nodes)
        print(
            f"{images:8.0e} {nodes:6} {images * IMAGE_BYTES / 1e12:6.1f} TB {row.scan_h:7.1f} h "
            f"{row.epoch_h:7.1f} h {row.bound_by:>18} {row.dollars:10,.0f} $"
        )
    print(f"listing in one process: {1e7 * LISTING_S / 60:.0f} min at 10^7, "
          f"{1e9 * LISTING_S / 3600:.1f} h at 10^9")  # fmt: skip
    print(f"memory of one process: {1e7 * COLUMN_BYTES / 1e9:.1f} GB at 10^7, "
          f"{1e9 * COLUMN_BYTES / 1e9:.0f} GB at 10^9")  # fmt: skip
    print(f"pixels kept at 150 x 150: {1e7 * STORED_BYTES / 1e12:.1f} TB at 10^7, "
          f"{1e9 * STORED_BYTES / 1e12:.0f} TB at 10^9")  # fmt: skip


# --- The check: two processes, loopback -------------------------------------------------------

MEBIBYTES, STEPS, SIDE = 8, 30, 384


def compute(matrix: np.ndarray) -> None:
    """Stand for the gradients of one batch."""
    for _ in range(3):
        matrix @ matrix


def exchange(link: socket.socket, gradient: np.ndarray, *, is_first: bool) -> None:
    """Average a gradient with the other process: half of it each way, twice, as in a ring."""
    half = gradient.nbytes // 2
    view = memoryview(gradient).cast("B")
    for place in (0, half) if is_first else (half, 0):
        if is_first:
            link.sendall(view[place : place + half])
            receive(link, half)
        else:
            content = receive(link, half)
            link.sendall(content)


def receive(link: socket.socket, size: int) -> bytearray:
    """Receive so many bytes."""
    content = bytearray(size)
    view = memoryview(content)
    while size:
        read = link.recv_into(view, size)
        view, size = view[read:], size - read
    return content


def median_s(work: object, rounds: int = STEPS) -> float:
    """Return the median seconds of one call."""
    seconds = []
    for _ in range(rounds):
        began_s = time.perf_counter()
        work()  # type: ignore[operator]
        seconds.append(time.perf_counter() - began_s)
    return statistics.median(seconds)


def worker(link: socket.socket, is_first: bool, answers: object) -> None:
    """Measure compute alone, exchange alone, and both in turn."""
    matrix = np.ones((SIDE, SIDE), np.float32)
    gradient = np.ones(MEBIBYTES * 2**18, np.float32)

    def both() -> None:
        compute(matrix)
        exchange(link, gradient, is_first=is_first)

    exchange(link, gradient, is_first=is_first)  # Both have started now.
    found = (
        median_s(lambda: compute(matrix)),
        median_s(lambda: exchange(link, gradient, is_first=is_first)),
        median_s(both),
    )
    if is_first:
        answers.put(found)  # type: ignore[attr-defined]


def check() -> None:
    """Compare the model's step with a measured one."""
    context = multiprocessing.get_context("fork")
    ours, theirs = socket.socketpair()
    answers = context.Queue()
    processes = [
        context.Process(target=worker, args=(link, is_first, answers))
        for link, is_first in ((ours, True), (theirs, False))
    ]
    for process in processes:
        process.start()
    compute_s, exchange_s, measured_s = answers.get(timeout=60)
    for process in processes:
        process.join()
    predicted_s = step_s(compute_s, 0.0, exchange_s)
    print(
        f"compute {compute_s * 1e3:.1f} ms, exchange of {MEBIBYTES} MiB {exchange_s * 1e3:.1f} ms"
    )
    print(f"a step: {predicted_s * 1e3:.1f} ms by the model, {measured_s * 1e3:.1f} ms measured, "
          f"ratio {predicted_s / measured_s:.2f}, asked 0.75 to 1.25")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check() if parser.parse_args().check else print_table()
