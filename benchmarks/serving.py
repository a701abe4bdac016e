"""How many requests a server answers, how soon, in how much memory: `imgclf serve` and another.

Usage: python benchmarks/serving.py CLASSIFIER PHOTOS [--rounds 3] [--seconds 5] [--workers 1]

CLASSIFIER is a `.imgclf` file or a run folder, PHOTOS a folder. The other server is what a user
would write: FastAPI (`pip install fastapi uvicorn python-multipart`), Pillow, and `model.predict`
of the `.keras` export, in uvicorn. Both are up; clients in a process of their own ask one, then the
other, 1, 8 and 32 at a time, on loopback, with photos of 450 x 330 pixels and of 12 megapixels. The
clients share the processors with the server, so that many clients cost both alike. Printed are
medians over the rounds of requests a second and of the 50th and 99th percentile of the durations,
the memory after all of it, and the time from the command to the first answer.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import imgclf
from imgclf.data.reading.layout import find_images

CLIENTS = (1, 8, 32)
SIZES = {"450x330": (450, 330), "12 MP": (4000, 3000)}
COMMAND = "from imgclf.cli.main import run; run()"
OTHER = """
import sys
import keras
import numpy as np
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

model = keras.models.load_model(sys.argv[1])
names = sys.argv[3].split(",")
height, width = model.input_shape[1:3]
app = FastAPI()


@app.post("/predict")
def predict(image: UploadFile):
    picture = Image.open(image.file).convert("RGB").resize((width, height))
    row = model.predict(np.asarray(picture)[None], verbose=0)[0]
    return {"label": names[int(row.argmax())], "probability": float(row.max())}


uvicorn.run(app, port=int(sys.argv[2]), access_log=False, log_level="warning")
"""
BOUNDARY = "----benchmark"


def make_photos(folder: Path, size: tuple[int, int], count: int = 16) -> list[bytes]:
    """Return photos of one size as JPEG, with the noise of a camera."""
    rng = np.random.default_rng(0)
    contents = []
    for file in find_images(folder)[:count]:
        image = ImageOps.fit(Image.open(file).convert("RGB"), size, Image.Resampling.BICUBIC)
        noisy = np.asarray(image, np.int16) + rng.integers(-4, 5, (size[1], size[0], 1), np.int16)
        content = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=88)
        contents.append(content.getvalue())
    return contents


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def started(command: list[str], port: int, photo: bytes) -> Iterator[tuple[int, float]]:
    """Start a server; give its process and the seconds to its first answer."""
    begin = time.perf_counter()
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)  # noqa: S603 - ours
    try:
        while True:
            try:
                ask(http.client.HTTPConnection("127.0.0.1", port, timeout=120), photo)
                break
            except ConnectionRefusedError:
                if process.poll() is not None:
                    raise SystemExit(f"{command[:4]} does not start") from None
                time.sleep(0.02)
        yield process.pid, time.perf_counter() - begin
    finally:
        process.terminate()
        process.wait(60)


def ask(connection: http.client.HTTPConnection, photo: bytes) -> None:
    """Send a photo as a browser would; the answer must be one."""
    head = 'Content-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = f"--{BOUNDARY}\r\n{head}".encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    connection.request("POST", "/predict", body, headers)
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        raise SystemExit(f"status {response.status}: {content[:300]!r}")


def load(port: int, folder: Path, clients: int, seconds: float) -> list[float]:
    """Ask from several threads for some seconds; return the duration of each request."""
    photos = [file.read_bytes() for file in sorted(folder.iterdir())]
    durations: list[float] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while time.perf_counter() < end:
            begin = time.perf_counter()
            ask(connection, photos[number % len(photos)])
            durations.append(time.perf_counter() - begin)
            number += clients

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return durations


def measure(port: int, folder: Path, clients: int, seconds: float) -> tuple[float, float, float]:
    """Load a server from another process; return requests a second, and p50 and p99 in ms."""
    arguments = [str(port), str(folder), str(clients), str(seconds)]
    begin = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - this very file
        [sys.executable, __file__, "--load", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    result = json.loads(done.stdout)
    durations = sorted(result["durations"])
    assert time.perf_counter() - begin >= seconds
    p99 = durations[min(len(durations) - 1, int(len(durations) * 0.99))]
    return len(durations) / result["seconds"], 1e3 * statistics.median(durations), 1e3 * p99


def memory_mb(pid: int) -> float:
    """Return the memory of a process and its children in MB, shared pages by their share."""
    listed = subprocess.run(  # noqa: S603 - a fixed command
        ["/bin/ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    total = 0
    for number in (str(pid), *listed.stdout.split()):
        rollup = Path(f"/proc/{number}/smaps_rollup").read_text()
        total += int(re.findall(r"^Pss:\s+(\d+) kB", rollup, re.M)[0])
    return total * 1024 / 1e6


def main() -> None:
    """Run both servers, and print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("classifier", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--workers", type=int, default=1, help="of imgclf serve")
    arguments = parser.parse_args()
    path = arguments.classifier
    classifier = imgclf.load(path / "model.imgclf" if path.is_dir() else path)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        for size, sides in SIZES.items():
            (folder / size).mkdir()
            for number, content in enumerate(make_photos(arguments.photos, sides)):
                (folder / size / f"{number:02}.jpg").write_bytes(content)
        photo = (folder / "450x330" / "00.jpg").read_bytes()
        imgclf.export(classifier, folder / "model.keras", format="keras")
        (folder / "other.py").write_text(OTHER)
        ours, theirs = free_port(), free_port()
        serve = ["serve", str(path), "--port", str(ours), "--workers", str(arguments.workers)]
        other = [str(folder / "other.py"), str(folder / "model.keras"), str(theirs)]
        names = ",".join(classifier.class_names)
        commands = {
            "imgclf": ([sys.executable, "-c", COMMAND, *serve], ours),
            "fastapi": ([sys.executable, *other, names], theirs),
        }
        started_servers = {
            server: (*stack.enter_context(started(command, port, photo)), port)
            for server, (command, port) in commands.items()
        }
        for server, (_, start_s, _) in started_servers.items():
            print(f"{server}: first answer {start_s:.2f} s after the command")
        for size in SIZES:
            for clients in CLIENTS:
                compare(started_servers, folder / size, clients, arguments)
        sizes = {server: memory_mb(pid) for server, (pid, _, _) in started_servers.items()}
        print(f"memory: {sizes}, ratio {sizes['fastapi'] / sizes['imgclf']:.1f}")


def compare(
    servers: dict[str, tuple[int, float, int]],
    folder: Path,
    clients: int,
    arguments: argparse.Namespace,
) -> None:
    """Load both servers alternately, and print the medians."""
    measured: dict[str, list[tuple[float, float, float]]] = {server: [] for server in servers}
    for _ in range(arguments.rounds):
        for server, (_, _, port) in servers.items():
            measured[server].append(measure(port, folder, clients, arguments.seconds))
    rates = {}
    for server, rounds in measured.items():
        rate, p50, p99 = (statistics.median(column) for column in zip(*rounds, strict=True))
        rates[server] = rate
        print(
            f"{folder.name:8} {clients:2} clients {server:8} {rate:7.1f} requests/s "
            f"p50 {p50:6.0f} ms  p99 {p99:6.0f} ms"
        )
    print(f"{folder.name:8} {clients:2} clients: {rates['imgclf'] / rates['fastapi']:.1f} times")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        begin = time.perf_counter()
        took = load(int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
        print(json.dumps({"durations": took, "seconds": time.perf_counter() - begin}))
    else:
        main()
