"""Files below one root on any pyarrow file system, read and written with patience. Called by the store.

On this machine's disk a file is written aside and renamed, so that a reader finds all of it or nothing. Elsewhere it is written in its place: on an
object store that comes to the same, on other file systems a writer that dies may leave half a file, which readers must recognise.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
from pyarrow import fs

from trainables.errors import StoreError
from trainables.retries import FULL, may_pass, patiently

T = TypeVar("T")
ANOTHER = "name another one: storage.store in the study file"
WALKS = 9
"""How often a folder that changes is walked over before that is given up."""


def open_root(uri: str) -> tuple[fs.FileSystem, str]:
    """Opens the file system that a URI names, and gives it with the path on it.

    Raises:
        StoreError: there is none of that name, or it cannot be reached.
    """
    try:
        return fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{uri}: cannot be opened ({error}).\n  Correct the address, or {ANOTHER}.") from error


class Files:
    """The files below a root: a path, or a URI of any pyarrow file system.

    Raises:
        StoreError: the root cannot be used; from any method, a file cannot be read or written, and waiting did not help.
    """

    def __init__(self, root: str | Path, *, filesystem: fs.FileSystem | None = None) -> None:
        # file:///a/folder is that folder: written aside and renamed, so that a killed writer leaves nothing torn.
        self.root = fs.FileSystem.from_uri(str(root))[1] if str(root).startswith("file://") else str(root)
        self.local_root: Path | None = None
        if filesystem is not None:
            self.filesystem = fs.SubTreeFileSystem(self.root, filesystem)
        elif "://" in self.root:
            base, path = open_root(self.root)
            self.filesystem = fs.SubTreeFileSystem(path, base)
        else:
            self.local_root = Path(self.root).absolute()
            self.root = str(self.local_root)
            try:
                self.local_root.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                cure = "Name another folder: storage.store in the study file."
                raise StoreError(f"{self.root}: cannot be made a store ({error.strerror}).\n  {cure}") from error
            self.filesystem = fs.SubTreeFileSystem(self.root, fs.LocalFileSystem())

    def read(self, path: str) -> bytes | None:
        """Reads a file whole; None where there is none."""

        def act() -> bytes:
            with self.filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())

        try:
            return self._guarded(path, "read", act)
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes, *, flush: bool = False) -> None:
        """Writes a file whole; with `flush`, it is on this machine's disk before it bears its name."""

        def act() -> None:
            if folder := path.rpartition("/")[0]:
                self.filesystem.create_dir(folder, recursive=True)
            if self.local_root is not None:
                self._write_aside(self.local_root / path, data, flush=flush)
                return
            try:
                stream = self.filesystem.open_output_stream(path)
            except FileNotFoundError:
                # The root itself is not there yet; on an object store there is nothing to be made.
                self.filesystem.base_fs.create_dir(self.filesystem.base_path.rstrip("/"), recursive=True)
                stream = self.filesystem.open_output_stream(path)
            with stream:
                stream.write(data)

        self._guarded(path, "written", act)

    @staticmethod
    def _write_aside(path: Path, data: bytes, *, flush: bool) -> None:
        aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            with aside.open("wb") as file:
                file.write(data)
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
            os.replace(aside, path)
        finally:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)

    def listing(self, folder: str, *, recursive: bool = False) -> list[fs.FileInfo]:
        """Lists files and folders below a folder, in the order of their paths; nothing where there is no such folder."""
        selector = fs.FileSelector(folder, recursive=recursive, allow_not_found=True)
        for _ in range(WALKS):
            # A folder that somebody removes while it is walked over breaks the walk.
            with contextlib.suppress(FileNotFoundError):
                found = self._guarded(folder, "listed", lambda: self.filesystem.get_file_info(selector))
                return sorted(found, key=lambda info: str(info.path))
        raise StoreError(f"{self.root}/{folder}: cannot be listed, because it changes all the time.\n  Run the same command again.")

    def remove(self, path: str) -> None:
        """Removes a file or a folder with all in it; what is gone already is well."""
        kind = self._guarded(path, "read", lambda: self.filesystem.get_file_info(path).type)
        if kind != fs.FileType.NotFound:
            delete = self.filesystem.delete_dir if kind == fs.FileType.Directory else self.filesystem.delete_file
            with contextlib.suppress(FileNotFoundError):
                self._guarded(path, "removed", lambda: delete(path))

    def remove_if_possible(self, path: str) -> None:
        """Removes what is merely in the way; where that cannot be, it stays for `tundish store clean`."""
        with contextlib.suppress(StoreError):
            self.remove(path)

    def _guarded(self, path: str, done: str, act: Callable[[], T]) -> T:
        try:
            return patiently(act)
        except FileNotFoundError:
            if done != "written":
                raise
            said, how = os.strerror(errno.ENOENT), f"Make its folder readable and writable, or {ANOTHER}."
        except OSError as error:
            said = error.strerror or str(error)
            if error.errno in FULL:
                how = "Free some space (`tundish store` lists what is kept) and run the same command again: it continues."
            elif error.errno == errno.EFBIG:
                how = "Raise the limit on the size of files (ulimit -f) and run the same command again: it continues."
            elif may_pass(error):
                said += ", again and again"
                how = "Nothing finished is lost. See to the disk or the network behind it, and run the same command again: it continues."
            else:
                how = f"Make the folder readable and writable and run the same command again, or {ANOTHER}."
        raise StoreError(f"{self.root}/{path}: cannot be {done} ({said}).\n  {how}")
