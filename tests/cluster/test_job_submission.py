"""`ray job submit` against a real cluster on loopback, with a token, its own ports and its own temporary folder."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("search", "spaces", "trainables", "cluster", "reports")
BIN = Path(sys.executable).parent
# Ray takes 127.0.0.1 for "any address of this machine"; its neighbour stays on loopback.
LOOPBACK = "127.0.0.2"

pytestmark = [
    pytest.mark.service,
    pytest.mark.ray,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on loopback, and /proc"),
]


class Cluster(NamedTuple):
    """A head that runs, and how to reach it."""

    address: str
    environment: dict[str, str]
    folder: Path


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
    ports = [item.getsockname()[1] for item in sockets]
    for item in sockets:
        item.close()
    return ports


def _processes_naming(folder: Path) -> list[int]:
    """Finds the processes whose command line or environment names the cluster's own folder; nobody else's does."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit() or int(path.name) == os.getpid():
            continue
        try:
            said = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said:
            found.append(int(path.name))
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Starts a head with token authentication and ends what it started, and nothing else."""
    # Short: the path of a Unix socket below it holds 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="tundish-", dir="/tmp"))
    gcs, dashboard, agent, client = _free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTEST_", "OMP_", "MKL_"))}
    environment |= {
        "HOME": str(folder),
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    start = [str(BIN / "ray"), "start", "--head", "--block", "--disable-usage-stats", f"--node-ip-address={LOOPBACK}", f"--port={gcs}"]
    start += [f"--dashboard-host={LOOPBACK}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    start += [f"--ray-client-server-port={client}", f"--temp-dir={folder / 'ray'}", "--num-cpus=2", "--object-store-memory=100000000"]
    with (folder / "head.log").open("wb") as log:
        head = subprocess.Popen(start, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        _wait_for(head, dashboard, folder / "head.log")
        yield Cluster(address=f"http://{LOOPBACK}:{dashboard}", environment=environment, folder=folder)
    finally:
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(60)
        except subprocess.TimeoutExpired:
            head.kill()
            head.wait()
        for pid in _processes_naming(folder):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(head: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert head.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail(log.read_text(encoding="utf-8", errors="replace"))


@pytest.fixture(scope="module")
def checkout(cluster: Cluster) -> Path:
    """A copy of the packages with a study file beside them, as a user submits it."""
    folder = cluster.folder / "checkout"
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    study = subprocess.run([sys.executable, "-m", "search", "preset", "show", "demo"], cwd=folder, capture_output=True, text=True, check=True)
    (folder / "demo.yaml").write_text(study.stdout, encoding="utf-8")
    return folder


def _submit(cluster: Cluster, checkout: Path, *entrypoint: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ray"), "job", "submit", "--address", cluster.address, "--working-dir", ".", "--", *entrypoint]
    environment = cluster.environment | changes
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=1000, stdin=subprocess.DEVNULL)


def test_the_demo_study_runs_as_a_job_and_can_be_read_in_its_log(cluster: Cluster, checkout: Path) -> None:
    kept = cluster.folder / "kept"
    sets = [f"--set=storage.runs={kept / 'runs'}", f"--set=storage.store={kept / 'store'}"]
    done = _submit(cluster, checkout, "python", "-m", "search", "run", "demo.yaml", *sets)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "cluster at" in said and "real only" in said and "report.html" in said
    # A job's log is no terminal: no cursor movements, no table redrawn a hundred times.
    assert "\x1b[2K" not in said and "\x1b[1A" not in said
    report = kept / "runs" / "demo" / "report.html"
    assert report.stat().st_size > 100_000
    assert len(list((kept / "runs" / "demo" / "trials").glob("*/record.json"))) >= 12


def test_a_job_whose_study_fails_exits_non_zero_and_says_why(cluster: Cluster, checkout: Path) -> None:
    sets = ["--set=data.dataset=image_folder", "--set=data.path=/nowhere/at/all", "--set=study=lost"]
    done = _submit(cluster, checkout, "python", "-m", "search", "run", "demo.yaml", *sets)
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "/nowhere/at/all" in said and "exit code 3" in said


def test_a_job_with_another_token_is_turned_away(cluster: Cluster, checkout: Path) -> None:
    done = _submit(cluster, checkout, "python", "-c", "print('ran anyway')", RAY_AUTH_TOKEN=secrets.token_hex(32))
    assert done.returncode != 0 and "ran anyway" not in done.stdout and "token" in (done.stdout + done.stderr).lower()
