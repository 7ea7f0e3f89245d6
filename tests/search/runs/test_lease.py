import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from search.runs import lease
from search.runs.lease import EXPIRES_S, Holder, Lease, RunError, holder, is_alive, process_birth


def write(run: Path, found: Holder) -> None:
    (run / "lease.json").write_text(json.dumps(asdict(found)), encoding="utf-8")


def mine(**changes: object) -> Holder:
    born = process_birth(os.getpid())
    assert born is not None
    holds = Holder(epoch=4, pid=os.getpid(), host=socket.gethostname(), born=born, heartbeat_s=time.time(), token="other")
    return replace(holds, **changes)  # type: ignore[arg-type]


def dead_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    first = Lease(tmp_path / "run")
    with pytest.raises(RunError, match=rf"process {os.getpid()} on this machine is driving this run already(.|\n)*tundish stop"):
        Lease(tmp_path / "run")
    first.check()
    first.release()
    Lease(tmp_path / "run").release()


def test_each_take_over_raises_the_epoch(tmp_path: Path) -> None:
    write(tmp_path, mine(pid=dead_process()))
    taken = Lease(tmp_path)
    assert taken.epoch == 5
    taken.release()
    again = Lease(tmp_path)
    assert again.epoch == 6
    again.release()


def test_the_dead_are_told_from_the_living() -> None:
    now_s = time.time()
    assert is_alive(mine(), now_s)
    assert is_alive(mine(heartbeat_s=0.0), now_s), "a process of this host that lives needs no heartbeat"
    assert not is_alive(mine(pid=dead_process()), now_s)
    assert not is_alive(mine(born="1"), now_s), "the number was given to a later process"
    assert not is_alive(mine(released=True), now_s)
    assert is_alive(mine(host="elsewhere"), now_s)
    assert not is_alive(mine(host="elsewhere", heartbeat_s=now_s - EXPIRES_S - 1), now_s)


def test_an_overtaken_driver_stops_and_leaves_the_lease_alone(tmp_path: Path) -> None:
    first = Lease(tmp_path)
    write(tmp_path, mine(epoch=2, host="elsewhere"))
    with pytest.raises(RunError, match=r"taken over by process \d+ on elsewhere"):
        first.check()
    first.release()
    found = holder(tmp_path)
    assert found is not None and found.host == "elsewhere" and not found.released


def test_the_heart_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "HEARTBEAT_S", 0.02)
    held = Lease(tmp_path)
    before = holder(tmp_path)
    deadline = time.monotonic() + 10
    while (now := holder(tmp_path)) is not None and before is not None and now.heartbeat_s == before.heartbeat_s:
        assert time.monotonic() < deadline, "no heartbeat"
        time.sleep(0.01)
    held.release()


def test_a_damaged_lease_names_its_cure(tmp_path: Path) -> None:
    (tmp_path / "lease.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match=r"lease\.json: not a readable lease(.|\n)*delete it"):
        Lease(tmp_path)
