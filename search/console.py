"""What a person sees while a study runs: a header, then a live table on a terminal, or a quiet line a minute elsewhere.

The runner calls the methods of `Console`, from one thread; nothing here decides anything.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

import rich.console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from reports.records import Asked, Record
from reports.run import Trial, show
from reports.trust import Bounds, Pairs, trust
from reports.trust import describe as describe_trust
from search.runs.status import describe, standing
from search.spending.forecast import Forecast, show_range
from trainables.progress import Progress

QUIET_PERIOD_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What is known of a study when it starts."""

    study: str
    run: str
    """Folder of the run."""
    objectives: Sequence[tuple[str, str]]
    """Name and direction (maximize, minimize), the most important first."""
    planned: int
    """Trials in all, confirmations included, as many as there may be at most."""
    workers: int
    """Trials at once."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Label -> text, such as data, where, report; shown in this order."""
    finished: Sequence[tuple[Asked, Record]] = ()
    """Trials of earlier starts of the same run."""
    keeps: Callable[[Record], bool] = lambda record: True
    """Whether a trial keeps the study's limits; one that does not is never the best."""
    left: Callable[[Sequence[tuple[Asked, Record]]], Forecast | None] = lambda finished: None
    """Foresees what is left, given all trials that have ended."""
    bounds: Bounds = field(default_factory=Bounds)
    """What it takes to trust a rung score."""
    used: Callable[[], str | None] = lambda: None
    """Writes what is used of a budget."""


@dataclass(slots=True)
class _Running:
    asked: Asked
    since_s: float
    progress: Progress | None = None


class Console:
    """Shows a study to whoever started it."""

    def __init__(self, *, file: IO[str] | None = None, quiet_period_s: float = QUIET_PERIOD_S) -> None:
        """Writes to `file`, standard output by default; live only where that is a terminal."""
        self._console = rich.console.Console(file=file, highlight=False, soft_wrap=True)
        self._quiet_period_s = quiet_period_s
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        self._header = Header(study="", run="", objectives=(), planned=0, workers=1)
        self._running: dict[int, _Running] = {}
        self._finished: list[tuple[Asked, Record]] = []
        self._unhealthy: Counter[tuple[str, str | None]] = Counter()
        self._left: Forecast | None = None
        self._pairs = Pairs({})
        self._trusted_after = 0
        self._weakly_trusted: Text | None = None
        self._started_s = time.monotonic()

    def started(self, header: Header) -> None:
        """Prints the header and starts to show what follows."""
        self._header, self._started_s = header, time.monotonic()
        self._finished = list(header.finished)
        self._unhealthy = Counter(sign for ended in self._finished for sign in _signs(*ended))
        self._pairs = Pairs(dict(header.objectives), self._finished)
        self._left = header.left(self._finished)
        arrows = {"maximize": "up", "minimize": "down"}
        goals = ", ".join(f"{name} {arrows.get(direction, direction)}" for name, direction in header.objectives)
        self._console.print(Text.assemble(("tundish ", "bold"), (header.study, "bold cyan"), f"   {goals}"))
        for label, text in header.facts.items():
            self._console.print(Text.assemble((f"{label:<8}", "dim"), text))
        if self._finished:
            self._console.print(Text(f"continues after {len(self._finished)} finished trials", style="dim"))
        if self._console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        else:
            self._ticker = threading.Thread(target=self._tick, name="console", daemon=True)
            self._ticker.start()

    def asked(self, asked: Asked) -> None:
        """A trial was suggested and starts, or starts again."""
        with self._lock:
            self._running[asked.trial] = _Running(asked=asked, since_s=time.monotonic())

    def progress(self, number: int, progress: Progress) -> None:
        """A running trial gave a sign of life."""
        with self._lock:
            if number in self._running:
                self._running[number].progress = progress

    def lost(self, asked: Asked, reason: str) -> None:
        """A running trial lost its worker, through no end of its own."""
        with self._lock:
            self._running.pop(asked.trial, None)
        self._console.print(Text(f"#{asked.trial} {reason}; the trial is run again and goes on from what is stored", style="yellow"))

    def finished(self, asked: Asked, record: Record) -> None:
        """A trial ended; a failure is told at once, and what looks wrong about a family's trials the first time."""
        with self._lock:
            self._running.pop(asked.trial, None)
            self._finished.append((asked, record))
            self._pairs.add(asked, record)
            self._left = self._header.left(self._finished)
        if record.state == "pruned":
            self._console.print(Text(f"#{asked.trial} {record.message}", style="dim"))
        for sign, text in _signs(asked, record).items():
            self._unhealthy[sign] += 1
            if self._unhealthy[sign] == 1:
                self._console.print(Text(f"#{asked.trial} {text}", style="yellow"))
        if record.state == "failed":
            folder = f"{self._header.run}/trials/{asked.trial:05d}"
            said = f" ({record.message})" if record.message else ""
            self._console.print(Text(f"#{asked.trial} failed: {record.failure}{said} -> {folder}", style="red"))

    def stopped(self, reason: str) -> None:
        """The study ended or was stopped; `reason` is shown last, under the final counts."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        if self._live is not None:
            self._live.stop()
            self._live = None
        with self._lock:
            self._console.print(self._counts())
            if (best := self._best()) is not None:
                self._console.print(best)
            if (weak := self._weak()) is not None:
                self._console.print(weak)
            if self._unhealthy:
                told = ", ".join(f"{family} {what.replace('_', ' ')} {count}" for (what, family), count in self._unhealthy.most_common())
                self._console.print(Text(f"trials that look wrong: {told}; the report lists them", style="yellow"))
        self._console.print(Text(reason))

    def _tick(self) -> None:
        while not self._ended.wait(self._quiet_period_s):
            with self._lock:
                line = self._counts()
                if (best := self._best()) is not None:
                    line = Text.assemble(line, "   ", best)
                if (weak := self._weak()) is not None:
                    line = Text.assemble(line, "   ", weak)
                self._console.print(line)

    def _table(self) -> Table:
        with self._lock:
            table = Table.grid(padding=(0, 2))
            outer = Table.grid()
            outer.add_row(self._counts())
            if (best := self._best()) is not None:
                outer.add_row(best)
            if (weak := self._weak()) is not None:
                outer.add_row(weak)
            for number, running in sorted(self._running.items()):
                parent = "" if running.asked.parent is None else f" of #{running.asked.parent}"
                seconds = time.monotonic() - running.since_s
                table.add_row(f"#{number}", f"{running.asked.move}{parent}", describe(running.asked), _stage(running.progress), clock(seconds))
            outer.add_row(table)
            return outer

    def _counts(self) -> Text:
        states: list[str] = [record.state for _, record in self._finished]
        # Who loses a race is not confirmed, so that fewer come than were planned.
        planned = self._header.planned if self._left is None else min(self._header.planned, len(states) + self._left.trials)
        parts = [f"[{len(states):>3}/{planned}]"]
        for state, word in (("complete", "done"), ("pruned", "pruned"), ("failed", "failed")):
            if state == "complete" or state in states:
                parts.append(f"{word} {states.count(state)}")
        if self._running:
            stages = [running.progress.stage for running in self._running.values() if running.progress is not None]
            kinds = ", ".join(f"{stage} {stages.count(stage)}" for stage in sorted(set(stages)))
            parts.append(f"running {len(self._running)}" + (f" ({kinds})" if kinds else ""))
        parts.append(f"elapsed {clock(time.monotonic() - self._started_s)}")
        if self._left is not None and self._left.trials:
            parts.append(f"left {show_range(self._left.hours)}")
        if (used := self._header.used()) is not None:
            parts.append(f"used {used}")
        return Text("  ".join(parts))

    def _weak(self) -> Text | None:
        """Names the families that are not stopped at rungs, because their scores there say little of what comes of them."""
        if self._trusted_after != len(self._finished):
            self._trusted_after = len(self._finished)
            known = self._pairs.known()
            found = [trust(known, family) for family in sorted({pair.family for pair in known})]
            weak = [f"{item.family} {describe_trust(item, self._header.bounds)}" for item in found if item.is_weak(self._header.bounds)]
            self._weakly_trusted = Text(f"rung scores: {'; '.join(weak)}", style="yellow") if weak else None
        return self._weakly_trusted

    def _best(self) -> Text | None:
        """The best so far against real images alone, by the first objective."""
        if not self._header.objectives:
            return None
        name, direction = self._header.objectives[0]
        kept = (Trial(asked, record) for asked, record in self._finished if self._header.keeps(record))
        now = standing(kept, name, direction)
        if now.best is None and now.baseline is None:
            return None
        line = Text(f"{name}: ")
        if now.best is not None:
            line.append(f"best {show(now.best.score(name), name)} (#{now.best.number} {describe(now.best.asked)})  ", style="bold")
        if now.weighed != name and now.best is not None:
            line.append(f"{now.weighed}: {show(now.best.score(now.weighed), now.weighed)}  ")
        if now.baseline is not None:
            line.append(f"real only {show(now.baseline.score(now.weighed), now.weighed)} (#{now.baseline.number})  ")
        if (gain := now.gain) is not None:
            line.append(f"gain {gain:+.3f}", style="green" if gain > 0 else "yellow")
        return line


def clock(seconds: float) -> str:
    """Writes seconds as m:ss or h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _signs(asked: Asked, record: Record) -> dict[tuple[str, str | None], str]:
    """Lists what looks wrong about a trial: (name, family) -> text."""
    family = Trial(asked, record).family
    return {(name, family): text for name, text in record.health.items()}


def _stage(progress: Progress | None) -> str:
    if progress is None:
        return ""
    return progress.stage + ("" if progress.kimg is None else f" {progress.kimg:.1f} kimg")
