"""Trains with one process or as one of several; the tests start it: ADDRESSES INDEX DIR RESULT."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import numpy as np

IMAGES = {"image_size": 24, "batch_size": 13, "augment": "light", "seed": 3}
FIT = {"epochs": 4, "optimizer": "sgd", "learning_rate": 0.001, "precision": "float32"}


def train_small(directory: str, result: str, addresses: list[str], index: int) -> None:
    """Take 24 steps of SGD with a network that has batch normalisation; write the weights."""
    import imgclf
    from imgclf.training.shared_steps import shared_steps
    from imgclf.training.workers import join_workers

    workers = join_workers(addresses, index) if addresses else None
    train, val = imgclf.make_generators(directory, **IMAGES)  # type: ignore[arg-type]
    model = imgclf.build_model("resnet9", train.input_shape, train.num_classes, seed=1, filters=8)
    if workers is not None:
        train, val = (one.share(index, workers.count) for one in (train, val))
    with shared_steps(model, workers) if workers else nullcontext() as course:
        given = [course] if course is not None else []
        fitted = imgclf.fit(model, train, val, callbacks=given, **FIT)  # type: ignore[arg-type]
    figures = {f"figure/{name}": values for name, values in fitted.history.items()}
    weights = {f"weight/{place}": value for place, value in enumerate(model.get_weights())}
    np.savez(result, **figures, **weights)


if __name__ == "__main__":
    train_small(sys.argv[3], sys.argv[4], sys.argv[1].split(","), int(sys.argv[2]))
