"""`imgclf predict`: the classes of images."""

from __future__ import annotations

import glob
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from imgclf.atomic import MOST_OF_A_NAME, make_folder, write_atomically
from imgclf.cli._console import (
    csv_path,
    error_console,
    print_csv,
    print_json,
    print_line,
    result_console,
    shown_path,
)
from imgclf.cli._parameters import (
    CLASSIFIER_SUFFIX,
    ArchitectureFile,
    ClassifierFile,
    EngineOption,
    JsonFlag,
    MinPrecision,
    parse_architecture_file,
)
from imgclf.data.reading.archives import find_archive
from imgclf.data.reading.shard_names import is_pattern
from imgclf.errors import ArgumentError, DataError, DataNotFoundError
from imgclf.figures.shares import shown_share
from imgclf.machine.startup import silenced_stderr
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from imgclf.classifiers.classifier import Classifier
    from imgclf.classifiers.prediction import Prediction

BAR_CELLS = 10


def predict(
    file: ClassifierFile,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Images, folders or quoted globs.")
    ],
    as_json: JsonFlag = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    min_precision: MinPrecision = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write heat maps (Grad-CAM) of the predictions into DIR."),
    ] = None,
    engine: EngineOption = "auto",
    arch: ArchitectureFile = None,
) -> None:
    """Classify images.

    Folders are searched recursively. Images that cannot be decoded are left out and named on
    standard error.

    Example: `imgclf predict runs/last holiday/ cat.jpg`
    """
    from imgclf.classifiers.bundle import read_bundle

    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both.")
    sources = expand_paths(paths)
    bundle = read_bundle(file, keep_weights=False)  # Refused before TensorFlow is loaded.
    architecture = parse_architecture_file(arch)
    with silenced_stderr():
        from imgclf.classifiers.loader import build_classifier

    left_out = _LeftOut()
    logger = logging.getLogger("imgclf")
    logger.addHandler(left_out)
    try:
        classifier = build_classifier(bundle, file, architecture=architecture, engine=engine)
        predictions = classifier.predict(sources, strict=False, min_precision=min_precision)
    finally:
        logger.removeHandler(left_out)
    if as_json:
        print_json([item.as_dict() for item in predictions])
    elif as_csv:
        _print_csv(predictions)
    else:
        _print_table(predictions)
    for message in left_out.messages:
        print_line(error_console(), message, style="yellow")
    if explain is not None:
        write_explanations(classifier, predictions, explain)
    if not predictions:
        raise DataError("No image could be decoded.")


def expand_paths(patterns: Sequence[str]) -> list[str]:
    """Resolve globs that the shell has not; refuse paths that do not exist."""
    paths: list[str] = []
    for pattern in patterns:
        # Inside an archive nothing exists for the system; braces are no glob.
        is_given = Path(pattern).exists() or find_archive(pattern) or is_pattern(pattern)
        found = [pattern] if is_given else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - patterns may be absolute
        if not found:
            raise DataNotFoundError(f"{pattern} does not exist, nor does it match any file.")
        classifier = next((one for one in found if one.endswith(CLASSIFIER_SUFFIX)), None)
        if classifier is not None:
            raise ArgumentError(
                f"{classifier} is a classifier, not an image: give one classifier, then images. "
                "runs/last is the folder of the newest one."
            )
        paths += found
    return paths


def write_explanations(
    classifier: Classifier, predictions: Sequence[Prediction], folder: Path
) -> None:
    """Write one heat map per image, numbered as in the table, for its predicted class."""
    make_folder(folder)
    for number, item in enumerate(predictions, start=1):
        assert item.path is not None, "the command line gives paths"
        target = folder / f"{number:04}-{Path(item.path).stem[:MOST_OF_A_NAME]}.png"
        content = io.BytesIO()
        classifier.explain(item.path, label=item.label).overlay().save(content, "PNG")
        write_atomically(target, content.getvalue(), synced=False)
    print_line(error_console(), f"{len(predictions)} heat map(s) in {shown_path(folder)}")


class _LeftOut(logging.Handler):
    """Collects what the library logs about images that it left out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _print_csv(predictions: Sequence[Prediction]) -> None:
    names = list(predictions[0].probabilities) if predictions else []
    print_csv([["path", "label", "probability", "accepted", "familiarity", *names]])
    for item in predictions:
        path = csv_path(item.path or "")
        row = [path, item.label, item.probability, str(item.accepted).lower()]
        familiarity = "" if item.familiarity is None else item.familiarity
        print_csv([[*row, familiarity, *item.probabilities.values()]])


def _answer(item: Prediction) -> str:
    """Write the class, what else it may be, and the flags, apart from each other."""
    names = [escape(item.label)]
    names += [f"{escape(name)} {shown_share(share, digits=0)}" for name, share in item.runners_up]
    also = f" [dim]or {', '.join(names[1:])}[/]" if item.runners_up else ""
    parts = [names[0] + also] if item.accepted else ["unsure", f"[dim]{names[0]}[/]{also}"]
    if item.unfamiliar:
        parts.append("[yellow]unfamiliar[/]")
    return " · ".join(parts)


def _print_table(predictions: Sequence[Prediction]) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("image", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    for item in predictions:
        bar = "█" * round(item.probability * BAR_CELLS)
        shown = f"{bar:<{BAR_CELLS}} {shown_share(item.probability):>6}"
        table.add_row(escape(shown_path(item.path or "")), _answer(item), shown)
    console = result_console()
    console.print(table)
    num_unfamiliar = sum(item.unfamiliar for item in predictions)
    if num_unfamiliar:
        console.print(
            f"\n{num_unfamiliar} unfamiliar: unlike the training images, perhaps of no class; 5% "
            "of usual images are flagged too."
        )
