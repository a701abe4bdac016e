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
    ├── WriteError (OSError)                    a file or folder cannot be written
    ├── TrainingError (RuntimeError)            a training failed
    │   └── OutOfMemoryError (MemoryError)      not enough memory for a training step
    ├── TuningError (RuntimeError)              a search failed
    ├── RunFolderError (FileExistsError)        a run folder is in use or holds another run
    ├── StudyError (FileExistsError)            a study folder is in use or holds another study
    ├── ClusterError (ConnectionError)          a Ray cluster cannot be reached or no longer answers
    ├── EngineError (RuntimeError)              an engine cannot execute a network
    ├── ServingError (RuntimeError)             a server cannot start
    ├── ExportError (RuntimeError)              an export does not answer as the classifier does
    ├── BundleError (ValueError)                a file is not a usable classifier's file
    └── AccuracyError (AssertionError)          a classifier is less accurate than required

What is no error is a `DataWarning` (UserWarning): images were left out, or were training images.
"""

from __future__ import annotations

import errno
import re
import sys
import warnings
from collections.abc import Sequence

__all__ = [
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
    "in_one_line",
    "remedy_of",
    "warn_of",
]


class ImgclfError(Exception):
    """Root of all errors that imgclf raises on purpose; its text is one line.

    Example:
        >>> try:
        ...     imgclf.load("missing.imgclf")
        ... except imgclf.ImgclfError as error:
        ...     print(error)
        The classifier missing.imgclf does not exist: give a .imgclf file.
    """


class ArgumentError(ImgclfError, ValueError):
    """An argument has a value that is not accepted; the message names what is.

    Example:
        >>> imgclf.InputPolicy((96, 96), channels=4)
        Traceback (most recent call last):
        imgclf.errors.ArgumentError: channels=4 is not accepted: give 3 for colour or 1 for grey.
    """


class OptionError(ArgumentError):
    """An option of an architecture is unknown, of the wrong type or out of its bounds.

    Example:
        >>> imgclf.build_model("resnet9", (32, 32, 3), filters=0)
        Traceback (most recent call last):
        imgclf.errors.OptionError: ...
    """


class UnknownArchitectureError(ImgclfError, LookupError):
    """No installed architecture has this name.

    Example:
        >>> imgclf.build_model("resnt9", (32, 32, 3))
        Traceback (most recent call last):
        imgclf.errors.UnknownArchitectureError: ...Did you mean 'resnet9'?...
    """


class PluginError(ImgclfError, ImportError):
    """An installed architecture cannot be used; the message names its package.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.describe_architecture("a_plugin_that_needs_another_keras")
        ... except imgclf.PluginError as error:
        ...     print(error)
    """


class ContractError(ImgclfError, TypeError):
    """An architecture breaks the contract; the message names the layer or option at fault.

    Example:
        >>> imgclf.build_model(lambda input_shape: None, (32, 32, 3))
        Traceback (most recent call last):
        imgclf.errors.ContractError: ...
    """


class BackendError(ImgclfError, RuntimeError):
    """Keras runs on a backend other than TensorFlow.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.train("photos/")  # with KERAS_BACKEND=jax
        ... except imgclf.BackendError as error:
        ...     print(error)
    """


class DataError(ImgclfError, ValueError):
    """A folder of images cannot be trained on or evaluated; the message says what to change.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.train("photos/")  # one class only
        ... except imgclf.DataError as error:
        ...     print(error)
    """


class DataNotFoundError(DataError, FileNotFoundError):
    """A file or folder that was given does not exist.

    Example:
        >>> imgclf.check("missing/")
        Traceback (most recent call last):
        imgclf.errors.DataNotFoundError: ...
    """

    # FileNotFoundError's own __str__ expects (errno, text); a plain message must print as given.
    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class ImageError(ImgclfError, ValueError):
    """One image cannot be decoded.

    Attributes:
        reason: A short stable code such as ``"truncated"``; see `imgclf.data.pixels.decoder`.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     clf.predict(b"no image")
        ... except imgclf.ImageError as error:
        ...     print(error.reason)
    """

    def __init__(self, reason: str, message: str) -> None:
        """Keep the reason code beside the message."""
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        """Pickle with both arguments."""
        return (type(self), (self.reason, str(self)))


class WeightsError(ImgclfError, OSError):
    """Pretrained weights cannot be fetched or read; the message names the file and its place.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.build_model("mobilenet_v3", (96, 96, 3), weights="missing.h5")
        ... except imgclf.WeightsError as error:
        ...     print(error)
    """


class WriteError(ImgclfError, OSError):
    """A file or folder cannot be written: a full disk, a missing folder, no permission.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.train("photos/", run_dir="a_full_disk/run")
        ... except imgclf.WriteError as error:
        ...     print(error)
    """

    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class TrainingError(ImgclfError, RuntimeError):
    """A training failed; the message names the step and what to do.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.train("photos/", learning_rate=1e9)
        ... except imgclf.TrainingError as error:
        ...     print(error)
    """


class OutOfMemoryError(TrainingError, MemoryError):
    """There is not enough memory for a training step; the message names a batch size to try.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.train("photos/", image_size=(2048, 2048), batch_size=512)
        ... except imgclf.OutOfMemoryError as error:
        ...     print(error)
    """


class TuningError(ImgclfError, RuntimeError):
    """A search failed: its trials fail alike, or its processes cannot be started.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.tune("resnet9", train, val)
        ... except imgclf.TuningError as error:
        ...     print(error)
    """


class RunFolderError(ImgclfError, FileExistsError):
    """A run folder is in use by another process or already holds another run.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.train("photos/", run_dir="runs/first")  # for the second time
        ... except imgclf.RunFolderError as error:
        ...     print(error)
    """

    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class StudyError(ImgclfError, FileExistsError):
    """A study folder is in use, or already holds this or another study.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.tune("resnet9", train, val)  # for the second time
        ... except imgclf.StudyError as error:
        ...     print(error)
    """

    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class ExportError(ImgclfError, RuntimeError):
    """An export does not answer as the classifier does, or does not run.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     clf.export("pets.tflite", quantize="int8")
        ... except imgclf.ExportError as error:
        ...     print(error)
    """


class EngineError(ImgclfError, RuntimeError):
    """An engine cannot execute a network: it is not installed, or cannot convert or run it.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     LiteRtNetwork(b"no network")
        ... except imgclf.EngineError as error:
        ...     print(error)
    """


class ServingError(ImgclfError, RuntimeError):
    """A server cannot start: its address is taken, or what it is given does not fit.

    Example:
        >>> # imgclf serve pets.imgclf --host 0.0.0.0 raises it: exit code 1
        >>> issubclass(imgclf.ServingError, RuntimeError)
        True
    """


class ClusterError(ImgclfError, ConnectionError):
    """A Ray cluster cannot be reached, refuses the token, or no longer answers.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.tune("resnet9", "photos/", cluster="10.0.0.5:6379")
        ... except imgclf.ClusterError as error:
        ...     print(error)
    """

    def __str__(self) -> str:
        """Return the message as it was given."""
        return str(self.args[0]) if self.args else ""


class BundleError(ImgclfError, ValueError):
    """A classifier's file cannot be used: wrong format, damaged, too new, or of a missing plugin.

    Example:
        >>> try:                                                            # doctest: +SKIP
        ...     imgclf.load("new.jpg")
        ... except imgclf.BundleError as error:
        ...     print(error)
    """


class AccuracyError(ImgclfError, AssertionError):
    """A classifier is less accurate than required.

    Example:
        >>> # imgclf evaluate pets.imgclf photos/ --assert-accuracy 0.9 raises it: exit code 1
        >>> issubclass(imgclf.AccuracyError, AssertionError)
        True
    """


class DataWarning(UserWarning):
    """Images were left out, or were training images: the work goes on, its figures mean less.

    Python shows it once for each line that causes it; ``warnings.simplefilter`` silences it or
    makes it an error.

    Example:
        >>> import warnings
        >>> warnings.simplefilter("error", imgclf.DataWarning)         # doctest: +SKIP
    """


def warn_of(lines: Sequence[str]) -> None:
    """Warn of something about the images, at the line of the caller's code that asked for the work.

    Args:
        lines: What is to be said; nothing is for none.
    """
    if not lines:
        return
    frame, level = sys._getframe(), 0  # noqa: SLF001 - the documented way to the caller
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "imgclf":
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    warnings.warn("\n".join(lines), DataWarning, stacklevel=level + 1)


_REMEDIES = {
    errno.ENOSPC: "free some space, or give another place",
    errno.EDQUOT: "free some space, or give another place",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or give another place",
    errno.EACCES: "correct its permissions, or give another place",
    errno.EPERM: "correct its permissions, or give another place",
    errno.EROFS: "nothing can be written there; give another place",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ELOOP: "correct the links, which lead back to themselves",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOENT: "check the path",
    errno.EISDIR: "give the name of a file",
    errno.EINVAL: "give the name of a file",
}


def remedy_of(error: OSError, *, otherwise: str) -> str:
    """Say what to do about an error of the operating system.

    Args:
        error: The error.
        otherwise: What to do about one that is not known here.

    Returns:
        The end of a sentence.
    """
    return _REMEDIES.get(error.errno or 0, otherwise)


def in_one_line(error: BaseException) -> str:
    """Return the type and text of any exception as one line.

    Args:
        error: Any exception; those of Keras have many lines, with colours.

    Returns:
        Such as ``"ValueError: wrong shape"``.

    Example:
        >>> in_one_line(ValueError("  wrong   shape "))
        'ValueError: wrong shape'
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return " ".join(f"{type(error).__name__}: {text}".split()).removesuffix(":")
