"""Fitting a network to batches of images."""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from rich.console import Console

from imgclf.data.generators import Batches
from imgclf.errors import ArgumentError, TrainingError
from imgclf.training.averaging import AveragedWeights
from imgclf.training.best_epoch import BestEpoch
from imgclf.training.checkpoints import (
    INTERVAL_S,
    CheckpointWriter,
    TrainingState,
    newest_state,
    restore,
)
from imgclf.training.devices import divisible_batch_size, num_replicas
from imgclf.training.normalisation import fused_normalisation
from imgclf.training.optimizers import make_optimizer
from imgclf.training.precision import (
    Precision,
    choose_jit_compile,
    choose_precision,
    training_precision,
)
from imgclf.training.progress import TrainingProgress
from imgclf.training.soft_labels import choose_accuracy, weigh_classes

__all__ = ["fit"]

_compiled_here: weakref.WeakSet[Any] = weakref.WeakSet()
"""Models that `fit` compiled itself; the user's own compile is recognised by its absence."""


def fit(
    model: keras.Model,
    train: tf.data.Dataset,
    val: tf.data.Dataset | None = None,
    *,
    epochs: int = 20,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    class_weight: Mapping[int, float] | Literal["balanced"] | None = None,
    weight_decay: float | None = None,
    label_smoothing: float = 0.0,
    average_weights: bool = False,
    accumulate_steps: int = 1,
    steps_per_execution: int = 1,
    patience: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    precision: Precision = "auto",
    jit_compile: bool | Literal["auto"] = "auto",
    checkpoint_dir: str | os.PathLike[str] | None = None,
    checkpoint_interval_s: float = INTERVAL_S,
    verbose: int | bool = 0,
) -> keras.callbacks.History:
    """Fit a network to batches of images, and keep the weights of its best epoch.

    The loss follows from the output layer: binary cross-entropy for one sigmoid unit, categorical
    cross-entropy for more. A model that you have compiled yourself keeps its optimizer, loss
    and metrics. With `val`, the model ends with the weights of the epoch of the best
    validation accuracy, also after an exception or Ctrl-C.

    Args:
        model: What `imgclf.build_model` returns, or any Keras classifier.
        train: What `imgclf.make_generators` returns, or any `tf.data.Dataset` of
            ``(images, labels)``.
        val: Validation batches of the same kind.
        epochs: Passes over the training images, from 1 on.
        learning_rate: A number above 0 or a Keras schedule. An optimizer *object* keeps its own.
        optimizer: ``"adam"``, ``"adamw"``, ``"rmsprop"``, ``"sgd"`` (Nesterov momentum 0.9), or a
            Keras optimizer.
        steps_per_epoch: Batches per epoch; None is samples / batch size, rounded up. Any number
            works: the images are gone through again and again.
        validation_steps: Most validation batches per epoch; None takes all.
        class_weight: Weight of each class in the loss, by class index; ``"balanced"`` weighs
            classes by the inverse of their frequency.
        weight_decay: Share of each kernel, 0 to 1, that a step of rate 1 takes away; None is the
            optimizer's own: 0.004 for ``"adamw"``, none for the others.
        label_smoothing: Share of each label, 0 to 1 (exclusive), that is spread over all classes
            (Szegedy et al. 2015, arXiv:1512.00567).
        average_weights: Whether validation and the result take a moving average of the weights
            over the last twentieth of the training.
        accumulate_steps: Batches whose mean gradient makes one change of the weights, from 1 on:
            large batches in little memory.
        steps_per_execution: Steps that TensorFlow makes before it comes back to Python, a divisor
            of the steps per epoch; callbacks see every so many. Worth it where steps take
            milliseconds.
        patience: Epochs without a better one after which the training ends; None never ends it
            early.
        callbacks: Any Keras callbacks.
        precision: Of the training steps: ``"auto"``, ``"float32"`` or ``"mixed_bfloat16"``. The
            model is float32 before and after; the figures in the history are in training
            precision, `imgclf.evaluate` always computes in float32.
        jit_compile: Whether XLA compiles the step; ``"auto"`` never does on a CPU, where it is
            slower.
        checkpoint_dir: A folder where the whole state is saved after each epoch, and within one.
            A training that finds a state there goes on from it exactly, with the same images in
            the same order; `train` must be batches of `imgclf.make_generators`.
        checkpoint_interval_s: Seconds between two states within an epoch.
        verbose: 1 draws the progress on standard error.

    Returns:
        Keras' history; its ``best_epoch`` counts from 0 and is None without `val`.

    Raises:
        ArgumentError: An argument is out of range, or data and model do not fit each other.
        TrainingError: The loss is not a number any more; the message names step and rate.

    Example:
        >>> history = imgclf.fit(model, train, val, epochs=20)    # doctest: +SKIP
        >>> history.history["val_accuracy"][history.best_epoch]   # doctest: +SKIP
    """
    _require_counts(
        epochs=epochs,
        steps_per_epoch=steps_per_epoch,
        validation_steps=validation_steps,
        accumulate_steps=accumulate_steps,
        steps_per_execution=steps_per_execution,
        patience=patience,
    )
    if not 0 <= label_smoothing < 1:
        raise ArgumentError(
            f"label_smoothing={label_smoothing!r} is not accepted: give a number from 0 to 1."
        )
    chosen = choose_precision(precision)
    _require_fit(model, train)
    _require_shares(train, val)
    steps = _count_steps(train, steps_per_epoch)
    if steps_per_execution > 1 and (
        steps is None or steps % steps_per_execution or checkpoint_dir is not None
    ):
        raise ArgumentError(
            f"steps_per_execution={steps_per_execution} needs an epoch of a multiple of so many "
            f"steps (this one has {steps}) and no checkpoint_dir: leave it out."
        )
    if not model.compiled or model in _compiled_here:
        made = make_optimizer(
            model,
            optimizer,
            learning_rate,
            weight_decay=weight_decay,
            average_over=epochs * (steps or 1) if average_weights else None,
            accumulate_steps=accumulate_steps,
        )
        loss = _choose_loss(model, train, label_smoothing)
        compiled_step = choose_jit_compile(jit_compile)
        model.compile(
            made,
            loss,
            metrics=[choose_accuracy(model)],
            jit_compile=compiled_step,
            steps_per_execution=steps_per_execution,
        )
        _compiled_here.add(model)
    averaged = AveragedWeights() if model.optimizer.use_ema else None
    best = BestEpoch(patience, averaged.measured if averaged else keras.Model.get_weights)
    state = _resume(model, train, best, checkpoint_dir)
    weights = _class_weights(class_weight, train)
    watching: list[keras.callbacks.Callback] = [_StopAtNaN(), best]
    watching += [averaged] if averaged else []
    if checkpoint_dir is not None:
        writer = CheckpointWriter(Path(checkpoint_dir), best, state, checkpoint_interval_s)
        watching.append(writer)
    figures = {name: list(values) for name, values in state.history.items()} if state else {}
    history = keras.callbacks.History()
    with (
        training_precision(model, chosen),
        fused_normalisation(model),
        _progress(verbose, train) as drawing,
    ):
        try:
            for part in _parts(state, epochs, steps):
                stream = _stream(train, part, steps)
                keras_weights = weights
                if weights is not None and isinstance(train, Batches):
                    stream = weigh_classes(stream, weights, train.num_classes)
                    keras_weights = None
                history = model.fit(
                    stream,
                    initial_epoch=part.first_epoch,
                    epochs=part.last_epoch,
                    steps_per_epoch=part.steps,
                    shuffle=False,  # the batches come shuffled; Keras warns otherwise
                    validation_data=_limited(val, validation_steps),
                    class_weight=keras_weights,
                    callbacks=[*callbacks, *watching, *drawing],
                    verbose=0,
                )
                for name, values in history.history.items():
                    figures.setdefault(name, []).extend(values)
                if model.stop_training:
                    break
        finally:
            best.restore()
    if averaged and not best.weights:
        averaged.put_in_place()
    history.history = figures
    history.epoch = list(range(len(next(iter(figures.values()), []))))
    history.best_epoch = best.best_epoch
    return history


@dataclass(frozen=True, slots=True)
class _Part:
    """A call of Keras' fit: whole epochs, or the rest of one that was cut.

    Attributes:
        first_epoch: Counted from 0.
        last_epoch: The one behind the last.
        first_step: Steps of the first epoch that are done already.
        steps: Steps of each epoch; None where Keras counts them itself.
    """

    first_epoch: int
    last_epoch: int
    first_step: int
    steps: int | None


def _parts(state: TrainingState | None, epochs: int, steps: int | None) -> Iterator[_Part]:
    """Divide what is left of a training into calls of Keras' fit."""
    first = state.epoch if state else 0
    if state and state.step and steps:
        yield _Part(first, first + 1, state.step, steps - state.step)
        first += 1
    # A training that is done already still makes the call, which gives its history.
    if first < epochs or not (state and state.step):
        yield _Part(first, epochs, 0, steps)


def _resume(
    model: keras.Model,
    train: tf.data.Dataset,
    best: BestEpoch,
    checkpoint_dir: str | os.PathLike[str] | None,
) -> TrainingState | None:
    """Take up the newest state of an earlier training, if there is one."""
    if checkpoint_dir is None:
        return None
    if not isinstance(train, Batches):
        raise ArgumentError(
            "checkpoint_dir needs batches of make_generators: a plain dataset cannot go on from "
            "the place where it stopped."
        )
    state = newest_state(Path(checkpoint_dir))
    if state is not None:
        restore(model, state)
        best.best_epoch, best.score = state.best_epoch, state.best_score
        best.weights = state.best_weights
    return state


def _require_counts(**counts: int | None) -> None:
    for name, count in counts.items():
        if count is not None and (isinstance(count, bool) or not count >= 1 or count % 1):
            raise ArgumentError(f"{name}={count!r} is not accepted: give a whole number from 1 on.")


def _require_fit(model: keras.Model, train: tf.data.Dataset) -> None:
    """Refuse data that the network cannot read, before Keras says so in forty lines."""
    if not isinstance(train, tf.data.Dataset):
        raise ArgumentError(
            f"train is {type(train).__name__}; give what make_generators returns, or another "
            "tf.data.Dataset of (images, labels)."
        )
    if not isinstance(train, Batches):
        return
    if tuple(model.input_shape[1:]) != train.input_shape:
        raise ArgumentError(
            f"The model reads images of shape {tuple(model.input_shape[1:])}, the batches have "
            f"{train.input_shape}: build it with build_model(name, train.input_shape)."
        )
    units = 1 if train.num_classes == 2 else train.num_classes
    if model.output_shape[-1] != units:
        raise ArgumentError(
            f"The model has {model.output_shape[-1]} output units, {train.num_classes} classes "
            f"need {units}: build it with num_classes=train.num_classes."
        )


def _choose_loss(
    model: keras.Model, train: tf.data.Dataset, label_smoothing: float
) -> keras.losses.Loss:
    """Choose the cross-entropy that fits head and labels (D8)."""
    activation = getattr(model.layers[-1], "activation", None)
    from_logits = activation is keras.activations.linear
    if model.output_shape[-1] == 1:
        return keras.losses.BinaryCrossentropy(from_logits, label_smoothing)
    label_shape = train.element_spec[1].shape
    if label_shape.rank == 1 or label_shape[-1] == 1:
        if label_smoothing:
            raise ArgumentError(
                "label_smoothing needs one-hot labels, which batches of make_generators have; "
                f"these are class indices of shape {tuple(label_shape)}."
            )
        return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    return keras.losses.CategoricalCrossentropy(from_logits, label_smoothing)


def _require_shares(*data: tf.data.Dataset | None) -> None:
    """Refuse batches of which one device of several would get nothing."""
    batches = [item for item in data if isinstance(item, Batches)]
    counts = [item.num_samples for item in batches]
    for item in batches:
        divisible = divisible_batch_size(item.batch_size, counts, num_replicas())
        if divisible != item.batch_size:
            raise ArgumentError(
                f"batch_size={item.batch_size} would leave one of {num_replicas()} devices "
                f"without an image in the last batch: make the batches with {divisible}."
            )


def _count_steps(train: tf.data.Dataset, steps_per_epoch: int | None) -> int | None:
    """Count the batches of an epoch; None where only Keras can, in the first one."""
    if steps_per_epoch is not None:
        return steps_per_epoch
    if isinstance(train, Batches):
        return train.steps_per_epoch
    cardinality = int(train.cardinality())
    if cardinality == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError(
            "train has no end: give steps_per_epoch, the number of batches that make an epoch."
        )
    return None if cardinality == tf.data.UNKNOWN_CARDINALITY else cardinality


def _stream(train: tf.data.Dataset, part: _Part, steps: int | None) -> tf.data.Dataset:
    """Return batches from a place of the training on, which never run out."""
    if isinstance(train, Batches):
        done = part.first_epoch * (steps or train.steps_per_epoch) + part.first_step
        return train.stream(*divmod(done, train.steps_per_epoch))
    return train if steps is None else train.repeat()


def _limited(val: tf.data.Dataset | None, validation_steps: int | None) -> tf.data.Dataset | None:
    return val if val is None or validation_steps is None else val.take(validation_steps)


def _class_weights(
    class_weight: Mapping[int, float] | str | None, train: tf.data.Dataset
) -> dict[int, float] | None:
    if class_weight is None or isinstance(class_weight, Mapping):
        return None if class_weight is None else dict(class_weight)
    if class_weight != "balanced" or not isinstance(train, Batches):
        raise ArgumentError(
            f"class_weight={class_weight!r} is not accepted: give a weight for each class index, "
            "or 'balanced' with batches of make_generators."
        )
    if train.plan.oversample:
        raise ArgumentError(
            "class_weight='balanced' and oversample=True would make up for rare classes twice: "
            "give one of them."
        )
    return balanced_class_weights(train.labels, train.num_classes)


def balanced_class_weights(labels: NDArray[np.int64], num_classes: int) -> dict[int, float]:
    """Weigh classes so that each counts as much in the loss as if all were equally frequent.

    The formula is scikit-learn's ``"balanced"`` (King and Zeng 2001).

    Args:
        labels: ``(num_images,)`` class indices.
        num_classes: Number of classes; each must occur.

    Returns:
        The weight of each class; their mean over the images is 1.
    """
    counts = np.bincount(labels, minlength=num_classes)
    return {label: len(labels) / (num_classes * int(n)) for label, n in enumerate(counts)}


@contextmanager
def _progress(verbose: int | bool, train: tf.data.Dataset) -> Iterator[list[TrainingProgress]]:
    if not verbose:
        yield []
        return
    batch_size = train.batch_size if isinstance(train, Batches) else 1
    drawing = TrainingProgress(Console(stderr=True), batch_size)
    try:
        yield [drawing]
    finally:
        drawing.close()


class _StopAtNaN(keras.callbacks.Callback):
    """Ends a training whose loss is not a number: nothing after that step can be right."""

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002 - Keras names it
        logs: Mapping[str, float] | None = None,
    ) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            optimizer = self.model.optimizer
            step, rate = int(optimizer.iterations.numpy()), float(optimizer.learning_rate.numpy())
            raise TrainingError(
                f"The loss became {loss} at step {step} with learning rate {rate:.2g}: try a "
                "tenth of that rate."
            )
