"""Going on from a classifier keeps what it knows: by class name, also when classes come and go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import imgclf
from conftest import write_images
from imgclf.errors import ArgumentError
from imgclf.runs.resolution import make_settings
from imgclf.workflow.learner import TrainingObserver
from imgclf.workflow.training import resume_training, run_training
from imgclf.workflow.transfer import copy_weights, frozen_convolutions
from imgclf.zoo.builder import named_weights


def network(num_classes: int, seed: int) -> keras.Model:
    """Build a small network."""
    return imgclf.build_model(
        "three_conv", (24, 24, 3), num_classes, seed=seed, filters=8, hidden_units=8
    )


def probabilities(model: keras.Model, names: list[str]) -> dict[str, np.ndarray]:
    """Return each class's probability on a few noise images."""
    images = np.random.default_rng(0).integers(0, 256, (5, 24, 24, 3), np.uint8)
    output = model(tf.constant(images), training=False).numpy()
    if len(names) == 2:
        output = np.concatenate([1 - output, output], axis=1)
    return dict(zip(names, output.T, strict=True))


def test_the_same_classes_give_the_same_probabilities() -> None:
    """With equal classes, in another order, every probability stays."""
    old, new = network(3, 1), network(3, 2)
    copy_weights(old, ["a", "b", "c"], new, ["c", "a", "b"])
    before, after = probabilities(old, ["a", "b", "c"]), probabilities(new, ["c", "a", "b"])
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=1e-6)


def test_two_classes_change_places() -> None:
    """The one sigmoid turns round when the two names do."""
    old, new = network(2, 1), network(2, 2)
    copy_weights(old, ["a", "b"], new, ["b", "a"])
    before, after = probabilities(old, ["a", "b"]), probabilities(new, ["b", "a"])
    np.testing.assert_allclose(after["a"], before["a"], atol=1e-6)


def test_from_two_classes_to_three_keeps_their_ratio() -> None:
    """A sigmoid becomes softmax rows 0 and w: the old classes' odds stay as they were."""
    old, new = network(2, 1), network(3, 2)
    copy_weights(old, ["a", "b"], new, ["a", "b", "z"])
    before, after = probabilities(old, ["a", "b"]), probabilities(new, ["a", "b", "z"])
    np.testing.assert_allclose(after["b"] / after["a"], before["b"] / before["a"], rtol=1e-4)


def test_from_three_classes_to_two_keeps_their_ratio() -> None:
    """A class that is dropped takes nothing of the others along."""
    old, new = network(3, 1), network(2, 2)
    copy_weights(old, ["a", "b", "c"], new, ["a", "c"])
    before, after = probabilities(old, ["a", "b", "c"]), probabilities(new, ["a", "c"])
    np.testing.assert_allclose(after["c"] / after["a"], before["c"] / before["a"], rtol=1e-4)


def test_frozen_convolutions_do_not_change(two_classes: Path) -> None:
    """While frozen, convolutions keep their weights and dense layers learn; then all is free."""
    train, _ = imgclf.make_generators(two_classes, image_size=(24, 24))
    model = network(2, 1)
    before = {weight.path: weight.numpy() for weight in model.weights}
    with frozen_convolutions(model, frozen=True):
        imgclf.fit(model, train, epochs=1, learning_rate=1e-2)
    changed = {w.path for w in model.weights if not np.array_equal(before[w.path], w.numpy())}
    assert not any("conv" in path for path in changed)
    assert any(path.startswith("head") for path in changed)
    assert all(layer.trainable for layer in model.layers)


def test_retraining_adds_a_class_and_keeps_the_old(
    trained: Any, two_classes: Path, tmp_path: Path
) -> None:
    """Step 8 of the recipe: go on with a further class; the old ones are compared before/after."""
    write_images(tmp_path / "data", {"black": 25}, seed=5)
    for name in ("dark", "light"):
        (tmp_path / "data" / name).symlink_to(two_classes / name)
    settings = make_settings({"epochs": 2, "batch_size": 16, "freeze": True}, trained.classifier)
    run = run_training(tmp_path / "data", settings, start_from=trained.classifier)
    assert run.classifier.class_names == ("black", "dark", "light")
    assert run.before is not None
    assert set(run.before.class_names) == {"dark", "light"}
    assert run.before.metrics.num_images < run.evaluation.metrics.num_images


class Crash(keras.callbacks.Callback):
    """Ends a training before its first step, as a loss of power would."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Fail."""
        raise RuntimeError("power failure")


def test_a_resumed_run_still_goes_on_from_its_classifier(
    trained: Any, two_classes: Path, tmp_path: Path
) -> None:
    """Killed before its first checkpoint, a run begins with what its classifier knows again."""
    settings = make_settings({"epochs": 1, "batch_size": 16, "freeze": True}, trained.classifier)
    with pytest.raises(RuntimeError, match="power failure"):
        run_training(
            two_classes,
            settings,
            start_from=trained.classifier,
            run_dir=tmp_path / "run",
            observer=TrainingObserver(callbacks=[Crash()]),
        )
    run = resume_training(tmp_path / "run")
    before, after = named_weights(trained.classifier.model), named_weights(run.classifier.model)
    kernels = [name for name in before if "conv" in name and name.endswith("kernel")]
    assert kernels
    for name in kernels:
        assert np.array_equal(before[name], after[name])
    assert run.before is not None


def test_the_network_is_that_of_the_classifier(trained: Any, two_classes: Path) -> None:
    """Asking for another network or size when going on is refused, with what it has."""
    with pytest.raises(ArgumentError, match="image_size"):
        imgclf.train(two_classes, start_from=trained.classifier, image_size=(48, 48))
