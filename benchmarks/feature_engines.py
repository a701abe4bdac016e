"""Images per second of a frozen network, executed by LiteRT and by TensorFlow.

Usage: python benchmarks/feature_engines.py [ARCHITECTURE:SIDE ...] [--images 64] [--rounds 5]

The part of the network up to its features, with random weights, runs over images of noise that lie
in memory, on all processors, in float32. Both engines take turns in one process, so that what else
the machine does hits both alike; on a busy one the ratio in processor time says more, best on one
core (``taskset -c 0``). Printed are the seconds of the conversion, which is made once for each
network and size and kept in the cache folder, the images per second of each round, the ratios of
neighbours in time with their medians, and the largest difference of a feature.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import imgclf
from imgclf.engines.keras_network import KerasNetwork
from imgclf.engines.litert import LiteRtNetwork
from imgclf.engines.litert_conversion import convert_to_litert
from imgclf.training.frozen_features import divide_network

if TYPE_CHECKING:
    import keras

    from imgclf.engines.contract import Network

CASES = ("mobilenet_v3:160", "mobilenet_v3:224", "resnet9:96")


def main() -> None:
    """Measure all cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", default=CASES, metavar="ARCHITECTURE:SIDE")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    for case in arguments.cases:
        name, side = case.split(":")
        model = imgclf.build_model(name, (int(side), int(side), 3), 2, seed=0)
        compare(case, divide_network(model).frozen, arguments.images, arguments.rounds)


def compare(case: str, frozen: keras.Model, num_images: int, rounds: int) -> None:
    """Print the table of one network."""
    began_s = time.perf_counter()
    content = convert_to_litert(frozen)
    conversion_s = time.perf_counter() - began_s
    networks: dict[str, Network] = {
        "litert": LiteRtNetwork(content),
        "tensorflow": KerasNetwork(frozen),
    }
    shape = (num_images, *frozen.input_shape[1:])
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    features = {name: network(images)[0] for name, network in networks.items()}  # The warm-up.
    ratios: dict[str, list[float]] = {"by the clock": [], "in processor time": []}
    print(f"{case}: converted in {conversion_s:.1f} s to {len(content) / 1e6:.1f} MB", flush=True)
    for number in range(rounds):
        taken = {name: seconds(networks[name], images) for name in in_turn(networks, number)}
        for place, found in enumerate(ratios.values()):
            found.append(taken["tensorflow"][place] / taken["litert"][place])
        shown = [f"{name} {num_images / taken[name][0]:6.1f} img/s" for name in networks]
        shown += [f"ratio {found[-1]:.2f} {way}" for way, found in ratios.items()]
        print("  " + ", ".join(shown), flush=True)
    for way, found in ratios.items():
        print(f"  median ratio {statistics.median(found):.2f} {way}")
    difference = np.abs(features["litert"] - features["tensorflow"]).max()
    largest = np.abs(features["tensorflow"]).max()
    print(f"  features differ by {difference:.1e} at most, the largest is {largest:.1e}")


def in_turn(names: dict[str, Network], number: int) -> list[str]:
    """Let each engine begin every second round."""
    return list(names) if number % 2 == 0 else list(reversed(names))


def seconds(network: Network, images: np.ndarray) -> tuple[float, float]:
    """Return the seconds of one pass, by the clock and of processor time."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    network(images)
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


if __name__ == "__main__":
    main()
