"""A training that is cut anywhere goes on exactly, and no fault on the disk takes it along."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import imgclf
from forked_python import ForkedPython
from imgclf.errors import ArgumentError, TrainingError
from imgclf.training.checkpoints import newest_state, save_state
from shallow_network import shallow

EPOCHS = 4


def fresh_model() -> keras.Model:
    """Build the network of all tests here, with dropout, whose random state must survive."""
    return imgclf.build_model(shallow, (24, 24, 3), seed=3, dropout=0.5)


@pytest.fixture(scope="module")
def batches(two_classes: Path) -> Any:
    """Training and validation batches, varied and shuffled."""
    return imgclf.make_generators(two_classes, image_size=(24, 24), batch_size=16, augment="light")


@pytest.fixture(scope="module")
def uncut(batches: Any) -> Any:
    """Return the weights and the history of a training that nobody cut."""
    model = fresh_model()
    result = imgclf.fit(model, *batches, epochs=EPOCHS)
    return model.get_weights(), result


@pytest.fixture(scope="module")
def written(batches: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the checkpoints of a training of three epochs."""
    folder = tmp_path_factory.mktemp("checkpoints")
    imgclf.fit(fresh_model(), *batches, epochs=3, checkpoint_dir=folder)
    return folder


@pytest.fixture
def checkpoints(written: Path, tmp_path: Path) -> Path:
    """Return a copy of them that a test may damage."""
    return Path(shutil.copytree(written, tmp_path / "checkpoints"))


class Cut(keras.callbacks.Callback):
    """Ends a training by an exception at one step, as a power cut would."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__()
        self._place = (epoch, step)
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self._epoch, batch) == self._place:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("epoch", "step", "interval_s"),
    [
        (2, 3, 0),
        (1, 0, 3600),
        pytest.param(0, 0, 0, marks=pytest.mark.slow),
        pytest.param(0, 0, 3600, marks=pytest.mark.slow),
        pytest.param(1, 0, 0, marks=pytest.mark.slow),
        pytest.param(2, 3, 3600, marks=pytest.mark.slow),
    ],
)
def test_a_cut_training_ends_with_the_same_weights(
    epoch: int, step: int, interval_s: float, batches: Any, uncut: Any, tmp_path: Path
) -> None:
    """Cut between or within epochs and gone on, a training gives the uncut one's weights."""
    with pytest.raises(KeyboardInterrupt):
        imgclf.fit(
            fresh_model(), *batches, epochs=EPOCHS, checkpoint_dir=tmp_path,
            callbacks=[Cut(epoch, step)], checkpoint_interval_s=interval_s,
        )  # fmt: skip
    state = newest_state(tmp_path)
    assert state is not None
    # The exception comes before the checkpoint of its own step is written.
    assert (state.epoch, state.step) == (epoch, step if interval_s == 0 else 0)
    model = fresh_model()
    result = imgclf.fit(model, *batches, epochs=EPOCHS, checkpoint_dir=tmp_path)
    weights, expected = uncut
    for mine, theirs in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5)
    assert result.best_epoch == expected.best_epoch
    assert result.epochs == expected.epochs
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(result.history[name], expected.history[name], atol=1e-5)


def test_two_checkpoints_stay(checkpoints: Path) -> None:
    """The last two are kept, and nothing half-written lies beside them."""
    names = sorted(path.name for path in checkpoints.iterdir())
    assert names == [
        "epoch-000002-step-00000000.safetensors",
        "epoch-000003-step-00000000.safetensors",
    ]


def test_a_damaged_newest_checkpoint_falls_back(
    checkpoints: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """When the newest file is damaged the one before it is used, and that is said."""
    newest = checkpoints / "epoch-000003-step-00000000.safetensors"
    content = bytearray(newest.read_bytes())
    for place in (0, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        newest.write_bytes(damaged)
        state = newest_state(checkpoints)
        assert state is not None
        assert state.epoch == 2
    newest.write_bytes(content[:100])
    assert newest_state(checkpoints).epoch == 2  # type: ignore[union-attr]
    assert "epoch-000003-step-00000000" in caplog.text


def test_a_full_disk_is_one_clear_error(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOSPC while a checkpoint is written names the file and keeps the earlier ones."""
    before = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    state = newest_state(checkpoints)
    assert state is not None

    def no_space(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(TrainingError, match="No space left on device"):
        save_state(checkpoints, state)
    assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == before


def test_a_state_survives_its_file(checkpoints: Path, tmp_path: Path) -> None:
    """Every array, the score and the history come back bit for bit."""
    state = newest_state(checkpoints)
    assert state is not None
    save_state(tmp_path / "b", state)
    again = newest_state(tmp_path / "b")
    assert again is not None
    for group in ("variables", "optimizer", "best_weights"):
        for mine, theirs in zip(getattr(again, group), getattr(state, group), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    assert (again.epoch, again.best_epoch) == (state.epoch, state.best_epoch)
    assert again.best_score == state.best_score
    assert again.history == state.history


def test_another_networks_state_is_refused(batches: Any, checkpoints: Path) -> None:
    """A checkpoint of another network is refused in one line, not assigned in part."""
    other = imgclf.build_model("three_conv", (24, 24, 3), filters=16, hidden_units=8)
    with pytest.raises(TrainingError, match="another network"):
        imgclf.fit(other, *batches, epochs=4, checkpoint_dir=checkpoints)


def test_plain_datasets_have_no_checkpoints(batches: Any, tmp_path: Path) -> None:
    """A dataset that cannot go on from a place is refused."""
    with pytest.raises(ArgumentError, match="make_generators"):
        imgclf.fit(fresh_model(), batches[0].take(1), epochs=1, checkpoint_dir=tmp_path)


def test_a_write_killed_at_any_moment_leaves_a_whole_checkpoint(
    checkpoints: Path, forked_python: ForkedPython
) -> None:
    """SIGKILL at each step of a save leaves the earlier or the new checkpoint, never neither."""
    script = textwrap.dedent(
        """
        import os, pathlib, signal, sys
        from dataclasses import replace
        from imgclf.training import checkpoints

        folder = pathlib.Path(sys.argv[1])
        earlier = checkpoints.newest_state(folder)

        def die(*_arguments, **_keywords):
            os.kill(os.getpid(), signal.SIGKILL)

        def save_and_die(call, count):
            if call == "fsync":
                real, calls = os.fsync, iter(range(9))
                os.fsync = lambda handle: die() if next(calls) == count else real(handle)
            elif call == "replace":
                pathlib.Path.replace = die
            else:
                pathlib.Path.unlink = die
            checkpoints.save_state(folder, replace(earlier, epoch=4))

        for call, count in (("fsync", 0), ("replace", 0), ("fsync", 1), ("unlink", 0)):
            child = os.fork()
            if child == 0:
                save_and_die(call, count)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            state = checkpoints.newest_state(folder)
            print(call, os.WTERMSIG(status), state.epoch if state else None)
            (folder / "epoch-000004-step-00000000.safetensors").unlink(missing_ok=True)
        """
    )
    done = forked_python.run(script, checkpoints)
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [call for call, _, _ in lines] == ["fsync", "replace", "fsync", "unlink"], done.stderr
    assert all(number == "9" and epoch in ("3", "4") for _, number, epoch in lines)
