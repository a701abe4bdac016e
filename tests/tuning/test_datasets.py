"""Searches over plain datasets, which cannot leave the process that made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import imgclf
from imgclf.errors import ArgumentError
from imgclf.tuning.datasets import plan_datasets


def pixels(count: int, num_classes: int = 2) -> tuple[Any, Any]:
    """Return noise whose brightness tells its class, and the classes' indices."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % num_classes
    centres = 255 * (labels + 1) / (num_classes + 1)
    images = rng.normal(centres[:, None, None, None], 30, (count, 24, 24, 3))
    return images.clip(0, 255).astype(np.float32), labels


def plain(count: int, num_classes: int = 2) -> tf.data.Dataset:
    """Return batches of float images and indices, varied by Python code of this process."""
    passes = iter(range(10**6))

    def vary(images: Any) -> Any:
        next(passes)
        return np.clip(images + 1, 0, 255)

    def load(images: Any, labels: Any) -> Any:
        varied = tf.numpy_function(vary, [images], tf.float32)
        varied.set_shape((None, 24, 24, 3))
        return varied, labels

    batches = tf.data.Dataset.from_tensor_slices(pixels(count, num_classes)).shuffle(64).batch(16)
    return batches.map(load)


def test_plain_datasets_are_searched(plugin: str, one_server: None, tmp_path: Path) -> None:
    """Trials learn from a dataset with Python code in it; the best is a bundle with its figure."""
    val = tf.data.Dataset.from_tensor_slices(pixels(32)).batch(16)
    result = imgclf.tune(
        plugin, plain(64), val, max_trials=1, trial_epochs=10, executions=2,
        study_dir=tmp_path / "s", learning_rate=0.05,
    )  # fmt: skip
    (trial,) = result.trials
    assert (trial.status, len(trial.accuracies)) == ("completed", 2)
    assert result.split == "val"
    assert result.evaluation.accuracy == result.best.bundle_accuracy > 0.7
    classifier = imgclf.load(result.bundle)
    assert classifier.class_names == ("0", "1")
    images, labels = pixels(32)
    whole = np.rint(images).astype(np.uint8)
    right = [
        item.label == str(label)
        for item, label in zip(classifier.predict(list(whole)), labels, strict=True)
    ]
    assert np.mean(right) == result.best.bundle_accuracy
    settings = json.loads((tmp_path / "s" / "best.json").read_text())["settings"]
    assert settings["image_size"] == [24, 24]


@pytest.mark.parametrize("form", ["indices", "one-hot"])
def test_labels_of_any_form_become_those_of_the_head(form: str) -> None:
    """Indices and one-hot labels of three classes train and are measured in the same way."""
    images, labels = pixels(30, 3)
    given = labels if form == "indices" else np.eye(3, dtype=np.float32)[labels]
    dataset = tf.data.Dataset.from_tensor_slices((images, given)).batch(10)
    with plan_datasets(dataset, dataset) as plan:
        _, targets = next(plan.train().as_numpy_iterator())
        val = plan.val()
        pixel_batches = list(val.pixels())
        known = val.labels
    assert plan.class_names == ("0", "1", "2")
    assert (targets == np.eye(3)[labels[:10]]).all()
    assert (known == labels).all()
    assert (np.concatenate(pixel_batches) == np.rint(images)).all()


def test_what_a_plain_dataset_cannot_give_is_named(plugin: str, tmp_path: Path) -> None:
    """Fixed dimensions, endless and rescaled images, class weights and refits are one line."""
    images, labels = pixels(16)
    train = val = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    scaled = tf.data.Dataset.from_tensor_slices((images / 255, labels)).batch(8)
    cases: list[tuple[Any, dict[str, Any], str]] = [
        ((train, val), {"tune": ["batch_size"]}, "batch_size cannot be searched with a plain"),
        ((train, val), {"space": {"image_size": [16]}}, "image_size cannot be searched"),
        ((train, val), {"tune": ["augment"]}, "augment cannot be searched"),
        ((train, val), {"class_weight": "balanced"}, "class_weight='balanced' needs"),
        ((train, val), {"refit": 1}, "refit needs test images"),
        ((train.repeat(), val), {}, "train has no end"),
        ((train, scaled), {}, r"val has pixel values up to 1: give images of 0\.\.255"),
        ((train.unbatch(), val), {}, r"train has images of shape \(24, 24, 3\)"),
        ((train.map(lambda image, _: image), val), {}, "elements of the form"),
        ((train, val.take(0)), {}, "val has no batches"),
    ]
    for datasets, arguments, message in cases:
        with pytest.raises(ArgumentError, match=message):
            imgclf.tune(plugin, *datasets, study_dir=tmp_path / "s", **arguments)
