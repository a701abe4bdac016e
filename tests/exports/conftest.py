"""Exports are proven as always, but their speeds are measured for a moment only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from imgclf.exports import proof


@pytest.fixture(scope="session", autouse=True)
def hasty_runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let the process that proves an export time it for a hundredth of a second.

    Commands, which are processes of their own, have the runner as it is.
    """
    source = proof.RUNNER.read_text(encoding="utf-8")
    assert source.count("TIMED_S = 0.5") == 1
    copy = tmp_path_factory.mktemp("runner") / proof.RUNNER.name
    copy.write_text(source.replace("TIMED_S = 0.5", "TIMED_S = 0.01"), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "RUNNER", copy)
        yield
