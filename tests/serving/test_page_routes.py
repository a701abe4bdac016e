"""What the page asks the server for: cards, heat maps and the keeping of images."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette

import event_loop
from imgclf.classifiers.bundle import read_bundle
from imgclf.classifiers.classifier import Classifier
from imgclf.classifiers.loader import load
from imgclf.data.reading.layout import read_folder
from imgclf.errors import ArgumentError, EngineError
from imgclf.serving import application, explanations
from imgclf.serving.explanations import MOST_AT_A_TIME, can_explain
from imgclf.serving.heat_layers import heat_layer, heat_over_photo
from imgclf.serving.heat_map_process import HeatMapProcess
from running_server import running

PNG = {"content-type": "image/png"}


@pytest.fixture(scope="module")
def classifier(bundle: Path) -> Classifier:
    """Return the shared classifier of dark and light images."""
    return load(bundle)


@pytest.fixture
def app(trained: Any, tmp_path: Path) -> Starlette:
    """Return an application; its classifier is in this process, and so is its Keras network."""
    return application({"two": trained.classifier}, collect_dir=tmp_path / "kept")


@contextmanager
def asking(app: Starlette) -> Iterator[httpx.Client]:
    """Let an application answer, and give who asks it."""
    with running(app) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture
def client(app: Starlette) -> Iterator[httpx.Client]:
    """Return who asks the application."""
    with asking(app) as client:
        yield client


@pytest.fixture(scope="module")
def photo(two_classes: Path) -> bytes:
    """Return a dark image that is twice as wide as high."""
    image = Image.open(two_classes / "dark" / "000.png").resize((96, 48))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_the_card_says_what_is_known(bundle: Path) -> None:
    """Name, version, classes, accuracy with interval, data, architecture and what is offered."""
    with asking(application({"two": bundle})) as client:
        answer = client.get("/classifiers").json()
    (card,) = answer["classifiers"]
    manifest = read_bundle(bundle).manifest
    assert card["name"] == "two"
    assert card["version"].startswith("sha256:")
    assert card["classes"] == ["dark", "light"]
    assert card["accuracy"] == manifest.figures.as_dict()
    assert card["trained_on"] == manifest.data.as_dict()
    assert card["created"] == manifest.created
    assert card["architecture"]["name"] == "three_conv"
    assert card["architecture"]["options"]["filters"] == 8
    assert card["input"] == {"height": 24, "width": 24, "channels": 3, "resize": "stretch"}
    assert card["tells_unfamiliar"] is True
    assert answer["explains"] is True
    assert answer["collects"] is False


def test_unsure_means_what_the_thresholds_say(client: httpx.Client, classifier: Classifier) -> None:
    """Each threshold is the one of `predict`, with the share of photos that it answers."""
    (card,) = client.get("/classifiers").json()["classifiers"]
    assert card["unsure"]
    thresholds = [offer["threshold"] for offer in card["unsure"]]
    assert thresholds == sorted(set(thresholds))
    for offer in card["unsure"]:
        assert offer["threshold"] == classifier.threshold(offer["min_precision"])
        assert 0 < offer["coverage"] <= 1


def test_an_object_without_a_file_has_a_card(client: httpx.Client) -> None:
    """What only a file tells is null; the rest is there."""
    (card,) = client.get("/classifiers").json()["classifiers"]
    assert card["architecture"] is None
    assert card["accuracy"]["num_images"] > 0


def test_a_heat_map_lies_over_the_photo(client: httpx.Client, trained: Any, photo: bytes) -> None:
    """It is that of `explain`, in the photo's proportions, for the class that is asked for."""
    for label in ("light", "dark"):
        answer = client.post(f"/explain?classifier=two&label={label}", content=photo, headers=PNG)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-imgclf-label"] == label
        assert answer.headers["x-imgclf-method"] == "grad_cam"
        expected = trained.classifier.explain(photo, label=label).heatmap
        layer = heat_layer(heat_over_photo(expected, (96, 48), "stretch"))
        assert answer.content == layer
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (96, 48)


def test_the_likeliest_class_is_explained_by_itself(client: httpx.Client, photo: bytes) -> None:
    """Without a label the answer names the class that it explains."""
    answer = client.post("/explain", files={"files": photo})
    predicted = client.post("/predict", files={"files": photo}).json()["predictions"][0]
    assert unquote(answer.headers["x-imgclf-label"]) == predicted["label"]


@pytest.mark.parametrize(
    ("query", "content", "status", "words"),
    [
        ("label=cat", None, 400, "dark, light"),
        ("classifier=one", None, 404, "two"),
        ("label=dark", b"GIF89a", 422, "image 1 of 1"),
    ],
)
def test_bad_requests_for_heat_maps_are_named(
    client: httpx.Client, photo: bytes, query: str, content: bytes | None, status: int, words: str
) -> None:
    """Given, accepted and remedy, as everywhere."""
    answer = client.post(f"/explain?{query}", content=content or photo, headers=PNG)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_two_photos_are_too_many(client: httpx.Client, photo: bytes) -> None:
    """One heat map a request, one image to keep a request."""
    two = [("files", photo), ("files", photo)]
    for address in ("/explain", "/collect?label=dark"):
        answer = client.post(address, files=two)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_many_files")


def test_few_heat_maps_wait(
    app: Starlette, trained: Any, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a few at a time are told to come again; those that wait get theirs."""
    release, drawn = threading.Event(), trained.classifier.draw_heatmaps

    def slow(_self: Classifier, *arguments: Any) -> Any:
        assert release.wait(30)
        return drawn(*arguments)

    monkeypatch.setattr(Classifier, "draw_heatmaps", slow)

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            asked = [
                asyncio.create_task(client.post("/explain?label=dark", content=photo, headers=PNG))
                for _ in range(MOST_AT_A_TIME + 2)
            ]
            done, _ = await asyncio.wait(asked, timeout=20, return_when=asyncio.FIRST_COMPLETED)
            assert {task.result().status_code for task in done} == {503}
            release.set()
            return await asyncio.gather(*asked)

    answers = event_loop.run(ask())
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * MOST_AT_A_TIME + [503] * 2
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert int(refused.headers["retry-after"]) > 0


def test_without_tensorflow_the_page_knows(
    client: httpx.Client, photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heat maps are not offered, and asking for one says what is missing."""
    monkeypatch.setattr(explanations, "find_spec", lambda _name: None)
    assert not can_explain()
    assert client.get("/classifiers").json()["explains"] is False
    answer = client.post("/explain", content=photo, headers=PNG)
    assert answer.status_code == 501
    assert "tensorflow" in answer.json()["detail"]


def test_heat_maps_are_drawn_in_a_process_of_their_own(
    bundle: Path, classifier: Classifier, photo: bytes
) -> None:
    """They equal those of `explain`; a process that is killed is replaced; an idle one ends."""
    drawer = HeatMapProcess(kept_s=0.5)
    pixels = classifier.explain(photo, label="dark").pixels
    try:
        heatmap, method = drawer.draw(str(bundle), "1", pixels, 0)
        expected = classifier.explain(photo, label="dark").heatmap
        assert method == "grad_cam"
        np.testing.assert_allclose(heatmap, expected, atol=1e-3)
        assert drawer._process is not None
        drawer._process.kill()
        drawer._process.wait()
        with pytest.raises(EngineError, match=r"cannot be drawn: .*nothing\.imgclf"):
            drawer.draw("nothing.imgclf", "2", pixels, 0)
        assert drawer._retirement is not None
        drawer._retirement.join(30)
        assert drawer._process is None
    finally:
        drawer.close()


def test_a_process_that_hangs_is_ended(bundle: Path) -> None:
    """After the longest wait the process is killed, and the message says what happened."""
    drawer = HeatMapProcess(longest_wait_s=0.05)
    with pytest.raises(EngineError, match="took longer"):
        drawer.draw(str(bundle), "1", np.zeros((24, 24, 3), np.uint8), 0)
    assert drawer._process is None
    drawer.close()


def test_an_image_is_kept_with_its_class(
    client: httpx.Client, photo: bytes, two_classes: Path, tmp_path: Path
) -> None:
    """201 for a new one, 200 for one that is there; the folder can be trained on."""
    root = tmp_path / "kept"
    first = client.post("/collect?label=dark", content=photo, headers=PNG)
    assert (first.status_code, first.json()["moved_from"]) == (201, None)
    assert (root / first.json()["path"]).read_bytes() == photo
    moved = client.post("/collect?classifier=two&label=grey", content=photo, headers=PNG)
    assert (moved.status_code, moved.json()["moved_from"]) == (200, "dark")
    other = (two_classes / "light" / "000.png").read_bytes()
    client.post("/collect", params={"label": "light"}, files={"file": ("x/../y.png", other)})
    assert read_folder(root).class_names == ("grey", "light")
    assert client.get("/classifiers").json()["collects"] is True


@pytest.mark.parametrize("label", ["", "../x", "DARK", "a/b"])
def test_bad_classes_are_refused(
    client: httpx.Client, photo: bytes, tmp_path: Path, label: str
) -> None:
    """The problem says what is accepted, and nothing is written."""
    answer = client.post("/collect", params={"label": label}, content=photo, headers=PNG)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_argument")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_other_sites_cannot_add_training_data(
    client: httpx.Client, photo: bytes, tmp_path: Path
) -> None:
    """A page of another site that sends a form is refused; this server's own page is not."""
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 201)):
        headers = {**PNG, "sec-fetch-site": site}
        answer = client.post("/collect?label=dark", content=photo, headers=headers)
        assert answer.status_code == status
    assert len(list((tmp_path / "kept").rglob("*.png"))) == 1


def test_nothing_is_kept_unless_that_is_asked_for(trained: Any, photo: bytes) -> None:
    """Without a folder the address says how to give one."""
    with asking(application({"two": trained.classifier})) as client:
        answer = client.post("/collect?label=dark", content=photo, headers=PNG)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_collecting")
    assert "--collect DIR" in answer.json()["detail"]


def test_a_folder_that_cannot_be_used_is_refused_at_once(trained: Any, tmp_path: Path) -> None:
    """Before the first request, not at the first image."""
    (tmp_path / "train" / "cat").mkdir(parents=True)
    with pytest.raises(ArgumentError, match="train"):
        application(trained.classifier, collect_dir=tmp_path)
