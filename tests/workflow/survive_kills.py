"""Trains 60 steps in forked children that are killed at random moments, and tells what came of it.

Its arguments are FOLDER WORK KILLS SEED; prints one JSON object. It is a script of
its own because the parent must have imported TensorFlow and run no operation when it forks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

import imgclf
from imgclf.training.checkpoints import newest_state

EPOCHS, STEPS = 6, 10


class Note(keras.callbacks.Callback):
    """Writes down each step before the checkpoint of it is written."""

    def __init__(self, file: Path, done: int) -> None:
        super().__init__()
        self._file = file
        self._done = done

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Append the number of steps that are done."""
        self._done += 1
        with self._file.open("a") as file:
            file.write(f"{self._done}\n")


def train(folder: str, checkpoints: Path, notes: Path) -> None:
    """Train, or go on; the child's whole life."""
    tf.config.experimental.enable_op_determinism()
    train_batches, val = imgclf.make_generators(folder, image_size=(24, 24), batch_size=8)
    model = imgclf.build_model("three_conv", (24, 24, 3), seed=0, filters=8, hidden_units=8)
    state = newest_state(checkpoints)
    done = state.epoch * STEPS + state.step if state else 0
    with notes.open("a") as file:
        file.write(f"from {done}\n")
    imgclf.fit(
        model, train_batches, val, epochs=EPOCHS, steps_per_epoch=STEPS,
        checkpoint_dir=checkpoints, checkpoint_interval_s=0, callbacks=[Note(notes, done)],
    )  # fmt: skip
    weights = model.get_weights()
    (checkpoints.parent / "weights.txt").write_text(
        "".join(value.tobytes().hex() for value in weights)
    )


def run(folder: str, work: Path, kills: int, draw: random.Random) -> dict[str, Any]:
    """Train to the end in as many children as it takes."""
    work.mkdir(parents=True)
    checkpoints, notes = work / "checkpoints", work / "notes.txt"
    killed = 0
    while True:
        child = os.fork()
        if child == 0:
            try:
                train(folder, checkpoints, notes)
            except BaseException as error:  # noqa: BLE001 - told to the parent, then gone
                (work / "error.txt").write_text(repr(error))
                os._exit(1)
            os._exit(0)
        # Most of a child's life is start and tracing; kills fall into all of it.
        deadline_s = time.monotonic() + draw.uniform(0.2, 8.0) if killed < kills else float("inf")
        while True:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended or time.monotonic() > deadline_s:
                break
            time.sleep(0.002)
        if ended:
            if status:
                return {"error": (work / "error.txt").read_text()}
            if killed >= kills or not kills:
                break
            # Done before the last kill: the next training begins anew.
            for file in (*checkpoints.iterdir(), notes):
                file.unlink()
            continue
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        killed += 1
    return {
        "killed": killed,
        "lost": lost_steps(notes),
        "weights": (work / "weights.txt").read_text(),
    }


def lost_steps(notes: Path) -> list[int]:
    """Return for each resumed child how many finished steps it had to do again."""
    lost, last = [], 0
    for line in notes.read_text().splitlines():
        if line.startswith("from "):
            lost.append(last - int(line.removeprefix("from ")))
        else:
            last = int(line)
    return lost


def main() -> None:
    """Train once uncut and once killed, and compare."""
    folder, work, kills, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    uncut = run(folder, work / "uncut", 0, random.Random(0))
    cut = run(folder, work / "cut", kills, random.Random(seed))
    same = uncut.pop("weights", "") == cut.pop("weights", None)
    sys.stdout.write(json.dumps({**cut, "same_weights": same, "uncut": uncut}) + "\n")


if __name__ == "__main__":
    main()
