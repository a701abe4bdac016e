"""Terminals and files that are not UTF-8: whatever is printed arrives, in characters they have."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from conftest import Run, write_images
from imgclf.cli._figures import print_learning_curve
from imgclf.machine.terminal import IN_PLAIN_TEXT, Terminal


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_names_are_printed_in_any_encoding(
    imgclf_command: Run, tmp_path: Path, encoding: str
) -> None:
    """Class names that standard output cannot encode are written as escapes, and end nothing."""
    root = write_images(tmp_path / "photos", {"şahin": 4, "東京": 4})
    done = imgclf_command("check", root, "--image-size", "16", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    rows = [
        line.rstrip() for line in done.stdout.splitlines() if line.startswith((r"\u", "class "))
    ]
    assert [row.split()[0] for row in rows] == ["class", r"\u015fahin", r"\u6771\u4eac"]
    assert rows[1].index(" 4") == rows[2].index(" 4"), "columns are straight"


def test_a_prediction_is_drawn_in_any_encoding(
    imgclf_command: Run, bundle: Path, two_classes: Path
) -> None:
    """The bars of a prediction are drawn in characters that the encoding has."""
    image = two_classes / "dark" / "000.png"
    done = imgclf_command("predict", bundle, image, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "##" in done.stdout


def test_a_learning_curve_is_drawn_in_any_encoding() -> None:
    """Where there are no blocks, a curve is drawn with plain characters of the same number."""
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", IN_PLAIN_TEXT)
    print_learning_curve(Terminal(file=stream, width=80), {"val_loss": [4.0, 3.0, 2.0, 1.0]})
    stream.seek(0)
    assert "loss       4.000 #=-_ 1.000" in stream.read()
