"""The promises of a plan: one frozen value, light, refused early, and enough to build again."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys

import pytest

from imgclf.data.batches.augmentation import PRESETS
from imgclf.data.batches.plan import Plan
from imgclf.data.pixels.input_policy import InputPolicy
from imgclf.errors import ArgumentError

PLAN = Plan("/photos", None, None, InputPolicy((32, 32)), 16, PRESETS["light"], group_by=r"p(\d+)")


def test_a_plan_travels_whole() -> None:
    """Another process that unpickles a plan has the same value, and may use it as a key."""
    copy = pickle.loads(pickle.dumps(PLAN))  # noqa: S301 - our own plan
    assert copy == PLAN
    assert hash(copy) == hash(PLAN)
    assert dataclasses.replace(PLAN, seed=1) != PLAN


def test_a_plan_cannot_change() -> None:
    """What batches were made from stays what it was."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAN.seed = 1  # type: ignore[misc]


def test_a_wrong_expression_is_refused_before_any_folder_is_read() -> None:
    """The folder does not exist, and the error is about the expression."""
    with pytest.raises(ArgumentError, match="no regular expression"):
        dataclasses.replace(PLAN, group_by="(")


def test_a_plan_is_light() -> None:
    """Making plans, as the command line does before its checks, loads no TensorFlow."""
    code = "import sys, imgclf.data.batches.plan; print({'tensorflow', 'keras'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"
