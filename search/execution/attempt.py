"""One attempt at a trial: pulls items from the trial function, and turns whatever goes wrong into data. Shared by Ray's worker and the inline runner.

A trial function takes (recipe, store, device=, threads=) and yields `Progress`, then one `Scores`. What an attempt yields is an `Item`: these, a
`Failure`, or a `Halt` where nothing is wrong with the trial but the study cannot go on.
"""

import errno
import gc
import json
import math
import sys
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from search.asker import Failure
from trainables.errors import BadInput, DatasetError, StoreError, TrialFailure
from trainables.progress import Progress, Scores, StageUse
from trainables.recipe import Recipe
from trainables.registry import resolve
from trainables.retries import FULL, cure
from trainables.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """The study must stop, and the trial is to be run again: a full disk, a store that cannot be read."""

    message: str


Item = Progress | Scores | Failure | Halt
LAST = (Scores, Failure, Halt)
"""Items that nothing follows."""
REFUSALS = FULL | {errno.EROFS, errno.EIO, errno.ESTALE, errno.ETIMEDOUT}
"""Codes of what a machine refuses for the time being, which is no fault of the trial's."""


class Attempt:
    """A trial at work. `pull` gives its next item; after one of `LAST` there is none."""

    def __init__(self, function: str, recipe: Recipe, store: str, *, device: str, threads: int) -> None:
        self._given = (function, recipe, store, device, threads)
        self._store: Store | None = None
        self._items: Iterator[Progress | Scores] | None = None

    def pull(self) -> Item:
        """Works until the trial has something to say."""
        try:
            if self._items is None:
                function, recipe, store, device, threads = self._given
                run = resolve(function)
                self._store = Store(store)
                self._items = run(recipe, self._store, device=device, threads=threads)
            item = _finite_rung(next(self._items))
        except StopIteration:
            return Failure(name="error", message="the trial ended without scores")
        except Exception as error:
            end = _ending(error)
        else:
            bad = _not_finite(item) if isinstance(item, Progress) else None
            if bad is None:
                if isinstance(item, Scores):
                    self.close()
                    return replace(item, stored_bytes=self._store.published_bytes if self._store is not None else None)
                return item
            end = Failure(name="diverged", message=f"{bad} is not a finite number, in stage {item.stage}" if isinstance(item, Progress) else bad)
        # The traceback is text by now; its frames, and the memory they hold, go before the next trial comes.
        self.close()
        _free_memory()
        return end

    def close(self) -> None:
        """Ends the trial where it stands."""
        if self._items is not None and hasattr(self._items, "close"):
            self._items.close()
        self._items = iter(())


def _ending(error: Exception) -> Failure | Halt:
    """Names what went wrong."""
    text = traceback.format_exc()
    message = str(error) or type(error).__name__
    if isinstance(error, StoreError):
        return Halt(message=message)
    if isinstance(error, OSError) and error.errno in REFUSALS:
        where = f"{error.filename}: " if error.filename else ""
        return Halt(message=f"{where}{error.strerror or message}.\n  {cure(error)} and run the same command again: it continues.")
    if isinstance(error, TrialFailure):
        return Failure(name=error.name, message=message, traceback=text)
    if isinstance(error, DatasetError):
        return Failure(name="bad_data", message=message, traceback=text)
    if _is_out_of_memory(error):
        return Failure(name="out_of_memory", message=message, traceback=text)
    if isinstance(error, BadInput):
        return Failure(name="error", message=message, traceback=text)
    return Failure(name="error", message=f"{type(error).__name__}: {message}", traceback=text)


def _is_out_of_memory(error: Exception) -> bool:
    """Recognises torch's ways of saying it by name, because this file runs without torch."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "out of memory" in said or "can't allocate memory" in said


def _not_finite(progress: Progress) -> str | None:
    """Names the first number of a sign of life that is not finite."""
    return next((name for name, value in progress.metrics.items() if value is not None and not math.isfinite(value)), None)


def _finite_rung(item: Progress | Scores) -> Progress | Scores:
    """Takes a rung score that is no number for none: it ends no trial, and stops none."""
    if not isinstance(item, Progress) or item.rung_score is None or math.isfinite(item.rung_score):
        return item
    return replace(item, rung_score=None)


def _free_memory() -> None:
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def to_json(item: Item) -> str:
    """Writes an item as text, for the way between processes."""
    return json.dumps([type(item).__name__, asdict(item)])


def from_json(text: str) -> Item:
    """Reads an item back."""
    kind, plain = json.loads(text)
    if "stages" in plain:
        plain["stages"] = [StageUse(**stage) for stage in plain["stages"]]
    kinds: dict[str, Any] = {"Progress": Progress, "Scores": Scores, "Failure": Failure, "Halt": Halt}
    item: Item = kinds[kind](**plain)
    return item
