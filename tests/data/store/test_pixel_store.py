from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from imgclf.data.pixels.decoder import DecodingLimits, decode
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.pixels.signatures import SIGNATURE_BYTES
from imgclf.data.reading.layout import read_folder
from imgclf.data.store import cache
from imgclf.data.store import pixel_store as store_module
from imgclf.data.store.pixel_store import PixelStore, StoreMode, open_store
from imgclf.errors import ArgumentError, DataError

POLICY = InputPolicy((12, 16))
MakeFolder = Callable[..., Path]
MODES: tuple[StoreMode, ...] = ("disk", "memory", "off")


def open_folder(root: Path, mode: StoreMode = "disk", policy: InputPolicy = POLICY) -> PixelStore:
    """Read and open a folder."""
    return open_store(read_folder(root), policy, mode=mode)


def entries() -> list[str]:
    """Return the names of all that lies in the cache folder."""
    folder = cache.cache_folder()
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_gives_the_decoders_pixels(make_folder: MakeFolder, mode: StoreMode) -> None:
    """Wherever pixels are kept, they are what the one decoder gives."""
    root = make_folder(a=3, b=4)
    store = open_folder(root, mode)
    assert store.mode == mode
    pixels = store.pixels.rows(np.array([6, 0, 3]))
    assert pixels.shape == (3, 12, 16, 3)
    assert pixels.dtype == np.uint8
    for got, row in zip(pixels, (6, 0, 3), strict=True):
        path = store.folder.absolute(store.folder.files[row])
        np.testing.assert_array_equal(got, decode(path, POLICY))


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_knows_the_bad_files(make_folder: MakeFolder, mode: StoreMode) -> None:
    """Wherever pixels are kept, an unreadable file has its reason and the others their hashes."""
    root = make_folder(a=2, b=2)
    (root / "a" / "0001.png").write_bytes(b"no image")
    store = open_folder(root, mode)
    assert [result.reason for result in store.scanned] == ["", "not_an_image", "", ""]
    assert store.signatures.shape == (4, SIGNATURE_BYTES)
    assert [bool(row.any()) for row in store.signatures] == [True, False, True, True]


def test_auto_keeps_pixels_on_disk(make_folder: MakeFolder) -> None:
    """Where there is room, the default keeps pixels for the next run."""
    assert open_folder(make_folder(a=2, b=2), "auto").mode == "disk"
    assert len(entries()) == 1


def test_an_unknown_mode_is_refused(make_folder: MakeFolder) -> None:
    """The error lists what is accepted."""
    with pytest.raises(ArgumentError, match="'auto', 'memory', 'disk' or 'off'"):
        open_folder(make_folder(a=1, b=1), "ram")  # type: ignore[arg-type]


# --- Reuse -----------------------------------------------------------------------------------


def test_pixels_are_reused(make_folder: MakeFolder) -> None:
    """A second opening decodes nothing and gives the same pixels, hashes, facts and signatures."""
    root = make_folder(a=3, b=3)
    first, second = open_folder(root), open_folder(root)
    assert (first.reused, second.reused) == (False, True)
    assert first.scanned == second.scanned
    np.testing.assert_array_equal(first.signatures, second.signatures)
    rows = np.arange(6)
    np.testing.assert_array_equal(first.pixels.rows(rows), second.pixels.rows(rows))


def test_the_order_of_axes_plays_no_part(make_folder: MakeFolder) -> None:
    """Batches for channels_first come from the same pixels."""
    root = make_folder(a=1, b=1)
    open_folder(root)
    assert open_folder(root, policy=InputPolicy((12, 16), data_format="channels_first")).reused


def test_changes_are_noticed(make_folder: MakeFolder, make_image: Callable[..., Path]) -> None:
    """A new, a changed or a renamed file, another size or other limits: all is decoded again."""
    root = make_folder(a=2, b=2)
    open_folder(root)
    make_image(root / "a" / "new.png")
    assert not open_folder(root).reused
    times = (root / "b" / "0000.png").stat()
    (root / "b" / "0000.png").write_bytes((root / "b" / "0001.png").read_bytes())
    os.utime(root / "b" / "0000.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not open_folder(root).reused, "the same time of change does not hide new content"
    (root / "a" / "new.png").rename(root / "a" / "renamed.png")
    assert not open_folder(root).reused
    assert not open_folder(root, policy=InputPolicy((12, 17))).reused
    assert not open_folder(root, policy=InputPolicy((12, 16), resize="pad")).reused
    assert not open_store(read_folder(root), POLICY, limits=DecodingLimits(max_pixels=10)).reused
    assert open_folder(root).reused


NO_RESULTS = [
    "[" * 100_000,
    '["0", "no_such_reason", "", null]',
    '["0", "", "", null]',
    '["0", "empty_file", "", ["PNG", "RGB", 8, 8, 1, false]]',
    '["0", "", "", ["PNG", "RGB", "8", 8, 1, false]]',
    '["0", "", "", ["PNG"]]',
    '[1, "", "", ["PNG", "RGB", 8, 8, 1, false]]',
]
"""Lines that no scan writes; the cache folder may be one that others can write into."""


def write_first_line(entry: Path, line: str) -> None:
    """Put a line in the place of an index's first."""
    lines = (entry / "index.jsonl").read_text().splitlines()
    (entry / "index.jsonl").write_text("\n".join([line, *lines[1:], ""]))


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: (entry / "index.jsonl").write_text("{"),
        lambda entry: (entry / "index.jsonl").write_text("[]"),
        lambda entry: (entry / "index.jsonl").unlink(),
        lambda entry: (entry / "pixels.u8").unlink(),
        lambda entry: (entry / "signatures.u8").write_bytes(b"short"),
        lambda entry: os.truncate(entry / "pixels.u8", 5),
        *(partial(write_first_line, line=line) for line in NO_RESULTS),
    ],
)
def test_a_damaged_entry_is_replaced(
    make_folder: MakeFolder, damage: Callable[[Path], object]
) -> None:
    """Whatever is wrong with a kept entry, it is made anew, once."""
    root = make_folder(a=2, b=2)
    expected = open_folder(root).pixels.rows(np.arange(4))
    damage(cache.list_cache()[0].path)
    again = open_folder(root)
    assert not again.reused
    np.testing.assert_array_equal(again.pixels.rows(np.arange(4)), expected)
    assert open_folder(root).reused


def test_cleared_pixels_stay_usable_and_come_back(make_folder: MakeFolder) -> None:
    """Clearing the cache disturbs no open store, and the next one is filled again."""
    root = make_folder(a=2, b=2)
    store = open_folder(root)
    cache.clear_cache()
    assert store.pixels.rows(np.arange(4)).any()
    assert not open_folder(root).reused


# --- Atomic writing --------------------------------------------------------------------------

OPEN = """
import sys
from imgclf.data.reading.layout import read_folder
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.store.pixel_store import open_store
store = open_store(read_folder(sys.argv[1]), InputPolicy((24, 32)), mode="disk")
print(store.pixels.rows(__import__("numpy").arange(len(store.scanned))).sum())
"""


def test_two_processes_fill_one_store(make_folder: MakeFolder) -> None:
    """Two processes that scan the same folder at once both work and leave one entry."""
    root = make_folder(a=40, b=40)
    command = [sys.executable, "-c", OPEN, str(root)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], results
    assert len({out for out, _ in results}) == 1
    assert len(entries()) == 1


def test_an_interrupted_scan_is_never_taken_for_whole(make_folder: MakeFolder) -> None:
    """After Ctrl-C there is no half-written entry that a later run could take for whole."""
    root = make_folder(a=40, b=40)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_store(read_folder(root), POLICY, mode="disk", progress=interrupt)
    assert all(name.endswith(".partial-scan") for name in entries())


# --- Where there is no room ------------------------------------------------------------------


def _with_small_files(root: Path, mode: str) -> subprocess.CompletedProcess[str]:
    """Open a store in a process that may write no file larger than 16 KiB."""
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))\n" + OPEN
    ).replace('mode="disk"', f'mode="{mode}"')
    command = [sys.executable, "-c", code, str(root)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit for file sizes")
def test_a_full_disk_is_one_sentence(make_folder: MakeFolder) -> None:
    """Where pixels do not fit, the error says so and names the ways out."""
    done = _with_small_files(make_folder(a=10, b=10), "disk")
    assert "cannot be kept" in done.stderr
    assert "set IMGCLF_CACHE_DIR, or use the store 'memory' or 'off'" in done.stderr
    assert entries() == []


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit for file sizes")
def test_auto_goes_on_where_the_disk_is_full(make_folder: MakeFolder) -> None:
    """A disk that turns out to be full costs speed, not the run."""
    root = make_folder(a=10, b=10)
    store = open_folder(root, "memory", InputPolicy((24, 32)))
    expected = store.pixels.rows(np.arange(20)).sum()
    done = _with_small_files(root, "auto")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == expected


def test_auto_streams_what_fits_nowhere(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders beyond disk and memory are decoded on the fly."""
    monkeypatch.setattr(store_module, "MEMORY_SHARE", 0.0)
    assert open_folder(make_folder(a=2, b=2), "auto").mode == "off"
    assert entries() == []


def test_auto_takes_memory_where_the_disk_has_no_room(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room on the disk, the pixels of a small folder stay in memory."""
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", 10)
    store = open_folder(make_folder(a=2, b=2), "auto")
    assert store.mode == ("memory" if Path("/proc/meminfo").exists() else "off")


def test_new_pixels_push_out_old_ones(
    make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache keeps to its bound; the folder that was not used for longest goes."""
    first, second = make_folder("one", a=3, b=3), make_folder("two", a=3, b=3)
    open_folder(first)
    size = cache.list_cache()[0].size_bytes
    monkeypatch.setattr(cache, "MAX_CACHE_BYTES", size + 10)
    open_folder(second)
    assert len(entries()) == 1
    assert open_folder(second).reused
    assert not open_folder(first).reused


def test_memory_leaves_nothing_behind(make_folder: MakeFolder) -> None:
    """The store "memory" writes nothing to the cache folder."""
    open_folder(make_folder(a=2, b=2), "memory")
    assert entries() == []


def test_a_file_that_vanishes_while_streaming_is_named(make_folder: MakeFolder) -> None:
    """Without a store, a file that is gone in mid-epoch is an error with its name."""
    root = make_folder(a=2, b=2)
    store = open_folder(root, "off")
    (root / "a" / "0001.png").unlink()
    with pytest.raises(DataError, match=r"0001\.png.*leave the folder as it is"):
        store.pixels.rows(np.array([1]))


def test_the_index_is_small(make_folder: MakeFolder) -> None:
    """The index holds a short list for each file, not a record with names."""
    open_folder(make_folder(a=30, b=30))
    index = cache.list_cache()[0].path / "index.jsonl"
    assert [len(json.loads(line)) for line in index.read_text().splitlines()] == [4] * 60
    assert index.stat().st_size < 60 * 150


def test_nothing_is_logged_when_all_is_well(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """A good folder gives no warnings."""
    with caplog.at_level(logging.INFO, "imgclf"):
        open_folder(make_folder(a=2, b=2), "auto")
    assert caplog.records == []
