"""Facts of the machine: processor, memory, free disk space."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = [
    "Processor",
    "available_processors",
    "cpu_flags",
    "free_bytes",
    "read_memory",
    "read_processor",
]

FEATURES = {
    "AVX2": frozenset({"avx2"}),
    "AVX512": frozenset({"avx512f"}),
    "AVX512-BF16": frozenset({"avx512_bf16"}),
    "AMX-BF16": frozenset({"amx_bf16"}),
    "NEON": frozenset({"asimd"}),
}
"""What decides how fast small networks train, by the flags that Linux gives it."""


@dataclass(frozen=True, slots=True)
class Processor:
    """The processor.

    Attributes:
        name: Its model.
        num_cores: Logical processors that this process may use.
        features: Which of `FEATURES` it has; None where the system does not say.
    """

    name: str
    num_cores: int
    features: tuple[str, ...] | None


def read_processor() -> Processor:
    """Look at the processor."""
    flags = cpu_flags()
    found = tuple(name for name, wanted in FEATURES.items() if wanted <= flags)
    return Processor(_processor_name(), available_processors(), found if flags else None)


def available_processors() -> int:
    """Count the logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def cpu_flags() -> frozenset[str]:
    """Return the processor's feature flags; empty where the system does not list them."""
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", _cpuinfo(), re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def read_memory() -> tuple[int | None, int | None]:
    """Return the memory in bytes, whole and available; None where the system does not say.

    The limit of a container counts as the whole.
    """
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return None, None
    total, available = (
        int(match[1]) * 1024 if (match := re.search(rf"^{name}:\s*(\d+) kB", text, re.M)) else None
        for name in ("MemTotal", "MemAvailable")
    )
    limit = _container_limit()
    if limit is not None and total is not None and limit < total:
        return limit, min(limit, available or limit)
    return total, available


def free_bytes(folder: Path) -> int | None:
    """Return the free bytes of the disk that a folder, which need not exist yet, will lie on."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return shutil.disk_usage(place).free
    return None


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""


def _processor_name() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    return match[1].strip() if match else platform.processor() or platform.machine()


def _container_limit() -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    for file in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((Path("/sys/fs/cgroup") / file).read_text())
        except (OSError, ValueError):  # absent, or "max"
            continue
    return None
