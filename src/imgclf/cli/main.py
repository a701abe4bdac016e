"""The `imgclf` command: its verbs, and how exceptions become exit codes."""

from __future__ import annotations

import gc
import logging
import os
import platform
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from imgclf.cli._console import (
    accept_any_character,
    error_console,
    print_line,
    result_console,
)
from imgclf.cli._help import VerbGroup, VerbWithHelp
from imgclf.cli._signals import Stopped, install_handlers
from imgclf.errors import BackendError, ImgclfError, remedy_of
from imgclf.machine.keras_backend import require_tensorflow
from imgclf.machine.plain_text import printable

__all__ = ["make_app", "run"]

EXIT_EXPECTED_ERROR = 1
EXIT_USAGE = 2
EXIT_BUG = 3

_USAGE_ERRORS: type[Exception] = typer.BadParameter.__mro__[2]
"""What a wrong command line raises: Typer gives its class no public name."""

FIRST, FURTHER, MACHINE = "First steps", "Further", "This machine"

_PANEL_OF = {
    "demo": FIRST,
    "check": FIRST,
    "train": FIRST,
    "predict": FIRST,
    "evaluate": FIRST,
    "report": FIRST,
    "export": FURTHER,
    "serve": FURTHER,
    "tune": FURTHER,
    "relabel": FURTHER,
    "shard": FURTHER,
    "info": FURTHER,
    "architectures": FURTHER,
    "doctor": MACHINE,
    "bench": MACHINE,
    "cache": MACHINE,
}
"""The verbs in the order of ``--help``. Each is a module beside this one, with a function of its
name, or with an ``app`` where it has verbs of its own."""


_ANSWERING = ("architectures", "evaluate", "info", "predict", "serve")
"""Verbs that start in a moment and leave little garbage."""

OBJECTS_BEFORE_COLLECTION = 100_000
"""Python looks for garbage after 700 new objects: a tenth of the time until a photo is answered,
of objects that modules are made of, and that stay."""


def make_app(verbs: Iterable[str] = _PANEL_OF) -> typer.Typer:
    """Make the command line.

    Args:
        verbs: The verbs that it needs: each costs the time to import it and to read its options.

    Returns:
        The command line with these verbs.
    """
    app = typer.Typer(
        name="imgclf",
        cls=VerbGroup,
        help="Turn a folder of images into a classifier that you can trust and take with you.",
        epilog="Begin with: imgclf demo. Then: imgclf train FOLDER, with one sub-folder per class.",
        invoke_without_command=True,
        pretty_exceptions_enable=False,  # `run` below writes errors; three lines are enough
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_main)
    for verb in verbs:
        module = import_module(f"imgclf.cli.{verb}")
        panel = _PANEL_OF[verb]
        if hasattr(module, "app"):
            app.add_typer(module.app, name=verb, rich_help_panel=panel)
        else:
            command = app.command(verb, cls=VerbWithHelp, rich_help_panel=panel)
            command(getattr(module, verb))
    return app


def _needed_verbs(arguments: Sequence[str]) -> Iterable[str]:
    """Return the verb that a command line names, or all of them: for help, or to correct a typo."""
    if arguments and arguments[0] in _PANEL_OF:
        return arguments[:1]
    return _PANEL_OF


def __getattr__(name: str) -> Any:
    """Give ``app``, the whole command line, to those that ask for it."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return make_app()


def run() -> None:
    """Run the command line; the entry point of the `imgclf` command.

    Exit codes: 0 done, 1 an expected error, 2 usage, 3 a bug of ours, 130 interrupted,
    143 terminated.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    accept_any_character()
    install_handlers()
    _show_warnings()
    if sys.argv[1:2] and sys.argv[1] in _ANSWERING:
        gc.set_threshold(OBJECTS_BEFORE_COLLECTION)
    try:
        exit_code = make_app(_needed_verbs(sys.argv[1:]))(prog_name="imgclf", standalone_mode=False)
        sys.stdout.flush()  # Or a full disk would be met when Python has ended already.
        sys.exit(exit_code)
    except _USAGE_ERRORS as error:
        _print_usage_error(error)
        sys.exit(EXIT_USAGE)
    except typer.Abort:
        print_line(error_console(), "Aborted.")
        sys.exit(EXIT_EXPECTED_ERROR)
    except ImgclfError as error:
        print_line(error_console(), str(error), before="[bold red]Error:[/] ")
        sys.exit(EXIT_EXPECTED_ERROR)
    except Stopped as stopped:
        print_line(error_console(), "Stopped.")
        sys.exit(stopped.exit_code)
    except BrokenPipeError:  # The reader of our output, such as `head`, has gone.
        _discard_output()
        sys.exit(EXIT_EXPECTED_ERROR)
    except Exception as error:  # noqa: BLE001 - what is not the machine's fault is a bug of ours
        if isinstance(error.__cause__, Stopped):  # The signal came while C code waited: Ray's.
            print_line(error_console(), "Stopped.")
            sys.exit(error.__cause__.exit_code)
        if fault := _fault_of_machine(error):
            _discard_output()
            print_line(error_console(), fault, before="[bold red]Error:[/] ")
            sys.exit(EXIT_EXPECTED_ERROR)
        sys.stderr.write(printable(traceback.format_exc()))
        print_line(
            error_console(), f"This is a bug in imgclf; please report it with: {_versions()}"
        )
        sys.exit(EXIT_BUG)


def _discard_output() -> None:
    """Let what standard output cannot take go: Python writes it once more when it ends."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fault_of_machine(error: Exception) -> str:
    """Say what is wrong with the machine or its settings; empty where it is neither."""
    if isinstance(error, OSError) and error.strerror:
        try:
            Path.cwd()
        except OSError:
            return "The current folder has been removed: change to another one (cd)."
        where = os.fsdecode(error.filename) if error.filename else "Standard output or a file"
        remedy = remedy_of(error, otherwise="try again, or give another place")
        return f"{where} cannot be used ({error.strerror}): {remedy}."
    try:
        require_tensorflow()
    except BackendError as wrong:
        return str(wrong)
    return ""


def _show_warnings() -> None:
    """Print the log warnings about plugins, and about machines of a cluster that are left out.

    Verbs show the others.
    """
    handler = _Warnings()
    for name in ("imgclf.zoo.registry", "imgclf.zoo.isolation", "imgclf.data.store.cluster_scan"):
        logging.getLogger(name).addHandler(handler)


def _print_usage_error(error: Any) -> None:
    """Print what is wrong with a command line; a shell may have put names of files into it."""
    error.message = printable(error.message or "", is_name=True)
    text = re.sub(
        r"^Invalid value(?: for '([^']*)')?: (?:Value error, )?", _place, error.format_message()
    )
    if not text:  # A group alone: its help was shown.
        return
    console = error_console()
    print_line(console, text[:1].upper() + text[1:], before="[bold red]Error:[/] ")
    if error.ctx is not None:
        from imgclf.cli._help import help_of

        usage = help_of(error.ctx.command, error.ctx).usage
        print_line(console, f"Usage: {usage}")
        print_line(console, f"Help: {error.ctx.command_path} --help")


def _place(found: re.Match[str]) -> str:
    """Return the option that a wrong value was given for, in front of what is wrong."""
    return f"{found[1]}: " if found[1] else ""


class _Warnings(logging.Handler):
    """Prints what the library logs, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        print_line(error_console(), record.getMessage(), before="Warning: ")


def _versions() -> str:
    from importlib.metadata import version

    packages = ("imgclf", "keras", "tensorflow", "pillow")
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{listed}, Python {platform.python_version()} on {platform.system()}"


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(result_console(), f"imgclf {version('imgclf')}")
        raise typer.Exit


FIRST_STEPS = """\
imgclf turns a folder of images, one sub-folder per class, into a classifier.

  imgclf demo             try every step on small pictures that come with it
  imgclf check FOLDER     check your own images first; nothing is changed
  imgclf train FOLDER     train, evaluate and save a classifier
  imgclf doctor           check this machine and the installation

All commands: imgclf --help. Each one has an example: imgclf train --help"""


def _main(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Turn a folder of images into a classifier that you can trust and take with you."""
    if context.invoked_subcommand is None:
        result_console().print(FIRST_STEPS, markup=False, soft_wrap=True)
