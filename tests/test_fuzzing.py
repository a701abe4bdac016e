"""The promises of the tools that fuzz files, in short versions: no mutant gets through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from forked_python import ForkedPython

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.mark.parametrize("mutants", [25, pytest.param(2_000, marks=pytest.mark.slow)])
def test_mutants_are_refused_or_answer_as_the_original(
    mutants: int, forked_python: ForkedPython
) -> None:
    """Bytes and meaning are changed, hashes made right: nothing but the file's own error comes."""
    run_tool(forked_python, "fuzz_classifier_file.py", mutants, "--workers", 1)


@pytest.mark.parametrize("mutants", [500, pytest.param(5_000, marks=pytest.mark.slow)])
def test_mutants_of_weights_are_refused_or_stay_within_their_bytes(
    mutants: int, forked_python: ForkedPython
) -> None:
    """Behind the check of the hash: nothing but `WeightsError` comes, in little time and memory."""
    run_tool(forked_python, "fuzz_weights_file.py", mutants)


def run_tool(python: ForkedPython, name: str, mutants: int, *arguments: object) -> None:
    """Run a tool; it must find nothing."""
    done = python.run(
        "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')",
        *(TOOLS / name, "--mutants", mutants, "--seed", 1, *arguments),
        timeout=3600,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(rf"{mutants:,} mutants, 0 failed", done.stdout)
