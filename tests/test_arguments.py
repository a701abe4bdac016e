"""A wrong argument of a public function is one line that names it; usual forms are taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from imgclf.tuning.request import SearchRequest

Call = Callable[[Any], Any]


@pytest.fixture(scope="module")
def batches(two_classes: Path) -> Any:
    """Training and validation batches of two classes."""
    return imgclf.make_generators(two_classes, image_size=24, batch_size=32)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Return a network for them."""
    return imgclf.build_model("three_conv", (24, 24, 3), filters=8, hidden_units=8)


@pytest.mark.parametrize(
    "arguments",
    [
        {"epochs": "3"}, {"epochs": None}, {"epochs": float("nan")}, {"patience": "2"},
        {"label_smoothing": "0.1"}, {"label_smoothing": None}, {"weight_decay": "x"},
        {"clip_norm": "1"}, {"average_weights": "yes"}, {"accumulate_steps": None},
        {"optimizer": None}, {"optimizer": keras.optimizers.Adam}, {"checkpoint_dir": 3},
        {"checkpoint_interval_s": "x"}, {"class_weight": [1, 2]}, {"precision": None},
    ],
    ids=str,
)  # fmt: skip
def test_fit_names_a_wrong_argument(arguments: Any, batches: Any, model: keras.Model) -> None:
    """Whatever the type of a wrong value, `fit` names argument and value."""
    with pytest.raises(imgclf.ArgumentError, match=next(iter(arguments))) as caught:
        imgclf.fit(model, *batches, **{"epochs": 1, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"image_size": None}, {"image_size": "96"}, {"image_size": (1, 2, 3)}, {"image_size": 9.5},
        {"batch_size": "8"}, {"seed": "x"}, {"val_split": "0.2"}, {"val_split": 1.5},
        {"augment": None}, {"augment": {"zoom_range": 1}}, {"zoom_range": "x"}, {"val_dir": 3},
    ],
    ids=str,
)  # fmt: skip
def test_make_generators_names_a_wrong_argument(arguments: Any, two_classes: Path) -> None:
    """The same holds for `make_generators`, before the folder is read."""
    name = next(iter(arguments))
    with pytest.raises(imgclf.ArgumentError, match=name):
        imgclf.make_generators(two_classes, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"space": {"filters": 16}}, {"space": ["filters"]}, {"space": {1: [2]}}, {"tune": [1]},
        {"tune": {}}, {"study_dir": 3}, {"workers": "2"}, {"max_trials": "3"}, {"keep": None},
        {"refit": "1"}, {"trial_epochs": None}, {"executions": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_tune_names_a_wrong_argument(arguments: Any) -> None:
    """The same holds for `tune`, before TensorFlow is loaded."""
    with pytest.raises(imgclf.ArgumentError, match=next(iter(arguments))):
        SearchRequest(architecture="three_conv", **arguments)


def test_one_name_to_search_is_a_list_of_one() -> None:
    """`tune="filters"` searches the filters, not the letters of the word."""
    request = SearchRequest(architecture="three_conv", tune="filters")
    assert [item.name for item in request.spec(request.settings).space.dimensions] == ["filters"]


WRONG: dict[str, tuple[Call, str]] = {
    "folder of train": (lambda _: imgclf.train(None), "directory is NoneType"),  # type: ignore[arg-type]
    "folder of check": (lambda _: imgclf.check(3), "directory is int"),  # type: ignore[arg-type]
    "start": (lambda folder: imgclf.train(folder, start_from=3), "start_from is int"),
    "classifier": (lambda folder: imgclf.evaluate(3, folder), "int is no classifier"),  # type: ignore[arg-type]
    "background": (lambda _: imgclf.InputPolicy((8, 8), background=5), "background=5"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize(("call", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_object_is_named(call: Call, message: str, two_classes: Path) -> None:
    """An object of another kind is named, with what is accepted."""
    with pytest.raises(imgclf.ArgumentError, match=message):
        call(two_classes)


def test_keywords_of_the_range_test_are_checked(batches: Any, model: keras.Model) -> None:
    """A mistyped keyword is corrected, one that the test decides itself is refused."""
    for given, message in [({"weight_deca": 0.1}, "weight_decay"), ({"epochs": 2}, "decides")]:
        with pytest.raises(imgclf.ArgumentError, match=message):
            imgclf.find_learning_rate(model, batches[0], **given)


def test_numbers_of_numpy_are_numbers(two_classes: Path) -> None:
    """Sizes, classes and options may come out of NumPy arrays; one side is a square."""
    train, _ = imgclf.make_generators(
        two_classes, image_size=np.int64(24), batch_size=np.int64(32), seed=np.int64(1)
    )
    assert train.input_shape == (24, 24, 3)
    shape = tuple(np.array((24, 24, 3)))
    model = imgclf.build_model("three_conv", shape, np.int64(3), filters=np.int64(8))
    assert model.output_shape == (None, 3)
    assert imgclf.check(two_classes, image_size=24).num_usable


def test_a_training_starts_from_a_file(two_classes: Path, bundle: Path) -> None:
    """`start_from` takes the path of a classifier's file, as the command line does."""
    begun: list[str] = []

    class Enough(keras.callbacks.Callback):
        def on_train_begin(self, logs: Any = None) -> None:
            begun.append(self.model.name)
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        imgclf.train(
            two_classes, start_from=bundle, epochs=1, batch_size=32, run_dir=None,
            callbacks=[Enough()],
        )  # fmt: skip
    assert begun == ["three_conv"]
    with pytest.raises(imgclf.DataNotFoundError, match=r"nothing\.imgclf"):
        imgclf.train(two_classes, start_from="nothing.imgclf")
