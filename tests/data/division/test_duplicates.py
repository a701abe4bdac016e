from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from imgclf.data.division import duplicates
from imgclf.data.division.duplicates import SAME_PICTURE, SIMILAR_PICTURE, group_copies
from imgclf.data.pixels.decoder import decode_with_facts
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.signatures import SIGNATURE_BYTES, sign


def picture(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """Draw a picture with large and small structure, as photos have."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    fine = random.integers(0, 256, (60, 80, 3)).astype(np.uint8)
    big = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    small = Image.fromarray(fine).resize(size).filter(ImageFilter.GaussianBlur(1))
    return Image.blend(big, small, 0.3)


def signature(image: Image.Image, file_format: str = "PNG", **options: Any) -> bytes:
    """Sign an image as the scan does: encoded, decoded to 64 x 64, shrunk."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return sign(decode_with_facts(stream.getvalue(), InputPolicy((64, 64))).image)


def group(signatures: list[bytes], distance: float = SIMILAR_PICTURE) -> list[int]:
    """Group signatures given as bytes."""
    array = np.frombuffer(b"".join(signatures), np.uint8).reshape(-1, SIGNATURE_BYTES)
    return group_copies(array, distance).tolist()


COPIES = {
    "identical": signature,
    "saved again at quality 75": lambda image: signature(image, "JPEG", quality=75),
    "half as large": lambda image: signature(image.resize((80, 60), Image.Resampling.LANCZOS)),
    "mirrored": lambda image: signature(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "grey levels shifted by 2": lambda image: signature(image.point(lambda level: level + 2)),
}


@pytest.mark.parametrize("kind", COPIES)
def test_every_copy_is_found(kind: str) -> None:
    """Sixty pictures and a copy of each: every copy is with its original, and nothing else is."""
    originals = [signature(picture(seed)) for seed in range(60)]
    copies = [COPIES[kind](picture(seed)) for seed in range(60)]
    assert group(originals + copies, SAME_PICTURE) == [*range(60), *range(60)]


def test_different_pictures_stay_apart() -> None:
    """Two hundred pictures that share nothing are two hundred groups."""
    assert group([signature(picture(seed)) for seed in range(200)]) == list(range(200))


def test_plain_pictures_are_never_taken_for_copies() -> None:
    """Pictures of one colour have nothing by which they could be recognised."""
    plain = [signature(Image.new("RGB", (64, 64), (level,) * 3)) for level in range(100, 140)]
    assert group(plain) == list(range(40))


def test_the_same_shape_in_another_colour_is_another_picture() -> None:
    """Red and blue discs are two things: colour counts, not only structure."""
    shape = picture(1).convert("L")
    black = Image.new("L", shape.size)
    tinted = [Image.merge("RGB", bands) for bands in ((shape, black, black), (black, black, shape))]
    assert group([signature(image) for image in tinted]) == [0, 1]


def test_no_pictures_and_one() -> None:
    """The smallest inputs work."""
    assert group([]) == []
    assert group([signature(picture(0))]) == [0]


def test_many_copies_are_one_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand frames of one scene across several blocks become one group, quickly."""
    monkeypatch.setattr(duplicates, "BLOCK", 128)
    base = np.frombuffer(signature(picture(5)), np.uint8).astype(int)
    noise = np.random.default_rng(0).integers(-1, 2, (1000, SIGNATURE_BYTES))
    frames = np.clip(base + noise, 0, 255).astype(np.uint8)
    assert set(group_copies(frames, SAME_PICTURE).tolist()) == {0}


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**31), st.sampled_from([0.1, 0.2, 0.35]), st.integers(2, 90), st.integers(0, 90)
)
def test_the_search_finds_exactly_the_near_pairs(
    seed: int, distance: float, count: int, first: int
) -> None:
    """Sorting and the coarse version rule nothing out that a comparison of all pairs finds.

    Nor of those pairs of which one is among the later pictures, where only these are wanted.
    """
    random = np.random.default_rng(seed)
    centres = random.integers(0, 256, (5, SIGNATURE_BYTES))
    spread = random.choice([3, 20, 40], (count, 1)) * random.standard_normal(
        (count, SIGNATURE_BYTES)
    )
    near = np.clip(centres[random.integers(0, 5, count)] + spread, 0, 255).astype(np.uint8)
    mirror = near.reshape(-1, 16, 16, 3)[:, :, ::-1].reshape(count, -1)
    near = np.where(random.random((count, 1)) < 0.3, mirror, near)
    original = duplicates.BLOCK
    duplicates.BLOCK = 16
    try:
        found = group_copies(near, distance)
        found_of_some = group_copies(near, distance, first=first)
    finally:
        duplicates.BLOCK = original
    np.testing.assert_array_equal(found, _by_brute_force(near, distance))
    np.testing.assert_array_equal(found_of_some, _by_brute_force(near, distance, first))


def _by_brute_force(signatures: np.ndarray, distance: float, first: int = 0) -> np.ndarray:
    groups = np.arange(len(signatures))
    structure, colour = duplicates._points(signatures)
    for one in range(first, len(signatures)):
        for other in range(one):
            base = float(((colour[one] - colour[other]) ** 2).sum())
            for turned in (structure[other], structure[other][:, ::-1]):
                if base + float(((structure[one] - turned) ** 2).sum()) <= distance**2:
                    low, high = sorted((groups[one], groups[other]))
                    groups[groups == high] = low
    return groups


def test_many_pictures_of_like_things_are_compared_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Comparing whole blocks finds the same copies as comparing pair by pair, mirrored ones too."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (16, 16, 3))
    signatures = base + rng.integers(-40, 41, (60, 16, 16, 3))
    signatures[7], signatures[31] = signatures[40], signatures[12][:, ::-1]
    signatures = signatures.clip(0, 255).astype(np.uint8).reshape(60, -1)
    one_by_one = group_copies(signatures, 0.2)
    monkeypatch.setattr("imgclf.data.division.duplicates.MANY_PAIRS", 0)
    np.testing.assert_array_equal(group_copies(signatures, 0.2), one_by_one)
    assert one_by_one[40] == 7
    assert one_by_one[31] == one_by_one[12]
    assert 2 < len(np.unique(one_by_one)) < 60
