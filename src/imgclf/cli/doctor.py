"""`imgclf doctor`: a diagnosis of this machine and the installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.table import Table

from imgclf.cli._console import error_console, print_json, result_console, shown_path
from imgclf.cli._parameters import JsonFlag
from imgclf.machine.terminal import escape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imgclf.doctor.diagnosis import Diagnosis
    from imgclf.doctor.installation import Package


def doctor(as_json: JsonFlag = False) -> None:
    """Check this machine: versions, devices, memory, decoders and plugins.

    Prints a remedy for each problem. Exit code 0 if imgclf works, 1 if not. Changes nothing.

    Example: `imgclf doctor`
    """
    from imgclf.doctor.diagnosis import diagnose

    console = error_console()
    if console.is_terminal:
        console.print("[dim]Checking, which takes some seconds ...[/]", end="\r")
    found = diagnose()
    if as_json:
        print_json(found.as_dict())
    else:
        print_diagnosis(found)
    if not found.healthy:
        raise typer.Exit(1)


def print_diagnosis(found: Diagnosis) -> None:
    """Print the facts, each problem with its remedy, and the next command."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(found):
        table.add_row(name, escape(value))
    console = result_console()
    console.print(table)
    console.print()
    for problem in found.problems:
        style = "bold red" if problem.severity == "error" else "yellow"
        console.print(f"[{style}]{problem.severity.capitalize()}:[/] {escape(problem.text)}")
        console.print(f"  {escape(problem.remedy)}")
    if found.healthy:
        console.print("[bold green]imgclf works here.[/] Next: imgclf demo")


def _rows(found: Diagnosis) -> list[tuple[str, str]]:
    versions = [f"{name} {value}" for name, value in list(found.versions.items())[1:]]
    needed = [item for item in found.packages if not item.extra]
    extras = [item for item in found.packages if item.extra]
    features = found.processor.features
    rows = [
        ("imgclf", ", ".join([found.versions["imgclf"], *versions])),
        ("packages", ", ".join(f"{item.name} {item.installed or 'missing'}" for item in needed)),
        (
            "extras",  # Some packages are in several.
            ", ".join(
                dict.fromkeys(f"{item.name} {item.installed}" for item in extras if item.installed)
            )
            or "none",
        ),
        *_missing_rows(extras),
        ("processor", f"{found.processor.name}, {found.processor.num_cores} cores"),
        ("features", "unknown" if features is None else ", ".join(features) or "none"),
        ("oneDNN", "on" if found.onednn else "off"),
        ("memory", _memory(found)),
        *_device_rows(found),
        ("decoders", ", ".join(_decoders(found))),
        ("cache", _cache(found)),
        ("networks", f"{found.architectures} built in, {len(found.plugins)} from plugins"),
    ]
    rows += [
        (f"  {item['name']}", f"{item['package']}: {'broken' if item['fault'] else 'works'}")
        for item in found.plugins
    ]
    rows += [(f"  {name}", value) for name, value in found.settings.items()]
    return rows


def _missing_rows(extras: Iterable[Package]) -> list[tuple[str, str]]:
    missing = dict.fromkeys(item.extra for item in extras if not item.installed)
    return (
        [("not installed", ", ".join(f"imgclf[{extra}]" for extra in missing))] if missing else []
    )


def _memory(found: Diagnosis) -> str:
    if found.memory_bytes is None or found.memory_available_bytes is None:
        return "unknown"
    available, total = found.memory_available_bytes / 1e9, found.memory_bytes / 1e9
    return f"{available:.1f} of {total:.1f} GB available"


def _device_rows(found: Diagnosis) -> list[tuple[str, str]]:
    facts = found.tensorflow
    if "fault" in facts:
        return [("devices", "unknown, TensorFlow does not run")]
    gpus = [
        f"GPU {gpu['name']} (compute capability {'.'.join(map(str, gpu['compute_capability']))})"
        for gpu in facts["gpus"]
    ]
    return [
        ("devices", ", ".join(["CPU", *gpus])),
        ("precision", f"{facts['precision']} in training, float32 in all results"),
    ]


def _decoders(found: Diagnosis) -> list[str]:
    if "fault" in found.decoders:
        return ["none"]
    return [f"{name} {'no' if fault else 'yes'}" for name, fault in found.decoders.items()]


def _cache(found: Diagnosis) -> str:
    cache = found.cache
    free = "" if cache["free_bytes"] is None else f", {cache['free_bytes'] / 1e9:,.0f} GB free"
    size = f"{cache['size_bytes'] / 1e6:,.1f} MB of at most {cache['limit_bytes'] / 1e9:,.0f} GB"
    return f"{shown_path(cache['folder'])} ({size}{free})"
