"""`diagnose`: facts and problems of this machine and the installation."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from imgclf.data.store.cache import MAX_CACHE_BYTES, cache_folder, list_cache
from imgclf.doctor.installation import Package, read_packages, read_settings
from imgclf.machine.hardware import Processor, free_bytes, read_memory, read_processor
from imgclf.machine.terminal import shell_word
from imgclf.zoo.registry import Registration, find_architectures

__all__ = ["Diagnosis", "Problem", "diagnose"]

PROBE_TIMEOUT_S = 300
"""An import of TensorFlow takes 6 seconds, on a very busy machine minutes."""

NO_ANSWER = f"no answer within {PROBE_TIMEOUT_S} seconds"

LITTLE_MEMORY = 2 * 1024**3
LITTLE_DISK = 1 * 1024**3

Probe = Callable[..., dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of this machine or the installation.

    Attributes:
        severity: ``"error"``: imgclf does not work; ``"note"``: it is slower, or lacks a format.
        text: The problem.
        remedy: What to do.
    """

    severity: Literal["error", "note"]
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Facts and problems of a machine.

    Attributes:
        versions: imgclf, Python and the system.
        packages: Required and optional packages, with versions.
        processor: Name, cores and features.
        memory_bytes: Total memory, or the container's limit; None if unknown.
        memory_available_bytes: Available memory.
        tensorflow: Backend, GPUs, precision; ``{"fault": ...}`` if it does not run.
        onednn: Whether TensorFlow's oneDNN kernels are on.
        decoders: Fault of the decoder of each image format; empty if it works.
        cache: Folder, size, limit and free disk space in bytes.
        architectures: Number of built-in architectures.
        plugins: Name, package and fault of each architecture of a plugin.
        settings: Environment variables that are set and change what imgclf does.
        problems: The problems, errors first.
    """

    versions: Mapping[str, str]
    packages: tuple[Package, ...]
    processor: Processor
    memory_bytes: int | None
    memory_available_bytes: int | None
    tensorflow: Mapping[str, Any]
    onednn: bool
    decoders: Mapping[str, str]
    cache: Mapping[str, Any]
    architectures: int
    plugins: tuple[Mapping[str, str], ...]
    settings: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """Whether imgclf works: there is no error among the problems."""
        return not any(problem.severity == "error" for problem in self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        return {**asdict(self), "healthy": self.healthy}


def diagnose(probe: Probe | None = None) -> Diagnosis:
    """Check versions, devices, memory, decoders, cache and plugins; changes nothing.

    Args:
        probe: Checks TensorFlow, the decoders or a plugin; None does so in other processes.

    Returns:
        Facts and problems.
    """
    run = probe or _run_probe
    registrations = find_architectures()
    others = [item for claims in registrations.values() for item in claims if not item.builtin]
    with ThreadPoolExecutor(2) as pool:
        decoders = pool.submit(run, "decoders")
        tensorflow = pool.submit(run, "tensorflow")
        plugins = tuple(pool.map(lambda item: _check_plugin(item, run), others))
    try:
        own, packages = version("imgclf"), read_packages()
    except PackageNotFoundError:
        own, packages = "not installed", ()
    total, available = read_memory()
    facts: dict[str, Any] = {
        "versions": {
            "imgclf": own,
            "Python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "packages": packages,
        "processor": read_processor(),
        "memory_bytes": total,
        "memory_available_bytes": available,
        "tensorflow": tensorflow.result(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0",
        "decoders": decoders.result(),
        "cache": _describe_cache(),
        "architectures": sum(item.builtin for items in registrations.values() for item in items),
        "plugins": plugins,
        "settings": read_settings(),
    }
    problems = sorted(_problems(facts), key=lambda problem: problem.severity != "error")
    return Diagnosis(**facts, problems=tuple(problems))


def _run_probe(*arguments: str) -> dict[str, Any]:
    """Run `imgclf.doctor.probe` and return its answer, or how its process ended."""
    # -P: a json.py in the current folder must not be taken for Python's own.
    command = [sys.executable, "-P", "-m", "imgclf.doctor.probe", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"fault": NO_ANSWER}
    if done.returncode < 0:
        return {"fault": f"its process was ended by {signal.Signals(-done.returncode).name}"}
    last = (done.stdout if done.returncode == 0 else done.stderr).strip().rpartition("\n")[2]
    if done.returncode:
        return {"fault": last or f"its process ended with code {done.returncode}"}
    found: dict[str, Any] = json.loads(last)
    return found


def _check_plugin(item: Registration, run: Probe) -> dict[str, str]:
    return {
        "name": item.name,
        "package": str(item),
        "fault": str(run("plugin", item.name).get("fault", "")),
    }


def _describe_cache() -> dict[str, Any]:
    folder = cache_folder()
    try:
        entries, fault = list_cache(), _write_fault(folder)
    except OSError as error:
        entries, fault = [], f"{folder} cannot be read ({error.strerror})"
    return {
        "folder": str(folder),
        "size_bytes": sum(entry.size_bytes for entry in entries),
        "limit_bytes": MAX_CACHE_BYTES,
        "free_bytes": free_bytes(folder),
        "fault": fault,
    }


def _write_fault(folder: Path) -> str:
    place = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f"{place} cannot be written to ({error.strerror})"


def _problems(facts: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _package_problems(facts["packages"])
    yield from _tensorflow_problems(facts["tensorflow"], facts["processor"])
    if not facts["onednn"]:
        yield Problem(
            "note",
            "TF_ENABLE_ONEDNN_OPTS=0 turns TensorFlow's fast kernels off: 1.6 to 2.3 times slower.",
            "unset TF_ENABLE_ONEDNN_OPTS",
        )
    yield from _decoder_problems(facts["decoders"])
    yield from _place_problems(facts["cache"], facts["memory_bytes"])
    for plugin in facts["plugins"]:
        if plugin["fault"]:
            yield Problem(
                "error",
                f"The architecture {plugin['name']!r} of {plugin['package']} cannot be used: "
                f"{plugin['fault']}",
                f"pip install --upgrade {shell_word(plugin['package'].split()[0])}, or "
                "uninstall it",
            )


def _package_problems(packages: tuple[Package, ...]) -> Iterator[Problem]:
    if not packages:
        yield Problem(
            "error",
            "imgclf runs from a source folder without its metadata: no architecture is found.",
            "pip install -e . in that folder",
        )
    for package in packages:
        if not package.fits and not package.extra:
            found = "is missing" if package.installed is None else f"is {package.installed}"
            wanted = f"{package.name}{package.wanted}"
            yield Problem("error", f"{package.name} {found}.", f"pip install '{wanted}'")
        elif not package.fits and package.installed is not None:
            yield Problem(
                "note",
                f"{package.name} {package.installed} is not what imgclf[{package.extra}] needs.",
                f"pip install '{package.name}{package.wanted}'",
            )


def _tensorflow_problems(found: Mapping[str, Any], processor: Processor) -> Iterator[Problem]:
    if found.get("backend", "tensorflow") != "tensorflow":
        yield Problem(
            "error",
            f"Keras runs on the backend {found['backend']!r}; imgclf needs TensorFlow.",
            "export KERAS_BACKEND=tensorflow",
        )
        return
    if "fault" in found:
        fault = str(found["fault"])
        lacks_avx = processor.features is not None and "AVX2" not in processor.features
        if fault == NO_ANSWER:
            remedy = "run imgclf doctor again when the machine is less busy"
        elif "SIGILL" in fault and lacks_avx:
            remedy = "use a processor with AVX: TensorFlow's packages need it"
        else:
            remedy = "pip install --force-reinstall tensorflow keras, in a new environment"
        yield Problem("error", f"TensorFlow does not run: {fault}.", remedy)
        return
    if not found["computes"]:
        yield Problem(
            "error", "TensorFlow computes a convolution wrongly.", "unset TF_* and XLA_* variables"
        )
    if not found["gpus"] and _has_nvidia_gpu():
        yield Problem(
            "note",
            "This machine has an NVIDIA GPU that TensorFlow does not find.",
            "pip install 'tensorflow[and-cuda]'; check CUDA_VISIBLE_DEVICES",
        )


def _has_nvidia_gpu() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _decoder_problems(decoders: Mapping[str, str]) -> Iterator[Problem]:
    if "fault" in decoders:
        fault = f"Images cannot be decoded: {decoders['fault']}."
        yield Problem("error", fault, "pip install --force-reinstall pillow opencv-python-headless")
        return
    for name, fault in decoders.items():
        if fault and name == "HEIC":
            yield Problem("note", f"HEIC files cannot be read: {fault}.", "pip install pillow-heif")
        elif fault:
            yield Problem(
                "error", f"{name} files cannot be read: {fault}.", "pip install --upgrade pillow"
            )


def _place_problems(cache: Mapping[str, Any], memory_bytes: int | None) -> Iterator[Problem]:
    if cache["fault"]:
        yield Problem(
            "error",
            f"The cache folder cannot be used: {cache['fault']}.",
            "export IMGCLF_CACHE_DIR=/a/folder/of/yours",
        )
    free = cache["free_bytes"]
    if free is not None and free < LITTLE_DISK:
        yield Problem(
            "note",
            f"Only {free / 1e6:,.0f} MB are free on the disk of the cache.",
            "imgclf cache clear, or move it with IMGCLF_CACHE_DIR",
        )
    if memory_bytes is not None and memory_bytes < LITTLE_MEMORY:
        yield Problem(
            "note",
            f"The machine has {memory_bytes / 1e9:.1f} GB of memory; TensorFlow alone takes 0.6.",
            "train with --batch-size 8, or on another machine",
        )
