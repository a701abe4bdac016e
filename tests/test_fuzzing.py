"""The promise of `tools/fuzz_classifier_file.py`, in a short version: no mutant gets through."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools/fuzz_classifier_file.py"


@pytest.mark.parametrize("mutants", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_mutants_are_refused_or_answer_as_the_original(mutants: int) -> None:
    """Bytes and meaning are changed, hashes made right: nothing but the file's own error comes."""
    done = subprocess.run(
        [sys.executable, str(TOOL), "--mutants", str(mutants), "--seed", "1", "--workers", "1"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(rf"{mutants:,} mutants, 0 failed", done.stdout)
