"""`imgclf architectures`: the installed networks and their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from imgclf.cli._console import error_console, print_json, result_console, shown_path, typed_path
from imgclf.cli._help import VerbGroup, VerbWithHelp
from imgclf.cli._parameters import (
    ArchitectureName,
    JsonFlag,
    complete_architecture,
    parse_architecture,
)
from imgclf.conformance.template import write_plugin
from imgclf.errors import ImgclfError
from imgclf.machine.startup import silenced_stderr
from imgclf.machine.terminal import escape, shell_word
from imgclf.options import Choice, Option, Weights, is_pretrained
from imgclf.runs.settings import PRETRAINED
from imgclf.zoo.costs import Cost, known_costs
from imgclf.zoo.registry import (
    Registration,
    describe_architecture,
    find_architectures,
    load_architecture,
)

app = typer.Typer(
    cls=VerbGroup,
    no_args_is_help=True,
    help="List, describe, check and create architectures (networks).",
    epilog="Example: `imgclf architectures show resnet9`",
)


@app.command("list", cls=VerbWithHelp)
def list_(as_json: JsonFlag = False) -> None:
    """List the installed architectures: what they are, what they cost, which are pretrained.

    Example: `imgclf architectures list`
    """
    costs = known_costs()
    rows = [_listed(name, found, costs) for name, found in find_architectures().items()]
    if as_json:
        print_json({row.pop("name"): row for row in map(asdict, rows)})
        return
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("architecture", no_wrap=True)
    table.add_column("weights", justify="right", no_wrap=True)
    table.add_column("MFLOP", justify="right", no_wrap=True)
    table.add_column("pretrained", no_wrap=True)
    table.add_column("what it is")
    for row in rows:
        table.add_row(
            escape(f"{row.name} *" if row.name == PRETRAINED else row.name),
            "" if row.parameters is None else f"{row.parameters / 1e6:.2f} M",
            "" if row.mflop is None else f"{row.mflop:,}",
            row.pretrained or "",
            escape(row.summary),
        )
    console = result_console()
    console.print(table)
    if not rows:
        console.print("None: imgclf runs without its metadata; install it: pip install -e .")
        return
    console.print(
        "\n* What `imgclf train` begins with. MFLOP: of a colour image of 96 x 96 pixels. "
        "Pretrained on request: `--set weights=imagenet` downloads the weights."
        "\nNext: imgclf architectures show NAME"
    )


@dataclass(frozen=True, slots=True)
class _Listed:
    """A line of the list; `pretrained` says where the weights come from."""

    name: str
    summary: str
    packages: tuple[str, ...]
    pretrained: Literal["installed", "on request"] | None
    parameters: int | None
    mflop: int | None


def _listed(name: str, found: Sequence[Registration], costs: Mapping[str, Cost]) -> _Listed:
    packages = tuple(map(str, found))
    cost = costs.get(name) if found[0].builtin else None
    parameters, mflop = (cost.parameters, cost.mflop) if cost else (None, None)
    try:
        description = describe_architecture(name)
    except ImgclfError as error:
        summary = f"Of {' and '.join(packages)}. {error}"
        return _Listed(name, summary, packages, None, parameters, mflop)
    summary = description.summary
    if not found[0].builtin:
        summary = f"{summary} ({packages[0]})"
    pretrained: Literal["installed", "on request"] | None = None
    if any(isinstance(option.range, Weights) for option in description.options):
        pretrained = "installed" if is_pretrained(description.options, {}) else "on request"
    return _Listed(name, summary, packages, pretrained, parameters, mflop)


@app.command("show", cls=VerbWithHelp)
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An installed architecture.",
            autocompletion=complete_architecture,
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Show an architecture's options: valid values, default and search values.

    Example: `imgclf architectures show resnet9`
    """
    description = describe_architecture(name)
    if as_json:
        print_json(asdict(description))
        return
    console = result_console()
    package = f"{description.distribution} {description.version}"
    console.print(f"[bold]{escape(name)}[/]  ({escape(package)})", highlight=False)
    console.print(escape(description.summary))
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("option", "default", "accepts", "search"):
        table.add_column(column, overflow="fold")
    for option in description.options:
        table.add_row(*map(escape, _row(option)))
    console.print()
    console.print(table)
    console.print(f"\nNext: imgclf train DIR --arch {escape(shell_word(name))} --set NAME=VALUE")


@app.command("new", cls=VerbWithHelp)
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the architecture, such as my_net.")
    ],
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="Folder of the package; default ./NAME."),
    ] = None,
) -> None:
    """Write a small package with one architecture, to start from.

    Example: `imgclf architectures new my_net`
    """
    written = write_plugin(name, directory)
    folder, typed = escape(shown_path(written)), escape(typed_path(written))
    console = result_console()
    console.print(f"The package is in [bold]{folder}[/]; the network is", soft_wrap=True)
    console.print(f"  {folder}/src/{escape(name)}/architecture.py", soft_wrap=True)
    console.print(
        f"\nNext: pip install -e {typed} && imgclf architectures check {escape(name)}",
        soft_wrap=True,
    )


@app.command("check", cls=VerbWithHelp)
def check(
    name: ArchitectureName,
    as_json: JsonFlag = False,
) -> None:
    """Check that an architecture meets the contract: build, options, training, saving.

    Exits with 1 if it does not. Example: `imgclf architectures check my_net`
    """
    architecture = parse_architecture(name)
    load_architecture(architecture)  # refused before TensorFlow is loaded
    console = error_console()
    if console.is_terminal:
        console.print("[dim]Loading TensorFlow ...[/]", end="\r")
    with silenced_stderr():
        from imgclf.testing import check_architecture
    report = check_architecture(architecture)
    if as_json:
        print_json({**asdict(report), "passed": report.passed})
    else:
        result_console().print(str(report), markup=False, soft_wrap=True)
    if not report.passed:
        raise typer.Exit(1)


def _row(option: Option) -> tuple[str, str, str, str]:
    if isinstance(option.range, Choice):
        accepts = ", ".join(map(str, option.range.values))
        if isinstance(option.range, Weights):
            accepts += ", FILE.h5"
    else:
        accepts = f"{option.range.minimum:g} to {option.range.maximum:g}"
    search = ", ".join(map(str, option.range.search)) or "-"
    return option.name, str(option.default), accepts, search
