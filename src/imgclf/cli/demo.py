"""`imgclf demo`: every step on images that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgclf.cli._console import error_console, result_console, shown_path
from imgclf.cli._signals import StopSwitch
from imgclf.cli._training import load_tensorflow, print_summary, shown_training
from imgclf.figures.shares import shown_share
from imgclf.machine.terminal import escape

IMAGE_SIZE = (28, 28)
"""The size of Fashion-MNIST's images."""

EPOCHS = 8


def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder for the images and the classifier.")
    ] = Path("imgclf-demo"),
) -> None:
    """Train, evaluate, save, reload and predict on 2,100 small pictures of clothes.

    Takes about a minute. The images stay in DIR/images.

    Example: `imgclf demo`
    """
    from imgclf.data.demo import unpack_images

    console = error_console()
    images = unpack_images(directory / "images")
    console.print(f"The images are in [bold]{escape(shown_path(images))}[/]")
    load_tensorflow(console)
    from imgclf.classifiers.loader import load
    from imgclf.evaluation.evaluator import evaluate
    from imgclf.runs.run_names import make_run_folder
    from imgclf.workflow.training import Settings, run_training

    settings = Settings(
        architecture="resnet9",
        options={"filters": 12},
        image_size=IMAGE_SIZE,
        channels=1,
        epochs=EPOCHS,
        batch_size=32,
        optimizer="muon",
        learning_rate=0.1,
        label_smoothing=0.1,
        augment="light",
    )
    switch = StopSwitch()
    with shown_training(console, switch) as observer:
        run = run_training(
            images,
            settings,
            run_dir=make_run_folder("resnet9", directory / "runs"),
            observer=observer,
        )
    print_summary(run)
    if switch.exit_code is not None:
        raise typer.Exit(switch.exit_code)
    assert run.bundle is not None
    reloaded = load(run.bundle)
    again = evaluate(reloaded, images / "test")
    results = result_console()
    results.print(
        "\nReloaded from its file, its accuracy is "
        f"{shown_share(again.accuracy, again.metrics.num_images)} on the same images."
    )
    photo = sorted((images / "test" / "ankle-boot").iterdir())[0]
    prediction = reloaded.predict(photo)[0]
    results.print(
        f"{escape(shown_path(photo))} is: {escape(prediction.label)} "
        f"({shown_share(prediction.probability)})"
    )
    results.print("Next: imgclf train FOLDER (your own photos, one sub-folder per class)")
