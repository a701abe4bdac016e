"""Runs an export in its own runtime: a program of its own, which imports imgclf for its own alone.

Usage: python runner.py FORMAT PATH PIXELS.npy OUTPUT.npy

PIXELS.npy holds uint8 ``(num_images, height, width, channels)``. OUTPUT.npy gets float32
``(num_images, num_classes)``. Printed is a line of JSON: images per second one by one and in
batches, and the process's resident memory in bytes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH = 32
TIMED_S = 0.5
"""Seconds for which each speed is measured, at least one run."""

Run = Callable[[Any], Any]


def run_litert(path: str) -> Run:
    """Return what answers a batch."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path, num_threads=os.cpu_count())
    place = interpreter.get_input_details()[0]["index"]

    def run(images: Any) -> Any:
        interpreter.resize_tensor_input(place, images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, images)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


def run_onnx(path: str) -> Run:
    """Return what answers a batch."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["probabilities"], {"image": images})[0]


def run_openvino(path: str) -> Run:
    """Return what answers a batch."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda images: compiled(images)[0]


def run_savedmodel(path: str) -> Run:
    """Return what answers a batch."""
    import tensorflow as tf

    serve = tf.saved_model.load(path).signatures["serving_default"]
    return lambda images: serve(image=tf.constant(images))["probabilities"].numpy()


def run_keras(path: str) -> Run:
    """Return what answers a batch."""
    import keras

    model = keras.models.load_model(path)
    return lambda images: np.asarray(model(images, training=False))


def run_imgclf(path: str) -> Run:
    """Return what answers a batch; the one format that imgclf itself reads."""
    from imgclf.classifiers.loader import load

    classifier = load(path)
    return lambda images: classifier.predict_pixels([images])


RUNTIMES: dict[str, Callable[[str], Run]] = {
    "litert": run_litert,
    "onnx": run_onnx,
    "openvino": run_openvino,
    "savedmodel": run_savedmodel,
    "keras": run_keras,
    "web": run_litert,
    "imgclf": run_imgclf,
}


def images_per_s(run: Run, images: Any) -> float:
    """Time runs of a batch; the first, which may compile something, does not count."""
    run(images)
    began, done = time.perf_counter(), 0
    while not done or time.perf_counter() - began < TIMED_S:
        run(images)
        done += len(images)
    return done / (time.perf_counter() - began)


def main() -> None:
    """Answer all images, then time it."""
    name, path, pixels_file, output_file = sys.argv[1:]
    pixels = np.load(pixels_file, mmap_mode="r")
    run = RUNTIMES[name](path)
    parts = [
        run(np.ascontiguousarray(pixels[at : at + BATCH])) for at in range(0, len(pixels), BATCH)
    ]
    np.save(output_file, np.concatenate(parts))
    batch = np.ascontiguousarray(np.resize(pixels[:BATCH], (BATCH, *pixels.shape[1:])))
    speeds = [images_per_s(run, batch[:1]), images_per_s(run, batch)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    measured = {"alone_per_s": speeds[0], "batched_per_s": speeds[1], "memory_bytes": peak}
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main()
