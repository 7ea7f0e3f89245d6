"""The one place that hands out trials and takes in how they end, for both runners: `ask`, `progress`, `prune`, `finish`, `lost`.

Order of writing: `asked.json`, then the journal; `record.json`, then the journal. A driver that is killed between any two of them finds on its next
start the same state that it would have reached, because all but the records is derived.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from reports.records import Asked, Record
from search.moves import Move, Moves, Plan
from search.runs.index import Index
from search.runs.ledger import LOST_WORKERS, Ledger
from search.schedulers import Rungs
from search.spending.ending import Ending
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe, Unit
from trainables.store import Store

WAIT = "wait"
"""No trial can be handed out now; one can when another has ended."""
FINISHED = "finished"
"""No trial is left to hand out. Others may still be running."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How a trial failed."""

    name: str
    """One of `trainables.errors.FAILURES`."""
    message: str
    traceback: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """How a trial was stopped at a rung."""

    reason: str
    at: Progress | None = None
    """What it told there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """A trial that is handed out."""

    since_s: float
    marks: frozenset[str]
    """The generators it needs, with their marks."""


class Observer(Protocol):
    """Who is told what happens, beside the records."""

    def asked(self, asked: Asked) -> None: ...
    def progress(self, number: int, progress: Progress) -> None: ...
    def lost(self, asked: Asked, reason: str) -> None: ...
    def finished(self, asked: Asked, record: Record) -> None: ...


class Build(Protocol):
    """Makes the recipe of a trial from its settings."""

    def __call__(self, params: Mapping[str, Any], *, units: tuple[Unit, ...], judge: bool) -> Recipe: ...


class Asker:
    """Hands out the trials of one run.

    Raises:
        RunError: from any of its methods, when this driver was overtaken or the run's folder cannot be written. The caller then stops.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        plan: Plan,
        build: Build,
        store: Store,
        observer: Observer | None = None,
        ending: Ending | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._ending = ending
        self._build = build
        self._store = store
        self._observer = observer
        self._clock = clock
        self._index = Index(ledger.run, name=plan.study.name, goals=plan.study.objectives, space=plan.study.space, limits=plan.study.limits)
        ledger.keep(lambda: self._index.sync(ledger.asked, ledger.records))
        self._moves = Moves(plan)
        self._rungs = Rungs(plan.study)
        self._met: dict[int, Progress] = {}
        """What the latest rung of a running trial told."""
        self._stage: dict[int, str] = {}
        """What a running trial was last seen to work at."""
        for number in sorted(ledger.asked):
            self._moves.add(ledger.asked[number])
            self._rungs.add(ledger.asked[number])
            if number in ledger.records:
                self._rungs.tell(ledger.records[number])
            else:
                self._rungs.recall(number, ledger.steps(number))
        for record in sorted(ledger.records.values(), key=lambda record: (record.ended_s, record.trial)):
            self._moves.tell(record)
        self._again = ledger.unfinished()
        self._held: Asked | None = None
        self._running: dict[int, Running] = {}
        self._trained: set[str] = set()
        for number, record in ledger.records.items():
            self._note_trained(number, record)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self._ledger.run

    @property
    def running(self) -> list[int]:
        """The trials that are handed out now."""
        return sorted(self._running)

    def ask(self) -> Asked | str:
        """Hands out the next trial; `WAIT` or `FINISHED` where there is none."""
        asked = self._over() or self._interrupted() or self._suggest()
        if isinstance(asked, str):
            return asked
        self._ledger.begin(asked.trial)
        self._running[asked.trial] = Running(since_s=self._clock(), marks=_marks(asked.recipe))
        if self._observer is not None:
            self._observer.asked(asked)
        return asked

    @property
    def in_flight(self) -> dict[int, float]:
        """When the trials that are handed out now were."""
        return {number: running.since_s for number, running in self._running.items()}

    def _over(self) -> str | None:
        """Says that the budget is used up, so that nothing may start; None where there is room."""
        if self._ending is None or (reason := self._ending.exhausted(self.in_flight)) is None:
            return None
        if self._running:
            return WAIT
        if self._again or isinstance(self._moves.next(self._ledger.next_number, is_free=lambda move: True), Move):
            self._ending.cut(reason)
        return FINISHED

    def _is_closed(self) -> bool:
        """Says whether nothing more is searched, though there are trials left."""
        return self._ending is not None and self._moves.goes_on and self._ending.closes(self.in_flight, through=self._moves.through)

    def _interrupted(self) -> Asked | None:
        """Finds a trial that was asked before and has to be run again."""
        for number in self._again:
            asked = self._ledger.asked[number]
            if self._is_free(asked.recipe):
                self._again.remove(number)
                return asked
        return None

    def _suggest(self) -> Asked | str:
        """Makes a suggestion and publishes it. One that would train what a running trial is training is held back until that has ended."""
        closed = self._is_closed()
        if closed and self._held is not None and self._held.move != "confirm":
            self._held = None
        if self._held is None:
            number = self._ledger.next_number
            move = self._moves.next(number, is_free=self._move_is_free, closed=closed)
            if isinstance(move, str):
                # A running trial may yet lose its worker and have to be handed out again.
                return WAIT if self._again or self._running else move
            self._held = self._asked(number, move)
        if not self._is_free(self._held.recipe):
            return WAIT
        asked, self._held = self._held, None
        self._ledger.ask(asked)
        if asked.trial == len(self._ledger.asked) - 1:
            self._ledger.keep(lambda: self._index.ask(asked))
        else:  # The folder of an earlier trial was moved away, and its number is asked again: Optuna's numbers only grow.
            self._ledger.keep(lambda: self._index.sync(self._ledger.asked, self._ledger.records))
        self._moves.add(asked)
        self._rungs.add(asked)
        return asked

    def _asked(self, number: int, move: Move) -> Asked:
        recipe = self._build(move.fixed, units=move.units, judge=move.judge)
        return Asked(
            trial=number,
            move=move.kind,
            reason=move.reason,
            parent=move.parent,
            params=dict(move.fixed),
            recipe=recipe.to_plain(),
            epoch=self._ledger.lease.epoch,
            time_s=self._clock(),
        )

    def _move_is_free(self, move: Move) -> bool:
        return self._is_free(self._build(move.fixed, units=move.units, judge=move.judge).to_plain())

    def _is_free(self, recipe: Mapping[str, Any]) -> bool:
        """Says whether no running trial trains what this recipe would. A later mark continues from an earlier one, so marks do not matter."""
        here = _generators(_marks(recipe) - self._trained)
        return all(here.isdisjoint(_generators(other.marks - self._trained)) for other in self._running.values())

    def _note_trained(self, number: int, record: Record) -> None:
        if record.state == "complete":
            self._trained |= _marks(self._ledger.asked[number].recipe)

    def progress(self, number: int, progress: Progress) -> str | None:
        """Notes a sign of life in the trial's steps. At a rung it gives the reason where the trial is to end there: the caller then closes it, and
        calls `prune`."""
        if number not in self._running:
            return None
        step = {name: value for name, value in asdict(progress).items() if name != "stages"}
        self._stage[number] = progress.stage
        reason = None
        if progress.stage == "rung" and progress.kimg is not None:
            self._rungs.note(number, progress.kimg, progress.rung_score, progress.metrics)
            self._met[number] = progress
            # Written down with the score, so that a trial that is run again is told the same.
            step["stopped"] = reason = self._rungs.decide(number, progress.kimg)
        self._ledger.step(number, {"time_s": self._clock(), **step})
        if self._observer is not None:
            self._observer.progress(number, progress)
        return reason

    def prune(self, number: int, reason: str) -> Record:
        """Publishes that a trial was stopped at a rung, with what it has told and cost."""
        return self.finish(number, Stopped(reason=reason, at=self._met.get(number)))

    def finish(self, number: int, end: "Scores | Failure | Stopped") -> Record:
        """Publishes how a trial ended, then tells the journal and the model."""
        asked = self._ledger.asked[number]
        samples: bytes | None = None
        files: dict[str, bytes] = {}
        if isinstance(end, Scores) and (bad := _not_finite(end)) is not None:
            end = Failure(name="diverged", message=f"{bad} is not a finite number")
        if isinstance(end, Scores) and end.samples is not None:
            samples = self._stored(end.samples)
        if isinstance(end, Scores):
            files = {name: data for name, where in end.files.items() if (data := self._stored(where)) is not None}
        error = end.traceback if isinstance(end, Failure) else None
        record = self._ledger.finish(self._record(number, end, with_samples=samples is not None), samples=samples, files=files, error=error)
        self._running.pop(number, None)
        self._note_trained(number, record)
        self._ledger.keep(lambda: self._index.tell(asked, record))
        self._moves.tell(record)
        self._rungs.tell(record)
        self._met.pop(number, None)
        self._stage.pop(number, None)
        if self._ending is not None:
            self._ending.add(asked, record)
        if self._observer is not None:
            self._observer.finished(asked, record)
        return record

    def lost(self, number: int, *, node_lost: bool) -> Record | None:
        """Takes in that a trial's worker died. It is run again, unless it has lost three; a lost machine is no fault of the trial's."""
        attempts = self._ledger.attempts(number) if node_lost else self._ledger.lose(number)
        if attempts.lost >= LOST_WORKERS:
            message = f"its worker process died {attempts.lost} times (out of memory is the usual cause: try smaller batches or fewer workers)"
            return self.finish(number, Failure(name="lost_worker", message=message))
        self._running.pop(number, None)
        self._again = sorted({*self._again, number})
        if self._observer is not None:
            died = "its machine was lost" if node_lost else f"its worker process died ({attempts.lost} of {LOST_WORKERS})"
            self._observer.lost(self._ledger.asked[number], died)
        return None

    def _record(self, number: int, end: "Scores | Failure | Stopped", *, with_samples: bool) -> Record:
        now_s = self._clock()
        running = self._running.get(number)
        common: dict[str, Any] = {
            "trial": number,
            "attempts": max(1, self._ledger.attempts(number).begun),
            "started_s": running.since_s if running else now_s,
            "ended_s": now_s,
            "epoch": self._ledger.lease.epoch,
            "rungs": {**(end.rungs if isinstance(end, Scores) else {}), **self._rungs.told(number)},
            "rung_scores": self._rungs.told_beside(number),
            "gpus": self._ending.gpus if self._ending is not None else 0.0,
        }
        if isinstance(end, Stopped):
            at = end.at or Progress(stage="rung")
            counts = {f"rung_{name}": round(value) for name, value in at.metrics.items() if name.endswith("_images")}
            return Record(state="pruned", message=end.reason, stages=[asdict(stage) for stage in at.stages], conditions=counts, **common)
        if isinstance(end, Failure):
            first = (end.message.strip() or end.name).splitlines()[0]
            return Record(state="failed", failure=end.name, failed_in=self._stage.get(number), message=first, **common)
        layout = {key: value for key, value in end.samples.items() if key not in ("stage", "key", "file")} if end.samples and with_samples else None
        return Record(
            state="complete",
            scores=end.values,
            units=list(end.units),
            confusion=end.confusion,
            curves=end.curves,
            classes=end.classes,
            health=end.health,
            conditions=end.conditions,
            unit_conditions=list(end.unit_conditions),
            stages=[asdict(stage) for stage in end.stages],
            samples=layout,
            stored_bytes=end.stored_bytes,
            **common,
        )

    def _stored(self, where: Mapping[str, Any]) -> bytes | None:
        """Fetches a file of a trial from the store, so that the run's folder can be read alone."""
        entry = self._store.lookup(str(where["stage"]), str(where["key"]))
        return None if entry is None else entry.read(str(where["file"]))


def _not_finite(scores: Scores) -> str | None:
    """Names the first score that is not a finite number."""
    for values in (scores.values, *scores.units):
        for name, value in values.items():
            if value is not None and not math.isfinite(value):
                return name
    return None


def _marks(recipe: Mapping[str, Any]) -> frozenset[str]:
    """Names the generators that a recipe needs, one for each seed, as `mark@settings`."""
    part = recipe["generator"]
    if part is None:
        return frozenset()
    settings = json.dumps(
        [part["family"], part["settings"], part.get("conditioning"), recipe["data"], recipe.get("preprocess"), recipe["seed"], recipe["precision"]],
        sort_keys=True,
    )
    return frozenset(f"{part['kimg']}@{unit['generator']}{settings}" for unit in recipe["units"])


def _generators(marks: frozenset[str]) -> frozenset[str]:
    """Leaves the marks out of the names of generators."""
    return frozenset(name.partition("@")[2] for name in marks)
