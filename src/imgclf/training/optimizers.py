"""Optimizers by name, with weight decay, gradient accumulation and weight averaging."""

from __future__ import annotations

from typing import Any

import keras

from imgclf.arguments import require_number
from imgclf.errors import ArgumentError
from imgclf.training.muon import KernelMuon, normalised_kernels
from imgclf.training.weight_average import average_momentum

__all__ = [
    "OPTIMIZERS",
    "checked_rate",
    "choose_optimizer",
    "make_optimizer",
    "usual_rate",
]

OPTIMIZERS: dict[str, tuple[type[keras.optimizers.Optimizer], dict[str, Any]]] = {
    "adam": (keras.optimizers.Adam, {}),
    "adamw": (keras.optimizers.AdamW, {}),
    "rmsprop": (keras.optimizers.RMSprop, {}),
    # Plain SGD hardly moves these networks; with momentum, "sgd" means what practice means by it.
    "sgd": (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
    "muon": (KernelMuon, {}),
}
"""Optimizers by name, with the settings that differ from Keras'."""

USUAL_RATES = {"adam": 1e-3, "adamw": 1e-3, "rmsprop": 1e-3, "sgd": 0.05, "muon": 0.1}
"""Learning rate, as the peak of a schedule, that suits most small networks, by optimizer."""


def make_optimizer(
    model: keras.Model,
    optimizer: str | keras.optimizers.Optimizer,
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    *,
    weight_decay: float | None = None,
    average_over: int | None = None,
    accumulate_steps: int = 1,
    clip_norm: float | None = None,
) -> keras.optimizers.Optimizer:
    """Make an optimizer for a network.

    Args:
        model: The network; biases and the scales of normalisations have no weight decay.
        optimizer: A name in `OPTIMIZERS`, or a Keras optimizer, which is returned as it is.
        learning_rate: Above 0, or a Keras schedule.
        weight_decay: Decoupled weight decay, 0 to 1 (Loshchilov and Hutter 2017,
            arXiv:1711.05101); None is the optimizer's own: 0.004 for ``"adamw"``, none for the
            others.
        average_over: Steps of the training, to keep an exponential moving average of the weights
            over its last twentieth; None keeps none.
        accumulate_steps: Gradient accumulation: batches per update of the weights.
        clip_norm: Gradient clipping by global norm, above 0 (Pascanu et al. 2013,
            arXiv:1211.5063); None clips none.

    Returns:
        The optimizer.

    Raises:
        ArgumentError: A value is not accepted.

    Example:
        >>> make_optimizer(model, "sgd", 0.05, weight_decay=5e-3).weight_decay    # doctest: +SKIP
        0.005
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    learning_rate = checked_rate(learning_rate)
    _require_values(optimizer, weight_decay, clip_norm)
    kind, values = OPTIMIZERS[optimizer]
    values = {**values, "learning_rate": learning_rate, "global_clipnorm": clip_norm}
    if kind is KernelMuon:
        values["kernels"] = normalised_kernels(model)
    if weight_decay is not None:
        values["weight_decay"] = weight_decay or None
    if average_over is not None:
        values |= {"use_ema": True, "ema_momentum": average_momentum(average_over)}
    if accumulate_steps > 1:
        values["gradient_accumulation_steps"] = accumulate_steps
    made = kind(**values)
    if made.weight_decay is not None:
        made.exclude_from_weight_decay(
            [variable for variable in model.trainable_variables if len(variable.shape) < 2]
        )
    return made


def checked_rate(learning_rate: Any) -> Any:
    """Return a schedule as it is, a number as Python's.

    Raises:
        ArgumentError: It is anything else.
    """
    if isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return learning_rate
    if isinstance(learning_rate, str) and learning_rate == "auto":
        raise ArgumentError(
            "learning_rate='auto' is a setting of imgclf.train; here give the number "
            "imgclf.find_learning_rate(model, train).suggestion."
        )
    accepted = "a number above 0, or a Keras schedule"
    return require_number("learning_rate", learning_rate, 0, accepted=accepted, low_included=False)


def _require_values(
    optimizer: str,
    weight_decay: float | None,
    clip_norm: float | None,
) -> None:
    """Refuse an unknown name and values out of range."""
    usual_rate(optimizer)
    if weight_decay is not None:
        require_number(
            "weight_decay", weight_decay, 0, 1, accepted="a number from 0 to 1", high_included=True
        )
    if optimizer == "muon" and weight_decay:
        raise ArgumentError(
            f"weight_decay={weight_decay!r} has nothing to act on with optimizer='muon', which "
            "keeps the length of every kernel: leave it out."
        )
    if clip_norm is not None:
        require_number("clip_norm", clip_norm, 0, accepted="a number above 0", low_included=False)


def choose_optimizer(model: keras.Model) -> str:
    """Choose ``"muon"`` for a network with normalised convolutions, ``"adam"`` for others.

    Args:
        model: The network.

    Returns:
        A name in `OPTIMIZERS`.
    """
    return "muon" if normalised_kernels(model) else "adam"


def usual_rate(optimizer: str) -> float:
    """Return the learning rate that suits most small networks with an optimizer.

    Raises:
        ArgumentError: The name is unknown.

    Example:
        >>> usual_rate("adam")
        0.001
    """
    if not isinstance(optimizer, str) or optimizer not in USUAL_RATES:
        raise ArgumentError(
            f"optimizer={optimizer!r} is not accepted: give one of {', '.join(OPTIMIZERS)} "
            "or a Keras optimizer."
        )
    return USUAL_RATES[optimizer]
