"""`imgclf info`: what a classifier's file records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from imgclf.cli._console import print_json, result_console
from imgclf.cli._parameters import ClassifierFile, JsonFlag
from imgclf.figures.shares import shown_range, shown_share
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from imgclf.classifiers.bundle import Manifest


def info(file: ClassifierFile, as_json: JsonFlag = False) -> None:
    """Show a classifier's classes, network, input, figures and versions.

    Example: `imgclf info runs/last`
    """
    from imgclf.classifiers.bundle import read_facts

    found = read_facts(file)
    if as_json:
        sizes = {"size_bytes": found.size_bytes, "num_parameters": found.num_parameters}
        print_json({**found.manifest.as_dict(), **sizes})
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(found.manifest):
        table.add_row(name, escape(value))
    table.add_row("size", f"{found.size_bytes / 1e6:.1f} MB, {found.num_parameters:,} parameters")
    result_console().print(table)


def _rows(manifest: Manifest) -> list[tuple[str, str]]:
    architecture, policy, figures = manifest.architecture, manifest.input, manifest.figures
    options = ", ".join(f"{name}={value}" for name, value in architecture.options.items())
    package = f"{architecture.distribution} {architecture.version}"
    if architecture.distribution is None:
        source = architecture.source_sha256 or "unknown"
        package = f"a function of no package, from a file with sha256 {source}"
    colour = "grey" if policy.channels == 1 else "colour"
    rows = [("classes", f"{len(manifest.class_names)}: {', '.join(manifest.class_names)}")]
    if figures is not None:
        chosen = "" if figures.split == "test" else ", which also chose the epoch"
        of = figures.num_images
        accuracy = shown_share(figures.accuracy, of)
        interval = f"95% interval {shown_range(figures.accuracy_low, figures.accuracy_high, of)}"
        rows.append(("accuracy", f"{accuracy} ({interval}) on {of} {figures.split} images{chosen}"))
    if manifest.data is not None:
        data = manifest.data
        counts = f"{data.num_train} training, {data.num_val} validation, {data.num_test} test"
        rows.append(("trained on", f"{counts} images, seed {data.seed}"))
    rows += [
        ("input", f"{policy.height} x {policy.width} pixels, {colour}, {policy.resize}"),
        ("network", f"{architecture.name} ({package})"),
        ("options", options or "none"),
        *(("pretrained", origin) for origin in architecture.origins()),
    ]
    if manifest.calibration is not None:
        fitted = manifest.calibration
        error = f"calibration error {fitted.ece_before:.3f} -> {fitted.ece_after:.3f}"
        images = f"{fitted.num_images} validation images"
        rows.append(("calibrated", f"temperature {fitted.temperature:.3g}; {error} on {images}"))
    if "familiarity.safetensors" in manifest.members:
        rows.append(("unfamiliar", "out-of-distribution images are flagged"))
    versions = manifest.versions
    packages = f"imgclf {versions.imgclf}, keras {versions.keras}, tensorflow {versions.tensorflow}"
    rows += [("made", manifest.created), ("with", f"{packages}, Python {versions.python}")]
    return rows
