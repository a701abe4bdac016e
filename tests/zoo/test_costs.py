"""What is listed of a network's size is true."""

from __future__ import annotations

import pytest

import imgclf
from imgclf.zoo.costs import known_costs
from imgclf.zoo.registry import find_architectures


def test_every_built_in_has_its_cost() -> None:
    """Those that are installed with imgclf, and no others."""
    builtin = {name for name, found in find_architectures().items() if found[0].builtin}
    assert set(known_costs()) == builtin


@pytest.mark.parametrize(
    "name",
    [
        "resnet9",
        "three_conv",
        pytest.param("efficientnet_lite", marks=pytest.mark.slow),
        pytest.param("mobilenet_v3", marks=pytest.mark.slow),
    ],
)
def test_the_size_is_that_of_the_network(name: str) -> None:
    """The parameters are counted in the network that is built."""
    assert (
        known_costs()[name].parameters == imgclf.build_model(name, (96, 96, 3), 10).count_params()
    )
