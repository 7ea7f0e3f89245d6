"""Stopping at rungs: whether a trial goes on once its generator stands at a mark. Plain Python, called by the asker for both runners.

Asynchronous successive halving (Li et al. 2020): a trial that reaches a rung is held against those that were there before it, and nobody waits. At a
mark on its way only the best 1/reduction_factor go on, because most of a training still lies ahead. At its own mark nothing but the pool, the masks
and the inspector does, so that only the worst 1/reduction_factor end there. Held against each other are new generators, of one family or of all;
a generator that is used again was chosen for what it is, and one that was promoted has nothing to lose at the marks that it has behind it.

What a rung score is worth is not taken for granted: one trial in ten goes on regardless, and no trial of a family is stopped before enough of its
generators have shown that better rung scores end in better inspectors (`reports.trust`). Scores that are missing, or all the same, stop nothing.

A decision, once made, stands: it is written into the trial's steps, so that a trial that is run again is told the same.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reports.records import Asked, Record
from reports.trust import Bounds, Pairs, Trust, family_trust
from search.fronts import Value, levels
from search.studies.study import Study
from trainables.scores.names import MMD
from trainables.seeds import child_seed

CONTENDERS = ("explore", "promote")
"""Moves whose generators are held against each other, and may be stopped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    """What of a trial decides how it is held against others."""

    asked: Asked
    family: str
    mark: float
    """Its own."""
    after: float
    """The mark that its parent ended at, where it was promoted; else 0. Only rungs beyond it count."""


@dataclass(slots=True)
class _Contest:
    """Generators that are held against each other at a mark."""

    values: dict[int, Value] = field(default_factory=dict)
    """What each trial's generator told there, lower is better."""
    order: list[Value] = field(default_factory=list)
    """The same, lowest first."""

    def put(self, number: int, value: Value | None) -> None:
        """Takes in what a trial's generator told; None takes it out."""
        if (before := self.values.pop(number, None)) is not None:
            del self.order[bisect_left(self.order, before)]
        if value is not None:
            self.values[number] = value
            insort(self.order, value)

    def ahead(self, number: int) -> int:
        """Counts those that stand better: with one number each, by it; with several, front after front."""
        mine = self.values[number]
        if len(mine) == 1:
            return bisect_left(self.order, mine)
        level = dict(zip(self.values, levels(list(self.values.values())), strict=True))
        return sum(other < level[number] for other in level.values())


class Rungs:
    """The rungs of one study. Rebuilt from records, and from the steps of trials that have none yet."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._settings = study.search.stopping
        self.bounds = Bounds(self._settings.least_results, self._settings.least_correlation, self._settings.least_low)
        # A study that weighs several distances is told more of a generator than one number.
        named = [goal.score for goal in study.objectives if goal.score.startswith(("val_kid_", f"val_{MMD}"))]
        self._named = named if len(named) > 1 else []
        self._trials: dict[int, _Trial] = {}
        self._told: dict[int, dict[float, tuple[float | None, Mapping[str, float]]]] = {}
        self._decided: dict[tuple[int, float], str | None] = {}
        self._contests: dict[tuple[float, str | None], _Contest] = {}
        """By mark, and family where generators are held against those of their own."""
        self._pairs = Pairs({goal.score: goal.direction for goal in study.objectives})
        self._trust: dict[str, Trust] = {}

    def add(self, asked: Asked) -> None:
        """Takes in a trial that was asked."""
        if "generator.family" not in asked.params:
            return
        parent = self._trials.get(asked.parent) if asked.move == "promote" and asked.parent is not None else None
        family, mark = str(asked.params["generator.family"]), float(asked.params["generator.kimg"])
        self._trials[asked.trial] = _Trial(asked=asked, family=family, mark=mark, after=parent.mark if parent else 0.0)

    def note(self, number: int, mark: float, score: float | None, metrics: Mapping[str, float] | None = None) -> None:
        """Takes in a rung score, lower is better, and what else was measured there, by score name."""
        others = {name: value for name, value in (metrics or {}).items() if name in self._named}
        self._told.setdefault(number, {})[mark] = (score, others)
        trial = self._trials.get(number)
        if trial is not None and self._contends(trial, mark):
            told = tuple(others.get(name) for name in self._named) if self._named else (score,)
            values = tuple(value for value in told if value is not None and math.isfinite(value))
            self._contest(trial, mark).put(number, values if len(values) == len(told) else None)

    def tell(self, record: Record) -> None:
        """Takes in the end of a trial."""
        for mark, score in record.rungs.items():
            if float(mark) not in self._told.get(record.trial, {}):
                self.note(record.trial, float(mark), score, record.rung_scores.get(mark))
        if record.trial in self._trials and record.rungs:
            self._pairs.add(self._trials[record.trial].asked, record)
            self._trust = {}

    def recall(self, number: int, steps: Iterable[Mapping[str, Any]]) -> None:
        """Takes in what an earlier start of a trial without a record has told, and what was decided."""
        for step in steps:
            if step.get("stage") == "rung" and isinstance(mark := step.get("kimg"), int | float):
                self.note(number, float(mark), step.get("rung_score"), step.get("metrics"))
                self._decided[number, float(mark)] = step.get("stopped")

    def told(self, number: int) -> dict[str, float | None]:
        """Gives the rung scores of a trial, by mark."""
        return {f"{mark:g}": score for mark, (score, _) in sorted(self._told.get(number, {}).items())}

    def told_beside(self, number: int) -> dict[str, Mapping[str, float]]:
        """Gives what else was measured at the rungs of a trial, by mark, where the study weighs several distances."""
        return {f"{mark:g}": others for mark, (_, others) in sorted(self._told.get(number, {}).items()) if others}

    def decide(self, number: int, mark: float) -> str | None:
        """Says why a trial that stands at a rung is to be stopped; None where it goes on. Asked again, it says the same."""
        if (number, mark) not in self._decided:
            self._decided[number, mark] = self._decide(number, mark)
        return self._decided[number, mark]

    def trust(self, family: str) -> Trust:
        """Gives how far the rung scores of a family are trusted: its own trust, or, early on, that of all families together."""
        if family not in self._trust:
            self._trust[family] = family_trust(self._pairs.known(), family, self.bounds)
        return self._trust[family]

    def _decide(self, number: int, mark: float) -> str | None:
        trial = self._trials.get(number)
        if trial is None or mark not in self._study.rungs(trial.family, trial.mark) or not self._contends(trial, mark):
            return None
        if child_seed(self._study.seed, "pass", number) % 10**6 < self._settings.pass_share * 10**6:
            return None
        contest = self._contest(trial, mark)
        there = len(contest.values)
        if number not in contest.values or there < self._settings.least_results or not self.trust(trial.family).holds(self.bounds):
            return None
        ahead = contest.ahead(number)
        share = 1 / self._settings.reduction_factor
        go_on = max(1, math.floor(there * share)) if mark < trial.mark else there - math.floor(there * share)
        if ahead < go_on:
            return None
        who = f"{trial.family} generators" if self._settings.among == "family" else "generators"
        score = self._told[number][mark][0]
        return f"stopped at {mark:g} kimg: {ahead} of {there - 1} other {who} stand better there (its rung score is {score:.4g}), {go_on} go on"

    def _contends(self, trial: _Trial, mark: float) -> bool:
        return trial.asked.move in CONTENDERS and mark > trial.after

    def _contest(self, trial: _Trial, mark: float) -> _Contest:
        return self._contests.setdefault((mark, trial.family if self._settings.among == "family" else None), _Contest())
