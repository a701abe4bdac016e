"""Recipes hold for few images as for many, and each of their parts does what its name says."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import imgclf
from imgclf.errors import ArgumentError
from imgclf.training.muon import KernelMuon, even_out, normalised_kernels
from imgclf.training.optimizers import (
    OPTIMIZERS,
    average_momentum,
    choose_optimizer,
    make_optimizer,
    usual_rate,
)
from imgclf.training.recipes import RECIPES, choose_recipe


@given(st.integers(2, 5_000_000), st.integers(2, 5_000_000))
def test_more_images_mean_fewer_epochs_and_more_steps(first: int, second: int) -> None:
    """From a handful to millions: epochs never rise with the images, images seen never fall."""
    few, many = sorted((first, second))
    for name in RECIPES:
        small, large = choose_recipe(name, few), choose_recipe(name, many)
        assert 1 <= large.epochs <= small.epochs
        assert small.batch_size <= large.batch_size
        assert small.epochs * few <= large.epochs * many * 1.2


def test_an_unknown_recipe_names_the_known() -> None:
    """The error lists what is accepted."""
    with pytest.raises(
        ArgumentError, match="'slow' is not accepted: give one of classic, fast, best"
    ):
        choose_recipe("slow", 100)


def small_model(**options: Any) -> keras.Model:
    """Build a network of a few thousand weights."""
    return imgclf.build_model("resnet9", (16, 16, 3), 3, seed=1, filters=8, **options)


def one_block(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
    """One convolution with batch normalisation: what each optimizer needs, and soon compiled."""
    image = keras.Input(input_shape, dtype="uint8", name="image")
    features = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    features = keras.layers.Conv2D(8, 3, use_bias=False, name="conv")(features)
    features = keras.layers.BatchNormalization(name="norm")(features)
    features = keras.layers.ReLU(name="relu")(features)
    features = keras.layers.GlobalAveragePooling2D(name="pooling")(features)
    output = keras.layers.Dense(num_classes, activation="softmax", name="head")(features)
    return keras.Model(image, output)


def noise_batches(num_images: int = 64, batch_size: int = 16) -> Any:
    """Return batches of three classes that differ in brightness."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, num_images)
    images = generator.integers(0, 60, (num_images, 16, 16, 3)) + 90 * labels[:, None, None, None]
    targets = np.eye(3, dtype=np.float32)[labels]
    return tf.data.Dataset.from_tensor_slices((images.astype(np.uint8), targets)).batch(batch_size)


def test_every_optimizer_has_a_usual_rate_and_learns() -> None:
    """At its usual rate each optimizer lowers the loss of an easy task."""
    for name in OPTIMIZERS:
        result = imgclf.fit(
            imgclf.build_model(one_block, (16, 16, 3), 3, seed=1), noise_batches(), epochs=30,
            optimizer=name, learning_rate=usual_rate(name) / 2,
        )  # fmt: skip
        losses = result.history["loss"]
        assert losses[-1] < 0.7 * losses[0], (name, losses)


def test_gradients_are_clipped_by_their_global_norm() -> None:
    """One plain step moves all weights together by no more than the rate times `clip_norm`."""
    lengths = []
    for clip_norm in (None, 1e-3):
        model = imgclf.build_model(one_block, (16, 16, 3), 3, seed=1)
        before = [variable.numpy() for variable in model.trainable_variables]
        imgclf.fit(
            model, noise_batches().take(1), epochs=1, optimizer="sgd", learning_rate=1e-3,
            clip_norm=clip_norm,
        )  # fmt: skip
        pairs = zip(model.trainable_variables, before, strict=True)
        changes = [variable.numpy() - old for variable, old in pairs]
        lengths.append(float(np.sqrt(sum((change**2).sum() for change in changes))))
    free, clipped = lengths
    assert clipped <= 2e-3 * 1e-3 < free  # Nesterov's first step is 1.9 gradients
    with pytest.raises(ArgumentError, match="clip_norm=0"):
        make_optimizer(
            imgclf.build_model(one_block, (16, 16, 3), 3, seed=1), "adam", 1e-3, clip_norm=0
        )


def test_muon_keeps_the_length_of_kernels_and_leaves_the_head_to_adam() -> None:
    """Convolution kernels turn by the rate without growing; the output layer is Adam's."""
    model = small_model()
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer = make_optimizer(model, "muon", 0.1)
    optimizer.build(model.trainable_variables)
    with_velocity = {
        variable.path
        for variable, velocity in zip(
            model.trainable_variables, optimizer.adam_velocities, strict=True
        )
        if velocity is not None
    }
    assert "head/kernel" in with_velocity
    assert "stage2_conv/kernel" not in with_velocity
    generator = np.random.default_rng(0)
    gradients = [generator.normal(size=v.shape).astype("f4") for v in model.trainable_variables]
    optimizer.apply(gradients, model.trainable_variables)
    for variable in model.trainable_variables:
        if variable.path in with_velocity:
            continue
        old, new = before[variable.path], variable.numpy()
        np.testing.assert_allclose(np.linalg.norm(new), np.linalg.norm(old), rtol=1e-5)
        turned = np.linalg.norm(new - old) / np.linalg.norm(old)
        assert 0.08 < turned < 0.12, (variable.path, turned)


def test_muon_is_for_kernels_that_a_normalisation_follows() -> None:
    """A network without normalisation gets Adam; in others what stands free does."""
    assert choose_optimizer(small_model()) == "muon"
    plain = imgclf.build_model("three_conv", (32, 32, 3), filters=8, hidden_units=8)
    assert choose_optimizer(plain) == "adam"
    mixed = imgclf.build_model("five_conv", (32, 32, 3), filters=8, hidden_units=8)
    kernels = normalised_kernels(mixed)
    assert kernels
    assert not any("hidden" in path or "head" in path for path in kernels)


@pytest.mark.parametrize("shape", [(216, 24), (24, 216), (40, 40), (27, 24)])
@pytest.mark.parametrize(("steps", "tolerance"), [(1, 1e-5), (3, 1e-4), (5, 5e-3)])
def test_evening_out_is_keras_newton_schulz(
    shape: tuple[int, int], steps: int, tolerance: float
) -> None:
    """The polynomial of the Gram matrix gives what Keras' iteration gives, in any shape."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=shape) @ np.diag(np.geomspace(1, 1e-4, shape[1]))
    keras_own = keras.optimizers.Muon()
    polynomial = (keras_own.muon_a, keras_own.muon_b, keras_own.muon_c)
    expected = keras_own.zeropower_via_newtonschulz5(matrix.astype("float32"), steps)
    found = np.array(even_out(matrix.astype("float32"), steps, polynomial))
    found *= np.linalg.norm(expected) / np.linalg.norm(found)
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


def test_evening_out_nothing_gives_nothing() -> None:
    """A gradient of zeros, as dead units have, stays zero and finite."""
    assert not np.any(even_out(np.zeros((9, 4), "float32"), 3, (3.4, -4.8, 2.0)))


def test_muon_evens_out_the_directions_of_a_step() -> None:
    """A gradient of very unequal directions becomes a step of nearly equal ones."""
    kernel = keras.Variable(np.random.default_rng(1).normal(size=(3, 3, 16, 24)).astype("f4"))
    before = kernel.numpy()
    optimizer = KernelMuon(0.1, kernels=[kernel.path])
    optimizer.build([kernel])
    generator = np.random.default_rng(2)
    left, _ = np.linalg.qr(generator.normal(size=(144, 24)))
    right, _ = np.linalg.qr(generator.normal(size=(24, 24)))
    spectrum = np.geomspace(1, 0.05, 24)
    gradient = (left * spectrum @ right).reshape(3, 3, 16, 24).astype("f4")
    optimizer.apply([gradient], [kernel])
    step = (kernel.numpy() - before).reshape(144, 24)
    singular = np.linalg.svd(step, compute_uv=False)
    assert singular.max() / np.median(singular) < 2.5
    assert spectrum.max() / np.median(spectrum) > 4


def test_biases_and_normalisations_do_not_decay() -> None:
    """Weight decay shrinks kernels alone."""
    model = small_model()
    before = {v.path: v.numpy() for v in model.trainable_variables}
    optimizer = make_optimizer(model, "sgd", 0.5, weight_decay=0.1)
    zeros = [np.zeros(v.shape, "f4") for v in model.trainable_variables]
    optimizer.apply(zeros, model.trainable_variables)
    for variable in model.trainable_variables:
        share = 0.95 if len(variable.shape) > 1 else 1.0
        np.testing.assert_allclose(variable.numpy(), before[variable.path] * share, rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"weight_decay": 0.1, "optimizer": "muon"}, "nothing to act on"),
        ({"accumulate_steps": 0}, "accumulate_steps=0"),
        ({"optimizer": "lion"}, "'lion' is not accepted"),
    ],
)
def test_wrong_values_are_named(wrong: dict[str, Any], message: str) -> None:
    """Each wrong value is refused by name before a step is made."""
    with pytest.raises(ArgumentError, match=message):
        imgclf.fit(small_model(), noise_batches(), epochs=1, **wrong)


def test_label_smoothing_reaches_the_loss() -> None:
    """Smoothed labels keep the loss of a solved task away from zero."""
    losses = [
        imgclf.fit(
            imgclf.build_model(one_block, (16, 16, 3), 3, seed=1),
            noise_batches(),
            epochs=30,
            label_smoothing=share,
            learning_rate=3e-2,
        ).history["loss"][-1]
        for share in (0.0, 0.3)
    ]
    assert losses[0] < 0.2
    assert losses[1] > 0.5


def test_accumulated_steps_equal_one_large_batch() -> None:
    """Two batches of 16 gathered change the weights as one batch of 32 does."""
    import tensorflow as tf

    def dense() -> keras.Model:
        # Without batch normalisation, which sees each small batch by itself.
        return imgclf.build_model("one_hidden", (32, 32, 3), 3, seed=1, filters=8, dropout=0.0)

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    targets = np.eye(3, dtype=np.float32)[generator.integers(0, 3, 32)]
    data = tf.data.Dataset.from_tensor_slices((images, targets))
    gathered, whole = dense(), dense()
    # In float32: bfloat16, where a processor has it, knows two to three digits.
    settings: dict[str, Any] = {
        "epochs": 2, "optimizer": "sgd", "learning_rate": 0.01, "precision": "float32",
    }  # fmt: skip
    imgclf.fit(gathered, data.batch(16), accumulate_steps=2, **settings)
    imgclf.fit(whole, data.batch(32), **settings)
    for mine, theirs in zip(gathered.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_averaged_weights_are_what_is_measured_and_kept() -> None:
    """The result is the moving average: what was validated is what comes back."""
    model = imgclf.build_model(one_block, (16, 16, 3), 3, seed=1)
    data = noise_batches()
    result = imgclf.fit(
        model, data, data, epochs=3, average_weights=True, learning_rate=1e-2, optimizer="sgd",
        precision="float32",
    )  # fmt: skip
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    loss = model.evaluate(data, verbose=0)[0]
    assert loss == pytest.approx(result.history["val_loss"][result.best_epoch], rel=1e-4)


def test_without_validation_the_average_is_the_result() -> None:
    """The end of a training without validation images has the averages in place."""
    model, plain = (imgclf.build_model(one_block, (16, 16, 3), 3, seed=1) for _ in range(2))
    settings: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-2, "optimizer": "sgd"}
    imgclf.fit(plain, noise_batches(), **settings)
    imgclf.fit(model, noise_batches(), average_weights=True, **settings)
    averages = model.optimizer._model_variables_moving_average
    for weight, average in zip(model.trainable_variables, averages, strict=True):
        np.testing.assert_array_equal(weight.numpy(), average.numpy())
    assert any(
        np.abs(mine - theirs).max() > 1e-4
        for mine, theirs in zip(model.get_weights(), plain.get_weights(), strict=True)
    )


def test_the_average_looks_back_over_a_share_of_the_training() -> None:
    """Short trainings average over a few steps, long ones over many."""
    assert average_momentum(10) == 0.9
    assert average_momentum(20_000) == pytest.approx(0.999)
    assert average_momentum(10**9) == 0.9998
