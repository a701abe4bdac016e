"""Train several architectures on the same split of a folder, and compare them.

Usage: python examples/compare_architectures.py FOLDER [NAME ...] [--epochs 15] [--image-size 96]

All have the same training, validation and test images. If two intervals overlap widely, the
difference is not significant: take the smaller network, or evaluate on more images.
"""

import argparse
import time

import imgclf

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder")
parser.add_argument("names", nargs="*", default=["three_conv", "five_conv", "resnet9"])
parser.add_argument("--epochs", type=int, default=15)
parser.add_argument("--image-size", type=int, default=96)
arguments = parser.parse_args()

rows = []
for name in arguments.names:
    began_s = time.monotonic()
    clf = imgclf.train(
        arguments.folder,
        architecture=name,
        image_size=(arguments.image_size, arguments.image_size),
        epochs=arguments.epochs,
        seed=0,  # the split depends on the images and the seed alone: it is the same for all
    )
    rows.append((clf.figures, name, clf.model.count_params(), time.monotonic() - began_s))

print(f"{'architecture':<16} {'accuracy':>8} {'95 % interval':>16} {'parameters':>11} {'time':>6}")
for figures, name, num_parameters, duration_s in sorted(rows, key=lambda row: -row[0].accuracy):
    interval = f"{figures.accuracy_low:.1%} to {figures.accuracy_high:.1%}"
    print(
        f"{name:<16} {figures.accuracy:>8.1%} {interval:>16} {num_parameters:>11,} "
        f"{duration_s:>4.0f} s"
    )
