"""A script of somebody who uses imgclf under a strict type checker; only checked, never run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import imgclf
from imgclf.testing import check_architecture

if TYPE_CHECKING:
    import keras


def train_whole(folder: Path) -> imgclf.Classifier:
    """Train in one call."""
    if not imgclf.check(folder, image_size=96).trainable:
        raise imgclf.DataError("not usable")
    classifier: imgclf.Classifier = imgclf.train(folder, epochs=3, run_dir="runs/pets")
    if classifier.figures is not None:
        accuracy: float = classifier.figures.accuracy
        print(accuracy)
    return imgclf.train(folder, start_from="pets.imgclf", callbacks=())


def train_by_steps(folder: str) -> imgclf.Classifier:
    """Train step by step."""
    train, val = imgclf.make_generators(folder, image_size=64, augment="light")
    model = imgclf.build_model("three_conv", train.input_shape, train.num_classes, filters=16)
    finding = imgclf.find_learning_rate(model, train, num_steps=40)
    by_name: dict[str, float] = {"cat": 2.0, "dog": 1.0}
    result: imgclf.FitResult = imgclf.fit(
        model, train, val, epochs=2, learning_rate=finding.suggestion, class_weight=by_name
    )
    imgclf.fit(model, train, val, epochs=1, class_weight={0: 1.0, 1: 2.0})
    losses: Sequence[float] = result.history["loss"]
    print(losses, train.class_names[0], train.labels.dtype)
    return imgclf.Classifier(model, train, calibrate=val)


def answer(classifier: imgclf.Classifier, photo: bytes, folder: Path) -> Iterator[str]:
    """Predict everything that can be predicted."""
    first: imgclf.Prediction = classifier.predict(photo)[0]
    yield f"{first.label} {first.index} {first.probability:.2f} {first.unfamiliar}"
    yield json.dumps(first.as_dict())
    for buffer in (bytearray(photo), memoryview(photo)):
        yield classifier.predict(buffer)[0].label
    for item in classifier.predict(folder.glob("*.jpg"), on_error="none"):
        yield "unreadable" if item is None else item.label
    for other in classifier.predict_iter((str(path) for path in folder.iterdir()), batch_size=8):
        if other is not None:
            yield other.label
    classifier.explain(photo).overlay().save("why.png")


def keep(classifier: imgclf.Classifier, path: Path) -> imgclf.Classifier:
    """Save, load and evaluate."""
    saved: Path = classifier.save(path)
    content: bytes = classifier.to_bytes()
    with saved.open("rb") as file:
        imgclf.load(file)
    evaluation: imgclf.Evaluation = imgclf.evaluate(imgclf.load(content), "photos/test")
    print(evaluation.accuracy, evaluation.interval.low, pickle.dumps(classifier))
    return classifier.with_changes(figures=evaluation.figures("test"))


def my_net(
    input_shape: tuple[int, int, int],
    num_classes: int,
    *,
    filters: Annotated[int, imgclf.Int(4, 64, search=[8, 16])] = 8,
    pooling: Annotated[Literal["max", "avg"], imgclf.Choice(search=["max"])] = "max",
) -> keras.Model:
    """Build a network."""
    raise NotImplementedError(input_shape, num_classes, filters, pooling)


def search(folder: str) -> dict[str, object]:
    """Search, and check a plugin."""
    result: imgclf.TuningResult = imgclf.tune("three_conv", folder, max_trials=3, tune=["filters"])
    description: imgclf.ArchitectureDescription = imgclf.describe_architecture("three_conv")
    names: list[str] = imgclf.list_architectures()
    print(result.bundle, description.summary, names, imgclf.__version__)
    report = check_architecture(my_net, measure=False)
    assert report.passed, report
    return dict(result.options)
