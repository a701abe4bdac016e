"""The promises of training in two phases: frozen features, kept once, then a low rate."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from imgclf.data.store import cache
from imgclf.errors import ArgumentError
from imgclf.runs.resolution import resolve_settings
from imgclf.training import frozen_features
from imgclf.training.convex_head import fit_convex_head
from imgclf.training.frozen_features import compute_features, divide_network
from imgclf.training.loop import fit
from imgclf.training.stop_request import StopOnRequest
from imgclf.training.two_phase import fit_two_phase, in_two_phases
from imgclf.training.variants import MIRRORED, PLAIN, copies_of
from imgclf.workflow.training import Settings, run_training
from imgclf.workflow.transfer import frozen_convolutions
from imgclf.zoo.builder import named_weights, origin_of
from pretrained_network import save_tiny_weights, tiny, tiny_and_linear


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Weights of the tiny backbone, saved locally."""
    return str(save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.weights.h5"))


@pytest.fixture(scope="module")
def batches(two_classes: Path) -> Any:
    """Training and validation batches that are not augmented."""
    return imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=16, augment="none")


def build(weights: str, **options: Any) -> keras.Model:
    """The tiny network with the saved weights and a head that depends on the seed alone."""
    return imgclf.build_model(tiny, (24, 24, 3), seed=0, weights=weights, **options)


def values(model: keras.Model) -> dict[str, Any]:
    """Copy all weights."""
    return {name: np.asarray(variable).copy() for name, variable in named_weights(model).items()}


def test_the_parts_are_the_whole(weights: str) -> None:
    """The head on the frozen part's features gives what the network gives."""
    model = build(weights)
    divided = divide_network(model)
    images = np.random.default_rng(0).integers(0, 256, (3, 24, 24, 3), np.uint8)
    features = divided.frozen(images, training=False)
    assert features.shape == (3, 16)
    np.testing.assert_array_equal(divided.head(features), model(images, training=False))


def test_a_channels_first_network_is_divided_too(two_classes: Path) -> None:
    """Its axes are turned in front of the frozen part."""
    train, _ = imgclf.make_generators(
        two_classes, image_size=(24, 26), data_format="channels_first", augment="none"
    )
    model = imgclf.build_model(tiny, train.input_shape, data_format="channels_first", seed=0)
    divided = divide_network(model)
    features = compute_features(divided.frozen, train, mode="memory")
    images, _ = train.source.load(0, 0)
    whole = model(images, training=False)
    order = np.random.default_rng((0, 0)).permutation(train.num_samples)[: len(images)]
    np.testing.assert_allclose(divided.head(features[order]), whole, atol=1e-6)


def test_frozen_features_train_the_head_as_the_network_does(weights: str, batches: Any) -> None:
    """The head ends with the weights that it gets behind the frozen network itself."""
    train, val = batches
    fast, slow = build(weights), build(weights)
    fit_two_phase(
        fast, train, val, epochs=3, fine_tune_epochs=0, schedule="constant", precision="float32"
    )
    with frozen_convolutions(slow, True):
        fit(slow, train, val, epochs=3, precision="float32")
    for name, value in values(slow).items():
        np.testing.assert_allclose(values(fast)[name], value, atol=2e-4, err_msg=name)


def test_the_first_phase_leaves_the_backbone_alone_and_the_second_its_averages(
    weights: str, batches: Any
) -> None:
    """Fine-tuning moves the convolutions a little; batch normalisation stays as it was trained."""
    train, _ = batches
    model = build(weights)
    before = values(model)
    fit_two_phase(model, train, epochs=1, fine_tune_epochs=0)
    after_head = values(model)
    assert not np.array_equal(before["head/kernel"], after_head["head/kernel"])
    backbone = [name for name in before if name.startswith(("conv", "norm"))]
    assert all(np.array_equal(before[name], after_head[name]) for name in backbone)
    fit_two_phase(model, train, epochs=1, fine_tune_epochs=1)
    tuned = values(model)
    assert not np.array_equal(before["conv1/kernel"], tuned["conv1/kernel"])
    assert np.abs(before["conv1/kernel"] - tuned["conv1/kernel"]).max() < 1e-2
    norms = [name for name in before if name.startswith("norm")]
    assert all(np.array_equal(before[name], tuned[name]) for name in norms)
    assert all(layer.trainable for layer in model.layers)


class _Spoiler(keras.callbacks.Callback):
    """Takes from the whole network what its head has learned; the head by itself is spared."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self.model.name.endswith("_head"):
            kernel = self.model.get_layer("head").kernel
            kernel.assign(np.zeros(kernel.shape))


def test_the_best_epoch_of_both_phases_stays(weights: str, batches: Any) -> None:
    """A fine-tuning that spoils everything does not reach the result."""
    train, val = batches
    model = build(weights)
    result = fit_two_phase(
        model,
        train,
        val,
        epochs=12,
        learning_rate=2e-2,
        fine_tune_epochs=1,
        callbacks=[_Spoiler()],
    )
    assert result.head_epochs == 12
    assert result.epochs == 13
    assert len(result.history["val_loss"]) == 13
    assert result.best_epoch < 12
    clf = imgclf.Classifier(model, train)
    accuracy = imgclf.evaluate(clf, val).accuracy
    assert accuracy == pytest.approx(result.history["val_accuracy"][result.best_epoch])
    assert accuracy > 0.9


def test_features_are_computed_once_and_kept_in_the_cache(
    weights: str, batches: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another network with the same backbone computes none for the same images; others do."""
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path))
    train, val = batches
    runs = []
    real = frozen_features._run
    monkeypatch.setattr(frozen_features, "_run", lambda *args: runs.append(args) or real(*args))

    def features(images: Any, **options: Any) -> Any:
        return np.array(compute_features(divide_network(build(**options)).frozen, images))

    first = features(train, weights=weights)
    # The dropout lies behind the frozen part: it changes no feature.
    np.testing.assert_array_equal(features(train, weights=weights, dropout=0.3), first)
    assert len(runs) == 1
    features(val, weights=weights)
    assert not np.array_equal(features(train, weights="none"), first)
    assert len(runs) == 3
    entries = cache.list_cache()
    kept = [entry for entry in entries if entry.path.name.startswith("features-")]
    networks = [entry for entry in entries if entry.path.name.startswith("network-")]
    assert (len(kept), len(networks)) == (3, 2)
    sizes = sorted(entry.size_bytes - len(entry.source) for entry in kept)
    row_bytes = 4 * 16 + 32  # features and the hash of the image
    assert sizes == sorted(row_bytes * one.num_samples for one in (train, train, val))
    cache.clear_cache()
    assert cache.list_cache() == []


def test_a_damaged_entry_is_computed_again(
    weights: str, batches: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A cut-off file is not taken for features."""
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path))
    train, _ = batches
    frozen = divide_network(build(weights)).frozen
    whole = np.array(compute_features(frozen, train))
    (entry,) = (one for one in cache.list_cache() if one.path.name.startswith("features-"))
    (entry.path / "features.f32").write_bytes(b"cut off")
    np.testing.assert_array_equal(compute_features(frozen, train), whole)


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    weights: str, batches: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The features stay in memory then; only `store="disk"` insists."""
    train, _ = batches
    frozen = divide_network(build(weights)).frozen
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("IMGCLF_CACHE_DIR", str(tmp_path / "file"))
    assert compute_features(frozen, train).shape == (train.num_samples, 16)
    with pytest.raises(imgclf.DataError, match="IMGCLF_CACHE_DIR"):
        compute_features(frozen, train, mode="disk")


def test_a_network_without_a_cut_is_refused() -> None:
    """What cannot be divided is named, with what to do."""

    def branched(input_shape: tuple[int, int, int], num_classes: int) -> keras.Model:
        image = keras.Input(input_shape, dtype="uint8", name="image")
        maps = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
        first = keras.layers.GlobalAveragePooling2D(name="average")(maps)
        second = keras.layers.GlobalMaxPooling2D(name="largest")(maps)
        both = keras.layers.Concatenate(name="both")([first, second])
        return keras.Model(image, keras.layers.Dense(1, activation="sigmoid", name="head")(both))

    with pytest.raises(ArgumentError, match=r"branches behind its last map, at the layer 'both'"):
        divide_network(imgclf.build_model(branched, (24, 24, 3)))


@pytest.mark.parametrize("epochs", [-1, 1.5, True])
def test_fine_tuning_epochs_are_a_whole_number(weights: str, batches: Any, epochs: Any) -> None:
    """The message says what is accepted."""
    with pytest.raises(ArgumentError, match=r"fine_tune_epochs=.* at least 0"):
        fit_two_phase(build(weights), batches[0], epochs=1, fine_tune_epochs=epochs)


def test_pretrained_weights_are_trained_in_two_phases_by_default(
    weights: str, two_classes: Path, tmp_path: Path
) -> None:
    """`train` takes two phases by itself, and its bundle is loaded without the weights file."""
    file = Path(weights)
    own = tmp_path / "own.weights.h5"
    own.write_bytes(file.read_bytes())
    settings = Settings(
        architecture=tiny,
        options={"weights": str(own)},
        image_size=(24, 24),
        epochs=10,
        learning_rate=2e-2,
        batch_size=16,
        fine_tune_epochs=2,
    )
    run = run_training(two_classes, settings, run_dir=tmp_path / "run")
    assert run.fitted.head_epochs == 10
    assert run.fitted.epochs == 12
    assert run.evaluation.accuracy > 0.9
    own.unlink()
    again = imgclf.load(run.bundle, architecture=tiny)
    assert again.predict(two_classes) == run.classifier.predict(two_classes)
    further = imgclf.train(
        two_classes, start_from=again, epochs=1, batch_size=16, two_phase=False, run_dir=None
    )
    assert further.class_names == again.class_names
    began, went_on = origin_of(run.classifier.model), origin_of(further.model)
    assert began is not None
    assert went_on is not None
    assert went_on.weights_files == began.weights_files
    assert began.weights_files["weights"].sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_one_phase_can_be_asked_for(weights: str) -> None:
    """Pretrained weights mean two phases, random ones mean one, and either can be asked for."""
    pretrained, fresh = build(weights), build("none")
    assert in_two_phases(pretrained, None)
    assert not in_two_phases(fresh, None)
    assert not in_two_phases(pretrained, False)
    assert in_two_phases(fresh, True)


def test_the_head_is_not_trained_with_a_recipe_for_networks(
    weights: str,
) -> None:
    """Adam at its usual rate trains a head, unless another optimizer is asked for."""
    given: dict[str, Any] = {"architecture": tiny, "options": {"weights": weights}}

    def chosen(**settings: Any) -> Settings:
        return resolve_settings(Settings(**settings), 70)

    assert (chosen(**given).optimizer, chosen(**given).learning_rate) == ("adam", None)
    assert chosen(**given, two_phase=False).optimizer == "auto"
    assert chosen(architecture=tiny).optimizer == "auto"
    assert chosen(**given, optimizer="sgd").optimizer == "sgd"


def test_a_head_learns_from_copies_and_with_the_penalty_that_was_asked_for(
    weights: str, batches: Any
) -> None:
    """Mirrored copies are further rows; the penalty is the solver's strength."""
    train, val = batches
    model = imgclf.build_model(tiny_and_linear, (24, 24, 3), seed=0, weights=weights)
    fit_two_phase(
        model, train, val, epochs=1, fine_tune_epochs=0, head_penalty=0.3, head_copies="mirrored"
    )
    frozen = divide_network(model).frozen
    rows = [compute_features(frozen, train, variant=one) for one in (PLAIN, MIRRORED)]
    expected = fit_convex_head(
        np.concatenate(rows), np.tile(train.labels, 2), num_classes=2, strengths=[0.3]
    )
    np.testing.assert_array_equal(model.get_layer("head").kernel, expected.kernel)


def test_many_images_have_fewer_copies() -> None:
    """The rows of a head stay bounded; letters, which may not be mirrored, have no copies."""
    assert len(copies_of("shifted", (96, 96), 1_000)) == 5
    assert copies_of("shifted", (96, 96), 20_000) == (MIRRORED,)
    assert copies_of("mirrored", (96, 96), 40_000) == ()
    assert resolve_settings(Settings(recipe="best"), 1_000).head_copies == "shifted"
    unmirrored = imgclf.Augmentation(rotation_range=5)
    assert (
        resolve_settings(Settings(recipe="best", augment=unmirrored), 1_000).head_copies == "none"
    )


def test_a_stop_in_the_first_phase_leaves_the_second_out(weights: str, batches: Any) -> None:
    """Who asks for the end gets it, with the best head so far."""
    train, val = batches
    stopping = StopOnRequest(lambda: True)
    result = fit_two_phase(build(weights), train, val, epochs=5, callbacks=[stopping])
    assert stopping.stopped
    assert result.epochs == 1


def test_a_stopped_fine_tuning_goes_on(weights: str, batches: Any, tmp_path: Path) -> None:
    """Resumed, it ends like the uncut training: the head again in a moment, then the checkpoint."""
    train, val = batches
    settings: dict[str, Any] = {"epochs": 2, "fine_tune_epochs": 2, "precision": "float32"}
    uncut, cut, resumed = (build(weights) for _ in range(3))
    expected = fit_two_phase(uncut, train, val, **settings)
    seen: list[None] = []

    def is_over() -> bool:
        seen.append(None)
        # The head asks once an epoch; then one epoch of fine-tuning, and into the last.
        return len(seen) > 2 + train.steps_per_epoch + 1

    stopping = StopOnRequest(is_over)
    fit_two_phase(cut, train, val, **settings, callbacks=[stopping], checkpoint_dir=tmp_path)
    assert stopping.stopped
    result = fit_two_phase(resumed, train, val, **settings, checkpoint_dir=tmp_path)
    assert result.epochs == expected.epochs
    for name, value in values(uncut).items():
        np.testing.assert_allclose(values(resumed)[name], value, atol=1e-5, err_msg=name)
