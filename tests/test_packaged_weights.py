"""The promises about weights in installed packages: found unrun, known by their hash."""

from __future__ import annotations

import hashlib
import sys
from typing import TYPE_CHECKING

import pytest

from imgclf.errors import WeightsError
from imgclf.packaged_weights import PackagedWeights, find_version, read_weights

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"weights"
WEIGHTS = PackagedWeights(
    package="weights_of_the_tests",
    version="1.2",
    path="weights_of_the_tests/models/net.pth",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="Apache-2.0",
    installed_by="'imgclf[tests]'",
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages with the one that holds the weights."""
    inner = tmp_path / "weights_of_the_tests"
    (inner / "models").mkdir(parents=True)
    (inner / "models/net.pth").write_bytes(CONTENT)
    (inner / "__init__.py").write_text("raise SystemExit('it ran')\n")
    info = tmp_path / "weights_of_the_tests-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: weights-of-the-tests\nVersion: 1.2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_nothing_of_the_package_runs(site: Path) -> None:
    """Its file is found by the metadata; importing it would end the process."""
    assert read_weights(WEIGHTS) == CONTENT
    assert find_version(WEIGHTS) == "1.2"
    assert WEIGHTS.name == "net.pth"
    assert "weights_of_the_tests" not in sys.modules


def test_a_missing_package_is_one_line_with_the_remedy() -> None:
    """What to install, and how to do without."""
    for use in (read_weights, find_version):
        with pytest.raises(WeightsError) as caught:
            use(WEIGHTS)
        assert str(caught.value) == (
            "The weights file net.pth is not there, as the package weights_of_the_tests is not "
            "installed: pip install 'imgclf[tests]', or start without it: weights=none."
        )


def test_an_altered_file_is_one_line_with_the_remedy(site: Path) -> None:
    """One byte more, and it is not read."""
    (site / WEIGHTS.path).write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError) as caught:
        read_weights(WEIGHTS)
    assert "net.pth of weights_of_the_tests 1.2 was altered" in str(caught.value)
    again = "pip install --force-reinstall --no-deps weights_of_the_tests==1.2."
    assert str(caught.value).endswith(again)
    assert "\n" not in str(caught.value)


def test_a_lost_file_is_one_line_with_the_remedy(site: Path) -> None:
    """The package says it is installed, and its file is gone."""
    (site / WEIGHTS.path).unlink()
    with pytest.raises(WeightsError, match=r"No such file .*--force-reinstall --no-deps"):
        read_weights(WEIGHTS)


@pytest.mark.parametrize("metadata", [b"", b"Name: w\n", b"Version: 1\x1b[2J\n", b"\xff\xfe"])
def test_damaged_metadata_is_one_line_with_the_remedy(site: Path, metadata: bytes) -> None:
    """A version that nobody could record is none."""
    (site / "weights_of_the_tests-1.2.dist-info/METADATA").write_bytes(metadata)
    with pytest.raises(WeightsError, match="has damaged metadata: pip install --force-reinstall"):
        read_weights(WEIGHTS)
