"""A page that classifies: one HTML file with the network inside, for any browser, offline."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from imgclf.classifiers.class_gaussian import ClassGaussian
from imgclf.classifiers.familiarity import HEAD, UNFAMILIAR_BELOW
from imgclf.errors import ArgumentError
from imgclf.figures.reliability import LOG_FLOOR
from imgclf.figures.shares import shown_range, shown_share
from imgclf.reports.page import fill_page, script_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from imgclf.classifiers.familiarity import Familiarity
    from imgclf.classifiers.manifest import Figures
    from imgclf.data.pixels.input_policy import InputPolicy

__all__ = ["PageAgreement", "PageCard", "WebRuntime", "packaged_runtime", "web_page"]

SCRIPTS = (
    "drawing.js", "cards.js", "pixels.js", "network.js", "judgement.js", "photos.js", "intake.js",
)  # fmt: skip

MOST_NAMED = 6
"""Classes that are named at the head of the page."""

RESIZING = {
    "stretch": "stretched",
    "pad": "whole, on a background",
    "crop": "cut to its middle",
}

SPLITS = {"test": "test", "val": "validation"}


@dataclass(frozen=True, slots=True)
class PageAgreement:
    """How the page's network compares with Python, on photos that both have answered.

    Attributes:
        num_images: Photos that were compared.
        num_equal: Photos of which both named the same class.
        largest_difference: Largest difference of a probability, 0 to 1.
        measured_by: What answered, such as ``"Chromium 140"``.
    """

    num_images: int
    num_equal: int
    largest_difference: float
    measured_by: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PageCard:
    """What a page knows of its classifier beside the network.

    Attributes:
        title: The page's name.
        class_names: Names of the classes, in the order of the network's outputs.
        policy: How a photo becomes the pixels that the network reads.
        temperature: What the network's probabilities are calibrated with; 1 leaves them.
        figures: What was measured on held-out images; None where nothing was.
        created: When the classifier was made, such as ``"2026-11-29"``; may be empty.
        licences: A line each for what the network was made from.
        familiarity: What training images look like to the network; None flags no photo.
        number_format: How the network's weights are stored, such as ``"float16"``.
        agreement: How the page compares with Python; None where nobody has measured it.
    """

    title: str
    class_names: Sequence[str]
    policy: InputPolicy
    temperature: float = 1.0
    figures: Figures | None = None
    created: str = ""
    licences: Sequence[str] = ()
    familiarity: Familiarity | None = None
    number_format: str = "float32"
    agreement: PageAgreement | None = None


@dataclass(frozen=True, slots=True, eq=False)
class WebRuntime:
    """What runs a network in a browser.

    Attributes:
        name: Its name and version, for people.
        licence: Its licence.
        script: A script that sets ``ModuleFactory``.
        packed_wasm: The WebAssembly module, as gzip packs it.
    """

    name: str
    licence: str
    script: str
    packed_wasm: bytes


def packaged_runtime() -> WebRuntime:
    """Return the LiteRT.js that comes with imgclf."""
    folder = files("imgclf.exports").joinpath("web_runtime")
    name = "litert_wasm_compat_internal"
    return WebRuntime(
        name="LiteRT.js 2.5.3",
        licence="Apache-2.0",
        script=folder.joinpath(f"{name}.js").read_text(encoding="utf-8"),
        packed_wasm=folder.joinpath(f"{name}.wasm.gz").read_bytes(),
    )


def web_page(card: PageCard, network: bytes, runtime: WebRuntime | None = None) -> str:
    """Write a page that classifies photos where it is opened, and sends nothing anywhere.

    It is one file that works from a disk, a phone's memory or a server, without a network.

    Args:
        card: What the page knows of the classifier.
        network: A ``.tflite`` file for uint8 images ``(batch, height, width, channels)`` whose
            outputs are, in this order, the probabilities, ``(batch, 1)`` or
            ``(batch, num_classes)``, and the pooled features, ``(batch, features)`` each, all in
            float32; see `imgclf.classifiers.answer_network`. Weights of any precision.
        runtime: What runs the network; None takes the one that comes with imgclf.

    Returns:
        The page's HTML, to be written as UTF-8.

    Raises:
        ArgumentError: The network is no ``.tflite`` file.

    Example:
        >>> page = web_page(card, network)                               # doctest: +SKIP
        >>> Path("pets.html").write_text(page, encoding="utf-8")         # doctest: +SKIP
    """
    if network[4:8] != b"TFL3":
        raise ArgumentError(
            "The network is no .tflite file: give what LiteRT's converter returned."
        )
    runtime = runtime or packaged_runtime()
    folder = files("imgclf.exports").joinpath("web_template")
    tensors = _page_tensors(card.familiarity)
    return fill_page(
        "classifier.html",
        SCRIPTS,
        _values(card),
        _content(card, runtime, tensors),
        styles=["classifier.css"],
        folders=[folder],
        blocks={
            "choose": folder.joinpath("chooser.html").read_text(encoding="utf-8"),
            "familiarity": _packed(b"".join(values.tobytes() for values in tensors.values())),
            "network": _packed(network),
            "runtime": base64.b64encode(runtime.packed_wasm).decode(),
            "runtime_script": runtime.script,
            "runtime_hash": script_hash(runtime.script),
        },
    )


def _values(card: PageCard) -> dict[str, str]:
    """Return the page's plain texts."""
    names, rest = card.class_names[:MOST_NAMED], len(card.class_names) - MOST_NAMED
    more = f" and {rest:,} more" if rest > 0 else ""
    accuracy, interval = "", "Its accuracy was not measured."
    if (figures := card.figures) is not None:
        of = figures.num_images
        accuracy = shown_share(figures.accuracy, of)
        interval = (
            f"of {of:,} {SPLITS[figures.split]} images right "
            f"(95% interval: {shown_range(figures.accuracy_low, figures.accuracy_high, of)})"
        )
    return {
        "title": card.title,
        "summary": f"Tells {len(card.class_names):,} classes apart: {', '.join(names)}{more}.",
        "accuracy": accuracy,
        "interval": interval,
        "footer": "Made by imgclf. This file holds all that it needs and sends nothing.",
    }


def _content(
    card: PageCard, runtime: WebRuntime, tensors: dict[str, NDArray[np.generic]]
) -> dict[str, Any]:
    """Return what the page's script reads."""
    policy = card.policy
    kind = "gaussian" if _is_gaussian(card.familiarity) else "layers"
    index = [
        {"name": name, "type": str(values.dtype), "shape": list(values.shape)}
        for name, values in tensors.items()
    ]
    return {
        "class_names": list(card.class_names),
        "policy": {
            "height": policy.image_size[0],
            "width": policy.image_size[1],
            "channels": policy.channels,
            "resize": policy.resize,
            "background": list(policy.background),
        },
        "temperature": card.temperature,
        "log_floor": LOG_FLOOR,
        "unfamiliar_below": UNFAMILIAR_BELOW,
        "familiarity": {"kind": kind, "tensors": index} if tensors else None,
        "facts": _facts(card, runtime),
        "notes": _notes(card),
    }


def _facts(card: PageCard, runtime: WebRuntime) -> list[tuple[str, str]]:
    """Return the classifier's card as pairs of texts."""
    policy, figures = card.policy, card.figures
    height, width = policy.image_size
    colours = "grey" if policy.channels == 1 else "colour"
    facts = [("Classes", f"{len(card.class_names):,}")]
    if figures is not None:
        facts.append(
            (
                "Guessing the commonest class",
                shown_share(figures.majority_accuracy, figures.num_images),
            )
        )
    if card.created:
        facts.append(("Made", card.created))
    facts += [
        ("Reads", f"{height} x {width} pixels in {colours}, {RESIZING[policy.resize]}"),
        ("Weights", card.number_format),
        *(("Licence", line) for line in card.licences),
        ("Runs by", f"{runtime.name}, licence {runtime.licence}"),
    ]
    return facts


def _notes(card: PageCard) -> list[str]:
    """Return sentences on what the answers mean."""
    notes = ["It always names one of its classes, even for a photo of something else."]
    if card.familiarity is not None:
        notes[0] += (
            " A photo is called unfamiliar if it lies farther from the training images than "
            f"{shown_share(1 - UNFAMILIAR_BELOW, digits=0)} of the validation images do."
        )
    else:
        notes[0] += " This one cannot tell which photos are unfamiliar to it."
    if (agreement := card.agreement) is None:
        notes.append(
            "Browsers read photos a little differently than Python does. How often this page "
            "answers otherwise was not measured for this classifier."
        )
    else:
        notes.append(
            f"Measured by {agreement.measured_by} on {agreement.num_images:,} photos: its network "
            f"named the same class as imgclf in Python for {agreement.num_equal:,} of them. "
            f"Probabilities differed by {100 * agreement.largest_difference:.2f} points at most. "
            "Browsers read photos a little differently than Python does."
        )
    return notes


def _is_gaussian(familiarity: Familiarity | None) -> bool:
    return familiarity is not None and isinstance(familiarity.told_by, ClassGaussian)


def _page_tensors(familiarity: Familiarity | None) -> dict[str, NDArray[np.generic]]:
    """Return the statistics as float32 and int32, by the names that the page's script uses."""
    if familiarity is None:
        return {}
    return {
        name.removeprefix(HEAD): tensor.astype("<i4" if tensor.dtype.kind == "i" else "<f4")
        for name, tensor in familiarity.to_tensors().items()
    }


def _packed(content: bytes) -> str:
    """Return bytes as text for a page: gzip, then base64; equal bytes give equal texts."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode()
