"""Objectives and who is better than whom: values and ranks. Called by the moves, the confirmation and the index."""

import itertools
import math
from collections.abc import Mapping

import numpy as np

from reports.records import Record
from search.study import Objective

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
    numbers = np.array(sorted(values), dtype=np.int64)
    points = np.array([values[number] for number in numbers], dtype=np.float64).reshape(len(numbers), len(goals)) * [sign(goal) for goal in goals]
    found: dict[int, int] = {}
    for level in itertools.count():
        if len(numbers) == 0:
            return found
        no_worse = (points[:, None] <= points[None]).all(axis=-1)
        dominated = (no_worse & ~no_worse.T).any(axis=0)
        found |= {int(number): level for number in numbers[~dominated]}
        numbers, points = numbers[dominated], points[dominated]
    raise AssertionError("every front has a member")
