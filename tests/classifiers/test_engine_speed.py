"""Each engine's speed is measured on the classifier itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import imgclf
from imgclf.classifiers import engine_speed
from imgclf.cli.main import app


def test_bench_of_a_classifier_measures_its_engines(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier in the place of a folder: images per second of each engine, or of one."""
    monkeypatch.setattr(engine_speed, "ROUND_S", 0.001)
    done = CliRunner().invoke(app, ["bench", str(bundle), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["engine"] for one in found] == ["litert", "keras", "onnx", "openvino"]
    assert all(one["alone_per_s"] > 0 < one["batched_per_s"] for one in found)
    alone = CliRunner().invoke(app, ["bench", str(bundle.parent), "--engine", "litert"])
    assert alone.exit_code == 0, alone.output
    assert "litert" in alone.stdout
    assert "keras" not in alone.stdout


def test_bench_refuses_what_is_no_classifier(tmp_path: Path) -> None:
    """A damaged file is refused by name, as everywhere."""
    broken = tmp_path / "broken.imgclf"
    broken.write_bytes(b"no classifier")
    done = CliRunner().invoke(app, ["bench", str(broken)])
    assert isinstance(done.exception, imgclf.errors.BundleError)
    assert "broken.imgclf" in str(done.exception)
