"""The nodes of a cluster, and how many tasks they have room for."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Demand", "Node", "most_at_once", "read_nodes"]

ALIVE = 0
"""The state of a node that lives (``GcsNodeInfo.ALIVE``)."""


@dataclass(frozen=True, slots=True)
class Node:
    """A living node of a cluster.

    Attributes:
        node_id: Ray's name of it, in hex digits.
        name: The name that people know it by, different for each node.
        cpus: Processors that it offers.
        gpus: GPUs that it offers.
        memory_bytes: Memory that it offers.
    """

    node_id: str
    name: str
    cpus: float
    gpus: float
    memory_bytes: float


@dataclass(frozen=True, slots=True)
class Demand:
    """What one task needs; Ray's scheduler reserves it.

    Attributes:
        cpus: Processors, 1 or more.
        gpus: GPUs; a fraction shares one.
        memory_bytes: Memory.
    """

    cpus: int = 1
    gpus: float = 0.0
    memory_bytes: int = 0

    def as_options(self) -> dict[str, float]:
        """Return the demand as options of `ray.remote`."""
        options = {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory_bytes}
        return {name: value for name, value in options.items() if value or name == "num_cpus"}

    def __str__(self) -> str:
        """Describe it in words."""
        parts = [f"{self.cpus} CPU(s)"]
        parts += [f"{self.gpus:g} GPU(s)"] if self.gpus else []
        parts += [f"{self.memory_bytes / 1e9:.1f} GB of memory"] if self.memory_bytes else []
        return " and ".join(parts)


def most_at_once(nodes: Iterable[Node], demand: Demand) -> int:
    """Return how many tasks of this kind the nodes can run at the same time."""
    return sum(_most_on(node, demand) for node in nodes)


def _most_on(node: Node, demand: Demand) -> int:
    offers = (
        (node.cpus, demand.cpus),
        (node.gpus, demand.gpus),
        (node.memory_bytes, demand.memory_bytes),
    )
    # Ray counts in ten-thousandths: ten times 0.1 are one.
    return min(math.floor(offer / need + 1e-4) for offer, need in offers if need)


def read_nodes(found: Mapping[Any, Any]) -> tuple[Node, ...]:
    """Return the living nodes of those that the control service lists by their ID."""
    alive = {key.hex(): row for key, row in found.items() if row.state == ALIVE}
    names = {node_id: _name(row) for node_id, row in alive.items()}
    counts = Counter(names.values())
    return tuple(
        Node(
            node_id,
            # Two nodes of one machine have its name.
            name if counts[name] == 1 else f"{name}-{node_id[:4]}",
            row.resources_total.get("CPU", 0.0),
            row.resources_total.get("GPU", 0.0),
            row.resources_total.get("memory", 0.0),
        )
        for (node_id, row), name in zip(alive.items(), names.values(), strict=True)
    )


def _name(row: Any) -> str:
    """Return the name given to ``ray start --node-name``, else the machine's."""
    given = str(row.node_name)
    return str(row.node_manager_hostname) if given in ("", row.node_manager_address) else given
