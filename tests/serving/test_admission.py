"""Before anything looks into a request: its turn, its bytes, its time, and who sends it."""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import event_loop
from imgclf.errors import ArgumentError
from imgclf.serving.guard import HostGuard, TokenGuard
from imgclf.serving.json_bodies import MOST_BYTES, read_json
from imgclf.serving.limited_bodies import LimitedBodies
from imgclf.serving.limits import Limits
from imgclf.serving.pixel_budget import PixelBudget
from imgclf.serving.problems import CODES, Problem
from imgclf.serving.served_names import default_name
from imgclf.serving.tensors import parse_infer_request
from imgclf.serving.turns import Turns
from imgclf.serving.uploads import read_uploads

TOKEN = "0123456789abcdef"  # noqa: S105 - of this test


async def answer_length(request: Request) -> Response:
    """Read a body, and answer how long it is."""
    return PlainTextResponse(str(len(await request.body())))


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


def admitting(limits: Limits, endpoint: Callable[[Request], Awaitable[Response]]) -> Any:
    """Return an application behind all that limits bodies."""
    app = Starlette(
        routes=[Route("/", endpoint, methods=["POST"])], exception_handlers={Problem: _refuse}
    )
    service = SimpleNamespace(limits=limits, stopping=False)
    return LimitedBodies(Turns(app, limits), service)


def client_of(app: Any) -> httpx.AsyncClient:
    """Return a client that asks an application without a process."""
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def slowly(*parts: bytes, pause_s: float = 0.02) -> AsyncIterator[bytes]:
    """Send a body in parts, of no stated length."""
    for part in parts:
        await asyncio.sleep(pause_s)
        yield part


def test_no_more_requests_wait_than_agreed() -> None:
    """One is answered, one waits, the third is told to come again."""
    limits = Limits(concurrency=1, queue=1)

    async def scenario() -> list[httpx.Response]:
        go_on = asyncio.Event()

        async def endpoint(_request: Request) -> Response:
            await go_on.wait()
            return PlainTextResponse("")

        async with client_of(admitting(limits, endpoint)) as client:
            asked = [asyncio.create_task(client.post("/", content=b"x")) for _ in range(3)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            go_on.set()
            await asyncio.gather(*asked)
            after = await client.post("/", content=b"x")
            return [done.pop().result(), *(task.result() for task in asked), after]

    refused, *others = event_loop.run(scenario())
    assert refused.status_code == 503
    assert refused.json()["code"] == "busy"
    assert refused.headers["retry-after"] == "1"
    assert sorted(one.status_code for one in others) == [200, 200, 200, 503]


def test_bodies_wait_for_room_in_memory() -> None:
    """Many large bodies at a time are all read, a few at a time."""
    limits = Limits(max_bytes=1000, max_buffered_bytes=2000, concurrency=1)
    together, most = 0, 0

    async def endpoint(request: Request) -> Response:
        nonlocal together, most
        body = await request.body()
        together += len(body)
        most = max(most, together)
        await asyncio.sleep(0.01)
        together -= len(body)
        return PlainTextResponse(str(len(body)))

    async def scenario() -> list[httpx.Response]:
        async with client_of(admitting(limits, endpoint)) as client:
            parts = [b"x" * 300] * 3
            return await asyncio.gather(
                *(client.post("/", content=slowly(*parts)) for _ in range(12))
            )

    assert [answer.text for answer in event_loop.run(scenario())] == ["900"] * 12
    assert most <= limits.max_buffered_bytes + limits.max_bytes


def test_an_upload_never_touches_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a file of a form is: it stays in memory."""

    def roll(_file: object) -> None:
        raise AssertionError("to the disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", roll)
    limits = Limits()

    async def endpoint(request: Request) -> Response:
        (upload,) = await read_uploads(request, limits)
        return PlainTextResponse(f"{upload.name} {len(upload.content)}")

    async def scenario() -> httpx.Response:
        async with client_of(admitting(limits, endpoint)) as client:
            return await client.post("/", files={"image": ("cat.jpg", bytes(5_000_000))})

    assert event_loop.run(scenario()).text == "cat.jpg 5000000"


@pytest.mark.parametrize(
    ("headers", "body", "code"),
    [
        ({}, b"x" * 1001, "too_many_bytes"),
        ({"content-encoding": "gzip"}, b"x", "media_type_not_accepted"),
        ({"content-length": "9" * 30}, b"x", "too_many_bytes"),
    ],
)
def test_a_header_is_enough_to_be_refused(headers: dict[str, str], body: bytes, code: str) -> None:
    """What a header says is refused before the application sees the request."""

    async def endpoint(_request: Request) -> Response:
        raise AssertionError("not to be reached")

    async def scenario() -> httpx.Response:
        limits = Limits(max_bytes=1000, max_buffered_bytes=1000)
        async with client_of(admitting(limits, endpoint)) as client:
            return await client.post("/", content=body, headers=headers)

    answer = event_loop.run(scenario())
    assert answer.json()["code"] == code
    assert answer.status_code == CODES[code][0]


@given(st.lists(st.binary(min_size=1, max_size=700), max_size=6))
def test_a_body_arrives_whole_or_is_refused(parts: list[bytes]) -> None:
    """However it is cut into parts: its length decides, and nothing else."""

    async def scenario() -> httpx.Response:
        limits = Limits(max_bytes=1000, max_buffered_bytes=1000)
        async with client_of(admitting(limits, answer_length)) as client:
            return await client.post("/", content=slowly(*parts, pause_s=0))

    answer, length = event_loop.run(scenario()), sum(map(len, parts))
    if length <= 1000:
        assert answer.text == str(length)
    else:
        assert answer.json()["code"] == "too_many_bytes"


def test_the_token_is_asked_for_but_by_probes() -> None:
    """No address answers without it that tells anything."""

    async def endpoint(_request: Request) -> Response:
        return PlainTextResponse("answered")

    paths = ("/predict", "/metrics", "/classifiers", "/healthz", "/docs")
    methods = ["GET", "POST"]
    routes = [Route(path, endpoint, methods=methods) for path in paths]
    app = TokenGuard(Starlette(routes=routes), TOKEN)

    async def scenario() -> dict[tuple[str, str, str], int]:
        statuses = {}
        async with client_of(app) as client:
            for path in paths:
                for method in methods:
                    for given_token in ("", TOKEN, TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), "é"):
                        headers = {"authorization": f"Bearer {given_token}".encode("latin-1")}
                        answer = await client.request(method, path, headers=headers)
                        statuses[path, method, given_token] = answer.status_code
        return statuses

    for (path, method, given_token), status in event_loop.run(scenario()).items():
        is_open = method == "GET" and path in ("/healthz", "/docs")
        assert status == (200 if is_open or given_token == TOKEN else 401)


@given(st.text(max_size=30))
def test_any_host_header_is_accepted_or_refused(host: str) -> None:
    """No text in the header brings the guard down."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("")(scope, receive, send)

    async def scenario() -> int:
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "headers": [(b"host", host.encode())],
        }

        async def send(message: Any) -> None:
            sent.append(message)

        await HostGuard(app, {"localhost"})(scope, send, send)
        return sent[0]["status"]

    assert event_loop.run(scenario()) in (200, 403)


def test_threads_decode_no_more_pixels_than_agreed_together() -> None:
    """Small images go on beside each other; a large one waits for room."""
    budget, lock, now, most = PixelBudget(100), threading.Lock(), 0, 0

    def decode(pixels: int) -> None:
        nonlocal now, most
        with budget.taken(pixels):
            with lock:
                now += pixels
                most = max(most, now)
            time.sleep(0.005)
            with lock:
                now -= pixels

    threads = [threading.Thread(target=decode, args=(size,)) for size in (100, 50, 30, 20, 10) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert now == 0
    assert most == 100


@pytest.mark.parametrize("unit", [b"[],", b"{},", b'"",', b"1,"])
def test_json_that_would_become_large_is_refused(unit: bytes) -> None:
    """A few megabytes of brackets would become a gigabyte of Python."""
    body = b"[" + unit * (MOST_BYTES // 30) + b"1]"
    with pytest.raises(Problem) as refused:
        read_json(body)
    assert refused.value.code == "too_many_bytes"
    assert read_json(b"[" + unit * 1000 + b"1]")


def tensor(**changes: Any) -> bytes:
    """Return a request of the protocol for one image of 2 x 1 pixels."""
    sound = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 1, 3]}
    return json.dumps({"inputs": [{**sound, "data": [0, 1, 2, 3, 4, 255], **changes}]}).encode()


def test_tensors_are_read_flat_and_nested() -> None:
    """JSON may nest the numbers as the shape does, or not."""
    nested = [[[[0, 1, 2]], [[3, 4, 255]]]]
    for body in (tensor(), tensor(data=nested)):
        request = parse_infer_request(body, None, 3, 8)
        np.testing.assert_array_equal(request.images, np.array(nested, np.uint8))


@pytest.mark.parametrize(
    "changes",
    [
        {"datatype": "FP32"}, {"shape": [2, 1, 3]}, {"shape": [1, 2, 1, 1]}, {"shape": "1"},
        {"shape": [1, 2, 1, True]}, {"shape": [0, 2, 1, 3]}, {"shape": [1, 2**40, 1, 3]},
        {"data": [0] * 5}, {"data": None}, {"data": [0, 1, 2, 3, 4, 256]}, {"data": [-1] * 6},
        {"data": [0.5] * 6}, {"data": ["0"] * 6}, {"data": [[1], [2, 3]]}, {"data": {}},
        {"parameters": 1}, {"parameters": {"binary_data_size": 7}},
        {"parameters": {"binary_data_size": "x"}},
    ],
)  # fmt: skip
def test_other_tensors_are_refused(changes: dict[str, Any]) -> None:
    """Whatever is not uint8 pixels of that shape is named."""
    with pytest.raises(Problem) as refused:
        parse_infer_request(tensor(**changes), None, 3, 8)
    assert refused.value.status == 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.one_of(json_values, st.fixed_dictionaries({"inputs": json_values, "outputs": json_values}))
)
def test_any_json_is_a_request_or_a_problem(value: Any) -> None:
    """Nothing but a problem comes of JSON of any other form."""
    with pytest.raises(Problem):
        parse_infer_request(json.dumps(value).encode(), None, 3, 8)


@pytest.mark.parametrize(
    "limits", [{"max_bytes": 0}, {"queue": -1}, {"body_timeout_s": 0}, {"max_buffered_bytes": 1}]
)
def test_limits_that_refuse_everything_are_refused(limits: dict[str, Any]) -> None:
    """The message names the limit."""
    with pytest.raises(ArgumentError, match=next(iter(limits))):
        Limits(**limits)


def test_a_run_gives_its_name() -> None:
    """`runs/pets/model.imgclf` is served as pets."""
    assert default_name("runs/pets/model.imgclf") == "pets"
    assert default_name("cats.imgclf") == "cats"
