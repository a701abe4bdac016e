"""What Keras' own callbacks and files take of a training by imgclf."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import imgclf
from imgclf.data.batches.augmentation import Augmentation
from imgclf.errors import ArgumentError
from imgclf.training.soft_labels import SoftBinaryAccuracy
from pretrained_network import tiny
from shallow_network import shallow

MONITORS = ("loss", "accuracy", "val_loss", "val_accuracy")


def images_of(num_classes: int, *, kind: str = "int") -> tf.data.Dataset:
    """Make batches of noise images with labels of a kind."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 24, 24, 3), np.uint8)
    indices = np.arange(12) % num_classes
    labels: Any = {
        "int": indices,
        "column": indices[:, np.newaxis],
        "float": indices.astype(np.float32),
        "one-hot": np.eye(num_classes, dtype=np.float32)[indices],
    }[kind]
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


def build(num_classes: int) -> keras.Model:
    """Build a small network."""
    return imgclf.build_model(shallow, (24, 24, 3), num_classes, seed=1)


def every_callback(folder: Path) -> list[keras.callbacks.Callback]:
    """Return Keras' callbacks, those that monitor something once for each figure."""
    watching = [
        callback
        for monitor in MONITORS
        for callback in (
            keras.callbacks.EarlyStopping(monitor=monitor, patience=9),
            keras.callbacks.ReduceLROnPlateau(monitor=monitor, patience=9),
            keras.callbacks.ModelCheckpoint(
                folder / f"{monitor}.keras", monitor=monitor, save_best_only=True
            ),
        )
    ]
    return [
        *watching,
        keras.callbacks.CSVLogger(str(folder / "log.csv")),
        keras.callbacks.TensorBoard(str(folder / "logs")),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.LambdaCallback(),
        keras.callbacks.LearningRateScheduler(lambda _epoch, rate: rate / 2),
        keras.callbacks.BackupAndRestore(folder / "backup"),
    ]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_every_callback_of_keras_works_with_every_figure(num_classes: int, tmp_path: Path) -> None:
    """Two classes or more: each figure of the history can be monitored by each callback."""
    data = images_of(num_classes)
    result = imgclf.fit(
        build(num_classes), data, data, epochs=2, callbacks=every_callback(tmp_path)
    )
    assert set(MONITORS) <= set(result.history)
    for monitor in MONITORS:
        assert keras.models.load_model(tmp_path / f"{monitor}.keras").compiled


def test_train_takes_keras_callbacks_for_two_classes(two_classes: Path) -> None:
    """`imgclf.train` of two classes stops early by the validation accuracy, as Keras' users ask."""
    stopping = keras.callbacks.EarlyStopping(monitor="val_accuracy", patience=1)
    classifier = imgclf.train(
        two_classes, architecture="three_conv", options={"filters": 8}, image_size=24, epochs=1,
        batch_size=32, mixup=0.2, callbacks=stopping, run_dir=None,
    )  # fmt: skip
    assert classifier.class_names == ("dark", "light")


@pytest.mark.parametrize("optimizer", ["adam", pytest.param("sgd", marks=pytest.mark.slow), "muon"])
def test_a_fitted_model_is_saved_and_read_back(
    optimizer: str, two_classes: Path, tmp_path: Path
) -> None:
    """What `fit` compiles a model with, soft labels included, is in its `.keras` file."""
    train, val = imgclf.make_generators(
        two_classes, image_size=(24, 24), batch_size=32, augment=Augmentation(mixup=0.2)
    )
    model = build(2)
    rate = keras.optimizers.schedules.CosineDecay(1e-3, 10)
    imgclf.fit(model, train, epochs=1, optimizer=optimizer, learning_rate=rate)
    model.save(tmp_path / "model.keras")
    read = keras.models.load_model(tmp_path / "model.keras")
    assert type(read.optimizer) is type(model.optimizer)
    images, _ = next(iter(val))
    np.testing.assert_array_equal(read(images), model(images))
    assert read.evaluate(val, verbose=0, return_dict=True)["accuracy"] >= 0


def test_a_model_after_a_range_test_is_saved_and_read_back(tmp_path: Path) -> None:
    """The rising rate of `find_learning_rate` does not make a model unreadable."""
    model = build(2)
    imgclf.find_learning_rate(model, images_of(2).repeat(), num_steps=20)
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").count_params()


def test_muon_forgets_no_kernel_in_a_file() -> None:
    """The kernels that Muon moves are part of what is saved of it."""
    model = imgclf.build_model(tiny, (24, 24, 3))
    imgclf.fit(model, images_of(2), epochs=1, optimizer="muon")
    again = keras.optimizers.deserialize(keras.optimizers.serialize(model.optimizer))
    assert again.kernels == model.optimizer.kernels != frozenset()


def test_the_soft_accuracy_counts_shares_and_logits() -> None:
    """A label of 0.8 is the second class; a logit of 0.1 answers it, a probability does not."""
    labels, answers = [[0.8], [0.8], [0.2]], [[0.1], [0.9], [0.1]]
    metric = SoftBinaryAccuracy()
    metric.update_state(np.array(labels), np.array(answers))
    assert float(metric.result()) == pytest.approx(2 / 3)
    metric = SoftBinaryAccuracy.from_config(SoftBinaryAccuracy(from_logits=True).get_config())
    metric.update_state(np.array(labels), np.array(answers))
    assert float(metric.result()) == pytest.approx(2 / 3)
    metric.update_state(np.array([1, 0]), np.array([[5.0], [-5.0]]))
    assert float(metric.result()) == pytest.approx(4 / 5)


def test_what_is_no_callback_is_named() -> None:
    """A class in place of a callback gets the call that makes one."""
    with pytest.raises(ArgumentError, match=r"give TerminateOnNaN\(\)"):
        imgclf.fit(build(2), images_of(2), epochs=1, callbacks=[keras.callbacks.TerminateOnNaN])
