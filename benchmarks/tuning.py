"""The best accuracy found in a given time: imgclf tune beside KerasTuner used plainly.

Usage: python benchmarks/tuning.py FOLDER [--budget-s 900] [--image-size 96] [--epochs 10]
           [--rounds 3] [--max-trials 1000] [--recipe classic] [--only NAME ...] [--side-by-side]

FOLDER holds train/ and val/ with one sub-folder per class. Both ways search the same space of the
same network (three_conv): learning rate 1e-4 to 1e-2 in equal ratios, 16, 32, 48 or 64 filters, max
or average pooling; at random, Adam, batches of 32, augmentation by zoom, shift and mirroring.

- imgclf: `imgclf tune`, with the beginner's recipe, which is what the other way does as well
  (`--recipe fast` shows what a user gets who leaves that to imgclf: another optimizer);
- kerastuner: `keras_tuner.RandomSearch` with `image_dataset_from_directory` and augmentation
  layers, as the documentation of Keras shows it.

The ways run alternately, each in a process of its own and with another seed in each round; with
--side-by-side both at the same time, each on half of the processors, which change hands each round:
whatever else the machine does weighs on both alike, and it takes half as long.
Printed are the best validation accuracy of each search with its interval, the medians, the number
of trials, and for imgclf the gain over the defaults with its noise band and the overhead of a
trial: its wall time less that of its `fit`, from the second trial on.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from imgclf.figures.intervals import wilson_interval

WAYS = ("imgclf", "kerastuner")
BATCH_SIZE = 32


def main() -> None:
    """Run all searches alternately and print the table."""
    arguments = parse_arguments()
    if arguments.way:
        print(json.dumps(run_kerastuner(arguments)))
        return
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in arguments.only or WAYS}
    for seed in range(arguments.rounds):
        shares = share_processors(len(results), seed) if arguments.side_by_side else ALL_PROCESSORS
        with ThreadPoolExecutor(len(results) if arguments.side_by_side else 1) as running:
            searches = [
                running.submit(measure, way, arguments, seed, processors)
                for way, processors in zip(results, shares, strict=False)
            ]
            for (way, found), search in zip(results.items(), searches, strict=True):
                found.append(search.result())
                print_search(way, found[-1])
    for way, found in results.items():
        best = statistics.median(item["accuracy"] for item in found)
        trials = statistics.median(item["trials"] for item in found)
        print(f"{way:11} median of {len(found)}: {best:.2%} after {trials:g} trials")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--budget-s", type=float, default=900)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-trials", type=int, default=1000)
    parser.add_argument("--recipe", default="recipe")
    parser.add_argument("--only", nargs="*", choices=WAYS)
    parser.add_argument("--side-by-side", action="store_true")
    parser.add_argument("--way", choices=["kerastuner"], help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


ALL_PROCESSORS = itertools.repeat(None)


def share_processors(count: int, turn: int) -> list[list[int]]:
    """Deal this machine's processors out to `count` searches, to others each turn."""
    processors = sorted(os.sched_getaffinity(0))
    shares = [processors[first::count] for first in range(count)]
    return shares[turn % count :] + shares[: turn % count]


def measure(
    way: str, arguments: argparse.Namespace, seed: int, processors: list[int] | None
) -> dict[str, Any]:
    """Run one search in a process of its own, on some processors or, by None, on all."""
    shared = ["--image-size", arguments.image_size, "--trial-epochs", arguments.epochs,
              "--seed", seed, "--max-trials", arguments.max_trials]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        if way == "imgclf":
            start = [sys.executable, "-c", "from imgclf.cli.main import run; run()", "tune"]
            more = ["--arch", "three_conv", "--budget", f"{arguments.budget_s}s", "--json",
                    "--recipe", arguments.recipe, "--augment", "light",
                    "--study-dir", f"{folder}/study"]  # fmt: skip
        else:
            start = [sys.executable, __file__]
            more = ["--way", way, "--budget-s", arguments.budget_s]
        command = [*start, str(arguments.folder.resolve()), *map(str, [*shared, *more])]
        if processors is not None:
            command = ["taskset", "--cpu-list", ",".join(map(str, processors)), *command]
        began_s = time.monotonic()
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, cwd=folder,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{way} failed:\n{done.stderr[-2000:]}")
    found = (
        read_imgclf(done.stdout) if way == "imgclf" else json.loads(done.stdout.splitlines()[-1])
    )
    return {**found, "wall_s": time.monotonic() - began_s}


def read_imgclf(text: str) -> dict[str, Any]:
    """Take the figures out of what `imgclf tune --json` prints."""
    result = json.loads(text)
    done = [row for row in result["trials"] if row["status"] == "completed"]
    overheads = [row["duration_s"] - row["fit_s"] for row in done if row["trial"] > 0]
    return {
        "accuracy": done[0]["bundle_accuracy"],
        "images": result["num_images"],
        "trials": len(done),
        "gain": result["gain"],
        "overhead_s": statistics.median(overheads) if overheads else None,
    }


def run_kerastuner(arguments: argparse.Namespace) -> dict[str, Any]:
    """Search as KerasTuner's own guide does, until the time is over."""
    began_s = time.monotonic()
    import keras
    import keras_tuner

    size = (arguments.image_size, arguments.image_size)
    train, val = (
        keras.utils.image_dataset_from_directory(
            arguments.folder / split, label_mode="binary", image_size=size, batch_size=BATCH_SIZE,
            seed=arguments.seed, verbose=False,
        )
        for split in ("train", "val")
    )  # fmt: skip

    class Deadline(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
            if time.monotonic() - began_s > arguments.budget_s:
                raise KeyboardInterrupt

    tuner = keras_tuner.RandomSearch(
        lambda options: make_model(options, (*size, 3)),
        objective="val_accuracy", max_trials=arguments.max_trials, seed=arguments.seed + 1,
        directory=".", project_name="search",
    )  # fmt: skip
    with contextlib.suppress(KeyboardInterrupt):
        tuner.search(train, validation_data=val, epochs=arguments.epochs, verbose=0,
                     callbacks=[Deadline()])  # fmt: skip
    done = [trial for trial in tuner.oracle.trials.values() if trial.status == "COMPLETED"]
    images = len(val.file_paths)
    return {"accuracy": max(trial.score for trial in done), "images": images, "trials": len(done)}


def make_model(options: Any, shape: tuple[int, int, int]) -> Any:
    """Build three_conv as a user of Keras would, with the augmentation inside."""
    import keras

    layers = keras.layers
    filters = options.Choice("filters", [16, 32, 48, 64])
    pooling = options.Choice("pooling", ["max", "avg"])
    pool = layers.MaxPooling2D if pooling == "max" else layers.AveragePooling2D
    stack = [keras.Input(shape), layers.RandomZoom(0.1), layers.RandomTranslation(0.1, 0.1),
             layers.RandomFlip("horizontal"), layers.Rescaling(1 / 255)]  # fmt: skip
    for width in (filters, filters, 2 * filters):
        stack += [layers.Conv2D(width, 3, activation="relu"), pool(2)]
    stack += [layers.Flatten(), layers.Dense(64, activation="relu"),
              layers.Dense(64, activation="relu"), layers.Dropout(0.5),
              layers.Dense(1, activation="sigmoid")]  # fmt: skip
    model = keras.Sequential(stack)
    rate = options.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def print_search(way: str, found: dict[str, Any]) -> None:
    """Print one line for one search."""
    interval = wilson_interval(round(found["accuracy"] * found["images"]), found["images"])
    line = (
        f"{way:11} {found['accuracy']:.2%} (95 % {interval.low:.1%} to {interval.high:.1%}), "
        f"{found['trials']} trials, {found['wall_s']:.0f} s"
    )
    if found.get("gain"):
        gain = found["gain"]
        line += f", gain {gain['difference']:+.1%} ({gain['low']:+.1%} to {gain['high']:+.1%})"
    if found.get("overhead_s") is not None:
        line += f", overhead {found['overhead_s']:.1f} s a trial"
    print(line, flush=True)


if __name__ == "__main__":
    main()
