"""Measures the built-in architectures and writes the table of docs/architectures.md.

Usage: python tools/measure_zoo.py [--epochs 15]

Size and speed are those of colour images of 96 x 96 pixels in ten classes, as `imgclf train` takes
them by default; accuracy is that on the embedded test images after a short training at 32 x 32
pixels in grey. Families with pretrained weights are measured for size and speed alone, with random
ones: their accuracy depends on the weights. Speeds are the fastest of several steps; run it on a
machine that does nothing else.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

from imgclf.data.demo import unpack_images
from imgclf.errors import PluginError
from imgclf.machine.precision import choose_precision
from imgclf.options import Weights
from imgclf.training.speed import measure_speed, mega_flop
from imgclf.workflow.training import Settings, run_training
from imgclf.zoo.builder import build_model, smallest_side
from imgclf.zoo.registry import describe_architecture, find_architectures, load_architecture

COSTS = Path(__file__).parents[1] / "src/imgclf/zoo/costs.json"
PAGE = Path(__file__).parents[1] / "docs/architectures.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
HEADER = (
    "| architecture | smallest image | parameters | MFLOP per image | training, img/s "
    "| prediction, img/s | accuracy |\n"
    "|---|---:|---:|---:|---:|---:|---:|\n"
)


def main() -> None:
    """Measure the built-ins, or those that are named, and write each row as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="Default: all built-ins.")
    parser.add_argument("--epochs", type=int, default=15)
    arguments = parser.parse_args()
    names = [name for name, found in find_architectures().items() if found[0].builtin]
    with tempfile.TemporaryDirectory() as folder:
        images = unpack_images(Path(folder))
        for name in arguments.names or names:
            try:
                row = measured_row(name, images, arguments.epochs)
            except PluginError as error:  # It stands on a package of an extra.
                print(f"{name} is left as it is: {error}", flush=True)
            else:
                write_row(name, row, arguments.epochs)


def write_row(name: str, row: str, epochs: int) -> None:
    """Put one row into the page's table, in the order of names."""
    conditions = (
        f"Measured on {os.cpu_count()} CPU cores, training in {choose_precision()}, prediction in "
        f"float32; accuracy of 400 test images after {epochs} epochs on 1,445 training images, "
        "one seed; *pretrained* where it depends on the weights to begin with. Speeds are the "
        "fastest of five steps.\n\n"
    )
    before, _, rest = PAGE.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = [line + "\n" for line in table.splitlines() if line.startswith("| [`")]
    rows = sorted([line for line in rows if not line.startswith(f"| [`{name}`]")] + [row])
    PAGE.write_text(f"{before}{BEGIN}{conditions}{HEADER}{''.join(rows)}{END}{after}")


def measured_row(name: str, images: Path, epochs: int) -> str:
    """Measure one architecture with its default options and write its row."""
    model = build_model(name, (96, 96, 3), 10)
    num_parameters, mflop = model.count_params(), mega_flop(model)
    shown_flop = "unknown" if mflop is None else f"{mflop:,.0f}"
    speed = measure_speed(model)
    accuracy = "pretrained"
    if not has_weights(name):
        settings = Settings(architecture=name, image_size=(32, 32), channels=1, epochs=epochs)
        accuracy = f"{run_training(images, settings).evaluation.accuracy:.1%}"
    row = (
        f"| [`{name}`](#{name}) | {smallest_side(name)} px | {num_parameters:,} | {shown_flop} "
        f"| {speed.train_images_per_s:,.0f} | {speed.predict_images_per_s:,.0f} "
        f"| {accuracy} |\n"
    )
    print(describe_architecture(name).summary, row, flush=True)
    write_cost(name, num_parameters, None if mflop is None else round(mflop))
    return row


def write_cost(name: str, num_parameters: int, mflop: int | None) -> None:
    """Put an architecture into the file that `imgclf architectures list` reads."""
    costs = json.loads(COSTS.read_text()) | {name: {"parameters": num_parameters, "mflop": mflop}}
    rows = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(costs.items())]
    COSTS.write_text("{\n" + ",\n".join(rows) + "\n}\n")


def has_weights(name: str) -> bool:
    """Tell whether an architecture is meant to begin with pretrained weights."""
    return any(isinstance(option.range, Weights) for option in load_architecture(name).options)


if __name__ == "__main__":
    main()
