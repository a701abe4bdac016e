"""Every architecture in every format: whether it is written, how it agrees, how fast it answers.

Usage: python benchmarks/exports.py IMAGES [--side 96] [--images 500] [--epochs 2]
           [--names three_conv,...] [--formats litert,onnx,...] [--write]

IMAGES is a folder of photos, one sub-folder per class. Each architecture of the zoo is built with
its default options, trained for a few epochs and exported: what is measured is whether an export
computes the same, not whether it is right. One column is Keras itself, as the classifier
answers without LiteRT. A format that refuses a network says why. With --write the table replaces
the one in docs/how-to/take-it-with-you.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import imgclf
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.lazy_model import LazyModel
from imgclf.classifiers.record import ClassifierRecord
from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import find_images
from imgclf.exports.formats import FORMATS
from imgclf.exports.proof import Proof, ProofImages

PAGE = Path(__file__).parents[1] / "docs/how-to/take-it-with-you.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
HEADER = (
    "| architecture | format | quantized | MB | same class | largest difference "
    "| img/s, 1 and 32 at a time | Keras, 32 |\n|---|---|---|--:|--:|--:|--:|--:|\n"
)


def main() -> None:
    """Export, and print each row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("images", type=Path)
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--images", dest="count", type=int, default=500)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--names", default=",".join(imgclf.list_architectures()))
    parser.add_argument("--formats", default="litert,onnx,openvino,savedmodel,keras")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    names = arguments.names.split(",")
    if len(names) > 1:
        rows = [row for name in names for row in in_own_process(name, arguments)]
    else:
        rows = measure(names[0], arguments)
    if arguments.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}{HEADER}{''.join(rows)}{END}{after}", encoding="utf-8")


def in_own_process(name: str, arguments: argparse.Namespace) -> list[str]:
    """Measure one architecture in a process of its own: TensorFlow keeps what it has traced."""
    command = [sys.executable, __file__, str(arguments.images), "--names", name]
    for option in ("side", "count", "epochs", "formats"):
        command += [f"--{'images' if option == 'count' else option}", f"{vars(arguments)[option]}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own
    print(done.stdout, end="", flush=True)
    return [line for line in done.stdout.splitlines(keepends=True) if line.startswith("| ")]


def measure(name: str, arguments: argparse.Namespace) -> list[str]:
    """Train and export one architecture."""
    policy = InputPolicy((arguments.side, arguments.side))
    paths = list(find_images(arguments.images))
    step = max(1, len(paths) // arguments.count)
    pixels = np.stack([decode(path, policy) for path in paths[::step][: arguments.count]])
    classifier = trained(name, policy, arguments.images, arguments.epochs)
    if classifier is None:
        return []
    return rows_of(name, classifier, pixels, arguments.images, arguments.formats.split(","))


def trained(name: str, policy: InputPolicy, photos: Path, epochs: int) -> Classifier | None:
    """Train a network for a little; None where it cannot be built here."""
    try:
        train, val = imgclf.make_generators(photos, image_size=policy.image_size)
        model = imgclf.build_model(name, train.input_shape, train.num_classes, seed=0)
    except imgclf.ImgclfError as error:
        print(f"{name}: {error}", flush=True)
        return None
    imgclf.fit(model, train, val, epochs=epochs, verbose=0)
    network = LazyModel(model)
    return Classifier.of(
        ClassifierRecord(network=network, class_names=train.class_names, policy=policy)
    )


def rows_of(
    name: str, by_keras: Classifier, pixels: NDArray[np.uint8], photos: Path, formats: list[str]
) -> list[str]:
    """Return the table's rows for one architecture."""
    expected = by_keras.predict_pixels([pixels])
    began_s = time.perf_counter()
    by_keras.predict_pixels([pixels[:64]])
    keras_per_s = 64 / (time.perf_counter() - began_s)
    images = ProofImages(pixels, expected, None, "photos")
    rows = []
    for format_name in formats:
        for quantize in FORMATS[format_name].quantizations:  # type: ignore[index]
            row = f"| {name} | {format_name} | {'' if quantize == 'none' else quantize} "
            with tempfile.TemporaryDirectory() as folder:
                try:
                    proof = imgclf.export(
                        by_keras, Path(folder) / "network", format=format_name, quantize=quantize,
                        images=images, min_agreement=0.0, calibrate_on=photos,
                    )  # fmt: skip
                    row += f"{figures(proof)}| {keras_per_s:,.0f} |\n"
                except imgclf.ImgclfError as error:
                    row += f"| {str(error)[:90]} | | | |\n"
            rows.append(row)
            print(row, end="", flush=True)
    return rows


def figures(proof: Proof) -> str:
    """Return the measured columns."""
    return (
        f"| {proof.size_bytes / 1e6:.2f} | {proof.agreement:.1%} | {proof.largest_difference:.0e} "
        f"| {proof.alone_per_s:,.0f}, {proof.batched_per_s:,.0f} "
    )


if __name__ == "__main__":
    main()
