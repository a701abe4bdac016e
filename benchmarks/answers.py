"""How fast a classifier answers: one photo from a cold start, and many, beside other ways.

Usage: python benchmarks/answers.py CLASSIFIER PHOTOS [--rounds 5]

CLASSIFIER is a `.imgclf` file, PHOTOS a folder. The ways run alternately, each in a process of its
own, from the command to the answer:

- imgclf: `imgclf predict`;
- keras: a script that loads the `.keras` export and predicts the same photo with Keras;
- onnx: a script with ONNX Runtime on the `.onnx` export, where that is installed.

Then all photos are answered in one process: by `Classifier.predict`, and by Keras' `model.predict`
on pixels from the same decoder, decoding included. Printed are medians in seconds, and ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imgclf
from imgclf.data.reading.layout import find_images

READ = """
import sys, numpy as np
from PIL import Image, ImageOps
path, photo, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")
pixels = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))[None]
"""
KERAS = READ + "import keras\nprint(keras.models.load_model(path)(pixels).numpy().argmax())"
ONNX = READ + (
    "import onnxruntime\nsession = onnxruntime.InferenceSession(path)\n"
    "print(session.run(None, {'image': pixels})[0].argmax())"
)
MANY = """
import sys, time
import imgclf
from imgclf.data.pixels.sources import decode_sources
clf = imgclf.load(sys.argv[1])
photos = sys.argv[2]
if sys.argv[3] == "imgclf":
    clf.predict(sorted(__import__("pathlib").Path(photos).rglob("*.jpg"))[:4])
    began = time.perf_counter()
    clf.predict(photos)
else:
    from imgclf.data.pixels.sources import expand_sources
    import numpy as np
    model = clf.model
    files = list(expand_sources(photos))
    model.predict(np.zeros((32, *clf.policy.pixel_shape), np.uint8), verbose=0)
    began = time.perf_counter()
    for batch in decode_sources(files, clf.policy, [], strict=True):
        model.predict(batch, verbose=0)
print(time.perf_counter() - began)
"""


def main() -> None:
    """Export, run the ways alternately, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("classifier", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    classifier = imgclf.load(arguments.classifier)
    height, width = classifier.policy.image_size
    photo = str(next(iter(find_images(arguments.photos))))
    with tempfile.TemporaryDirectory() as folder:
        ways = {"imgclf": [sys.executable, "-m", "imgclf", "predict", arguments.classifier, photo]}
        scripts = {"keras": (KERAS, ".keras")}
        if importlib.util.find_spec("onnxruntime"):
            scripts["onnx"] = (ONNX, ".onnx")
        for name, (script, suffix) in scripts.items():
            path = Path(folder) / f"network{suffix}"
            imgclf.export(classifier, path, format=name)
            ways[name] = [sys.executable, "-c", script, path, photo, str(width), str(height)]
        cold: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, command in ways.items():
                began_s = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own
                cold[name].append(time.perf_counter() - began_s)
    many: dict[str, list[float]] = {"imgclf": [], "keras": []}
    for _ in range(min(3, arguments.rounds)):
        for name, seconds in many.items():
            done = subprocess.run(  # noqa: S603 - our own
                [sys.executable, "-c", MANY, arguments.classifier, arguments.photos, name],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            seconds.append(float(done.stdout.split()[-1]))
    for title, found in (("one photo, cold", cold), ("all photos", many)):
        own = statistics.median(found["imgclf"])
        for name, seconds in found.items():
            middle = statistics.median(seconds)
            print(f"{title}: {name} {middle:.2f} s, {middle / own:.2f} times imgclf")


if __name__ == "__main__":
    main()
