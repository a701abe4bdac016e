"""TensorFlow starts fast and without notes."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import imgclf
from imgclf.machine.startup import silenced_stderr, without_notes
from shallow_network import shallow

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_two_threads_may_silence_standard_error_at_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It speaks again once the last of them is done, whoever began first."""
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first() -> None:
        with silenced_stderr():
            first_is_in.set()
            second_is_in.wait(10)

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait(10)
    with silenced_stderr():
        second_is_in.set()
        thread.join()
        os.write(2, b"still silent\n")
    os.write(2, b"heard\n")
    assert capfd.readouterr().err == "heard\n"


def test_a_training_in_python_is_quiet(two_classes: Path) -> None:
    """From the import on, nothing is printed at all where a training is to show nothing."""
    code = (
        "import sys, imgclf\n"
        f"folder = {str(two_classes)!r}\n"
        "sys.stderr.write('heard')\n"
        "for _ in range(2):\n"
        "    train, val = imgclf.make_generators(folder, image_size=24, batch_size=32)\n"
        "    model = imgclf.build_model('three_conv', (24, 24, 3), filters=8)\n"
        "    imgclf.fit(model, train, val, epochs=1, verbose=0)\n"
        "clf = imgclf.Classifier(model, train)\n"
        "clf = imgclf.load(clf.to_bytes())\n"
        "clf.predict(folder)\n"
        "imgclf.evaluate(clf, val)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "heard")


def test_only_notes_of_tensorflow_are_kept_back(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others print while TensorFlow is imported comes afterwards, in order."""
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with without_notes():
        os.write(2, b"I0000 00:00:1795939590.732493     764 port.cc:153] oneDNN is on.\n")
        os.write(2, b"first\n")
        os.write(2, b"E0000 00:00:1795939590.732493     764 port.cc:153] an error\n")
    os.write(2, b"last\n")
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[-1] for line in lines] == ["first", "error", "last"]


def test_networks_in_turn_are_no_mistake(
    two_classes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Six trainings in one process get no warning of functions that are traced anew."""
    train, _ = imgclf.make_generators(two_classes, image_size=24, batch_size=64)
    for _ in range(6):
        imgclf.fit(imgclf.build_model(shallow, (24, 24, 3)), train, epochs=1)
    assert "retracing" not in caplog.text


def test_each_epoch_is_logged(two_classes: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever listens to the logger imgclf at INFO reads one line with the figures an epoch."""
    train, val = imgclf.make_generators(two_classes, image_size=24, batch_size=64)
    model = imgclf.build_model(shallow, (24, 24, 3))
    with caplog.at_level(logging.INFO, "imgclf"):
        imgclf.fit(model, train, val, epochs=2)
    lines = [one.message for one in caplog.records if one.message.startswith("Epoch ")]
    assert len(lines) == 2
    assert lines[1].startswith("Epoch 2 of 2: ")
    assert "val_accuracy" in lines[1]
