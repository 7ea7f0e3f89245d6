"""Objectives and who is better than whom: values and ranks. Called by the moves, the confirmation and the index."""

import math
from collections.abc import Mapping

import numpy as np

from reports.records import Record
from search.studies.study import Objective

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
