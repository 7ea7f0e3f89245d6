"""Objectives and who is better than whom: values, domination and ranks. Called by the moves, the confirmation and the index."""

import math
from collections.abc import Mapping

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


def dominates(one: Value, other: Value, goals: tuple[Objective, ...]) -> bool:
    """Says whether `one` is nowhere worse than `other` and somewhere better."""
    pairs = [(sign(goal) * a, sign(goal) * b) for goal, a, b in zip(goals, one, other, strict=True)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def ranks(values: Mapping[int, Value], goals: tuple[Objective, ...]) -> dict[int, int]:
    """Peels fronts off: rank 0 is dominated by nobody, rank 1 only by rank 0, and so on."""
    left, level, found = dict(values), 0, {}
    while left:
        front = [number for number, value in left.items() if not any(dominates(other, value, goals) for other in left.values())]
        for number in front:
            found[number] = level
            del left[number]
        level += 1
    return found
