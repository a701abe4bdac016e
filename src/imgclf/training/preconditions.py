"""What a training requires of its arguments; each violation is one line instead of Keras' forty."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import tensorflow as tf

from imgclf.arguments import require_number, whole_number
from imgclf.data.batches.dataset import Batches
from imgclf.errors import ArgumentError
from imgclf.machine.devices import divisible_batch_size, num_replicas
from imgclf.training.plain_datasets import require_form

__all__ = [
    "checked_callbacks",
    "require_counts",
    "require_divisible_batches",
    "require_label_smoothing",
    "require_matching_data",
    "require_whole_executions",
]


def checked_callbacks(
    callbacks: keras.callbacks.Callback | Iterable[keras.callbacks.Callback],
) -> list[keras.callbacks.Callback]:
    """Return callbacks as a list; one alone is welcome.

    Raises:
        ArgumentError: Something is no Keras callback.
    """
    if isinstance(callbacks, keras.callbacks.Callback):
        return [callbacks]
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in listed:
        if not isinstance(callback, keras.callbacks.Callback):
            shown = callback.__name__ if isinstance(callback, type) else repr(callback)
            hint = f"{shown}()" if isinstance(callback, type) else "a keras.callbacks.Callback"
            raise ArgumentError(f"callbacks has {shown}, which is no Keras callback: give {hint}.")
    return listed


def require_counts(least: int = 1, **counts: int | None) -> None:
    """Require whole numbers from `least` on, or None.

    Raises:
        ArgumentError: A number is another one.
    """
    for name, count in counts.items():
        if count is not None:
            whole_number(name, count, least)


def require_label_smoothing(label_smoothing: float) -> None:
    """Require a number from 0 to 1 (exclusive).

    Raises:
        ArgumentError: It is another one.
    """
    require_number("label_smoothing", label_smoothing, 0, 1, accepted="a number from 0 to 1")


def require_whole_executions(
    steps_per_execution: int, steps: int | None, with_checkpoints: bool
) -> None:
    """Require that neither an epoch nor a checkpoint ends between steps of one execution.

    Args:
        steps_per_execution: Steps in one call of TensorFlow.
        steps: Steps of an epoch; None if unknown.
        with_checkpoints: Whether checkpoints are written.

    Raises:
        ArgumentError: One does.
    """
    if steps_per_execution > 1 and (
        steps is None or steps % steps_per_execution or with_checkpoints
    ):
        raise ArgumentError(
            f"steps_per_execution={steps_per_execution} needs an epoch of a multiple of so many "
            f"steps (this one has {steps}) and no checkpoint_dir: leave it out."
        )


def require_matching_data(
    model: keras.Model, train: tf.data.Dataset, val: tf.data.Dataset | None = None
) -> None:
    """Require datasets, and batches whose images and classes are those of the network.

    Raises:
        ArgumentError: They are not.
    """
    for name, data in (("train", train), ("val", val)):
        if data is None and name == "val":
            continue
        if not isinstance(data, tf.data.Dataset):
            raise ArgumentError(
                f"{name} is {type(data).__name__}; give what make_generators returns, or another "
                "tf.data.Dataset of (images, labels)."
            )
        if isinstance(data, Batches):
            _require_matching_batches(model, data, name)
        else:
            require_form(model, data, name)


def _require_matching_batches(model: keras.Model, batches: Batches, name: str) -> None:
    if tuple(model.input_shape[1:]) != batches.input_shape:
        raise ArgumentError(
            f"The model reads images of shape {tuple(model.input_shape[1:])}, {name} has "
            f"{batches.input_shape}: build it with build_model(name, train.input_shape)."
        )
    units = 1 if batches.num_classes == 2 else batches.num_classes
    if model.output_shape[-1] != units:
        raise ArgumentError(
            f"The model has {model.output_shape[-1]} output units, the {batches.num_classes} "
            f"classes of {name} need {units}: build it with num_classes=train.num_classes."
        )


def require_divisible_batches(*data: tf.data.Dataset | None) -> None:
    """Require batches of which each device gets at least one image.

    Raises:
        ArgumentError: A device would get none; the message names a batch size that works.
    """
    batches = [item for item in data if isinstance(item, Batches)]
    counts = [item.num_samples for item in batches]
    for item in batches:
        divisible = divisible_batch_size(item.batch_size, counts, num_replicas())
        if divisible != item.batch_size:
            raise ArgumentError(
                f"batch_size={item.batch_size} would leave one of {num_replicas()} devices "
                f"without an image in the last batch: make the batches with {divisible}."
            )
