"""The pictures of a study: complete, self-contained, well formed."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from imgclf.tuning.candidates import Candidate
from imgclf.tuning.space import make_space
from imgclf.tuning.study_page import study_page
from imgclf.tuning.trials import Trial


def test_a_study_is_drawn_in_one_file_that_loads_nothing() -> None:
    """Both pictures hold every trial with a result; no address, no script; markup is escaped."""
    space = make_space("three_conv,resnet9", space={"image_size": [32, 64]})
    trials = [
        Trial(
            number,
            Candidate("three_conv", {"filters": 16, "pooling": "<b>"},
                      {"learning_rate": 10.0**-number, "image_size": [32, 32]}, 3),
            "completed", accuracies=(0.5 + number / 20,), duration_s=60,
        )
        for number in range(7)
    ]  # fmt: skip
    trials.append(Trial(7, trials[0].candidate, "failed", "it broke"))
    page = study_page("a <study>", trials, space, {"learning_rate": 0.5})
    pictures = re.findall(r"<svg.*?</svg>", page)
    assert len(pictures) == 2
    for picture in pictures:
        ElementTree.fromstring(picture)  # noqa: S314 - our own text
    assert pictures[0].count("<circle") == 7
    assert pictures[1].count("<polyline") == 7
    assert "7 of 8 trials" in page
    assert "<b>" not in page
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)


def test_a_study_without_results_is_drawn_too() -> None:
    """A single trial, equal scores and no result at all are pages as well."""
    space = make_space("three_conv")
    candidate = Candidate("three_conv", {"filters": 16, "pooling": "max"},
                          {"learning_rate": 1e-3}, 3)  # fmt: skip
    failed = Trial(0, candidate, "failed", "it broke")
    assert "0 of 1 trials" in study_page("s", [failed], space, {})
    done = Trial(0, candidate, "completed", accuracies=(0.5,))
    assert "<svg" in study_page("s", [done], space, {})
