"""What the families share: input, pooling with activation, hidden layers, head.

Keras is imported inside the functions, so that reading an architecture's options stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras

Pooling = Literal["max", "avg"]

MONOTONE_ACTIVATIONS = frozenset({"relu", "sigmoid"})
"""Activations f with f(max(a, b)) = max(f(a), f(b)): they may move behind max pooling."""


def image_input(input_shape: tuple[int, int, int]) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Start a network: the ``image`` input of uint8 pixels, rescaled to 0..1.

    Args:
        input_shape: ``(height, width, channels)``.

    Returns:
        The input, ``(batch, height, width, channels)`` with 0..255, and the same scaled by 1/255.
    """
    import keras

    image = keras.Input(input_shape, dtype="uint8", name="image")
    return image, keras.layers.Rescaling(1 / 255, name="rescaling")(image)


LARGEST_STEM_MAP = 64
"""Largest shorter side, in pixels, of what `stem` hands to the first stage (exclusive)."""


def convolution(
    features: keras.KerasTensor, filters: int, name: str, *, kernel: int = 3, strides: int = 1
) -> keras.KerasTensor:
    """Apply a `kernel` x `kernel` convolution without bias, for batch normalisation to follow."""
    import keras

    return keras.layers.Conv2D(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(features)


def normalise(
    features: keras.KerasTensor, name: str, *, momentum: float = 0.9, epsilon: float = 1e-5
) -> keras.KerasTensor:
    """Apply batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167).

    Keras' default momentum of 0.99 needs hundreds of steps before the running averages are right;
    small folders have fewer than that in a whole training, hence 0.9.
    """
    import keras

    return keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon, name=name)(features)


def normalise_and_activate(
    features: keras.KerasTensor, activation: str, name: str
) -> keras.KerasTensor:
    """Apply batch normalisation, then an activation."""
    import keras

    features = normalise(features, f"{name}_norm")
    return keras.layers.Activation(activation, name=f"{name}_activation")(features)


def stem(
    features: keras.KerasTensor, side: int, filters: int, activation: str
) -> keras.KerasTensor:
    """Convolve once; beyond 63 pixels in strides, which keeps the later stages affordable.

    Args:
        features: ``(batch, height, width, channels)``.
        side: The shorter of height and width, in pixels.
        filters: Filters of the convolution.
        activation: Activation after the batch normalisation.

    Returns:
        ``(batch, height / strides, width / strides, filters)``, its shorter side at most 63 pixels.
    """
    strides = 1
    while side // strides >= LARGEST_STEM_MAP:
        strides *= 2
    kernel = 3 if strides == 1 else 2 * strides
    features = convolution(features, filters, "stem_conv", kernel=kernel, strides=strides)
    return normalise_and_activate(features, activation, "stem")


def activate_and_pool(
    features: keras.KerasTensor, activation: str, pooling: Pooling, name: str
) -> keras.KerasTensor:
    """Apply an activation and a 2x2 pooling, in the cheaper order where both give the same.

    Max pooling commutes with a monotone activation; pooling first leaves a quarter of the values
    to activate.
    """
    import keras

    pool = keras.layers.MaxPooling2D if pooling == "max" else keras.layers.AveragePooling2D
    pool_layer = pool(2, name=f"{name}_pooling")
    activation_layer = keras.layers.Activation(activation, name=f"{name}_activation")
    if pooling == "max" and activation in MONOTONE_ACTIVATIONS:
        return activation_layer(pool_layer(features))
    return pool_layer(activation_layer(features))


def global_pooling(
    features: keras.KerasTensor, pooling: Pooling, name: str = "global_pooling"
) -> keras.KerasTensor:
    """Reduce ``(batch, height, width, filters)`` to ``(batch, filters)``."""
    import keras

    layer = (
        keras.layers.GlobalMaxPooling2D if pooling == "max" else keras.layers.GlobalAveragePooling2D
    )
    return layer(name=name)(features)


def hidden_layers(
    features: keras.KerasTensor, count: int, units: int, activation: str, dropout: float
) -> keras.KerasTensor:
    """Stack `count` dense layers of `units`, then one dropout (Srivastava et al. 2014)."""
    import keras

    for index in range(1, count + 1):
        features = keras.layers.Dense(
            units, activation=activation, kernel_initializer="he_normal", name=f"hidden_{index}"
        )(features)
    return keras.layers.Dropout(dropout, name="dropout")(features)


def classifier(
    image: keras.KerasTensor,
    features: keras.KerasTensor,
    num_classes: int,
    name: str,
    *,
    head_variance: float = 1.0,
) -> keras.Model:
    """Close a network with its ``head``: one sigmoid for two classes, softmax for more.

    Args:
        image: The network's input.
        features: ``(batch, units)``.
        num_classes: 2 or more.
        name: The architecture's name.
        head_variance: Of the head's first weights, as a share of Glorot's; small ones make the
            first guesses even.

    Returns:
        The uncompiled model; its output is ``(batch, 1)``, the probability of the second class,
        or ``(batch, num_classes)``.
    """
    import keras

    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    first_weights = keras.initializers.VarianceScaling(
        head_variance, mode="fan_avg", distribution="uniform"
    )
    head = keras.layers.Dense(
        units, activation=activation, kernel_initializer=first_weights, name="head"
    )
    output = head(features)
    return keras.Model(image, output, name=name)
