"""Progress and summary of a training in the terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from imgclf.cli._console import (
    accuracy_line,
    class_table,
    comparison_table,
    error_console,
    print_json,
    print_line,
    print_verdict,
    result_console,
    shown_path,
    typed_path,
)
from imgclf.cli._figures import print_confusion, print_learning_curve
from imgclf.cli._parameters import architecture_flag
from imgclf.machine.startup import silenced_stderr
from imgclf.machine.terminal import escape
from imgclf.runs.folder import BUNDLE_NAME
from imgclf.runs.run_names import NEWEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from imgclf.cli._signals import StopSwitch
    from imgclf.data.batches.image_data import ImageData
    from imgclf.workflow.learner import TrainingObserver
    from imgclf.workflow.training import TrainingRun

__all__ = ["finish", "load_tensorflow", "print_data", "print_summary", "shown_training"]


def load_tensorflow(console: Console, deterministic: bool = False) -> None:
    """Import TensorFlow with a message; `deterministic` holds for the rest of the process."""
    if console.is_terminal:
        console.print("[dim]Loading TensorFlow ...[/]", end="\r")
    with silenced_stderr():
        import imgclf.workflow.training
    if deterministic:
        imgclf.workflow.training.enable_determinism()


def finish(run: TrainingRun, switch: StopSwitch, as_json: bool) -> None:
    """Print the summary of a training; exit with the code of the signal that stopped it."""
    if as_json:
        print_json(summary(run))
    else:
        print_summary(run)
        _print_next(run)
    if run.stopped and run.bundle is not None:
        print_line(
            error_console(),
            "Stopped before the last epoch. To continue: imgclf train --resume "
            f"{typed_path(run.bundle.parent)}",
        )
    if switch.exit_code is not None:
        raise typer.Exit(switch.exit_code)


@contextmanager
def shown_training(console: Console, switch: StopSwitch) -> Iterator[TrainingObserver]:
    """Show the progress of a training on `console`; `switch` stops it once images are known."""
    from imgclf.machine.display import TerminalDisplay
    from imgclf.workflow.narration import narrated

    display = TerminalDisplay(console)
    try:
        yield narrated(display, scanned=switch.arm, stop_requested=switch.is_thrown)
    finally:
        display.clear()


def print_data(console: Console, data: ImageData) -> None:
    """Print the number of images of each split, and what was left out."""
    from imgclf.workflow.narration import data_lines

    for text, tone in data_lines(data):
        print_line(console, text, style=tone)


def summary(run: TrainingRun) -> dict[str, Any]:
    """Return the result of a training, for JSON."""
    return {
        **run.evaluation.as_dict(),
        "split": run.headline_split,
        "bundle": str(run.bundle) if run.bundle else None,
        "precision": run.precision,
        "images_per_s": run.images_per_s,
        "durations_s": dict(run.durations_s),
        "best_epoch": run.fitted.best_epoch + 1 if run.fitted.best_epoch is not None else None,
        "head_epochs": run.fitted.head_epochs,
        "num_train": run.data.train.num_samples,
        "num_val": run.data.val.num_samples,
        "num_quarantined": len(run.data.quarantined),
        "num_leaked": run.data.num_leaked,
        "stopped": run.stopped,
        "before": run.before.as_dict() if run.before else None,
    }


def _effort(run: TrainingRun) -> str:
    """Say in a line what the training took."""
    seconds, fitted = sum(run.durations_s.values()), run.fitted
    if fitted.head_epochs == fitted.epochs == 1:
        return f"{seconds:.0f} s. The pretrained network is unchanged, only its head was fitted."
    line = f"{seconds:.0f} s; training at {run.images_per_s:,.0f} images/s in {run.precision}"
    if fitted.best_epoch is not None:
        line += f"; best epoch {fitted.best_epoch + 1} of {fitted.epochs}"
    return line + (
        f" (the first {fitted.head_epochs}: the head only)" if fitted.head_epochs else ""
    )


def print_summary(run: TrainingRun) -> None:
    """Print the result of a training: accuracy, classes and files."""
    console = result_console()
    metrics = run.evaluation.metrics
    console.print()
    print_verdict(console, run.evaluation)
    console.print(accuracy_line(run.evaluation))
    if run.headline_split == "val":
        console.print(
            "[yellow]Measured on the validation images, which also chose the epoch: give test "
            "images with --test DIR for an unbiased figure.[/]"
        )
    console.print()
    console.print(class_table(metrics))
    print_confusion(console, run.evaluation)
    print_learning_curve(console, run.fitted.history)
    if run.before is not None:
        console.print()
        console.print(comparison_table(run.before.metrics, metrics))
    console.print(f"\n{_effort(run)}")
    if run.bundle is not None:
        file = escape(shown_path(run.bundle))
        console.print(f"The classifier is [bold]{file}[/]", soft_wrap=True)
        page = escape(shown_path(run.bundle.parent / "report.html"))
        console.print(f"The report is [bold]{page}[/]: open it in a browser.", soft_wrap=True)
        from imgclf.reports.label_issues import count_written_issues

        if suspects := count_written_issues(run.bundle.parent):
            labels = "label looks" if suspects == 1 else "labels look"
            console.print(f"{suspects:,} {labels} wrong: see suspects.csv there, or the report.")


def _print_next(run: TrainingRun) -> None:
    """Print what to type next with the classifier of a training."""
    if run.bundle is not None:
        typed = escape(typed_path(_short_name(run.bundle)))
        flag = escape(architecture_flag(_function_of(run)))
        line = f"Next: imgclf predict {typed} PHOTO.jpg{flag}"
        result_console().print(line, soft_wrap=True)


def _short_name(bundle: Path) -> Path:
    """Return what is quickly typed for a run: its folder, or ``runs/last`` if it is that."""
    newest = bundle.parent.parent / NEWEST_NAME
    is_newest = newest.exists() and newest.resolve() == bundle.parent.resolve()
    return newest if is_newest else bundle.parent if bundle.name == BUNDLE_NAME else bundle


def _function_of(run: TrainingRun) -> Callable[..., Any] | None:
    """Return the function of a run's network, where no package provides it."""
    from imgclf.zoo.builder import origin_of

    origin = origin_of(run.classifier.model)
    if origin is None or origin.architecture.registration is not None:
        return None
    return origin.architecture.function
