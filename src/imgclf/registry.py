"""Name -> architecture, through the entry points of the installed packages."""

from __future__ import annotations

import difflib
import importlib.metadata
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from imgclf.errors import PluginError, UnknownArchitectureError
from imgclf.options import Option, read_options

__all__ = [
    "Architecture",
    "ArchitectureDescription",
    "Registration",
    "describe_architecture",
    "find_architectures",
    "list_architectures",
    "load_architecture",
]

GROUP = "imgclf.architectures"
"""The entry-point group; a plugin's pyproject.toml names it."""

OWN_DISTRIBUTION = "imgclf"

_logger = logging.getLogger("imgclf")


@dataclass(frozen=True, slots=True)
class Registration:
    """One line of one package's metadata: a name and where its function lies.

    Attributes:
        name: The architecture's name.
        distribution: The package that declares it.
        version: That package's version.
        entry_point: What the metadata says; nothing is imported until it is loaded.
    """

    name: str
    distribution: str
    version: str
    entry_point: importlib.metadata.EntryPoint = field(repr=False)

    @property
    def builtin(self) -> bool:
        """Whether it belongs to imgclf itself."""
        return _normalised(self.distribution) == OWN_DISTRIBUTION

    def __str__(self) -> str:
        """Name the package and version, as errors do."""
        return f"{self.distribution} {self.version}"


@dataclass(frozen=True, slots=True)
class Architecture:
    """A loaded architecture: its function and what it can be asked for.

    Attributes:
        name: The name under which it was found, or the function's own.
        function: ``function(input_shape, num_classes, **options) -> keras.Model``.
        options: Its options, in the order of its signature.
        registration: Where it came from; None for a function that the caller passed.
    """

    name: str
    function: Callable[..., Any]
    options: tuple[Option, ...]
    registration: Registration | None = None


@dataclass(frozen=True, slots=True)
class ArchitectureDescription:
    """What `describe_architecture` tells.

    Attributes:
        name: The architecture's name.
        summary: The first line of its docstring.
        details: The rest of its docstring.
        options: Its options with bounds, search values and defaults.
        distribution: The package that provides it.
        version: That package's version.
    """

    name: str
    summary: str
    details: str
    options: tuple[Option, ...]
    distribution: str
    version: str


def find_architectures() -> dict[str, tuple[Registration, ...]]:
    """Read which architectures the installed packages declare, importing none of them.

    A name of imgclf's own belongs to imgclf: a plugin that claims it is left out and named in a
    log warning. With ``IMGCLF_PLUGINS=off`` in the environment only the built-ins are found.

    Returns:
        The registrations of each name, sorted by name; more than one is a conflict.
    """
    found: dict[str, dict[str, Registration]] = {}
    for entry_point in importlib.metadata.entry_points(group=GROUP):
        registration = _register(entry_point)
        if registration.builtin or _plugins_allowed():
            # One package seen twice on sys.path (an editable install, say) is no conflict.
            package = _normalised(registration.distribution)
            found.setdefault(registration.name, {}).setdefault(package, registration)
    return {name: _claims(name, tuple(found[name].values())) for name in sorted(found)}


def list_architectures() -> list[str]:
    """List the names of all installed architectures, importing none of them.

    Returns:
        Sorted names, each accepted by `imgclf.build_model`.

    Example:
        >>> import imgclf
        >>> "three_conv" in imgclf.list_architectures()
        True
    """
    return list(find_architectures())


def load_architecture(architecture: str | Callable[..., Any]) -> Architecture:
    """Import the one architecture that is asked for and read its options.

    Args:
        architecture: An installed name, or an architecture function itself.

    Returns:
        The function with its options.

    Raises:
        UnknownArchitectureError: No installed package declares the name.
        PluginError: Two packages declare it, or importing it failed; both are named.
        ContractError: The function's signature declares unusable options.
    """
    if not isinstance(architecture, str):
        name = getattr(architecture, "__name__", type(architecture).__name__)
        return Architecture(name, architecture, read_options(architecture, name))
    registration = _only_registration(architecture)
    function = _import(registration)
    return Architecture(architecture, function, read_options(function, architecture), registration)


def describe_architecture(name: str) -> ArchitectureDescription:
    """Describe one architecture: what it is, its options, bounds, defaults and search values.

    Args:
        name: An installed architecture's name, one of `list_architectures`.

    Returns:
        The description.

    Raises:
        UnknownArchitectureError: No installed package declares the name.
        PluginError: It is declared but cannot be imported.

    Example:
        >>> import imgclf
        >>> [option.name for option in imgclf.describe_architecture("three_conv").options][:2]
        ['filters', 'pooling']
    """
    architecture = load_architecture(name)
    assert architecture.registration is not None
    summary, _, details = (architecture.function.__doc__ or "").strip().partition("\n")
    return ArchitectureDescription(
        name=name,
        summary=summary.strip(),
        details=details.strip(),
        options=architecture.options,
        distribution=architecture.registration.distribution,
        version=architecture.registration.version,
    )


def _register(entry_point: importlib.metadata.EntryPoint) -> Registration:
    distribution = entry_point.dist
    name = distribution.name if distribution is not None else "an unnamed package"
    version = distribution.version if distribution is not None else "(no version)"
    return Registration(entry_point.name, name, version, entry_point)


def _claims(name: str, registrations: tuple[Registration, ...]) -> tuple[Registration, ...]:
    """Give a built-in name to imgclf alone."""
    own = tuple(registration for registration in registrations if registration.builtin)
    if own:
        for registration in registrations:
            if not registration.builtin:
                _logger.warning(
                    "%s declares the architecture %r, which is built in; the plugin's is left out.",
                    registration,
                    name,
                )
    return own or registrations


def _plugins_allowed() -> bool:
    return os.environ.get("IMGCLF_PLUGINS", "on").lower() not in ("off", "0", "false")


def _normalised(distribution: str) -> str:
    """Return a package name in the one spelling that PEP 503 gives it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _only_registration(name: str) -> Registration:
    found = find_architectures()
    if name not in found:
        raise UnknownArchitectureError(_unknown_message(name, list(found)))
    registrations = found[name]
    if len(registrations) > 1:
        owners = " and ".join(str(registration) for registration in registrations)
        raise PluginError(
            f"The architecture {name!r} is declared by {owners}: uninstall one of them, "
            "or pass the function itself."
        )
    return registrations[0]


def _unknown_message(name: str, installed: list[str]) -> str:
    if not installed:
        return (
            f"Unknown architecture {name!r}: none is installed. imgclf runs from a source folder "
            "without its metadata; install it with: pip install -e ."
        )
    close = difflib.get_close_matches(name, installed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Unknown architecture {name!r}.{hint} Installed: {', '.join(installed)}."


def _import(registration: Registration) -> Callable[..., Any]:
    """Import one entry point; whatever goes wrong hurts only its own name."""
    try:
        function = registration.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # A plugin may even call sys.exit at import.
        raise PluginError(
            f"The architecture {registration.name!r} of {registration} cannot be imported "
            f"({type(error).__name__}: {error}): repair or uninstall {registration.distribution}."
        ) from error
    if not callable(function):
        raise PluginError(
            f"The architecture {registration.name!r} of {registration} is "
            f"{type(function).__name__}, not a function: repair its entry point "
            f"{registration.entry_point.value!r}."
        )
    return function  # type: ignore[no-any-return]
