"""The provenance of a network's first weights: name and hash of each weights file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imgclf.errors import WeightsError
from imgclf.options import Weights

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
    """

    name: str
    sha256: str


def identify_weights(
    options: Sequence[Option], values: Mapping[str, Value]
) -> dict[str, WeightsFile]:
    """Hash the weights files that a network was built from.

    Args:
        options: What `imgclf.options.read_options` returned.
        values: A value for every option.

    Returns:
        The file of each `Weights` option that names one; weights known by name have none: their
        package decides their content.

    Raises:
        WeightsError: A file does not exist or cannot be read.

    Example:
        >>> identify_weights((), {"filters": 32})
        {}
    """
    files = {}
    for option in options:
        value = values[option.name]
        if isinstance(option.range, Weights) and option.range.names_file(value):
            file = Path(str(value))
            files[option.name] = WeightsFile(file.name, _hash_of(file))
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
