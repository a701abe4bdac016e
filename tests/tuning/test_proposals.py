"""KerasTuner's oracles, asked and told: reproducible, conditional, never waiting for a failure."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from imgclf.errors import ArgumentError
from imgclf.tuning.proposals import Proposal, Proposer, require_strategy
from imgclf.tuning.space import make_space


def take(proposer: Proposer, most: int, score: Any = lambda _proposal: 0.5) -> list[Proposal]:
    """Ask and tell until the end or `most` proposals."""
    found: list[Proposal] = []
    while len(found) < most:
        proposal = proposer.ask()
        if isinstance(proposal, str):
            break
        found.append(proposal)
        proposer.tell(proposal, score(proposal))
    return found


@pytest.mark.parametrize("strategy", ["random", "hyperband", "grid"])
def test_the_same_seed_and_scores_give_the_same_proposals(strategy: Any) -> None:
    """A search that goes on asks for what it knows, in the same task."""
    space = make_space("three_conv")
    score = lambda proposal: proposal.values["learning_rate"] * 50  # noqa: E731
    first = take(Proposer(space, strategy, 9, 3), 15, score)
    assert first == take(Proposer(space, strategy, 9, 3), 15, score)
    if strategy != "grid":
        assert first != take(Proposer(space, strategy, 9, 4), 15, score)


def test_options_are_proposed_only_with_their_architecture() -> None:
    """Of several architectures only the chosen one's options have values."""
    proposals = take(Proposer(make_space("three_conv,resnet9"), "random", 3, 0), 12)
    assert {item.values["architecture"] for item in proposals} == {"three_conv", "resnet9"}
    for item in proposals:
        owners = {name.partition(".")[0] for name in item.values if "." in name}
        assert owners == {item.values["architecture"]}


def test_the_grid_is_complete_and_ends() -> None:
    """Every combination comes once, values of any type, then the grid ends."""
    space = make_space("three_conv", tune=[], space={"filters": [8, 16], "dropout": "0..0.9",
                                                    "activation": ["relu", "gelu"]})  # fmt: skip
    proposals = take(Proposer(space, "grid", 3, 0), 99)
    assert len({tuple(sorted(item.values.items())) for item in proposals}) == 2 * 5 * 2
    assert len(proposals) == 20


def test_random_search_ends_when_the_space_is_exhausted() -> None:
    """A small space is not gone through twice."""
    space = make_space("three_conv", tune=["pooling"])
    assert len(take(Proposer(space, "random", 3, 0), 99)) == 2


def test_hyperband_promotes_the_best_and_survives_failures() -> None:
    """The best of a round go on with more epochs; failures (accuracy 0) never make it wait."""
    space = make_space("three_conv", tune=["learning_rate"])
    score = lambda item: 0.0 if item.number % 2 else item.values["learning_rate"] * 50  # noqa: E731
    proposals = take(Proposer(space, "hyperband", 9, 0), 60, score)
    assert {item.epochs for item in proposals} == {1, 3, 9}
    best = max(proposals[:9], key=score)
    assert any(item.epochs == 3 and item.values == best.values for item in proposals)
    assert Proposer(space, "hyperband", 9, 0).ask() != "wait"


def test_the_bayesian_search_goes_on_from_what_is_known() -> None:
    """Known trials are proposed first, in order; what follows is near the best of them."""
    space = make_space("three_conv", tune=["learning_rate"])
    past = [{"architecture": "three_conv", "learning_rate": 10.0**-power}
            for power in (4, 3.5, 3, 2.5, 2)]  # fmt: skip
    score = lambda item: 1 - abs(item.values["learning_rate"] - 1e-3)  # noqa: E731
    proposals = take(Proposer(space, "bayesian", 3, 0, past), 6, score)
    assert [round(item.values["learning_rate"], 6) for item in proposals[:5]] == [
        round(item["learning_rate"], 6) if item["learning_rate"] != 10**-3.5 else 0.000316
        for item in past[:3]
    ] + [0.00316, 0.01]
    assert proposals[5].values not in past


def test_missing_packages_and_unknown_strategies_are_named(monkeypatch: Any) -> None:
    """A Bayesian search without its packages says what to install, before anything is loaded."""
    with pytest.raises(ArgumentError, match="random, bayesian, hyperband, grid"):
        require_strategy("magic")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ArgumentError, match=r"imgclf\[bayesian\]"):
        require_strategy("bayesian")
    require_strategy("random")
