"""Questions to a cluster's control service (GCS), each with a deadline.

Ray's public calls wait without end for a control service that is gone, and after a minute end
the whole process; those of its own client take a timeout.
"""

from __future__ import annotations

import secrets
import socket
from typing import Any

from imgclf.clusters.address import ClusterAddress, parse_address
from imgclf.clusters.nodes import Node, read_nodes
from imgclf.errors import ClusterError
from imgclf.machine.startup import silenced_stderr

__all__ = ["ask_for_nodes", "find_service", "forget_token", "require_service"]

PORT_S = 5.0
"""How long to wait for a connection."""

QUESTION_S = 3.0
"""How long to wait for an answer."""

CLUSTER_ID_BYTES = 28


def find_service(address: ClusterAddress) -> ClusterAddress:
    """Return where Ray will look for the control service: it takes no loopback address as given.

    Raises:
        ClusterError: This machine belongs to no cluster.
    """
    from ray._private.services import canonicalize_bootstrap_address

    try:
        with silenced_stderr():
            return parse_address(canonicalize_bootstrap_address(address.text))
    except (ConnectionError, OSError) as error:
        if address.host:
            raise ClusterError(f"The host {address.host!r} is unknown ({error}).") from error
        raise ClusterError(
            "This machine belongs to no cluster: join one with ray start --address=HOST:PORT, or "
            "give its address."
        ) from error


def require_service(address: ClusterAddress) -> None:
    """Refuse an address that does not lead to the control service of a cluster with our token.

    Raises:
        ClusterError: Nobody listens there, it is not Ray, or it refuses the token.
    """
    from ray._raylet import GcsClient
    from ray.exceptions import AuthenticationError, RpcError

    try:
        socket.create_connection((address.host, address.port), PORT_S).close()
    except OSError as error:
        raise ClusterError(
            f"There is no cluster at {address.text} ({error.strerror or error}): start one with "
            f"ray start --head --port={address.port}, or correct the address."
        ) from error
    try:
        with silenced_stderr():
            # A made-up ID of the cluster: whoever asks for the real one is kept waiting for 20 s
            # where the token is wrong. The token is checked first, and the ID refused after it.
            made_up = secrets.token_hex(CLUSTER_ID_BYTES)
            client = GcsClient(address=address.text, cluster_id=made_up)
            client.internal_kv_get(b"", None, timeout=QUESTION_S)
    except (AuthenticationError, RpcError) as error:
        if "WrongClusterID" in str(error):
            return
        if isinstance(error, AuthenticationError):
            raise ClusterError(
                f"The cluster {address.text} refuses the token, or its lack: put the cluster's own "
                "into ~/.ray/auth_token, or set RAY_AUTH_TOKEN."
            ) from error
        raise ClusterError(
            f"What listens at {address.text} does not answer as a Ray cluster does: give the "
            "address that ray start --head printed."
        ) from error


def ask_for_nodes() -> tuple[Node, ...] | None:
    """Return the living nodes of the connected cluster; None where no answer came in time."""
    from ray._private.worker import global_worker
    from ray.exceptions import RpcError

    try:
        found: dict[Any, Any] = global_worker.gcs_client.get_all_node_info(timeout=QUESTION_S)
    except RpcError:
        return None
    return read_nodes(found)


def forget_token() -> None:
    """Let Ray read mode and token anew: it keeps those that it has once seen."""
    from ray._raylet import AuthenticationTokenLoader, Config

    # In this order: a thread that still reads the token must not find the mode without one.
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()
