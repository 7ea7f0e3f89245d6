"""Simulated workers that run trials of a replay table, in simulated time. Called by `ours` and `stock`, which say what is tried next.

A trial takes the seconds of the stages that nobody has made yet: of its generator from the latest earlier mark on, of its images, of its inspector.
It tells its rung scores when the generator stands at the marks that its player asks about, and can be stopped there. Events at one moment happen in
the order in which they were planned, so that equal seeds give equal outcomes.
"""

import heapq
import math
from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from search.replay.table import Table, generator_key
from trainables.progress import StageUse

Made = dict[tuple[str, str], float]
"""The simulated store: stage and key -> seconds that making it took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A trial that is handed to a worker."""

    number: int
    move: str
    params: Mapping[str, Any]
    """All settings that apply; a `baseline` among them means real images alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rung:
    """What a running trial tells at a mark."""

    kimg: float
    score: float
    stages: tuple[StageUse, ...]
    """All stages that the trial has met so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a trial came out."""

    scores: Mapping[str, float | None]
    """The objectives, and costs; objectives of a baseline and of a trial that was stopped are null."""
    stages: tuple[StageUse, ...]
    rungs: Mapping[float, float]
    """Rung scores by mark."""


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """A trial that has ended."""

    job: Job
    state: Literal["complete", "pruned"]
    result: Result
    time_s: float
    """When, on the simulated clock."""
    compute_s: float
    """What all workers had worked until then, together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """What happened, in the order of ends."""

    ends: tuple[End, ...]
    compute_s: float
    """What all workers worked, together."""
    elapsed_s: float
    """What the clock showed at the end."""


class Player(Protocol):
    """Who says what is tried next."""

    shares: bool
    """Whether trials share stages through a store."""
    now_s: float
    """The simulated clock, set before each call."""

    def ask(self) -> Job | None:
        """Gives the next trial; None where there is none now."""

    def rungs(self, job: Job) -> Collection[float]:
        """Says at which marks a trial is to tell its rung score."""

    def rung(self, job: Job, rung: Rung) -> str | None:
        """Hears a rung score; gives the reason where the trial is to stop there."""

    def stopped(self, job: Job, reason: str, result: Result) -> None:
        """Hears that a trial was stopped."""

    def finished(self, job: Job, result: Result) -> None:
        """Hears how a trial came out."""


@dataclass(slots=True)
class _Worker:
    """A trial under way."""

    job: Job
    work: Generator[float | Rung, None, Result]
    rungs: dict[float, float] = field(default_factory=dict)


def simulate(player: Player, table: Table, *, workers: int, budget_s: float = math.inf) -> Course:
    """Runs trials until the player has none left, or the budget is spent.

    Args:
        player: says what is tried next.
        table: what comes out.
        workers: trials at a time.
        budget_s: seconds that all workers may work, together; trials under way are cut off there.
    """
    assert workers >= 1
    made: Made = {}
    running: dict[int, _Worker] = {}
    events: list[tuple[float, int, int]] = []
    ends: list[End] = []
    now_s, compute_s, order, asking = 0.0, 0.0, 0, True
    while True:
        while asking and len(running) < workers:
            player.now_s = now_s
            if (job := player.ask()) is None:
                break
            store = made if player.shares else {}
            running[job.number] = _Worker(job=job, work=run_recorded(table, job.params, store, player.rungs(job)))
            heapq.heappush(events, (now_s, order := order + 1, job.number))
        if not events:
            break
        then_s, _, number = heapq.heappop(events)
        worked_s = len(running) * (then_s - now_s)
        if compute_s + worked_s > budget_s:
            now_s += (budget_s - compute_s) / len(running)
            compute_s = budget_s
            break
        now_s, compute_s = then_s, compute_s + worked_s
        player.now_s = now_s
        taken = _advance(player, running[number])
        # What holds a suggestion back are trials under way: only an end can free it.
        asking = not isinstance(taken, float)
        if isinstance(taken, float):
            heapq.heappush(events, (now_s + taken, order := order + 1, number))
            continue
        state, result = taken
        ends.append(End(job=running.pop(number).job, state=state, result=result, time_s=now_s, compute_s=compute_s))
    return Course(ends=tuple(ends), compute_s=compute_s, elapsed_s=now_s)


def _advance(player: Player, worker: _Worker) -> float | tuple[Literal["complete", "pruned"], Result]:
    """Goes on with a trial up to where it takes time, or to its end."""
    while True:
        try:
            item = next(worker.work)
        except StopIteration as end:
            result: Result = end.value
            player.finished(worker.job, result)
            return "complete", result
        if isinstance(item, float):
            return item
        worker.rungs[item.kimg] = item.score
        if (reason := player.rung(worker.job, item)) is not None:
            worker.work.close()
            result = Result(scores={}, stages=item.stages, rungs=worker.rungs)
            player.stopped(worker.job, reason, result)
            return "pruned", result


def run_recorded(table: Table, params: Mapping[str, Any], made: Made, rungs: Collection[float]) -> Generator[float | Rung, None, Result]:
    """Runs one trial out of the table: yields seconds that pass, and rungs; ends with how it came out.

    Args:
        table: what comes out.
        params: settings of the trial.
        made: what is there already; what this trial makes is added when its seconds have passed.
        rungs: marks at which the score is told; the generator is published there, as it is at its own mark.
    """
    uses: list[StageUse] = []
    if "baseline" in params:
        yield from _stage("inspector", "real images alone", table.about.baseline_s, made, uses)
        nothing: dict[str, float | None] = {goal.score: None for goal in table.objectives}
        return Result(scores=nothing | {"inspector_s": table.about.baseline_s}, stages=tuple(uses), rungs={})
    point, ladder, own = table.at(params), table.ladder(params), float(params["generator.kimg"])
    generator = _name(dict(generator_key(params)))
    drawn = _name({name: value for name, value in params.items() if name.startswith("synthesis.") and name not in _amounts(params)})
    told: dict[float, float] = {}
    for kimg in (mark for mark in ladder if mark == own or (mark < own and mark in rungs)):
        before_s = max(
            (ladder[other].generator_s for other in ladder if other < kimg and ("generator", f"{generator}/{other:g}") in made), default=0.0
        )
        yield from _stage("generator", f"{generator}/{kimg:g}", ladder[kimg].generator_s - before_s, made, uses)
        # The first images are drawn for the rung, and the pool begins with them.
        if ladder[kimg].rung_s > 0:
            yield from _stage("pool", f"{generator}/{kimg:g} {drawn} first", ladder[kimg].rung_s, made, uses)
        if kimg in rungs:
            told[kimg] = ladder[kimg].rung_score
            yield Rung(kimg=kimg, score=told[kimg], stages=tuple(uses))
    yield from _stage("pool", f"{generator}/{own:g} {drawn}", point.pool_s, made, uses)
    yield from _stage("inspector", _name(params), point.downstream_s, made, uses)
    costs = {"generator_s": ladder[own].generator_s, "inspector_s": point.downstream_s}
    scores: dict[str, float | None] = {**point.scores, **costs, "trial_s": sum(costs.values()) + point.pool_s + ladder[own].rung_s}
    return Result(scores=scores, stages=tuple(uses), rungs=told)


def _stage(stage: str, key: str, seconds: float, made: Made, uses: list[StageUse]) -> Generator[float, None, None]:
    """Finds a stage, or lets the seconds pass that making it takes."""
    reused = (stage, key) in made
    if not reused:
        yield float(seconds)
        made.setdefault((stage, key), seconds)
    uses.append(StageUse(unit=0, stage=stage, key=key, reused=reused, seconds=made[stage, key], device="replay"))


def _amounts(params: Mapping[str, Any]) -> tuple[str, str]:
    """Names the settings that say how many images are used: they decide nothing about any one image."""
    return "synthesis.amount", f"synthesis.{params['synthesis.amount']}"


def _name(params: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(params.items()))
