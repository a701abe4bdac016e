"""Callbacks for experiment trackers: TensorBoard and MLflow."""

from __future__ import annotations

from pathlib import Path

import keras

from imgclf.errors import ArgumentError

__all__ = ["TENSORBOARD_FOLDER", "make_trackers"]

TENSORBOARD_FOLDER = "tensorboard"


def make_trackers(
    folder: Path | None, *, tensorboard: bool, mlflow: bool
) -> list[keras.callbacks.Callback]:
    """Make the callbacks of the trackers that are asked for.

    Args:
        folder: The run folder.
        tensorboard: Whether logs are written for TensorBoard, into ``tensorboard/`` there.
        mlflow: Whether MLflow's own callback logs into its current run, or a new one.

    Returns:
        Keras callbacks.

    Raises:
        ArgumentError: A tracker is not installed, or has no folder to write into.
    """
    trackers: list[keras.callbacks.Callback] = []
    if tensorboard:
        if folder is None:
            raise ArgumentError("tensorboard=True needs a run_dir, the folder of its logs.")
        trackers.append(keras.callbacks.TensorBoard(str(folder / TENSORBOARD_FOLDER)))
    if mlflow:
        try:
            from mlflow.keras import MlflowCallback
        except ImportError as error:
            raise ArgumentError(
                "MLflow is not installed: pip install 'imgclf[mlflow]', or leave it out."
            ) from error
        trackers.append(MlflowCallback())
    return trackers
