"""Batches show themselves: numbers, classes, and images as the network gets them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import imgclf
from imgclf.errors import ArgumentError


def test_batches_show_numbers_and_images(make_folder: Callable[..., Path]) -> None:
    """One line in a console; in a notebook each class with its count, and eight images."""
    train, _ = imgclf.make_generators(make_folder(cat=12, dog=8), image_size=24, batch_size=4)
    assert repr(train).startswith(f"<Batches: {train.num_samples} images of 2 classes in ")
    html = train._repr_html_()
    assert html.count("<img") == 8
    assert ">cat<" in html
    assert train.show(5).html.count("<img") == 5
    assert train.show(5).html == train.show(5).html
    assert train.show(5).html != train.show(5, epoch=1).html
    with pytest.raises(ArgumentError, match="most"):
        train.show(0)


def test_mixed_images_name_both_classes(make_folder: Callable[..., Path]) -> None:
    """With MixUp the caption has the share of each class; axes of either order are shown."""
    train, _ = imgclf.make_generators(
        make_folder(cat=8, dog=8, owl=8), image_size=24, batch_size=8,
        augment=imgclf.Augmentation(mixup=1.0), data_format="channels_first",
    )  # fmt: skip
    assert " + " in train.show(8).html


def test_a_file_that_was_left_out_is_a_warning(make_folder: Callable[..., Path]) -> None:
    """`make_generators` names it at the caller's line."""
    root = make_folder(cat=12, dog=8)
    (root / "cat" / "broken.jpg").write_bytes(b"no image")
    with pytest.warns(imgclf.DataWarning, match=r"broken\.jpg") as warned:
        imgclf.make_generators(root, image_size=24)
    assert Path(warned[0].filename).name == Path(__file__).name
