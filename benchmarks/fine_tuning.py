"""What size of images gives fine-tuning the most in a given time.

Usage: python benchmarks/fine_tuning.py TRAIN_DIR [--sides 64,96,128] [--seconds 75]
           [--images 12000] [--batch-size 64] [--learning-rate 6e-4]

TRAIN_DIR holds class folders of small images. A head is solved for on the frozen features of
`--images` of them; then the network is fine-tuned as `imgclf train` does it, by the clock, its rate
at 0 when the time is over. Printed is the accuracy on 5,000 others of these images, before and
after, and how many were seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras

import imgclf
from imgclf.training.budget import KeepBudget
from imgclf.training.fine_tuning import fine_tuning
from imgclf.training.kernels.fast_kernels import fast_kernels
from imgclf.training.loop import fit

NUM_VAL = 5_000
MANY_EPOCHS = 1_000


def main() -> None:
    """Fine-tune once for each side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("train_dir", type=Path)
    parser.add_argument("--sides", default="64,96,128")
    parser.add_argument("--seconds", type=float, default=75.0)
    parser.add_argument("--images", type=int, default=12_000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=6e-4)
    arguments = parser.parse_args()
    for side in map(int, arguments.sides.split(",")):
        print(f"{side} pixels: {measure(side, arguments)}", flush=True)


def measure(side: int, arguments: argparse.Namespace) -> str:
    """Train on images of one size, and say what came of it."""
    keras.utils.set_random_seed(0)
    train, val = imgclf.make_generators(
        arguments.train_dir, image_size=side, batch_size=arguments.batch_size, val_split=0.2
    )
    train, val = train.some(arguments.images), val.some(NUM_VAL)
    model = imgclf.build_model(
        "efficientnet_lite", train.input_shape, train.num_classes, weights="imagenet"
    )
    head = imgclf.fit_two_phase(model, train, val, epochs=1, fine_tune_epochs=0, verbose=0)
    shared: dict[str, Any] = {"optimizer": "adamw", "label_smoothing": 0.1, "verbose": 0}
    clock = KeepBudget(arguments.learning_rate, arguments.seconds)
    counter = Counter()
    # The kernels of a long training from the first step on, which compiles.
    with fine_tuning(model), fast_kernels(model, 1e9):
        tuned = fit(
            model, train, val, epochs=MANY_EPOCHS, callbacks=[clock, counter],
            learning_rate=arguments.learning_rate, **shared,
        )  # fmt: skip
    before, after = head.history["val_accuracy"][0], max(tuned.history["val_accuracy"])
    seen = counter.steps * arguments.batch_size
    return f"{before:.1%} -> {after:.1%}, {seen / train.num_samples:.2f} epochs"


class Counter(keras.callbacks.Callback):
    """Counts the steps."""

    steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Count one."""
        self.steps += 1


if __name__ == "__main__":
    main()
