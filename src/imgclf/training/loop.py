"""Fitting a network to batches of images."""

from __future__ import annotations

import logging
import math
import os
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from imgclf.arguments import checked_path, require_number, whole_number
from imgclf.data.batches.dataset import Batches, telling_failures
from imgclf.errors import ArgumentError, TrainingError
from imgclf.machine.display import Verbose
from imgclf.machine.forked import require_own_threads
from imgclf.machine.precision import (
    Precision,
    choose_jit_compile,
    choose_precision,
    training_precision,
)
from imgclf.machine.startup import without_retracing_notes
from imgclf.training.best_epoch import BestEpoch
from imgclf.training.checkpoints import (
    INTERVAL_S,
    CheckpointWriter,
    TrainingState,
    newest_state,
    restore,
)
from imgclf.training.epochs import Epochs, count_steps
from imgclf.training.fit_result import FitResult
from imgclf.training.kernels.fast_kernels import fast_kernels
from imgclf.training.objective import ClassWeight, choose_class_weights, choose_loss
from imgclf.training.optimizers import make_optimizer
from imgclf.training.plain_datasets import batches_for
from imgclf.training.preconditions import (
    checked_callbacks,
    require_counts,
    require_divisible_batches,
    require_label_smoothing,
    require_matching_data,
    require_whole_executions,
)
from imgclf.training.progress import drawn_progress
from imgclf.training.soft_labels import choose_accuracy
from imgclf.training.weight_average import AveragedWeights, averaged_training

__all__ = ["fit"]

_logger = logging.getLogger(__name__)

_compiled_here: weakref.WeakSet[Any] = weakref.WeakSet()
"""Models that `fit` compiled; other compiled models were compiled by the user."""


def fit(
    model: keras.Model,
    train: tf.data.Dataset,
    val: tf.data.Dataset | None = None,
    *,
    epochs: int,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
    optimizer: str | keras.optimizers.Optimizer = "adam",
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    class_weight: ClassWeight | Literal["balanced"] | None = None,
    weight_decay: float | None = None,
    label_smoothing: float = 0.0,
    average_weights: bool | int = False,
    accumulate_steps: int = 1,
    clip_norm: float | None = None,
    steps_per_execution: int = 1,
    patience: int | None = None,
    callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] = (),
    precision: Precision = "auto",
    jit_compile: bool | Literal["auto"] = "auto",
    checkpoint_dir: str | os.PathLike[str] | None = None,
    checkpoint_interval_s: float = INTERVAL_S,
    verbose: Verbose = "auto",
) -> FitResult:
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
        epochs: Number of epochs, from 1 on.
        learning_rate: Above 0, or a Keras schedule. An optimizer *object* keeps its own.
        optimizer: ``"adam"``, ``"adamw"``, ``"rmsprop"``, ``"sgd"`` (Nesterov momentum 0.9), or a
            Keras optimizer.
        steps_per_epoch: Batches per epoch; None is samples / batch size, rounded up. More repeat
            the images.
        validation_steps: Validation batches per epoch at the most; None takes all.
        class_weight: Weight of each class in the loss, from 0 on, by class name or index;
            ``"balanced"`` weighs classes by the inverse of their frequency.
        weight_decay: Decoupled weight decay of the kernels, 0 to 1; None is the optimizer's own:
            0.004 for ``"adamw"``, none for the others.
        label_smoothing: Label smoothing, 0 to 1 (exclusive; Szegedy et al. 2015,
            arXiv:1512.00567).
        average_weights: Whether to validate and keep an exponential moving average of the weights,
            over the last twentieth of the training or over a given number of steps.
        accumulate_steps: Gradient accumulation: batches per update of the weights, from 1 on.
        clip_norm: Gradient clipping by global norm, above 0; None clips none.
        steps_per_execution: Steps per call of TensorFlow, a divisor of the steps per epoch;
            callbacks see only the last of each call. Faster where steps take milliseconds.
        patience: Early stopping: epochs without improvement that end the training; None trains
            all epochs.
        callbacks: Any Keras callbacks, or one.
        precision: Of the training steps: ``"auto"``, ``"float32"`` or ``"mixed_bfloat16"``. The
            model is float32 before and after; the figures in the history are in training
            precision, `imgclf.evaluate` always computes in float32.
        jit_compile: Whether XLA compiles the step; ``"auto"`` does not on a CPU, where that is
            slower.
        checkpoint_dir: A folder for checkpoints after each epoch, and within one. A training
            resumes exactly from the newest one there, with the same images in the same order;
            `train` must be batches of `imgclf.make_generators`.
        checkpoint_interval_s: Seconds between two checkpoints within an epoch.
        verbose: ``"auto"`` or 1 shows the progress: in a terminal, in a notebook, or as lines on
            standard error. 2 shows the lines alone, 0 nothing.

    Returns:
        The figures of each epoch, as Keras' `History` has them, and the best epoch.

    Raises:
        ArgumentError: An argument is out of range, or data and model do not fit each other.
        TrainingError: The loss became NaN or infinite; the message names step and learning rate.

    Example:
        >>> result = imgclf.fit(model, train, val, epochs=20)     # doctest: +SKIP
        >>> result.history["val_accuracy"][result.best_epoch]     # doctest: +SKIP
    """
    epochs = whole_number("epochs", epochs)
    accumulate_steps = whole_number("accumulate_steps", accumulate_steps)
    steps_per_execution = whole_number("steps_per_execution", steps_per_execution)
    require_counts(validation_steps=validation_steps, patience=patience)
    if steps_per_epoch is not None:
        steps_per_epoch = whole_number("steps_per_epoch", steps_per_epoch)
    if checkpoint_dir is not None:
        checked_path("checkpoint_dir", checkpoint_dir)
    require_number(
        "checkpoint_interval_s", checkpoint_interval_s, 0, accepted="seconds", high_included=True
    )
    require_label_smoothing(label_smoothing)
    require_own_threads()
    given = checked_callbacks(callbacks)
    chosen = choose_precision(precision, model)
    require_matching_data(model, train, val)
    require_divisible_batches(train, val)
    steps = count_steps(train, steps_per_epoch)
    require_whole_executions(steps_per_execution, steps, checkpoint_dir is not None)
    class_weights = choose_class_weights(class_weight, train, model.output_shape[-1])
    accuracy = choose_accuracy(model, train)
    is_ours = not model.compiled or model in _compiled_here
    train, val = _for_network(model, train, val, is_ours)
    course = Epochs(train, epochs, steps, class_weights)
    if is_ours:
        model.compile(
            make_optimizer(
                model,
                optimizer,
                learning_rate,
                weight_decay=weight_decay,
                average_over=averaged_training(average_weights, course.num_steps or epochs),
                accumulate_steps=accumulate_steps,
                clip_norm=clip_norm,
            ),
            choose_loss(model, train, label_smoothing),
            metrics=[accuracy],
            jit_compile=choose_jit_compile(jit_compile),
            steps_per_execution=steps_per_execution,
        )
        _compiled_here.add(model)
    averaged = AveragedWeights() if model.optimizer.use_ema else None
    best = BestEpoch(patience, averaged.measured if averaged else keras.Model.get_weights)
    watch = _WatchLoss()
    own: list[keras.callbacks.Callback] = [
        watch,
        _LogEpochs(),
        best,
        *([averaged] if averaged else []),
    ]
    state = None
    if checkpoint_dir is not None:
        state = _resume(model, train, best, Path(checkpoint_dir))
        own.append(CheckpointWriter(Path(checkpoint_dir), best, state, checkpoint_interval_s))
    batch_size = train.batch_size if isinstance(train, Batches) else 1
    with (
        training_precision(model, chosen),
        fast_kernels(model, course.num_steps),
        telling_failures(train, val),
        without_retracing_notes(),
        drawn_progress(verbose, batch_size) as drawing,
    ):
        try:
            figures = _run(
                model, course, _limited(val, validation_steps), state, [*given, *own, *drawing]
            )
        finally:
            best.restore()
    if state is None and not watch.saw_steps:
        raise ArgumentError("train gave no batches: give some images.")
    if averaged and not best.weights:
        averaged.put_in_place()
    return FitResult(figures, best.best_epoch)


def _for_network(
    model: keras.Model, train: tf.data.Dataset, val: tf.data.Dataset | None, is_ours: bool
) -> tuple[tf.data.Dataset, tf.data.Dataset | None]:
    """Return batches with the labels that the loss takes; a loss of the user's takes its own."""
    if not is_ours:
        return train, val
    if not isinstance(train, Batches):
        train = batches_for(model, train, "train")
    if val is not None and not isinstance(val, Batches):
        val = batches_for(model, val, "val")
    return train, val


def _resume(
    model: keras.Model, train: tf.data.Dataset, best: BestEpoch, checkpoint_dir: Path
) -> TrainingState | None:
    """Restore the newest checkpoint of an earlier training, if there is one."""
    if not isinstance(train, Batches):
        raise ArgumentError(
            "checkpoint_dir needs batches of make_generators: a plain dataset cannot go on from "
            "the place where it stopped."
        )
    state = newest_state(checkpoint_dir)
    if state is not None:
        restore(model, state)
        best.best_epoch, best.score = state.best_epoch, state.best_score
        best.weights = state.best_weights
    return state


def _run(
    model: keras.Model,
    course: Epochs,
    val: tf.data.Dataset | None,
    state: TrainingState | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> dict[str, list[float]]:
    """Train what is left of the epochs; returns the figures of all, resumed ones included."""
    if not model.optimizer.built:
        # A training step that made the optimizer's variables would be traced twice.
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
    figures = {name: list(values) for name, values in state.history.items()} if state else {}
    for part in course.ranges(state):
        history = model.fit(
            course.batches(part),
            initial_epoch=part.start,
            epochs=part.stop,
            steps_per_epoch=part.steps,
            shuffle=False,  # the batches come shuffled; Keras warns otherwise
            validation_data=val,
            class_weight=course.keras_class_weight,
            callbacks=list(callbacks),
            verbose=0,
        )
        for name, values in history.history.items():
            figures.setdefault(name, []).extend(values)
        if model.stop_training:
            break
    return figures


def _limited(val: tf.data.Dataset | None, validation_steps: int | None) -> tf.data.Dataset | None:
    return val if val is None or validation_steps is None else val.take(validation_steps)


class _LogEpochs(keras.callbacks.Callback):
    """Logs the figures of each epoch, for whoever listens to the level INFO."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in (logs or {}).items())
        _logger.info("Epoch %d of %d: %s", epoch + 1, self.params["epochs"], figures)


class _WatchLoss(keras.callbacks.Callback):
    """Ends a training whose loss is NaN or infinite, and sees whether there was any step."""

    saw_steps = False

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002 - Keras names it
        logs: Mapping[str, float] | None = None,
    ) -> None:
        self.saw_steps = True
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            optimizer = self.model.optimizer
            step, rate = int(optimizer.iterations.numpy()), float(optimizer.learning_rate.numpy())
            raise TrainingError(
                f"The loss became {loss} at step {step} with learning rate {rate:.2g}: try a "
                "tenth of that rate."
            )
