"""Images that change while a training decodes them anew end it with their names, not its work."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import pytest

import imgclf
from imgclf.errors import DataError, RunFolderError
from imgclf.runs.folder import is_trained
from imgclf.workflow.learner import TrainingObserver
from imgclf.workflow.training import Settings, resume_training, run_training

SETTINGS = Settings(
    architecture="one_hidden",
    options={"filters": 8, "hidden_units": 8},
    image_size=(24, 24),
    epochs=4,
    batch_size=16,
    store="off",
)


class _RemovesImages(keras.callbacks.Callback):
    """Removes some images at the end of an epoch."""

    def __init__(self, images: list[Path], epoch: int) -> None:
        super().__init__()
        self.images, self.epoch = images, epoch

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Remove them."""
        if epoch == self.epoch:
            for image in self.images:
                image.unlink()


@pytest.fixture
def images(two_classes: Path, tmp_path: Path) -> list[Path]:
    """Return images of a folder whose other class stays."""
    shutil.copytree(two_classes, tmp_path / "photos")
    return sorted((tmp_path / "photos" / "light").iterdir())


def test_fit_names_the_image_that_has_gone(images: list[Path]) -> None:
    """`imgclf.fit` raises the documented error, not TensorFlow's about its graph."""
    train, val = imgclf.make_generators(
        images[0].parents[1], image_size=(24, 24), batch_size=16, store="off"
    )
    model = imgclf.build_model("one_hidden", train.input_shape, filters=8, hidden_units=8)
    callbacks = [_RemovesImages(images, 0)]
    with pytest.raises(DataError, match=r"light.*no such file.*leave the folder as it is"):
        imgclf.fit(model, train, val, epochs=3, callbacks=callbacks)


@pytest.mark.parametrize("epoch", [1, 3])
def test_the_best_epoch_is_kept(images: list[Path], tmp_path: Path, epoch: int) -> None:
    """Images that go during a training, or before its figures, leave a classifier that loads."""
    run, observer = tmp_path / "run", TrainingObserver(callbacks=[_RemovesImages(images, epoch)])
    with pytest.raises(DataError, match=r"no such file.*is kept.*imgclf evaluate .*model\.imgclf"):
        run_training(images[0].parents[1], SETTINGS, run_dir=run, observer=observer)
    assert imgclf.load(run / "model.imgclf").class_names == ("dark", "light")
    assert not is_trained(run)
    with pytest.raises((DataError, RunFolderError), match=r"one class folder|not those of the run"):
        resume_training(run)


def test_nothing_is_kept_before_the_first_epoch(images: list[Path], tmp_path: Path) -> None:
    """A network that has learned nothing yet is not called the best epoch."""
    run = tmp_path / "run"

    class _AtOnce(keras.callbacks.Callback):
        def on_train_begin(self, logs: object = None) -> None:
            for image in images:
                image.unlink()

    with pytest.raises(DataError, match="no such file"):
        run_training(
            images[0].parents[1], SETTINGS, run_dir=run,
            observer=TrainingObserver(callbacks=[_AtOnce()]),
        )  # fmt: skip
    assert not (run / "model.imgclf").exists()
