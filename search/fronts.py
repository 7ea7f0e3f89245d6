"""Objectives and who is better than whom: values and ranks. Called by the moves, the confirmation and the index."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reports.records import Record
from search.studies.objectives import Limit, Objective

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
    signed = [tuple(sign(goal) * part for goal, part in zip(goals, value, strict=True)) for value in values.values()]
    return dict(zip(values, levels(signed), strict=True))


def levels(values: Sequence[Value]) -> list[int]:
    """Gives the rank of each value, as in `ranks`; lower is better in every objective."""
    if not values:
        return []
    # In this order, whatever dominates a value comes before it, and no worse in the first objective.
    points = sorted(set(values))
    others = np.array(points, dtype=np.float64).T[1:].copy()
    found = np.zeros(len(points), dtype=np.int64)
    for i in range(1, len(points)):
        dominates = (others[:, :i] <= others[:, i, None]).all(axis=0)
        found[i] = found[:i].max(where=dominates, initial=-1) + 1
    level = dict(zip(points, found.tolist(), strict=True))
    return [level[value] for value in values]


def gains(points: NDArray[np.float64], front: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gives the hypervolume that each of some points would add to a front.

    Args:
        points: (P, M), lower is better.
        front: (F, M), none of which dominates another.
        reference: (M,); what is worse than it in any objective adds nothing.

    Returns:
        (P,), 0 for a point that the front dominates.
    """
    if points.shape[1] == 1:
        best = min(reference[0], front[:, 0].min(initial=np.inf))
        return np.maximum(best - points[:, 0], 0.0)
    order = np.argsort(front[:, -1], kind="stable")
    front = front[order]
    if points.shape[1] == 2:
        # From the lowest second objective on; between two neighbours nothing below the former's first objective is dominated.
        floors = np.minimum(np.concatenate([[reference[0]], front[:, 0]]), reference[0])
        ends = np.concatenate([front[:, 1], [reference[1]]])
        starts = np.concatenate([[-np.inf], front[:, 1]])
        tall = np.maximum(np.minimum(ends, reference[1])[None] - np.maximum(starts[None], points[:, 1:]), 0.0)
        return (tall * np.maximum(floors[None] - points[:, :1], 0.0)).sum(axis=1)
    total = np.zeros(len(points))
    heights = np.concatenate([[-np.inf], front[:, -1], [reference[-1]]])
    for i in range(len(front) + 1):
        thick = np.maximum(min(heights[i + 1], reference[-1]) - np.maximum(points[:, -1], heights[i]), 0.0)
        if thick.any():
            total += thick * gains(points[:, :-1], non_dominated(front[:i, :-1]), reference[:-1])
    return total


def non_dominated(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keeps of points (N, M), lower is better, those that no other dominates, equal ones once."""
    points = np.unique(points, axis=0)
    if len(points) == 0:
        return points
    at_most = (points[:, None] <= points[None]).all(axis=2)
    return points[at_most.sum(axis=0) == 1]
