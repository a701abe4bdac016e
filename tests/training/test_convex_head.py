from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from imgclf.errors import ArgumentError
from imgclf.training import logistic_loss
from imgclf.training.convex_head import DEFAULT_PATH, ConvexHead, fit_convex_head, set_head

EXACT = 1e-11
"""Tolerance of the tests that compare solutions."""


def blobs(num_images: int, num_classes: int, seed: int = 0, *, distance: float = 1.0) -> Any:
    """Return overlapping clouds of 8 features, their scale and mean far from 1 and 0."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(num_images) % num_classes)
    centres = distance * np.random.default_rng(99).normal(size=(num_classes, 8))
    features = 3 * (centres[labels] + rng.normal(size=(num_images, 8))) + 5
    return features.astype(np.float32), labels


def probabilities(head: ConvexHead, features: np.ndarray) -> np.ndarray:
    """Return the probability of each class, ``(num_images, num_classes)``."""
    logits = features.astype(np.float64) @ head.kernel + head.bias
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_exactly(
    features: np.ndarray, labels: np.ndarray, num_classes: int, **others: Any
) -> ConvexHead:
    """Fit one strength without validation images, to the last digits."""
    others = {"strengths": [0.01], "tolerance": EXACT, **others}
    return fit_convex_head(features, labels, num_classes=num_classes, **others)


@pytest.mark.parametrize("num_classes", [2, 5])
@pytest.mark.parametrize("strength", [1.0, 1e-3])
@pytest.mark.parametrize("weigh", [False, True])
def test_probabilities_are_those_of_scikit_learn(
    num_classes: int, strength: float, weigh: bool
) -> None:
    """Probabilities agree with LogisticRegression to 1e-4, class weights or not."""
    features, labels = blobs(300, num_classes)
    class_weight = {label: 1.0 + 3 * label for label in range(num_classes)} if weigh else None
    total = sum((class_weight or {}).get(int(label), 1.0) for label in labels)
    rows = features.astype(np.float64)
    scaled = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0).mean())
    theirs = LogisticRegression(
        C=1 / (strength * total), class_weight=class_weight, tol=1e-9, max_iter=5000
    ).fit(scaled, labels)
    ours = fit_exactly(
        features, labels, num_classes, class_weight=class_weight, strengths=[strength]
    )
    difference = probabilities(ours, features) - theirs.predict_proba(scaled)
    assert np.abs(difference).max() < 1e-4


def test_default_tolerance_is_close_to_the_exact_solution() -> None:
    """At the default tolerance no probability is more than 0.02 from the exact one."""
    features, labels = blobs(300, 5)
    rough = fit_convex_head(features, labels, num_classes=5, strengths=[0.01])
    exact = fit_exactly(features, labels, 5)
    difference = probabilities(rough, features) - probabilities(exact, features)
    assert np.abs(difference).max() < 0.02


@pytest.mark.parametrize("num_classes", [2, 4])
def test_label_smoothing_is_that_of_keras(num_classes: int) -> None:
    """The solution is where Keras' smoothed cross-entropy plus penalty is lowest."""
    features, labels = blobs(60, num_classes)
    head = fit_exactly(features, labels, num_classes, label_smoothing=0.2)
    scale = np.sqrt(features.var(axis=0, dtype=np.float64).mean())

    def objective(kernel: np.ndarray, bias: np.ndarray) -> float:
        logits = features.astype(np.float64) @ kernel + bias
        if num_classes == 2:
            loss = keras.losses.BinaryCrossentropy(True, 0.2)(labels[:, None], logits)
        else:
            loss = keras.losses.CategoricalCrossentropy(True, 0.2)(
                np.eye(num_classes)[labels], logits
            )
        return float(loss) + 0.005 * float(np.square(kernel * scale).sum())

    lowest = objective(head.kernel, head.bias)
    rng = np.random.default_rng(0)
    for _ in range(5):
        aside = head.kernel + 0.01 * rng.normal(size=head.kernel.shape)
        assert objective(aside, head.bias) > lowest
        assert objective(head.kernel, head.bias + 0.1 * rng.choice([-1, 1])) >= lowest - 1e-6


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), num_classes=st.integers(2, 4))
def test_order_and_number_of_copies_of_images_do_not_matter(seed: int, num_classes: int) -> None:
    """Images in another order, or each of them three times, give the same probabilities."""
    features, labels = blobs(40, num_classes, seed)
    expected = probabilities(fit_exactly(features, labels, num_classes), features)
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(40), 3))
    found = fit_exactly(features[order], labels[order], num_classes)
    np.testing.assert_allclose(probabilities(found, features), expected, atol=1e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-6, 0.1, 1e6]))
def test_unit_and_zero_of_the_features_do_not_matter(seed: int, scale: float) -> None:
    """Features in another unit, each from another zero, give the same probabilities."""
    features, labels = blobs(40, 3, seed)
    zeros = np.random.default_rng(seed).normal(size=8)
    others = (scale * (features + zeros)).astype(np.float32)
    expected = probabilities(fit_exactly(features, labels, 3), features)
    found = probabilities(fit_exactly(others, labels, 3), others)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), num_classes=st.integers(2, 5))
def test_names_of_classes_do_not_matter(seed: int, num_classes: int) -> None:
    """Classes in another order give the same probabilities in that order."""
    features, labels = blobs(40, num_classes, seed)
    order = np.random.default_rng(seed).permutation(num_classes)
    expected = probabilities(fit_exactly(features, labels, num_classes), features)
    found = probabilities(fit_exactly(features, order[labels], num_classes), features)
    np.testing.assert_allclose(found[:, order], expected, atol=1e-3)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_many_images_are_fitted_like_few(num_classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float32 and in many chunks, as with many images, probabilities stay the same to 1e-3."""
    features, labels = blobs(300, num_classes)
    expected = probabilities(fit_exactly(features, labels, num_classes), features)
    monkeypatch.setattr(logistic_loss, "FLOAT64_VALUES", 0)
    monkeypatch.setattr(logistic_loss, "CHUNK_VALUES", 100)
    found = probabilities(fit_exactly(features, labels, num_classes), features)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_same_features_give_the_same_bits(num_classes: int) -> None:
    """Two fits of the same features are equal to the last bit."""
    features, labels = blobs(200, num_classes)
    one, other = (
        fit_convex_head(features, labels, features[:60], labels[:60], num_classes=num_classes)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.kernel, other.kernel)
    np.testing.assert_array_equal(one.bias, other.bias)
    assert one.path == other.path


HARD_CASES = {
    "separable": (blobs(60, 3, distance=100)[0], blobs(60, 3, distance=100)[1], 3),
    "one image a class": (blobs(3, 3)[0], np.arange(3), 3),
    "one image": (blobs(1, 2)[0], np.zeros(1, int), 2),
    "one class only": (blobs(20, 2)[0], np.ones(20, int), 2),
    "a class without images": (blobs(40, 3)[0], blobs(40, 3)[1] * 2, 6),
    "the same image in two classes": (np.ones((10, 4), np.float32), np.arange(10) % 2, 2),
    "all features constant": (np.full((10, 4), 1e20, np.float32), np.arange(10) % 3, 3),
    "a constant feature": (blobs(30, 2)[0] * np.arange(8, dtype=np.float32), np.arange(30) % 2, 2),
    "huge values": (blobs(30, 2)[0] * np.float32(1e30), np.arange(30) % 2, 2),
    "tiny values": (blobs(30, 2)[0] * np.float32(1e-30), np.arange(30) % 2, 2),
    "an outlier": (np.vstack([blobs(29, 2)[0], np.full((1, 8), 1e30)]), np.arange(30) % 2, 2),
}


@pytest.mark.parametrize("case", HARD_CASES)
def test_hard_cases_give_a_finite_head(case: str) -> None:
    """No features, however odd, make it diverge, warn, or give something that is not finite."""
    features, labels, num_classes = HARD_CASES[case]
    head = fit_convex_head(
        features.astype(np.float32), labels, num_classes=num_classes, strengths=[1e-6]
    )
    assert np.isfinite(head.kernel).all()
    assert np.isfinite(head.bias).all()


def test_separable_classes_are_all_right() -> None:
    """Clouds far from each other are told apart without an error, also those not seen before."""
    features, labels = blobs(60, 5, distance=10)
    unseen, their_labels = blobs(60, 5, seed=1, distance=10)
    head = fit_convex_head(features, labels, unseen, their_labels, num_classes=5)
    assert head.chosen.val_accuracy == 1.0


def test_class_without_images_is_improbable() -> None:
    """A class that no training image shows gets next to no probability."""
    features, labels = blobs(60, 2)
    head = fit_convex_head(features, labels, num_classes=3)
    assert probabilities(head, features)[:, 2].max() < 0.01


def test_accuracy_on_validation_images_chooses() -> None:
    """The most accurate strength is chosen, of equals the strongest; then the path ends."""
    features, labels = blobs(40, 3)
    head = fit_convex_head(features, labels, *blobs(300, 3, seed=1), num_classes=3)
    accuracies = [one.val_accuracy for one in head.path]
    best = max(accuracies)
    assert head.chosen == head.path[accuracies.index(best)]
    assert [one.strength for one in head.path] == list(DEFAULT_PATH[: len(accuracies)])
    assert all(accuracy == best for accuracy in accuracies[accuracies.index(best) : -1])


def test_with_class_weights_the_log_loss_chooses() -> None:
    """It weighs the classes as the training did, which the plain accuracy does not."""
    features, labels = blobs(40, 3)
    head = fit_convex_head(
        features, labels, *blobs(300, 3, seed=1), num_classes=3, class_weight={0: 5.0}
    )
    losses = [one.val_loss for one in head.path]
    assert head.chosen.val_loss == min(losses)
    assert head.chosen in head.path[-2:]


def test_validation_figures_are_those_of_the_head() -> None:
    """Log loss, weighted like the training's, and accuracy are those of kernel and bias."""
    features, labels = blobs(100, 3)
    val_features, val_labels = blobs(70, 3, seed=1)
    head = fit_convex_head(
        features, labels, val_features, val_labels, num_classes=3, class_weight={0: 5.0}
    )
    found = probabilities(head, val_features)
    losses = -np.log(found[np.arange(70), val_labels])
    weights = np.where(val_labels == 0, 5.0, 1.0)
    assert head.chosen.val_loss == pytest.approx(np.average(losses, weights=weights), rel=1e-4)
    assert head.chosen.val_accuracy == (found.argmax(axis=1) == val_labels).mean()


def test_few_validation_images_choose_nothing() -> None:
    """With a handful of validation images the middle strength is taken, and still measured."""
    features, labels = blobs(40, 2)
    head = fit_convex_head(features, labels, features[:4], labels[:4], num_classes=2)
    alone = fit_convex_head(features, labels, num_classes=2)
    assert [one.strength for one in head.path] == [0.01]
    assert head.chosen.val_loss is not None
    assert alone.chosen.val_loss is None
    np.testing.assert_array_equal(head.kernel, alone.kernel)


def test_stop_gives_what_has_been_found() -> None:
    """After a stop, the head of the steps so far is returned, and no strength is begun."""
    features, labels = blobs(200, 3)
    asked: list[bool] = []

    def stop_requested() -> bool:
        asked.append(len(asked) >= 3)
        return asked[-1]

    head = fit_convex_head(
        features, labels, *blobs(60, 3), num_classes=3, stop_requested=stop_requested
    )
    assert len(head.path) < len(DEFAULT_PATH)
    assert probabilities(head, features).shape == (200, 3)


def test_progress_counts_strengths() -> None:
    """After each strength, progress is told how many are done, of how many."""
    features, labels = blobs(40, 2)
    calls: list[tuple[int, int]] = []
    head = fit_convex_head(
        features,
        labels,
        *blobs(100, 2),
        num_classes=2,
        progress=lambda done, total: calls.append((done, total)),
    )
    assert calls == [(done + 1, 5) for done in range(len(head.path))]


MEMORY = """
import json
import sys
import threading
from pathlib import Path

import numpy as np

from imgclf.training.convex_head import fit_convex_head

assert not {"keras", "tensorflow", "scipy"} & set(sys.modules)

def allocated_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024

def watch():
    while not done.wait(0.005):
        samples.append(allocated_mib())

features = np.load(sys.argv[1], "r")
labels = np.arange(len(features)) % 3
fit_convex_head(features[:100], labels[:100], num_classes=3)
samples, done = [allocated_mib()], threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
fit_convex_head(features, labels, num_classes=3, tolerance=0.01)
done.set()
watcher.join()
print(json.dumps([max(samples) - samples[0], features.nbytes / 2**20]))
"""


def test_memory_is_bounded_on_a_mapped_file(tmp_path: Path) -> None:
    """Of a mapped file some chunks are in memory at a time; NumPy alone is loaded to fit them."""
    rows = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (60_000, 320))
    rows[:] = np.random.default_rng(0).random((1000, 320), np.float32).repeat(60, axis=0)
    rows.flush()
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path / "rows.npy"],
        check=True,
        capture_output=True,
        text=True,
    )
    added_mib, features_mib = json.loads(done.stdout)
    assert features_mib > 70
    assert added_mib < 60


@pytest.mark.parametrize(("num_classes", "activation"), [(2, "sigmoid"), (3, "softmax")])
def test_head_becomes_that_of_a_network(num_classes: int, activation: str) -> None:
    """The network's layer `head` gives the probabilities of the solution."""
    features, labels = blobs(30, num_classes)
    vector = keras.Input((8,))
    outputs = 1 if num_classes == 2 else num_classes
    dense = keras.layers.Dense(outputs, activation=activation, name="head")
    model = keras.Model(vector, dense(vector))
    head = fit_convex_head(features, labels, num_classes=num_classes)
    set_head(model, head)
    expected = probabilities(head, features)[:, -outputs:]
    np.testing.assert_allclose(np.asarray(model(features)), expected, atol=1e-5)


def test_head_of_another_width_is_refused() -> None:
    """A network whose head reads other features, or that has none, is named in the error."""
    head = fit_convex_head(*blobs(30, 3), num_classes=3)
    vector = keras.Input((7,))
    for name, message in (("head", r"weights \[\(7, 3\), \(3,\)\]"), ("other", "no layer 'head'")):
        model = keras.Model(vector, keras.layers.Dense(3, name=name)(vector), name="net")
        with pytest.raises(ArgumentError, match=f"'net' has .*{message}.* 8 features"):
            set_head(model, head)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 1}, "num_classes=1"),
        ({"num_classes": 2}, "from 0 to 2: with 2 classes"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        ({"strengths": [0.1, 0.0]}, "strengths="),
        ({"strengths": []}, "strengths="),
        ({"class_weight": {0: -1.0}}, "class_weight="),
        ({"train_features": np.zeros((30, 8), int)}, "train_features is int64"),
        ({"train_features": np.zeros((0, 8))}, r"shape \(0, 8\)"),
        ({"train_features": np.full((30, 8), np.nan)}, "train_features are not finite: feature 0"),
        ({"val_features": np.full((30, 8), np.inf)}, "val_features are not finite: feature 0"),
        ({"train_labels": np.zeros(29, int)}, r"train_labels is int64 of shape \(29,\)"),
        ({"val_features": np.zeros((30, 7))}, r"val_features .* \(num_images, 8\)"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    """Each argument that is out of range is named, with what is accepted."""
    features, labels = blobs(30, 3)
    arguments: dict[str, Any] = {
        "train_features": features,
        "train_labels": labels,
        "val_features": features,
        "val_labels": labels,
        "num_classes": 3,
    }
    with pytest.raises(ArgumentError, match=message):
        fit_convex_head(**{**arguments, **changes})
