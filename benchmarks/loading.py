"""Images per second of the scan, the first epoch and later epochs, beside other ways to load.

Usage: python benchmarks/loading.py FOLDER [--image-size 150] [--rounds 3] [--seconds 5]

FOLDER holds one folder per class; for cats_dogs that is cats_dogs/train, for CIFAR-10 its train/
with --image-size 32. All ways are measured alternately in one run. Needs scipy (the `bench` extra)
for ImageDataGenerator; a PyTorch DataLoader takes part where torch and torchvision are installed.

Two ratios are asked for: later epochs with the recipe's augmentation at least 12 times as fast as
ImageDataGenerator, and the scan at least 70 % of what Pillow alone reaches in two processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BATCH = 32

PILLOW_ALONE = """
import sys
from PIL import Image
side = int(sys.argv[1])
for path in sys.stdin.read().splitlines():
    with Image.open(path) as image:
        image.draft("RGB", (2 * side, 2 * side))
        image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR).tobytes()
"""
"""What a scan cannot do without: open, decode, resize; with the same reduced scale for JPEGs."""


def main() -> None:
    """Measure all ways alternately and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--image-size", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="longest epoch of a slow way")
    parser.add_argument("--most-scanned", type=int, default=50_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["IMGCLF_CACHE_DIR"] = cache
        ways = make_ways(arguments)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for round_number in range(arguments.rounds):
            for name, way in ways.items():
                rates[name].append(way())
                print(f"round {round_number + 1}: {name} {rates[name][-1]:,.0f}", file=sys.stderr)
    print_table(rates, arguments)


def make_ways(arguments: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """Return what is measured: each call gives images per second."""
    import imgclf

    size = (arguments.image_size, arguments.image_size)
    train, _ = imgclf.make_generators(
        arguments.folder, image_size=size, batch_size=BATCH, augment="classic", val_split=0.01
    )
    ways: dict[str, Callable[[], float]] = {
        "Pillow in two processes": lambda: pillow_alone(arguments),
        "imgclf scan": lambda: scan(arguments),
        "imgclf first epoch (scan included)": lambda: first_epoch(arguments),
        "imgclf later epochs": lambda: rate(train, arguments.seconds),
        "ImageDataGenerator": lambda: rate(old_generator(arguments), arguments.seconds),
        "image_dataset_from_directory": lambda: rate(keras_dataset(arguments), arguments.seconds),
    }
    try:
        import torch  # noqa: F401
        import torchvision  # noqa: F401
    except ImportError:
        print("torch or torchvision is not installed: no DataLoader", file=sys.stderr)
    else:
        ways["PyTorch DataLoader"] = lambda: rate(torch_loader(arguments), arguments.seconds)
    return ways


def rate(batches: Iterable[tuple[object, object]], seconds: float) -> float:
    """Count images for some seconds, after two batches that warm up."""
    images, began_s = 0, 0.0
    for number, (batch, _) in enumerate(batches):
        if number == 2:
            began_s = time.perf_counter()
        elif number > 2:
            images += len(batch)  # type: ignore[arg-type]
            if time.perf_counter() - began_s > seconds:
                break
    return images / (time.perf_counter() - began_s)


def some_paths(arguments: argparse.Namespace) -> list[str]:
    """Choose the files that are scanned, from all classes."""
    from imgclf.data.reading.layout import read_folder

    folder = read_folder(arguments.folder)
    every = -(-len(folder.files) // arguments.most_scanned)
    return [folder.absolute(file) for file in folder.files[::every]]


def pillow_alone(arguments: argparse.Namespace) -> float:
    """Decode and resize with Pillow in two processes, their start included."""
    paths = some_paths(arguments)
    began_s = time.perf_counter()
    running = [
        subprocess.Popen(  # noqa: S603 - this script's own few lines
            [sys.executable, "-c", PILLOW_ALONE, str(arguments.image_size)],
            stdin=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for number, process in enumerate(running):
        assert process.stdin is not None
        process.stdin.write("\n".join(paths[number::2]))
        process.stdin.close()
    for process in running:
        assert process.wait() == 0
    return len(paths) / (time.perf_counter() - began_s)


def scan(arguments: argparse.Namespace) -> float:
    """Scan the same files with two workers, pixels and signatures included."""
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.data.pixels.signatures import SIGNATURE_BYTES
    from imgclf.data.store.scan import scan_files

    paths = some_paths(arguments)
    policy = InputPolicy((arguments.image_size, arguments.image_size))
    with tempfile.NamedTemporaryFile() as pixels, tempfile.NamedTemporaryFile() as signatures:
        pixels.truncate(len(paths) * 3 * arguments.image_size**2)
        signatures.truncate(len(paths) * SIGNATURE_BYTES)
        files = {"pixel_file": pixels.name, "signature_file": signatures.name}
        began_s = time.perf_counter()
        scan_files(paths, policy, **files, num_workers=2)
        return len(paths) / (time.perf_counter() - began_s)


def first_epoch(arguments: argparse.Namespace) -> float:
    """Scan the folder and go through it once, as the first training on it does."""
    import imgclf

    size = (arguments.image_size, arguments.image_size)
    began_s = time.perf_counter()
    train, _ = imgclf.make_generators(
        arguments.folder, image_size=size, batch_size=BATCH, store="memory", val_split=0.01
    )
    for _ in train:
        pass
    return train.num_samples / (time.perf_counter() - began_s)


def old_generator(arguments: argparse.Namespace) -> Iterator[tuple[object, object]]:
    """Load as the recipe of 2016 does."""
    import tensorflow as tf

    generator = tf.keras.preprocessing.image.ImageDataGenerator(
        rescale=1 / 255, shear_range=0.2, zoom_range=0.2
    )
    size = (arguments.image_size, arguments.image_size)
    return generator.flow_from_directory(arguments.folder, target_size=size, batch_size=BATCH)


def keras_dataset(arguments: argparse.Namespace) -> Iterable[tuple[object, object]]:
    """Load as Keras documents it today, with the nearest augmentation layers."""
    import keras
    import tensorflow as tf

    varied = keras.Sequential(
        [keras.layers.RandomShear(0.0035, 0.0), keras.layers.RandomZoom(0.2, 0.2)]
    )
    plain = keras.utils.image_dataset_from_directory(
        arguments.folder,
        image_size=(arguments.image_size, arguments.image_size),
        batch_size=BATCH,
        verbose=False,
    )
    tune = tf.data.AUTOTUNE
    return plain.map(lambda x, y: (varied(x, training=True), y), tune).prefetch(tune)


def torch_loader(arguments: argparse.Namespace) -> Iterable[tuple[object, object]]:
    """Load as torchvision documents it, in two workers."""
    import torch
    from torchvision import datasets, transforms

    size = (arguments.image_size, arguments.image_size)
    varied = transforms.Compose(
        [
            transforms.Resize(size),
            transforms.RandomAffine(0, scale=(0.8, 1.2), shear=0.2),
            transforms.ToTensor(),
        ]
    )
    images = datasets.ImageFolder(arguments.folder, varied)
    return torch.utils.data.DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=2)


def print_table(rates: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    """Print one row a way, and the two ratios that are asked for."""
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print(f"{arguments.folder}, {arguments.image_size} px, batches of {BATCH}, images per second")
    for name, found in rates.items():
        print(f"{name:<36} {medians[name]:8,.0f}   best {max(found):8,.0f}")
    pairs = (
        ("later epochs / ImageDataGenerator", "imgclf later epochs", "ImageDataGenerator", 12),
        ("scan / Pillow alone", "imgclf scan", "Pillow in two processes", 0.7),
    )
    for title, ours, other, wanted in pairs:
        # Ratios of neighbours in time: what else the machine does weighs on both.
        ratio = statistics.median(a / b for a, b in zip(rates[ours], rates[other], strict=True))
        print(f"{title:<36} {ratio:8.2f}   asked {wanted}: {'yes' if ratio >= wanted else 'NO'}")


if __name__ == "__main__":
    main()
