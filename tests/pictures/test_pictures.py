"""What objects show in a notebook is whole, small, and escapes every text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from imgclf.errors import ArgumentError
from imgclf.pictures.confusion_matrix import MOST_CLASSES, confusion_picture
from imgclf.pictures.curves import curves_picture
from imgclf.pictures.gallery import GalleryItem, gallery
from imgclf.pictures.markup import ACCENT, WRONG, as_text, card, facts_table, figures_table, remarks
from imgclf.pictures.picture import Picture

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e\"'&"


def test_every_text_is_escaped() -> None:
    """Names of classes and files never become markup, wherever they stand."""
    counts = np.array([[3, 1], [0, 2]])
    pixels = np.zeros((8, 8, 3), np.uint8)
    shown = [
        card(HOSTILE, [remarks([HOSTILE]), facts_table([(HOSTILE, HOSTILE)])]),
        figures_table(("class", "images"), [(HOSTILE, "3")]),
        confusion_picture(counts, ["cat", HOSTILE]).html,
        gallery([GalleryItem(pixels, HOSTILE, HOSTILE), GalleryItem(None, HOSTILE)]),
    ]
    for html in shown:
        assert "<script" not in html
        assert "\x1b" not in html
        assert "\u202e" not in html
        assert not re.search(r'title="[^"]*"[^ >]', html)
    assert as_text("a\nb") == "a\\nb"


def test_a_matrix_shows_every_count_and_name() -> None:
    """Each count that is not 0 and each class is there; the drawing is well-formed XML."""
    counts = np.array([[12, 3, 0], [0, 45, 6], [7, 0, 89]])
    picture = confusion_picture(counts, ["cat", "dog", "owl"])
    root = ElementTree.fromstring(picture.html)  # noqa: S314 - our own drawing
    texts = [element.text for element in root.iter()]
    for expected in ("12", "3", "45", "6", "7", "89", "cat", "dog", "owl"):
        assert expected in texts
    assert "0" not in texts


def test_a_large_matrix_keeps_the_classes_with_the_most_mistakes() -> None:
    """Of 200 classes those are drawn that are confused; the title says so."""
    counts = np.diag(np.full(200, 9))
    counts[150, 77] = 5
    picture = confusion_picture(counts, [f"class {index}" for index in range(200)])
    assert str(MOST_CLASSES) in picture.title
    assert "class 150" in picture.html
    assert "class 77" in picture.html
    assert picture.html.count("<rect") == MOST_CLASSES**2
    assert "images right" not in picture.html, "of a part of the images it would not be true"


def test_curves_show_both_splits_and_the_best_epoch() -> None:
    """Loss and accuracy, each with training and validation; NaN leaves a gap, not an error."""
    history = {
        "loss": [2.0, 1.0, float("nan")], "val_loss": [2.1, 1.4, 1.5],
        "accuracy": [0.2, 0.6, 0.7], "val_accuracy": [0.2, 0.5, 0.5],
    }  # fmt: skip
    html = curves_picture(history, 2).html
    assert html.count(f'stroke="{ACCENT}" stroke-width="2"') == 2
    assert html.count(f'stroke="{WRONG}" stroke-width="2"') == 2
    assert html.count("best: 2") == html.count("stroke-dasharray") == 2
    assert "nan" not in html
    ElementTree.fromstring(html)  # noqa: S314 - our own drawing
    one_epoch = curves_picture({"loss": [0.4], "accuracy": [0.9]}, None).html
    assert one_epoch.count("<circle") == 2
    assert "validation" not in one_epoch


def test_a_picture_is_saved_as_a_page(tmp_path: Path) -> None:
    """The page holds all of it; another ending is refused with one line."""
    picture = Picture("a <title>", "<b>content</b>")
    page = picture.save(tmp_path / "picture.html").read_text()
    assert "<b>content</b>" in page
    assert "a &lt;title&gt;" in page
    with pytest.raises(ArgumentError, match=r"does not end in \.html"):
        picture.save(tmp_path / "picture.png")
    with pytest.raises(ArgumentError, match="no plot"):
        picture.to_matplotlib()
    assert repr(picture).startswith("<Picture: a <title>;")


def test_plots_are_saved_as_image_files(tmp_path: Path) -> None:
    """A plot becomes a PNG or SVG file where matplotlib is not installed; both are whole."""
    script = (
        "import sys, numpy as np; sys.modules['matplotlib'] = None\n"
        "from imgclf.pictures.confusion_matrix import confusion_picture\n"
        "matrix = confusion_picture(np.array([[3, 1], [0, 2]]), ['cat', 'dog'])\n"
        "print(matrix.save('matrix.png'), matrix.save('matrix.svg'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["matrix.png", "matrix.svg"], done.stderr
    with Image.open(tmp_path / "matrix.png") as image:
        assert image.width > 400
        assert len(image.convert("RGB").getcolors(100_000)) > 10
    ElementTree.parse(tmp_path / "matrix.svg")  # noqa: S314 - our own drawing
    matrix = confusion_picture(np.array([[3, 1], [0, 2]]), ["cat", "dog"])
    with pytest.raises(ArgumentError, match=r"saved as \.png, \.svg or \.html"):
        matrix.save(tmp_path / "matrix.pdf")


def test_plots_become_figures_of_matplotlib() -> None:
    """Where matplotlib is installed, a plot is its figure too."""
    pytest.importorskip("matplotlib")
    matrix = confusion_picture(np.array([[3, 1], [0, 2]]), ["cat", "dog"])
    assert len(matrix.to_matplotlib().axes) == 1
    curves = curves_picture({"loss": [0.4, 0.2], "accuracy": [0.9, 0.95]}, 1)
    assert [axes.get_title() for axes in curves.to_matplotlib().axes] == ["Loss", "Accuracy"]


def test_small_images_keep_every_pixel() -> None:
    """An image of 28 x 28 grey pixels is enlarged, not blurred, and stays PNG."""
    html = gallery([GalleryItem(np.zeros((28, 28, 1), np.uint8), "shoe")])
    assert "image/png" in html
    assert "pixelated" in html
    assert 'width="112" height="112"' in html
