"""Two-phase training of a pretrained network: its head on frozen features, then fine-tuning."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from imgclf.data.batches.batch_source import encode_labels
from imgclf.data.batches.dataset import Batches
from imgclf.data.store.pixel_store import StoreMode
from imgclf.engines.fingerprint import network_fingerprint
from imgclf.errors import ArgumentError
from imgclf.machine.display import Verbose, open_display, when_shown
from imgclf.machine.precision import Precision
from imgclf.options import is_pretrained
from imgclf.training.convex_head import DEFAULT_PATH, fit_convex_head, measure_head, set_head
from imgclf.training.fine_tuning import fine_tuning
from imgclf.training.fit_result import FitResult
from imgclf.training.frozen_features import (
    DividedNetwork,
    compute_features,
    divide_network,
    feature_batches,
)
from imgclf.training.loop import fit
from imgclf.training.objective import ClassWeight, choose_class_weights
from imgclf.training.optimizers import checked_rate
from imgclf.training.preconditions import checked_callbacks, require_counts
from imgclf.training.progress import drawn_progress
from imgclf.training.recipes import FINE_TUNE_EPOCHS, HeadCopies
from imgclf.training.schedules import Schedule, make_schedule
from imgclf.training.stop_request import StopOnRequest
from imgclf.training.variants import copies_of
from imgclf.zoo.builder import origin_of

__all__ = ["fit_two_phase", "in_two_phases"]

FEATURES = "Features of each image, once"
"""What the display says while the backbone computes."""

FINE_TUNE_SHARE = 0.1
"""Learning rate of fine-tuning as a share of the head's: the backbone changes only a little."""


def in_two_phases(model: keras.Model, two_phase: bool | None) -> bool:
    """Decide whether a network is trained in two phases.

    Args:
        model: What `imgclf.build_model` returned.
        two_phase: What was asked for; None takes two phases for a pretrained network.

    Returns:
        The decision.
    """
    origin = origin_of(model)
    if two_phase is not None or origin is None:
        return bool(two_phase)
    return is_pretrained(origin.architecture.options, origin.options)


def fit_two_phase(
    model: keras.Model,
    train: Batches,
    val: Batches | None = None,
    *,
    epochs: int,
    learning_rate: float = 1e-3,
    fine_tune_epochs: int = FINE_TUNE_EPOCHS,
    fine_tune_learning_rate: float | None = None,
    optimizer: str = "adam",
    schedule: Schedule = "cosine",
    weight_decay: float | None = None,
    label_smoothing: float = 0.0,
    average_weights: bool = False,
    accumulate_steps: int = 1,
    clip_norm: float | None = None,
    class_weight: ClassWeight | Literal["balanced"] | None = None,
    head_penalty: float | None = None,
    head_copies: HeadCopies = "none",
    patience: int | None = None,
    callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] = (),
    precision: Precision = "auto",
    store: StoreMode = "auto",
    checkpoint_dir: str | os.PathLike[str] | None = None,
    verbose: Verbose = "auto",
) -> FitResult:
    """Fit a pretrained network in two phases.

    First the backbone, all layers up to the global pooling, is frozen and computes the features of
    each image once, without augmentation. The head is fitted to these features, which takes
    seconds: a linear one by logistic regression, others by gradient descent. The features are kept
    in the cache folder for the next training with the same images and weights. Then the network is
    fine-tuned on augmented images at a low learning rate, but for its first convolutions, up to an
    eighth of the image's sides, and its batch normalisations. With `val`, the
    network ends with the weights of the best epoch of both phases.

    Args:
        model: A pretrained network that `imgclf.build_model` made.
        train: Training batches of `imgclf.make_generators`.
        val: Validation batches.
        epochs: Epochs of a head of several layers; a linear one is solved for at once.
        learning_rate: Of such a head; the peak of its schedule.
        fine_tune_epochs: Epochs of fine-tuning; 0 leaves the second phase out.
        fine_tune_learning_rate: Of fine-tuning; None is a tenth of the head's.
        optimizer: As for `imgclf.fit`.
        schedule: Learning-rate schedule of each phase: ``"cosine"`` or ``"constant"``.
        weight_decay: As for `imgclf.fit`.
        label_smoothing: As for `imgclf.fit`.
        average_weights: As for `imgclf.fit`, in the second phase.
        accumulate_steps: As for `imgclf.fit`, in the second phase.
        clip_norm: As for `imgclf.fit`.
        class_weight: As for `imgclf.fit`.
        head_penalty: L2 penalty of a linear head; None chooses it on the validation images.
        head_copies: What a linear head learns from beside the images: ``"none"``, their
            ``"mirrored"`` copies, or also ``"shifted"`` ones.
        patience: Early stopping of each phase, as for `imgclf.fit`.
        callbacks: Any Keras callbacks, or one; each sees both phases.
        precision: Of the second phase's steps; features and head are float32.
        store: Where features are kept: ``"auto"``, ``"disk"``, or ``"memory"`` for this process.
        checkpoint_dir: A folder for checkpoints of the second phase, as for `imgclf.fit`.
        verbose: ``"auto"`` or 1 shows the progress: in a terminal, in a notebook, or as lines on
            standard error. 2 shows the lines alone, 0 nothing.

    Returns:
        The figures of each epoch, those of the head first, and the best epoch.

    Raises:
        ArgumentError: An argument is out of range, or the network cannot be divided.

    Example:
        >>> model = imgclf.build_model("mobilenet_v3", train.input_shape,
        ...                            train.num_classes, weights="imagenet")  # doctest: +SKIP
        >>> result = imgclf.fit_two_phase(model, train, val, epochs=30)        # doctest: +SKIP
        >>> result.head_epochs, result.epochs                                  # doctest: +SKIP
        (1, 6)
    """
    require_counts(least=0, fine_tune_epochs=fine_tune_epochs)
    callbacks = checked_callbacks(callbacks)
    learning_rate = checked_rate(learning_rate)
    if not isinstance(train, Batches):
        raise ArgumentError(
            f"train is {type(train).__name__}; two phases need what make_generators returns."
        )
    shared: dict[str, Any] = {
        "optimizer": optimizer,
        "patience": patience,
        "weight_decay": weight_decay,
        "label_smoothing": label_smoothing,
        "clip_norm": clip_norm,
    }
    divided = divide_network(model)
    known = network_fingerprint(divided.frozen)
    with _drawn_features(verbose, callbacks) as progress:
        features = [
            compute_features(divided.frozen, one, mode=store, progress=progress, fingerprint=known)
            for one in (train, val)
            if one is not None
        ]
    weights = choose_class_weights(class_weight, train, model.output_shape[-1])
    steps = train.steps_per_epoch
    if divided.has_linear_head:
        kinds = copies_of(head_copies, train.policy.image_size, train.num_samples)
        with _drawn_features(verbose, callbacks) as progress:
            copies = [
                compute_features(
                    divided.frozen,
                    train,
                    variant=one,
                    mode=store,
                    progress=progress,
                    fingerprint=known,
                )
                for one in kinds
            ]
        first = _solve_head(
            divided, train, val, features, copies, class_weight=weights,
            label_smoothing=label_smoothing, penalty=head_penalty,
        )  # fmt: skip
    else:
        with drawn_progress(verbose, train.batch_size) as drawing:
            first = fit(
                divided.head,
                feature_batches(train, features[0]),
                None if val is None else _in_one_batch(features[1], val),
                epochs=epochs,
                steps_per_epoch=steps,
                steps_per_execution=steps,  # A step takes less than the way to Python and back.
                learning_rate=make_schedule(schedule, learning_rate, epochs * steps),
                class_weight=weights,
                callbacks=[*callbacks, *drawing],
                precision="float32",
                verbose=0,
                **shared,
            )
    divided.adopt_head()
    first = replace(first, head_epochs=first.epochs)
    if not fine_tune_epochs or _was_stopped(callbacks):
        return first
    head_weights = model.get_weights()
    low_rate = fine_tune_learning_rate
    if low_rate is None:
        low_rate = FINE_TUNE_SHARE * learning_rate
    num_changes = fine_tune_epochs * steps // accumulate_steps
    with fine_tuning(divided.frozen):
        second = fit(
            model,
            train,
            val,
            epochs=fine_tune_epochs,
            learning_rate=make_schedule(schedule, low_rate, num_changes),
            average_weights=average_weights,
            accumulate_steps=accumulate_steps,
            class_weight=class_weight,
            callbacks=callbacks,
            precision=precision,
            checkpoint_dir=checkpoint_dir,
            verbose=verbose,
            **shared,
        )
    is_first_better = _score(second) < _score(first)
    if is_first_better:
        model.set_weights(head_weights)
    return _joined(first, second, is_first_better)


def _solve_head(
    divided: DividedNetwork,
    train: Batches,
    val: Batches | None,
    features: Sequence[NDArray[np.float32]],
    copies: Sequence[NDArray[np.float32]],
    *,
    class_weight: Mapping[int, float] | None,
    label_smoothing: float,
    penalty: float | None,
) -> FitResult:
    """Find the best head at once; its figures stand for one epoch."""
    found = fit_convex_head(
        np.concatenate([features[0], *copies]) if copies else features[0],
        np.tile(train.labels, 1 + len(copies)),
        None if val is None else features[1],
        None if val is None else val.labels,
        num_classes=train.num_classes,
        class_weight=class_weight,
        label_smoothing=label_smoothing,
        strengths=DEFAULT_PATH if penalty is None else (penalty,),
    )
    set_head(divided.head, found)
    splits = {"": (features[0], train)}
    if val is not None:
        splits["val_"] = (features[1], val)
    history: dict[str, list[float]] = {}
    for prefix, (rows, batches) in splits.items():
        loss, accuracy = measure_head(found, rows, batches.labels)
        history |= {f"{prefix}loss": [loss], f"{prefix}accuracy": [accuracy]}
    return FitResult(history, best_epoch=None if val is None else 0)


def _in_one_batch(features: NDArray[np.float32], images: Batches) -> tf.data.Dataset:
    """Return all features of a split as one batch; they are small."""
    targets = encode_labels(images.labels, images.num_classes)
    return tf.data.Dataset.from_tensors((features, targets))


def _was_stopped(callbacks: Sequence[keras.callbacks.Callback]) -> bool:
    return any(isinstance(one, StopOnRequest) and one.stopped for one in callbacks)


def _score(result: FitResult) -> tuple[float, float]:
    """Return validation accuracy and negative loss of the best epoch."""
    best = result.best_epoch
    if best is None:
        return (-1.0, 0.0)
    figures = result.history
    accuracy = figures.get("val_accuracy", [0.0] * (best + 1))[best]
    return (accuracy, -figures["val_loss"][best])


def _joined(first: FitResult, second: FitResult, is_first_better: bool) -> FitResult:
    """Append the epochs of the second phase to those of the first."""
    best_epoch = first.best_epoch
    if second.best_epoch is not None and not is_first_better:
        best_epoch = first.epochs + second.best_epoch
    history = {
        name: [*first.history.get(name, []), *second.history.get(name, [])]
        for name in {**first.history, **second.history}
    }
    return FitResult(history, best_epoch, head_epochs=first.epochs)


@contextmanager
def _drawn_features(
    verbose: Verbose, callbacks: Sequence[keras.callbacks.Callback]
) -> Iterator[Callable[[int, int], None]]:
    """Show how many images went through the backbone; nothing where the features are cached."""
    asked = [one for one in callbacks if isinstance(one, StopOnRequest)]
    with open_display(verbose) as display:
        show = when_shown(display, FEATURES, "img")

        def advance(done: int, total: int) -> None:
            if show is not None:
                show(done, total)
            for one in asked:
                one.ask()

        try:
            yield advance
        finally:
            if display is not None:
                display.clear()  # Also one that others go on with.
