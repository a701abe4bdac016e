"""Seconds per epoch of a head on frozen features beside the same head behind the frozen network.

Usage: python benchmarks/frozen_features.py [FOLDER] [--architecture mobilenet_v3]
           [--weights FILE.h5] [--image-size 96] [--epochs 6] [--seeds 3]

FOLDER holds class folders; without it the images that come with imgclf are taken. Without
--weights the backbone's are random, its batch normalisation settled on the training images, and
saved to a file first: features that are good enough to compare two ways of training the same head.
Both ways see the same images, not augmented, in the same order, and begin with the same head:

- network: `fit` with the backbone frozen: every epoch runs every image through it;
- features: `fit_two_phase` without fine-tuning: the images run through it once.

They run alternately. Printed are seconds per epoch, validation included (median from the second
epoch on), their ratio, the seconds in which the features were computed once, and the validation
accuracy of each seed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras

import imgclf
from imgclf.data.demo import unpack_images
from imgclf.training.loop import fit
from imgclf.training.two_phase import fit_two_phase
from imgclf.workflow.transfer import frozen_convolutions


def main() -> None:
    """Run both ways alternately and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--architecture", default="mobilenet_v3")
    parser.add_argument("--weights")
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or unpack_images(Path(temporary) / "images")
        train, val = imgclf.make_generators(
            folder, image_size=(arguments.image_size,) * 2, augment="none"
        )
        weights = arguments.weights or saved_weights(
            arguments.architecture, train, Path(temporary) / "backbone.weights.h5"
        )
        print(f"{train.num_samples} training and {val.num_samples} validation images", flush=True)
        seconds: dict[str, list[float]] = {"network": [], "features": []}
        for seed in range(arguments.seeds):
            for way, epoch_s in seconds.items():
                model = imgclf.build_model(
                    arguments.architecture,
                    train.input_shape,
                    train.num_classes,
                    seed=seed,
                    weights=weights,
                    dropout=0.0,
                )
                timer = EpochTimer()
                began_s = time.perf_counter()
                result = train_head(way, model, train, val, arguments.epochs, timer)
                total_s = time.perf_counter() - began_s
                epoch_s.append(statistics.median(timer.seconds[1:]))
                best = max(result.history["val_accuracy"])
                print(
                    f"seed {seed}  {way:8}  {epoch_s[-1]:7.3f} s per epoch "
                    f"({statistics.median(timer.cpu_seconds[1:]):.3f} s of processor), "
                    f"{total_s:6.1f} s in all, best validation accuracy {best:.4f}",
                    flush=True,
                )
        ratio = statistics.median(seconds["network"]) / statistics.median(seconds["features"])
        print(f"An epoch on features takes 1/{ratio:.0f} of one through the network.")


def saved_weights(architecture: str, train: Any, path: Path) -> str:
    """Write random weights whose averages fit the images, as a pretrained file would."""
    model = imgclf.build_model(architecture, train.input_shape, train.num_classes, seed=0)
    norms = [one for one in model.layers if isinstance(one, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    images, _ = train.source.load(0, 0)
    model(images, training=True)
    map_ = next(one for one in reversed(model.layers) if len(one.output.shape) == 4)
    keras.Model(model.inputs[0], map_.output).save_weights(path)
    return str(path)


def train_head(way: str, model: Any, train: Any, val: Any, epochs: int, timer: Any) -> Any:
    """Train the head one way, in float32 and at a constant rate."""
    shared: dict[str, Any] = {"epochs": epochs, "callbacks": [timer], "precision": "float32"}
    if way == "features":
        # Kept in memory: every seed computes them again, so that the cost shows.
        return fit_two_phase(
            model, train, val, fine_tune_epochs=0, schedule="constant", store="memory", **shared
        )
    with frozen_convolutions(model, True):
        return fit(model, train, val, learning_rate=1e-3, **shared)


class EpochTimer(keras.callbacks.Callback):
    """Notes the seconds of each epoch, its validation included."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self.seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Start the clock."""
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Stop it."""
        self.seconds.append(time.perf_counter() - self._began_s)
        self.cpu_seconds.append(time.process_time() - self._began_cpu_s)


if __name__ == "__main__":
    main()
