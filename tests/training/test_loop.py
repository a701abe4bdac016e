"""fit trains what Keras would, loses nothing, and leaves no trace in Keras' global state."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import imgclf
from imgclf.data.batches.augmentation import Augmentation
from imgclf.errors import ArgumentError, TrainingError
from imgclf.training.objective import balanced_class_weights
from imgclf.training.soft_labels import weigh_classes
from shallow_network import shallow


@pytest.fixture(scope="module")
def batches(two_classes: Path) -> Any:
    """Training and validation batches of the folder of two classes."""
    return imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=16, augment="none")


@pytest.fixture
def model() -> keras.Model:
    """Return a small network with reproducible weights."""
    return imgclf.build_model(shallow, (24, 24, 3), seed=1)


@pytest.fixture(scope="module")
def fitted(batches: Any) -> tuple[keras.Model, imgclf.FitResult, int]:
    """Return a network that was trained for four epochs, its figures and the number of steps."""
    model = imgclf.build_model(shallow, (24, 24, 3), seed=1)
    count = _StepCounter()
    result = imgclf.fit(model, *batches, epochs=4, learning_rate=5e-3, callbacks=[count])
    return model, result, count.steps


def test_the_loss_falls(fitted: tuple[keras.Model, imgclf.FitResult, int]) -> None:
    """A few epochs on an easy set lower the loss; the figures have the names of Keras' history."""
    result = fitted[1]
    assert isinstance(result, imgclf.FitResult)
    assert result.epochs == 4
    assert result.head_epochs == 0
    assert result.history["loss"][-1] < result.history["loss"][0]
    assert set(result.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_the_best_epoch_is_given_back(batches: Any, model: keras.Model) -> None:
    """The model ends with the weights of its best epoch, not of the last."""
    train, val = batches
    seen: list[list[np.ndarray]] = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda _epoch, _logs: seen.append(model.get_weights())
    )
    result = imgclf.fit(model, train, val, epochs=5, learning_rate=2e-2, callbacks=[keep])
    scores = list(zip(result.history["val_accuracy"], result.history["val_loss"], strict=True))
    best = min(range(5), key=lambda epoch: (-scores[epoch][0], scores[epoch][1], epoch))
    assert result.best_epoch == best
    for kept, weight in zip(seen[best], model.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, weight)


def test_an_interrupted_fit_gives_the_best_weights_back(batches: Any, model: keras.Model) -> None:
    """After Ctrl-C in the third epoch the model has the weights of the best one before."""
    seen: list[list[np.ndarray]] = []

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(self.model.get_weights())

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if len(seen) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imgclf.fit(model, *batches, epochs=9, learning_rate=5e-3, callbacks=[Interrupt()])
    assert any(
        all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
        for weights in seen
    )


@pytest.mark.parametrize("steps", [1, pytest.param(3, marks=pytest.mark.slow), 11])
def test_any_number_of_steps_works(steps: int, batches: Any, model: keras.Model) -> None:
    """steps_per_epoch below and above the number of batches never runs out of data."""
    train, val = batches
    count = _StepCounter()
    imgclf.fit(
        model, train, val, epochs=3, steps_per_epoch=steps, validation_steps=99, callbacks=[count]
    )
    assert count.steps == 3 * steps


def test_steps_default_to_samples_by_batch_size(
    fitted: tuple[keras.Model, imgclf.FitResult, int], batches: Any
) -> None:
    """Without steps_per_epoch an epoch is samples / batch size, rounded up."""
    train, _ = batches
    assert fitted[2] == 4 * -(-train.num_samples // 16) == 4 * train.steps_per_epoch


@pytest.mark.parametrize("endless", [pytest.param(False, marks=pytest.mark.slow), True])
def test_plain_datasets_are_welcome(endless: bool, model: keras.Model) -> None:
    """Any tf.data.Dataset trains, with an end or, when told the steps, without."""
    images = np.zeros((10, 24, 24, 3), np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.zeros((10, 1), np.float32))).batch(5)
    count = _StepCounter()
    if endless:
        with pytest.raises(ArgumentError, match="steps_per_epoch"):
            imgclf.fit(model, dataset.repeat(), epochs=1)
        imgclf.fit(model, dataset.repeat(), epochs=2, steps_per_epoch=7, callbacks=[count])
        assert count.steps == 14
    else:
        imgclf.fit(model, dataset, dataset, epochs=2, callbacks=[count])
        assert count.steps == 4


def test_whole_number_labels_take_the_sparse_loss() -> None:
    """A plain dataset with class indices trains a network of several classes."""
    model = imgclf.build_model(shallow, (24, 24, 3), 4)
    images = np.zeros((8, 24, 24, 3), np.uint8)
    dataset = tf.data.Dataset.from_tensor_slices((images, np.arange(8) % 4)).batch(4)
    imgclf.fit(model, dataset, epochs=1)
    assert isinstance(model.loss, keras.losses.SparseCategoricalCrossentropy)


def test_the_users_own_compile_is_kept(batches: Any, model: keras.Model) -> None:
    """A model that was compiled before keeps its optimizer and loss; ours are made anew."""
    optimizer = keras.optimizers.RMSprop(1e-4)
    model.compile(optimizer, loss="mean_squared_error")
    imgclf.fit(model, *batches, epochs=1, learning_rate=0.5)
    assert model.optimizer is optimizer
    assert model.loss == "mean_squared_error"
    fresh = imgclf.build_model(shallow, (24, 24, 3))
    imgclf.fit(fresh, *batches, epochs=1, learning_rate=1e-3)
    imgclf.fit(fresh, *batches, epochs=1, learning_rate=1e-4)
    assert float(fresh.optimizer.learning_rate) == pytest.approx(1e-4)


def test_a_training_step_is_traced_once(batches: Any, model: keras.Model) -> None:
    """Tracing takes longer than most steps: none makes variables, after which it were repeated."""
    traced = []

    class Traced(keras.optimizers.Adam):
        def apply(self, *arguments: Any, **keywords: Any) -> Any:
            traced.append(arguments)
            return super().apply(*arguments, **keywords)

    model.compile(Traced(), "binary_crossentropy")
    imgclf.fit(model, *batches, epochs=2)
    assert len(traced) == 1


def test_xla_stays_off_on_a_cpu(fitted: tuple[keras.Model, imgclf.FitResult, int]) -> None:
    """Without a GPU the step is not compiled by XLA, unless that is asked for."""
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("a GPU is here, XLA may be used")
    assert fitted[0].jit_compile is False


def test_mixed_precision_is_for_the_steps_alone(batches: Any, model: keras.Model) -> None:
    """In bfloat16 the head stays float32, and afterwards, even after an error, all is float32."""
    seen: dict[str, str] = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.update({layer.name: layer.compute_dtype for layer in self.model.layers})
            raise RuntimeError("enough")

    before = keras.config.dtype_policy().name
    with pytest.raises(RuntimeError, match="enough"):
        imgclf.fit(model, *batches, epochs=1, precision="mixed_bfloat16", callbacks=[Look()])
    assert seen["conv"] == "bfloat16"
    assert seen["head"] == "float32"
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == before
    assert model(np.zeros((1, 24, 24, 3), np.uint8)).dtype == tf.float32


@pytest.mark.slow
def test_mixed_precision_learns(batches: Any) -> None:
    """Training in bfloat16 lowers the loss as float32 does."""
    plain = imgclf.build_model(
        "three_conv", (24, 24, 3), seed=1, filters=8, hidden_units=8, dropout=0.0
    )
    result = imgclf.fit(plain, *batches, epochs=6, learning_rate=5e-3, precision="mixed_bfloat16")
    assert result.history["loss"][-1] < 0.9 * result.history["loss"][0]


def test_a_loss_that_is_no_number_stops_the_training(batches: Any, model: keras.Model) -> None:
    """NaN ends the training at that step with an error that names step and rate."""
    model.get_layer("head").bias.assign([np.nan])
    with pytest.raises(TrainingError, match=r"at step 1 with learning rate 0\.001"):
        imgclf.fit(model, *batches, epochs=9)


def test_patience_ends_a_training_that_does_not_get_better(
    batches: Any, model: keras.Model
) -> None:
    """With a rate of almost nothing, patience ends the training early."""
    result = imgclf.fit(model, *batches, epochs=50, learning_rate=1e-30, patience=2)
    assert result.epochs <= 4


def test_balanced_weights_are_scikit_learns() -> None:
    """balanced_class_weights gives what scikit-learn's compute_class_weight gives."""
    compute = pytest.importorskip("sklearn.utils.class_weight").compute_class_weight
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    expected = compute("balanced", classes=np.arange(3), y=labels)
    assert list(balanced_class_weights(labels, 3).values()) == pytest.approx(list(expected))


def test_class_weights_reach_the_loss(batches: Any) -> None:
    """A weight of zero for one class removes it from the loss."""
    train, _ = batches
    losses = []
    for weights in (None, {0: 0.0, 1: 0.0}, "balanced"):
        model = imgclf.build_model(shallow, (24, 24, 3), seed=1)
        losses.append(imgclf.fit(model, train, epochs=1, class_weight=weights).history["loss"][0])
    assert losses[1] == 0
    assert losses[2] != losses[0]


def test_soft_labels_have_an_accuracy(two_classes: Path, model: keras.Model) -> None:
    """With mixed labels the history's accuracy counts as it should; Keras' own would read 0."""
    train, val = imgclf.make_generators(
        two_classes, image_size=(24, 24), batch_size=16, augment=Augmentation(mixup=0.2)
    )
    result = imgclf.fit(model, train, val, epochs=3, learning_rate=5e-3, class_weight="balanced")
    assert min(result.history["accuracy"]) > 0.3
    labels = [labels for _, labels in train]
    assert any(((soft > 0) & (soft < 1)).numpy().any() for soft in labels)


def test_soft_labels_are_weighted_by_their_shares(batches: Any) -> None:
    """An image that is 0.75 of class 1 has three quarters of its weight, not none or all."""
    labels = tf.constant([[0.0], [1.0], [0.75]])
    plain = tf.data.Dataset.from_tensors((tf.zeros((3, 2)), labels))
    (_, _, weights) = next(iter(weigh_classes(plain, {0: 2.0, 1: 4.0}, 2)))
    np.testing.assert_allclose(weights, [2.0, 4.0, 3.5])
    one_hot = tf.data.Dataset.from_tensors((tf.zeros((1, 2)), tf.constant([[0.5, 0.0, 0.5]])))
    (_, _, weights) = next(iter(weigh_classes(one_hot, {0: 2.0, 1: 4.0, 2: 6.0}, 3)))
    np.testing.assert_allclose(weights, [4.0])


def test_rare_classes_are_made_up_for_once(two_classes: Path, model: keras.Model) -> None:
    """Balanced weights on top of oversampling would favour the rare class: refused."""
    train, val = imgclf.make_generators(two_classes, image_size=(24, 24), oversample=True)
    with pytest.raises(ArgumentError, match="twice"):
        imgclf.fit(model, train, val, epochs=1, class_weight="balanced")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"optimizer": "adm"}, "adam, adamw, rmsprop, sgd"),
        ({"precision": "float16"}, "'mixed_bfloat16'"),
        ({"class_weight": "equal"}, "'balanced'"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: Any, message: str, batches: Any, model: keras.Model
) -> None:
    """A wrong argument gives one line with its name, its value and what is accepted."""
    with pytest.raises(ArgumentError, match=message):
        imgclf.fit(model, *batches, **{"epochs": 1, **arguments})


def test_a_model_for_other_images_is_refused(batches: Any) -> None:
    """A network for another image size or class count is refused with the call that fits."""
    with pytest.raises(ArgumentError, match=r"train\.input_shape"):
        imgclf.fit(imgclf.build_model("three_conv", (32, 32, 3), filters=8), *batches, epochs=1)
    with pytest.raises(ArgumentError, match="num_classes"):
        imgclf.fit(imgclf.build_model("three_conv", (24, 24, 3), 5, filters=8), *batches, epochs=1)


def test_fit_prints_what_is_asked_for(
    batches: Any, model: keras.Model, capfd: pytest.CaptureFixture[str]
) -> None:
    """`verbose=0` is silent; by default a pipe gets one line an epoch, on standard error."""
    logging.getLogger("imgclf").setLevel(logging.WARNING)
    imgclf.fit(model, *batches, epochs=1, verbose=0)
    assert capfd.readouterr() == ("", "")
    imgclf.fit(model, *batches, epochs=2)
    output, errors = capfd.readouterr()
    assert output == ""
    lines = [line for line in errors.splitlines() if line.startswith("Epoch")]
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)


class _StepCounter(keras.callbacks.Callback):
    """Counts training steps."""

    steps = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps += 1
