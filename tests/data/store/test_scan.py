from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from imgclf.data.pixels.decoder import decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.signatures import SIGNATURE_BYTES
from imgclf.data.store.scan import ScanLimits, ScannedFile, scan_files
from imgclf.errors import DataError

POLICY = InputPolicy((16, 12))
MakeImage = Callable[..., Path]

FAULTY_WORKER = '''
"""The real worker with a decoder that has the worst faults that a decoder can have."""
import os, signal
from imgclf.data.pixels.decoder import decode_with_facts
from imgclf.data.store.worker import main

def decoder(content, policy, limits):
    if content == b"die":
        os.kill(os.getpid(), signal.SIGKILL)
    if content == b"crash":
        os.abort()
    if content == b"hang":
        while True:
            pass
    if content == b"eat":
        hoard = []
        while True:
            hoard.append(bytearray(64 * 1024 * 1024))
    if content == b"print":
        os.write(1, b"noise from a library\\n")
        return decoder(open(__file__.replace("faulty_worker.py", "good.png"), "rb").read(),
                       policy, limits)
    return decode_with_facts(content, policy, limits)

if __name__ == "__main__":
    main(decoder)
'''


@pytest.fixture
def faulty_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_image: MakeImage
) -> Iterator[str]:
    """Write a worker module that obeys what stands in a file, and make it importable."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "faulty_worker.py").write_text(FAULTY_WORKER)
    make_image(tmp_path / "code" / "good.png")
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return "faulty_worker"


@pytest.fixture
def photos(tmp_path: Path, make_image: MakeImage) -> list[Path]:
    """Write eighty pictures."""
    return [make_image(tmp_path / "photos" / f"{number:03}.png") for number in range(80)]


def reasons(scan: tuple[ScannedFile, ...]) -> dict[int, str]:
    """Return the rows that were not accepted, and why."""
    return {row: result.reason for row, result in enumerate(scan) if result.reason}


def scan_paths(paths: list[Path], **options: object) -> tuple[ScannedFile, ...]:
    """Scan with two workers."""
    return scan_files([str(path) for path in paths], POLICY, num_workers=2, **options)  # type: ignore[arg-type]


# --- What a scan finds -----------------------------------------------------------------------


def test_every_file_gets_its_result(photos: list[Path]) -> None:
    """Results come in the order of the paths, with hash and facts of each file."""
    scan = scan_paths(photos)
    assert len(scan) == 80
    for path, result in zip(photos, scan, strict=True):
        assert result.accepted
        assert result.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert result.facts is not None
        assert (result.facts.format, result.facts.width, result.facts.height) == ("PNG", 24, 20)


def test_pixels_lie_in_their_rows(tmp_path: Path, photos: list[Path]) -> None:
    """The pixel file holds what the one decoder makes of each file, at the file's row."""
    target = tmp_path / "pixels"
    target.write_bytes(bytes(80 * 16 * 12 * 3))
    scan_paths(photos, pixel_file=str(target))
    stored = np.fromfile(target, np.uint8).reshape(80, 16, 12, 3)
    for row in (0, 31, 32, 79):
        np.testing.assert_array_equal(stored[row], decode(photos[row], POLICY))


def test_every_kind_of_image_is_scanned(tmp_path: Path) -> None:
    """Transparent, grey, 16-bit and palette images give the same pixels as from the decoder."""
    policy = InputPolicy((16, 12), background=(10, 200, 30))
    gradient = np.linspace(0, 255, 400).reshape(20, 20)
    alpha = Image.fromarray(np.stack([gradient] * 4, axis=2).astype(np.uint8))
    images = {
        "alpha.png": alpha,
        "palette.png": alpha.convert("RGB").quantize(8),
        "deep.png": Image.fromarray((gradient * 257).astype(np.uint16)),
        "grey.jpg": Image.fromarray(gradient.astype(np.uint8)),
    }
    for name, image in images.items():
        image.save(tmp_path / name)
    target = tmp_path / "pixels"
    target.write_bytes(bytes(4 * 16 * 12 * 3))
    scan = scan_files([str(tmp_path / name) for name in images], policy, pixel_file=str(target))
    assert reasons(scan) == {}
    stored = np.fromfile(target, np.uint8).reshape(4, 16, 12, 3)
    for name, pixels in zip(images, stored, strict=True):
        np.testing.assert_array_equal(pixels, decode(tmp_path / name, policy))


def test_signatures_tell_pictures_apart(tmp_path: Path, photos: list[Path]) -> None:
    """The same picture as JPEG has almost the same signature, other pictures have others."""
    Image.open(photos[3]).save(tmp_path / "copy.jpg", quality=90)
    target = tmp_path / "signatures"
    target.write_bytes(bytes(81 * SIGNATURE_BYTES))
    scan_paths([*photos, tmp_path / "copy.jpg"], signature_file=str(target))
    signatures = np.fromfile(target, np.uint8).reshape(81, SIGNATURE_BYTES).astype(int)
    distances = np.abs(signatures[:-1] - signatures[-1]).mean(axis=1)
    assert distances.argmin() == 3
    assert distances[3] < 8
    assert np.delete(distances, 3).min() > 16


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(32, 48), (16, 150), (720, 640)])
def test_signatures_made_together_are_those_made_alone(
    tmp_path: Path, photos: list[Path], size: tuple[int, int], channels: Literal[1, 3]
) -> None:
    """Whether pixels are stored, and many images signed at once, changes no byte of a signature."""
    policy = InputPolicy(size, channels=channels)
    paths = [*map(str, photos[:20]), str(tmp_path / "gone.png")]
    found = []
    for stored in (False, True):
        pixels, signatures = tmp_path / "pixels", tmp_path / "signatures"
        pixels.write_bytes(bytes(len(paths) * size[0] * size[1] * channels))
        signatures.write_bytes(bytes(len(paths) * SIGNATURE_BYTES))
        files = {"pixel_file": str(pixels)} if stored else {}
        scan_files(paths, policy, signature_file=str(signatures), **files)
        found.append(signatures.read_bytes())
    assert found[0] == found[1]
    assert len(set(found[0])) > 16


def test_what_is_refused_is_not_signed(tmp_path: Path, photos: list[Path]) -> None:
    """Where no pixels are stored none are read: a folder of empty files costs no signatures."""
    empty = tmp_path / "empty.jpg"
    empty.touch()
    pixel_file, signature_file = tmp_path / "pixels.u8", tmp_path / "signatures.u8"
    pixel_file.write_bytes(bytes([7]) * (10 * 32 * 32 * 3))
    signature_file.write_bytes(bytes(10 * SIGNATURE_BYTES))
    results = scan_files(
        [str(empty)] * 10,
        InputPolicy((32, 32)),
        pixel_file=str(pixel_file),
        signature_file=str(signature_file),
        num_workers=1,
    )
    assert {result.reason for result in results} == {"empty_file"}
    assert signature_file.read_bytes() == bytes(10 * SIGNATURE_BYTES)


def test_bad_files_get_reason_codes(tmp_path: Path, photos: list[Path]) -> None:
    """Text, cut, empty and missing files are named with a reason; the others are accepted."""
    bad = {"text.jpg": b"hello", "empty.jpg": b"", "cut.png": photos[0].read_bytes()[:200]}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
    target = tmp_path / "signatures"
    target.write_bytes(bytes(9 * SIGNATURE_BYTES))
    paths = [*photos[:5], *(tmp_path / name for name in bad), tmp_path / "gone.jpg"]
    scan = scan_paths(paths, signature_file=str(target))
    assert reasons(scan) == {5: "not_an_image", 6: "empty_file", 7: "truncated", 8: "not_found"}
    for row, name in enumerate([*bad, "gone.jpg"], start=5):
        assert name in scan[row].message
    signatures = np.fromfile(target, np.uint8).reshape(9, SIGNATURE_BYTES)
    assert [bool(row.any()) for row in signatures] == [True] * 5 + [False] * 4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block_the_scan(tmp_path: Path, photos: list[Path]) -> None:
    """A FIFO named .jpg is refused at once."""
    os.mkfifo(tmp_path / "pipe.jpg")
    assert reasons(scan_paths([tmp_path / "pipe.jpg", *photos[:3]])) == {0: "not_a_file"}


@pytest.mark.skipif(sys.platform != "linux", reason="only here may names be any bytes")
def test_any_file_name_is_scanned(tmp_path: Path, make_image: MakeImage) -> None:
    """Names with line breaks, quotes or bytes that are no text reach the worker unharmed."""
    names = ["new\nline.png", 'quo"te.png', os.fsdecode(b"caf\xe9.png"), "日本.png"]
    paths = [make_image(tmp_path / "plain.png").rename(tmp_path / name) for name in names]
    assert reasons(scan_paths(paths)) == {}


def test_no_files_are_no_problem() -> None:
    """An empty list gives an empty result."""
    assert list(scan_paths([])) == []


def test_progress_reaches_the_end(photos: list[Path]) -> None:
    """Progress never falls, never exceeds the total, and ends with all files done."""
    seen: list[tuple[int, int]] = []
    scan_paths(photos, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (80, 80)


# --- Faults ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (b"die", "worker_died"),
        (b"crash", "worker_died"),
        (b"hang", "time_out"),
        (b"eat", "out_of_memory"),
    ],
)
def test_a_fault_loses_exactly_its_own_file(
    photos: list[Path], faulty_worker: str, fault: bytes, reason: str
) -> None:
    """Killed, crashed, looping for ever, eating all memory: one file is named, 79 are accepted."""
    photos[40].write_bytes(fault)
    time_s = 3.0 if fault == b"hang" else 60.0
    limits = ScanLimits(time_s=time_s, memory_bytes=1024**3)
    scan = scan_paths(photos, worker_module=faulty_worker, scan_limits=limits)
    assert reasons(scan) == {40: reason}
    assert "040.png" in scan[40].message


def test_many_faults_lose_only_their_own_files(photos: list[Path], faulty_worker: str) -> None:
    """Faults side by side, first, last and in a row, are told apart."""
    faults = {0: b"die", 31: b"hang", 32: b"crash", 33: b"die", 79: b"crash"}
    for row, fault in faults.items():
        photos[row].write_bytes(fault)
    scan = scan_paths(photos, worker_module=faulty_worker, scan_limits=ScanLimits(time_s=3.0))
    assert set(reasons(scan)) == set(faults)
    assert reasons(scan)[31] == "time_out"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers through /proc")
def test_a_worker_that_someone_else_kills_loses_nothing(
    tmp_path: Path, make_image: MakeImage
) -> None:
    """The system kills processes when memory runs out; the file at hand gets a second chance."""
    paths = [make_image(tmp_path / f"{number}.png", size=(400, 400)) for number in range(64)]
    killed: list[int] = []
    before = _children()

    def kill_one(done: int, _total: int) -> None:
        if done and not killed:
            worker = min(_children() - before)
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    scan = scan_paths(paths, progress=kill_one)
    assert killed
    assert reasons(scan) == {}


def _children() -> set[int]:
    """Return this process' children, of which some, as the browser, may be other tests'."""
    threads = Path("/proc/self/task")
    if not threads.exists():
        return set()
    children = [(thread / "children").read_text().split() for thread in threads.iterdir()]
    return {int(child) for those in children for child in those}


def test_what_a_library_prints_does_not_disturb(photos: list[Path], faulty_worker: str) -> None:
    """Text that C code writes to standard output is kept apart from the answers."""
    photos[7].write_bytes(b"print")
    assert reasons(scan_paths(photos, worker_module=faulty_worker)) == {}


def test_workers_that_cannot_start_are_one_error(photos: list[Path]) -> None:
    """A worker that ends before its first file stops the scan with one sentence."""
    with pytest.raises(DataError, match="decoding processes cannot work: they end with status"):
        scan_paths(photos, worker_module="imgclf.no_such_worker")


def test_a_full_disk_stops_the_scan(photos: list[Path]) -> None:
    """When pixels cannot be written, the scan ends and says to free space."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(DataError, match=r"cannot be stored \(No space left.*free some disk space"):
        scan_paths(photos, pixel_file="/dev/full")


def test_an_interrupted_scan_leaves_no_process(photos: list[Path], faulty_worker: str) -> None:
    """Ctrl-C ends all workers at once, also one that hangs."""
    photos[0].write_bytes(b"hang")

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    threads, children = threading.active_count(), _children()
    with pytest.raises(KeyboardInterrupt):
        scan_paths(photos, worker_module=faulty_worker, progress=interrupt)
    assert threading.active_count() == threads
    assert _children() == children


# --- Where it is started from ----------------------------------------------------------------


def test_a_script_without_main_guard_can_scan(tmp_path: Path, make_image: MakeImage) -> None:
    """A plain script scans; the workers do not run the script again."""
    make_image(tmp_path / "a.png")
    script = tmp_path / "script.py"
    script.write_text(
        "print('started')\n"
        "from imgclf.data.pixels.input_policy import InputPolicy\n"
        "from imgclf.data.store.scan import scan_files\n"
        f"print(scan_files([{str(tmp_path / 'a.png')!r}], InputPolicy((8, 8)))[0].accepted)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "started\nTrue\n"


def test_modules_in_the_current_folder_do_not_disturb(
    tmp_path: Path, make_image: MakeImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own random.py or json.py is not taken for Python's by the workers."""
    path = make_image(tmp_path / "a.png")
    (tmp_path / "random.py").write_text("raise SystemExit(9)")
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    assert reasons(scan_paths([path])) == {}


def test_the_time_limit_does_not_count_the_start(photos: list[Path], faulty_worker: str) -> None:
    """The limit is for a file: importing Python's libraries on a busy machine may take longer."""
    module = photos[0].parents[1] / "code" / f"{faulty_worker}.py"
    module.write_text("import time\ntime.sleep(2.5)\n" + module.read_text())
    limits = ScanLimits(time_s=1.5)
    assert reasons(scan_paths(photos, worker_module=faulty_worker, scan_limits=limits)) == {}


def test_a_worker_starts_without_heavy_libraries(tmp_path: Path, make_image: MakeImage) -> None:
    """Neither NumPy, OpenCV nor TensorFlow is imported for a common photo: workers start fast."""
    photo = make_image(tmp_path / "photo.jpg")
    script = (
        "import sys\n"
        "from imgclf.data.store import worker\n"
        "from imgclf.data.pixels.decoder import decode_with_facts\n"
        "from imgclf.data.pixels.input_policy import InputPolicy\n"
        f"image = decode_with_facts({str(photo)!r}, InputPolicy((8, 8)))\n"
        "assert len(worker.sign(image.image)) == 768\n"
        "assert not {'numpy', 'cv2', 'tensorflow'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
