"""Sends a server what no client should, and shows that it answers all of it and keeps its memory.

Usage: python tools/abuse_server.py CLASSIFIER FOLDER... [--mutants 2000] [--clients 8] [--seed 0]

Starts `imgclf serve CLASSIFIER` on this machine and sends it, from several clients at a time,
every file of the folders, and mutants of them (bytes flipped, cut, doubled, taken from another
file); then what attacks a server: headers and bodies that come byte by byte, bodies that are too
large with and without a stated length, wrong types, forms of 10,000 parts, images that become huge,
JSON that becomes huge. It passes where every answer is a result or a problem document that came in
time, where the process lives at the end, answers an ordinary image as before, and took no more
memory than it said when it started. The same seed makes the same mutants.
"""

from __future__ import annotations

import argparse
import base64
import collections
import concurrent.futures
import http.client
import io
import json
import random
import re
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

COMMAND = "from imgclf.cli.main import run; run()"
ANSWER_WITHIN_S = 60.0
HEADER_TIMEOUT_S, BODY_TIMEOUT_S = 3.0, 4.0
OPTIONS = ("--port", "0", "--max-mib", "16", "--header-timeout", "3", "--body-timeout", "4")
MIB = 1024**2
BOUNDARY = "----abuse"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@dataclass
class Server:
    """The server that is abused."""

    process: subprocess.Popen[str]
    port: int
    cap_bytes: float

    @property
    def peak_bytes(self) -> int:
        """The most memory that it has taken."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        match = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert match
        return int(match[1]) * 1024


@dataclass
class Tally:
    """What came of the requests."""

    answers: collections.Counter[str] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0


def start_server(classifier: str) -> Server:
    """Start the server, and wait until it answers."""
    process = subprocess.Popen(  # noqa: S603 - this very package
        [sys.executable, "-c", COMMAND, "serve", classifier, *OPTIONS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    port, cap = 0, 0.0
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            port = int(found[1])
        if found := re.search(r"Memory: below ([\d.]+) GB", line):
            cap = float(found[1]) * 1e9
            return Server(process, port, cap)
    raise SystemExit("the server does not start")


def ask(
    port: int, body: bytes, headers: dict[str, str], path: str = "/predict"
) -> tuple[int, bytes]:
    """Send a request; return status and body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_WITHIN_S)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def judge(name: str, tally: Tally, send: Callable[[], tuple[int, bytes]]) -> None:
    """Send something, and note whether the answer is a result or a problem document."""
    start = time.perf_counter()
    try:
        status, body = send()
        value = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        tally.faults.append(f"{name}: {type(error).__name__}: {error}")
        return
    tally.slowest_s = max(tally.slowest_s, time.perf_counter() - start)
    if status == 200 and ("predictions" in value or "outputs" in value):
        tally.answers["200"] += 1
    elif status == value.get("status") and value.get("remedy") and status != 500:
        tally.answers[f"{status} {value['code']}"] += 1
    else:
        tally.faults.append(f"{name}: status {status}: {body[:200]!r}")


def form_of(parts: list[tuple[str, bytes]]) -> bytes:
    """Write a form with files."""
    head = 'Content-Disposition: form-data; name="image"; filename="{}"\r\n\r\n'
    body = b"".join(
        f"--{BOUNDARY}\r\n{head.format(name)}".encode() + content + b"\r\n"
        for name, content in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


def mutate(content: bytes, other: bytes, rng: random.Random) -> bytes:
    """Return a file that is damaged in one of four ways."""
    changed = bytearray(content or b"\0")
    kind = rng.randrange(4)
    if kind == 0:
        for _ in range(rng.randint(1, 20)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    elif kind == 1:
        del changed[rng.randrange(len(changed)) :]
    elif kind == 2:
        place = rng.randrange(len(changed))
        changed[place:place] = changed[: rng.randrange(2000)]
    else:
        place = rng.randrange(len(changed))
        changed[place:] = other[place:]
    return bytes(changed)


def png_of_zeros(width: int, height: int, colour: int = 6, channels: int = 4) -> bytes:
    """Write a PNG of one colour, which is tiny beside its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return len(content).to_bytes(4, "big") + checked + zlib.crc32(checked).to_bytes(4, "big")

    packer = zlib.compressobj(9)
    row = bytes(1 + width * channels)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, colour, 0, 0, 0])
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def large_images() -> dict[str, bytes]:
    """Make images of nearly as many pixels as are accepted, in the costliest formats."""
    images = {"RGBA.png": png_of_zeros(7000, 7100)}
    for mode, kind, options in (
        ("RGB", "JPEG", {"progressive": True, "quality": 30}),
        ("CMYK", "JPEG", {"quality": 30}),
        ("RGBA", "WEBP", {"lossless": True, "method": 0}),
        ("LA", "PNG", {}),
        ("I;16", "PNG", {}),
        ("RGB", "TIFF", {"compression": "tiff_deflate"}),
        ("P", "GIF", {}),
        ("F", "TIFF", {"compression": "tiff_deflate"}),
    ):
        content = io.BytesIO()
        Image.new(mode, (7000, 7100)).save(content, kind, **options)
        images[f"{mode}.{kind}"] = content.getvalue()
    return images


def bodies() -> Iterator[tuple[str, bytes, dict[str, str], str]]:
    """Make requests that are wrong as a whole: name, body, headers and path."""
    png, as_json = {"Content-Type": "image/png"}, {"Content-Type": "application/json"}
    yield "17 MiB", bytes(17 * MIB), png, "/predict"
    yield "no body", b"", png, "/predict"
    for kind in ("text/plain", "application/x-www-form-urlencoded", "", "multipart/mixed", "\x7f"):
        yield f"type {kind!r}", b"abc", {"Content-Type": kind}, "/predict"
    yield "no boundary", b"abc", {"Content-Type": "multipart/form-data"}, "/predict"
    yield "10,000 parts", form_of([("a.jpg", b"x")] * 10_000), FORM, "/predict"
    a_field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n'
    yield "10,000 fields", (a_field * 10_000).encode(), FORM, "/predict"
    yield "long header of a part", f"--{BOUNDARY}\r\n{'x' * MIB}".encode(), FORM, "/predict"
    yield "cut form", form_of([("a.jpg", b"x" * 999)])[:-20], FORM, "/predict"
    yield "packed", zlib.compress(bytes(MIB)), {**png, "Content-Encoding": "deflate"}, "/predict"
    yield "30000 x 30000", png_of_zeros(30_000, 30_000, 0, 1), png, "/predict"
    bomb = png_of_zeros(7000, 7100, 0, 1)
    yield "20 large images", form_of([(f"{n}.png", bomb) for n in range(20)]), FORM, "/predict"
    for text in (b"{", b"[]", b"null", b"[" * 100_000, b'{"images": [1]}', b'{"images": ["!"]}'):
        yield f"JSON {text[:20]!r}", text, as_json, "/predict"
    yield "JSON [],", b'{"images": [' + b"[]," * (4 * MIB) + b"1]}", as_json, "/predict"
    numbers = b",".join([b"1e3"] * (3 * MIB))
    tensor = b'{"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [%b]}'
    for data in (b"", b"1,2", b'"a"', b"[1],[2,3]", b"1e99", b"null", numbers):
        text = b'{"inputs": [%b]}' % (tensor % data)
        yield f"tensor {data[:20]!r}", text, as_json, "/v2/models/abused/infer"
    for size in ("-1", "99999999999", "x"):
        headers = {**as_json, "Inference-Header-Content-Length": size}
        yield f"JSON of {size} bytes", b"{}", headers, "/v2/models/abused/infer"
    wide = base64.b64encode(png_of_zeros(30_000, 30_000, 0, 1)).decode()
    yield "large image in JSON", json.dumps({"images": [wide]}).encode(), as_json, "/predict"


def drip(port: int, first: bytes, within_s: float) -> str:
    """Send bytes one by one; return a fault where the server endures that for too long."""
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S) as connection:
        try:
            connection.sendall(first)
            while time.perf_counter() - start < within_s + 20:
                connection.sendall(b"a")
                time.sleep(0.2)
        except OSError:
            pass
    lasted = time.perf_counter() - start
    return "" if lasted < within_s + 10 else f"a slow client was endured for {lasted:.0f} s"


def chunked_without_end(port: int) -> tuple[int, bytes]:
    """Send a body of no stated length until the server answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_WITHIN_S) as connection:
        head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            for _ in range(5 * 16 * 17):
                connection.sendall(chunk)
        except OSError:
            pass
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status, response.read()


def attack(server: Server, tally: Tally, pool: concurrent.futures.Executor) -> None:
    """Send what attacks a server."""
    for name, body, headers, path in bodies():
        judge(name, tally, lambda b=body, h=headers, p=path: ask(server.port, b, h, p))  # type: ignore[misc]
    judge("chunked without end", tally, lambda: chunked_without_end(server.port))
    images = {"Content-Type": "application/octet-stream"}
    for name, content in large_images().items():
        sent = [
            pool.submit(judge, name, tally, lambda c=content: ask(server.port, c, images))
            for _ in range(8)
        ]
        concurrent.futures.wait(sent)
        print(f"  8 times {name}: peak {megabytes(server.peak_bytes)}")
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"
    slow_body = head + b"Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n"
    with concurrent.futures.ThreadPoolExecutor(200) as many:
        waits = [(head, HEADER_TIMEOUT_S), (b"GE", HEADER_TIMEOUT_S), (slow_body, BODY_TIMEOUT_S)]
        drips = [many.submit(drip, server.port, *waits[n % 3]) for n in range(200)]
        tally.faults += [fault for one in drips if (fault := one.result())]
    print(f"  200 slow clients: peak {megabytes(server.peak_bytes)}")


def megabytes(count: float) -> str:
    """Write a number of bytes."""
    return f"{count / 1e6:,.0f} MB"


def main() -> int:
    """Abuse a server, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("classifier", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    files = sorted(
        file for folder in arguments.folders for file in folder.rglob("*") if file.is_file()
    )
    contents = [file.read_bytes() for file in files if file.stat().st_size < 16 * MIB]
    rng = random.Random(arguments.seed)
    mutants = (
        mutate(rng.choice(contents), rng.choice(contents), rng) for _ in range(arguments.mutants)
    )
    server, tally = start_server(f"abused={arguments.classifier}"), Tally()
    ordinary = io.BytesIO()
    Image.linear_gradient("L").save(ordinary, "PNG")
    headers = {"Content-Type": "application/octet-stream"}
    before = ask(server.port, ordinary.getvalue(), headers)
    print(f"{len(contents)} files, {arguments.mutants} mutants; {megabytes(server.peak_bytes)}")
    with concurrent.futures.ThreadPoolExecutor(arguments.clients) as pool:
        for number, content in enumerate([*contents, *mutants]):
            if number % 2:
                sent = (form_of([("image", content)]), FORM)
            else:
                sent = (content or b"\0", headers)
            pool.submit(judge, f"upload {number}", tally, lambda s=sent: ask(server.port, *s))  # type: ignore[misc]
    print(f"  uploads: peak {megabytes(server.peak_bytes)}")
    with concurrent.futures.ThreadPoolExecutor(arguments.clients) as pool:
        attack(server, tally, pool)
    if ask(server.port, ordinary.getvalue(), headers) != before:
        tally.faults.append("an ordinary image is answered otherwise than before")
    peak = server.peak_bytes
    if peak > server.cap_bytes:
        tally.faults.append(f"memory of {peak:,} bytes, more than {server.cap_bytes:,.0f}")
    server.process.send_signal(signal.SIGTERM)
    if server.process.wait(ANSWER_WITHIN_S) != 128 + signal.SIGTERM:
        tally.faults.append(f"the process ended with {server.process.returncode}")
    for answer, count in sorted(tally.answers.items()):
        print(f"{count:6} {answer}")
    memory = f"peak {megabytes(peak)} of {megabytes(server.cap_bytes)}"
    print(f"slowest answer {tally.slowest_s:.1f} s; {memory}")
    print("\n".join(tally.faults) or "no fault")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main())
