"""Proposals of what to try next, from KerasTuner's oracles.

Only KerasTuner's oracles are used, which propose values and are told scores; not its `Tuner`. That
one runs trials in the calling process, so that one trial that aborts ends the search; it
deep-copies callbacks, keeps the best epoch in an HDF5 file that ends Python when the disk is full,
and loses a search to one truncated file.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from imgclf.errors import ArgumentError
from imgclf.options import Value
from imgclf.tuning.dimensions import Dimension
from imgclf.tuning.space import Space

__all__ = ["STRATEGIES", "Proposal", "Proposer", "Strategy", "require_strategy"]

Strategy = Literal["random", "bayesian", "hyperband", "grid"]
STRATEGIES: tuple[Strategy, ...] = ("random", "bayesian", "hyperband", "grid")

GRID_POINTS = 5
"""Number of values of a range in a grid search."""

HYPERBAND_FACTOR = 3
"""A third of each round goes on, with three times the epochs (Li et al. 2018, JMLR 18)."""

ARCHITECTURE = "architecture"
OBJECTIVE = "val_accuracy"


@dataclass(frozen=True, slots=True)
class Proposal:
    """Values that an oracle proposes to try.

    Attributes:
        number: Number of the proposal, for `Proposer.tell`.
        values: Values of everything that is searched, by `Dimension.key`, with
            ``"architecture"``.
        epochs: Passes over the training images; None takes the study's.
    """

    number: int
    values: Mapping[str, Value]
    epochs: int | None


def require_strategy(strategy: str) -> None:
    """Refuse an unknown strategy, or one whose packages are not installed, without importing them.

    Raises:
        ArgumentError: The message names the strategies, or the extra to install.
    """
    if strategy not in STRATEGIES:
        raise ArgumentError(
            f"strategy={strategy!r} is not accepted: give one of {', '.join(STRATEGIES)}."
        )
    if strategy == "bayesian":
        missing = [name for name in ("sklearn", "scipy") if not importlib.util.find_spec(name)]
        if missing:
            raise ArgumentError(
                "The Bayesian search needs scikit-learn and SciPy: "
                "pip install 'imgclf[bayesian]', or take --strategy random."
            )


@dataclass(slots=True)
class Proposer:
    """A KerasTuner oracle for a search space of imgclf.

    The same seed and the same scores give the same proposals: a resumed search first proposes what
    was tried before.

    Attributes:
        space: The search space.
        strategy: The search strategy.
        epochs: Maximum passes over the training images, for Hyperband.
        seed: Seed of the proposals.
        past: Values of earlier trials. The Bayesian search proposes them first, without fitting
            its model again for each of them.
    """

    space: Space
    strategy: Strategy
    epochs: int
    seed: int
    past: Iterable[Mapping[str, Value]] = ()
    _oracle: Any = field(init=False)
    _open: dict[int, Any] = field(init=False, default_factory=dict)
    _asked: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        """Make the oracle, which writes no files and prints nothing."""
        self._oracle = _make_oracle(self)

    def ask(self) -> Proposal | Literal["wait", "end"]:
        """Return the next proposal, ``"wait"`` if a score must come first, or ``"end"``."""
        trial = self._oracle.create_trial(f"worker-{self._asked}")
        if trial.status != "RUNNING":
            return "wait" if trial.status == "IDLE" else "end"
        number, self._asked = self._asked, self._asked + 1
        self._open[number] = trial
        values = dict(trial.hyperparameters.values)
        epochs = values.get("tuner/epochs")
        return Proposal(number, _decode(self.space, self.strategy, values), epochs)

    def tell(self, proposal: Proposal, score: float) -> None:
        """Tell the oracle the accuracy of a trial; 0 if it failed.

        KerasTuner's oracles ignore failed trials: a Hyperband round would wait for ever, and the
        Bayesian search would propose the same values again.
        """
        trial = self._open.pop(proposal.number)
        self._oracle.update_trial(trial.trial_id, {OBJECTIVE: score})
        trial.status = "COMPLETED"
        self._oracle.end_trial(trial)


def _make_oracle(proposer: Proposer) -> Any:
    import keras_tuner

    common = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "hyperparameters": _hyperparameters(proposer.space, proposer.strategy),
        "seed": proposer.seed % 2**31 + 1,  # KerasTuner takes 0 for "draw one".
    }
    oracles = keras_tuner.oracles
    past = [_encode(proposer.space, values) for values in proposer.past]
    makers: dict[Strategy, Callable[[], Any]] = {
        # The search counts the trials, because refused ones do not count.
        "random": lambda: oracles.RandomSearchOracle(max_trials=None, **common),
        "grid": lambda: oracles.GridSearchOracle(max_trials=None, **common),
        "bayesian": lambda: _replaying(
            oracles.BayesianOptimizationOracle, past, max_trials=None, **common
        ),
        "hyperband": lambda: oracles.HyperbandOracle(
            max_epochs=proposer.epochs, factor=HYPERBAND_FACTOR, **common
        ),
    }
    oracle = makers[proposer.strategy]()
    oracle.verbose = 0
    oracle.save = lambda: None  # The study has files of its own, written atomically.
    oracle._save_trial = lambda _trial: None  # noqa: SLF001
    return oracle


def _replaying(base: type[Any], past: Iterable[dict[str, Any]], **arguments: Any) -> Any:
    """Make an oracle that proposes known values first: finding each again would take seconds."""
    queue = deque(past)

    class Replaying(base):
        def populate_space(self, trial_id: str) -> dict[str, Any]:
            if queue:
                return {"status": "RUNNING", "values": queue.popleft()}
            found: dict[str, Any] = super().populate_space(trial_id)
            return found

    # Another seed, or its random numbers would repeat those of the earlier search.
    arguments["seed"] += len(queue)
    return Replaying(**arguments)


def _hyperparameters(space: Space, strategy: Strategy) -> Any:
    """Return the space as KerasTuner's hyperparameters.

    Listed values are represented by their index: KerasTuner refuses None and mixed types.
    """
    import keras_tuner

    found = keras_tuner.HyperParameters()
    if len(space.architectures) > 1:
        found.Choice(ARCHITECTURE, list(space.architectures))
    for dimension in space.dimensions:
        if dimension.architecture is None or len(space.architectures) == 1:
            _declare(found, dimension, strategy)
            continue
        with found.conditional_scope(ARCHITECTURE, [dimension.architecture]):
            _declare(found, dimension, strategy)
    return found


def _declare(found: Any, dimension: Dimension, strategy: Strategy) -> None:
    values = _listed(dimension, strategy)
    if values:
        found.Int(dimension.key, 0, len(values) - 1)
    elif dimension.whole:
        sampling = "log" if dimension.log else "linear"
        found.Int(dimension.key, int(dimension.low), int(dimension.high), sampling=sampling)
    else:
        sampling = "log" if dimension.log else "linear"
        found.Float(dimension.key, dimension.low, dimension.high, sampling=sampling)


def _listed(dimension: Dimension, strategy: Strategy) -> tuple[Value, ...]:
    return dimension.grid(GRID_POINTS) if strategy == "grid" else dimension.values


def _decode(space: Space, strategy: Strategy, values: Mapping[str, Any]) -> dict[str, Value]:
    architecture = values.get(ARCHITECTURE, space.architectures[0])
    decoded: dict[str, Value] = {ARCHITECTURE: architecture}
    for dimension in space.active(architecture):
        listed = _listed(dimension, strategy)
        value = values[dimension.key]
        if not listed and not dimension.whole:
            value = float(f"{value:.3g}")  # More digits do not matter, and are tedious to type.
        decoded[dimension.key] = listed[value] if listed else value
    return decoded


def _encode(space: Space, values: Mapping[str, Value]) -> dict[str, Any]:
    encoded: dict[str, Any] = {}
    if len(space.architectures) > 1:
        encoded[ARCHITECTURE] = values[ARCHITECTURE]
    for dimension in space.active(str(values[ARCHITECTURE])):
        value = values[dimension.key]
        encoded[dimension.key] = dimension.values.index(value) if dimension.values else value
    return encoded
