"""A real server answers what clients ask, as `predict` does; one process for all tests here."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

import imgclf
from conftest import Run, write_images
from imgclf.data.pixels.decoder import decode
from sealed_bundles import forge
from served_process import ServedProcess, served

MIB = 1024**2


@pytest.fixture(scope="module")
def photos(two_classes: Path) -> list[Path]:
    """Return a few images of both classes."""
    return sorted(two_classes.rglob("*.png"))[::10]


@pytest.fixture(scope="module")
def server(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    """Return a server of two classifiers."""
    night = forge(
        bundle,
        tmp_path_factory.mktemp("night") / "night.imgclf",
        lambda manifest: manifest.update(class_names=["night", "day"]),
    )
    limits = ("--max-mib", "1", "--max-images", "12", "--max-megapixels", "1")
    with served(f"pets={bundle}", night, *limits, "--body-timeout", "1.5") as process:
        yield process


def post(server: ServedProcess, path: str = "/predict?classifier=pets", **content: Any) -> Any:
    """Send a request; return the answer, whose content must be JSON."""
    return requests.post(server.url + path, timeout=60, **content)


def test_the_served_answer_is_that_of_predict(
    server: ServedProcess, bundle: Path, photos: list[Path], imgclf_command: Run
) -> None:
    """Every image, however it is sent: the very bits that `predict --json` prints."""
    printed = json.loads(imgclf_command("predict", bundle, *photos, "--json").stdout)
    for one in printed:
        one["path"] = Path(one["path"]).name
    form = [("image", (photo.name, photo.read_bytes())) for photo in photos]
    names = [{"name": photo.name, "content": _base64(photo)} for photo in photos]
    answers = [post(server, files=form), post(server, json={"images": names})]
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["predictions"] == printed
    for photo, one in zip(photos, printed, strict=True):
        headers = {"Content-Type": "image/png"}
        answer = post(server, data=photo.read_bytes(), headers=headers).json()
        assert answer["predictions"] == [{**one, "path": None}]


def _base64(photo: Path) -> str:
    return base64.b64encode(photo.read_bytes()).decode()


def test_each_answer_names_classifier_and_version(
    server: ServedProcess, photos: list[Path]
) -> None:
    """The version is the hash of the file; two classifiers answer under their names."""
    answers = {
        name: post(server, f"/predict?classifier={name}", files={"image": photos[0].read_bytes()})
        for name in ("pets", "night")
    }
    versions = requests.get(f"{server.url}/readyz", timeout=60).json()["classifiers"]
    for name, answer in answers.items():
        assert answer.json()["classifier"] == name
        assert answer.json()["version"] == versions[name]
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", versions[name])
    assert answers["night"].json()["predictions"][0]["label"] in ("night", "day")


def test_top_gives_the_most_probable_classes(server: ServedProcess, photos: list[Path]) -> None:
    """`?top=1` leaves the class that is the label."""
    answer = post(server, "/predict?classifier=pets&top=1", files={"a": photos[0].read_bytes()})
    (one,) = answer.json()["predictions"]
    assert one["probabilities"] == {one["label"]: one["probability"]}


def test_min_precision_is_that_of_predict(
    server: ServedProcess, bundle: Path, photos: list[Path]
) -> None:
    """Answers that are not sure enough are not accepted."""
    wanted = [one.accepted for one in imgclf.load(bundle).predict(photos, min_precision=0.9)]
    files = [("image", photo.read_bytes()) for photo in photos]
    answer = post(server, "/predict?classifier=pets&min_precision=0.9", files=files)
    assert [one["accepted"] for one in answer.json()["predictions"]] == wanted


@pytest.mark.parametrize(
    ("path", "content", "status", "code"),
    [
        ("/predict", {"files": {"a": b"x"}}, 400, "classifier_not_named"),
        ("/predict?classifier=x", {"files": {"a": b"x"}}, 404, "unknown_classifier"),
        ("/predict?classifier=pets", {"files": {"a": b"x"}}, 422, "image_not_accepted"),
        ("/predict?classifier=pets&top=0", {"files": {"a": b"x"}}, 400, "bad_argument"),
        ("/predict?classifier=pets&min_precision=2", {"files": {"a": b"x"}}, 400, "bad_argument"),
        ("/predict?classifier=pets", {"data": {"a": "b"}}, 415, "media_type_not_accepted"),
        ("/predict?classifier=pets", {"files": {"a": (None, "b")}}, 400, "no_image"),
        ("/predict?classifier=pets", {"json": {}}, 400, "bad_request"),
        ("/predict?classifier=pets", {"json": {"images": ["?"]}}, 400, "bad_request"),
        ("/predict?classifier=pets", {"json": {"images": []}}, 400, "no_image"),
        ("/predict?classifier=pets", {"files": {"a": bytes(2 * MIB)}}, 413, "too_many_bytes"),
        ("/predict?classifier=pets", {"files": [("a", b"x")] * 13}, 413, "too_many_files"),
        ("/nowhere", {"data": b""}, 404, "not_found"),
        ("/healthz", {"data": b""}, 405, "method_not_allowed"),
        ("/v2/models/pets/infer", {"data": b"{}"}, 400, "bad_request"),
        ("/v2/models/x/infer", {"data": b"{}"}, 404, "unknown_classifier"),
        ("/v2/models/pets/versions/1/infer", {"data": b"{}"}, 404, "unknown_classifier"),
    ],
)
def test_what_is_refused_says_what_to_do(
    server: ServedProcess, path: str, content: dict[str, Any], status: int, code: str
) -> None:
    """A problem document names what was given, what is accepted, and the remedy."""
    answer = post(server, path, **content)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert all(document[name] for name in ("type", "title", "given", "accepted", "remedy"))
    assert "\n" not in document["detail"]


def test_bad_images_among_good_ones_are_named(server: ServedProcess, photos: list[Path]) -> None:
    """The whole request is refused, with place, name and reason of each."""
    good = photos[0].read_bytes()
    contents = [("0.png", good), ("1.png", good[:-30]), ("2.png", good), ("3.txt", b"text")]
    answer = post(server, files=[("image", part) for part in contents])
    found = [(one["index"], one["name"], one["reason"]) for one in answer.json()["images"]]
    assert found == [(1, "1.png", "truncated"), (3, "3.txt", "not_an_image")]


def test_pixels_are_limited_for_each_image_and_all_together(
    server: ServedProcess, tmp_path: Path
) -> None:
    """A tiny file of too many pixels is refused before it is decoded; so are many large images."""
    Image.new("1", (1001, 1000)).save(tmp_path / "large.png")
    Image.new("1", (1000, 900)).save(tmp_path / "fits.png")
    large, fits = ((tmp_path / f"{name}.png").read_bytes() for name in ("large", "fits"))
    answer = post(server, files={"image": large})
    assert answer.json()["images"][0]["reason"] == "too_many_pixels"
    assert post(server, files=[("image", fits)] * 4).status_code == 200
    assert post(server, files=[("image", fits)] * 5).json()["code"] == "too_many_pixels"


def test_a_body_without_stated_length_is_limited(server: ServedProcess) -> None:
    """A chunked body is refused where it becomes too large, and the client hears of it."""
    headers = {"Content-Type": "image/png"}
    answer = post(server, data=(bytes(65536) for _ in range(40)), headers=headers)
    assert answer.json()["code"] == "too_many_bytes"


def test_a_slow_body_is_given_up(server: ServedProcess) -> None:
    """Whoever does not send all of it in time gets 408."""
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", "/predict?classifier=pets")
    connection.putheader("Content-Type", "image/png")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"a")
    answer = connection.getresponse()
    assert answer.status == 408
    assert answer.getheader("connection") == "close"
    assert json.load(answer)["code"] == "body_time_out"
    connection.close()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "localhost.evil.example"])
def test_requests_for_other_hosts_are_refused(server: ServedProcess, host: str) -> None:
    """A name of another site that leads here (DNS rebinding) gets nothing."""
    answer = requests.get(f"{server.url}/healthz", headers={"Host": host}, timeout=60)
    assert answer.json()["code"] == "host_not_accepted"
    with pytest.raises(requests.HTTPError):
        answer.raise_for_status()


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80", "10.1.2.3"])
def test_requests_for_this_machine_are_answered(server: ServedProcess, host: str) -> None:
    """Numbers and this machine's names are accepted."""
    answer = requests.get(f"{server.url}/healthz", headers={"Host": host}, timeout=60)
    assert answer.status_code == 200


def test_pages_of_other_sites_cannot_ask(server: ServedProcess, photos: list[Path]) -> None:
    """A form of another site is refused, and no header invites its scripts."""
    files = {"image": photos[0].read_bytes()}
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        answer = post(server, files=files, headers={"Origin": origin})
        assert answer.json()["code"] == "foreign_origin"
    answer = post(server, files=files, headers={"Origin": server.url})
    assert answer.status_code == 200
    assert not any(name.lower().startswith("access-control") for name in answer.headers)


def test_every_address_is_described(server: ServedProcess) -> None:
    """The addresses of `/openapi.json` answer, and `/docs` shows each, fetching nothing."""
    described = requests.get(f"{server.url}/openapi.json", timeout=60).json()
    page = requests.get(f"{server.url}/docs", timeout=60)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page.text)
    assert f"{server.url}/predict" in page.text  # the examples are of this very address
    for path, methods in described["paths"].items():
        assert path.replace("<", "&lt;") in page.text
        if "get" in methods:
            answer = requests.get(server.url + path.replace("{name}", "pets"), timeout=60)
            assert answer.status_code == 200, path


def test_metrics_count_requests_and_images(server: ServedProcess, photos: list[Path]) -> None:
    """Prometheus reads how many images were answered, and how requests ended."""
    before = _metric(server, "imgclf_images_total")
    post(server, files=[("image", photo.read_bytes()) for photo in photos[:3]])
    assert _metric(server, "imgclf_images_total") == before + 3
    assert _metric(server, "imgclf_request_seconds_count") > 0


def test_names_of_strangers_are_no_metrics(server: ServedProcess) -> None:
    """Metrics are kept for ever: unknown addresses and methods are counted as one."""
    for number in range(5):
        requests.request(f"MADE-UP-{number}", f"{server.url}/predict", timeout=60)
        requests.get(f"{server.url}/made-up-{number}", timeout=60)
    text = requests.get(f"{server.url}/metrics", timeout=60).text
    assert "made-up" not in text.lower()


def _metric(server: ServedProcess, name: str) -> float:
    text = requests.get(f"{server.url}/metrics", timeout=60).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_curl_sends_files_and_bytes(server: ServedProcess, photos: list[Path]) -> None:
    """The commands of the documentation work."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("needs curl")
    address = f"{server.url}/predict?classifier=pets"
    for arguments in (
        ["-F", f"image=@{photos[0]}"],
        ["--data-binary", f"@{photos[0]}", "-H", "Content-Type: image/png"],
    ):
        done = subprocess.run(
            [curl, "--silent", "--fail", *arguments, address], capture_output=True, check=True
        )
        assert len(json.loads(done.stdout)["predictions"]) == 1


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_the_same_answers(
    server: ServedProcess, bundle: Path, photos: list[Path], binary: bool
) -> None:
    """The Open Inference Protocol, tensors as bytes and as JSON: bit for bit those of `predict`."""
    triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")
    classifier = imgclf.load(bundle)
    pixels = np.stack([decode(photo, classifier.policy) for photo in photos])
    tensor = triton.InferInput("image", list(pixels.shape), "UINT8")
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    names = ("probabilities", "label", "familiarity")
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
    client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("pets")
        assert client.get_model_metadata("pets")["outputs"][0]["shape"] == [-1, 2]
        answer = client.infer("pets", [tensor], outputs=outputs, request_id="7")
        with pytest.raises(Exception, match="the output 'x'"):
            client.infer("pets", [tensor], outputs=[triton.InferRequestedOutput("x")])
    finally:
        client.close()
    expected = classifier.predict(photos)
    rows = [list(one.probabilities.values()) for one in expected]
    np.testing.assert_array_equal(answer.as_numpy("probabilities"), rows)
    labels = answer.as_numpy("label").tolist()
    texts = [text.decode() if isinstance(text, bytes) else text for text in labels]
    assert texts == [one.label for one in expected]
    np.testing.assert_array_equal(
        answer.as_numpy("familiarity"), [one.familiarity for one in expected]
    )
    assert answer.get_response()["id"] == "7"


def test_pixels_of_any_size_are_resized(server: ServedProcess, tmp_path: Path) -> None:
    """The protocol takes pixels as a camera gives them."""
    image = next(write_images(tmp_path, {"a": 1}, side=57).rglob("*.png"))
    pixels = np.asarray(Image.open(image))[None]
    tensor = {"name": "image", "datatype": "UINT8", "shape": list(pixels.shape)}
    body = {"inputs": [{**tensor, "data": pixels.tolist()}]}
    answer = post(server, "/v2/models/night/infer", json=body).json()
    assert answer["outputs"][1] == {
        "name": "label", "datatype": "BYTES", "shape": [1], "data": answer["outputs"][1]["data"]
    }  # fmt: skip
    assert answer["outputs"][1]["data"][0] in ("night", "day")


def test_the_server_imports_no_tensorflow(server: ServedProcess) -> None:
    """Its process, after all that it answered above, has loaded no library of TensorFlow."""
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    assert "tensorflow" not in maps.read_text()
