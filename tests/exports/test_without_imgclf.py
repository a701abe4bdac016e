"""What the training said is what every process and every export answers, with or without imgclf."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import imgclf

PAGE = Path(__file__).parents[2] / "docs/how-to/take-it-with-you.md"

PROLOGUE = """
import sys
sys.modules["imgclf"] = None  # An import of it fails, as where it is not installed.
for photo in sys.argv[1:]:
"""


def lines_of(first_import: str) -> str:
    """Return the page's Python block that begins with this import."""
    (block,) = (
        part.partition("```")[0]
        for part in PAGE.read_text(encoding="utf-8").split("```python\n")[1:]
        if part.startswith(first_import)
    )
    return block


def answers_of(code: str, photos: list[str], folder: Path) -> list[str]:
    """Run lines once for each photo, in a process that has no imgclf; returns the class names."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROLOGUE + body, *photos],
        capture_output=True, text=True, cwd=folder, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("name", "first_import"),
    [
        ("litert", "from pathlib"),
        ("onnx", "import onnxruntime"),
        pytest.param("openvino", "import openvino", marks=pytest.mark.slow),
        pytest.param("keras", "import keras", marks=pytest.mark.slow),
        pytest.param("savedmodel", "import keras", marks=pytest.mark.slow),
    ],
)
def test_the_pages_lines_answer_like_predict(
    name: str, first_import: str, trained: Any, tmp_path: Path
) -> None:
    """Copied from the page, in a process without imgclf, they give the labels of `predict`."""
    if name == "openvino":
        pytest.importorskip("openvino", reason="the extra openvino")
    classifier = imgclf.load(trained.bundle)
    suffix = {"litert": ".tflite", "openvino": ".xml", "savedmodel": "-savedmodel"}
    imgclf.export(classifier, tmp_path / f"pets{suffix.get(name, '.' + name)}", format=name)
    if name != "litert":  # Whose file with the names the page uses.
        imgclf.export(classifier, tmp_path / "pets.tflite")
    preparing = lines_of("from pathlib").replace("96, 96", "24, 24")
    code = preparing.replace('"new.jpg"', "photo")
    if name != "litert":
        running = lines_of(first_import)
        if first_import == "import keras":
            unwanted = "tf.saved_model" if name == "keras" else "keras.models"
            running = running.replace(f"probabilities = {unwanted}", f"_ = lambda: {unwanted}")
        begin, end = code.index("network = "), code.index("names = ")
        running += "probabilities = __import__('numpy').ravel(probabilities)\n"
        if name == "savedmodel":
            running = running.replace(
                "ravel(probabilities)", "ravel(probabilities['probabilities'])"
            )
        code = code[:begin] + running + code[end:]
    paths = trained.data.test.file_paths
    photos = [*paths[:4], *paths[-4:]]
    expected = [one.label for one in classifier.predict(photos)]
    assert len(set(expected)) == 2
    assert answers_of(code, photos, tmp_path) == expected


def test_three_processes_give_one_accuracy(
    trained: Any, two_classes: Path, imgclf_command: Any
) -> None:
    """Training, `evaluate` and `predict`, each in a process of its own, agree to the last image."""
    done = imgclf_command("evaluate", trained.bundle, two_classes, "--json", fresh=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"] == trained.evaluation.accuracy
    images = trained.data.test
    done = imgclf_command("predict", trained.bundle, *images.file_paths, "--json", fresh=True)
    assert done.returncode == 0, done.stderr
    answers = [answer["label"] for answer in json.loads(done.stdout)]
    right = [
        answer == images.class_names[label]
        for answer, label in zip(answers, images.labels, strict=True)
    ]
    assert sum(right) / len(right) == trained.evaluation.accuracy
