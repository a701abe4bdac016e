"""What a training tells while it runs, on whatever display it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from imgclf.machine.display import Display, Tone, when_shown
from imgclf.workflow.learner import TrainingObserver

if TYPE_CHECKING:
    from collections.abc import Sequence

    import keras

    from imgclf.data.batches.image_data import ImageData
    from imgclf.training.budget import BudgetPlan
    from imgclf.workflow.training_run import TrainingRun

__all__ = ["data_lines", "narrated", "result_lines"]


def narrated(
    display: Display | None,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    scanned: Callable[[], None] = lambda: None,
    stop_requested: Callable[[], bool] | None = None,
) -> TrainingObserver:
    """Return an observer that tells a display how a training goes on.

    Args:
        display: The display; None tells nothing.
        callbacks: Keras callbacks.
        scanned: Called once the images are known.
        stop_requested: Asked after each step; True, upon Ctrl-C, ends the training in good order.

    Returns:
        The observer.
    """
    asked = stop_requested or (lambda: False)
    if display is None:
        return TrainingObserver(
            callbacks=callbacks, scanned=lambda _: scanned(), stop_requested=asked
        )

    def images_known(data: ImageData) -> None:
        display.clear()
        scanned()
        for text, tone in data_lines(data):
            display.say(text, tone)

    def planned(plan: BudgetPlan) -> None:
        height, width = plan.image_size
        display.say(f"Plan: images of {height} x {width} pixels, about {plan.epochs} epochs")

    def answered(accuracy: float, seconds: float) -> None:
        display.say(
            f"First answer after {seconds:.0f} s: {100 * accuracy:.1f}% of the validation images "
            "are right." + (" It is saved: Ctrl-C keeps it." if stop_requested else "")
        )

    return TrainingObserver(
        scanning=when_shown(display, "Reading images", "img"),
        scanned=images_known,
        planned=planned,
        rate_found=lambda rate: display.say(f"Learning rate: {rate:.2g}"),
        answered=answered,
        decided=display.say,
        callbacks=callbacks,
        verbose=display,
        stop_requested=asked,
    )


def data_lines(data: ImageData) -> Iterator[tuple[str, Tone]]:
    """Say what was left out, and how many images each split has.

    Args:
        data: The images.

    Yields:
        Lines, each with its tone.
    """
    for remark in data.remarks:
        yield remark, "yellow"
    test = f", {data.test.num_samples} test" if data.test else ""
    height, width = data.train.policy.image_size
    yield (
        (
            f"{data.train.num_classes} classes; {data.train.num_samples} training, "
            f"{data.val.num_samples} validation{test} images of {height} x {width} pixels"
        ),
        "",
    )


def result_lines(run: TrainingRun) -> Iterator[tuple[str, Tone]]:
    """Say what came of a training, and where it is.

    Args:
        run: The training.

    Yields:
        Lines, each with its tone.
    """
    first, *others = run.evaluation.verdict
    yield first, "bold"
    for sentence in others:
        yield sentence, ""
    if run.headline_split == "val":
        yield ON_VALIDATION_IMAGES, "yellow"
    if run.bundle is not None:
        yield f"Run folder: {run.bundle.parent} (model.imgclf, report.html and more)", ""


ON_VALIDATION_IMAGES = (
    "Measured on the validation images, which also chose the epoch: give test images for an "
    "unbiased figure."
)
