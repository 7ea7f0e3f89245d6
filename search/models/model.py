"""What the search has learned, told the records as they come in: generators with their distances at each mark, and what stood behind them.

Called by the moves, which ask `expectations` what other trials would give. Everything follows from the records that are known, in the order in which
trials ended: a driver that was started again knows what the killed one knew.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.records import Asked, Record
from search.fronts import levels, objective_values, sign, violation
from search.memory.remembered import Remembered
from search.models.encoding import Encoder
from search.spending.budget import StageCost, measured
from search.studies.study import Study
from spaces.domains import Choice

Array = NDArray[np.float64]

UPSTREAM = ("generator.", "preprocess.")
"""Settings that decide a trained generator: its own, and what is done to the pictures that it learns from."""
MARK = "generator.kimg"
DISTANCES = ("val_kid", "val_fid", "val_frechet", "val_mmd")
"""Scores that a generator's images have before any inspector learns from them."""
MOST = 120
"""Generators, and trials, that a model is made of: the best half and the latest half."""
DOWNSTREAM_STAGES = ("pool", "inspector", "scores")
"""Stages behind the generator: a trial that failed there says nothing against its generator alone."""
FEW = 4
"""Finished trials below which there is nothing to model."""

Settings = frozenset[tuple[str, Any]]


@dataclass(slots=True, eq=False)
class Known:
    """One generator, and what is known of it at each mark."""

    name: Settings
    params: Mapping[str, Any]
    """Its settings, without the mark."""
    row: Array
    family: str
    distances: dict[float, float] = field(default_factory=dict)
    """Distance to real images by mark in kimg, lower is better, where it was measured."""
    trials: dict[float, list[int]] = field(default_factory=dict)
    """Finished trials by mark."""
    seconds: dict[float, float] = field(default_factory=dict)
    """Seconds that training took from the mark before to this one."""
    rate: float | None = None
    """Seconds of its training for each kimg, where some of it was measured."""
    broken: bool = False
    """Its training failed."""
    kept: bool = False
    """A trial of it kept the study's limits."""
    latest: int | None = None
    """The last trial that ended with it, be it at a rung."""
    running: set[int] = field(default_factory=set)
    """Trials that run and need it."""
    elsewhere: bool = False
    """Trained by an earlier run only: what is known of it is of use, but nothing of it stands in this study's store."""
    origin: str = ""
    """The trial of an earlier run by which it is known, in words."""

    @property
    def mark(self) -> float:
        """The latest mark that it stands at; 0 where it stands at none."""
        return max((*self.distances, *self.trials), default=0.0)

    def took(self, mark: float, seconds: float) -> None:
        """Notes what training up to a mark took; what was noted first is kept."""
        self.seconds.setdefault(mark, seconds)
        self.rate = sum(self.seconds.values()) / max(self.seconds)


@dataclass(frozen=True, slots=True)
class Told:
    """One finished trial, as the models see it."""

    trial: int
    generator: Known
    mark: float
    number: int
    """Of the generator at its mark: what trials of one number share is its own."""
    rest: Settings
    """Its downstream settings."""
    row: Array
    values: tuple[float, ...]
    """Objectives, lower is better."""
    seconds: float
    """Of what it made itself behind the generator; not a number where an earlier run measured them on another kind of device."""


class Model:
    """What is known of one study. Baselines and confirmations do not enter, beside as stages that are paid for.

    Args:
        study: the study.
        cost: seconds of a stage.
        drawing: settings that decide only how images are drawn, so that they stand behind the generator.
    """

    def __init__(self, study: Study, *, cost: StageCost = measured, drawing: frozenset[str] = frozenset()) -> None:
        self.goals, self._limits = study.objectives, study.limits
        self._cost, self._drawing = cost, drawing
        names = study.space.names()
        self.upstream = Encoder({name: domain for name, domain in names.items() if self.is_upstream(name)})
        self.downstream = Encoder({name: domain for name, domain in names.items() if name != MARK and not self.is_upstream(name)})
        families = study.space.tree["generator.family"]
        self.families = [str(option) for option in families.options] if isinstance(families, Choice) else []
        self.at = next((i for i, goal in enumerate(self.goals) if goal.score.partition(".")[0].startswith(DISTANCES)), None)
        """Which objective is the distance; None where none is."""
        self.generators: dict[Settings, Known] = {}
        self.tried: set[tuple[Settings, float, Settings]] = set()
        """Generator, mark and downstream settings of everything that was asked."""
        self.front: list[tuple[float, ...]] = []
        """Objectives of the finished trials within the limits that no other dominates, lower is better."""
        self.told = 0
        """Trials that have ended and said something, those of earlier runs included."""
        self.best, self.latest = _Best(len(self.goals)), list[Told]()
        self.near, self.new = _Best(1), list[tuple[int, Known, float]]()
        self.spoiled: list[Told] = []
        """The latest trials that failed behind their generator; without values."""
        self._asked: dict[int, tuple[str, Settings, float, Settings, Array]] = {}
        self._numbers: dict[tuple[Settings, float], int] = {}
        self._paid: set[str] = set()

    def is_upstream(self, name: str) -> bool:
        """Says whether a setting decides a trained generator."""
        return name.startswith(UPSTREAM) and name != MARK and name not in self._drawing

    def parts(self, params: Mapping[str, Any]) -> tuple[Settings, float, Settings]:
        """Splits a trial's settings: generator, mark, what stands behind it."""
        upstream: list[tuple[str, Any]] = []
        rest: list[tuple[str, Any]] = []
        for item in params.items():
            if item[0] != MARK:
                (upstream if self.is_upstream(item[0]) else rest).append(item)
        return frozenset(upstream), float(params.get(MARK, 0.0)), frozenset(rest)

    def known(self, params: Mapping[str, Any]) -> Known:
        """Gives what is known of the generator of a trial's settings; nothing, of one that nobody asked for."""
        name = self.parts(params)[0]
        return self.generators.get(name) or Known(
            name=name, params=dict(name), row=self.upstream.encode(params), family=str(params.get("generator.family"))
        )

    def number(self, known: Known, mark: float) -> int:
        """Gives the number of a generator at a mark; -1 where no trial has ended there."""
        return self._numbers.get((known.name, mark), -1)

    def add(self, asked: Asked) -> None:
        """Takes in a trial that was asked."""
        if asked.move == "confirm":
            return
        if asked.move == "baseline":
            self._asked[asked.trial] = ("baseline", frozenset(), 0.0, frozenset(), np.zeros(0))
            return
        name, mark, rest = self.parts(asked.params)
        self.tried.add((name, mark, rest))
        known = self.known(asked.params)
        self.generators.setdefault(known.name, known).running.add(asked.trial)
        self._asked[asked.trial] = (asked.move, name, mark, rest, self.downstream.encode(asked.params))

    def tell(self, record: Record) -> None:
        """Takes in the end of a trial."""
        asked = self._asked.pop(record.trial, None)
        if asked is None:
            return
        move, name, mark, rest, row = asked
        if move == "baseline":
            self._paid |= {stage["key"] for stage in record.stages}
            return
        known = self.generators[name]
        known.running.discard(record.trial)
        known.latest = record.trial
        # A record lists also what it found: of a trial that was promoted, the marks before its own.
        mine = {stage["key"]: stage for stage in record.stages if stage["key"] not in self._paid and stage["stage"] != "diagnostics"}
        self._paid |= mine.keys()
        trained = [self._cost(stage) for stage in mine.values() if stage["stage"] == "generator"]
        if trained:
            known.took(mark, sum(trained))
        seconds = sum(self._cost(stage) for stage in mine.values() if stage["stage"] not in ("generator", "conditioning"))
        signed = self._take(record, known, mark, rest, row, seconds)
        if signed is None or violation(record, self._limits) > 0.0:
            return
        if not any(all(a <= b for a, b in zip(other, signed, strict=True)) for other in self.front):
            self.front = [other for other in self.front if not all(a <= b for a, b in zip(signed, other, strict=True))] + [signed]

    def recall(self, earlier: Remembered, number: int) -> None:
        """Takes in a trial of an earlier run, under a number below 0: what it measured is known, but it was not tried here and lies on no front."""
        name, mark, rest = self.parts(earlier.params)
        elsewhere = not earlier.keys
        own = self.known(earlier.params)
        if elsewhere:
            # Another seed may make another generator of equal settings.
            own = Known(name=name | {("earlier run", earlier.run)}, params=own.params, row=own.row, family=own.family, elsewhere=True)
        known = self.generators.setdefault(own.name, own)
        known.origin = earlier.name
        self._paid |= set(earlier.keys)
        if earlier.generator_s is not None and mark > max(known.seconds, default=0.0):
            known.seconds.clear()
            known.took(mark, earlier.generator_s)
        seconds = math.nan if earlier.rest_s is None else earlier.rest_s
        self._take(earlier.record(number), known, mark, rest, self.downstream.encode(earlier.params), seconds)

    def _take(self, record: Record, known: Known, mark: float, rest: Settings, row: Array, seconds: float) -> tuple[float, ...] | None:
        """Learns from a trial that has ended; gives its objectives, lower is better, where it has them all."""
        self.told += 1
        for rung, score in getattr(record, "rungs", {}).items():
            if score is not None and math.isfinite(score):
                self._measure(record.trial, known, float(rung), score)
        if record.state == "failed" and record.failed_in in DOWNSTREAM_STAGES:
            self.spoiled = [*self.spoiled, Told(record.trial, known, mark, -1, rest, row, (), 0.0)][-MOST // 2 :]
        elif record.state == "failed":
            known.broken = True
        values = objective_values(record, self.goals) if record.state == "complete" else None
        if values is None:
            return None
        signed = tuple(sign(goal) * value for goal, value in zip(self.goals, values, strict=True))
        if self.at is not None:
            self._measure(record.trial, known, mark, signed[self.at])
        known.trials.setdefault(mark, []).append(record.trial)
        number = self._numbers.setdefault((known.name, mark), len(self._numbers))
        told = Told(trial=record.trial, generator=known, mark=mark, number=number, rest=rest, row=row, values=signed, seconds=seconds)
        self.best.add(signed, told)
        self.latest = [*self.latest, told][-MOST // 2 :]
        known.kept = known.kept or violation(record, self._limits) == 0.0
        return signed

    def _measure(self, trial: int, known: Known, mark: float, distance: float) -> None:
        """Notes a distance; that of a whole trial replaces what a rung saw."""
        if mark not in known.distances:
            self.near.add((distance,), (trial, known, mark))
            self.new = [*self.new, (trial, known, mark)][-MOST // 2 :]
        known.distances[mark] = distance

    def running(self) -> list[tuple[Known, float, Array]]:
        """Lists the trials under way: generator, mark and downstream settings."""
        return [(self.generators[name], mark, row) for move, name, mark, _, row in self._asked.values() if move != "baseline"]

    def trials(self) -> list[Told]:
        """Lists the trials that models are made of."""
        found = {told.trial: told for told in (*self.best.items, *self.latest)}
        return [found[trial] for trial in sorted(found)]

    def rungs(self) -> list[tuple[Known, float]]:
        """Lists the generators and marks that models are made of."""
        found = {(trial, mark): (known, mark) for trial, known, mark in (*self.near.items, *self.new)}
        return [found[key] for key in sorted(found)]


class _Best:
    """Keeps the best half of `MOST` of whatever it is given, by non-dominated rank of values that are better lower."""

    def __init__(self, values: int) -> None:
        self._values = values
        self._kept: list[tuple[tuple[float, ...], Any]] = []

    @property
    def items(self) -> list[Any]:
        """What is kept, in the order in which it came."""
        return [item for _, item in self._kept]

    def add(self, values: tuple[float, ...], item: Any) -> None:
        """Takes one in. Now and then those that fell behind are let go."""
        self._kept.append((values, item))
        if len(self._kept) <= MOST * 3 // 4:
            return
        level = levels([values for values, _ in self._kept])
        order = sorted(range(len(self._kept)), key=lambda i: (level[i], -i))[: MOST // 2]
        self._kept = [self._kept[i] for i in sorted(order)]
