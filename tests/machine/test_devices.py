"""Several devices share each batch, none of them goes empty, and a full memory has a way out."""

from __future__ import annotations

import importlib.util
import json
import textwrap
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import imgclf
from forked_python import ForkedPython
from imgclf.errors import ArgumentError, OutOfMemoryError
from imgclf.machine.devices import divisible_batch_size
from imgclf.runs.folder import read_config
from imgclf.workflow.training import Settings, run_training


@given(
    st.integers(1, 512), st.lists(st.integers(1, 5_000), min_size=1, max_size=3), st.integers(1, 8)
)
def test_no_device_goes_empty(batch_size: int, counts: list[int], replicas: int) -> None:
    """Whatever the numbers, each device gets an image of each batch, where there are enough."""
    size = divisible_batch_size(batch_size, counts, replicas)
    if replicas == 1:
        assert size == batch_size
        return
    assert 1 <= size <= max(batch_size, replicas)
    if size > replicas:
        for count in counts:
            last = count % size or size
            share = -(-last // replicas)
            assert share * (replicas - 1) < last


def test_two_devices_train_one_network(
    two_classes: Path, forked_python: ForkedPython, tmp_path: Path
) -> None:
    """On two logical devices the whole way works, and gives a bundle that predicts anywhere."""
    script = f"""
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [half, half])
        import imgclf
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            clf = imgclf.train(
                {str(two_classes)!r}, run_dir={str(tmp_path / "run")!r}, architecture="resnet9",
                options={{"filters": 8}}, image_size=(24, 24), epochs=6, batch_size=16,
                average_weights=True,
            )
        print(type(clf.model.weights[0].value).__name__, clf.figures.accuracy)
    """
    done = forked_python.run(textwrap.dedent(script))
    assert done.returncode == 0, done.stderr[-3000:]
    kind, accuracy = done.stdout.split()
    assert "Mirrored" in kind
    clf = imgclf.load(tmp_path / "run" / "model.imgclf")
    assert clf.figures is not None
    assert clf.figures.accuracy == float(accuracy)
    assert float(accuracy) > 0.8


def test_batches_that_leave_a_device_empty_are_refused(
    two_classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fit` names a batch size that works instead of failing inside batch normalisation."""
    train, val = imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=16)
    monkeypatch.setattr("imgclf.training.preconditions.num_replicas", lambda: 4)
    model = imgclf.build_model("three_conv", (24, 24, 3), filters=8, hidden_units=8)
    with pytest.raises(ArgumentError, match="without an image in the last batch: make the batches"):
        imgclf.fit(model, train, val, epochs=1)


class FullMemory(keras.callbacks.Callback):
    """Stands for a memory that holds steps of 16 images at the most."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Fail where an epoch has few steps, which are large then."""
        if self.params["steps"] < 4:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def small_settings(**values: Any) -> Settings:
    """Return settings of a training of seconds."""
    return Settings(
        architecture="three_conv", options={"filters": 8, "hidden_units": 8}, image_size=(24, 24),
        epochs=1, batch_size=32, **values,
    )  # fmt: skip


def test_a_full_memory_names_a_smaller_batch(two_classes: Path) -> None:
    """Without leave to change it, the batch size to try is in the message."""
    from imgclf.workflow.learner import TrainingObserver

    with pytest.raises(
        OutOfMemoryError, match="step of 32 images does not fit into memory: try --batch-size 16"
    ):
        run_training(
            two_classes, small_settings(), observer=TrainingObserver(callbacks=[FullMemory()])
        )


def test_a_full_memory_shrinks_the_batches(two_classes: Path, tmp_path: Path) -> None:
    """With `shrink_batch` the batch is halved until it fits, and the run folder says so."""
    from imgclf.workflow.learner import TrainingObserver

    run = run_training(
        two_classes, small_settings(shrink_batch=True), run_dir=tmp_path / "run",
        observer=TrainingObserver(callbacks=[FullMemory()]),
    )  # fmt: skip
    assert run.data.train.batch_size == 16
    assert read_config(tmp_path / "run")["batch_size"] == 16


def test_tensorboard_logs_lie_in_the_run_folder(two_classes: Path, tmp_path: Path) -> None:
    """The logs hold the accuracy of each epoch, readable by TensorBoard's own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_training(two_classes, small_settings(tensorboard=True), run_dir=tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "validation"))
    events.Reload()
    assert "epoch_accuracy" in events.Tags()["tensors"]


def test_trackers_say_what_they_need(two_classes: Path) -> None:
    """TensorBoard needs a run folder; MLflow, where it is missing, names its extra."""
    with pytest.raises(ArgumentError, match="needs a run_dir"):
        run_training(two_classes, small_settings(tensorboard=True))
    if importlib.util.find_spec("mlflow") is None:
        with pytest.raises(ArgumentError, match=r"imgclf\[mlflow\]"):
            run_training(two_classes, small_settings(mlflow=True))


def test_determinism_is_never_switched_on_behind_your_back(two_classes: Path) -> None:
    """In a process of yours, bit-identical weights are refused until you have switched it on."""
    with pytest.raises(ArgumentError, match="enable_op_determinism"):
        run_training(two_classes, small_settings(deterministic=True))


def test_deterministic_trainings_give_the_same_bits(
    two_classes: Path, tmp_path: Path, imgclf_command: Any
) -> None:
    """Two processes with the same seed write the same weights, bit for bit."""
    hashes = []
    for name, fresh in (("a", False), ("b", True)):
        run = tmp_path / name
        done = imgclf_command(
            "train", two_classes, "--arch", "three_conv", "--set", "filters=8", "--image-size", 24,
            "--epochs", 2, "--deterministic", "--seed", 3, "--run-dir", run,
            fresh=fresh,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        members = imgclf_command("info", run / "model.imgclf", "--json")
        hashes.append(json.loads(members.stdout)["members"]["weights.safetensors"]["sha256"])
        assert read_config(run)["deterministic"] is True
    assert hashes[0] == hashes[1]
