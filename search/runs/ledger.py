"""The ledger of a run: what was asked, what has finished, how often it was tried. The records on disk are the truth; one driver at a time writes.

Called by the asker alone while a run is driven. Everything is read from the folder at the start, and each write asks the lease first.
"""

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from reports.records import Asked, Record, append_whole, read_record, trial_folder, trial_numbers, write_json, write_record, write_whole
from search.runs.lease import Lease, RunError
from trainables.retries import cure, patiently

T = TypeVar("T")
STOP_FILE = "stop.json"
PREPARED = ("study.yaml", "environment.json", "backgrounds.webp", "warm_start.parquet")
"""What lies in the folder before the first trial; `study.yaml` comes last and makes a run one that was begun."""
LOST_WORKERS = 3
"""A trial that has lost its worker this often, without a lost node, is failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempts:
    """How often a trial was begun; `attempts.json` in its folder."""

    begun: int = 0
    """Times the trial was handed out."""
    lost: int = 0
    """Times its worker died under it. A driver that died is no fault of the trial's and counts nothing."""


class Ledger:
    """The files of one run, and the right to write them.

    Raises:
        RunError: another driver holds the run, or its folder cannot be written.
        RecordError: a record is damaged, or of a newer version.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.lease = Lease(run)
        self.asked: dict[int, Asked] = {}
        self.records: dict[int, Record] = {}
        try:
            for number in self._patiently(lambda: trial_numbers(run), "read"):
                self._read(trial_folder(run, number), number)
            self.keep(lambda: (run / STOP_FILE).unlink(missing_ok=True))
        except BaseException:
            self.lease.release()
            raise

    def _read(self, folder: Path, number: int) -> None:
        if (asked := self._patiently(lambda: read_record(folder, Asked), "read")) is not None:
            self.asked[number] = asked
            if (record := self._patiently(lambda: read_record(folder, Record), "read")) is not None:
                self.records[number] = record

    @property
    def next_number(self) -> int:
        """The smallest trial number that nothing was asked under; a folder that was moved away is asked again first."""
        return next(number for number in range(len(self.asked) + 1) if number not in self.asked)

    def unfinished(self) -> list[int]:
        """Lists the trials that were asked and have no record, in order."""
        return sorted(set(self.asked) - set(self.records))

    def attempts(self, number: int) -> Attempts:
        """Says how often a trial was begun and lost its worker; a count that a power cut has torn begins anew."""
        path = trial_folder(self.run, number) / "attempts.json"
        try:
            return Attempts(**json.loads(self._patiently(lambda: path.read_text(encoding="utf-8") if path.exists() else "{}", "read")))
        except (ValueError, TypeError):
            return Attempts()

    def ask(self, asked: Asked) -> None:
        """Publishes a suggestion: from here on the trial exists, whatever dies."""
        self.keep(lambda: write_record(trial_folder(self.run, asked.trial), asked))
        self.asked[asked.trial] = asked

    def begin(self, number: int) -> Attempts:
        """Counts one more start of a trial, and clears away what an earlier one may have left torn: files, and the last line of its steps."""
        before = self.attempts(number)
        now = Attempts(begun=before.begun + 1, lost=before.lost)
        folder = trial_folder(self.run, number)

        def write() -> None:
            _count(folder, now)
            _mend_lines(folder / "steps.jsonl")
            for path in folder.glob("*.part"):
                path.unlink(missing_ok=True)

        self.keep(write)
        return now

    def lose(self, number: int) -> Attempts:
        """Counts a worker that died under a trial."""
        before = self.attempts(number)
        now = Attempts(begun=before.begun, lost=before.lost + 1)
        self.keep(lambda: _count(trial_folder(self.run, number), now))
        return now

    def step(self, number: int, step: dict[str, Any]) -> None:
        """Adds one line to a trial's steps."""
        line = json.dumps(step, allow_nan=False, separators=(",", ":")) + "\n"
        self.keep(lambda: append_whole(trial_folder(self.run, number) / "steps.jsonl", line.encode()))

    def steps(self, number: int) -> list[dict[str, Any]]:
        """Reads the steps of a trial, but for lines that were not written whole."""
        path = trial_folder(self.run, number) / "steps.jsonl"
        found = []
        for line in self._patiently(lambda: path.read_bytes() if path.exists() else b"", "read").split(b"\n")[:-1]:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

    def finish(self, record: Record, *, samples: bytes | None = None, files: Mapping[str, bytes] | None = None, error: str | None = None) -> Record:
        """Publishes the end of a trial, what belongs to it first; a trial that has a record keeps the one it has."""
        folder = trial_folder(self.run, record.trial)

        def write() -> Record:
            if (before := read_record(folder, Record)) is not None:
                return before
            if samples is not None:
                write_whole(folder / "samples.webp", samples)
            for name, data in (files or {}).items():
                write_whole(folder / name, data)
            if error is not None:
                write_whole(folder / "error.txt", error.encode())
            write_record(folder, record)
            return record

        self.records[record.trial] = stands = self._kept(write)
        return stands

    def keep(self, write: Callable[[], object]) -> None:
        """Runs a write into the run's folder that can be done twice: asks the lease first, has patience with a disk that fails for a moment.

        Raises:
            RunError: the run was taken over, or cannot be written.
        """
        self._kept(write)

    def _kept(self, write: Callable[[], T]) -> T:
        def act() -> T:
            self.lease.check()
            return write()

        return self._patiently(act, "written")

    def _patiently(self, act: Callable[[], T], done: str) -> T:
        try:
            return patiently(act)
        except OSError as error:
            what = f"{error.filename or self.run}: cannot be {done} ({error.strerror or error}). Every finished trial is kept."
            raise RunError(f"{what}\n  {cure(error)} and run the same command again: it continues.") from error

    def stop_wanted(self) -> bool:
        """Says whether someone asked this run to stop."""
        return os.path.exists(self.run / STOP_FILE)  # False where the folder cannot be read for a moment; pathlib's would raise.

    def close(self) -> None:
        """Gives the run back."""
        self.lease.release()

    def withdraw(self) -> None:
        """Gives back a run that never began, and takes what was prepared for it away."""
        if self.asked or not self.lease.is_mine():
            self.close()
            return
        for name in PREPARED:
            (self.run / name).unlink(missing_ok=True)
        self.lease.release(forget=True)
        with contextlib.suppress(OSError):
            self.run.rmdir()


def request_stop(run: Path) -> None:
    """Asks the driver of a run, on whatever machine, to save and stop; it looks every few seconds."""
    write_json(run / STOP_FILE, {"pid": os.getpid()})


def _count(folder: Path, attempts: Attempts) -> None:
    write_whole(folder / "attempts.json", json.dumps(asdict(attempts)).encode())


def _mend_lines(path: Path) -> None:
    """Cuts off a last line that was not written whole."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
