"""The provenance of a network's first weights: name, hash and package of each weights file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.errors import WeightsError
from imgclf.options import WITHOUT_WEIGHTS, Weights
from imgclf.packaged_weights import find_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgclf.options import Option, Value

__all__ = ["WeightsFile", "identify_weights"]


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file with a network's first weights.

    Attributes:
        name: The file's name, without its folder.
        sha256: Hash of its content, 64 hexadecimal digits.
        package: The installed package that it lay in; None for a file that was given.
        version: The package's version.
        licence: The file's licence, as SPDX writes it, where the package states it.
    """

    name: str
    sha256: str
    package: str | None = None
    version: str | None = None
    licence: str | None = None

    def __str__(self) -> str:
        """Say all that is known, in one line."""
        package = " ".join(filter(None, (self.package, self.version)))
        known = ", ".join(filter(None, (package, self.licence)))
        return f"{self.name}{known and f' ({known})'}, sha256 {self.sha256}"


def identify_weights(
    options: Sequence[Option], values: Mapping[str, Value]
) -> dict[str, WeightsFile]:
    """Name and hash the weights files that a network is built from.

    Args:
        options: What `imgclf.options.read_options` returned.
        values: A value for every option.

    Returns:
        The file of each `Weights` option that names one, or whose name stands for one in an
        installed package, which has the stated hash or is refused when it is read. Of weights that
        are fetched by name nothing is known.

    Raises:
        WeightsError: A file does not exist or cannot be read, or a package is not installed.

    Example:
        >>> identify_weights((), {"filters": 32})
        {}
    """
    files = {}
    for option in options:
        value = values[option.name]
        if not isinstance(option.range, Weights) or value == WITHOUT_WEIGHTS:
            continue
        if option.range.names_file(value):
            file = Path(str(value))
            files[option.name] = WeightsFile(file.name, _hash_of(file))
        elif option.range.packaged is not None:
            weights = option.range.packaged(values)
            files[option.name] = WeightsFile(
                weights.name,
                weights.sha256,
                weights.package,
                find_version(weights),
                weights.licence,
            )
    return files


def _hash_of(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"The weights file {file} does not exist: check the path.") from error
    except OSError as error:
        raise WeightsError(
            f"The weights file {file} cannot be read ({error.strerror}): check the path."
        ) from error
