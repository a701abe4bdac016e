"""Plain `tf.data.Dataset`s, as Keras makes them, are labels and pixels in any usual form."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import imgclf
from imgclf.errors import ArgumentError
from shallow_network import shallow

SIDE = 24


def build(num_classes: int) -> keras.Model:
    """Build a small network with reproducible weights."""
    return imgclf.build_model(shallow, (SIDE, SIDE, 3), num_classes, seed=1)


def dataset(labels: Any, *, images: Any = None) -> tf.data.Dataset:
    """Make batches of noise images with these labels."""
    count = len(labels)
    if images is None:
        images = np.random.default_rng(0).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


def test_keras_own_datasets_train_in_every_label_mode(two_classes: Path) -> None:
    """`image_dataset_from_directory` trains two classes alike, as indices and as one-hot labels."""
    histories = []
    for label_mode in ("int", "categorical"):  # and "binary" below: a column of numbers
        train = keras.utils.image_dataset_from_directory(
            two_classes, label_mode=label_mode, image_size=(SIDE, SIDE), batch_size=16,
            shuffle=False, verbose=False,
        )  # fmt: skip
        keras.utils.set_random_seed(0)
        histories.append(imgclf.fit(build(2), train, train, epochs=2).history)
    for history in histories[1:]:
        assert history["val_accuracy"] == histories[0]["val_accuracy"]
        np.testing.assert_allclose(history["loss"], histories[0]["loss"], rtol=1e-5)


@pytest.mark.parametrize("label_mode", [pytest.param("int", marks=pytest.mark.slow), "categorical"])
def test_keras_own_datasets_train_several_classes(three_classes: Path, label_mode: str) -> None:
    """The same holds for three classes, and for the range test."""
    train = keras.utils.image_dataset_from_directory(
        three_classes, label_mode=label_mode, image_size=(SIDE, SIDE), batch_size=16, verbose=False
    )
    assert imgclf.fit(build(3), train, train, epochs=1).history["val_accuracy"][0] >= 0
    assert imgclf.find_learning_rate(build(3), train, num_steps=20).suggestion > 0


def test_every_form_of_two_labels_gives_the_same_training() -> None:
    """Indices, a column, numbers and one-hot labels of two classes are one training."""
    indices = np.arange(8) % 2
    forms = [indices, indices[:, np.newaxis], indices.astype(np.float32), np.eye(2)[indices]]
    losses = [imgclf.fit(build(2), dataset(form), epochs=2).history["loss"] for form in forms]
    for found in losses[1:]:
        np.testing.assert_allclose(found, losses[0], rtol=1e-5)


def test_class_weights_take_names_and_indices(two_classes: Path) -> None:
    """A weight may be given by the class's name or by its index; both are the same training."""
    train, _ = imgclf.make_generators(
        two_classes, image_size=(SIDE, SIDE), batch_size=32, augment="none"
    )
    by_name, by_index, plain = (
        imgclf.fit(build(2), train, epochs=1, class_weight=weights).history["loss"]
        for weights in ({"dark": 9, "light": np.float32(1)}, {0: 9.0, np.int64(1): 1}, None)
    )
    assert by_name == by_index != plain


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"cat": 2.0}, "'cat'.*'dark', 'light'"),
        ({5: 2.0}, "class 5.*from 0 to 1"),
        ({"dark": -1}, r"\['dark'\]=-1"),
        ({"dark": float("inf")}, "=inf"),
        ({"dark": "2"}, "='2'"),
        ({"dark": 1, 0: 2}, "two weights"),
    ],
)
def test_class_weights_of_nothing_are_refused(
    two_classes: Path, weights: Any, message: str
) -> None:
    """A class that there is not, or a weight that is none, is named instead of passed over."""
    train, _ = imgclf.make_generators(two_classes, image_size=(SIDE, SIDE), batch_size=32)
    with pytest.raises(ArgumentError, match=message):
        imgclf.fit(build(2), train, epochs=1, class_weight=weights)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras' own, before ours
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (dataset(np.zeros(8)).unbatch(), r"not batches: give train\.batch\(32\)"),
        (dataset(np.zeros((8, 3))), r"labels of shape \(None, 3\)"),
        (dataset(np.full(8, 7)), "the label 7"),
        (dataset(np.zeros(8), images=np.zeros((8, 30, 30, 3))), r"\(30, 30, 3\), the model reads"),
        (dataset(np.zeros(8)).map(lambda images, _: images), "one tensor of shape"),
        (dataset(np.zeros(8)).take(0), "no batches"),
        (dataset(np.zeros(8)).filter(lambda *_: False), "no batches"),
    ],
    ids=["unbatched", "classes", "index", "size", "no labels", "empty", "found empty"],
)
def test_what_does_not_fit_is_one_line(data: tf.data.Dataset, message: str) -> None:
    """A dataset of another form says what it is and what is needed."""
    with pytest.raises(ArgumentError, match=message) as caught:
        imgclf.fit(build(2), data, epochs=1)
    assert "\n" not in str(caught.value)


def test_validation_batches_are_checked_too(two_classes: Path) -> None:
    """What is wrong with `val` is said of `val`, before the first epoch."""
    good = dataset(np.zeros(8))
    for bad, message in [(good.unbatch(), r"val\.batch"), (dataset(np.full(8, 9)), "val has the")]:
        with pytest.raises(ArgumentError, match=message):
            imgclf.fit(build(2), good, bad, epochs=1)
    other, _ = imgclf.make_generators(two_classes, image_size=(30, 30), batch_size=32)
    with pytest.raises(ArgumentError, match="val has"):
        imgclf.fit(build(2), good, other, epochs=1)
    with pytest.raises(ArgumentError, match="val is tuple"):
        imgclf.fit(build(2), good, (1, 2), epochs=1)  # type: ignore[arg-type]


def test_pixels_that_were_divided_already_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Images of 0..1 for a network that divides by 255 itself get a log warning; others none."""
    images = np.random.default_rng(0).uniform(0, 1, (8, SIDE, SIDE, 3)).astype(np.float32)
    with caplog.at_level(logging.WARNING, "imgclf"):
        imgclf.fit(build(2), dataset(np.arange(8) % 2, images=255 * images), epochs=1)
        assert "divides" not in caplog.text
        imgclf.fit(build(2), dataset(np.arange(8) % 2, images=images), epochs=1)
    assert "divides pixels of 0..255 itself" in caplog.text


@pytest.mark.parametrize("rate", ["1e-3", None, "auto", True, 0, float("inf")])
def test_a_rate_that_is_none_is_named(rate: Any) -> None:
    """A text, None or a rate out of range is refused with what is accepted."""
    with pytest.raises(ArgumentError, match="learning_rate="):
        imgclf.fit(build(2), dataset(np.zeros(8)), epochs=1, learning_rate=rate)


def test_a_rate_may_be_a_number_of_numpy() -> None:
    """NumPy's numbers are numbers."""
    assert imgclf.fit(build(2), dataset(np.zeros(8)), epochs=1, learning_rate=np.float32(1e-3))


def test_a_model_compiled_by_its_owner_keeps_its_labels() -> None:
    """The labels of a dataset reach a loss of the user's as they are."""
    model = build(2)
    seen: list[tf.DType] = []

    def loss(labels: Any, answers: Any) -> Any:
        seen.append(labels.dtype)
        return keras.ops.mean(keras.ops.square(keras.ops.cast(labels, "float32") - answers), -1)

    model.compile("sgd", loss)
    imgclf.fit(model, dataset(np.zeros((8, 1), np.int32)), epochs=1)
    assert set(seen) <= {tf.int32, tf.float32}
