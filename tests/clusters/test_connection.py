"""Connections to real clusters, in a network that has nothing but loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from imgclf.clusters import connection
from imgclf.errors import ArgumentError
from loopback_network import LoopbackNetwork
from ray_nodes import RayNodes

LOCAL = """
import json, os, signal, sys
from imgclf.clusters.connection import connect, require_ray

def state():
    handlers = [signal.getsignal(number) for number in range(1, 32)]
    return dict(os.environ), handlers, sys.excepthook, signal.signal

before = state()
ray = require_ray()
with connect("local") as cluster:
    assert state() == before, [item for item in zip(state(), before) if item[0] != item[1]]
    tell = ray.remote(lambda: (os.environ["RAY_AUTH_MODE"], len(os.environ["RAY_AUTH_TOKEN"])))
    told = ray.get(tell.remote(), timeout=60)
    print(json.dumps([told, len(cluster.nodes), cluster.nodes[0].cpus]), flush=True)
    sys.stdin.readline()
assert state() == before
assert not ray.is_initialized()
"""
"""Starts a local cluster, and ends it when a line comes."""

CONNECT = """
import sys, time
from imgclf.clusters import connection
from imgclf.errors import ImgclfError

connection.ANSWER_S = 4.0
try:
    with connection.connect(sys.argv[1]) as cluster:
        print("connected", flush=True)
        while True:
            time.sleep(0.1)
            cluster.require_answer()
except ImgclfError as error:
    print(type(error).__name__, error)
"""
"""Stays connected until the control service is silent."""


def start(network: LoopbackNetwork, env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    """Start Python in the network."""
    return subprocess.Popen(
        [*network.enter, sys.executable, "-c", *arguments], env=env, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def nodes(loopback_network: LoopbackNetwork) -> Iterator[RayNodes]:
    """Return a cluster of one node."""
    cluster = RayNodes(loopback_network)
    cluster.start_head()
    yield cluster
    cluster.close()


def test_a_local_cluster_changes_nothing_and_leaves_nothing(
    loopback_network: LoopbackNetwork,
) -> None:
    """Variables, signal handlers and hooks stay; it has a token, listens on loopback, and ends."""
    cluster = RayNodes(loopback_network)
    env = {name: value for name, value in cluster.env.items() if "AUTH" not in name}
    process = start(loopback_network, env, LOCAL)
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told, process.communicate()
        assert json.loads(told)[:2] == [["token", 64], 1]
        assert loopback_network.listeners()
        assert loopback_network.outward_listeners() == set()
        rest = process.communicate("\n", timeout=120)
        assert (process.returncode, *rest) == (0, "", "")
        assert cluster.wait_gone() == []
    finally:
        process.kill()
        cluster.close()


def test_a_wrong_token_and_a_wrong_port_are_refused_at_once(nodes: RayNodes) -> None:
    """Each in one line that says what to do; Ray itself would try for 20 s, or for ever."""
    wrong = {**nodes.env, "RAY_AUTH_TOKEN": "another"}
    none = {name: value for name, value in nodes.env.items() if "AUTH" not in name}
    began_s = time.monotonic()
    tried = [
        start(nodes.network, wrong, CONNECT, nodes.address),
        start(nodes.network, {**none, "HOME": str(nodes.folder)}, CONNECT, nodes.address),
        start(nodes.network, nodes.env, CONNECT, "127.0.0.1:6398"),
    ]
    printed = [process.communicate(timeout=120) for process in tried]
    assert printed[0][0].startswith(f"ClusterError The cluster {nodes.address} refuses the token")
    assert printed[1][0].startswith(f"ClusterError The cluster {nodes.address} refuses the token")
    assert printed[2][0].startswith("ClusterError There is no cluster at 127.0.0.1:6398")
    assert all(not errors and output.count("\n") == 1 for output, errors in printed)
    assert time.monotonic() - began_s < 100


def test_a_killed_control_service_ends_in_an_error(nodes: RayNodes) -> None:
    """By a deadline and in one line, in a process that goes on: Ray would end it."""
    process = start(nodes.network, nodes.env, CONNECT, nodes.address)
    assert process.stdout is not None
    assert process.stdout.readline() == "connected\n", process.communicate()
    assert nodes.network.outward_listeners() == set()
    nodes.kill(*nodes.processes("gcs_server"))
    began_s = time.monotonic()
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - began_s < 45
    assert output.startswith("ClusterError The control service of the cluster")
    assert (errors, process.returncode) == ("", 0)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the remedy."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ArgumentError, match=r"pip install 'imgclf\[ray\]'"):
        connection.require_ray()


def test_the_defaults_leave_time_before_ray_ends_the_process() -> None:
    """Ray gives up after 60 s of silence, and takes the process with it."""
    assert connection.ANSWER_S < connection.GIVE_UP_S < 60 - connection.SHUTDOWN_S
