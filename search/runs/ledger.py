"""The ledger of a run: what was asked, what has finished, how often it was tried. The records on disk are the truth; one driver at a time writes.

Called by the asker alone while a run is driven. Everything is read from the folder at the start, and each write asks the lease first.
"""

import contextlib
import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers, write_json, write_record, write_whole
from search.runs.lease import Lease, RunError

STOP_FILE = "stop.json"
PREPARED = ("study.yaml", "environment.json", "backgrounds.webp")
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
        try:
            self.asked: dict[int, Asked] = {}
            self.records: dict[int, Record] = {}
            for number in trial_numbers(run):
                folder = trial_folder(run, number)
                if (asked := read_record(folder, Asked)) is not None:
                    self.asked[number] = asked
                    if (record := read_record(folder, Record)) is not None:
                        self.records[number] = record
            (run / STOP_FILE).unlink(missing_ok=True)
        except BaseException:
            self.lease.release()
            raise

    @property
    def next_number(self) -> int:
        """The smallest trial number that nothing was asked under; a folder that was moved away is asked again first."""
        return next(number for number in range(len(self.asked) + 1) if number not in self.asked)

    def unfinished(self) -> list[int]:
        """Lists the trials that were asked and have no record, in order."""
        return sorted(set(self.asked) - set(self.records))

    def attempts(self, number: int) -> Attempts:
        """Says how often a trial was begun and lost its worker."""
        try:
            return Attempts(**json.loads((trial_folder(self.run, number) / "attempts.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return Attempts()

    def ask(self, asked: Asked) -> None:
        """Publishes a suggestion: from here on the trial exists, whatever dies."""
        with self._writing():
            write_record(trial_folder(self.run, asked.trial), asked)
        self.asked[asked.trial] = asked

    def begin(self, number: int) -> Attempts:
        """Counts one more start of a trial, and ends the torn last line that an earlier one may have left in its steps."""
        before = self.attempts(number)
        now = Attempts(begun=before.begun + 1, lost=before.lost)
        folder = trial_folder(self.run, number)
        with self._writing():
            _count(folder, now)
            _mend_lines(folder / "steps.jsonl")
        return now

    def lose(self, number: int) -> Attempts:
        """Counts a worker that died under a trial."""
        before = self.attempts(number)
        now = Attempts(begun=before.begun, lost=before.lost + 1)
        with self._writing():
            _count(trial_folder(self.run, number), now)
        return now

    def step(self, number: int, step: dict[str, Any]) -> None:
        """Adds one line to a trial's steps."""
        line = json.dumps(step, allow_nan=False, separators=(",", ":")) + "\n"
        with self._writing(), (trial_folder(self.run, number) / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.write(line)

    def steps(self, number: int) -> list[dict[str, Any]]:
        """Reads the steps of a trial, but for a last line that was not written whole."""
        path = trial_folder(self.run, number) / "steps.jsonl"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def finish(self, record: Record, *, samples: bytes | None = None, files: Mapping[str, bytes] | None = None, error: str | None = None) -> Record:
        """Publishes the end of a trial, what belongs to it first; a trial that has a record keeps the one it has."""
        folder = trial_folder(self.run, record.trial)
        with self._writing():
            if (before := read_record(folder, Record)) is None:
                if samples is not None:
                    write_whole(folder / "samples.webp", samples)
                for name, data in (files or {}).items():
                    write_whole(folder / name, data)
                if error is not None:
                    write_whole(folder / "error.txt", error.encode())
                write_record(folder, record)
        self.records[record.trial] = before or record
        return self.records[record.trial]

    def keep(self, write: Callable[[], object]) -> None:
        """Runs another write into the run's folder under the same guard as the ledger's own."""
        with self._writing():
            write()

    def stop_wanted(self) -> bool:
        """Says whether someone asked this run to stop."""
        return (self.run / STOP_FILE).exists()

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

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self.lease.check()
        try:
            yield
        except OSError as error:
            cure = "Make the folder writable"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                cure = "Free some space there"
            what = f"{error.filename or self.run}: cannot be written ({error.strerror or error}). Every finished trial is kept."
            raise RunError(f"{what}\n  {cure} and run the same command again: it continues.") from error


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
