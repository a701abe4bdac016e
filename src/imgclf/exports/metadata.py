"""What an export says of itself, as plain values that every format can carry."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from imgclf.data.pixels.decoder import DECODER_VERSION

if TYPE_CHECKING:
    from imgclf.classifiers.record import ClassifierRecord

__all__ = ["metadata_of"]


def metadata_of(
    record: ClassifierRecord, source_sha256: str, licences: tuple[str, ...]
) -> dict[str, Any]:
    """Describe a classifier to whoever runs its export.

    Args:
        record: The classifier.
        source_sha256: Hash of the file that was exported.
        licences: Of the pretrained weights, one line each.

    Returns:
        Values for JSON: class names by index, how an image is prepared, figures, licences, origin.
    """
    policy, figures = record.policy, record.figures
    height, width = policy.image_size
    return {
        "names": {str(index): name for index, name in enumerate(record.class_names)},
        "task": "classify",
        "imgsz": [height, width],
        "channels": policy.channels,
        "input": {
            "name": "image",
            "type": "uint8",
            "axes": "batch, height, width, channels (RGB, or grey); 0 to 255",
            "resize": policy.resize,
            "filter": "bilinear, antialiased, as Pillow's BILINEAR",
            "orientation": "EXIF orientation applied",
            "background": list(policy.background),
            "decoder_version": DECODER_VERSION,
        },
        "output": {"name": "probabilities", "type": "float32", "axes": "batch, classes"},
        "figures": None if figures is None else figures.as_dict(),
        "license": "; ".join(licences),
        "version": version("imgclf"),
        "source_sha256": source_sha256,
    }
