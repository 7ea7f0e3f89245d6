"""What ends a search before its trials are through, beside its budget: a target reached, a plateau, too little gain an hour. Called by the asker.

All of it is read off the records, in the order in which trials ended, so that a driver that was started again comes to the same end. Only
trials of the search count: baselines show what there is to beat, confirmations repeat.
"""

from collections.abc import Sequence
from typing import NamedTuple

from reports.fronts import dominates, front, hypervolume
from reports.records import Asked, Record
from search.fronts import objective_values, sign, violation
from search.spending.took import covered_s
from search.studies.objectives import direction_of
from search.studies.study import Study


class _Ended(NamedTuple):
    """One ended trial of the search."""

    point: tuple[float, ...] | None
    """Its objectives, lower is better; None where it has none, or breaks a limit."""
    started_s: float
    ended_s: float
    gpus: float


class Stops:
    """Watches the ended trials of one study."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._settings = study.search.budget.stops
        self._ended: list[_Ended] = []
        self._front: list[tuple[float, ...]] = []
        self._since = 0
        self._target: str | None = None

    def add(self, asked: Asked, record: Record) -> None:
        """Takes in a trial that has ended, in the order in which they do."""
        if asked.move in ("baseline", "confirm") or not self._settings.any:
            return
        goals = self._study.objectives
        values = objective_values(record, goals) if record.state == "complete" else None
        keeps = values is not None and not violation(record, self._study.limits)
        point = tuple(sign(goal) * value for goal, value in zip(goals, values, strict=True)) if values is not None and keeps else None
        self._ended.append(_Ended(point, record.started_s, record.ended_s, record.gpus))
        self._since += 1
        if point is not None and not any(other == point or dominates(other, point) for other in self._front):
            self._front = [other for other in self._front if not dominates(point, other)] + [point]
            self._since = 0
        if self._target is None and record.state == "complete" and not violation(record, self._study.limits):
            self._target = self._reached(asked.trial, record)

    def _reached(self, number: int, record: Record) -> str | None:
        """Says that a trial has all that was aimed at; None where it has not."""
        target = self._settings.target
        for score, wanted in target.items():
            value = record.scores.get(score)
            if value is None or (value < wanted if direction_of(score) == "maximize" else value > wanted):
                return None
        told = ", ".join(f"{score} {record.scores[score]:.4g}" for score in target)
        return f"search.budget.stops.target: trial {number} has {told}" if target else None

    def reached(self) -> str | None:
        """Says why the search is over; None where it is not."""
        return self._target or self._plateau() or self._little_gain()

    def _plateau(self) -> str | None:
        wanted = self._settings.plateau
        if wanted is None or self._since < wanted or not self._front:
            return None
        return f"search.budget.stops.plateau: {self._since} trials have ended since the front last became better"

    def _little_gain(self) -> str | None:
        """Weighs the last trials' share of the hypervolume, in the box between the worst and the best of every objective, against their time."""
        least, over = self._settings.least_gain, self._settings.over
        last = self._ended[-over:]
        before = [item.point for item in self._ended[:-over] if item.point is not None]
        if least is None or len(last) < over or not before:
            return None
        now = before + [item.point for item in last if item.point is not None]
        gpu_hours = sum((item.ended_s - item.started_s) * item.gpus for item in last) / 3600
        hours = gpu_hours or covered_s((item.started_s, item.ended_s) for item in last) / 3600
        if hours <= 0:
            return None
        volumes = _volumes([before, now])
        rate = (volumes[1] - volumes[0]) / volumes[1] / hours if volumes[1] > 0 else 0.0
        if rate >= least:
            return None
        unit = "GPU-hour" if gpu_hours else "hour"
        return f"search.budget.stops.least_gain: the last {over} trials added {rate:.2%} of the hypervolume an {unit}, less than {least:.2%}"


def _volumes(sets: Sequence[Sequence[tuple[float, ...]]]) -> list[float]:
    """Measures what sets of points dominate, as shares of the box that the last and largest of them spans."""
    columns = list(zip(*sets[-1], strict=True))
    lows, spans = [min(column) for column in columns], [max(column) - min(column) or 1.0 for column in columns]
    found = []
    for points in sets:
        unit = [[(value - low) / span for value, low, span in zip(point, lows, spans, strict=True)] for point in points]
        found.append(hypervolume([unit[i] for i in front(unit)], [1.0] * len(columns)))
    return found
