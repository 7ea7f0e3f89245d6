"""A file system that fails on purpose and on schedule, so that tests can say what survives it.

`chaos:///a/folder` is that folder on this machine's disk, seen through the faults that the variable CHAOS_FAULTS describes as JSON, in every process
that imports this module and calls `install`. Files are written in their place, as on most remote stores: what a writer that dies has written stays.
"""

import errno
import json
import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from trainables import files, retries

SCHEME = "chaos://"
CALM = 4
WAITS_S = (0.01, 0.02, 0.02, 0.02)
"""Patience of the processes under test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """What goes wrong. Operations are counted in each process for itself."""

    seed: int = 0
    after: int = 0
    """Operations that go well before anything goes wrong."""
    failing: float = 0.0
    """Share of operations at which an outage begins: every operation fails with EIO until it is over."""
    moments: int = 3
    """Operations that an outage lasts; between two of them lie `CALM` at least."""
    arrives: bool = False
    """True where what fails for a moment has been done all the same, as when an answer is lost on the way."""
    broken: bool = False
    """Every operation fails with EIO."""
    read_only: bool = False
    """Every operation that changes something fails with EROFS."""
    room_bytes: int | None = None
    """Bytes that can still be written; what no longer fits stays cut off."""
    torn_write: int | None = None
    """The write, counted after `after`, in the middle of which the process dies."""
    torn_name: str = ""
    """Ending of the paths whose writes are counted."""
    slow_s: float = 0.0
    """Seconds that listing a folder takes."""


class Schedule:
    """Decides for each operation whether it fails; notes deaths and second publications in files beside the store."""

    def __init__(self, faults: Faults, notes: Path | None) -> None:
        self.faults = faults
        self._notes = notes
        self._rng = random.Random(faults.seed)
        self._lock = threading.Lock()
        self._operations = self._writes = self._written = 0
        self._out, self._calm = 0, CALM

    def meet(self, path: str, *, changes: bool) -> None:
        """Fails, or lets an operation go on."""
        faults = self.faults
        with self._lock:
            self._operations += 1
            if self._operations <= faults.after:
                return
            if faults.broken or self._is_out():
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            if faults.read_only and changes:
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def _is_out(self) -> bool:
        if self._out == 0 and self._calm >= CALM and self._rng.random() < self.faults.failing:
            self._out = self.faults.moments
        self._calm = 0 if self._out else self._calm + 1
        self._out = max(0, self._out - 1)
        return self._calm == 0

    def room_for(self, size: int, path: str) -> int:
        """Says how many bytes of a write stay."""
        with self._lock:
            if self._operations > self.faults.after and path.endswith(self.faults.torn_name):
                self._writes += 1
            if self.faults.room_bytes is not None and self._operations > self.faults.after:
                size = min(size, max(0, self.faults.room_bytes - self._written))
                self._written += size
        return size

    def is_last_write(self, path: str) -> bool:
        """Says whether the process dies in the write it has just begun."""
        return self._writes == self.faults.torn_write and path.endswith(self.faults.torn_name)

    def part_of(self, size: int) -> int:
        """Draws how much of a torn write stays."""
        return self._rng.randrange(size) if size else 0

    def note(self, name: str, line: str) -> None:
        """Adds a line to a file beside the store, before what it tells of happens."""
        if self._notes is not None:
            with (self._notes / name).open("a", encoding="utf-8") as file:
                file.write(line + "\n")


class Output:
    """A file that is written in its place."""

    def __init__(self, path: str, schedule: Schedule) -> None:
        self._path, self._schedule = path, schedule
        self._before = _attempt(path)
        self._file = open(path, "wb", buffering=0)
        self.closed = False

    def write(self, data: Any) -> int:
        """Writes all, or what there is room for, or what a dying writer manages."""
        content = bytes(data)
        kept = self._schedule.room_for(len(content), self._path)
        if self._schedule.is_last_write(self._path):
            self._file.write(content[: self._schedule.part_of(len(content))])
            self._schedule.note("deaths.txt", f"torn {self._path}")
            os.kill(os.getpid(), signal.SIGKILL)
        if self._before is not None and (now := json.loads(content)["attempt"]) != self._before:
            self._schedule.note("twice.txt", f"{self._path} {self._before} {now}")
        self._file.write(content[:kept])
        if kept < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        return kept

    def flush(self) -> None:
        """Has nothing to flush."""

    def close(self) -> None:
        """Ends the file."""
        if not self.closed:
            self.closed = True
            self._file.close()

    def writable(self) -> bool:
        """Says so."""
        return True


def _attempt(path: str) -> str | None:
    """Says which attempt a publication that is there names; None where none is."""
    if not path.endswith("/done.json"):
        return None
    try:
        return str(json.loads(Path(path).read_bytes())["attempt"])
    except (OSError, ValueError):
        return None


class Lost:
    """A file whose writer is told that it failed, though it did not."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)

    def close(self) -> None:
        """Ends the file, and says that it could not."""
        was_closed = self._output.closed
        self._output.close()
        if not was_closed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


class FaultyHandler(fs.FileSystemHandler):  # type: ignore[misc]
    """This machine's disk, through a schedule of faults."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self._disk = fs.LocalFileSystem()

    def get_type_name(self) -> str:
        return "faulty"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        for path in paths:
            self.schedule.meet(path, changes=False)
        return list(self._disk.get_file_info(paths))

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        time.sleep(self.schedule.faults.slow_s)
        self.schedule.meet(selector.base_dir, changes=False)
        return list(self._disk.get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        self.schedule.meet(path, changes=True)
        self._disk.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        self.schedule.meet(path, changes=True)
        self._disk.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        self.schedule.meet(path, changes=True)
        self._disk.delete_dir_contents(path, missing_dir_ok=missing_dir_ok)

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError("nobody empties a disk")

    def delete_file(self, path: str) -> None:
        self.schedule.meet(path, changes=True)
        self._disk.delete_file(path)

    def move(self, src: str, dest: str) -> None:
        self.schedule.meet(src, changes=True)
        self._disk.move(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        self.schedule.meet(src, changes=True)
        self._disk.copy_file(src, dest)

    def open_input_stream(self, path: str) -> Any:
        self.schedule.meet(path, changes=False)
        return self._disk.open_input_stream(path)

    def open_input_file(self, path: str) -> Any:
        self.schedule.meet(path, changes=False)
        return self._disk.open_input_file(path)

    def open_output_stream(self, path: str, metadata: Any = None) -> Any:
        try:
            self.schedule.meet(path, changes=True)
        except OSError as error:
            if not self.schedule.faults.arrives or error.errno != errno.EIO:
                raise
            return pa.PythonFile(Lost(Output(path, self.schedule)), mode="w")
        return pa.PythonFile(Output(path, self.schedule), mode="w")

    def open_append_stream(self, path: str, metadata: Any = None) -> Any:
        raise NotImplementedError("nothing in a store grows")


def faulty_filesystem(faults: Faults, notes: Path | None = None) -> fs.FileSystem:
    """Makes a file system of absolute paths with faults."""
    return fs.PyFileSystem(FaultyHandler(Schedule(faults, notes)))


_OPEN_ROOT = files.open_root


def install(*, anew: bool = False) -> None:
    """Makes this process know `chaos://`, with one schedule for all of its stores, and wait less for what fails."""
    if files.open_root is not _OPEN_ROOT and not anew:
        return
    notes = os.environ.get("CHAOS_NOTES")
    filesystem = faulty_filesystem(Faults(**json.loads(os.environ.get("CHAOS_FAULTS", "{}"))), Path(notes) if notes else None)

    def open_root(uri: str) -> tuple[fs.FileSystem, str]:
        return (filesystem, uri.removeprefix(SCHEME)) if uri.startswith(SCHEME) else _OPEN_ROOT(uri)

    files.open_root = open_root
    retries.WAITS_S = WAITS_S
