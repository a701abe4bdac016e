"""Checks that may crash, in a process of their own: TensorFlow, the decoders, one plugin.

Started as ``python -m imgclf.doctor.probe tensorflow``, ``... decoders`` or ``... plugin NAME``;
prints one JSON object as its last line. A processor without AVX, a damaged library or a plugin
that crashes ends this process, not the one that started it.
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any

__all__ = ["main"]

SAMPLES = {
    "JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP", "BMP": "BMP", "GIF": "GIF", "TIFF": "TIFF",
    "AVIF": "AVIF", "HEIC": "HEIF",
}  # fmt: skip
"""Accepted formats, by the name that Pillow saves them under."""


def main(arguments: list[str]) -> None:
    """Run one check and print its result."""
    from imgclf.machine.startup import silenced_stderr

    with silenced_stderr():
        if arguments[0] == "tensorflow":
            found = try_tensorflow()
        elif arguments[0] == "decoders":
            found = try_decoders()
        else:
            found = try_plugin(arguments[1])
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def try_tensorflow() -> dict[str, Any]:
    """Import Keras and TensorFlow, list the devices and compute a convolution."""
    from imgclf.machine.keras_backend import chosen_backend

    if (backend := chosen_backend()) != "tensorflow":
        return {"backend": backend, "fault": f"Keras runs on {backend!r}"}

    import keras
    import tensorflow as tf

    from imgclf.machine.precision import choose_precision

    gpus = [
        {
            "name": str(details.get("device_name", gpu.name)),
            "compute_capability": list(details.get("compute_capability", ())),
        }
        for gpu in tf.config.list_physical_devices("GPU")
        for details in [tf.config.experimental.get_device_details(gpu)]
    ]
    image = tf.ones((1, 8, 8, 1))
    total = float(tf.reduce_sum(tf.nn.conv2d(image, tf.ones((3, 3, 1, 1)), 1, "VALID")))
    return {
        "backend": keras.backend.backend(),
        "gpus": gpus,
        "built_with_cuda": bool(tf.test.is_built_with_cuda()),
        "precision": choose_precision(),
        "computes": total == 6 * 6 * 9,
    }


def try_decoders() -> dict[str, Any]:
    """Write and read back a small picture in each accepted format."""
    return {name: _decoder_fault(name) for name in SAMPLES}


def _decoder_fault(name: str) -> str:
    """Return the fault of the decoder of a format; empty if it works."""
    from PIL import Image

    from imgclf.data.pixels.decoder import decode
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.errors import ImageError, in_one_line

    if name == "HEIC":
        try:
            import pillow_heif
        except ImportError:
            return "pillow-heif is not installed"
        pillow_heif.register_heif_opener()
    stream = io.BytesIO()
    try:
        Image.new("RGB", (32, 32), (200, 40, 40)).save(stream, SAMPLES[name])
        pixels = decode(stream.getvalue(), InputPolicy((16, 16)))
    except ImageError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a build without a codec raises anything
        return in_one_line(error)
    return "" if pixels[..., 0].mean() > 150 > pixels[..., 1].mean() else "the colours are wrong"


def try_plugin(name: str) -> dict[str, Any]:
    """Import one architecture and read its options."""
    from imgclf.errors import ImgclfError
    from imgclf.zoo.registry import load_architecture

    try:
        architecture = load_architecture(name)
    except ImgclfError as error:
        return {"fault": str(error)}
    return {"fault": "", "num_options": len(architecture.options)}


if __name__ == "__main__":
    main(sys.argv[1:])
