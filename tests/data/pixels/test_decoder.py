from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile, ImageOps, features

from imgclf.data.pixels.decoder import (
    REASONS,
    DecodingLimits,
    Source,
    decode,
    decode_with_facts,
    read_content,
)
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError, ImageError

SMALL = InputPolicy((24, 32))
GREY = InputPolicy((24, 32), channels=1)
HARD_IMAGES = Path(__file__).parents[3] / "shared" / "data" / "hard_images"

needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


def picture(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Draw a smooth picture that looks different from every side."""
    width, height = size
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    pixels = np.stack([255 * across, 255 * down, 255 * (1 - across * down)], axis=-1)
    image = Image.fromarray(pixels.astype(np.uint8))
    ImageDraw.Draw(image).rectangle((0, 0, width // 4, height // 3), fill=(250, 20, 20))
    return image.convert(mode)


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Save an image to bytes."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def solid(mode: str, colour: Any, **info: Any) -> bytes:
    """Make a PNG of one colour."""
    return encoded(Image.new(mode, (8, 8), colour), "PNG", **info)


def reason_of(source: Source, limits: DecodingLimits | None = None) -> str:
    """Decode what cannot be decoded and return the reason code."""
    with pytest.raises(ImageError) as caught:
        decode(source, SMALL, limits or DecodingLimits())
    assert caught.value.reason in REASONS
    assert "\n" not in str(caught.value)
    return caught.value.reason


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two pixel arrays."""
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def exif_with(orientation: int) -> Image.Exif:
    """Make an EXIF block with nothing but an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# --- Formats and modes -----------------------------------------------------------------------

MODES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "WEBP": ["RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB", "RGBA"],
    "GIF": ["1", "L", "P", "RGB"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"],
    "AVIF": ["RGB", "RGBA"],
}


def in_mode(mode: str) -> Image.Image:
    """Draw the picture in a mode, also where Pillow cannot convert to it."""
    grey = np.asarray(picture("L"))
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(grey.astype(np.int32) * 257)
    if mode == "F":
        return Image.fromarray(grey.astype(np.float32) / 255)
    if mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(picture(), *profiles, outputMode="LAB")
    return picture().convert(mode)


@pytest.mark.parametrize(
    ("file_format", "mode"), [(name, mode) for name, modes in MODES.items() for mode in modes]
)
def test_every_format_and_mode_shows_the_picture(file_format: str, mode: str) -> None:
    """Every mode of every accepted format gives the picture, in colour and in grey."""
    if file_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    content = encoded(in_mode(mode), file_format)
    colour, grey = decode(content, SMALL), decode(content, GREY)
    assert colour.shape == (24, 32, 3)
    assert grey.shape == (24, 32, 1)
    assert colour.dtype == grey.dtype == np.uint8
    is_colour = mode not in ("1", "L", "LA", "I;16", "I", "F")
    expected = picture() if is_colour else picture("1" if mode == "1" else "L")
    assert difference(colour, decode(expected, SMALL)) < 8
    assert difference(grey, decode(expected, GREY)) < 8


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_first_frame_counts(file_format: str) -> None:
    """Of an animation, a document of many pages or a phone's MPO the first picture is read."""
    red, blue = Image.new("RGB", (64, 48), "red"), Image.new("RGB", (64, 48), "blue")
    content = encoded(red, file_format, save_all=True, append_images=[blue, blue])
    decoded = decode_with_facts(content, SMALL)
    assert difference(decoded.pixels, decode(red, SMALL)) < 3
    assert decoded.facts.format == ("JPEG" if file_format == "MPO" else file_format)


def test_facts_tell_what_the_image_was() -> None:
    """The facts give format, mode, upright size, orientation and transparency of the original."""
    photo = encoded(picture(size=(640, 480)), "JPEG", exif=exif_with(6))
    facts = decode_with_facts(photo, SMALL).facts
    assert (facts.format, facts.mode, facts.width, facts.height) == ("JPEG", "RGB", 480, 640)
    assert (facts.orientation, facts.has_alpha) == (6, False)
    assert decode_with_facts(encoded(picture("RGBA"), "PNG"), SMALL).facts.has_alpha


def test_decoder_does_not_import_tensorflow() -> None:
    """Decoding processes start without TensorFlow and Keras."""
    code = (
        "import sys, imgclf.data.pixels.decoder; print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert result.stdout.strip() == b"set()"


# --- Orientation -----------------------------------------------------------------------------

ORIENTED = ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)]


def stored_as(upright: Image.Image, orientation: int) -> Image.Image:
    """Turn an image the way a camera stores it, so that `orientation` turns it back."""
    tagged = upright.copy()
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    tagged.getexif()[0x0112] = inverse
    return ImageOps.exif_transpose(tagged)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("file_format", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(orientation: int, file_format: str, resize: Any) -> None:
    """All eight EXIF orientations give the upright picture, in every format that has EXIF."""
    policy = InputPolicy((24, 33), resize=resize)
    stored = stored_as(picture(size=(300, 200)), orientation)
    decoded = decode_with_facts(
        encoded(stored, file_format, exif=exif_with(orientation).tobytes()), policy
    )
    assert difference(decoded.pixels, decode(picture(size=(300, 200)), policy)) < 3
    assert (decoded.facts.width, decoded.facts.height) == (300, 200)
    assert decoded.facts.orientation == orientation


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\x03\0\0\0\x01",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLHH", 0x0112, 3, 1, 99, 0),
        os.urandom(300),
    ],
)
def test_broken_exif_is_ignored(block: bytes) -> None:
    """A damaged EXIF block costs the orientation, not the image."""
    content = encoded(picture(), "JPEG", exif=block)
    assert np.array_equal(decode(content, SMALL), decode(encoded(picture(), "JPEG"), SMALL))


def test_loaded_image_keeps_its_orientation() -> None:
    """A loaded Pillow image is turned by the EXIF that it still carries."""
    stored = stored_as(picture(), 6)
    stored.getexif()[0x0112] = 6
    assert difference(decode(stored, SMALL), decode(picture(), SMALL)) < 2


# --- Transparency ----------------------------------------------------------------------------


def palette_image(**info: Any) -> bytes:
    """Make a PNG with a palette whose index 0 is black."""
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 255, 255, 255])
    return encoded(image, "PNG", **info)


TRANSPARENT = {
    "RGBA": lambda: solid("RGBA", (9, 9, 9, 0)),
    "LA": lambda: solid("LA", (9, 0)),
    "P index": lambda: palette_image(transparency=0),
    "P bytes": lambda: palette_image(transparency=b"\x00\xff"),
    "L key": lambda: solid("L", 77, transparency=77),
    "RGB key": lambda: solid("RGB", (1, 2, 3), transparency=(1, 2, 3)),
    "I;16 key": lambda: solid("I;16", 4660, transparency=4660),
    "PA": lambda: Image.new("P", (8, 8)).convert("PA"),
    "RGBa": lambda: Image.new("RGBa", (8, 8), (0, 0, 0, 0)),
    "La": lambda: Image.new("La", (8, 8), (0, 0)),
    "array": lambda: np.zeros((8, 8, 4), np.uint8),
}


@pytest.mark.parametrize("kind", sorted(set(TRANSPARENT) - {"PA"}))
def test_transparent_pixels_take_the_background(kind: str) -> None:
    """Whatever way an image states transparency, the background shows through."""
    policy = InputPolicy((4, 4), background=(200, 100, 50))
    assert (decode(TRANSPARENT[kind](), policy) == (200, 100, 50)).all()
    luma = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    grey = InputPolicy((4, 4), channels=1, background=(200, 100, 50))
    assert np.abs(decode(TRANSPARENT[kind](), grey).astype(int) - luma).max() <= 1


def test_palette_with_alpha_channel_is_opaque_where_it_says_so() -> None:
    """Mode PA goes the same way; an opaque one shows its own colour."""
    assert (decode(TRANSPARENT["PA"](), InputPolicy((4, 4))) == 0).all()


def test_half_transparent_is_blended() -> None:
    """Half of the colour and half of the background."""
    content = solid("RGBA", (0, 0, 0, 128))
    assert np.abs(decode(content, InputPolicy((4, 4))).astype(int) - 127).max() <= 1


def test_16_bit_colour_key_is_honoured() -> None:
    """A 16-bit RGB PNG with a transparent colour, which Pillow reads with 8-bit pixels."""
    rows = b"".join(b"\0" + struct.pack(">3H", 65535, 1000, 30000) * 2 for _ in range(2))
    content = png_of(
        (b"IHDR", struct.pack(">LLBBBBB", 2, 2, 16, 2, 0, 0, 0)),
        (b"tRNS", struct.pack(">3H", 65535, 1000, 30000)),
        (b"IDAT", zlib.compress(rows)),
    )
    policy = InputPolicy((2, 2), background=(10, 20, 30))
    assert (decode(content, policy) == (10, 20, 30)).all()


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    """Write a PNG chunk by chunk."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in (*chunks, (b"IEND", b"")):
        crc = zlib.crc32(kind + body)
        parts.append(struct.pack(">L", len(body)) + kind + body + struct.pack(">L", crc))
    return b"".join(parts)


# --- Depth -----------------------------------------------------------------------------------


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(file_format: str) -> None:
    """0, half and full of 16 bits are 0, half and full of 8 bits."""
    values = np.repeat(np.array([[0, 32768, 65535]], np.uint16), 3, axis=0)
    content = encoded(Image.fromarray(values), file_format)
    assert decode(content, InputPolicy((3, 3), channels=1))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
        (np.array([[0, 10**6, 2 * 10**6]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], np.float32), [0, 128, 255]),
        (np.array([[-5, 0, 5]], np.float32), [0, 128, 255]),
        (np.array([[np.nan, 0.5, np.inf]], np.float32), [0, 128, 0]),
        (np.array([[7, 7, 7]], np.float32), [0, 0, 0]),
    ],
)
def test_wide_greys_follow_the_stated_rule(values: np.ndarray, expected: list[int]) -> None:
    """32-bit and float grey: known ranges are scaled, unknown ones stretched over 0 to 255."""
    content = encoded(Image.fromarray(values), "TIFF")
    assert decode(content, InputPolicy((1, 3), channels=1))[0, :, 0].tolist() == expected


def test_adobe_cmyk_is_not_inverted() -> None:
    """White paper in a CMYK JPEG, which Adobe's convention stores inverted, stays white."""
    content = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG")
    assert decode(content, SMALL).min() > 250


# --- Arrays ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1), (48, 64, 3), (48, 64, 4)])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_arrays_of_known_range_are_accepted(shape: tuple[int, ...], dtype: Any) -> None:
    """White is white in every accepted shape and dtype."""
    white = {"u": lambda: np.iinfo(dtype).max}.get(np.dtype(dtype).kind, lambda: 1)()
    array = np.full(shape, white, dtype)
    assert (decode(array, SMALL) == 255).all()
    assert (decode(array, GREY) == 255).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 24, 24), np.uint8),
        np.zeros((24, 24, 2), np.uint8),
        np.zeros((0, 24), np.uint8),
        np.zeros(24, np.uint8),
        np.zeros((24, 24), np.int64),
        np.full((24, 24), 255.0),
        np.full((24, 24), np.nan),
        np.full((24, 24), -0.5),
        np.array([["a"]]),
    ],
    ids=lambda array: f"{array.shape}-{array.dtype}",
)
def test_other_arrays_are_refused_in_one_sentence(array: np.ndarray) -> None:
    """The message gives shape and dtype and says what is accepted."""
    with pytest.raises(ArgumentError, match="height, width"):
        decode(array, SMALL)


def test_other_types_are_refused() -> None:
    """What is no image in any shape is a mistake of the caller, named as such."""
    with pytest.raises(ArgumentError, match="float"):
        decode(3.0, SMALL)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="'rb'"):
        decode(io.StringIO("text"), SMALL)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="no pixels"):
        decode(Image.new("RGB", (0, 5)), SMALL)


@pytest.mark.parametrize("size", [32, (32,), (0, 32), (32.0, 32), "32", None])
def test_other_image_sizes_are_refused_in_one_sentence(size: object) -> None:
    """A size that is no pair of whole numbers is named, with one that is accepted."""
    with pytest.raises(ArgumentError, match=r"image_size=.* such as \(96, 96\)"):
        InputPolicy(size)  # type: ignore[arg-type]


def test_array_agrees_with_its_file() -> None:
    """Pixels handed over decoded give what their file gives."""
    image = picture()
    assert np.array_equal(decode(np.asarray(image), SMALL), decode(encoded(image, "PNG"), SMALL))


# --- Resizing --------------------------------------------------------------------------------


def test_pad_shows_all_and_centres() -> None:
    """A wide image in a square keeps its shape between two bands of background."""
    policy = InputPolicy((20, 20), resize="pad", background=(0, 0, 255))
    pixels = decode(Image.new("RGB", (40, 20), "red"), policy)
    assert (pixels[:5] == (0, 0, 255)).all()
    assert (pixels[5:15] == (255, 0, 0)).all()
    assert (pixels[15:] == (0, 0, 255)).all()


def test_crop_cuts_what_hangs_over() -> None:
    """A wide image in a square loses its left and right ends alike, but for the blended edge."""
    image = Image.new("RGB", (60, 20), "red")
    image.paste("blue", (20, 0, 40, 20))
    pixels = decode(image, InputPolicy((10, 10), resize="crop"))
    assert (pixels[:, 1:-1] == (0, 0, 255)).all()
    assert np.array_equal(pixels[:, 0], pixels[:, -1])


def test_downscaling_is_antialiased() -> None:
    """Fine stripes become grey and not a pattern."""
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    pixels = decode(stripes, InputPolicy((40, 40)))
    assert np.abs(pixels.astype(int) - 127).max() <= 5


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (3, 2000)])
def test_elongated_images_work(size: tuple[int, int], resize: Any) -> None:
    """One pixel wide and ten thousand high is still an image, as PNG and as JPEG."""
    policy = InputPolicy((24, 32), resize=resize)
    for file_format in ("PNG", "JPEG"):
        content = encoded(Image.new("RGB", size, "white"), file_format)
        assert (decode(content, policy) >= 254).all()


# --- Large JPEGs -----------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("size", [(1601, 1203), (2000, 333)])
def test_reduced_decoding_keeps_the_picture(
    size: tuple[int, int], orientation: int, resize: Any, channels: Any
) -> None:
    """A JPEG decoded at a reduced scale shows what it shows at full scale, to 1 of 255."""
    policy = InputPolicy((50, 70), channels=channels, resize=resize)
    upright = picture(size=size)
    content = encoded(
        stored_as(upright, orientation), "JPEG", quality=92, exif=exif_with(orientation)
    )
    assert difference(decode(content, policy), decode(upright, policy)) < 1


def test_reduced_scale_is_at_least_twice_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels that libjpeg is asked for are never fewer than twice the target's, each way."""
    seen = []
    monkeypatch.setattr(
        "imgclf.data.pixels.decoder.to_target",
        lambda image, *_: seen.append(image.size) or Image.new("RGB", (50, 100)),
    )
    for orientation in (1, 6):
        photo = encoded(picture(size=(1600, 1200)), "JPEG", exif=exif_with(orientation))
        for resize in ("stretch", "crop", "pad"):
            decode(photo, InputPolicy((100, 50), resize=resize))  # type: ignore[arg-type]
    # The whole image at twice the target's scale has, upright: 100 x 200, 267 x 200, 100 x 76
    # pixels; lying, where the target is 100 x 50 as stored: 200 x 100, 200 x 150, 134 x 100.
    assert seen == [(400, 300), (400, 300), (200, 150)] + [(200, 150)] * 3


# --- One file, five ways ---------------------------------------------------------------------


@pytest.mark.parametrize("file_format", [*MODES, "MPO"])
def test_same_pixels_from_every_source(file_format: str, tmp_path: Path) -> None:
    """Path, bytes, open file, ZIP member and lazily opened image: the same pixels to the bit."""
    if file_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / "photo.bin"
    stored = stored_as(picture(size=(801, 603)), 6)
    options = {"exif": exif_with(6).tobytes()} if file_format not in ("BMP", "GIF") else {}
    path.write_bytes(encoded(stored, file_format, **options))
    expected = decode(path, SMALL)
    content = path.read_bytes()
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as photos:
        photos.write(path, "photo.bin")

    assert np.array_equal(decode(str(path), SMALL), expected)
    assert np.array_equal(decode(content, SMALL), expected)
    with path.open("rb") as file, zipfile.ZipFile(archive).open("photo.bin") as member:
        file.seek(7)
        assert np.array_equal(decode(file, SMALL), expected)
        assert file.tell() == 7
        assert np.array_equal(decode(member, SMALL), expected)
    for opened in (path, io.BytesIO(content)):
        with Image.open(opened) as lazy:
            assert np.array_equal(decode(lazy, SMALL), expected)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_callers_image_still_works(file_format: str) -> None:
    """After `decode` a lazily opened image loads at its full size, as if nothing had happened."""
    content = encoded(picture(size=(801, 603)), file_format)
    with Image.open(io.BytesIO(content)) as lazy, Image.open(io.BytesIO(content)) as untouched:
        decode(lazy, SMALL)
        assert lazy.size == (801, 603)
        assert lazy.mode == untouched.mode
        assert np.array_equal(np.asarray(lazy), np.asarray(untouched))


def test_loaded_image_is_pixels_and_is_not_changed() -> None:
    """What the caller drew on a loaded image counts, and stays as it is."""
    with Image.open(io.BytesIO(encoded(picture(), "PNG"))) as image:
        image.paste("blue", (0, 0, 64, 48))
        assert (decode(image, SMALL) == (0, 0, 255)).all()
    key = Image.new("RGB", (4, 4))
    key.info["transparency"] = (65535, 0, 0)
    decode(key, SMALL)
    assert key.info["transparency"] == (65535, 0, 0)


def test_another_frame_that_the_caller_chose_is_read() -> None:
    """An animation that stands at its second frame gives its second frame."""
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    with Image.open(
        io.BytesIO(encoded(red, "GIF", save_all=True, append_images=[blue]))
    ) as animation:
        animation.seek(1)
        assert (decode(animation, SMALL) == (0, 0, 255)).all()


def test_names_that_are_not_utf8_work(tmp_path: Path) -> None:
    """A file name of any bytes is opened, and printed without a second error."""
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    try:
        Path(name).write_bytes(encoded(picture(), "PNG"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert decode(name, SMALL).shape == (24, 32, 3)
    Path(name).write_bytes(b"")
    with pytest.raises(ImageError) as caught:
        decode(Path(name), SMALL)
    assert r"caf\\xe9.png" in str(caught.value).encode("utf-8").decode()


def test_read_content_gives_the_bytes(tmp_path: Path) -> None:
    """The scan reads a file once, for its hash and for its pixels."""
    path = tmp_path / "a.png"
    path.write_bytes(b"anything")
    assert read_content(path) == b"anything"
    with pytest.raises(ImageError, match="limit"):
        read_content(path, DecodingLimits(max_bytes=3))


# --- Reasons ---------------------------------------------------------------------------------


def heic_head() -> bytes:
    """Make the beginning of a HEIC file."""
    return struct.pack(">L", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(100)


NOT_ACCEPTED = {
    "ICO": lambda: encoded(picture(), "ICO"),
    "PPM": lambda: encoded(picture(), "PPM"),
    "SGI": lambda: encoded(picture(), "SGI"),
    "EPS": lambda: encoded(picture(), "EPS"),
    "PDF": lambda: encoded(picture(), "PDF"),
    "DDS": lambda: encoded(picture(), "DDS"),
    "PSD": lambda: b"8BPS\0\1" + bytes(50),
    "SVG": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "JPEG 2000": lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50),
    "video": lambda: b"\0\0\0\x18ftypmp42" + bytes(50),
}


@pytest.mark.parametrize("kind", NOT_ACCEPTED)
def test_other_formats_are_named(kind: str) -> None:
    """A format that is known but not accepted is told from rubbish."""
    assert reason_of(NOT_ACCEPTED[kind]()) == "format_not_accepted"


@pytest.mark.parametrize(
    "content",
    [b"hello", b"\0" * 500, b"<!DOCTYPE html><title>404</title>", b"BMW is a car maker, and more"],
)
def test_what_is_no_image_is_called_so(content: bytes) -> None:
    """Text, zeros and web pages saved as .jpg are not images."""
    assert reason_of(content) == "not_an_image"


def test_empty_file_is_called_so(tmp_path: Path) -> None:
    """Nothing in, one clear reason out, whatever the source."""
    path = tmp_path / "a.jpg"
    path.touch()
    assert reason_of(path) == reason_of(b"") == reason_of(io.BytesIO()) == "empty_file"


def test_missing_file_is_called_so(tmp_path: Path) -> None:
    """A wrong path, a broken link and an impossible name are not found; the name is given."""
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    for name in ("gone.jpg", "link.jpg", "gone/a.jpg", "nul\0l.jpg"):
        assert reason_of(tmp_path / name) == "not_found"
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        decode(tmp_path / "gone.jpg", SMALL)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_only_regular_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a pipe, a socket or a device named .jpg is refused at once and never blocks."""
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    monkeypatch.chdir(tmp_path)  # a socket's path may have about 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.jpg")
        names = ["folder.jpg", "pipe.jpg", "socket.jpg", "/dev/zero"]
        assert [reason_of(name) for name in names] == ["not_a_file"] * 4


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads anything")
def test_unreadable_file_is_called_so(tmp_path: Path) -> None:
    """A file without permission is unreadable, not damaged."""
    path = tmp_path / "a.png"
    path.write_bytes(encoded(picture(), "PNG"))
    path.chmod(0)
    assert reason_of(path) == "unreadable"


def test_broken_stream_is_unreadable() -> None:
    """A ZIP member with a wrong checksum is unreadable, not damaged as an image."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.png", encoded(picture(), "PNG"))
    content = bytearray(stream.getvalue())
    content[200] ^= 255
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open("a.png") as member:
        assert reason_of(member) == "unreadable"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_truncated_files_are_refused(file_format: str) -> None:
    """Half a picture is no picture."""
    content = encoded(picture(size=(300, 200)), file_format)
    assert reason_of(content[: len(content) * 2 // 3]) == "truncated"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"quality": 30}])
@pytest.mark.parametrize("image_size", [(24, 24), (200, 300)])
def test_a_jpeg_without_its_last_mark_is_whole(
    options: dict[str, Any], image_size: tuple[int, int]
) -> None:
    """What lacks only the two bytes that end a JPEG has all of its pixels, and is used."""
    content, policy = encoded(picture(size=(300, 200)), "JPEG", **options), InputPolicy(image_size)
    for cut in (content[:-1], content[:-2]):
        assert np.array_equal(decode(cut, policy), decode(content, policy))
    assert reason_of(content[:-40]) == "truncated"


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(60_000, 1), (1, 60_000)])
def test_the_longest_images_are_decoded(size: tuple[int, int], resize: Any) -> None:
    """An image of one row or column, however long, becomes the target's size like any other."""
    content = encoded(Image.new("RGB", size, (10, 20, 30)), "PNG")
    pixels = decode(content, InputPolicy((24, 24), resize=resize))
    assert pixels.shape == (24, 24, 3)
    if resize != "pad":
        assert np.array_equal(np.unique(pixels.reshape(-1, 3), axis=0), [[10, 20, 30]])


@pytest.mark.parametrize("file_format", ["TIFF", pytest.param("AVIF", marks=needs_avif)])
def test_other_truncated_files_are_refused_too(file_format: str) -> None:
    """Where the library cannot tell cut off from damaged, the file is still refused."""
    content = encoded(picture(size=(300, 200)), file_format)
    assert reason_of(content[: len(content) * 2 // 3]) in ("truncated", "corrupt")


def test_damaged_files_are_refused() -> None:
    """A PNG whose pixel data is rubbish is corrupt."""
    content = png_of((b"IHDR", struct.pack(">LLBBBBB", 8, 8, 8, 2, 0, 0, 0)), (b"IDAT", b"rubbish"))
    assert reason_of(content) == "corrupt"


def test_heic_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A HEIC photo is known by its first bytes; the message names the extra."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"pip install 'imgclf\[heic\]'") as caught:
        decode(heic_head(), SMALL)
    assert caught.value.reason == "heic_support_missing"


def test_heic_photo_is_decoded() -> None:
    """With pillow-heif, a HEIC photo is read upright, and Pillow's registry stays as it was."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="imgclf[heic] is not installed")
    stream = io.BytesIO()
    try:
        pillow_heif.from_pillow(picture()).save(stream, quality=95)
    except RuntimeError:
        pytest.skip("this pillow-heif cannot write HEIC")
    decoded = decode_with_facts(stream.getvalue(), SMALL)
    assert decoded.facts.format == "HEIC"
    assert difference(decoded.pixels, decode(picture(), SMALL)) < 5
    assert "HEIF" not in Image.OPEN


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "out_of_memory"),
        (Image.DecompressionBombError("big"), "too_many_pixels"),
        (EOFError(), "truncated"),
        *[
            (error, "corrupt")
            for error in (
                SyntaxError("x"),
                struct.error("x"),
                ZeroDivisionError(),
                OverflowError(),
                RecursionError(),
                TypeError(),
                KeyError("x"),
                UserWarning("x"),
            )
        ],
    ],
    ids=repr,
)
def test_whatever_pillow_raises_becomes_an_image_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    """No exception of a plugin ever reaches the caller as such."""

    def load(self: ImageFile.ImageFile) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    assert reason_of(encoded(picture(), "PNG")) == reason


def test_every_reason_has_a_remedy() -> None:
    """Each reason code has a sentence that says what to do."""
    assert all(";" in sentence or "pip install" in sentence for sentence in REASONS.values())


# --- Limits ----------------------------------------------------------------------------------


def test_bytes_are_capped_before_reading(tmp_path: Path) -> None:
    """A file of a terabyte is refused by its size alone."""
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert reason_of(path) == "too_many_bytes"
    few = DecodingLimits(max_bytes=50)
    content = encoded(picture(), "PNG")
    assert reason_of(content, few) == reason_of(io.BytesIO(content), few) == "too_many_bytes"


@pytest.mark.parametrize("file_format", [*MODES])
def test_pixels_are_capped_before_decoding(
    file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size in the header decides; not one pixel is decoded."""
    if file_format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    content = encoded(picture(), file_format)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda _: pytest.fail("was decoded"))
    assert reason_of(content, DecodingLimits(max_pixels=64 * 48 - 1)) == "too_many_pixels"


@pytest.mark.parametrize("side", [7_000, 12_000, 15_000])
def test_bombs_are_refused_silently(side: int) -> None:
    """A small file of very many pixels is refused, and Pillow's warning does not leak."""
    row = zlib.compress(bytes(1 + side // 8 + 1), 9)
    header = struct.pack(">LLBBBBB", side, side + 1000, 1, 0, 0, 0, 0)
    assert reason_of(png_of((b"IHDR", header), (b"IDAT", row))) == "too_many_pixels"


def test_webp_canvas_is_checked_before_it_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow allocates a WebP's canvas on opening; the header is read before that."""
    monkeypatch.setattr("PIL.WebPImagePlugin.WebPImageFile._open", lambda _: pytest.fail("opened"))
    for options in ({"quality": 80}, {"lossless": True}, {"exif": exif_with(1)}):
        content = encoded(picture(), "WEBP", **options)
        assert reason_of(content, DecodingLimits(max_pixels=3071)) == "too_many_pixels"


def test_tags_cannot_claim_more_than_the_file_holds() -> None:
    """A TIFF whose thousands of tags all point at the same bytes is refused, not read."""
    count = 5000
    tags = b"".join(struct.pack("<HHLL", 1000 + n, 1, 50_000, 8) for n in range(count))
    content = b"II*\0" + struct.pack("<LH", 8, count) + tags + bytes(4)
    assert reason_of(content) == "corrupt"


def test_metadata_bombs_end_quickly() -> None:
    """Compressed text and profiles that unfold to gigabytes cost neither time nor memory."""
    bomb = zlib.compress(bytes(50_000_000), 9)
    header = (b"IHDR", struct.pack(">LLBBBBB", 8, 8, 8, 0, 0, 0, 0))
    start = time.process_time()  # A busy machine may take longer.
    for kind in (b"zTXt", b"iCCP"):
        assert reason_of(png_of(header, (kind, b"name\0\0" + bomb))) in ("corrupt", "truncated")
    assert time.process_time() - start < 5


def test_exif_bomb_in_a_jpeg_costs_nothing() -> None:
    """An EXIF block whose tags all point at all of it is skipped over for its orientation."""
    count = 5000
    tags = [struct.pack("<HHLL", 1000 + n, 1, 50_000, 8) for n in range(count)]
    block = b"Exif\0\0II*\0" + struct.pack("<LH", 8, count) + b"".join(tags) + bytes(4)
    start = time.process_time()  # A busy machine may take longer.
    assert decode(encoded(picture(), "JPEG", exif=block), SMALL).shape == (24, 32, 3)
    assert time.process_time() - start < 1


def test_animations_of_many_frames_cost_one_frame() -> None:
    """Frames behind the first are not even looked for."""
    content = encoded(picture("P"), "GIF")
    first_frame = content[content.index(b",\0\0\0\0") : -1]
    animation = content[:-1] + first_frame * 10_000 + b";"
    start = time.process_time()  # A busy machine may take longer.
    assert np.array_equal(decode(animation, SMALL), decode(content, SMALL))
    assert time.process_time() - start < 1


# --- Manners ---------------------------------------------------------------------------------


def noisy_tiff() -> bytes:
    """Make a TIFF about whose tags Pillow warns."""
    content = bytearray(encoded(picture(), "TIFF"))
    (start,) = struct.unpack_from("<L", content, 4)
    (count,) = struct.unpack_from("<H", content, start)
    last = start + 2 + 12 * (count - 1)
    struct.pack_into("<HHLL", content, last, 0xFFF0, 2, 20, len(content) - 5)
    return bytes(content)


def test_pillows_warnings_stay_inside() -> None:
    """Warnings of Pillow are neither shown nor raised, in any thread, and others still are."""
    content = noisy_tiff()
    with pytest.warns(UserWarning, match="Truncated"), Image.open(io.BytesIO(content)):
        pass  # Pillow does warn
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                decode(content, SMALL)
        except BaseException as error:  # noqa: BLE001 a thread must report what it met
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pytest.raises(UserWarning, match="mine"):
            warnings.warn("mine", UserWarning, stacklevel=1)
    assert failures == []
    assert caught == []


def test_many_threads_give_the_same_pixels() -> None:
    """The decoder keeps no state between calls."""
    contents = [encoded(picture(size=(300 + n, 200)), "JPEG") for n in range(8)]
    expected = [decode(content, SMALL) for content in contents]
    results: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda n=n: results.update({n: decode(contents[n], SMALL)}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(results[n], expected[n]) for n in range(8))


def test_pillows_globals_are_left_alone(capfd: pytest.CaptureFixture[str]) -> None:
    """Limits and switches that belong to the user's program are not touched; nothing is printed."""
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.WARN_POSSIBLE_FORMATS)
    decode(noisy_tiff(), SMALL)
    reason_of(encoded(picture(), "JPEG")[:500])
    after = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, Image.WARN_POSSIBLE_FORMATS)
    assert after == before
    assert capfd.readouterr() == ("", "")


# --- Properties ------------------------------------------------------------------------------

SEEDS = [
    encoded(picture("RGB"), "JPEG", exif=exif_with(6)),
    encoded(picture("RGBA"), "PNG"),
    encoded(picture("P"), "PNG", transparency=3),
    encoded(picture("RGBA"), "WEBP"),
    encoded(picture("P"), "BMP"),
    encoded(picture("P"), "GIF"),
    encoded(picture("RGB"), "TIFF", compression="tiff_lzw"),
    encoded(in_mode("I;16"), "TIFF"),
]


def assert_decodes_or_refuses(content: bytes) -> None:
    """Nothing but pixels of the right shape or an `ImageError`."""
    try:
        pixels = decode(content, SMALL, DecodingLimits(max_pixels=1_000_000))
    except ImageError as error:
        reason: str | None = error.reason
    else:
        reason = None
        assert pixels.shape == (24, 32, 3)
        assert pixels.dtype == np.uint8
    assert reason is None or reason in REASONS


@given(content=st.binary(max_size=400), seed=st.sampled_from(SEEDS), kept=st.integers(0, 60))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_bytes_never_escape(content: bytes, seed: bytes, kept: int) -> None:
    """Random bytes, alone or after a real beginning, are refused or decoded, never a crash."""
    assert_decodes_or_refuses(seed[:kept] + content)


@given(
    seed=st.sampled_from(SEEDS),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    end=st.floats(0.3, 1.3),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_files_never_escape(
    seed: bytes, flips: list[tuple[float, int]], end: float
) -> None:
    """Real files with flipped and missing bytes are refused or decoded, never a crash."""
    content = bytearray(seed)
    for place, value in flips:
        # The square prefers the beginning, where headers are.
        content[int(place**2 * (len(content) - 1))] = value
    assert_decodes_or_refuses(bytes(content[: int(end * len(content))]))


@pytest.mark.skipif(not HARD_IMAGES.is_dir(), reason="shared/data/hard_images is not here")
def test_hard_images_are_decoded_or_refused() -> None:
    """PngSuite: what starts with x is deliberately corrupt; everything else is decoded."""
    for path in sorted((HARD_IMAGES / "pngsuite").glob("*.png")):
        if path.name.startswith("x") and path.name != "xcsn0g01.png":  # its fault: a checksum
            assert reason_of(path) in ("corrupt", "not_an_image")
        else:
            assert decode(path, SMALL).shape == (24, 32, 3)


@pytest.mark.skipif(not HARD_IMAGES.is_dir(), reason="shared/data/hard_images is not here")
@pytest.mark.parametrize("side", ["Landscape", "Portrait"])
def test_photos_of_all_orientations_agree(side: str) -> None:
    """The eight orientations of one photo are one photo."""
    upright = decode(HARD_IMAGES / "exif_orientation" / f"{side}_1.jpg", SMALL)
    for number in range(2, 9):
        turned = decode(HARD_IMAGES / "exif_orientation" / f"{side}_{number}.jpg", SMALL)
        assert difference(turned, upright) < 6
