"""`imgclf evaluate`: accuracy and other figures of a classifier on a folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgclf.cli._console import (
    ScanBar,
    accuracy_line,
    class_table,
    csv_path,
    error_console,
    print_csv,
    print_json,
    print_line,
    print_quarantined,
    print_verdict,
    result_console,
)
from imgclf.cli._figures import print_confusion
from imgclf.cli._parameters import (
    ArchitectureFile,
    ClassifierFile,
    EngineOption,
    JsonFlag,
    MinPrecision,
    parse_architecture_file,
)
from imgclf.errors import AccuracyError
from imgclf.figures.shares import shown_share
from imgclf.machine.startup import silenced_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.evaluation.results import Evaluation


def evaluate(
    file: ClassifierFile,
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder with one sub-folder per class, or a ZIP or CSV file."
        ),
    ],
    as_json: JsonFlag = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print one CSV row per image instead of the figures.")
    ] = False,
    split_file: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="The split.csv of a run: evaluate only its held-out images."
        ),
    ] = None,
    all_images: Annotated[
        bool, typer.Option("--all", help="Evaluate the training images, too.")
    ] = False,
    min_precision: MinPrecision = None,
    assert_accuracy: Annotated[
        float | None,
        typer.Option(metavar="SHARE", min=0, max=1, help="Exit with 1 below this accuracy."),
    ] = None,
    engine: EngineOption = "auto",
    arch: ArchitectureFile = None,
) -> None:
    """Evaluate a classifier on images that it was not trained on.

    On the folder that it was trained on, only the test images of that run are used: the
    `split.csv` beside the classifier's file lists them.

    Example: `imgclf evaluate runs/last other-photos/`
    """
    from imgclf.classifiers.bundle import read_bundle
    from imgclf.data.reading.layout import read_folder

    if as_json and as_csv:
        raise typer.BadParameter("give --json or --csv, not both.")
    if split_file is not None and all_images:
        raise typer.BadParameter("give --split-file or --all, not both.")
    bundle = read_bundle(file, keep_weights=False)  # Both are refused before TensorFlow is loaded.
    read_folder(directory, min_classes=1)
    architecture = parse_architecture_file(arch)
    with silenced_stderr():
        from imgclf.classifiers.loader import build_classifier
        from imgclf.evaluation.evaluator import evaluate_silently

    with ScanBar(error_console()) as scanning:
        result = evaluate_silently(
            build_classifier(bundle, file, architecture=architecture, engine=engine),
            directory,
            split_file=split_file,
            all_images=all_images,
            min_precision=min_precision,
            progress=scanning,
        )
    print_quarantined(error_console(), result.quarantined)
    for warning in result.warnings:
        print_line(error_console(), warning, style="yellow")
    if as_json:
        print_json(result.as_dict())
    elif as_csv:
        print_images(result)
    else:
        print_figures(result_console(), result)
    if assert_accuracy is not None and result.accuracy < assert_accuracy:
        raise AccuracyError(
            f"The accuracy is {result.accuracy:.4f}, below --assert-accuracy {assert_accuracy:g}."
        )


def print_figures(console: Console, result: Evaluation) -> None:
    """Print accuracy, further figures, the classes and the confusion matrix."""
    metrics, of = result.metrics, result.metrics.num_images
    print_verdict(console, result)
    console.print(accuracy_line(result))
    console.print(
        f"\nBalanced accuracy {shown_share(metrics.balanced_accuracy, of)}, "
        f"macro F1 {metrics.macro_f1:.3f}, ROC AUC {metrics.roc_auc:.3f}, "
        f"average precision {metrics.average_precision:.3f}"
    )
    if metrics.top_3_accuracy == metrics.top_3_accuracy:
        console.print(
            f"Top-3 {shown_share(metrics.top_3_accuracy, of)}, "
            f"top-5 {shown_share(metrics.top_5_accuracy, of)}"
        )
    console.print(
        f"Log loss {metrics.log_loss:.3f}, Brier score {metrics.brier_score:.3f}, "
        f"calibration error {metrics.expected_calibration_error:.3f}"
    )
    if result.selective is not None:
        chosen = result.selective
        console.print(
            f"Abstaining below {shown_share(chosen.threshold)}: "
            f"coverage {shown_share(chosen.coverage, of)}, "
            f"precision {shown_share(chosen.precision, of)}"
        )
    if result.num_unfamiliar is not None:
        unfamiliar = shown_share(result.num_unfamiliar / of, of)
        console.print(f"Unfamiliar (out of distribution): {unfamiliar} of the images (5% is usual)")
    console.print()
    console.print(class_table(metrics))
    print_confusion(console, result)


def print_images(result: Evaluation) -> None:
    """Print one CSV row per image."""
    names = result.class_names
    print_csv([["path", "true", "predicted", "correct", "probability", "familiarity", *names]])
    familiarity = result.familiarity if result.familiarity is not None else [""] * len(result.paths)
    rows = zip(
        *(result.paths, result.labels, result.predicted, result.probabilities, familiarity),
        strict=True,
    )
    for path, true, predicted, row, familiar in rows:
        correct = str(bool(true == predicted)).lower()
        answer = [names[true], names[predicted], correct, float(row[predicted]), familiar]
        print_csv([[csv_path(path), *answer, *row.tolist()]])
