"""What a search is compared with: Ray Tune's stock OptunaSearch, alone, with its ASHA, or with our store of stages; and random search.

OptunaSearch is Optuna's two-objective `TPESampler(seed=)` with its defaults, asked for one trial whenever a worker is free, its space defined by
run, so that only settings that apply are asked for. Every trial trains to the top mark. Optuna itself is used; of Ray only what its wheel does
between it and Optuna is repeated here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler

from search.fronts import sign
from search.replay.simulation import Job, Result, Rung
from search.replay.table import Table

DISTANCES = ("val_kid", "val_fid", "val_frechet", "val_mmd")
"""Objectives that a rung score is an early value of."""


@dataclass(slots=True)
class Asha:
    """Ray's AsyncHyperBandScheduler with one bracket: a trial stops whose score is worse than the best 1/`reduction` of those before it at its rung.

    A rung lies at every mark below the top one. At the top mark Ray would stop every trial, so users set `max_t` beyond it.
    """

    marks: Sequence[float]
    """Of the rungs."""
    reduction: float = 4.0
    """Ray's default."""
    _seen: dict[float, list[float]] = field(default_factory=dict)

    def stops(self, rung: Rung) -> bool:
        """Says whether a trial stops here, and notes its score."""
        if rung.kimg not in self.marks:
            return False
        seen = self._seen.setdefault(rung.kimg, [])
        cutoff = np.nanpercentile(seen, (1.0 - 1.0 / self.reduction) * 100.0) if seen else None
        seen.append(-rung.score)
        return cutoff is not None and bool(-rung.score < cutoff)


class Stock:
    """Optuna behind Ray Tune, as a player.

    Args:
        table: whose settings it chooses among.
        seed: of the sampler.
        sampler: OptunaSearch's own, or random.
        asha: stops trials, where it is given.
        shares: whether stages are found in a store of ours.
        told: what Optuna is told of a trial that ASHA stopped. last: COMPLETE with its last report, as OptunaSearch does wherever every report has
            all metrics, which Tune demands: the rung score in the place of the distance, and the table's worst value in that of what only a finished
            trial has. nothing: it stays RUNNING for ever, as OptunaSearch leaves it where a metric is missing.
        starts: settings that are tried first (`points_to_evaluate`), without the mark.
        trials: how many are tried at most.
    """

    def __init__(
        self,
        table: Table,
        *,
        seed: int,
        sampler: Literal["tpe", "random"] = "tpe",
        asha: Asha | None = None,
        shares: bool = False,
        told: Literal["last", "nothing"] = "last",
        starts: Sequence[Mapping[str, Any]] = (),
        trials: int = 1000,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.shares, self.now_s = shares, 0.0
        self._table, self._asha, self._told, self._trials = table, asha, told, trials
        kind: BaseSampler = TPESampler(seed=seed) if sampler == "tpe" else RandomSampler(seed=seed)
        self.study = optuna.create_study(sampler=kind, directions=[goal.direction for goal in table.objectives], pruner=optuna.pruners.NopPruner())
        for start in starts:
            self.study.enqueue_trial(dict(start))
        self._asked: dict[int, optuna.Trial] = {}
        self._begun = False

    def ask(self) -> Job | None:
        """Gives the trial on real images alone, whose inspector distances are measured with, then what Optuna suggests."""
        if not self._begun:
            self._begun = True
            return Job(number=-1, move="baseline", params={"baseline": "plain"})
        if len(self._asked) == self._trials:
            return None
        trial = self.study.ask()
        params = self._table.space.suggest(trial, {"generator.kimg": self._table.marks[-1]})
        self._asked[trial.number] = trial
        return Job(number=trial.number, move="explore", params=params)

    def rungs(self, job: Job) -> Collection[float]:
        """Gives those of ASHA, where there is one."""
        return self._asha.marks if self._asha is not None else ()

    def rung(self, job: Job, rung: Rung) -> str | None:
        """Lets ASHA decide, where there is one."""
        return "stopped by ASHA" if self._asha is not None and self._asha.stops(rung) else None

    def stopped(self, job: Job, reason: str, result: Result) -> None:
        """Tells Optuna what OptunaSearch would."""
        if self._told == "last":
            last = result.rungs[max(result.rungs)]
            values = [last if goal.score.startswith(DISTANCES) else self._worst(goal.score) for goal in self._table.objectives]
            self.study.tell(self._asked[job.number], values)

    def finished(self, job: Job, result: Result) -> None:
        """Tells Optuna the objectives."""
        if job.number in self._asked:
            self.study.tell(self._asked[job.number], [result.scores[goal.score] or 0.0 for goal in self._table.objectives])

    def _worst(self, score: str) -> float:
        goal = next(goal for goal in self._table.objectives if goal.score == score)
        return max((point.scores[score] for point in self._table.points.values()), key=lambda value: sign(goal) * value)
