"""Seconds per epoch of imgclf beside two ways of writing the same training in plain Keras.

Usage: python benchmarks/epoch_time.py FOLDER [--image-size 150] [--batch-size 32] [--epochs 4]
           [--rounds 2] [--only NAME ...]

FOLDER holds train/ and val/ with one sub-folder per class. All ways train the same network
(three_conv) on the same images, size, batch size and augmentation (shear 0.2, zoom 0.2):

- recipe: the origin's code: ImageDataGenerator, flow_from_directory, Keras' default compile;
- keras: Keras' documented way: image_dataset_from_directory, augmentation layers in the pipeline;
- torch: PyTorch's and torchvision's documented way, with two workers, channels_last, and bfloat16
  where the processor is fast at it; takes part where both are installed;
- imgclf: make_generators and fit; its pixels are decoded once, before the first epoch.

The ways run alternately, each time in a process of its own, so that a busy machine is unfair to
all of them alike. Printed are seconds per epoch (median from the second epoch on), the ratios,
and whether the loss fell. The recipe needs SciPy: pip install -e '.[bench]'.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

WAYS = ("recipe", "keras", "torch", "imgclf")


def main() -> None:
    """Run all ways alternately and print the table."""
    arguments = parse_arguments()
    if arguments.way:
        print(json.dumps(run_way(arguments.way, arguments)))
        return
    ways = arguments.only or [way for way in WAYS if way != "torch" or has_torch()]
    results: dict[str, list[dict[str, list[float]]]] = {way: [] for way in ways}
    for _ in range(arguments.rounds):
        for way in ways:
            results[way].append(measure(way, arguments))
    print_table(results, arguments)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--image-size", type=int, default=150)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", nargs="*", choices=WAYS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    return parser.parse_args()


def has_torch() -> bool:
    """Whether PyTorch and torchvision are installed; says so where they are not."""
    found = all(importlib.util.find_spec(name) for name in ("torch", "torchvision"))
    if not found:
        print("torch or torchvision is not installed: measured without", file=sys.stderr)
    return found


def measure(way: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Run one way in a process of its own."""
    command = [sys.executable, __file__, str(arguments.folder), "--way", way]
    for name in ("image_size", "batch_size", "epochs"):
        command += [f"--{name.replace('_', '-')}", str(getattr(arguments, name))]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
    result: dict[str, list[float]] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def run_way(way: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Train in this process; return the seconds and the loss of each epoch."""
    run = {"recipe": run_recipe, "keras": run_keras, "torch": run_torch, "imgclf": run_imgclf}
    return run[way](arguments)


def epoch_timer():
    """Make a callback that notes the seconds of each epoch, its validation included."""
    import keras

    class EpochTimer(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch, logs=None) -> None:  # noqa: ARG002
            self.began_s = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None) -> None:  # noqa: ARG002
            self.seconds.append(time.perf_counter() - self.began_s)

    return EpochTimer()


def textbook_model(size: int):
    """Build three_conv as a beginner writes it, without the rescaling, which the loaders do."""
    import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            *(
                layer
                for filters in (32, 32, 64)
                for layer in (layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D(2))
            ),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid"),
        ]
    )


def run_recipe(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Train as the origin's code does."""
    import tensorflow as tf

    generator = tf.keras.preprocessing.image.ImageDataGenerator
    flow = {
        "target_size": (arguments.image_size, arguments.image_size),
        "batch_size": arguments.batch_size,
        "class_mode": "binary",
    }
    train = generator(rescale=1 / 255, shear_range=0.2, zoom_range=0.2).flow_from_directory(
        arguments.folder / "train", **flow
    )
    val = generator(rescale=1 / 255).flow_from_directory(arguments.folder / "val", **flow)
    return fit_plainly(textbook_model(arguments.image_size), train, val, arguments.epochs)


def run_keras(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Train as Keras' documentation shows it."""
    import keras
    import tensorflow as tf

    load = {
        "label_mode": "binary",
        "image_size": (arguments.image_size, arguments.image_size),
        "batch_size": arguments.batch_size,
    }
    train = keras.utils.image_dataset_from_directory(arguments.folder / "train", **load)
    val = keras.utils.image_dataset_from_directory(arguments.folder / "val", **load)
    # The recipe's shear of 0.2 degrees, as the fraction that this layer wants; zoom as it is.
    augment = keras.Sequential(
        [keras.layers.RandomShear(0.2 / 90, 0.2 / 90), keras.layers.RandomZoom(0.2, 0.2)]
    )
    rescale = keras.layers.Rescaling(1 / 255)
    tune = tf.data.AUTOTUNE
    train = train.map(lambda x, y: (rescale(augment(x, training=True)), y), tune).prefetch(tune)
    val = val.map(lambda x, y: (rescale(x), y), tune).prefetch(tune)
    return fit_plainly(textbook_model(arguments.image_size), train, val, arguments.epochs)


def fit_plainly(model, train, val, epochs: int) -> dict[str, list[float]]:
    """Compile and fit with Keras' defaults."""
    timer = epoch_timer()
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=val, epochs=epochs, callbacks=[timer], verbose=0)
    return {"seconds": timer.seconds, "loss": history.history["loss"]}


def run_torch(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Train as PyTorch's tutorials do, with what they recommend for processors."""
    import torch
    from torchvision import datasets, transforms

    from imgclf.machine.hardware import cpu_flags

    size = (arguments.image_size, arguments.image_size)
    varied = [transforms.RandomAffine(0, scale=(0.8, 1.2), shear=0.2)]
    loaders = {
        split: torch.utils.data.DataLoader(
            datasets.ImageFolder(
                arguments.folder / split,
                transforms.Compose(
                    [
                        transforms.Resize(size),
                        *(varied if split == "train" else []),
                        transforms.ToTensor(),
                    ]
                ),
            ),
            batch_size=arguments.batch_size,
            shuffle=split == "train",
            num_workers=2,
            persistent_workers=True,
        )
        for split in ("train", "val")
    }
    model = torch_model(arguments.image_size).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    cross_entropy = torch.nn.BCEWithLogitsLoss()
    in_bfloat16 = bool(cpu_flags() & {"amx_bf16", "avx512_bf16"})

    def loss_of(images, labels):
        images = images.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
            logits = model(images)
        return cross_entropy(logits.float()[:, 0], labels.float())

    seconds, losses = [], []
    for _ in range(arguments.epochs):
        began_s, total = time.perf_counter(), 0.0
        model.train()
        for images, labels in loaders["train"]:
            optimizer.zero_grad()
            loss = loss_of(images, labels)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)
        model.eval()
        with torch.no_grad():
            for images, labels in loaders["val"]:
                loss_of(images, labels)
        seconds.append(time.perf_counter() - began_s)
        losses.append(total / len(loaders["train"].dataset))
    return {"seconds": seconds, "loss": losses}


def torch_model(size: int):
    """Build three_conv in PyTorch; its head gives a logit."""
    from torch import nn

    layers: list[nn.Module] = []
    channels, side = 3, size
    for filters in (32, 32, 64):
        layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.MaxPool2d(2)]
        channels, side = filters, (side - 2) // 2
    layers += [nn.Flatten(), nn.Linear(channels * side * side, 64), nn.ReLU()]
    layers += [nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 1)]
    return nn.Sequential(*layers)


def run_imgclf(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Train with imgclf."""
    import imgclf

    train, val = imgclf.make_generators(
        arguments.folder / "train",
        arguments.folder / "val",
        image_size=(arguments.image_size, arguments.image_size),
        batch_size=arguments.batch_size,
        augment="classic",
    )
    model = imgclf.build_model("three_conv", train.input_shape, train.num_classes)
    timer = epoch_timer()
    result = imgclf.fit(model, train, val, epochs=arguments.epochs, callbacks=[timer])
    return {"seconds": timer.seconds, "loss": result.history["loss"]}


def print_table(
    results: dict[str, list[dict[str, list[float]]]], arguments: argparse.Namespace
) -> None:
    """Print one row a way: seconds, ratio to imgclf, and whether the loss fell."""
    seconds = {
        way: statistics.median([s for run in runs for s in run["seconds"][1:]])
        for way, runs in results.items()
    }
    print(f"three_conv, {arguments.image_size} px, batch {arguments.batch_size}")
    print(f"{'way':<8} {'s/epoch':>8} {'best':>7} {'imgclf is':>10}  loss fell")
    for way, runs in results.items():
        best = min(s for run in runs for s in run["seconds"][1:])
        ratio = f"{seconds[way] / seconds['imgclf']:.2f} x" if "imgclf" in seconds else ""
        fell = all(run["loss"][-1] < run["loss"][0] for run in runs)
        print(f"{way:<8} {seconds[way]:8.2f} {best:7.2f} {ratio:>10}  {'yes' if fell else 'NO'}")


if __name__ == "__main__":
    main()
