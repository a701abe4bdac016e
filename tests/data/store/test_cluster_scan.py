"""Scans on clusters; the real ones are in a network that has nothing but loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import COMMAND, write_images
from imgclf.data.pixels.decoder import DecodingLimits
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store.node_scan import BatchOrder, digest_of_files, scan_batch
from imgclf.data.store.pixel_store import PixelStore, open_store
from imgclf.data.store.scan import ScanLimits, scan_files
from ray_nodes import RayNodes, ending
from tar_shards import png, write_tar

POLICY = InputPolicy((24, 20))
NUM_PHOTOS = 1500
"""Six batches."""

SCAN = """
import logging, sys, time
from imgclf.clusters.connection import connect
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.data.reading.layout import read_folder
from imgclf.data.store import pixel_store
from imgclf.errors import ImgclfError

logging.basicConfig(format="%(message)s")
scan_files = pixel_store.scan_files

def scan_the_rest(*arguments, known, **keywords):
    print("rest", sum(1 for _ in known.unscanned()), flush=True)
    return scan_files(*arguments, known=known, **keywords)

pixel_store.scan_files = scan_the_rest
folder = read_folder(sys.argv[2])
try:
    with connect(sys.argv[1]) as cluster:
        while len(cluster.nodes) < int(sys.argv[3]):
            time.sleep(0.1)
        pixel_store.open_store(
            folder, InputPolicy((24, 20)), mode="disk", cluster=cluster,
            progress=lambda done, _: print("done", done, flush=True),
        )
except ImgclfError as error:
    sys.exit(f"{type(error).__name__} {error}")
"""
"""Scans ADDRESS DIR on COUNT nodes, and tells what they have left to this machine."""


class Scans:
    """Starts scans in the network of a cluster."""

    def __init__(self, nodes: RayNodes, photos: Path) -> None:
        self.nodes, self.photos = nodes, photos

    def start(self, num_nodes: int = 1) -> subprocess.Popen[str]:
        """Start a scan once there are so many nodes; what it prints tells how far it is."""
        return subprocess.Popen(
            [*self.nodes.network.enter, sys.executable, "-c", SCAN, self.nodes.address,
             str(self.photos), str(num_nodes)],
            env=self.nodes.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def kill_running(self, scan: subprocess.Popen[str]) -> None:
        """Kill the first worker that decodes."""
        while not (running := self.nodes.processes("ray::scan_batch")):
            assert scan.poll() is None, scan.communicate()
            time.sleep(0.05)
        self.nodes.kill(running[0])


def wait_for(scan: subprocess.Popen[str], count: int) -> None:
    """Wait until so many files have been scanned."""
    assert scan.stdout is not None
    for line in scan.stdout:
        word, number = line.split()
        if word == "done" and int(number) >= count:
            return
    raise AssertionError(scan.communicate())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of photos that take a while each, one of them cut off and one no image."""
    noise = np.random.default_rng(0).integers(0, 255, (400, 600, 3), np.uint8)
    for name, pixels in {"a": noise, "b": noise[::-1]}.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        first = tmp_path / "photos" / name / "0000.jpg"
        Image.fromarray(pixels).save(first)
        for number in range(1, NUM_PHOTOS // 2):
            os.link(first, first.with_name(f"{number:04}.jpg"))
    (tmp_path / "photos/a/cut.jpg").write_bytes(first.read_bytes()[:5000])
    (tmp_path / "photos/b/text.jpg").write_text("no image")
    return tmp_path / "photos"


@pytest.fixture
def scans(loopback_network: Any, photos: Path, tmp_path: Path) -> Iterator[Scans]:
    """Return the starter of scans; the cluster has no node yet."""
    nodes = RayNodes(loopback_network)
    yield Scans(nodes, photos)
    nodes.close()


def require_as_here(photos: Path) -> None:
    """Check that what a scan on a cluster has kept is what a scan on this machine gives."""
    folder = read_folder(photos)
    kept = open_store(folder, POLICY, mode="disk")
    assert kept.reused
    require_same(kept, open_store(folder, POLICY, mode="memory"))


def require_same(one: PixelStore, other: PixelStore) -> None:
    """Check that two stores have the same results, pixels and signatures."""
    assert list(one.scanned) == list(other.scanned)
    every = np.arange(len(one.scanned))
    np.testing.assert_array_equal(one.pixels.rows(every), other.pixels.rows(every))
    accepted = np.fromiter(one.scanned.accepted(), np.int64)
    np.testing.assert_array_equal(one.signatures[accepted], other.signatures[accepted])


# --- What a node does ------------------------------------------------------------------------


def order_of(paths: list[str], **changes: Any) -> BatchOrder:
    """Return the order to scan files, as this machine sees them."""
    from importlib.metadata import version

    order = BatchOrder(
        version("imgclf"), tuple(paths), None, digest_of_files(paths), POLICY, DecodingLimits(),
        ScanLimits(), with_pixels=True,
    )  # fmt: skip
    return replace(order, **changes)


def test_a_node_finds_what_this_machine_finds(two_classes: Path, tmp_path: Path) -> None:
    """Results, pixels and signatures of a batch are those of an ordinary scan, byte for byte."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    paths = [*map(str, sorted(two_classes.glob("*/*.png"))), str(tmp_path / "broken.png")]
    files = {name: tmp_path / name for name in ("pixels", "signatures")}
    files["pixels"].write_bytes(bytes(len(paths) * 24 * 20 * 3))
    files["signatures"].write_bytes(bytes(len(paths) * 768))
    here = scan_files(
        paths, POLICY, pixel_file=str(files["pixels"]), signature_file=str(files["signatures"])
    )
    batch = scan_batch(order_of(paths))
    assert batch.refusal == ""
    assert list(batch.scanned) == list(here)
    assert batch.scanned[-1].reason
    assert batch.pixels is not None
    assert batch.signatures is not None
    assert batch.pixels.tobytes() == files["pixels"].read_bytes()
    assert batch.signatures.tobytes() == files["signatures"].read_bytes()


def test_a_node_that_sees_other_images_scans_none(two_classes: Path, tmp_path: Path) -> None:
    """Files that are missing, of another size or not to be read there are seen before the scan."""
    paths = [str(tmp_path / "one.png"), str(tmp_path / "two.png")]
    content = next(two_classes.glob("*/*.png")).read_bytes()
    for path in paths:
        Path(path).write_bytes(content)
    order = order_of(paths)
    assert scan_batch(order).refusal == ""
    Path(paths[1]).write_bytes(content + b"more")
    assert "does not see the same images" in scan_batch(order).refusal
    Path(paths[1]).unlink()
    assert "does not see the same images" in scan_batch(order).refusal


def test_a_node_with_another_version_scans_none(two_classes: Path) -> None:
    """Its decoder might give other pixels."""
    paths = [str(next(two_classes.glob("*/*.png")))]
    assert "it has imgclf" in scan_batch(order_of(paths, imgclf="0.0.1")).refusal


def test_images_in_shards_are_known_by_their_shard(tmp_path: Path) -> None:
    """A shard that another machine has in another size is another one."""
    shard = write_tar(tmp_path / "0.tar", {"0.png": png(), "0.cls": b"a"})
    path = f"{shard}/0.png"
    before = digest_of_files([path])
    assert before != digest_of_files([str(tmp_path / "1.tar/0.png")])
    with shard.open("ab") as file:
        file.write(bytes(512))
    assert before != digest_of_files([path])


# --- Clusters --------------------------------------------------------------------------------


def test_check_on_a_cluster_says_what_it_says_without(
    loopback_network: Any, imgclf_command: Callable[..., Any], tmp_path: Path
) -> None:
    """The report is the same, nothing but it is printed, and no process is left."""
    photos = write_images(tmp_path / "photos", {"a": 150, "b": 120})
    (photos / "a/000.png").write_bytes(b"no image")
    nodes = RayNodes(loopback_network, IMGCLF_CACHE_DIR=str(tmp_path / "cache"))
    command = [sys.executable, "-c", COMMAND, "check", str(photos), "--json"]
    done = subprocess.run(
        [*loopback_network.enter, *command, "--cluster", "local"], env=nodes.env, text=True,
        capture_output=True, check=False, timeout=240,
    )  # fmt: skip
    try:
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert nodes.wait_gone() == []
    finally:
        nodes.close()
    here = imgclf_command("check", photos, "--json", IMGCLF_CACHE_DIR=str(tmp_path / "other"))
    assert json.loads(done.stdout) == json.loads(here.stdout)


@pytest.mark.slow
def test_a_scan_survives_a_worker_and_a_node_that_are_killed(scans: Scans) -> None:
    """What they had is scanned elsewhere, and the result is that of one machine."""
    scans.nodes.start_head()
    scans.nodes.add_node("second")
    with ending(scans.start(num_nodes=2)) as scan:
        scans.kill_running(scan)
        wait_for(scan, 512)
        scans.nodes.kill_node("second")
        printed, told = scan.communicate(timeout=200)
    assert scan.returncode == 0, told
    assert "rest 0\n" in printed
    assert told == ""
    require_as_here(scans.photos)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide a folder from one node")
def test_a_node_without_the_images_is_left_out(scans: Scans) -> None:
    """One line names it; the others scan all of them."""
    scans.nodes.start_head()
    hide = f'mount -t tmpfs none {scans.photos} && exec "$@"'
    scans.nodes.add_node("blind", ("unshare", "--mount", "sh", "-c", hide, "sh", "env"))
    with ending(scans.start(num_nodes=2)) as scan:
        printed, told = scan.communicate(timeout=200)
    assert scan.returncode == 0, told
    assert "rest 0\n" in printed
    reason = "it does not see the same images under the same path"
    assert told == f"The machine blind is left out of the scan: {reason}.\n"
    require_as_here(scans.photos)


@pytest.mark.slow
def test_an_interrupted_scan_goes_on(scans: Scans) -> None:
    """Ctrl-C ends it at once and leaves no decoder; the next scan repeats nothing."""
    scans.nodes.start_head()
    with ending(scans.start()) as scan:
        wait_for(scan, 256)
        scan.send_signal(signal.SIGINT)
        scan.communicate(timeout=30)
    deadline_s = time.monotonic() + 20
    while scans.nodes.processes("imgclf.data.store.worker"):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    with ending(scans.start()) as again:
        printed, told = again.communicate(timeout=200)
    assert again.returncode == 0, told
    word, number = printed.splitlines()[0].split()
    assert word == "done"
    assert int(number) >= 256
    assert "rest 0\n" in printed
    require_as_here(scans.photos)


@pytest.mark.slow
def test_a_scan_whose_control_service_is_killed_ends(scans: Scans) -> None:
    """In one line, with what was scanned kept."""
    scans.nodes.start_head()
    with ending(scans.start()) as scan:
        wait_for(scan, 256)
        scans.nodes.kill(*scans.nodes.processes("gcs_server"))
        _, told = scan.communicate(timeout=60)
    assert scan.returncode == 1
    assert told.startswith("ClusterError The control service")
    assert len(told.splitlines()) == 1
