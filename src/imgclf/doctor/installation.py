"""The installation: packages, extras, environment variables."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

__all__ = ["Package", "read_packages", "read_settings"]

NOT_FOR_USERS = ("bench", "dev", "docs")
"""Extras for the development of imgclf itself."""

SETTINGS = re.compile(
    r"IMGCLF_\w+|KERAS_\w+|XLA_FLAGS|CUDA_VISIBLE_DEVICES|NO_COLOR|OMP_NUM_THREADS|MALLOC_\w+"
    r"|TF_(XLA_FLAGS|USE_LEGACY_KERAS|DETERMINISTIC_OPS|NUM_\w+|GPU_\w+|FORCE_GPU_\w+)"
)
"""Environment variables that change what imgclf does; oneDNN's has a line of its own."""


@dataclass(frozen=True, slots=True)
class Package:
    """One required or optional package.

    Attributes:
        name: Name on the package index.
        wanted: Accepted versions, such as ``">=3.12,<4"``; empty for any.
        installed: Installed version; None if it is not installed.
        extra: The extra that installs it; empty for a required package.
        fits: Whether the installed version is accepted.
    """

    name: str
    wanted: str
    installed: str | None
    extra: str
    fits: bool


def read_packages() -> tuple[Package, ...]:
    """List the packages that are required on this system, and those of the extras for users.

    Raises:
        PackageNotFoundError: imgclf itself is not installed.
    """
    from packaging.requirements import Requirement

    listed = []
    for text in requires("imgclf") or ():
        requirement = Requirement(text)
        extra = re.search(r"extra\s*==\s*[\"']([\w-]+)[\"']", str(requirement.marker or ""))
        if extra and extra[1] in NOT_FOR_USERS:
            continue
        asked = {"extra": extra[1] if extra else ""}
        if requirement.marker and not requirement.marker.evaluate(asked):
            continue  # There is none for this system.
        try:
            installed: str | None = version(requirement.name)
        except PackageNotFoundError:
            installed = None
        fits = installed is not None and requirement.specifier.contains(installed, prereleases=True)
        wanted = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        listed.append(Package(requirement.name, wanted, installed, extra[1] if extra else "", fits))
    return tuple(listed)


def read_settings() -> dict[str, str]:
    """Return the environment variables that are set and change what imgclf does."""
    return {name: value for name, value in sorted(os.environ.items()) if SETTINGS.fullmatch(name)}
