"""`imgclf.serving.application` inside another program."""

from __future__ import annotations

import inspect
import re
import runpy
from pathlib import Path
from typing import Any

import httpx
import pytest

import event_loop
import imgclf
import imgclf.serving
from imgclf.cli.serve import serve

TOKEN = "0123456789abcdef"  # noqa: S105 - of this test
EXAMPLES = Path(__file__).parents[2] / "examples" / "serve"
EXAMPLE = EXAMPLES / "mount_in_starlette.py"


def ask(app: Any, method: str, path: str, **content: Any) -> httpx.Response:
    """Send one request to an application without a process."""

    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://pets.example") as client:
            return await client.request(method, path, **content)

    return event_loop.run(scenario())


@pytest.fixture(scope="module")
def photo(two_classes: Path) -> Path:
    """Return an image."""
    return next(two_classes.rglob("*.png"))


def test_a_mounted_application_answers(
    bundle: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The example: its own page, and the classifier's addresses below it."""
    monkeypatch.setenv("IMGCLF_CLASSIFIER", str(bundle))
    app = runpy.run_path(str(EXAMPLE))["app"]
    assert "pets" in ask(app, "GET", "/").text
    answer = ask(app, "POST", "/pets/predict", files={"image": photo.read_bytes()}).json()
    assert answer["predictions"][0]["label"] == imgclf.load(bundle).predict(photo)[0].label
    assert ask(app, "GET", "/pets/v2/models/" + bundle.parent.name).status_code == 200


def test_a_classifier_in_memory_is_served(trained: Any, photo: Path) -> None:
    """Its version is the hash of the file that it would be saved as."""
    app = imgclf.serving.application({"pets": trained.classifier}, token=TOKEN)
    headers = {"authorization": f"Bearer {TOKEN}"}
    files = {"image": photo.read_bytes()}
    answer = ask(app, "POST", "/predict", files=files, headers=headers).json()
    assert answer["classifier"] == "pets"
    assert answer["version"].startswith("sha256:")
    assert answer["predictions"][0]["label"] == trained.classifier.predict(photo)[0].label
    assert ask(app, "POST", "/predict", files=files).status_code == 401


def test_every_route_is_described(trained: Any) -> None:
    """`/openapi.json` names all addresses but itself, and none that there is not."""
    app = imgclf.serving.application(trained.classifier)
    described = ask(app, "GET", "/openapi.json").json()["paths"]
    routes = {route.path for route in app.routes if "{version}" not in route.path}
    assert set(described) == routes - {"/docs", "/openapi.json"}


@pytest.mark.parametrize("name", ["imgclf-serve.service", "Dockerfile"])
def test_the_options_of_unit_and_container_exist(name: str) -> None:
    """What starts the server there is a command that there is."""
    known = inspect.signature(serve).parameters
    lines = [
        line
        for line in (EXAMPLES / name).read_text().splitlines()
        if line.startswith(("ExecStart=", "ENTRYPOINT", "CMD"))
    ]
    options = re.findall(r"(?<=[ \"])--([a-z-]+)", " ".join(lines))
    assert len(options) >= 3
    assert {option.replace("-", "_") for option in options} <= set(known)


def test_copies_of_a_network_answer_alike(bundle: Path, two_classes: Path) -> None:
    """As many as there are threads, bit for bit."""
    classifier = imgclf.load(bundle, num_threads=1)
    copies = classifier.for_calls_at_once(3)
    assert copies.predict(two_classes) == classifier.predict(two_classes)
    assert copies.engine == "litert"
