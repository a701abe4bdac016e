"""Pictures of figures show what the figures say, whatever the names are."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgclf.errors import ArgumentError
from imgclf.pictures.confusion_matrix import draw_confusion_matrix
from imgclf.pictures.curves import draw_curves, nice_ticks
from imgclf.pictures.drawing import Box, Dot, Drawing, Line, Text
from imgclf.pictures.lettering import shortened, text_width
from imgclf.pictures.raster import COLOURS, as_image
from imgclf.pictures.vector import as_svg

ACCENT, WRONG = COLOURS["accent"], COLOURS["wrong"]


def has_ink(drawing: Drawing) -> bool:
    """Tell whether anything is on the paper."""
    return bool((np.asarray(as_image(drawing)) != COLOURS["paper"]).any())


def places_of(drawing: Drawing, colour: tuple[int, int, int]) -> np.ndarray:
    """Return ``(num_pixels, 2)`` rows and columns of the pixels of a colour."""
    return np.argwhere((np.asarray(as_image(drawing)) == colour).all(axis=-1))


def test_right_answers_are_blue_and_mistakes_red() -> None:
    """A perfect classifier's matrix has a dark diagonal; one that errs always has the other."""
    right = draw_confusion_matrix(np.array([[5, 0], [0, 5]]), ["a", "b"])
    wrong = draw_confusion_matrix(np.array([[0, 5], [5, 0]]), ["a", "b"])
    assert len(places_of(right, ACCENT)) > 1000
    assert not len(places_of(right, WRONG))
    assert len(places_of(wrong, WRONG)) > 1000
    assert not len(places_of(wrong, ACCENT))
    rows, columns = places_of(right, ACCENT).mean(axis=0), places_of(wrong, WRONG).mean(axis=0)
    assert np.allclose(rows, columns, atol=4), "both fill their cells around the same middle"


@pytest.mark.parametrize("count", [1, 2, 10, 40, 300])
def test_any_number_of_classes_fits(count: int) -> None:
    """The picture stays small enough to open, however many classes there are."""
    matrix = draw_confusion_matrix(np.eye(count, dtype=np.int64) * 3, ["name"] * count)
    assert max(as_image(matrix).size) < 1800
    assert len(places_of(matrix, ACCENT)) >= count


def test_an_empty_matrix_is_drawn() -> None:
    """A class without images, and no image at all, divide nothing by zero."""
    assert has_ink(draw_confusion_matrix(np.zeros((3, 3), np.int64), ["a", "b", "c"]))


@pytest.mark.parametrize(
    "name", ["Größe", "日本語の猫", "قطة", "Ж", "<b>", "a\n\x1b[2J", "x" * 300]
)
def test_names_of_any_script_are_letters(name: str) -> None:
    """Each script has its own letters: no two names look the same, and none is too wide."""
    image = as_image(draw_confusion_matrix(np.eye(2, dtype=np.int64), [name, "other"]))
    assert max(image.size) < 1800
    nameless = draw_confusion_matrix(np.eye(2, dtype=np.int64), ["\ue123" * len(name), "other"])
    unknown = as_image(nameless)
    assert image.tobytes() != unknown.tobytes()


def test_a_long_name_is_cut() -> None:
    """The cut name fits and ends in an ellipsis; a short one stays."""
    cut = shortened("Weißkopfseeadler im Winterkleid", 100)
    assert cut.startswith("Weiß")
    assert cut.endswith("…")
    assert text_width(cut) <= 100
    assert shortened("cat", 100) == "cat"


def test_turned_text_is_the_text_turned() -> None:
    """What is written upwards is, turned back, what is written from left to right."""
    upright = Drawing("upright", 60, 60, [Text("Fg", 10, 40)])
    turned = Drawing("turned", 60, 60, [Text("Fg", 40, 50, is_turned=True)])
    back = np.rot90(np.asarray(as_image(turned)), -1)
    assert (back == np.asarray(as_image(upright))).all()


def test_a_page_and_a_file_show_the_same(browser: Any) -> None:
    """A browser draws each shape of a drawing where the PNG file has it, in the same colour."""
    drawing = Drawing("shapes", 200, 120)
    drawing.add(
        Box(20, 20, 40, 30, "accent"),
        Line([(90, 20), (150, 50)], "wrong", 4),
        Dot(40, 90, 12, "wrong"),
    )
    page = browser.new_page(viewport={"width": 200, "height": 120}, device_scale_factor=2)
    page.set_content(f'<body style="margin:0;background:#fff">{as_svg(drawing)}')
    shown = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.int64)
    page.close()
    written = np.asarray(as_image(drawing), np.int64)
    assert written.shape == shown.shape
    differs = np.abs(written - shown).max(axis=-1) > 96
    assert differs.mean() < 0.005, (
        "edges alone may differ: OpenCV counts from the middle of a pixel"
    )
    assert (written != 255).any(axis=-1).mean() > 0.05


def test_the_curves_are_where_the_figures_are() -> None:
    """A loss that falls is drawn from above on the left to below on the right."""
    pixels = places_of(draw_curves({"val_loss": [1.0, 0.8, 0.5, 0.1]}), ACCENT)
    pixels = pixels[pixels[:, 0] > 150]  # below the legend
    left, right = pixels[pixels[:, 1].argmin()], pixels[pixels[:, 1].argmax()]
    assert left[0] < right[0]


def test_gaps_and_single_epochs_are_drawn() -> None:
    """What is not finite is left out; one epoch is a dot."""
    assert has_ink(draw_curves({"loss": [1.0, float("nan"), 0.5], "val_loss": [None, 0.5, 0.4]}))
    assert len(places_of(draw_curves({"val_accuracy": [0.5]}, 1), ACCENT)) > 50


@pytest.mark.parametrize("history", [{}, {"lr": [1.0]}, {"loss": [float("inf")]}])
def test_nothing_to_draw_is_refused(history: dict[str, list[float]]) -> None:
    """A history without figures of the training says what it needs."""
    with pytest.raises(ArgumentError, match=r"loss or accuracy"):
        draw_curves(history)


@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.971, 0.974), (1.0, 200.0), (-3.0, 7e5)])
def test_ticks_are_round_and_inside(limits: tuple[float, float]) -> None:
    """Ticks lie between the limits at equal distances, two to eight of them."""
    ticks = nice_ticks(*limits)
    assert 2 <= len(ticks) <= 8
    assert limits[0] - 1e-9 <= ticks[0] < ticks[-1] <= limits[1] + 1e-9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])
