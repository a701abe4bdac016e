"""Milliseconds of a training step with imgclf's kernels, and without them.

Usage: python benchmarks/step_time.py [ARCHITECTURE:SIDE:BATCH ...] [--rounds 4] [--steps 12]
           [--ways gelu,imgclf]

One batch of noise is held in memory, ten classes, the optimizer that imgclf chooses. Measured in
turn, in one process, within `imgclf.fit`:

- keras: batch normalisation, Muon's iteration, GELU and convolutions as Keras writes them;
- normalisation: the first in one kernel;
- muon: and the second on the Gram matrix;
- gelu: and the third in one loop, as in trainings of 200 steps and more;
- imgclf: and 1 x 1 convolutions as matrix products, with other gradients of depthwise ones.

Printed are medians of the steps and the ratios of neighbours in time, whose median counts.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import statistics
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import imgclf

CASES = (
    "resnet9:32:128", "resnet9:128:16", "airnet:32:128", "vgg_bn:64:32", "five_conv:96:32",
    "three_conv:150:32",
)  # fmt: skip
NUM_CLASSES = 10
WARM_UP_STEPS = 3


def main() -> None:
    """Measure all cases, the ways in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("cases", nargs="*", default=CASES, metavar="ARCHITECTURE:SIDE:BATCH")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--ways", help="some of them; the first is what the last is compared with")
    arguments = parser.parse_args()
    ways = {
        "keras": as_keras,
        "normalisation": keras_iteration,
        "muon": keras_gelu,
        "gelu": keras_convolutions,
        "imgclf": whatever_the_steps,
    }
    if arguments.ways:
        ways = {name: ways[name] for name in arguments.ways.split(",")}
    base, *_, best = ways
    print(
        f"{'milliseconds a step':24}" + "".join(f"{way:>16}" for way in ways) + f"   {base}/{best}"
    )
    for case in arguments.cases:
        name, side, batch = case.split(":")
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.rounds):
            for way, context in ways.items():
                with context():
                    found[way].append(step_ms(name, int(side), int(batch), arguments.steps))
        medians = "".join(f"{statistics.median(values):16.1f}" for values in found.values())
        ratios = [a / b for a, b in zip(found[base], found[best], strict=True)]
        print(f"{case:24}{medians}{statistics.median(ratios):15.2f}", flush=True)


@contextlib.contextmanager
def whatever_the_steps() -> Iterator[None]:
    """Exchange GELU in trainings as short as these, too."""
    with mock.patch("imgclf.training.kernels.gelu.FEWEST_STEPS", 0):
        yield


@contextlib.contextmanager
def as_they_are(*kernels: str) -> Iterator[None]:
    """Let layers of some kinds compute as Keras writes them."""
    with contextlib.ExitStack() as stack:
        for kernel in kernels:
            name = f"imgclf.training.kernels.fast_kernels.{kernel}"
            stack.enter_context(mock.patch(name, return_value=contextlib.nullcontext()))
        yield


@contextlib.contextmanager
def keras_convolutions() -> Iterator[None]:
    """Leave convolutions as TensorFlow computes them."""
    with whatever_the_steps(), as_they_are("pointwise_products", "depthwise_gradients"):
        yield


@contextlib.contextmanager
def keras_gelu() -> Iterator[None]:
    """Leave GELU as TensorFlow computes it, too."""
    with (
        keras_convolutions(),
        mock.patch("imgclf.training.kernels.gelu.FEWEST_STEPS", math.inf),
    ):
        yield


@contextlib.contextmanager
def keras_iteration() -> Iterator[None]:
    """Let Muon multiply whole kernels in each of its inner steps."""
    import keras

    keras_own = keras.optimizers.Muon()

    def even_out(matrix: Any, steps: int, _polynomial: Any) -> Any:
        return keras_own.zeropower_via_newtonschulz5(matrix, steps)

    with keras_gelu(), mock.patch("imgclf.training.muon.even_out", even_out):
        yield


@contextlib.contextmanager
def as_keras() -> Iterator[None]:
    """Let the layers compute as Keras writes them, too."""
    with keras_iteration(), as_they_are("fused_normalisation"):
        yield


def step_ms(name: str, side: int, batch_size: int, steps: int) -> float:
    """Train a fresh network for some steps; returns the median after a few."""
    import keras
    import numpy as np
    import tensorflow as tf

    from imgclf.training.optimizers import choose_optimizer

    ends_s: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None) -> None:  # noqa: ARG002
            ends_s.append(time.perf_counter())

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, side, side, 3), dtype=np.uint8)
    labels = np.eye(NUM_CLASSES, dtype=np.float32)[rng.integers(0, NUM_CLASSES, batch_size)]
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat()
    model = imgclf.build_model(name, (side, side, 3), NUM_CLASSES)
    imgclf.fit(
        model, batches, epochs=1, steps_per_epoch=WARM_UP_STEPS + steps, callbacks=[Clock()],
        optimizer=choose_optimizer(model), verbose=0,
    )  # fmt: skip
    return float(np.median(np.diff(ends_s[WARM_UP_STEPS - 1 :]))) * 1000


if __name__ == "__main__":
    main()
