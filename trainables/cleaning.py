"""Cleans a store of what nobody names: attempts whose writers died, files cut off in the middle, checkpoints of stages that were published since.

Called by the command line. What a running study is just writing is young, and left alone.
"""

import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from pyarrow import fs

from trainables.scratch import FOLDER, TURN
from trainables.store import DONE, Entry, Store

ATTEMPT = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")
"""Names of attempts, as `Store.publish` gives them."""
PART = re.compile(r"\.[0-9a-f]{32}\.part")
"""Ending of a file that is being written aside."""
YOUNG_S = 24 * 3600.0
"""Age below which nothing is taken for left behind."""


@dataclass(slots=True)
class Cleaned:
    """What was found in the way, and removed."""

    attempts: int = 0
    """Attempts that no `done.json` names."""
    cut_off: int = 0
    """Files that were not written whole: written aside and left, or a `done.json` that cannot be read."""
    checkpoints: int = 0
    """Of stages that are published."""
    damaged: list[str] = field(default_factory=list)
    """Results whose files are not what was published; they are made anew where they are needed."""
    size_bytes: int = 0


def clean(store: Store, *, young_s: float = YOUNG_S, verify: bool = False, remove: bool = True, clock: Callable[[], float] = time.time) -> Cleaned:
    """Removes what nobody names and is older than `young_s` seconds.

    Args:
        store: to clean.
        young_s: what is younger stays.
        verify: True reads all that is published, and removes results whose files are missing or not what their hashes say, whatever their age.
        remove: False only says what there is.
        clock: Unix time.

    Raises:
        StoreError: the store cannot be read or written.
    """
    found = Cleaned()
    named = {f"{entry.stage}/{entry.key}": entry for entry in store.entries()}
    if verify:
        for path, entry in list(named.items()):
            if not entry.is_whole():
                found.damaged.append(path)
                del named[path]
    listed = [info for info in store.files.listing("", recursive=True) if info.type == fs.FileType.File]
    doomed = _doomed(listed, named, found, now_s=clock(), young_s=young_s)
    found.size_bytes = sum(info.size or 0 for info in listed if info.path in doomed or info.path.rpartition("/")[0] in doomed)
    if remove:
        # A publication goes before its files, so that nobody is sent to what is no longer there.
        for path in sorted(doomed, key=lambda path: not path.endswith(DONE)):
            store.files.remove(path)
    return found


def _doomed(listed: list[fs.FileInfo], named: dict[str, Entry], found: Cleaned, *, now_s: float, young_s: float) -> set[str]:
    """Chooses paths of files and folders to remove, and counts them."""
    doomed: set[str] = set()
    attempts: dict[str, float] = defaultdict(float)
    published = {path.replace("/", "-") for path in named}
    for info in listed:
        folder, _, name = info.path.rpartition("/")
        key, _, attempt = folder.rpartition("/")
        changed_s = info.mtime_ns / 1e9 if info.mtime_ns is not None else now_s
        is_old = now_s - changed_s >= young_s
        if ATTEMPT.fullmatch(attempt):
            attempts[folder] = max(attempts[folder], changed_s)
        elif PART.search(name) and is_old:
            doomed.add(info.path)
            found.cut_off += 1
        elif folder == FOLDER and name.removesuffix(TURN).removesuffix(".safetensors") in published:
            doomed.add(info.path)
            found.checkpoints += 1
        elif name == DONE and folder in found.damaged:
            doomed.add(info.path)
        elif name == DONE and folder not in named and is_old:
            doomed.add(info.path)
            found.cut_off += 1
    for folder, changed_s in attempts.items():
        key, _, attempt = folder.rpartition("/")
        entry = named.get(key)
        is_old = now_s - changed_s >= young_s
        if (entry is None or entry.attempt != attempt) and (is_old or key in found.damaged):
            doomed.add(folder)
            found.attempts += key not in found.damaged
    return doomed
