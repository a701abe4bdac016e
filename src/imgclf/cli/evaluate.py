"""`imgclf evaluate`: how good a bundle is on a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgclf.cli._console import (
    ScanBar,
    accuracy_line,
    class_table,
    error_console,
    print_json,
    print_quarantined,
    result_console,
)
from imgclf.cli._parameters import BundlePath, JsonFlag
from imgclf.runtime import silenced_stderr


def evaluate(
    bundle: BundlePath,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with one sub-folder per class.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Measure a classifier on images that it has not seen.

    Example: `imgclf evaluate pets.imgclf photos/test`
    """
    from imgclf.bundle import read_bundle
    from imgclf.data.folder import read_folder

    read_bundle(bundle)  # Both are refused before TensorFlow is loaded.
    read_folder(directory, min_classes=1)
    with silenced_stderr():
        from imgclf.classifier import load
        from imgclf.evaluation.evaluating import evaluate as measure

    with ScanBar(error_console()) as scanning:
        result = measure(load(bundle), directory, progress=scanning)
    if as_json:
        print_json(result.as_dict())
        return
    print_quarantined(error_console(), result.quarantined)
    for warning in result.warnings:
        error_console().print(warning, style="yellow", markup=False)
    console = result_console()
    console.print(accuracy_line(result.metrics))
    console.print()
    console.print(class_table(result.metrics))
