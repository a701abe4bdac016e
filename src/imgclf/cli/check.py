"""`imgclf check`: problems of a folder of images, before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.table import Table

from imgclf.cli._console import (
    ScanBar,
    error_console,
    print_json,
    print_line,
    result_console,
    shown_path,
    typed_path,
)
from imgclf.cli._parameters import JsonFlag
from imgclf.cli._settings import with_settings
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from rich.console import Console

    from imgclf.data.checks.data_report import DataReport
    from imgclf.data.checks.findings import Finding

MOST_CLASSES = 20
STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@with_settings(only=("image_size", "near_duplicates", "augment"))
def check(
    given: dict[str, Any],
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Folder with one sub-folder per class; or with train/, val/ and test/ in it; or a "
            "ZIP, tar, CSV or Parquet file; or shards, such as 'shards/{000..099}.tar'.",
        ),
    ],
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 at any finding, not only at errors.")
    ] = False,
    preview: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a PNG with images of each class, plain and augmented."
        ),
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Decode the images on a Ray cluster too: HOST:PORT, auto or local; needs "
            "imgclf[ray], and the folder under the same path on its machines.",
        ),
    ] = None,
    allow_unauthenticated: Annotated[
        bool,
        typer.Option(
            "--allow-unauthenticated",
            help="Accept a cluster without a token, on which whoever reaches it runs code.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a folder of images before training; nothing in it is changed.

    Exit code 0 if it can be trained on, 1 if not.

    Example: `imgclf check photos/`
    """
    from imgclf.data.checks.data_report import check as check_folder
    from imgclf.data.checks.preview import save_preview

    size = given.get("image_size", (96, 96))
    near_duplicates = given.get("near_duplicates", True)
    with ScanBar(error_console()) as scanning:
        report = check_folder(
            directory,
            image_size=size,
            near_duplicates=near_duplicates,
            progress=scanning,
            cluster=cluster,
            allow_unauthenticated=allow_unauthenticated,
        )
        if preview is not None and report.num_usable:
            augmentation = given.get("augment", "light")
            save_preview(directory, preview, image_size=size, augmentation=augmentation)
    if as_json:
        print_json(report.as_dict())
    else:
        _print_report(result_console(), report, directory)
        if preview is not None and report.num_usable:
            print_line(result_console(), f"Preview: {shown_path(preview)}")
    if not report.trainable or (strict and report.findings):
        raise typer.Exit(1)


def _print_report(console: Console, report: DataReport, directory: Path) -> None:
    console.print(f"[bold]{escape(shown_path(directory))}[/]", soft_wrap=True)
    console.print(
        f"Layout: {_layout(report)}. "
        f"{report.num_usable:,} of {report.num_files:,} images are usable."
    )
    if report.classes:
        console.print()
        console.print(_class_table(report))
        console.print()
    facts = {
        "Formats": report.formats,
        "Pixel formats": report.modes,
        "Sizes, height x width": report.sizes,
    }
    for name, counts in facts.items():
        if counts:
            shown = ", ".join(f"{value} ({count:,})" for value, count in list(counts.items())[:4])
            more = f" and {len(counts) - 4} more" if len(counts) > 4 else ""
            print_line(console, f"{name}: {shown}{more}")
    for finding in report.findings:
        console.print()
        _print_finding(console, finding)
    console.print()
    if report.trainable:
        console.print(f"Next: imgclf train {escape(typed_path(directory))}", soft_wrap=True)
    else:
        console.print("This cannot be trained on yet: see the errors above.", style="bold red")


def _layout(report: DataReport) -> str:
    if report.kind in ("shards", "parquet"):
        shards = {"shards": "tar shards", "parquet": "Parquet"}[report.kind]
        return f"{shards} with{'' if report.layout == 'splits' else 'out'} splits"
    layouts = {
        "classes": "one folder per class",
        "splits": "split folders with class folders in them",
        "unknown": "no class folders with images",
    }
    archives = {"zip": "a ZIP file with ", "tar": "a tar file with "}
    return archives.get(report.kind, "") + layouts[report.layout]


def _print_finding(console: Console, finding: Finding) -> None:
    style = STYLES[finding.severity]
    console.print(f"[{style}]{finding.severity.capitalize()}:[/] {escape(finding.what)}")
    console.print(Padding(escape(finding.remedy), (0, 0, 0, 2)))
    for example in finding.examples:
        console.print(Padding(f"[dim]{escape(example)}[/]", (0, 0, 0, 4)))


def _class_table(report: DataReport) -> Table:
    """Draw the number of images of each class; only the smallest classes of many."""
    splits = ["train", "val", "test"] if report.layout == "splits" else ["train"]
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("class", overflow="fold")
    for split in splits:
        table.add_column(split if report.layout == "splits" else "images", justify="right")
    classes = report.classes
    if len(classes) > MOST_CLASSES:
        classes = tuple(sorted(classes, key=lambda item: item.train)[:MOST_CLASSES])
        table.title = f"The {MOST_CLASSES} smallest of {len(report.classes)} classes"
    for item in classes:
        table.add_row(escape(item.name), *(f"{getattr(item, split):,}" for split in splits))
    return table
