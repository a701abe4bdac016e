"""What is asked of a search is understood without images and without TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest

from imgclf.runs.resolution import resolve_settings
from imgclf.tuning.request import SearchRequest


def searched(request: SearchRequest) -> tuple[str, ...]:
    """Return the names that the request searches."""
    return request.spec(resolve_settings(request.settings, 1_000)).space.names


def test_without_a_network_the_head_of_the_pretrained_one_is_searched() -> None:
    """`imgclf tune photos/` searches what its solver knows, and fine-tunes nothing."""
    request = SearchRequest()
    assert request.architectures == ("efficientnet_lite",)
    assert request.settings.fine_tune_epochs == 0
    assert searched(request) == ("head_penalty", "head_copies")


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"architecture": "three_conv"}, "learning_rate"),
        ({"architecture": "three_conv", "given": {"fine_tune_epochs": 0}}, "learning_rate"),
        ({"architecture": "efficientnet_lite"}, "learning_rate"),
        ({"architecture": "efficientnet_lite", "given": {"fine_tune_epochs": 0}}, "head_penalty"),
        ({"tune": ["dropout"]}, "dropout"),
        ({"space": {"head_penalty": "0.1,1"}}, "head_penalty"),
    ],
)
def test_what_is_searched_fits_the_training(given: dict[str, Any], first: str) -> None:
    """Where only a head is solved for there is no learning rate; what is named is searched."""
    assert searched(SearchRequest(**given))[0] == first
