"""The page of a server, in a real browser: photos are answered, explained and corrected."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from browsing import Visit
from drawn_pictures import draw_pictures
from imgclf.data.reading.layout import read_folder
from imgclf.serving import application
from imgclf.serving.trial_page import trial_page
from running_server import running

ACCESS = "a word of the tests"
READY = "#status:text('Ready')"
DONE = "body:not(:has([aria-busy=true])):has(#status:not(:text('…')))"
REFUSED = "Failed to load resource: the server responded with a status of "
"""What the browser itself says of each request that was answered with an error."""


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return dark and light pictures of several formats; the last one resembles nothing."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for number, (level, ending) in enumerate(
        [(70, "png"), (190, "jpg"), (80, "webp"), (170, "gif"), (130, "png")]
    ):
        pixels = rng.normal(level, 30, (40, 60 + number, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.{ending}")
    Image.fromarray(draw_pictures(200)[4]).save(folder / "5.jpg", quality=95)
    return sorted(folder.iterdir())


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return the folder of corrected photos."""
    return tmp_path / "kept"


@contextmanager
def opened(browser: Any, app: Any, *, wait_for: str = READY, **options: Any) -> Iterator[Visit]:
    """Serve an application and open its page; at the end nothing may have gone wrong on it."""
    with running(app) as address:
        visit = Visit(browser, address, **{"viewport": {"width": 1200, "height": 900}, **options})
        visit.page.locator(wait_for).wait_for()
        yield visit
        visit.context.close()
    assert [text for text in visit.complaints if not text.startswith(REFUSED)] == []


@pytest.fixture
def visit(browser: Any, trained: Any, kept: Path) -> Iterator[Visit]:
    """Open the page of the shared classifier."""
    app = application({"two": trained.classifier}, collect_dir=kept)
    with opened(browser, app) as visit:
        yield visit


def choose(page: Any, photos: list[Path]) -> list[dict[str, str]]:
    """Choose photos, wait for the answers, and return what the page shows of each."""
    page.locator("#files").set_input_files(photos)
    page.locator(DONE).wait_for()
    found: list[dict[str, str]] = page.locator(".photo").evaluate_all(
        "all => all.map((card) => ({...card.dataset, text: card.innerText}))"
    )
    return found


def test_it_shows_what_predict_answers(visit: Visit, trained: Any, photos: list[Path]) -> None:
    """Every photo has the class and probability of `predict`; a strange one is flagged."""
    found = choose(visit.page, photos)
    expected = trained.classifier.predict(list(photos))
    assert any(prediction.unfamiliar for prediction in expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["label"] == theirs.label
        assert f"{100 * theirs.probability:.1f}%" in ours["text"]
        assert ("Unfamiliar" in ours["text"]) == theirs.unfamiliar
    status = visit.page.locator("#status").inner_text()
    assert status.startswith(f"{len(photos)} photos classified, ")
    assert f"{sum(one.unfamiliar for one in expected)} unfamiliar" in status
    pictures = visit.page.locator(".frame img")
    pictures.nth(len(photos) - 1).wait_for()
    assert pictures.count() == len(photos)


def test_a_photo_is_taken_with_the_camera(visit: Visit, trained: Any) -> None:
    """The page shows the camera's picture; what is taken is answered, and the camera let go."""
    page = visit.page
    page.locator("#open-camera").click()
    page.locator("#take:focus").wait_for()  # the picture moves
    size = page.evaluate("(({videoWidth, videoHeight}) => [videoWidth, videoHeight])(video)")
    stream = page.evaluate_handle("video.srcObject")
    page.locator("#take").click()
    page.locator(DONE).locator(".photo").wait_for()
    assert page.locator(".photo").get_attribute("data-label") in trained.classifier.class_names
    picture = page.locator(".frame img")
    picture.wait_for()
    assert min(size) > 100
    shown = picture.evaluate(
        "async (one) => (await one.decode(), one.naturalWidth / one.naturalHeight)"
    )
    assert shown == pytest.approx(size[0] / size[1], rel=0.02)
    page.locator("#close-camera").click()
    assert page.locator("#open-camera").is_visible()
    assert stream.evaluate("(one) => one.getTracks().every((track) => track.readyState == 'ended')")


def test_unsure_answers_are_marked_and_found(
    visit: Visit, trained: Any, photos: list[Path]
) -> None:
    """The threshold is chosen on the page; a filter shows the answers below it alone."""
    page = visit.page
    choose(page, photos)
    values = page.locator("#unsure option").evaluate_all("all => all.map((one) => one.value)")
    probabilities = [one.probability for one in trained.classifier.predict(list(photos))]
    for value in values:
        page.locator("#unsure").select_option(value)
        below = sum(probability < float(value) for probability in probabilities)
        assert page.locator(".tag:text('Unsure')").count() == below
    page.locator("#filters button:text('Unfamiliar')").click()
    flagged = sum(one.unfamiliar for one in trained.classifier.predict(list(photos)))
    assert page.locator(".photo:visible").count() == flagged
    page.locator("#filters button:text('All')").click()
    assert page.locator(".photo:visible").count() == len(photos)


def test_the_card_is_stated(visit: Visit, trained: Any) -> None:
    """Classes, accuracy, interval and what it was trained on are on the page."""
    text = visit.page.locator("main").inner_text()
    figures, data = trained.classifier.figures, trained.classifier.data
    for expected in (
        f"{100 * figures.accuracy:.1f}%",
        f"of {figures.num_images} test images right",
        f"{100 * figures.accuracy_low:.1f}% to {100 * figures.accuracy_high:.1f}%",
        f"{data.num_train} images",
        "24 x 24 pixels in colour",
    ):
        assert expected in text
    assert visit.page.locator("h1").inner_text() == "Dark or light?"


def test_where_it_looked_is_laid_over_the_photo(visit: Visit, photos: list[Path]) -> None:
    """A click draws the heat map of the answer; another class is chosen; a click ends it."""
    page = visit.page
    (found,) = choose(page, photos[:1])
    button = page.locator("[data-action=heat]")
    button.click()
    heat = page.locator(".frame .heat")
    heat.wait_for()
    assert found["label"] in heat.get_attribute("alt")
    assert button.get_attribute("aria-pressed") == "true"
    size = heat.evaluate(
        "async (image) => (await image.decode(), [image.naturalWidth, image.naturalHeight])"
    )
    with Image.open(photos[0]) as photo:
        assert size == list(photo.size)
    other = "light" if found["label"] == "dark" else "dark"
    page.get_by_label("Class to explain").select_option(other)
    page.locator(f".frame .heat[alt$='{other}']").wait_for()
    button.click()
    assert heat.count() == 0
    assert page.evaluate("document.activeElement.dataset.action") == "heat"


def test_wrong_answers_become_training_data(visit: Visit, photos: list[Path], kept: Path) -> None:
    """A photo gets its right class by a click or a new name, which can be changed again."""
    page = visit.page
    choose(page, photos[:2])
    first, second = page.locator(".photo").first, page.locator(".photo").last
    first.locator("[data-action=correct]").click()
    first.locator(".panel button:text-is('light')").click()
    first.locator(".tag:text('Kept as light')").wait_for()
    second.locator("[data-action=correct]").click()
    second.get_by_label("Another class").fill("a/b")
    second.locator(".panel button:text('Keep')").click()
    second.locator("[role=alert]:text('slash')").wait_for()
    second.get_by_label("Another class").fill("grey")
    page.keyboard.press("Enter")
    second.locator(".tag:text('Kept as grey')").wait_for()
    assert read_folder(kept).class_names == ("grey", "light")
    first.locator("[data-action=correct]").click()
    first.locator(".panel button:text-is('grey')").click()
    first.locator(".tag:text('Kept as grey')").wait_for()
    (grey,) = read_folder(kept, min_classes=1).class_names
    contents = {path.read_bytes() for path in (kept / grey).iterdir()}
    assert contents == {photo.read_bytes() for photo in photos[:2]}


def test_what_is_no_image_costs_no_other_its_answer(
    visit: Visit, photos: list[Path], tmp_path: Path
) -> None:
    """The file is named with what is wrong with it; the others are answered."""
    broken = tmp_path / "<b>broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    found = choose(visit.page, [photos[0], broken, photos[1]])
    assert "label" in found[0]
    assert "label" not in found[1]
    assert "<b>broken.jpg" in found[1]["text"]
    assert "damaged" in found[1]["text"]
    assert "label" in found[2]
    assert "2 photos classified" in visit.page.locator("#status").inner_text()
    visit.page.locator("#clear").click()
    assert visit.page.locator(".photo").count() == 0


class Moody:
    """Refuses the first requests for a prediction as a busy server does, and counts them all."""

    def __init__(self, app: ASGIApp, refusals: list[int], sizes: list[int]) -> None:
        self._app = app
        self._refusals = refusals
        self._sizes = sizes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let a request pass."""
        answer = self._app
        if scope["type"] == "http" and scope["path"] == "/predict":
            if self._refusals:
                status = self._refusals.pop(0)
                headers = {"retry-after": "1"} if status == 503 else {}
                answer = JSONResponse({"detail": "moody"}, status, headers)
            else:
                sizes = [
                    int(value) for name, value in scope["headers"] if name == b"content-length"
                ]
                self._sizes.extend(sizes)
        await answer(scope, receive, send)


def moody(trained: Any, refusals: list[int], sizes: list[int]) -> Any:
    """Return an application that is not always willing."""
    app = application({"two": trained.classifier})
    app.user_middleware.insert(0, Middleware(Moody, refusals=refusals, sizes=sizes))
    return app


def test_many_photos_go_in_groups_and_a_busy_server_is_asked_again(
    browser: Any, trained: Any, photos: list[Path]
) -> None:
    """Each of 40 photos gets its answer although the first requests are refused."""
    sizes: list[int] = []
    with opened(browser, moody(trained, [503, 503, 503], sizes)) as visit:
        found = choose(visit.page, [*photos[:5]] * 8)
        assert len(found) == 40
        assert all("label" in one for one in found)
    assert len(sizes) == 5  # of eight photos each


def test_a_failed_photo_can_be_tried_again(browser: Any, trained: Any, photos: list[Path]) -> None:
    """What the server says is shown, and a click asks it once more."""
    with opened(browser, moody(trained, [500], [])) as visit:
        page = visit.page
        (found,) = choose(page, photos[:1])
        assert "moody" in found["text"]
        page.locator(".photo button:text('Try again')").click()
        page.locator(".photo[data-label]").wait_for()


def test_a_token_is_asked_for_and_forgotten(browser: Any, trained: Any, photos: list[Path]) -> None:
    """The page asks for it until it is right, works with it, and keeps it in no storage."""
    app = application({"two": trained.classifier}, token=ACCESS)
    with opened(browser, app, wait_for="#access:not([hidden])") as visit:
        page = visit.page
        assert page.evaluate("document.activeElement.id") == "token"
        page.locator("#token").fill("wrong")
        page.keyboard.press("Enter")
        page.locator("#access-problem:text('does not accept')").wait_for()
        page.locator("#token").fill(ACCESS)
        page.keyboard.press("Enter")
        page.locator(READY).wait_for()
        assert "label" in choose(page, photos[:1])[0]
        assert page.evaluate("localStorage.length + sessionStorage.length") == 0
        assert visit.context.cookies() == []
        page.reload()
        page.locator("#access:not([hidden])").wait_for()


def test_another_classifier_answers_the_same_photos(
    browser: Any, trained: Any, photos: list[Path]
) -> None:
    """Where several are served one is chosen, and the photos are asked of it."""
    classifier = trained.classifier
    asked: list[str] = []
    with opened(browser, application({"first": classifier, "second": classifier})) as visit:
        page = visit.page
        page.on("request", lambda request: asked.append(request.url))
        choose(page, photos[:2])
        page.locator("#classifier").select_option("1")
        page.locator(DONE).wait_for()
        assert page.title().startswith("second")
    names = [re.findall(r"predict\?classifier=(\w+)", url) for url in asked if "predict" in url]
    assert names == [["first"], ["second"]]


def test_it_works_below_another_application(browser: Any, trained: Any, photos: list[Path]) -> None:
    """Addresses on the page are relative: it can be mounted anywhere."""
    outer = Starlette(routes=[Mount("/deep/pets", application(trained.classifier))])
    with running(outer) as address:
        visit = Visit(browser, f"{address}deep/pets/")
        visit.page.locator(READY).wait_for()
        assert "label" in choose(visit.page, photos[:1])[0]
        visit.context.close()
        assert visit.complaints == []


GIVE = """([kind, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const given = new DataTransfer();
  given.items.add(new File([bytes], kind, { type: "image/png" }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent(kind, { ...options, dataTransfer: given })
    : new ClipboardEvent(kind, { ...options, clipboardData: given });
  document.querySelector("h1").dispatchEvent(event);
}"""


def test_photos_are_dropped_and_pasted(visit: Visit, photos: list[Path]) -> None:
    """A photo that is dropped anywhere on the page, or pasted, is classified."""
    for number, kind in enumerate(["drop", "paste"], start=1):
        visit.page.evaluate(GIVE, [kind, base64.b64encode(photos[0].read_bytes()).decode()])
        visit.page.locator(f".photo[data-label]:has-text('{kind}')").wait_for()
        assert visit.page.locator(".photo").count() == number


def test_a_format_that_browsers_do_not_show_is_answered(
    visit: Visit, trained: Any, tmp_path: Path
) -> None:
    """The server reads TIFF; the page says that it has no preview."""
    stream = io.BytesIO()
    Image.new("RGB", (30, 20), (60, 60, 60)).save(stream, "TIFF")
    photo = tmp_path / "scan.tiff"
    photo.write_bytes(stream.getvalue())
    (found,) = choose(visit.page, [photo])
    assert found["label"] == trained.classifier.predict(photo)[0].label
    assert "No preview" in found["text"]


def test_the_policy_is_strict() -> None:
    """The page's own script and styles, its own server, and nothing else."""
    page = trial_page()
    rules = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'sha256-\S+'", rules["script-src"])
    assert re.fullmatch(r"'sha256-\S+'", rules["style-src"])
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(rb"https?://(?!www\.w3\.org)", page.content)


@pytest.mark.parametrize(
    ("theme", "width"),
    [
        ("light", 360),
        ("dark", 1600),
        pytest.param("dark", 360, marks=pytest.mark.slow),
        pytest.param("light", 1600, marks=pytest.mark.slow),
    ],
)
def test_it_fits_and_is_accessible(
    browser: Any, trained: Any, kept: Path, photos: list[Path], theme: str, width: int
) -> None:
    """Narrow and wide, light and dark: no sideways scrolling, nothing that axe complains of."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    size = {"width": width, "height": 800}
    app = application({"one": trained.classifier, "two": trained.classifier}, collect_dir=kept)
    with opened(browser, app, viewport=size, color_scheme=theme) as visit:
        page = visit.page
        choose(page, photos)
        page.locator("[data-action=heat]").first.click()
        page.locator(".heat").wait_for()
        page.locator("[data-action=correct]").last.click()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        found = axe.Axe().run(page).response["violations"]
    assert not found, json.dumps(found, indent=1)[:3000]


def test_the_keyboard_is_enough(visit: Visit, photos: list[Path], kept: Path) -> None:
    """From choosing a photo to its correction, without a mouse."""
    page = visit.page
    page.on("filechooser", lambda chooser: chooser.set_files(photos[:1]))
    page.locator("h1").click()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.locator(".photo[data-label]").wait_for()
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.action") == "correct":
            break
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.action") == "correct"
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.locator(".tag.kept").wait_for()
    assert page.evaluate("document.activeElement.dataset.action") == "correct"
    assert len(list(kept.rglob("*.png"))) == 1
