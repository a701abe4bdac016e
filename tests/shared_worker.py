"""Trains with one process or as one of several; the tests start it: ADDRESSES INDEX DIR RESULT."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import numpy as np

IMAGES = {"image_size": 24, "batch_size": 13, "augment": "light", "seed": 3}
FIT = {"optimizer": "sgd", "learning_rate": 0.001, "precision": "float32"}
NETWORKS = {
    "plain": ("three_conv", 4, {"dropout": 0.0}),
    "normalised": ("resnet9", 2, {"filters": 8}),
}
"""An architecture, its epochs of 6 steps, its options: without and with batch normalisation."""


def train_small(directory: str, result: str, addresses: list[str], index: int) -> None:
    """Train each network for some steps of SGD; write weights and figures."""
    import imgclf
    from imgclf.training.shared_steps import shared_steps
    from imgclf.training.workers import join_workers

    workers = join_workers(addresses, index) if addresses else None
    found = {}
    for name, (architecture, epochs, options) in NETWORKS.items():
        train, val = imgclf.make_generators(directory, **IMAGES)  # type: ignore[arg-type]
        shape = train.input_shape
        model = imgclf.build_model(architecture, shape, train.num_classes, seed=1, **options)  # type: ignore[arg-type]
        if workers is not None:
            train, val = (one.share(index, workers.count) for one in (train, val))
        with shared_steps(model, workers) if workers else nullcontext() as course:
            given = [course] if course is not None else []
            fitted = imgclf.fit(model, train, val, epochs=epochs, callbacks=given, **FIT)  # type: ignore[arg-type]
        found |= {f"{name}/{figure}": values for figure, values in fitted.history.items()}
        found |= {f"{name}/{place}": value for place, value in enumerate(model.get_weights())}
    np.savez(result, **found)


if __name__ == "__main__":
    train_small(sys.argv[3], sys.argv[4], sys.argv[1].split(","), int(sys.argv[2]))
