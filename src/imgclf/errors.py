"""Every deliberate error of imgclf, drawn as one tree.

All of them derive from `ImgclfError` and from the built-in exception that a caller
would catch anyway, so ``except ValueError`` keeps working::

    ImgclfError
    ├── ArgumentError (ValueError)              an argument has a value that is not accepted
    │   └── OptionError                         an architecture's option is unknown or out of bounds
    ├── UnknownArchitectureError (LookupError)  no installed architecture has this name
    ├── PluginError (ImportError)               an installed architecture cannot be used
    ├── ContractError (TypeError)               an architecture breaks the contract
    ├── BackendError (RuntimeError)             Keras runs on a backend other than TensorFlow
    ├── DataError (ValueError)                  a folder of images cannot be used
    │   └── DataNotFoundError (FileNotFoundError)  a path that was given does not exist
    ├── ImageError (ValueError)                 one image cannot be decoded
    ├── WeightsError (OSError)                  pretrained weights cannot be fetched or read
    ├── TrainingError (RuntimeError)            a training could not go on
    │   └── OutOfMemoryError (MemoryError)      the memory does not hold a step
    ├── TuningError (RuntimeError)              a search could not go on
    ├── RunFolderError (FileExistsError)        a run folder is in use or holds another run
    ├── StudyError (FileExistsError)            a study folder is in use or holds another study
    ├── BundleError (ValueError)                a file is not a usable bundle
    └── AccuracyError (AssertionError)          a classifier is worse than what was demanded of it
"""

from __future__ import annotations

import re

__all__ = [
    "AccuracyError",
    "ArgumentError",
    "BackendError",
    "BundleError",
    "ContractError",
    "DataError",
    "DataNotFoundError",
    "ImageError",
    "ImgclfError",
    "OptionError",
    "OutOfMemoryError",
    "PluginError",
    "RunFolderError",
    "StudyError",
    "TrainingError",
    "TuningError",
    "UnknownArchitectureError",
    "WeightsError",
    "in_one_line",
]


class ImgclfError(Exception):
    """Root of all errors that imgclf raises on purpose; its text is one line for a person."""


class ArgumentError(ImgclfError, ValueError):
    """An argument has a value that is not accepted; the message names what is."""


class OptionError(ArgumentError):
    """An option of an architecture is unknown, of the wrong type or out of its bounds."""


class UnknownArchitectureError(ImgclfError, LookupError):
    """No installed architecture has the name that was asked for."""


class PluginError(ImgclfError, ImportError):
    """An architecture is registered but cannot be used; the message names its distribution."""


class ContractError(ImgclfError, TypeError):
    """An architecture breaks the contract; the message names the layer or option at fault."""


class BackendError(ImgclfError, RuntimeError):
    """Keras runs on a backend other than TensorFlow."""


class DataError(ImgclfError, ValueError):
    """A folder of images cannot be trained on or evaluated; the message says what to change."""


class DataNotFoundError(DataError, FileNotFoundError):
    """A file or folder that was given does not exist."""

    # FileNotFoundError's own __str__ expects (errno, text); a plain message must print as given.
    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class ImageError(ImgclfError, ValueError):
    """One image cannot be decoded.

    Attributes:
        reason: A short stable code such as ``"truncated"``; see `imgclf.data.decoding`.
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason code beside the message."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        """Pickle with both arguments."""
        return (type(self), (self.reason, str(self)))


class WeightsError(ImgclfError, OSError):
    """Pretrained weights cannot be had; the message names the file and where to put it."""


class TrainingError(ImgclfError, RuntimeError):
    """A training could not go on; the message names the step and what to do."""


class OutOfMemoryError(TrainingError, MemoryError):
    """The memory does not hold a training step; the message names a batch size to try."""


class TuningError(ImgclfError, RuntimeError):
    """A search could not go on: its trials fail alike, or its processes cannot be started."""


class RunFolderError(ImgclfError, FileExistsError):
    """A run folder is in use by another process or already holds another run."""

    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class StudyError(ImgclfError, FileExistsError):
    """A study folder is in use, holds a study already, or another one than was asked for."""

    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class BundleError(ImgclfError, ValueError):
    """A file is not a usable bundle: not one at all, damaged, too new, or of a missing plugin."""


class AccuracyError(ImgclfError, AssertionError):
    """A classifier is less accurate than what was demanded of it."""


def in_one_line(error: BaseException) -> str:
    """Write an exception of somebody else's as one line: its type and its text.

    Args:
        error: Any exception; Keras' have many lines with colours in them.

    Returns:
        ``"ValueError: what it says"``.

    Example:
        >>> in_one_line(ValueError("  wrong   shape "))
        'ValueError: wrong shape'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(f"{type(error).__name__}: {text}".split()).removesuffix(":")
