"""`imgclf export`: a classifier in the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from imgclf.cli._console import error_console, print_json, print_line, result_console, shown_path
from imgclf.cli._parameters import (
    ArchitectureFile,
    ClassifierFile,
    JsonFlag,
    parse_architecture_file,
)
from imgclf.cli._training import load_tensorflow
from imgclf.errors import EngineError, ExportError, ImgclfError
from imgclf.exports.formats import FORMATS, require_format
from imgclf.figures.shares import shown_share
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from imgclf.classifiers.classifier import Classifier
    from imgclf.exports.proof import Proof


def export(
    file: ClassifierFile,
    format_: Annotated[
        str, typer.Option("--format", metavar="NAME", help=f"One of {', '.join(FORMATS)}.")
    ] = "litert",
    quantize: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="none (float32), float16, dynamic (8-bit weights) or int8."
        ),
    ] = "none",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="PATH", help="Default: beside the classifier."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Images to prove it on. Default: the run's held-out ones."
        ),
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            min=0,
            max=1,
            help="Least share of images with the same class. Default: 1, 0.99 in float16, 0.97 "
            "in 8 bits.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every format and quantization, in one table.")
    ] = False,
    as_json: JsonFlag = False,
    arch: ArchitectureFile = None,
) -> None:
    """Export a classifier to another program's format, and prove that it answers the same.

    The export is run in its own runtime, in a fresh process, on real images. If it answers
    differently, nothing is kept and the command exits with 1.

    Example: `imgclf export runs/last --format web -o pets.html`
    """
    from imgclf.classifiers.bundle import read_bundle

    require_format(format_, quantize)
    bundle = read_bundle(file)
    architecture = parse_architecture_file(arch)
    load_tensorflow(error_console())
    from imgclf.classifiers.loader import build_classifier
    from imgclf.exports.export import export as export_classifier
    from imgclf.exports.proof_images import proof_images

    classifier = build_classifier(bundle, file, architecture=architecture)
    known = proof_images(classifier, images)
    if every:
        wanted = [
            (str(name), str(way)) for name, spec in FORMATS.items() for way in spec.quantizations
        ]
    else:
        wanted = [(format_, quantize)]
    proofs: list[Proof] = []
    console = error_console()
    for number, (name, way) in enumerate(wanted, start=1):
        if every:
            _print_progress(console, f"{number} of {len(wanted)}: {name} {way}")
        path = output if output is not None and not every else _beside(file, output, name, way)
        try:
            proofs.append(
                export_classifier(
                    classifier, path, format=name, quantize=way, images=known,
                    min_agreement=min_agreement, calibrate_on=images,
                )
            )  # fmt: skip
        except (EngineError, ExportError) as error:
            if not every:
                raise
            print_line(console, f"{name}, {way}: {error}", style="yellow")
    if as_json:
        print_json([proof.as_dict() for proof in proofs])
    elif proofs:
        _print_proofs(proofs)
        _print_place((output or file.parent) if every else path, format_, every=every)
    if not proofs:
        raise ExportError("Nothing could be exported.")
    if (output or file).parent.resolve() == file.parent.resolve():
        _renew_report(file.parent, classifier)


def _print_progress(console: Console, text: str) -> None:
    """Show on a terminal what is being made; the next line replaces it."""
    if console.is_terminal:
        console.print(f"[dim]{text.removesuffix(' none') + ' ...':<40}[/]", end="\r")


def _print_place(place: Path, format_: str, *, every: bool) -> None:
    """Print where the exports are, and what to do with a page."""
    console = result_console()
    begin = "The exports are in" if every else "The export is"
    console.print(f"\n{begin} [bold]{escape(shown_path(place))}[/]", soft_wrap=True)
    if format_ == "web" and not every:
        console.print("Open it in a browser, or send it to your phone.")


def _renew_report(folder: Path, classifier: Classifier) -> None:
    """Show the proofs in the report of the run that the classifier lies in."""
    from imgclf.reports.documents import renew_report

    try:
        renew_report(folder, classifier)
    except ImgclfError as error:
        print_line(error_console(), f"The report does not show it: {error}", style="yellow")


def _beside(file: Path, output: Path | None, name: str, way: str) -> Path:
    """Return where an export goes: the classifier's name, in its folder or in another one."""
    from imgclf.exports.formats import FORMATS

    marked = file.stem if way == "none" else f"{file.stem}-{way}"
    suffix = FORMATS[name].suffix  # type: ignore[index]
    if name == "savedmodel":
        marked += "-savedmodel"
    if name == "imgclf":
        marked += "-exported"
    return (output or file.parent) / f"{marked}{suffix}"


def _print_proofs(proofs: Sequence[Proof]) -> None:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    for name in ("format", "quantized", "MB", "same class", "difference", "accuracy", "img/s"):
        table.add_column(name, justify="left" if name in ("format", "quantized") else "right")
    for proof in proofs:
        of, after = proof.num_images, proof.accuracy_after
        table.add_row(
            proof.format,
            "" if proof.quantize == "none" else proof.quantize,
            f"{proof.size_bytes / 1e6:.1f}",
            shown_share(proof.agreement, of),
            f"{proof.largest_difference:.0e}" if proof.largest_difference else "0",
            "" if after is None else shown_share(after, of),
            f"{proof.alone_per_s:,.0f} / {proof.batched_per_s:,.0f}",
        )
    console = result_console()
    console.print(table)
    if proofs:
        first = proofs[0]
        before = (
            " has no accuracy on them"
            if first.accuracy_before is None
            else f": accuracy {shown_share(first.accuracy_before, first.num_images)}"
        )
        console.print(
            f"\nCompared on {first.num_images} images: {escape(first.source)}. The classifier "
            f"itself{before}."
        )
        console.print(
            "difference: the largest of a probability. img/s: one at a time / 32 at a time."
        )
