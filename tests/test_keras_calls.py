"""What Keras' users do with a model or a dataset works with our networks and batches."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from plugin_folders import SOUND_PLUGIN, run_python

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)

NAMES = (
    "three_conv",
    "resnet9",
    pytest.param("one_hidden", marks=pytest.mark.slow),
    pytest.param("airnet", marks=pytest.mark.slow),
)


@pytest.fixture(scope="module")
def batches(two_classes: Path) -> Any:
    """Training and validation batches of two classes."""
    return imgclf.make_generators(two_classes, image_size=(32, 32), batch_size=16)


@pytest.fixture(scope="module", params=NAMES)
def model(request: Any) -> keras.Model:
    """Return a network of the zoo, never trained."""
    return imgclf.build_model(request.param, (32, 32, 3), filters=8, seed=0)


def through_file(ending: str) -> Callable[[keras.Model, Path], keras.Model]:
    """Return a function that saves a model and loads it."""

    def save_and_load(model: keras.Model, folder: Path) -> keras.Model:
        model.save(folder / f"model{ending}")
        return keras.models.load_model(folder / f"model{ending}")

    return save_and_load


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(through_file(".keras"), id="keras file"),
        pytest.param(through_file(".h5"), id="h5 file"),
        pytest.param(lambda model, _: copy.deepcopy(model), id="deepcopy"),
        pytest.param(lambda model, _: pickle.loads(pickle.dumps(model)), id="pickle"),  # noqa: S301
    ],
)
def test_a_model_comes_back_as_it_was(model: keras.Model, again: Any, tmp_path: Path) -> None:
    """A network of the zoo gives the same outputs after a file or a copy by Keras."""
    np.testing.assert_array_equal(again(model, tmp_path)(IMAGES), model(IMAGES))


def test_a_clone_is_the_same_network_with_weights_of_its_own(model: keras.Model) -> None:
    """`clone_model` and `from_config` draw first weights of the same kind anew."""
    for clone in (
        keras.models.clone_model(model),
        type(model).from_config(model.get_config()),
        keras.models.model_from_json(model.to_json()),
    ):
        assert [w.shape for w in clone.weights] == [w.shape for w in model.weights]
        for mine, theirs in zip(clone.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(mine.mean(), theirs.mean(), atol=0.1)
    first = clone.get_layer(model.layers[2].name)
    if model.name == "three_conv":  # Each kernel sums to zero, here too.
        np.testing.assert_allclose(first.kernel.numpy().mean(axis=(0, 1, 2)), 0, atol=1e-6)


def test_weights_are_saved_and_read_alone(model: keras.Model, tmp_path: Path) -> None:
    """`save_weights` of one network and `load_weights` of another give the same outputs."""
    model.save_weights(tmp_path / "model.weights.h5")
    other = imgclf.build_model(model.name, (32, 32, 3), filters=8, seed=1)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(IMAGES), model(IMAGES))


def test_a_file_is_read_in_another_process(tmp_path: Path) -> None:
    """Keras alone reads a network of stock parts; `imgclf.keras_objects` registers the others."""
    for name in ("resnet9", "three_conv"):
        imgclf.build_model(name, (32, 32, 3), filters=8).save(tmp_path / f"{name}.keras")
    code = (
        "import keras\n"
        f"keras.models.load_model({str(tmp_path / 'resnet9.keras')!r})\n"
        "import imgclf.keras_objects\n"
        f"keras.models.load_model({str(tmp_path / 'three_conv.keras')!r})\n"
    )
    run_python(code)


def test_keras_own_training_takes_our_model_and_batches(batches: Any) -> None:
    """`compile`, `fit`, `evaluate` and `predict` of Keras work on our networks and batches."""
    train, val = batches
    model = imgclf.build_model("three_conv", (32, 32, 3), filters=8, seed=0)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=val, epochs=1, verbose=0, shuffle=False)
    assert set(history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(model.evaluate(val, verbose=0, return_dict=True)) == {"loss", "accuracy"}
    assert model.predict(val, verbose=0).shape == (val.num_samples, 1)


def test_a_fitted_model_goes_on_with_keras(batches: Any) -> None:
    """After `imgclf.fit` Keras' own `evaluate`, `predict` and `fit` go on with the same model."""
    train, val = batches
    model = imgclf.build_model("three_conv", (32, 32, 3), filters=8, seed=0)
    imgclf.fit(model, train, val, epochs=1)
    assert model.evaluate(val, verbose=0, return_dict=True)["accuracy"] > 0
    assert len(model.fit(train, epochs=1, verbose=0, shuffle=False).history["loss"]) == 1


def test_a_model_is_described(model: keras.Model) -> None:
    """`summary` names every layer; `count_params` and `get_layer` do what they do elsewhere."""
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "head" in "\n".join(lines)
    assert model.count_params() > model.get_layer("head").count_params() > 0


def test_a_model_is_drawn(model: keras.Model, tmp_path: Path) -> None:
    """`plot_model` draws it where pydot and Graphviz are installed."""
    pytest.importorskip("pydot")
    if not keras.src.utils.model_visualization.check_graphviz():
        pytest.skip("Graphviz is not installed")
    keras.utils.plot_model(model, tmp_path / "model.png")
    assert (tmp_path / "model.png").stat().st_size


def test_a_feature_extractor_is_cut_out(model: keras.Model) -> None:
    """`keras.Model(model.input, model.get_layer(...).output)` is a network, as elsewhere."""
    features = keras.Model(model.input, model.layers[-2].output)
    assert features(IMAGES).shape[0] == len(IMAGES)


def test_batches_are_a_dataset(batches: Any) -> None:
    """`take`, `map`, `unbatch`, `prefetch` and iteration work as on any `tf.data.Dataset`."""
    train, val = batches
    assert len(train) == train.steps_per_epoch
    assert len(list(val.unbatch())) == val.num_samples
    halved = train.map(lambda images, labels: (images // 2, labels)).prefetch(1).take(1)
    images, labels = next(halved.as_numpy_iterator())
    assert (images.shape[1:], labels.shape[1:]) == ((32, 32, 3), (1,))


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(lambda clf: pickle.loads(pickle.dumps(clf)), id="pickle"),  # noqa: S301
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(lambda clf: imgclf.load(clf.to_bytes()), id="bytes"),
    ],
)
def test_a_classifier_is_copied_through_its_file(
    trained: Any, two_classes: Path, again: Any
) -> None:
    """A pickled or copied classifier answers as the first one does, and knows as much."""
    before = trained.classifier
    after = again(before)
    assert after is not before
    assert after.predict(two_classes / "dark") == before.predict(two_classes / "dark")
    assert (after.figures, after.data, after.calibration) == (
        before.figures, before.data, before.calibration,
    )  # fmt: skip
    assert after.record.file is None


def test_a_classifier_of_a_function_is_copied_with_it(batches: Any, tmp_path: Path) -> None:
    """A copy of a classifier of no package's network is built by the same function."""
    from imgclf.zoo.isolation import load_function

    (tmp_path / "net.py").write_text(SOUND_PLUGIN.format(name="own_net"))
    function = load_function(tmp_path / "net.py", "own_net")
    model = imgclf.build_model(function, (32, 32, 3), 2)
    classifier = imgclf.Classifier(model, batches[0])
    pixels = [IMAGES]
    for again in (copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))):  # noqa: S301
        np.testing.assert_allclose(
            again.predict_pixels(pixels), classifier.predict_pixels(pixels), atol=1e-6
        )


def test_a_classifier_is_loaded_from_bytes_and_open_files(bundle: Path) -> None:
    """`load` takes a path, bytes and a file that is open in binary mode; others are named."""
    content = bundle.read_bytes()
    with bundle.open("rb") as file:
        for source in (bundle, str(bundle), content, bytearray(content), file):
            assert imgclf.load(source).class_names == ("dark", "light")
    with pytest.raises(imgclf.BundleError, match=r"\(the given bytes\)"):
        imgclf.load(content[:-1])
    with pytest.raises(imgclf.ArgumentError, match="int is no classifier's file"):
        imgclf.load(3)  # type: ignore[arg-type]
    with bundle.open(encoding="latin-1") as text, pytest.raises(imgclf.ArgumentError, match="'rb'"):
        imgclf.load(text)  # type: ignore[arg-type]
