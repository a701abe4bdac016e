"""Draws the pictures of docs/eight-steps.md into docs/pictures, from real images and trainings.

Usage: python tools/make_doc_pictures.py [--train] [--check]

The images are those of `imgclf demo`. The curves of the trainings are kept in
docs/pictures/trainings.json; --train measures them anew (some minutes), everything else is
drawn in a second. With --check nothing is written; the exit code is 1 where a picture is stale.
"""

import argparse
import base64
import io
import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgclf.data.batches.augmentation import augment, resolve_augmentation
from imgclf.data.demo import unpack_images

FOLDER = Path(__file__).parents[1] / "docs/pictures"
TRAININGS = FOLDER / "trainings.json"
COLOURS = (
    ("#3f51b5", "#9fa8f5"),
    ("#d9480f", "#ff9f68"),
    ("#2b8a3e", "#7fd895"),
    ("#862e9c", "#da9bec"),
)
"""On light and on dark pages; told apart also by those who confuse red and green."""

STYLE = """\
.sheet { fill: #fff } text { fill: #222 } .rule { stroke: #ddd } .tick { stroke: #666 }
.cell { fill: #fff; stroke: #888 } .shaded { fill: #e7ecff } .curve { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  .sheet { fill: #1e2129 } text { fill: #e4e5ea }
  .rule { stroke: #3d4150 } .tick { stroke: #9a9eab }
  .cell { fill: #1e2129; stroke: #7d8190 } .shaded { fill: #333a5c }
}
"""
"""Browsers tell a picture whether the page around it is dark, whatever the system prefers."""

FILTERS = {
    "upright edges": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "level edges": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "blur": [[1 / 9] * 3] * 3,
}
"""Sobel's two filters and the mean. A network finds its own, by training."""

RATES = (1e-5, 1e-3, 1e-1)


def main() -> None:
    """Draw, or check, all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", action="store_true", help="Measure the trainings anew.")
    parser.add_argument("--check", action="store_true", help="Write nothing; exit 1 if stale.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images = unpack_images(Path(folder) / "images")
        if arguments.train:
            TRAININGS.write_text(json.dumps(measure_trainings(images), indent=1) + "\n")
        pictures = draw_all(images, json.loads(TRAININGS.read_text()))
    stale = [name for name, text in pictures.items() if not is_written(FOLDER / name, text)]
    if arguments.check:
        sys.exit(f"Stale: {', '.join(stale)}; run tools/make_doc_pictures.py." if stale else 0)
    for name, text in pictures.items():
        (FOLDER / name).write_text(text)


def is_written(path: Path, text: str) -> bool:
    """Say whether a picture is what would be drawn."""
    return path.exists() and path.read_text() == text


def draw_all(images: Path, trainings: dict[str, Any]) -> dict[str, str]:
    """Draw every picture as the text of an SVG file."""
    boot = np.asarray(Image.open(images / "train/ankle-boot/003.png"), np.uint8)
    return {
        "convolution.svg": draw_convolution(boot),
        "pooling.svg": draw_pooling(boot),
        "activations.svg": draw_activations(),
        "cross-entropy.svg": draw_cross_entropy(),
        "augmentation.svg": draw_augmentation(boot),
        "learning-rate.svg": draw_learning_rates(trainings["learning_rate"]),
        "overfitting.svg": draw_overfitting(trainings["overfitting"]),
    }


# --- What a convolution, a pooling and an augmentation do to a picture ------------------------


def convolve(image: NDArray[Any], kernel: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Slide a 3 x 3 filter over ``(height, width)``; the result is 2 pixels smaller each way."""
    weights = np.asarray(kernel, np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(image.astype(np.float64), (3, 3))
    return np.asarray((windows * weights).sum(axis=(2, 3)))


def pool(image: NDArray[Any], kind: Callable[..., Any]) -> NDArray[np.float64]:
    """Put 2 x 2 pixels together, by `np.max` or `np.mean`."""
    height, width = (side - side % 2 for side in image.shape)
    blocks = image[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return np.asarray(kind(blocks, axis=(1, 3)), np.float64)


def draw_convolution(image: NDArray[np.uint8]) -> str:
    """Show a picture, three filters, and where each answers."""
    parts = [picture(image, 10, 40, 150), caption("the picture, 28 x 28", 85, 30)]
    for number, (name, kernel) in enumerate(FILTERS.items()):
        x = 190 + number * 190
        parts += [caption(name, x + 75, 30), grid(kernel, x + 45, 40, 20)]
        parts += [picture(as_shades(convolve(image, kernel), name == "blur"), x, 115, 150)]
    parts += [
        caption("the filter, 3 x 3", 85, 212, size=12),
        caption("its answers, 26 x 26:", 85, 232, size=12),
        caption("white strongly yes, black strongly no", 85, 249, size=9),
    ]
    return svg(770, 275, "A boot, three filters and their answers", parts)


def draw_pooling(image: NDArray[np.uint8]) -> str:
    """Show the answers of one filter, pooled by the strongest and by the mean."""
    answers = np.maximum(convolve(image, FILTERS["upright edges"]), 0)
    row, column = 18, 10  # where the answers differ most
    numbers = answers[row : row + 4, column : column + 4].round().astype(int)
    strongest, mean = pool(numbers, np.max).astype(int), pool(numbers, np.mean).round().astype(int)
    parts = [
        caption("answers, 26 x 26", 85, 20),
        picture(as_shades(answers, True), 10, 30, 150),
        caption("max: 13 x 13", 275, 20),
        picture(as_shades(pool(answers, np.max), True), 200, 30, 150),
        caption("avg: 13 x 13", 465, 20),
        picture(as_shades(pool(answers, np.mean), True), 390, 30, 150),
        caption("four by four of them", 85, 215),
        grid(numbers.tolist(), 29, 225, 28, blocks=True),
        caption("the strongest of each block", 275, 215),
        grid(strongest.tolist(), 247, 253, 28),
        caption("the mean of each block", 465, 215),
        grid(mean.tolist(), 437, 253, 28),
    ]
    return svg(560, 350, "Max pooling keeps the strongest answer, average pooling the mean", parts)


def draw_augmentation(image: NDArray[np.uint8]) -> str:
    """Show what each preset makes of one picture in five epochs."""
    parts = []
    batch = image[np.newaxis, :, :, np.newaxis]
    for row, preset in enumerate(("classic", "light", "strong")):
        parts.append(caption(preset, 45, 75 + row * 115, size=15))
        for epoch in range(5):
            varied = augment(
                batch, np.array([0]), resolve_augmentation(preset), seed=1, epoch=epoch
            )
            parts.append(picture(varied[0, :, :, 0], 100 + epoch * 115, 20 + row * 115, 105))
    return svg(680, 370, "One boot in five epochs under three presets", parts)


# --- Curves -----------------------------------------------------------------------------------


def draw_activations() -> str:
    """Draw the functions behind a layer."""
    x = np.linspace(-4, 4, 81)
    gelu = x * np.array([0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x])
    curves = {
        "ReLU": np.maximum(x, 0),
        "GELU": gelu,
        "sigmoid": 1 / (1 + np.exp(-x)),
        "tanh": np.tanh(x),
    }
    chart = Chart((-4, 4), (-1.2, 4), "what a unit sums up", "what it hands on")
    parts = chart.frame([-4, -2, 0, 2, 4], [-1, 0, 1, 2, 3, 4])
    for number, (name, y) in enumerate(curves.items()):
        parts += chart.curve(x, y, number, name)
    return svg(560, 330, "Activation functions", parts)


def draw_cross_entropy() -> str:
    """Draw the loss of an answer against how sure it was, beside the plain difference."""
    p = np.linspace(0.005, 0.995, 199)
    chart = Chart((0, 1), (0, 5), "probability that the network gives to the true class", "loss")
    parts = chart.frame([0, 0.25, 0.5, 0.75, 1], [0, 1, 2, 3, 4, 5])
    parts += chart.curve(p, -np.log(p), 0, "cross-entropy: -log(p)")
    parts += chart.curve(p, 1 - p, 1, "difference: 1 - p")
    return svg(580, 330, "Cross-entropy against the plain difference", parts)


def draw_learning_rates(measured: dict[str, list[float]]) -> str:
    """Draw the loss of three trainings that differ in the learning rate alone."""
    epochs = len(next(iter(measured.values())))
    names = dict(zip(RATES, ("too low", "right", "too high"), strict=True))
    chart = Chart((1, epochs), (0, 4), "epoch", "loss on training images")
    parts = chart.frame(list(range(1, epochs + 1)), [0, 1, 2, 3, 4])
    for number, (rate, losses) in enumerate(measured.items()):
        label = f"{float(rate):g}: {names[float(rate)]}"
        parts += chart.curve(range(1, epochs + 1), losses, number, label)
    return svg(560, 330, "Three learning rates", parts)


def draw_overfitting(measured: dict[str, dict[str, list[float]]]) -> str:
    """Draw accuracy on training and validation images, with and without augmentation."""
    epochs = len(measured["none"]["accuracy"])
    chart = Chart((1, epochs), (0, 1), "epoch", "accuracy")
    parts = chart.frame([1, *range(10, epochs + 1, 10)], [0, 0.2, 0.4, 0.6, 0.8, 1])
    lines = [
        ("none", "accuracy", "training, plain"),
        ("none", "val_accuracy", "validation, plain"),
        ("light", "accuracy", "training, varied"),
        ("light", "val_accuracy", "validation, varied"),
    ]
    for number, (preset, figure, label) in enumerate(lines):
        y = measured[preset][figure]
        parts += chart.curve(range(1, epochs + 1), y, number // 2, label, dashed=number % 2 == 0)
    return svg(560, 330, "Learning by heart, and what varying the pictures does", parts)


class Chart:
    """A frame of 380 x 260 pixels with straight axes."""

    LEFT, TOP, WIDTH, HEIGHT = 50, 15, 330, 260

    def __init__(
        self, xs: tuple[float, float], ys: tuple[float, float], x_name: str, y_name: str
    ) -> None:
        self.xs, self.ys, self.names = xs, ys, (x_name, y_name)
        self.labels = 0

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point lies in the picture."""
        right = (x - self.xs[0]) / (self.xs[1] - self.xs[0])
        up = (y - self.ys[0]) / (self.ys[1] - self.ys[0])
        return self.LEFT + right * self.WIDTH, self.TOP + (1 - up) * self.HEIGHT

    def frame(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[str]:
        """Draw axes, ticks and names."""
        bottom, right = self.TOP + self.HEIGHT, self.LEFT + self.WIDTH
        parts = []
        for tick in y_ticks:
            y = self.place(self.xs[0], tick)[1]
            parts.append(line((self.LEFT, y), (right, y), "rule"))
            parts.append(caption(f"{tick:g}", self.LEFT - 8, y + 4, size=11, anchor="end"))
        for tick in x_ticks:
            x = self.place(tick, self.ys[0])[0]
            parts.append(line((x, bottom), (x, bottom + 4), "tick"))
            parts.append(caption(f"{tick:g}", x, bottom + 16, size=11))
        parts.append(caption(self.names[0], self.LEFT + self.WIDTH / 2, bottom + 36, size=12))
        parts.append(
            f'<g transform="rotate(-90 14 {self.TOP + self.HEIGHT / 2:g})">'
            + caption(self.names[1], 14, self.TOP + self.HEIGHT / 2, size=12)
            + "</g>"
        )
        return parts

    def curve(self, x: Any, y: Any, colour: int, label: str, *, dashed: bool = False) -> list[str]:
        """Draw a curve, and its name to the right of the frame."""
        inside = [
            self.place(*point)
            for point in zip(x, y, strict=True)
            if self.ys[0] <= point[1] <= self.ys[1]
        ]
        points = " ".join(f"{px:.1f},{py:.1f}" for px, py in inside)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        style = f'class="curve c{colour}"{dash}'
        top = self.TOP + 12 + 22 * self.labels
        self.labels += 1
        left = self.LEFT + self.WIDTH + 12
        return [
            f'<polyline points="{points}" {style}/>',
            f'<path d="M{left} {top - 4}h18" {style}/>',
            caption(label, left + 23, top, size=11, anchor="start"),
        ]


# --- SVG --------------------------------------------------------------------------------------


def svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    """Put the parts of a picture on a sheet in the colours of the page around it."""
    body = "\n".join(parts)
    light, dark = (
        " ".join(f".c{number} {{ stroke: {pair[side]} }}" for number, pair in enumerate(COLOURS))
        for side in (0, 1)
    )
    style = f"{light}\n{STYLE}@media (prefers-color-scheme: dark) {{ {dark} }}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="sans-serif">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n"
        f'<rect class="sheet" width="100%" height="100%"/>\n{body}\n</svg>\n'
    )


def caption(text: str, x: float, y: float, *, size: int = 13, anchor: str = "middle") -> str:
    """Write a line of text."""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" text-anchor="{anchor}">{text}</text>'


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    """Draw a straight line, a ``rule`` or a ``tick``."""
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
        f'class="{kind}"/>'
    )


def picture(pixels: NDArray[np.uint8], x: float, y: float, side: float) -> str:
    """Embed a grey picture whose pixels are seen one by one."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode()
    return (
        f'<image x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
    )


def as_shades(answers: NDArray[np.float64], positive: bool) -> NDArray[np.uint8]:
    """Turn answers into shades of grey; where they have signs, 0 is the middle."""
    largest = np.abs(answers).max()
    shares = answers / largest if positive else (answers / largest + 1) / 2
    return np.asarray((shares * 255).round(), np.uint8)


def grid(
    numbers: Sequence[Sequence[float]], x: float, y: float, side: float, *, blocks: bool = False
) -> str:
    """Draw numbers in boxes; `blocks` shades every other block of 2 x 2."""
    parts = []
    for row, values in enumerate(numbers):
        for column, value in enumerate(values):
            shaded = blocks and (row // 2 + column // 2) % 2
            left, top = x + column * side, y + row * side
            parts.append(
                f'<rect x="{left:g}" y="{top:g}" width="{side:g}" height="{side:g}" '
                f'class="cell{" shaded" if shaded else ""}"/>'
            )
            text = "1/9" if 0 < value < 1 else f"{value:g}"
            parts.append(caption(text, left + side / 2, top + side / 2 + 4, size=10))
    return "".join(parts)


# --- Real trainings ---------------------------------------------------------------------------


def measure_trainings(images: Path) -> dict[str, Any]:
    """Train for the two pictures of curves: rates, and few images learned by heart."""
    import imgclf

    common: dict[str, Any] = {"image_size": (28, 28), "channels": 1, "batch_size": 32}
    rates = {}
    train, val = imgclf.make_generators(images / "train", images / "test", **common)
    for rate in RATES:
        model = imgclf.build_model("three_conv", train.input_shape, 10, filters=8, seed=0)
        result = imgclf.fit(model, train, epochs=8, learning_rate=rate)
        rates[f"{rate:g}"] = [round(value, 4) for value in result.history["loss"]]
    few = take_few(images / "train", images.parent / "few")
    learned: dict[str, dict[str, list[float]]] = {}
    for preset in ("none", "light"):
        train, val = imgclf.make_generators(few, images / "test", augment=preset, **common)
        model = imgclf.build_model(
            "three_conv", train.input_shape, 10, filters=32, dropout=0.0, seed=0
        )
        result = imgclf.fit(model, train, val, epochs=60, learning_rate=1e-3)
        learned[preset] = {
            name: [round(value, 4) for value in result.history[name]]
            for name in ("accuracy", "val_accuracy")
        }
    return {"learning_rate": rates, "overfitting": learned}


def take_few(source: Path, target: Path, per_class: int = 20) -> Path:
    """Link the first images of each class into another folder."""
    for path in sorted(source.glob("*/*.png")):
        if int(path.stem) < per_class:
            (target / path.parent.name).mkdir(parents=True, exist_ok=True)
            (target / path.parent.name / path.name).symlink_to(path)
    return target


if __name__ == "__main__":
    main()
