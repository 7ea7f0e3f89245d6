"""Rewrites the Parquet files and the report while a study runs, in a thread that takes at most a twentieth of the time."""

import contextlib
import threading
import time
from collections.abc import Callable

PAUSE_S = 15.0
"""Least pause between two rewrites."""
PAUSE_PER_COST = 19.0
"""Pause for each second that a rewrite took: 19 s for 1 s makes 5 %."""


class Refresher:
    """Calls `write` now and then, when something has changed, and once at the end."""

    def __init__(self, write: Callable[[], None], *, changes: Callable[[], int], pause_s: float | None = None) -> None:
        """Takes what to call, and a number that grows with every change."""
        self._write = write
        self._changes = changes
        self._pause_s = PAUSE_S if pause_s is None else pause_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="refresh", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        seen, pause_s = 0, self._pause_s
        while not self._ended.wait(pause_s):
            if (now := self._changes()) == seen:
                continue
            started = time.monotonic()
            # What goes wrong here goes wrong again at the end, where it is raised.
            with contextlib.suppress(Exception):
                self._write()
            seen, pause_s = now, max(self._pause_s, PAUSE_PER_COST * (time.monotonic() - started))

    def close(self) -> None:
        """Ends the thread and writes a last time, in the caller's thread, so that what goes wrong is raised there."""
        self._ended.set()
        self._thread.join()
        self._write()
