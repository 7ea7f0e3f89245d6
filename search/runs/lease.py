"""The lease of a run: one driver at a time writes, and one that was overtaken stops. Taken by the ledger, asked before every write.

`lease.json` names the driver: epoch, process, host and its last heartbeat. A driver that died on this host is overtaken at once, one elsewhere
when its heartbeat is older than `EXPIRES_S`. Every take-over raises the epoch, so that the older driver, should it wake, finds itself overtaken.
"""

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from reports.records import write_json
from trainables.retries import cure, patiently

HEARTBEAT_S = 10.0
EXPIRES_S = 60.0


class RunError(Exception):
    """A run that cannot be driven from here: another driver holds it, it was overtaken, or its folder cannot be written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who drives a run."""

    epoch: int
    """Raised by every take-over."""
    pid: int
    host: str
    born: str
    """When the process was born, as its host counts; tells a process from a later one of the same number."""
    heartbeat_s: float
    """Unix time of the last sign of life."""
    token: str = ""
    """Unique to one driver."""
    released: bool = False
    """True after the driver ended by itself."""


def process_birth(pid: int) -> str | None:
    """Says when a process of this host was born, in the kernel's ticks; None where there is no such process, "" where that is not known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        fields = text.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def holder(run: Path) -> Holder | None:
    """Reads who drives, or last drove, a run; None where nobody has yet.

    Raises:
        RunError: it cannot be read.
    """
    path = run / "lease.json"
    try:
        return Holder(**json.loads(patiently(lambda: path.read_text(encoding="utf-8"))))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read ({error.strerror or error}). Every finished trial is kept.\n"
            f"  {cure(error)} and run the same command again: it continues."
        ) from error
    except (ValueError, TypeError) as error:
        raise RunError(f"{run / 'lease.json'}: not a readable lease ({error}).\n  If no driver is running, delete it and run again.") from error


def is_alive(found: Holder, now_s: float) -> bool:
    """Says whether a holder must still be reckoned with."""
    if found.released:
        return False
    if found.host == socket.gethostname():
        return process_birth(found.pid) == found.born
    return now_s - found.heartbeat_s < EXPIRES_S


class Lease:
    """The right to write a run, held from construction to `release`.

    Of two drivers that take it at the same moment the later writer holds it, and the other stops at its next check.

    Raises:
        RunError: a living driver holds the run, or its folder cannot be written.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._token = uuid.uuid4().hex
        self._lost = False
        self._ended = threading.Event()
        before = holder(run)
        if before is not None and is_alive(before, time.time()):
            raise RunError(_refusal(run, before))
        self.epoch = (before.epoch if before else 0) + 1
        try:
            patiently(self._write)
        except OSError as error:
            with contextlib.suppress(OSError):
                run.rmdir()
            raise RunError(
                f"{run}: cannot be written ({error.strerror or error}).\n  {cure(error)}, or name another folder: storage.runs."
            ) from error
        self._beat = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._beat.start()

    def _write(self, *, released: bool = False) -> None:
        pid = os.getpid()
        mine = Holder(
            epoch=self.epoch,
            pid=pid,
            host=socket.gethostname(),
            born=process_birth(pid) or "",
            heartbeat_s=time.time(),
            token=self._token,
            released=released,
        )
        write_json(self._run / "lease.json", asdict(mine))

    def _keep(self) -> None:
        """Beats until released; a full disk is left to the next real write, which says so."""
        while not self._ended.wait(HEARTBEAT_S):
            with contextlib.suppress(OSError, RunError):
                if not self.is_mine():
                    return
                self._write()

    def is_mine(self) -> bool:
        """Says whether nobody has overtaken this driver; once lost, it stays lost."""
        if not self._lost:
            now = holder(self._run)
            self._lost = now is None or now.token != self._token
        return not self._lost

    def check(self) -> None:
        """Guards a write.

        Raises:
            RunError: another driver has taken the run over.
        """
        if not self.is_mine():
            now = holder(self._run)
            what = f"taken over by process {now.pid} on {now.host}" if now else "lease.json is gone, so the folder was moved or removed"
            raise RunError(f"{self._run}: {what}; this driver stops.\n  Look with `tundish status {self._run}`.")

    def release(self, *, forget: bool = False) -> None:
        """Ends the lease, so that the next driver need not wait; a driver that was overtaken leaves it alone.

        Args:
            forget: True takes the file away too, of a run that never began.
        """
        self._ended.set()
        self._beat.join()
        # Where this fails, the next driver on this machine takes over at once, and one elsewhere after `EXPIRES_S`.
        with contextlib.suppress(OSError, RunError):
            if self.is_mine():
                if forget:
                    (self._run / "lease.json").unlink(missing_ok=True)
                else:
                    self._write(released=True)
        self._lost = True


def _refusal(run: Path, found: Holder) -> str:
    where = "on this machine" if found.host == socket.gethostname() else f"on {found.host}"
    return (
        f"{run}: process {found.pid} {where} is driving this run already.\n"
        f"  Follow it with `tundish status {run}`, end it with `tundish stop {run}`, or give this study another name with --name."
    )
