"""A fork of a process that has run TensorFlow is told so, in place of hanging."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, sys
import imgclf

file, image = sys.argv[1:]

def answer(classifier):
    try:
        return classifier.predict(image)[0].label
    except imgclf.EngineError as error:
        return str(error)

def load_and_answer(_number):
    return answer(imgclf.load(file))

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    with fork.Pool(1) as pool:
        print(pool.map(load_and_answer, [0])[0])
    light, queue = imgclf.load(file), fork.SimpleQueue()
    answer(light)
    fork.Process(target=lambda: queue.put(answer(light))).start()
    print(queue.get())
    classifier = imgclf.load(file, engine="keras")
    print(answer(classifier))
    child, result = fork.Process(), fork.SimpleQueue()
    child.run = lambda: result.put(answer(classifier))
    child.start()
    print(result.get())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only here is fork a way to start processes")
def test_a_forked_process_says_spawn(bundle: Path, two_classes: Path, tmp_path: Path) -> None:
    """Loaded before the fork, Keras' network refuses to answer; LiteRT's answers all the same."""
    (tmp_path / "forks.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "forks.py", bundle, two_classes / "dark" / "000.png"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    after, light, unforked, before = done.stdout.splitlines()
    assert after == light == unforked
    assert after in ("dark", "light")
    assert "multiprocessing.get_context('spawn')" in before
