"""From photos to a classifier: imgclf beside what its user would otherwise have written.

Usage: python benchmarks/peers.py TRAIN_DIR TEST_DIR [--ways imgclf,guide,classic] [--seeds 3]

Each way is a process of its own, from the command to the last figure, with an empty cache; the ways
take turns. TEST_DIR chooses nothing.

- imgclf: `imgclf train TRAIN_DIR --test TEST_DIR`; also the seconds to its first classifier.
- guide: Keras' guide "Transfer learning & fine-tuning" with the same backbone and image size: a
  frozen backbone with dropout and a dense layer, Adam, 20 epochs (flips and small rotations), then
  10 epochs of the whole network at 1e-5, batch normalisation frozen
  (https://keras.io/guides/transfer_learning/).
- classic: the beginner's recipe, `imgclf train --recipe classic`.

fastai and torchvision fetch their pretrained weights from the network when they run, so they
cannot be measured where there is none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GUIDE = """
import sys
import keras
import imgclf
train_dir, test_dir, seed, size, batch = sys.argv[1], sys.argv[2], int(sys.argv[3]), 224, 32
keras.utils.set_random_seed(seed)
def read(folder, shuffle):
    return keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=batch, shuffle=shuffle, seed=seed,
        label_mode="binary",
    )
train, test = read(train_dir, True), read(test_dir, False)
backbone = imgclf.build_model("efficientnet_lite", (size, size, 3), 2)  # for the weights alone
pooled = next(one for one in backbone.layers if "Pooling" in type(one).__name__).output
base = keras.Model(backbone.inputs, pooled)
base.trainable = False
augment = keras.Sequential(
    [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
)
pixels = lambda x: keras.ops.cast(x, "uint8")
augmented = train.map(lambda x, y: (pixels(augment(x, training=True)), y)).prefetch(2)
test = test.map(lambda x, y: (pixels(x), y))
inputs = keras.Input((size, size, 3), dtype="uint8")
x = keras.layers.Dropout(0.2)(base(inputs, training=False))
model = keras.Model(inputs, keras.layers.Dense(1)(x))
loss = keras.losses.BinaryCrossentropy(from_logits=True)
metrics = [keras.metrics.BinaryAccuracy(threshold=0.0)]
model.compile(keras.optimizers.Adam(), loss=loss, metrics=metrics)
model.fit(augmented, epochs=20, verbose=0)
base.trainable = True
model.compile(keras.optimizers.Adam(1e-5), loss=loss, metrics=metrics)
model.fit(augmented, epochs=10, verbose=0)
print(model.evaluate(test, verbose=0)[1])
"""


def main() -> None:
    """Run the ways in turn, and print a line for each run and way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("train_dir", type=Path)
    parser.add_argument("test_dir", type=Path)
    parser.add_argument("--ways", default="imgclf,guide,classic")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    runs: dict[str, list[tuple[float, float]]] = {}
    for seed in range(arguments.seeds):
        for way in arguments.ways.split(","):
            accuracy, first_s, whole_s = run(way, arguments.train_dir, arguments.test_dir, seed)
            runs.setdefault(way, []).append((accuracy, whole_s))
            first = f", first classifier after {first_s:.1f} s" if first_s else ""
            print(f"{way}, seed {seed}: {accuracy:.1%} in {whole_s:.1f} s{first}", flush=True)
    for way, found in runs.items():
        accuracies, seconds = zip(*found, strict=True)
        print(f"{way}: {statistics.mean(accuracies):.1%} in {statistics.median(seconds):.1f} s")


def run(way: str, train_dir: Path, test_dir: Path, seed: int) -> tuple[float, float, float]:
    """Run one way; returns accuracy, seconds to its first classifier (0: unknown), seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "IMGCLF_CACHE_DIR": f"{folder}/cache"}
        began_s = time.monotonic()
        if way == "guide":
            done = subprocess.run(  # noqa: S603 - our own
                [sys.executable, "-c", GUIDE, train_dir, test_dir, str(seed)],
                check=True, capture_output=True, text=True, env=environment,
            )  # fmt: skip
            return float(done.stdout.split()[-1]), 0.0, time.monotonic() - began_s
        run_dir = Path(folder) / "run"
        command = [sys.executable, "-m", "imgclf", "train", train_dir, "--test", test_dir]
        command += ["--run-dir", run_dir, "--seed", str(seed)]
        command += ["--recipe", "classic"] if way == "classic" else []
        process = subprocess.Popen(  # noqa: S603 - our own
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        first_s = 0.0
        while process.poll() is None:
            if not first_s and (run_dir / "model.imgclf").exists():
                first_s = time.monotonic() - began_s
            time.sleep(0.1)
        whole_s = time.monotonic() - began_s
        if process.returncode:
            raise SystemExit(f"{way} ended with {process.returncode}.")
        record = json.loads((run_dir / "record.json").read_text(encoding="utf-8"))
        return record["evaluation"]["accuracy"], first_s, whole_s


if __name__ == "__main__":
    main()
