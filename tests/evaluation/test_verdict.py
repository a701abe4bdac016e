"""What is said in words follows from the figures."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from imgclf.evaluation.verdict import TrainingFacts, verdict

NAMES = ["cat", "dog", "owl"]


def told(confusion: Any) -> tuple[str, ...]:
    """Return the verdict on a confusion matrix."""
    counts = np.array(confusion)
    return verdict(counts, NAMES[: len(counts)])


def test_a_good_classifier_is_told_by_images_in_a_hundred() -> None:
    """The figure, its uncertainty, and the most frequent mistake with its direction."""
    first, mistake = told([[145, 5], [1, 149]])
    assert first.startswith("About 98 of 100 new images like these will be right, ")
    assert "give or take 2" in first
    assert mistake.endswith("cat is taken for dog (5 of 150, 1 the other way round).")


def test_accidents_are_no_mistakes_worth_a_sentence() -> None:
    """One or two mistakes of a kind are left to the matrix; all right is 100 of 100."""
    assert len(told([[149, 1], [2, 148]])) == 1
    assert told([[200, 0], [0, 200]])[0] == (
        "All 400 images are right; of 100 new images like these at least 99 will be."
    )
    assert told([[199, 1], [0, 200]])[0] == (
        "About 99.7 of 100 new images like these will be right, at least 98 of them."
    )


def test_few_images_are_said_to_be_few() -> None:
    """Where the interval is wide, the last sentence asks for more test images."""
    assert told([[10, 1], [1, 10]])[-1] == (
        "22 test images are few: with more, the figure is surer."
    )


def test_few_images_never_make_a_good_classifier_a_bad_one() -> None:
    """All right, but most of one class: it cannot be told; not: it has learned nothing."""
    first, advice = told([[8, 0], [0, 2]])
    assert first == (
        "10 of 10 images are right, too few to tell how good it is: "
        'always answering "cat" would get 8.'
    )
    assert advice == "Measure on more images, of dog above all."


def test_who_has_learned_nothing_hears_so() -> None:
    """One answer to everything, or no better than guessing, is said plainly."""
    assert told([[50, 0], [50, 0]])[0] == 'It has learned nothing: it always answers "cat".'
    assert told([[50, 0], [48, 2]])[0] == 'It has learned nothing: it nearly always answers "cat".'
    assert told([[26, 24], [25, 25]])[0].startswith("It is no better than guessing")


def advice(confusion: Any, **facts: Any) -> str:
    """Return what is to be tried."""
    return verdict(np.array(confusion), NAMES[: len(confusion)], TrainingFacts(**facts))[1]


def test_the_advice_follows_from_the_facts() -> None:
    """Few images, random weights, rare classes: each is named where it is so, and only there."""
    poor = advice([[50, 0], [48, 2]], num_train=60, is_pretrained=False)
    assert "more images (60 to learn from" in poor
    assert "pretrained network" in poor
    rich = advice([[50, 0], [48, 2]], num_train=5000, is_pretrained=True)
    assert "more images" not in rich
    assert "pretrained" not in rich
    assert "class_weight balanced" not in rich
    assert "class_weight balanced" in advice([[95, 0, 0], [3, 0, 0], [2, 0, 0]])


@given(st.lists(st.integers(0, 40), min_size=9, max_size=9).filter(any))
@settings(max_examples=60, deadline=None)
def test_every_matrix_has_a_verdict(counts: list[int]) -> None:
    """Whatever the figures are, there are one to three sentences that end in a full stop."""
    sentences = told(np.reshape(counts, (3, 3)))
    assert 1 <= len(sentences) <= 3
    assert all(sentence.endswith(".") for sentence in sentences)


def test_training_images_promise_nothing() -> None:
    """Where training images were measured, no promise is made for new ones, and it is said why."""
    counts = np.array([[30, 0], [0, 30]])
    first, *others = verdict(counts, NAMES[:2], num_seen=42)
    assert first.startswith("60 of 60 images are right, but 42 of them were training images")
    assert not others
    assert "they were training images" in verdict(counts, NAMES[:2], num_seen=60)[0]
