"""The precision of training steps, chosen for the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import keras
import tensorflow as tf

from imgclf.errors import ArgumentError
from imgclf.machine.devices import has_gpu
from imgclf.machine.hardware import cpu_flags

__all__ = [
    "Precision",
    "choose_jit_compile",
    "choose_precision",
    "float32_results",
    "forget_traces",
    "training_precision",
]

Precision = Literal["auto", "float32", "mixed_bfloat16"]

BFLOAT16_CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
"""Flags in /proc/cpuinfo of processors that multiply bfloat16 faster than float32."""

DEPTHWISE_BFLOAT16_CPU_FLAGS = frozenset({"amx_bf16"})
"""Those on which depthwise convolutions do not eat up the gain: on an AMD EPYC with AVX512-BF16
alone, EfficientNet-Lite and MobileNets train no faster in bfloat16, or more slowly."""

BFLOAT16_GPU_CAPABILITY = (8, 0)
"""First NVIDIA compute capability whose tensor cores take bfloat16 (Ampere)."""


def choose_precision(precision: Precision = "auto", model: keras.Model | None = None) -> str:
    """Choose the precision of training steps.

    Args:
        precision: ``"auto"`` takes ``"mixed_bfloat16"`` where the CPU has AMX or AVX512-BF16 (for
            depthwise convolutions: AMX) or every GPU has tensor cores for it, and ``"float32"``
            elsewhere.
        model: The network; None stands for one without depthwise convolutions.

    Returns:
        ``"float32"`` or ``"mixed_bfloat16"``.

    Raises:
        ArgumentError: `precision` is none of the three.
    """
    if precision not in ("auto", "float32", "mixed_bfloat16"):
        raise ArgumentError(
            f"precision={precision!r} is not accepted: give 'auto', 'float32' or 'mixed_bfloat16'."
        )
    if precision != "auto":
        return precision
    if has_gpu():
        gpus = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        able = all(
            item.get("compute_capability", (0, 0)) >= BFLOAT16_GPU_CAPABILITY for item in details
        )
    else:
        is_depthwise = model is not None and _has_depthwise_convolutions(model)
        able_flags = DEPTHWISE_BFLOAT16_CPU_FLAGS if is_depthwise else BFLOAT16_CPU_FLAGS
        able = bool(cpu_flags() & able_flags)
    return "mixed_bfloat16" if able else "float32"


def _has_depthwise_convolutions(model: keras.Model) -> bool:
    return any(
        isinstance(layer, keras.layers.DepthwiseConv2D | keras.layers.SeparableConv2D)
        for layer in model._flatten_layers(include_self=False)  # noqa: SLF001 - nested ones too
    )


def choose_jit_compile(jit_compile: bool | Literal["auto"] = "auto") -> bool | str:
    """Choose whether XLA compiles the training step: never on a CPU unless it is asked for.

    Keras' own "auto" turns XLA on for CPUs, where it makes small convolutional networks 2 to 5
    times slower.

    Args:
        jit_compile: True, False or ``"auto"``.

    Returns:
        What ``model.compile`` takes.
    """
    if jit_compile == "auto" and not has_gpu():
        return False
    return jit_compile


@contextmanager
def training_precision(model: keras.Model, precision: str) -> Iterator[None]:
    """Compute the layers of a float32 network in `precision`; its weights stay float32.

    The output layer always computes in float32: a sigmoid in bfloat16 rounds to exactly 1 from
    logit 6 on, and the loss of a wrong label jumps from 6 to 16.

    Args:
        model: A built network.
        precision: ``"float32"`` changes nothing.
    """
    layers = list(model._flatten_layers(include_self=False))  # noqa: SLF001 - reaches nested ones
    output_layer = model.layers[-1]
    changed: list[tuple[Any, Any]] = []
    try:
        if precision != "float32":
            for layer in layers:
                if layer is not output_layer and layer.dtype_policy.name == "float32":
                    changed.append((layer, layer.dtype_policy))
                    layer.dtype_policy = keras.DTypePolicy(precision)
            forget_traces(model)
        yield
    finally:
        for layer, policy in changed:
            layer.dtype_policy = policy
        if changed:
            forget_traces(model)


@contextmanager
def float32_results() -> Iterator[None]:
    """Compute in true float32, without TF32 on GPUs."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


def forget_traces(model: Any) -> None:
    """Drop a model's compiled functions, so that its next step is traced anew.

    Args:
        model: A Keras model.
    """
    model.train_function = model.test_function = model.predict_function = None
