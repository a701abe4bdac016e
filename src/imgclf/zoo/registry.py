"""The registry of architectures, from the entry points of the installed packages."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import importlib.metadata
import inspect
import logging
import os
import re
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgclf.errors import ContractError, PluginError, UnknownArchitectureError, in_one_line
from imgclf.options import Option, read_options
from imgclf.zoo.isolation import isolated_import

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "ARCHITECTURE_NAME",
    "DISTRIBUTION_NAME",
    "VERSION",
    "Architecture",
    "ArchitectureDescription",
    "Registration",
    "blaming",
    "describe_architecture",
    "find_architectures",
    "installed_version",
    "list_architectures",
    "load_architecture",
    "place_of_error",
]

GROUP = "imgclf.architectures"
"""The entry-point group; a plugin's pyproject.toml names it."""

OWN_DISTRIBUTION = "imgclf"

ARCHITECTURE_NAME = r"^(?:\w[\w.-]{0,199}|<lambda>)$"
"""What an architecture may be called: as entry points are advised to be, never like a path."""

DISTRIBUTION_NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?$"
"""What a package may be called (packaging.python.org, "Names and normalization")."""

VERSION = r"^[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}$"
"""What a version may look like: the characters of PEP 440, in any order."""

_logger = logging.getLogger(__name__)


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
        source_sha256: Hash of the file that holds such a function, where there is one.
    """

    name: str
    function: Callable[..., Any]
    options: tuple[Option, ...]
    registration: Registration | None = None
    source_sha256: str | None = None


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

    Example:
        >>> import imgclf
        >>> imgclf.describe_architecture("three_conv").distribution
        'imgclf'
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
    for registration in filter(_is_recordable, _registrations()):
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

    A text is looked up among the entry points of the installed packages and nowhere else: names
    come out of files that strangers made, and no such file may choose what is imported.

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
        if not re.fullmatch(ARCHITECTURE_NAME, name):
            raise ContractError(
                f"The function {name[:100]!r} has a name that no classifier can record: give it "
                "one of letters, digits and underscores."
            )
        options = read_options(architecture, name)
        return Architecture(name, architecture, options, source_sha256=_hash_source(architecture))
    registration = _only_registration(architecture)
    function = _import(registration)
    with blaming(registration):
        options = read_options(function, architecture)
    return Architecture(architecture, function, options, registration)


@contextlib.contextmanager
def blaming(registration: Registration | None) -> Iterator[None]:
    """Add a plugin's distribution and version to the `ContractError` of its architecture.

    Args:
        registration: Where the architecture came from; nothing is added for a built-in or for
            a function that the caller passed.

    Yields:
        Nothing; read, build and check the architecture inside.

    Raises:
        ContractError: As raised inside.
    """
    try:
        yield
    except ContractError as error:
        if registration is None or registration.builtin:
            raise
        raise ContractError(f"{error} It comes from {registration}.") from error.__cause__


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
    summary, _, details = (inspect.getdoc(architecture.function) or "").partition("\n")
    return ArchitectureDescription(
        name=name,
        summary=summary.strip(),
        details=details.strip(),
        options=architecture.options,
        distribution=architecture.registration.distribution,
        version=architecture.registration.version,
    )


def installed_version(distribution: str) -> str | None:
    """Return the version of a package that is installed; None where it is not."""
    try:
        return importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None


def place_of_error(error: BaseException, function: Callable[..., Any]) -> str:
    """Say where in an architecture's own file an exception came from.

    Args:
        error: What the function raised.
        function: The function.

    Returns:
        Such as ``" at my_net.py:12"``; empty where its file is not known.
    """
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        return ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if file and frame.filename == file]
    return f" at {Path(str(file)).name}:{lines[-1]}" if lines else ""


def _hash_source(function: Callable[..., Any]) -> str | None:
    """Hash the file that a function stands in; None for one that was typed into a shell."""
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
        return hashlib.sha256(Path(file or "").read_bytes()).hexdigest()
    except (OSError, TypeError):
        return None


def _registrations() -> Iterator[Registration]:
    """Read the architectures of every distribution; one with damaged metadata hurts only itself.

    `importlib.metadata.entry_points` would raise for all when one file on ``sys.path`` is damaged.
    """
    for distribution in importlib.metadata.distributions():
        try:
            entry_points = distribution.entry_points.select(group=GROUP)
            if entry_points:
                package, version = str(distribution.name), str(distribution.version)
                yield from (Registration(ep.name, package, version, ep) for ep in entry_points)
        except Exception as error:  # noqa: BLE001 - parsers of damaged text raise anything
            where = getattr(distribution, "_path", "an unnamed package")
            _warn_once(f"The metadata of {where} cannot be read ({in_one_line(error)}).")


def _is_recordable(registration: Registration) -> bool:
    """Tell whether a classifier can record where it came from; a log warning names what cannot."""
    texts = (
        (registration.name, ARCHITECTURE_NAME),
        (registration.distribution, DISTRIBUTION_NAME),
        (registration.version, VERSION),
    )
    for text, pattern in texts:
        if not re.fullmatch(pattern, text):
            _warn_once(
                f"The architecture {registration.name!r} of {registration.distribution!r} "
                f"{registration.version!r} is left out: {text!r} is no usual name or version."
            )
            return False
    return True


def _claims(name: str, registrations: tuple[Registration, ...]) -> tuple[Registration, ...]:
    """Give a built-in name to imgclf alone."""
    own = tuple(registration for registration in registrations if registration.builtin)
    if own:
        for registration in registrations:
            if not registration.builtin:
                _warn_once(
                    f"{registration} declares the architecture {name!r}, which is built in; "
                    "the plugin's is left out."
                )
    return own or registrations


@functools.cache
def _warn_once(message: str) -> None:
    """Log a warning, the same one only once in a process: listings happen often."""
    _logger.warning(message)


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
    if ".py:" in name:
        return (
            f"{name!r} is no name of an installed architecture. A function of a file is taken "
            "where it is typed as --arch path/to/file.py:function, or passed as the function "
            "itself."
        )
    close = difflib.get_close_matches(name, installed, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"Unknown architecture {name!r}.{hint} Installed: {', '.join(installed)}."


def _import(registration: Registration) -> Callable[..., Any]:
    """Import one entry point; whatever goes wrong hurts only its own name."""
    load = registration.entry_point.load
    try:
        if registration.builtin:
            function = load()
        else:
            with isolated_import(str(registration)):
                function = load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # A plugin may even call sys.exit at import.
        raise PluginError(
            f"The architecture {registration.name!r} of {registration} cannot be imported "
            f"({in_one_line(error)}): repair or uninstall {registration.distribution}."
        ) from error
    if not callable(function):
        raise PluginError(
            f"The architecture {registration.name!r} of {registration} is "
            f"{type(function).__name__}, not a function: repair its entry point "
            f"{registration.entry_point.value!r}."
        )
    return function  # type: ignore[no-any-return]
