"""Turn a folder of images into a classifier that you can trust and take with you.

``import imgclf`` is light: TensorFlow and Keras are imported when the first name that needs them is
used.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

from imgclf.machine.keras_backend import require_tensorflow
from imgclf.machine.startup import prepare_tensorflow, without_notes

__version__: str

if TYPE_CHECKING:
    from imgclf.classifiers.classifier import Classifier
    from imgclf.classifiers.loader import load
    from imgclf.classifiers.prediction import Prediction
    from imgclf.data.batches.augmentation import Augmentation
    from imgclf.data.batches.dataset import Batches
    from imgclf.data.batches.generators import make_generators
    from imgclf.data.checks.data_report import DataReport, check
    from imgclf.data.checks.findings import Finding
    from imgclf.data.pixels.input_policy import InputPolicy
    from imgclf.errors import (
        AccuracyError,
        ArgumentError,
        BackendError,
        BundleError,
        ClusterError,
        ContractError,
        DataError,
        DataNotFoundError,
        DataWarning,
        EngineError,
        ExportError,
        ImageError,
        ImgclfError,
        OptionError,
        OutOfMemoryError,
        PluginError,
        RunFolderError,
        ServingError,
        StudyError,
        TrainingError,
        TuningError,
        UnknownArchitectureError,
        WeightsError,
        WriteError,
    )
    from imgclf.evaluation.evaluator import Evaluation, evaluate
    from imgclf.exports.export import export
    from imgclf.exports.proof import Proof
    from imgclf.options import Choice, Float, Int, Weights
    from imgclf.reports.corrected_labels import Relabelling, relabel
    from imgclf.training.fit_result import FitResult
    from imgclf.training.loop import fit
    from imgclf.training.rate_finder import RateFinding, find_learning_rate
    from imgclf.training.two_phase import fit_two_phase
    from imgclf.tuning.hyperparameters import hyperparameters
    from imgclf.tuning.outcome import TuningResult
    from imgclf.tuning.tuner import tune
    from imgclf.workflow.sharding import WrittenShards, write_shards
    from imgclf.workflow.training import train
    from imgclf.zoo.builder import build_model
    from imgclf.zoo.registry import (
        ArchitectureDescription,
        describe_architecture,
        list_architectures,
    )

_ROOMS = {
    "imgclf.classifiers.classifier": ("Classifier",),
    "imgclf.classifiers.prediction": ("Prediction",),
    "imgclf.classifiers.loader": ("load",),
    "imgclf.data.batches.augmentation": ("Augmentation",),
    "imgclf.data.checks.data_report": ("DataReport", "check"),
    "imgclf.data.checks.findings": ("Finding",),
    "imgclf.data.batches.dataset": ("Batches",),
    "imgclf.data.batches.generators": ("make_generators",),
    "imgclf.data.pixels.input_policy": ("InputPolicy",),
    "imgclf.errors": (
        "AccuracyError",
        "ArgumentError",
        "BackendError",
        "BundleError",
        "ClusterError",
        "ContractError",
        "DataError",
        "DataNotFoundError",
        "DataWarning",
        "EngineError",
        "ExportError",
        "ImageError",
        "ImgclfError",
        "OptionError",
        "OutOfMemoryError",
        "PluginError",
        "RunFolderError",
        "ServingError",
        "StudyError",
        "TrainingError",
        "TuningError",
        "UnknownArchitectureError",
        "WeightsError",
        "WriteError",
    ),
    "imgclf.evaluation.evaluator": ("Evaluation", "evaluate"),
    "imgclf.exports.export": ("export",),
    "imgclf.exports.proof": ("Proof",),
    "imgclf.reports.corrected_labels": ("Relabelling", "relabel"),
    "imgclf.zoo.builder": ("build_model",),
    "imgclf.options": ("Choice", "Float", "Int", "Weights"),
    "imgclf.zoo.registry": (
        "ArchitectureDescription",
        "describe_architecture",
        "list_architectures",
    ),
    "imgclf.training.fit_result": ("FitResult",),
    "imgclf.training.loop": ("fit",),
    "imgclf.training.rate_finder": ("RateFinding", "find_learning_rate"),
    "imgclf.training.two_phase": ("fit_two_phase",),
    "imgclf.tuning.hyperparameters": ("hyperparameters",),
    "imgclf.tuning.outcome": ("TuningResult",),
    "imgclf.tuning.tuner": ("tune",),
    "imgclf.workflow.sharding": ("WrittenShards", "write_shards"),
    "imgclf.workflow.training": ("train",),
}
# Without this, Python prints warnings of a library that nobody listens to on standard error.
logging.getLogger("imgclf").addHandler(logging.NullHandler())

# Already here: who imports imgclf and then TensorFlow itself should not lose the faster kernels.
prepare_tensorflow()

_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [  # written out: type checkers read no computed list
    "AccuracyError",
    "ArchitectureDescription",
    "ArgumentError",
    "Augmentation",
    "BackendError",
    "Batches",
    "BundleError",
    "Choice",
    "Classifier",
    "ClusterError",
    "ContractError",
    "DataError",
    "DataNotFoundError",
    "DataReport",
    "DataWarning",
    "EngineError",
    "Evaluation",
    "ExportError",
    "Finding",
    "FitResult",
    "Float",
    "ImageError",
    "ImgclfError",
    "InputPolicy",
    "Int",
    "OptionError",
    "OutOfMemoryError",
    "PluginError",
    "Prediction",
    "Proof",
    "RateFinding",
    "Relabelling",
    "RunFolderError",
    "ServingError",
    "StudyError",
    "TrainingError",
    "TuningError",
    "TuningResult",
    "UnknownArchitectureError",
    "Weights",
    "WeightsError",
    "WriteError",
    "WrittenShards",
    "__version__",
    "build_model",
    "check",
    "describe_architecture",
    "evaluate",
    "export",
    "find_learning_rate",
    "fit",
    "fit_two_phase",
    "hyperparameters",
    "list_architectures",
    "load",
    "make_generators",
    "relabel",
    "train",
    "tune",
    "write_shards",
]


def __getattr__(name: str) -> Any:
    """Import the room of a public name when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("imgclf")
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'imgclf' has no attribute {name!r}")
    try:
        with without_notes():
            value = getattr(importlib.import_module(_ROOM_OF[name]), name)
    except Exception:
        require_tensorflow()  # The likely cause, which no message of Keras names.
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
