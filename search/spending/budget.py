"""What trials cost, what a run may use of time, GPUs, money and disk, and what else ends its search. Called by the asker, the runner and the moves.

What is used is counted over all drivers of a run: the time in which trials ran that have ended, and what this driver has used since it began.
The search is closed while there is still enough for the confirmations, as far as they can be foreseen; once all is used nothing starts any more,
so that a run overruns by no more than the trials in flight.
"""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.records import Record
from search.spending.forecast import forecast, show_hours
from search.spending.took import Todo, Took, covered_s
from search.studies.budgets import BudgetSettings
from search.studies.study import Study

StageCost = Callable[[Mapping[str, Any]], float]
"""Seconds of one row of `Record.stages`."""
MOST_KEPT = 0.5
"""Share of a budget that is kept for confirmations at most, so that something is searched."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Seconds of work."""

    generators_s: float = 0.0
    downstream_s: float = 0.0
    """Pools, inspectors and scores."""


def measured(stage: Mapping[str, Any]) -> float:
    """What making the stage took, here or by whoever made it first."""
    return float(stage["seconds"])


def spent(records: Iterable[Record], cost: StageCost = measured) -> Spent:
    """Adds up what the stages of finished trials took. A stage is counted once, however many trials met it, so that the sums are the same for a run
    that was killed and continued."""
    stages = {(stage["stage"], stage["key"]): stage for record in records for stage in record.stages}
    generators = [cost(stage) for (name, _), stage in stages.items() if name == "generator"]
    rest = [cost(stage) for (name, _), stage in stages.items() if name != "generator"]
    return Spent(generators_s=sum(generators), downstream_s=sum(rest))


def used_before(records: Iterable[Record]) -> tuple[float, float]:
    """Gives the hours and GPU-hours that ended trials stand for; time in which several ran counts once as hours."""
    known = list(records)
    hours = covered_s((record.started_s, record.ended_s) for record in known) / 3600
    return hours, sum((record.ended_s - record.started_s) * record.gpus for record in known) / 3600


def show_amount(name: str, amount: float, budget: BudgetSettings) -> str:
    """Writes what is used of something, or may be."""
    if name in ("hours", "gpu_hours"):
        return show_hours(amount) if name == "hours" else f"{amount:.3g} GPU-hours"
    return f"{amount:.2f} {budget.currency}" if name == "money" else f"{amount:.3g} GiB"


@dataclass(frozen=True, kw_only=True, slots=True)
class Using:
    """What is used now."""

    now_s: float
    running: Mapping[int, float]
    """Trial -> when it started, for all that run."""


class Budget:
    """Counts what a run uses, and says when its search is closed and when nothing more may start.

    Args:
        study: whose budget it is.
        before: the records of earlier drivers.
        workers: trials at a time.
        gpus: share of a GPU that each holds.
        begun_s: when this driver began.
        size_gib: measures run and store; asked only where disk is bounded, once for every trial that starts or ends.
    """

    def __init__(
        self,
        study: Study,
        before: Iterable[Record] = (),
        *,
        workers: float = 1.0,
        gpus: float = 0.0,
        begun_s: float = 0.0,
        size_gib: Callable[[], float] | None = None,
    ) -> None:
        self.settings = study.search.budget
        self._study = study
        self._workers, self._gpus, self._begun_s = workers, gpus, begun_s
        self._hours, self._gpu_hours = used_before(before)
        self._size_gib = size_gib
        self._sized: tuple[tuple[int, ...], int, float] | None = None
        self._ended: list[Took] = []

    def add(self, ended: Took, *, here: bool) -> None:
        """Takes in an ended trial; `here` where this driver ran it."""
        self._ended.append(ended)
        if here:
            self._gpu_hours += ended.wall_s * ended.gpus / 3600

    def used(self, now: Using) -> dict[str, float]:
        """Says what is used of everything that is bounded, by the names of the settings."""
        hours = self._hours + max(0.0, now.now_s - self._begun_s) / 3600
        in_flight = sum(max(0.0, now.now_s - since) for since in now.running.values()) * self._gpus / 3600
        found = {"hours": hours, "gpu_hours": self._gpu_hours + in_flight}
        found["money"] = found["gpu_hours"] * (self.settings.price_per_gpu_hour or 0.0)
        if "disk_gib" in self.settings.amounts and self._size_gib is not None:
            found["disk_gib"] = self._disk(now)
        return {name: found[name] for name in self.settings.amounts if name in found}

    def _disk(self, now: Using) -> float:
        assert self._size_gib is not None
        state = (tuple(now.running), len(self._ended))
        if self._sized is None or self._sized[:2] != state:
            self._sized = (*state, self._size_gib())
        return self._sized[2]

    def exhausted(self, now: Using) -> str | None:
        """Says what is used up, so that nothing more may start; None where nothing is."""
        for name, amount in self.used(now).items():
            if amount >= (bound := self.settings.amounts[name]):
                return f"search.budget.{name}: {show_amount(name, amount, self.settings)} of {show_amount(name, bound, self.settings)} are used"
        return None

    def closed(self, now: Using, ahead: Todo) -> str | None:
        """Says why nothing more is searched: the trial that would come and the confirmations would take what is left. None where there is room.

        Args:
            now: what is used.
            ahead: the confirmations to come.
        """
        used = self.used(now)
        if not used:
            return None
        one, keep = self._of_one(now), self._kept(ahead)
        for name, amount in used.items():
            bound = self.settings.amounts[name]
            kept = min(keep.get(name, 0.0), MOST_KEPT * bound)
            if amount + one.get(name, 0.0) + kept >= bound:
                said = f"search.budget.{name}: {show_amount(name, amount, self.settings)} of {show_amount(name, bound, self.settings)} are used"
                return said + (f", and {show_amount(name, kept, self.settings)} are kept for the confirmations" if kept else "")
        return None

    def _of_one(self, now: Using) -> dict[str, float]:
        """Says what those in flight and one more trial of the search will use, where some have ended."""
        searched = [item for item in self._ended if item.move not in ("baseline", "confirm")]
        if not searched:
            return {}
        wall_s = statistics.median(item.wall_s for item in searched)
        left_s = wall_s + sum(max(0.0, wall_s - (now.now_s - since)) for since in now.running.values())
        gpu_hours = left_s * self._gpus / 3600
        stored = [item.stored_gib for item in searched if item.stored_gib is not None]
        disk = statistics.median(stored) * (1 + len(now.running)) if stored else 0.0
        return {"hours": wall_s / 3600, "gpu_hours": gpu_hours, "money": gpu_hours * (self.settings.price_per_gpu_hour or 0.0), "disk_gib": disk}

    def _kept(self, ahead: Todo) -> dict[str, float]:
        """Says what the confirmations will use, at the upper end of what is foreseen."""
        found = forecast(self._study, ahead, self._ended, workers=self._workers, gpus=self._gpus) if ahead.trials else None
        if found is None:
            return {}
        money = found.gpu_hours.high * (self.settings.price_per_gpu_hour or 0.0)
        disk = found.disk_gib.high if found.disk_gib is not None else 0.0
        return {"hours": found.hours.high, "gpu_hours": found.gpu_hours.high, "money": money, "disk_gib": disk}
