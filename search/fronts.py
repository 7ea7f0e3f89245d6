"""Objectives and who is better than whom: values and ranks. Called by the moves, the confirmation and the index."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from reports.records import Record
from search.studies.study import Limit, Objective

Value = tuple[float, ...]
"""One value for each objective, in their order."""


def sign(goal: Objective) -> float:
    """Gives the factor that makes lower better."""
    return -1.0 if goal.direction == "maximize" else 1.0


def objective_values(record: Record, goals: tuple[Objective, ...]) -> Value | None:
    """Reads the objectives off a record; None where one is missing or not finite."""
    found = [record.scores.get(goal.score) for goal in goals]
    if any(value is None or not math.isfinite(value) for value in found):
        return None
    return tuple(float(value) for value in found if value is not None)


def excesses(record: Record, limits: Sequence[Limit]) -> dict[str, float]:
    """Says by how much a record breaks each limit, in the score's own unit: 0 or less where it keeps it. A score that has no meaning breaks none."""
    found = {limit.score: record.scores.get(limit.score) for limit in limits}
    return {limit.score: 0.0 if (value := found[limit.score]) is None else limit.excess(value) for limit in limits}


def violation(record: Record, limits: Sequence[Limit]) -> float:
    """Says by how much a record breaks its limits, in shares of their bounds (a bound of 0 counts as 1), summed; 0 where it keeps all."""
    excess = excesses(record, limits)
    return sum(max(0.0, excess[limit.score]) / (abs(limit.bound) or 1.0) for limit in limits)


def ranks(values: Mapping[int, Value], goals: tuple[Objective, ...]) -> dict[int, int]:
    """Peels fronts off: rank 0 is dominated by nobody, rank 1 only by rank 0, and so on. One value dominates another that is nowhere better and
    somewhere worse."""
    signed = {number: tuple(sign(goal) * part for goal, part in zip(goals, value, strict=True)) for number, value in values.items()}
    # In this order, whatever dominates a value comes before it, and no worse in the first objective.
    points = sorted(set(signed.values()))
    others = np.array(points, dtype=np.float64).reshape(len(points), len(goals)).T[1:].copy()
    levels = np.zeros(len(points), dtype=np.int64)
    for i in range(1, len(points)):
        dominates = (others[:, :i] <= others[:, i, None]).all(axis=0)
        levels[i] = levels[:i].max(where=dominates, initial=-1) + 1
    level = dict(zip(points, levels.tolist(), strict=True))
    return {number: level[point] for number, point in signed.items()}
