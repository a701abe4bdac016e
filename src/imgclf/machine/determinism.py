"""Bit-identical trainings on one machine."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.python.framework import config

from imgclf.errors import ArgumentError

__all__ = ["enable_determinism", "require_determinism"]


def enable_determinism() -> None:
    """Make TensorFlow use deterministic operations only.

    It cannot be switched off again in this process, so only the command line calls it.
    """
    tf.config.experimental.enable_op_determinism()


def require_determinism(wanted: bool) -> None:
    """Refuse a deterministic training in a process that is not deterministic.

    Args:
        wanted: Whether the training is to be deterministic.

    Raises:
        ArgumentError: It is, and TensorFlow's determinism is off.
    """
    if wanted and not config.is_op_determinism_enabled():
        raise ArgumentError(
            "deterministic=True needs tf.config.experimental.enable_op_determinism() first: "
            "it cannot be switched off again, so imgclf leaves that to you."
        )
