"""Training steps that several workers compute together, each on its part of the batch."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from imgclf.machine.precision import forget_traces
from imgclf.training.kernels.shared_normalisation import shared_normalisation
from imgclf.training.workers import Workers

__all__ = ["SharedCourse", "shared_steps"]


@contextmanager
def shared_steps(
    model: keras.Model, workers: Workers, stop_requested: Callable[[], bool] = lambda: False
) -> Iterator[SharedCourse]:
    """Let Keras' `fit` take each step together with the other workers.

    Gradients are means over the whole batch, and so are the figures: every worker sees those of
    all. So each step is that of one machine with the whole batch, up to the order of sums. Every
    worker needs an image of every batch: convolutions of no image fail with oneDNN.

    Args:
        model: A built network, with the same weights on every worker.
        workers: Those that share each batch.
        stop_requested: Asked by the first worker after each step.

    Yields:
        The first callback for `fit`; it keeps the workers together.

    Raises:
        ArgumentError: A layer normalises batches in a way that cannot be shared.
    """
    with shared_normalisation(model, workers):
        steps = _SharedSteps(workers)
        model.train_step = types.MethodType(steps.train, model)
        model.test_step = types.MethodType(steps.test, model)
        try:
            yield SharedCourse(steps, stop_requested)
        finally:
            for name in ("train_step", "test_step"):
                vars(model).pop(name, None)
            forget_traces(model)


class SharedCourse(keras.callbacks.Callback):
    """Keeps the workers together: where an epoch begins, how it ends, and when all stop.

    It stands before all other callbacks of `imgclf.fit`, which then decide alike everywhere.

    Attributes:
        stopped: Whether all have stopped because the first worker was asked to.
    """

    def __init__(self, steps: _SharedSteps, stop_requested: Callable[[], bool]) -> None:
        super().__init__()
        self._steps = steps
        self._stop_requested = stop_requested
        self.stopped = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras names it
        """Take over the first worker's weights and optimizer, so that rounding adds up nowhere."""
        variables = [*self.model.weights, *self.model.optimizer.variables]
        values = self._steps.workers.first([variable.numpy() for variable in variables])
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002 - Keras names it
        logs: Any = None,  # noqa: ARG002
    ) -> None:
        """Stop where all know of the request; ask whether the next step shall tell of one."""
        steps = self._steps
        if float(steps.agreed.numpy()) > 0:
            self.stopped = True
            self.model.stop_training = True
        elif steps.workers.is_first and self._stop_requested():
            steps.asked.assign(1.0)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Give the first worker's figures to the callbacks that follow."""
        figures: dict[str, Any] = logs if isinstance(logs, dict) else {}
        names = sorted(figures)
        own = np.array([figures[name] for name in names], np.float64)
        (values,) = self._steps.workers.first([own])
        figures.update(zip(names, values.tolist(), strict=True))


class _SharedSteps:
    """Keras' training step and test step, on the batch of all workers.

    Attributes:
        workers: They.
        asked: Above 0 where this worker was asked to stop.
        agreed: Above 0 once all know, in the same step, that one was asked to.
    """

    def __init__(self, workers: Workers) -> None:
        self.workers = workers
        self.asked = tf.Variable(0.0, trainable=False)
        self.agreed = tf.Variable(0.0, trainable=False)

    def train(self, model: keras.Model, data: Any) -> dict[str, Any]:
        """Change the weights by the gradient over the whole batch; returns the figures so far."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
        gradients, *batch = self.workers.run(self._gradients, model, images, labels, weights)
        model.optimizer.apply(gradients, model.trainable_variables)
        return _update_figures(model, images, *batch, training=True)

    def test(self, model: keras.Model, data: Any) -> dict[str, Any]:
        """Return the figures so far."""
        images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)

        def predict() -> Any:
            outputs = model(images, training=False)
            return self._joined(labels, outputs, weights)

        batch = self.workers.run(predict)
        return _update_figures(model, images, *batch, training=False)

    def _gradients(
        self, model: keras.Model, images: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor | None
    ) -> Any:
        """Return the gradients over the whole batch, and its labels, outputs and weights."""
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            batch = self._joined(labels, tf.stop_gradient(outputs), weights)
            # The mean of the workers' means is that of the batch if each counts by its images.
            part = tf.cast(tf.shape(labels)[0] * self.workers.count, tf.float32)
            part /= tf.cast(tf.shape(batch[0])[0], tf.float32)
            own = tf.ones(tf.shape(labels)[:1]) if weights is None else weights
            loss = model.compute_loss(
                x=images, y=labels, y_pred=outputs, sample_weight=own * part, training=True
            )
            loss = model.optimizer.scale_loss(loss)
        own_gradients = tape.gradient(loss, variables)
        used = [place for place, one in enumerate(own_gradients) if one is not None]
        dense = [tf.convert_to_tensor(own_gradients[place]) for place in used]
        # Keras has divided the loss by the number of replicas, as it does in any strategy's `run`.
        *sums, agreed = self.workers.sum([*dense, self.asked.read_value()])
        self.agreed.assign(agreed)
        gradients: list[tf.Tensor | None] = [None] * len(variables)
        for place, gradient in zip(used, sums, strict=True):
            gradients[place] = gradient
        return gradients, *batch

    def _joined(self, labels: tf.Tensor, outputs: tf.Tensor, weights: tf.Tensor | None) -> Any:
        """Return labels, outputs and weights of the whole batch, in one exchange."""
        columns = [tf.cast(labels, tf.float32), tf.cast(outputs, tf.float32)]
        if weights is not None:
            columns.append(tf.cast(weights, tf.float32)[:, None])
        rows = self.workers.joined(tf.concat(columns, axis=1))
        first, second = labels.shape[1], labels.shape[1] + outputs.shape[1]
        of_all = None if weights is None else rows[:, second]
        return rows[:, :first], rows[:, first:second], of_all


def _update_figures(
    model: keras.Model,
    images: tf.Tensor,
    labels: tf.Tensor,
    outputs: tf.Tensor,
    weights: tf.Tensor | None,
    *,
    training: bool,
) -> dict[str, Any]:
    """Update loss and metrics by the whole batch."""
    loss = model.compute_loss(
        x=images, y=labels, y_pred=outputs, sample_weight=weights, training=training
    )
    for metric in model.metrics:
        if metric.name == "loss":
            metric.update_state(loss, sample_weight=tf.shape(labels)[0])
    figures: dict[str, Any] = model.compute_metrics(images, labels, outputs, weights)
    return figures
