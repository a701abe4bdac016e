"""The conformance kit: whether an architecture keeps the contract, for its author's own tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imgclf.conformance.kit import CHECKS, Subject
from imgclf.errors import ContractError, ImgclfError, OptionError, PluginError, in_one_line
from imgclf.training.speed import measure_speed
from imgclf.zoo.builder import build_unloaded, smallest_side
from imgclf.zoo.registry import load_architecture

if TYPE_CHECKING:
    from collections.abc import Callable

    import keras

__all__ = ["CheckResult", "ConformanceReport", "check_architecture"]

USUAL_SIDE = 32
"""Side, in pixels, at which an architecture is checked where it accepts so small an image."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check.

    Attributes:
        check: What was checked, in words.
        problem: What is wrong; empty where nothing is.
    """

    check: str
    problem: str

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """The results of `check_architecture`.

    Attributes:
        name: The architecture's name.
        results: One for each check that ran, in order.
        image_size: Side, in pixels, of the images that it was checked with; 0 if it builds
            for none.
        num_parameters: Weights of the network at that size, three classes and default options.
        train_images_per_s: Speed of training steps on this machine, in images per second; 0 if
            not measured.
        predict_images_per_s: Speed of prediction on this machine, in images per second; 0 if not
            measured.
    """

    name: str
    results: tuple[CheckResult, ...]
    image_size: int = 0
    num_parameters: int = 0
    train_images_per_s: float = 0.0
    predict_images_per_s: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(result.passed for result in self.results)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, a sentence each."""
        return tuple(result.problem for result in self.results if not result.passed)

    def __str__(self) -> str:
        """Draw one line per check, and what was measured."""
        lines = [
            f"ok    {result.check}" if result.passed else f"FAIL  {result.check}: {result.problem}"
            for result in self.results
        ]
        if self.num_parameters:
            lines.append(f"{self.num_parameters:,} parameters")
        if self.train_images_per_s:
            lines.append(
                f"{self.train_images_per_s:,.0f} images/s in training, "
                f"{self.predict_images_per_s:,.0f} in prediction "
                f"at {self.image_size} x {self.image_size} pixels"
            )
        return "\n".join([self.name, *lines])


def check_architecture(
    architecture: str | Callable[..., keras.Model],
    *,
    fresh_process: bool = True,
    measure: bool = True,
) -> ConformanceReport:
    """Check that an architecture keeps the contract: build, options, training, saving.

    Call it from a test of your plugin::

        def test_my_net_keeps_the_contract():
            report = imgclf.testing.check_architecture("my_net")
            assert report.passed, report

    Args:
        architecture: An installed name, or an architecture function itself.
        fresh_process: Reload the saved bundle in a process of its own, as users do; False
            reloads it in this process, which saves the seconds in which Keras starts.
        measure: Measure the speed of training and prediction.

    Returns:
        The report; its text says what is wrong.

    Raises:
        UnknownArchitectureError: No installed package declares the name.

    Example:
        >>> report = check_architecture("three_conv", fresh_process=False)   # doctest: +SKIP
        >>> report.passed                                                    # doctest: +SKIP
        True
    """
    name = architecture if isinstance(architecture, str) else architecture.__name__
    try:
        subject = _subject(architecture, fresh_process=fresh_process)
    except (ContractError, OptionError, PluginError) as error:
        # Nothing more can be asked of an architecture that does not even build.
        return ConformanceReport(name, (CheckResult("it builds as the contract says", str(error)),))
    results = [CheckResult("it builds as the contract says", "")]
    results += [CheckResult(title, _problem(check, subject)) for title, check in CHECKS.items()]
    num_parameters = subject.network.count_params()
    if not measure or not all(result.passed for result in results):
        return ConformanceReport(name, tuple(results), subject.side, num_parameters)
    speed = measure_speed(subject.build())
    return ConformanceReport(
        name,
        tuple(results),
        subject.side,
        num_parameters,
        speed.train_images_per_s,
        speed.predict_images_per_s,
    )


def _subject(architecture: str | Callable[..., keras.Model], *, fresh_process: bool) -> Subject:
    loaded = load_architecture(architecture)
    smallest = smallest_side(architecture)
    if smallest is None:
        build_unloaded(architecture, (64, 64, 3), 3, options={})  # raises, and says why
        raise ContractError(f"Architecture {loaded.name!r} builds for no square image.")
    side = max(smallest, USUAL_SIDE)
    network = build_unloaded(architecture, (side, side, 3), 3, seed=0, options={})
    return Subject(architecture, loaded, smallest, side, network, fresh_process)


def _problem(check: Callable[[Subject], None], subject: Subject) -> str:
    """Run one check; whatever it raises is a result, not an end."""
    try:
        check(subject)
    except ImgclfError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a stranger's network may raise anything
        return in_one_line(error)
    return ""
