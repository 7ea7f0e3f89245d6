"""Lives of a study, one after the other, and their ends: born in a nursery or as programs, killed by their own process id."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers
from search.runs.lease import process_birth

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
DEADLINE_S = 600.0
"""No life of these studies is longer, on however busy a machine."""


def environment(notes: Path, **more: str) -> dict[str, str]:
    """Gives what every process of a study needs: the code, and where notes are left."""
    known = {"PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", "CHAOS_NOTES": str(notes), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    return os.environ | known | more


class Folder:
    """Where a study lives: its file, run, store and notes."""

    def __init__(self, folder: Path, text: str) -> None:
        folder.mkdir(exist_ok=True)
        self.root, self.run, self.store = folder, folder / "runs" / "chaos", folder / "store"
        self.log = folder / "log.txt"
        (folder / "study.yaml").write_text(text, encoding="utf-8")

    def words(self, *more: str, faulty: bool = True) -> list[str]:
        """Gives the command line of a life; with `faulty`, the store is seen through faults."""
        store = f"chaos://{self.store}" if faulty else str(self.store)
        return ["run", str(self.root / "study.yaml"), "--set", f"storage.store={store}", "--set", f"storage.runs={self.root / 'runs'}", *more]

    def ended(self) -> int:
        """Counts trials that have a record."""
        return len(list(self.run.glob("trials/*/record.json")))

    def told(self, name: str) -> list[str]:
        """Reads lines that processes noted."""
        path = self.root / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def is_endangered(self) -> bool:
        """Says whether a running trial has lost as many workers as it may without being failed for it."""
        for folder in self.run.glob("trials/*"):
            if not (folder / "record.json").exists() and (folder / "attempts.json").exists():
                if json.loads((folder / "attempts.json").read_text(encoding="utf-8"))["lost"] >= 2:
                    return True
        return False

    def workers(self) -> list[int]:
        """Lists processes that have run a trial and are alive, by number and birth."""
        found = [(int(path.name), path.read_text(encoding="utf-8")) for path in (self.root / "workers").glob("*")]
        return sorted(number for number, born in found if born and process_birth(number) == born)

    def records(self) -> dict[int, tuple[Asked, Record]]:
        """Reads every trial, each of which must have ended."""
        found = {}
        for number in trial_numbers(self.run):
            asked, record = read_record(trial_folder(self.run, number), Asked), read_record(trial_folder(self.run, number), Record)
            assert asked is not None and record is not None, number
            found[number] = (asked, record)
        return found

    def publications(self) -> dict[str, str]:
        """Says which attempt each readable publication names."""
        found = {}
        for path in sorted(self.store.rglob("done.json")):
            try:
                found[str(path.parent.relative_to(self.store))] = json.loads(path.read_bytes())["attempt"]
            except ValueError:
                continue  # Torn: it names nothing.
        return found


class Life:
    """A life that has begun. Its process is known by its number, and only that is ever killed."""

    pid: int

    def code(self) -> int | None:
        """Gives the exit code, negative for a signal; None while it lives."""
        raise NotImplementedError

    def kill(self) -> None:
        """Kills it."""
        if self.code() is None:
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Waits for its end."""
        deadline = time.monotonic() + DEADLINE_S
        while (code := self.code()) is None:
            assert time.monotonic() < deadline, "a life without end"
            time.sleep(0.02)
        return code


class Born(Life):
    """A fork of the nursery."""

    def __init__(self, nursery: "Nursery", pid: int) -> None:
        self.pid, self._nursery, self._code = pid, nursery, None

    def code(self) -> int | None:
        if self._code is None and (line := self._nursery.line(0.0)) is not None:
            self._code = int(line.split()[1])
        return self._code


class Program(Life):
    """A process of its own."""

    def __init__(self, words: list[str], known: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self._process = subprocess.Popen([sys.executable, str(HERE / "chaos_study.py"), *words], env=dict(known), stdout=file, stderr=file)
        self.pid = self._process.pid

    def code(self) -> int | None:
        return self._process.poll()


class Nursery:
    """A process that has imported everything, and forks a life when it is told to: a start then takes no seconds."""

    def __init__(self, folder: Folder) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "chaos_study.py"), "--nursery", str(folder.root / "study.yaml")],
            env=environment(folder.root),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        self._rest = b""
        assert self.line(DEADLINE_S) == "ready"

    def line(self, wait_s: float) -> str | None:
        """Gives its next line; None where none came in time."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + wait_s
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                return None
            data = self._process.stdout.read(4096)
            assert data, "the nursery has died"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def bear(self, words: list[str], known: Mapping[str, Any], log: Path) -> Born:
        """Begins a life."""
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps({"words": words, "environment": dict(known), "log": str(log)}) + "\n").encode())
        line = self.line(DEADLINE_S)
        assert line is not None and line.startswith("born")
        return Born(self, int(line.split()[1]))

    def close(self) -> None:
        """Ends it, once its last life has ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(DEADLINE_S)
        self._process.stdout.close()
