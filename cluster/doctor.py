"""Checks of a machine before a study spends time on it: each finding says what was seen and, where it matters, how to mend it."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import socket
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cluster.connect import ClusterError, wanted_address
from cluster.resources import GIB, detect

ROOMS = ("search", "spaces", "trainables", "cluster", "reports")
PACKAGES = ("torch", "torchvision", "ray", "optuna", "pyarrow", "numpy", "plotly")
LEAST_DISK_GIB = 2.0
LEAST_SHM_BYTES = 128 * 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: Literal["ok", "warning", "error"]
    seen: str
    cure: str = ""


def examine(*, folders: dict[str, str]) -> Iterator[Finding]:
    """Looks at everything in turn, the quick things first.

    Args:
        folders: what each is for -> path, such as {"runs": "runs", "store": "store"}; a URI is only named, not tried.
    """
    yield _python()
    yield _packages()
    yield _rooms()
    for purpose, folder in folders.items():
        yield _folder(purpose, folder)
    yield _shared_memory()
    yield _torch()
    yield _machine()
    yield _cluster()


def _python() -> Finding:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] < (3, 15)
    cure = "" if good else "Tundish is tested on Python 3.11 and runs on 3.11 to 3.14."
    return Finding(subject="python", state="ok" if good else "error", seen=f"{version} at {sys.executable}", cure=cure)


def _packages() -> Finding:
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(subject="packages", state="error", seen=f"missing: {', '.join(missing)}", cure="pip install -c constraints.txt -e .")
    return Finding(subject="packages", state="ok", seen=", ".join(found))


def _rooms() -> Finding:
    """Names as plain as `search` are easily shadowed by another folder on the path."""
    here = Path(__file__).resolve().parents[1]
    astray = []
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        if spec is None or spec.origin is None or Path(spec.origin).resolve().parents[1] != here:
            astray.append(f"{room} is {spec.origin if spec else 'missing'}")
    if astray:
        return Finding(
            subject="own packages",
            state="error",
            seen="; ".join(astray),
            cure=f"Another folder hides those of {here}: run from elsewhere, or rename it.",
        )
    return Finding(subject="own packages", state="ok", seen=str(here))


def _folder(purpose: str, folder: str) -> Finding:
    """Writes, reads back and removes a small file, and measures what is free."""
    if "://" in folder:
        return Finding(subject=purpose, state="ok", seen=f"{folder}: a remote store, not tried here")
    path = Path(folder).absolute()
    # A folder that does not exist yet is tried at its nearest parent, so that looking leaves nothing behind.
    while not path.exists():
        path = path.parent
    probe = path / f".tundish-{uuid.uuid4().hex}"
    try:
        probe.write_text("tundish", encoding="utf-8")
        intact = probe.read_text(encoding="utf-8") == "tundish"
        probe.unlink()
        if not intact:
            raise OSError("what was written is not what is read")
    except OSError as error:
        seen = f"{path}: {error.strerror or error}"
        return Finding(
            subject=purpose, state="error", seen=seen, cure=f"Make it writable, or name another folder: storage.{purpose} in the study file."
        )
    free = shutil.disk_usage(path).free / GIB
    if free < LEAST_DISK_GIB:
        return Finding(
            subject=purpose,
            state="warning",
            seen=f"{path}: {free:.1f} GiB free",
            cure="A study of a few hundred trials wants some GiB: free some space.",
        )
    return Finding(subject=purpose, state="ok", seen=f"{path}: writable, {free:.0f} GiB free")


def _shared_memory() -> Finding:
    path = Path("/dev/shm")
    if not path.is_dir():
        return Finding(subject="shared memory", state="ok", seen="no /dev/shm here; Ray uses its temporary folder")
    total = shutil.disk_usage(path).total
    seen = f"/dev/shm holds {total / 2**20:.0f} MiB"
    if total < LEAST_SHM_BYTES:
        return Finding(
            subject="shared memory", state="warning", seen=seen, cure="Ray falls back to the disk. In a container: docker run --shm-size=1g ..."
        )
    return Finding(subject="shared memory", state="ok", seen=seen)


def _torch() -> Finding:
    """A torchvision that does not match its torch fails only at import, with an error that names neither."""
    try:
        importlib.import_module("torch")
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError, OSError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        cure = "torch and torchvision must match: pip install -c constraints.txt torch torchvision"
        return Finding(subject="torch", state="error", seen=f"does not import ({said})", cure=cure)
    return Finding(subject="torch", state="ok", seen="torch and torchvision import together")


def _machine() -> Finding:
    try:
        machine = detect()
    except (ImportError, RuntimeError, OSError) as error:
        return Finding(subject="machine", state="error", seen=f"torch cannot be asked ({error})", cure="See above: torch.")
    gpus = ", ".join(f"{name} {size:.0f} GiB" for name, size in zip(machine.gpus, machine.gpu_memory_gib, strict=True)) or "no GPU"
    seen = f"{machine.cpus} CPUs, {machine.memory_gib:.0f} GiB, {gpus}, {'bf16' if machine.bf16 else 'no fast bf16: float32 is used'}"
    if machine.memory_gib < 4:
        return Finding(subject="machine", state="warning", seen=seen, cure="Each worker takes about 1 GiB: set resources.workers to 1.")
    return Finding(subject="machine", state="ok", seen=seen)


def _cluster() -> Finding:
    try:
        address = wanted_address()
    except ClusterError as error:
        seen, _, cure = str(error).partition("\n")
        return Finding(subject="cluster", state="error", seen=seen, cure=cure.strip())
    if address is None:
        return Finding(subject="cluster", state="ok", seen="RAY_ADDRESS is not set: studies start a Ray of their own on this machine")
    if address != "auto":
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except (OSError, ValueError) as error:
            return Finding(
                subject="cluster",
                state="error",
                seen=f"RAY_ADDRESS={address}: {error}",
                cure="Is it running, and reachable from here? Its form is host:6379.",
            )
    if os.environ.get("RAY_AUTH_MODE") != "token":
        cure = "Whoever reaches the port can run code there: start it with RAY_AUTH_MODE=token and give jobs the same token."
        return Finding(subject="cluster", state="warning", seen=f"RAY_ADDRESS={address} answers; RAY_AUTH_MODE is not token here", cure=cure)
    return Finding(subject="cluster", state="ok", seen=f"RAY_ADDRESS={address} answers; token authentication is on")
