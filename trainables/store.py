"""Results by key on any pyarrow file system. What is stored under a key never changes.

Publishing writes `<stage>/<key>/<attempt>/...` and then the small `<stage>/<key>/done.json`, which names the attempt and the content
hashes. Readers see only what `done.json` names, so neither a rename nor a lock is needed, on a disk or on an object store.
"""

import contextlib
import errno
import hashlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from trainables.errors import StoreError

FORMAT = 1
"""Version of the layout on disk; a store of a newer version is refused."""


def stage_key(stage: str, *, version: int, settings: Mapping[str, Any], inputs: Sequence[str] = (), seed: int | None = None) -> str:
    """Names a result by all that decides it: 32 hexadecimal digits of SHA-256 over canonical JSON.

    Raises:
        ValueError: a setting is not plain JSON data, or not finite.
    """
    story = {"stage": stage, "version": version, "settings": settings, "inputs": list(inputs), "seed": seed}
    text = json.dumps(story, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One published result."""

    store: "Store"
    stage: str
    key: str
    attempt: str
    files: Mapping[str, str]
    """File name -> SHA-256 of its content."""
    info: Mapping[str, Any]
    """What the stage wants remembered beside its files: seconds, device, peak memory, settings."""

    def read(self, name: str) -> bytes:
        """Reads one file whole.

        Raises:
            StoreError: the file is missing, or its content is not what was published.
        """
        path = f"{self.stage}/{self.key}/{self.attempt}/{name}"
        data = self.store.read_path(path)
        if data is None or hashlib.sha256(data).hexdigest() != self.files[name]:
            raise StoreError(
                f"{self.store.root}/{path}: {'missing' if data is None else 'damaged'}, though done.json names it.\n"
                f"  Delete the folder {self.store.root}/{self.stage}/{self.key} and run again: it will be made anew."
            )
        return data

    def json(self, name: str) -> Any:
        """Reads one JSON file."""
        return json.loads(self.read(name))

    def local_path(self, name: str) -> Path:
        """Gives a path on this machine's disk, for memory-mapping; a remote file is fetched once into the machine's temporary folder."""
        path = f"{self.stage}/{self.key}/{self.attempt}/{name}"
        if (root := self.store.local_root) is not None:
            return root / path
        copy = Path(tempfile.gettempdir()) / "tundish-fetched" / self.files[name] / name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            aside = copy.with_name(f"{copy.name}.{uuid.uuid4().hex}")
            aside.write_bytes(self.read(name))
            aside.replace(copy)
        return copy


class Store:
    """Results by key under one root: a path, or a URI of any pyarrow file system.

    Raises:
        StoreError: the root cannot be used, or was written by a newer version.
    """

    def __init__(self, root: str | Path, *, filesystem: fs.FileSystem | None = None) -> None:
        # file:///a/folder is that folder: written aside and renamed, so that a killed writer leaves nothing torn.
        self.root = fs.FileSystem.from_uri(str(root))[1] if str(root).startswith("file://") else str(root)
        self.published_bytes = 0
        """Of results that became visible through this object."""
        self.local_root: Path | None = None
        if filesystem is not None:
            self.filesystem = fs.SubTreeFileSystem(self.root, filesystem)
        elif "://" in self.root:
            base, path = fs.FileSystem.from_uri(self.root)
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
        self._check_format()

    def _check_format(self) -> None:
        text = self.read_path("format.json")
        if text is None:
            self._write("format.json", json.dumps({"format": FORMAT}).encode())
            return
        found = self._parse("format.json", text).get("format")
        if not isinstance(found, int):
            cure = "If this is a store, delete that file and run again; if not, name another folder: storage.store in the study file."
            raise StoreError(f"{self.root}/format.json: says no store format.\n  {cure}")
        if found > FORMAT:
            raise StoreError(
                f"{self.root}: written by a newer Tundish (store format {found}; this one reads up to {FORMAT}).\n"
                "  Update Tundish, or name another folder: storage.store in the study file."
            )

    def _parse(self, path: str, text: bytes) -> dict[str, Any]:
        """Reads a JSON object of the store's own.

        Raises:
            StoreError: it is damaged.
        """
        try:
            plain = json.loads(text)
        except ValueError:
            plain = None
        if not isinstance(plain, dict):
            raise StoreError(f"{self.root}/{path}: damaged.\n  Delete this file and run again: what it named will be made anew.")
        return plain

    def read_path(self, path: str) -> bytes | None:
        """Reads a file by its path below the root; None where there is none."""
        try:
            with self.filesystem.open_input_stream(path) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def _write(self, path: str, data: bytes) -> None:
        try:
            folder = path.rpartition("/")[0]
            if folder:
                self.filesystem.create_dir(folder, recursive=True)
            if self.local_root is not None:
                aside = self.local_root / f"{path}.{uuid.uuid4().hex}.part"
                try:
                    aside.write_bytes(data)
                    os.replace(aside, self.local_root / path)
                finally:
                    aside.unlink(missing_ok=True)
            else:
                with self.filesystem.open_output_stream(path) as stream:
                    stream.write(data)
        except OSError as error:
            cure = "Free some space (`tundish store` lists what is kept) and run the same command again: it continues."
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                cure = "Make the folder writable, or name another one: storage.store in the study file."
            raise StoreError(f"{self.root}/{path}: cannot be written ({error.strerror or error}).\n  {cure}") from error

    def lookup(self, stage: str, key: str) -> Entry | None:
        """Finds what was published under a key; None where nothing was."""
        text = self.read_path(f"{stage}/{key}/done.json")
        if text is None:
            return None
        done = self._parse(f"{stage}/{key}/done.json", text)
        return Entry(store=self, stage=stage, key=key, attempt=done["attempt"], files=done["files"], info=done["info"])

    def publish(self, stage: str, key: str, files: Mapping[str, bytes], info: Mapping[str, Any] | None = None) -> Entry:
        """Makes a result visible under its key; where another writer was first, theirs stands and is returned.

        Raises:
            StoreError: the store cannot be written; nothing half-written becomes visible.
        """
        if (entry := self.lookup(stage, key)) is not None:
            return entry
        attempt = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        known = dict(info or {})
        done = {"attempt": attempt, "files": hashes, "info": known}
        try:
            for name, data in files.items():
                self._write(f"{stage}/{key}/{attempt}/{name}", data)
            self._write(f"{stage}/{key}/done.json", json.dumps(done, sort_keys=True).encode())
        except StoreError:
            # On a full disk every file of an attempt that nobody will ever name is in the way of the next one.
            with contextlib.suppress(OSError):
                self.filesystem.delete_dir(f"{stage}/{key}/{attempt}")
            raise
        self.published_bytes += sum(map(len, files.values()))
        return Entry(store=self, stage=stage, key=key, attempt=attempt, files=hashes, info=known)

    def keys(self, stage: str) -> list[str]:
        """Lists the published keys of a stage, sorted. A stage may be a path such as `generator/<key>`."""
        selector = fs.FileSelector(stage, allow_not_found=True)
        folders = [info.base_name for info in self.filesystem.get_file_info(selector) if info.type == fs.FileType.Directory]
        return sorted(key for key in folders if self.filesystem.get_file_info(f"{stage}/{key}/done.json").type == fs.FileType.File)

    def entries(self) -> Iterator[Entry]:
        """Walks over everything that is published, in the order of its path."""
        selector = fs.FileSelector("", recursive=True, allow_not_found=True)
        found = sorted(info.path for info in self.filesystem.get_file_info(selector) if info.base_name == "done.json")
        for path in found:
            stage, key, _ = path.rsplit("/", 2)
            if (entry := self.lookup(stage, key)) is not None:
                yield entry

    def size_bytes(self) -> int:
        """Adds up the sizes of all files, scratch included; walks over the whole store."""
        found = self.filesystem.get_file_info(fs.FileSelector("", recursive=True, allow_not_found=True))
        return sum(info.size or 0 for info in found)

    def read_scratch(self, name: str) -> bytes | None:
        """Reads the rolling checkpoint of a stage in flight; None where there is none."""
        return self.read_path(f"scratch/{name}")

    def write_scratch(self, name: str, data: bytes) -> None:
        """Replaces the rolling checkpoint of a stage in flight."""
        self._write(f"scratch/{name}", data)

    def drop_scratch(self, name: str) -> None:
        """Removes a rolling checkpoint, once its stage is published."""
        if self.filesystem.get_file_info(f"scratch/{name}").type == fs.FileType.File:
            self.filesystem.delete_file(f"scratch/{name}")
