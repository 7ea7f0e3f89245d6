"""Connecting to Ray: the cluster that `RAY_ADDRESS` names (as inside `ray job submit`), or else a Ray of our own on this machine."""

import logging
import os
import socket
from dataclasses import dataclass

KNOCK_S = 10.0
"""How long a cluster's address may take to answer."""
LOCAL_OBJECT_STORE_BYTES = 150 * 2**20
"""A local Ray holds hardly any objects: trials exchange results through the store. Ray's own default is a third of the memory."""


class ClusterError(Exception):
    """A cluster that cannot be reached or used: says which, why and how to mend it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """The Ray this process is connected to."""

    address: str
    """host:port of the cluster's GCS."""
    local: bool
    """True for a Ray that this process started and that ends with it."""
    nodes: int
    cpus: float
    gpus: float

    def describe(self) -> str:
        """Says in a phrase where trials run."""
        place = "this machine" if self.local else f"cluster at {self.address} ({self.nodes} node{'s' if self.nodes != 1 else ''})"
        return f"{place}, {self.cpus:g} CPUs" + (f", {self.gpus:g} GPUs" if self.gpus else "")


def wanted_address() -> str | None:
    """Gives the cluster that the environment names; None asks for a Ray of our own.

    Raises:
        ClusterError: the address is one of Ray Client, whose drivers cannot run Tune.
    """
    address = os.environ.get("RAY_ADDRESS", "").strip()
    if address.startswith("ray://"):
        raise ClusterError(
            f"RAY_ADDRESS={address}: Ray Client addresses are not supported.\n"
            "  Submit the study instead: ray job submit --working-dir . -- python -m search run STUDY.yaml"
        )
    return None if address in ("", "local") else address


def connect(*, num_cpus: int | None = None, num_gpus: int | None = None) -> Connection:
    """Connects this process to Ray, or gives the connection it already has.

    Args:
        num_cpus: processors of a local Ray; None takes what the machine has. Ignored on a cluster, which knows its own.
        num_gpus: accelerators of a local Ray; None lets Ray look.

    Raises:
        ClusterError: the cluster does not answer, wants another token, or a local Ray does not start.
    """
    # Nothing about a study leaves the machine, and Tune is used without Train's new settings.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    # A local Ray makes its own token, and warns that it did.
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
    address = wanted_address()
    if not ray.is_initialized():
        try:
            if address is not None:
                _knock(address)
                ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
            else:
                ray.init(
                    address="local",
                    num_cpus=num_cpus,
                    num_gpus=num_gpus,
                    object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.WARNING,
                )
        except Exception as error:
            # Ray says with a bare Exception, too, that a machine was too busy to start it.
            raise ClusterError(_explain(address, error)) from error
    resources = ray.cluster_resources()
    return Connection(
        address=str(ray.get_runtime_context().gcs_address),
        local=address is None,
        nodes=sum(1 for node in ray.nodes() if node["Alive"]),
        cpus=resources.get("CPU", 0.0),
        gpus=resources.get("GPU", 0.0),
    )


def disconnect() -> None:
    """Leaves the cluster; ends a local Ray that this process started."""
    import ray

    if ray.is_initialized():
        ray.shutdown()


def _knock(address: str) -> None:
    """Finds out at once that nobody answers; Ray itself would try for minutes.

    Raises:
        OSError: nobody answers.
    """
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_S).close()


def _explain(address: str | None, error: Exception) -> str:
    """Turns what Ray says into what can be done about it."""
    said = str(error).strip().splitlines()
    first = said[0] if said else type(error).__name__
    if address is None:
        return (
            f"Ray did not start on this machine ({first}).\n"
            "  Where it is merely busy, run the same command again. `tundish doctor` looks for other causes; `--inline` runs the study without Ray."
        )
    if any(word in str(error).lower() for word in ("token", "unauthenticated", "unauthorized")):
        cure = "Give the cluster's token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE (or RAY_AUTH_TOKEN)."
    else:
        cure = "Is it running, and reachable from here? Unset RAY_ADDRESS to use this machine alone."
    return f"RAY_ADDRESS={address}: no connection to the cluster ({first}).\n  {cure}"
