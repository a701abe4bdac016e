"""What the tests of the figures share."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def reference() -> Any:
    """scikit-learn's metrics, which ours must equal."""
    return pytest.importorskip("sklearn.metrics")
