"""Nodes: what they have room for, and what they are called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from imgclf.clusters.nodes import Demand, Node, most_at_once, read_nodes

NODES = (
    Node("a1", "a", 8.0, 2.0, 20e9),
    Node("b1", "b", 4.0, 0.0, 7.9e9),
    Node("c1", "c", 0.0, 0.0, 50e9),
)


def test_the_scarcest_resource_decides() -> None:
    """Processors, GPUs or memory, node by node: two halves on two nodes are no whole."""
    assert most_at_once(NODES, Demand()) == 12
    assert most_at_once(NODES, Demand(cpus=3)) == 3
    assert most_at_once(NODES, Demand(cpus=1, memory_bytes=int(2e9))) == 8 + 3
    assert most_at_once(NODES, Demand(cpus=1, gpus=1)) == 2
    assert most_at_once(NODES, Demand(cpus=1, gpus=0.2)) == 8
    assert most_at_once(NODES[:1], Demand(cpus=1, gpus=0.1)) == 8
    assert most_at_once(NODES, Demand(cpus=9)) == 0
    assert most_at_once((), Demand()) == 0


def test_a_demand_is_said_to_ray_and_in_words() -> None:
    """What is not needed is not declared."""
    assert Demand(2).as_options() == {"num_cpus": 2}
    demand = Demand(2, 0.5, int(3e9))
    assert demand.as_options() == {"num_cpus": 2, "num_gpus": 0.5, "memory": int(3e9)}
    assert str(demand) == "2 CPU(s) and 0.5 GPU(s) and 3.0 GB of memory"


def test_each_living_node_has_a_name_of_its_own() -> None:
    """The given name, else the machine's; with digits of the ID where a machine has two nodes."""

    def row(state: int = 0, name: str = "10.0.0.5", host: str = "first") -> Any:
        return SimpleNamespace(
            state=state, node_name=name, node_manager_address="10.0.0.5",
            node_manager_hostname=host, resources_total={"CPU": 2.0, "memory": 1e9},
        )  # fmt: skip

    found = {
        b"\x01\x02\x03": row(),
        b"\x04\x05\x06": row(),
        b"\x07\x08\x09": row(name="big"),
        b"\x0a\x0b\x0c": row(state=1, host="dead"),
    }
    nodes = read_nodes(found)
    assert [node.name for node in nodes] == ["first-0102", "first-0405", "big"]
    assert nodes[0] == Node("010203", "first-0102", 2.0, 0.0, 1e9)
