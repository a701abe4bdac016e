from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from imgclf.cli.main import app
from imgclf.runs.throughput import Throughput


def test_bench_measures_every_part(two_classes: Path) -> None:
    """The verb gives four speeds and names the limit, in words and as JSON."""
    arguments = ["bench", str(two_classes), "--arch", "three_conv", "--set", "filters=8",
                 "--image-size", "24", "--batch-size", "16", "--steps", "2"]  # fmt: skip
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    figures = json.loads(done.stdout)
    assert figures["num_scanned"] == 100
    assert min(figures[name] for name in ("scan", "loading", "step", "training")) > 0
    assert figures["limit"] in ("model", "loading")


@pytest.mark.parametrize(
    ("training", "limit"), [(100.0, "model"), (90.0, "model"), (80.0, "loading")]
)
def test_the_limit_is_what_costs(training: float, limit: str) -> None:
    """Up to 12 % more than the bare step is bearable; beyond that loading is the limit."""
    assert Throughput(1, 1000.0, 500.0, 100.0, training).limit == limit
