"""Bundles are verified to the last byte, hold no code, and never damage what was there."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imgclf.classifiers import bundle as bundles
from imgclf.classifiers.bundle import read_bundle, read_facts
from imgclf.classifiers.loader import load
from imgclf.errors import BundleError, DataNotFoundError


def rewrite(source: Path, target: Path, change: object) -> Path:
    """Write a bundle again, with valid hashes, after `change(manifest, weights, probe)`."""
    content = read_bundle(source)
    manifest = content.manifest.as_dict()
    del manifest["format"], manifest["members"]
    weights, probe = dict(content.weights), dict(content.probe)
    change(manifest, weights, probe)
    bundles.write_bundle(target, manifest, weights, probe)
    return target


def test_every_changed_byte_is_noticed(bundle: Path, tmp_path: Path) -> None:
    """A bundle with one byte changed, anywhere in the file, is refused."""
    original = bundle.read_bytes()
    ends = [*range(40), *range(len(original) - 140, len(original))]
    places = [*ends, *random.Random(0).sample(range(len(original)), 100)]
    damaged = tmp_path / "damaged.imgclf"
    for place in places:
        changed = bytearray(original)
        changed[place] ^= 1 << (place % 8)
        damaged.write_bytes(changed)
        with pytest.raises(BundleError):
            read_bundle(damaged)


def test_facts_are_those_of_the_whole_bundle(bundle: Path, tmp_path: Path) -> None:
    """Without reading a tensor: same manifest and count of weights, and damage is noticed, too."""
    whole, facts = read_bundle(bundle), read_facts(bundle)
    assert whole.weights is not None
    assert (facts.manifest, facts.size_bytes) == (whole.manifest, whole.size_bytes)
    assert facts.num_parameters == sum(tensor.size for tensor in whole.weights.values())
    content = bytearray(bundle.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "damaged.imgclf").write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        read_facts(tmp_path / "damaged.imgclf")


def test_every_truncation_is_noticed(bundle: Path, tmp_path: Path) -> None:
    """A bundle that is cut off at any place is refused."""
    original = bundle.read_bytes()
    cut = tmp_path / "cut.imgclf"
    for length in (0, 1, 30, len(original) // 2, len(original) - 65, len(original) - 1):
        cut.write_bytes(original[:length])
        with pytest.raises(BundleError, match=r"cut off|damaged"):
            read_bundle(cut)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400))
def test_no_other_file_is_taken_for_a_bundle(content: bytes, tmp_path: Path) -> None:
    """Whatever bytes a file holds, reading it as a bundle gives a BundleError and nothing else."""
    file = tmp_path / "other.imgclf"
    file.write_bytes(content)
    with pytest.raises(BundleError):
        read_bundle(file)


def test_a_plain_zip_is_not_a_bundle(tmp_path: Path) -> None:
    """A ZIP file that something else made is refused with a message that says so."""
    file = tmp_path / "plain.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(BundleError, match="ZIP file but not a classifier"):
        read_bundle(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that does not exist is named, as an error that FileNotFoundError catches too."""
    with pytest.raises(FileNotFoundError, match=r"nothing\.imgclf"):
        read_bundle(tmp_path / "nothing.imgclf")
    with pytest.raises(DataNotFoundError):
        read_bundle(tmp_path / "nothing.imgclf")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("missing", lambda _m, w, _p: w.pop("head/bias"), "head/bias is missing"),
        ("surplus", lambda _m, w, _p: w.update(x=np.zeros(1, np.float32)), "x is unknown"),
        (
            "shape",
            lambda _m, w, _p: w.update({"head/bias": np.zeros(7, np.float32)}),
            "head/bias is float32",
        ),
        (
            "type",
            lambda _m, w, _p: w.update({"head/bias": np.zeros(1, np.float64)}),
            "head/bias is float64",
        ),
        (
            "not finite",
            lambda _m, w, _p: w.update({"head/bias": np.full(1, np.nan, np.float32)}),
            "not finite",
        ),
        ("probe", lambda _m, _w, p: p.update(output=p["output"] + 0.01), "other results"),
        ("no probe", lambda _m, _w, p: p.pop("image"), "probe"),
        (
            "option",
            lambda m, _w, _p: m["architecture"]["options"].update(filters=9999),
            "filters",
        ),
        (
            "plugin",
            lambda m, _w, _p: m["architecture"].update(name="far_net", distribution="far"),
            "pip install far",
        ),
        (
            "function",
            lambda m, _w, _p: m["architecture"].update(name="mine", distribution=None),
            "architecture=function",
        ),
    ],
)
def test_a_well_formed_bundle_with_wrong_content_is_refused(
    name: str, change: object, message: str, bundle: Path, tmp_path: Path
) -> None:
    """Right hashes are not enough: weights, probe, options and architecture must fit."""
    forged = rewrite(bundle, tmp_path / f"{name}.imgclf", change)
    with pytest.raises(BundleError, match=message):
        load(forged)


def test_a_tiny_bundle_cannot_take_gigabytes(bundle: Path, tmp_path: Path) -> None:
    """A manifest that asks for a huge network is refused before its weights are allocated."""
    import resource

    def ask_for_a_huge_network(manifest: dict, _weights: object, _probe: object) -> None:
        manifest["input"].update(height=4096, width=4096)
        manifest["architecture"]["options"].update(hidden_units=2048)  # 34 billion weights

    forged = rewrite(bundle, tmp_path / "huge.imgclf", ask_for_a_huge_network)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError, match="do not fit"):
        load(forged)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 500_000


def test_a_newer_format_says_to_upgrade(bundle: Path, tmp_path: Path) -> None:
    """A bundle of a later format names both formats and the way out."""
    newer = tmp_path / "newer.imgclf"
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    members["manifest.json"] = json.dumps({**manifest, "format": 3}).encode()
    bundles._write_atomically(newer, members)
    with pytest.raises(BundleError, match="format 3; this imgclf reads formats 1 to 2"):
        read_bundle(newer)


def test_members_are_stored_and_named_by_layers(bundle: Path) -> None:
    """The weights are keyed by the architecture's own layer names, in an uncompressed ZIP."""
    with zipfile.ZipFile(bundle) as archive:
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
        weights = safetensors.numpy.load(archive.read("weights.safetensors"))
    assert {"block1_conv/kernel", "hidden_2/bias", "head/kernel"} <= set(weights)


def test_a_failing_write_keeps_the_earlier_bundle(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fills up while a bundle is replaced, the earlier one is as it was."""
    target = tmp_path / "model.imgclf"
    target.write_bytes(bundle.read_bytes())
    classifier = load(target)

    def no_space(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(BundleError, match="No space left"):
        classifier.save(target)
    assert target.read_bytes() == bundle.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["model.imgclf"]
