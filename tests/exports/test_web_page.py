"""The page that classifies answers as Python does, in a real browser, and asks no network."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from browsing import Visit
from drawn_pictures import draw_pictures
from imgclf.classifiers.answer_network import convert_answers
from imgclf.classifiers.answers import all_classes
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.calibration import apply_temperature
from imgclf.classifiers.class_gaussian import fit_class_gaussian
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.familiarity import Familiarity, fit_familiarity
from imgclf.classifiers.loader import load
from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.engines.litert import LiteRtNetwork
from imgclf.errors import ArgumentError
from imgclf.exports.web_page import PageAgreement, PageCard, packaged_runtime, web_page
from one_layer_network import network_around

ODD_CLASS = "<img src=x onerror=alert(1)>"
READY = "#status:text('Ready')"
DONE = "#status:not(:text('Loading')):not(:text('Ready')):not(:text('…'))"


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    """Return a small classifier of dark and light images; it can tell strange ones."""
    return load(bundle)


@pytest.fixture(scope="module")
def card(classifier: Classifier) -> PageCard:
    """Return what the page is told of it."""
    record = classifier.record
    assert record.familiarity is not None
    return PageCard(
        title="Light & dark",
        class_names=classifier.class_names,
        policy=classifier.policy,
        temperature=record.calibration.temperature if record.calibration else 1.0,
        figures=record.figures,
        created="2026-11-29",
        licences=["weights of nobody, CC0-1.0"],
        familiarity=record.familiarity,
        agreement=PageAgreement(300, 299, 0.0123, "Chromium 140"),
    )


@pytest.fixture(scope="module")
def network(bundle: Path) -> bytes:
    """Return its network."""
    content = read_bundle(bundle).network
    assert content is not None
    return content


@pytest.fixture(scope="module")
def page(card: PageCard, network: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page."""
    return written(card, network, tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return pictures of several sizes, kinds and formats; the last ones resemble nothing."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for number, level in enumerate((60, 90, 120, 150, 180)):
        side = 24 + 37 * number
        pixels = rng.normal(level, 30, (side, side + 11, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    Image.fromarray(draw_pictures(150)[0]).save(folder / "5.webp", lossless=True)
    Image.fromarray(draw_pictures(200)[4]).save(folder / "6.jpg", quality=95)
    return sorted(folder.iterdir())


@pytest.fixture
def visit(browser: Any, page: Path) -> Iterator[Visit]:
    """Open the page; at the end nothing may have gone wrong, and nothing been asked for."""
    visit = Visit(browser, page, viewport={"width": 1200, "height": 900})
    visit.page.locator(READY).wait_for()
    yield visit
    visit.context.close()
    assert visit.complaints == []


def written(card: PageCard, network: bytes, folder: Path) -> Path:
    """Write a page into a folder."""
    path = folder / "page.html"
    path.write_text(web_page(card, network), encoding="utf-8")
    return path


def answers(page: Any, photos: list[Path]) -> list[dict[str, str]]:
    """Choose photos, wait for the answers and return what the page says of each."""
    page.locator("#files").set_input_files(photos)
    page.locator(DONE).wait_for()
    found: list[dict[str, str]] = page.locator(".photo").evaluate_all(
        "all => all.map(card => ({...card.dataset, text: card.innerText}))"
    )
    return found


def test_it_answers_as_python_does(
    visit: Visit, classifier: Classifier, photos: list[Path]
) -> None:
    """Labels are equal, probabilities and familiarity close, and a strange photo is flagged."""
    found = answers(visit.page, photos)
    expected = classifier.predict(list(photos))
    assert len(found) == len(expected)
    assert any(prediction.unfamiliar for prediction in expected)
    for ours, theirs, photo in zip(found, expected, photos, strict=True):
        # Pillow and the browser read a JPEG each in their own way; other formats alike.
        tolerance = 0.02 if photo.suffix == ".jpg" else 1e-5
        probabilities = np.array(json.loads(ours["probabilities"]))
        assert ours["label"] == theirs.label
        assert probabilities == pytest.approx(list(theirs.probabilities.values()), abs=tolerance)
        assert float(ours["familiarity"]) == pytest.approx(theirs.familiarity, abs=tolerance)
        assert ("Unfamiliar" in ours["text"]) == theirs.unfamiliar
        assert f"{100 * probabilities.max():.1f}%" in ours["text"]
    assert visit.page.locator("#status").inner_text() == f"{len(photos)} photos classified."


POLICIES = [
    InputPolicy((24, 32)),
    InputPolicy((24, 24), channels=1),
    InputPolicy((32, 20), resize="pad", background=(10, 200, 30)),
    InputPolicy((20, 33), resize="crop"),
    InputPolicy((29, 29), channels=1, resize="pad"),
]

READ_PIXELS = """async ([content, policy]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const file = new File([bytes], "photo");
  return Array.from(await networkPixels(await openBitmap(file), policy, await isJpeg(file)));
}"""


def page_pixels(visit: Visit, content: bytes, policy: InputPolicy) -> np.ndarray[Any, Any]:
    """Return what the page makes of a photo for a network."""
    height, width = policy.image_size
    plain = {
        "height": height, "width": width, "channels": policy.channels, "resize": policy.resize,
        "background": list(policy.background),
    }  # fmt: skip
    levels = visit.page.evaluate(READ_PIXELS, [base64.b64encode(content).decode(), plain])
    return np.array(levels).reshape(policy.pixel_shape)


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    """Return an image as a file's content."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def test_pixels_are_those_of_python(visit: Visit) -> None:
    """A lossless photo of any size becomes the pixels that Python makes of it, to a level."""
    rng = np.random.default_rng(0)
    for height, width in ((24, 24), (7, 90), (61, 40), (150, 211), (480, 333)):
        content = saved(Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)), "PNG")
        for policy in POLICIES:
            expected = decode(content, policy)
            difference = np.abs(page_pixels(visit, content, policy) - expected.astype(int))
            # Pillow 13 chooses which side comes first, and rounds between.
            assert difference.max() <= 1, policy


def test_a_large_jpeg_is_read_nearly_as_python_does(visit: Visit) -> None:
    """Where libjpeg reduces a photo for Python, and it lies on its side, levels are close."""
    picture = Image.fromarray(draw_pictures(700)[0]).crop((0, 0, 700, 520))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    content = saved(picture, "JPEG", quality=95, exif=exif)
    for policy in POLICIES:
        expected = decode(content, policy).astype(int)
        difference = np.abs(page_pixels(visit, content, policy) - expected)
        assert difference.mean() < 1, policy
        assert difference.max() < 16, policy


def test_transparency_shows_the_background(visit: Visit) -> None:
    """Transparent pixels are laid on the policy's background; rounding may differ by a level."""
    rng = np.random.default_rng(0)
    content = saved(Image.fromarray(rng.integers(0, 256, (80, 60, 4), np.uint8)), "PNG")
    policy = InputPolicy((24, 24), background=(250, 0, 90))
    difference = np.abs(page_pixels(visit, content, policy) - decode(content, policy).astype(int))
    assert difference.max() <= 1


def test_it_judges_as_python_does(visit: Visit) -> None:
    """Temperature and a pretrained network's familiarity are computed as in Python."""
    rng = np.random.default_rng(0)
    rows = rng.dirichlet(np.full(4, 0.2), 20)
    rows[3] = [1.0, 0.0, 0.0, 0.0]
    for temperature in (0.2, 1.0, 7.0):
        found = visit.page.evaluate(
            "([rows, temperature]) => rows.map((row) => withTemperature(row, temperature))",
            [rows.tolist(), temperature],
        )
        np.testing.assert_allclose(found, apply_temperature(rows, temperature), rtol=1e-9)
    features = rng.normal(size=(60, 12)).astype(np.float32)
    gaussian = fit_class_gaussian(features, np.arange(60) % 3, 3)
    found = visit.page.evaluate(
        """([tensors, rows]) => rows.map((row) => gaussianDistance(tensors, row))""",
        [
            {
                name: {"shape": list(tensor.shape), "values": tensor.ravel().tolist()}
                for name, tensor in gaussian.to_tensors().items()
            },
            features.tolist(),
        ],
    )
    np.testing.assert_allclose(found, gaussian.log_distances(features), rtol=1e-6)


def test_a_gaussian_is_carried(
    card: PageCard, network: bytes, classifier: Classifier, photos: list[Path], tmp_path: Path,
    browser: Any,
) -> None:  # fmt: skip
    """The page of a classifier whose familiarity is a Gaussian's gives the same familiarity."""
    pixels = np.stack([decode(photo, classifier.policy) for photo in photos])
    features = classifier.features([pixels])[-1]
    gaussian = fit_class_gaussian(features, np.arange(len(features)) % 2, 2)
    scores = np.sort(gaussian.log_distances(features)).astype(np.float32)
    familiarity = Familiarity(gaussian, scores)
    visit = Visit(browser, written(replace(card, familiarity=familiarity), network, tmp_path))
    found = answers(visit.page, photos[:-1])
    visit.context.close()
    expected = familiarity.measure([features])
    shares = [float(row["familiarity"]) for row in found]
    assert shares == pytest.approx(expected[:-1].tolist(), abs=1.5 / len(features))
    assert visit.complaints == []


def test_an_output_that_stands_in_the_file_twice(tmp_path: Path, browser: Any) -> None:
    """Features that are the last map's and the head's at once are read rightly; three classes."""
    policy = InputPolicy((8, 6))
    network = convert_answers(network_around(), policy, mirrored=False)
    images = np.random.default_rng(0).integers(0, 256, (140, 8, 6, 3), np.uint8)
    pixels, run = images[:20], LiteRtNetwork(network)
    outputs, *features = run(pixels)
    assert len(features) == 2
    np.testing.assert_array_equal(features[0], features[1])
    training, validation = run(images[20:80])[1:], run(images[80:])[1:]
    familiarity = fit_familiarity(training, np.arange(60) % 3, validation, 3)
    card = PageCard(
        title="t", class_names=list("abc"), policy=policy, temperature=2.0, familiarity=familiarity
    )
    photos = [tmp_path / f"{number:02}.png" for number in range(20)]
    for photo, image in zip(photos, pixels, strict=True):
        Image.fromarray(image).save(photo)
    visit = Visit(browser, written(card, network, tmp_path))
    found = answers(visit.page, photos)
    visit.context.close()
    assert familiarity is not None
    shares = [float(row["familiarity"]) for row in found]
    assert shares == pytest.approx(familiarity.measure(features).tolist(), abs=0.02)
    ours = np.array([json.loads(row["probabilities"]) for row in found])
    np.testing.assert_allclose(ours, apply_temperature(all_classes(outputs), 2.0), atol=1e-5)
    assert visit.complaints == []


def test_the_card_is_stated(visit: Visit, card: PageCard) -> None:
    """The page states accuracy, interval, images, date, licences and the measured agreement."""
    figures = card.figures
    assert figures is not None
    text = visit.page.locator("main").inner_text()
    for expected in (
        f"{100 * figures.accuracy:.1f}%",
        f"of {figures.num_images} test images right",
        f"{100 * figures.accuracy_low:.1f}% to {100 * figures.accuracy_high:.1f}%",
        "2026-11-29",
        "weights of nobody, CC0-1.0",
        "the same class as imgclf in Python for 299 of them",
        "1.23 points",
        "LiteRT.js",
    ):
        assert expected in text
    assert visit.page.title() == "Light & dark"


def test_it_may_ask_nothing(page: Path) -> None:
    """The policy of the page allows its own scripts and pictures, and no address at all."""
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page.read_text("utf-8"))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules
    assert re.fullmatch(r"('sha256-\S+' ){2}'wasm-unsafe-eval'", rules["script-src"])


def test_names_stay_text(
    card: PageCard, network: bytes, photos: list[Path], tmp_path: Path, browser: Any
) -> None:
    """Class names, the title and file names that look like markup are shown as text."""
    odd = tmp_path / "<b>{{script}}.png"
    odd.write_bytes(photos[0].read_bytes())
    named = replace(card, class_names=[ODD_CLASS, "</script>{{data}}"], title="{{style}}<b>")
    visit = Visit(browser, written(named, network, tmp_path))
    found = answers(visit.page, [odd])
    assert "<b>{{script}}.png" in found[0]["text"]
    assert ODD_CLASS in found[0]["text"]
    assert "</script>{{data}}" in found[0]["text"]
    assert visit.page.locator("h1").inner_text() == "{{style}}<b>"
    assert visit.page.locator("img").count() == 0
    visit.context.close()
    assert visit.complaints == []


GIVE = """([kind, content]) => {
  const photo = new File([Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0))], kind);
  const given = new DataTransfer();
  given.items.add(photo);
  const options = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent(kind, { ...options, dataTransfer: given })
    : new ClipboardEvent(kind, { ...options, clipboardData: given });
  document.querySelector("h1").dispatchEvent(event);
}"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_photos_are_dropped_and_pasted(visit: Visit, photos: list[Path], kind: str) -> None:
    """A photo that is dropped anywhere on the page, or pasted, is classified."""
    visit.page.evaluate(GIVE, [kind, base64.b64encode(photos[0].read_bytes()).decode()])
    visit.page.locator(DONE).wait_for()
    assert visit.page.locator(".photo[data-label]").count() == 1


def test_it_loads_no_tensorflow() -> None:
    """Writing a page needs neither TensorFlow nor Keras."""
    script = "import sys, imgclf.exports.web_page as page; page.packaged_runtime()"
    check = "assert not {'tensorflow', 'keras', 'PIL', 'cv2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", f"{script}; {check}"], check=True)


def test_what_is_no_photo_is_named(visit: Visit, photos: list[Path], tmp_path: Path) -> None:
    """A file that the browser cannot read is named, and the others are still answered."""
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    found = answers(visit.page, [broken, photos[0]])
    assert "broken.jpg: it is no photo that this browser can read." in found[0]["text"]
    assert "label" in found[1]
    assert visit.page.locator("#status").inner_text() == "1 photo classified, 1 file not."
    visit.page.locator("#clear").click()
    assert visit.page.locator(".photo").count() == 0


def test_a_damaged_page_says_so(page: Path, tmp_path: Path, browser: Any) -> None:
    """A page whose network was cut says that it cannot run, and gives no answer."""
    cut = tmp_path / "page.html"
    text = page.read_text("utf-8")
    cut.write_text(re.sub(r'(id="network">)[^<]+', r"\1H4sI", text), encoding="utf-8")
    visit = Visit(browser, cut)
    visit.page.locator("#status:text('cannot run')").wait_for()
    assert visit.page.locator("#problem").is_visible()
    visit.context.close()


@pytest.mark.parametrize(
    ("theme", "width"),
    [("light", 360), pytest.param("dark", 360, marks=pytest.mark.slow), ("dark", 1200)],
)
def test_it_fits_and_is_accessible(
    browser: Any, page: Path, photos: list[Path], theme: str, width: int
) -> None:
    """Narrow and wide, light and dark: no sideways scrolling, nothing that axe complains of."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    size = {"width": width, "height": 800}
    visit = Visit(browser, page, viewport=size, color_scheme=theme)
    answers(visit.page, photos)
    assert visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    found = axe.Axe().run(visit.page).response["violations"]
    visit.context.close()
    assert not found, json.dumps(found, indent=1)[:3000]
    assert visit.complaints == []


def test_the_keyboard_is_enough(visit: Visit, photos: list[Path]) -> None:
    """The button for choosing photos is the first thing after the heading, and Enter opens it."""
    page = visit.page
    # Asked for before the keys are pressed: the browser takes a moment to hand choosers over.
    page.on("filechooser", lambda chooser: chooser.set_files(photos[:1]))
    page.locator("h1").click()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(DONE).wait_for()
    assert page.locator("#status").inner_text().startswith(f"{photos[0].name}: ")


def test_equal_classifiers_give_equal_pages(card: PageCard, network: bytes) -> None:
    """The page depends on nothing but what it is made from."""
    assert web_page(card, network) == web_page(card, network)


def test_what_is_no_network_is_refused(card: PageCard) -> None:
    """A file of another kind is refused before it is in a page."""
    with pytest.raises(ArgumentError, match=r"no \.tflite file"):
        web_page(card, b"PK\3\4 something else")


def test_the_runtime_is_the_published_one() -> None:
    """What is packaged has the hashes that stand beside it, and its licence is there."""
    folder = files("imgclf.exports").joinpath("web_runtime")
    readme = folder.joinpath("README.md").read_text(encoding="utf-8")
    runtime = packaged_runtime()
    contents = (gzip.decompress(runtime.packed_wasm), runtime.packed_wasm, runtime.script.encode())
    for content in contents:
        assert hashlib.sha256(content).hexdigest() in readme
    assert runtime.name.removeprefix("LiteRT.js ") in readme
    assert "Apache License" in folder.joinpath("LICENSE").read_text(encoding="utf-8")
