"""Results by key on any pyarrow file system. What is stored under a key never changes.

Publishing writes `<stage>/<key>/<attempt>/...` and then the small `<stage>/<key>/done.json`, which names the attempt and the content
hashes. Readers see only what `done.json` names, so neither a rename nor a lock is needed, on a disk or on an object store. A `done.json` that was not
written whole names nothing: the result is made anew. What a writer left that nobody names is cleaned away by `trainables.cleaning`.
"""

import contextlib
import hashlib
import json
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from trainables.errors import StoreError
from trainables.files import Files
from trainables.retries import cure, patiently
from trainables.scratch import Scratch

FORMAT = 1
"""Version of the layout on disk; a store of a newer version is refused."""
DONE = "done.json"


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
        data = self._content(name)
        if data is None or not self._is_as_published(name, data):
            raise StoreError(
                f"{self.store.root}/{self._path(name)}: {'missing' if data is None else 'damaged'}, though {DONE} names it.\n"
                f"  Delete the folder {self.store.root}/{self.stage}/{self.key} and run again: it will be made anew.\n"
                f"  `tundish store clean --verify {self.store.root}` finds all that are damaged and does the same."
            )
        return data

    def is_whole(self) -> bool:
        """Reads all files, and says whether they are what was published."""
        return all((data := self._content(name)) is not None and self._is_as_published(name, data) for name in self.files)

    def _path(self, name: str) -> str:
        return f"{self.stage}/{self.key}/{self.attempt}/{name}"

    def _content(self, name: str) -> bytes | None:
        return self.store.read_path(self._path(name))

    def _is_as_published(self, name: str, data: bytes) -> bool:
        return hashlib.sha256(data).hexdigest() == self.files[name]

    def json(self, name: str) -> Any:
        """Reads one JSON file."""
        return json.loads(self.read(name))

    def local_path(self, name: str) -> Path:
        """Gives a path on this machine's disk, for memory-mapping; a remote file is fetched once into the machine's temporary folder."""
        if (root := self.store.local_root) is not None:
            return root / self._path(name)
        copy = Path(tempfile.gettempdir()) / "tundish-fetched" / self.files[name] / name
        if not copy.exists():
            data = self.read(name)
            aside = copy.with_name(f"{copy.name}.{uuid.uuid4().hex}")

            def fetch() -> None:
                copy.parent.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(data)
                aside.replace(copy)

            try:
                patiently(fetch)
            except OSError as error:
                with contextlib.suppress(OSError):
                    aside.unlink(missing_ok=True)
                how = f"{cure(error)}, or name another temporary folder (TMPDIR), and run the same command again: it continues."
                raise StoreError(f"{copy}: cannot be written ({error.strerror or error}).\n  {how}") from error
        return copy


class Store:
    """Results by key under one root: a path, or a URI of any pyarrow file system.

    Raises:
        StoreError: the root cannot be used, or was written by a newer version.
    """

    def __init__(self, root: str | Path, *, filesystem: fs.FileSystem | None = None) -> None:
        self.files = Files(root, filesystem=filesystem)
        self.root = self.files.root
        self.local_root = self.files.local_root
        self.published_bytes = 0
        """Of results that became visible through this object."""
        self._scratch = Scratch(self.files)
        self._check_format()

    def _check_format(self) -> None:
        text, whole = self.read_path("format.json"), json.dumps({"format": FORMAT}).encode()
        if text is None or (text != whole and whole.startswith(text)):
            # Not there yet, or torn when it was first written.
            self._write("format.json", whole)
            return
        found = (_parsed(text) or {}).get("format")
        if not isinstance(found, int):
            cure = "If this is a store, delete that file and run again; if not, name another folder: storage.store in the study file."
            raise StoreError(f"{self.root}/format.json: says no store format.\n  {cure}")
        if found > FORMAT:
            raise StoreError(
                f"{self.root}: written by a newer Tundish (store format {found}; this one reads up to {FORMAT}).\n"
                "  Update Tundish, or name another folder: storage.store in the study file."
            )

    def read_path(self, path: str) -> bytes | None:
        """Reads a file by its path below the root; None where there is none."""
        return self.files.read(path)

    def _write(self, path: str, data: bytes, *, flush: bool = False) -> None:
        self.files.write(path, data, flush=flush)

    def lookup(self, stage: str, key: str) -> Entry | None:
        """Finds what was published under a key; None where nothing was, or its publication was not written whole."""
        text = self.read_path(f"{stage}/{key}/{DONE}")
        done = _parsed(text) if text is not None else None
        if done is None or not {"attempt", "files", "info"} <= set(done):
            return None
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
            # On the disk before they are named, so that not even a power cut leaves a name without content.
            for name, data in files.items():
                self._write(f"{stage}/{key}/{attempt}/{name}", data, flush=True)
            self._write(f"{stage}/{key}/{DONE}", json.dumps(done, sort_keys=True).encode(), flush=True)
        except StoreError:
            # What a remote store reports as failed may have arrived all the same; where it cannot say, nothing is removed.
            entry = self.lookup(stage, key)
            if entry is None or entry.attempt != attempt:
                # On a full disk every file of an attempt that nobody will ever name is in the way of the next one.
                self.files.remove_if_possible(f"{stage}/{key}/{attempt}")
                raise
        self.published_bytes += sum(map(len, files.values()))
        return Entry(store=self, stage=stage, key=key, attempt=attempt, files=hashes, info=known)

    def keys(self, stage: str) -> list[str]:
        """Lists the published keys of a stage, sorted. A stage may be a path such as `generator/<key>`."""
        folders = [info.base_name for info in self.files.listing(stage) if info.type == fs.FileType.Directory]
        return sorted(key for key in folders if self.lookup(stage, key) is not None)

    def entries(self) -> Iterator[Entry]:
        """Walks over everything that is published, in the order of its path."""
        for path in [info.path for info in self.files.listing("", recursive=True) if info.base_name == DONE]:
            stage, key, _ = path.rsplit("/", 2)
            if (entry := self.lookup(stage, key)) is not None:
                yield entry

    def size_bytes(self) -> int:
        """Adds up the sizes of all files, scratch included; walks over the whole store."""
        return sum(info.size or 0 for info in self.files.listing("", recursive=True))

    def read_scratch(self, name: str) -> bytes | None:
        """Reads the rolling checkpoint of a stage in flight; None where there is none."""
        return self._scratch.read(name)

    def write_scratch(self, name: str, data: bytes) -> None:
        """Replaces the rolling checkpoint of a stage in flight."""
        self._scratch.write(name, data)

    def drop_scratch(self, name: str) -> None:
        """Removes a rolling checkpoint, once its stage is published."""
        self._scratch.drop(name)


def _parsed(text: bytes) -> dict[str, Any] | None:
    """Reads a JSON object of the store's own; None where it is damaged."""
    try:
        plain = json.loads(text)
    except ValueError:
        return None
    return plain if isinstance(plain, dict) else None
