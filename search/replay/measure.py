"""How far a replayed course got: hypervolume, as a share of the table's best, and what reaching a share took.

The reference point is stated and comes from the table alone: for each objective a quantile of all its values, from the best (0) to the worst (1).
At 1, the default, it is the table's nadir, the worst value of each objective. Between the best value and the reference point each objective is
scaled to 0 to 1, lower is better; what lies beyond the reference point counts nothing.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from reports.fronts import hypervolume
from search.fronts import gains, non_dominated, sign
from search.replay.simulation import Course
from search.replay.table import Table, TableError


class Yardstick:
    """Measures courses against one table.

    Args:
        table: what can be reached at all.
        quantile: of each objective's values, where the reference point lies, in (0, 1].

    Raises:
        TableError: an objective has one value only, so that there is nothing to gain.
    """

    def __init__(self, table: Table, *, quantile: float = 1.0) -> None:
        self._goals = table.objectives
        signed = np.array([[sign(goal) * point.scores[goal.score] for goal in self._goals] for point in table.points.values()])
        self._best, self.reference = signed.min(axis=0), np.quantile(signed, quantile, axis=0)
        if flat := [goal.score for goal, low, high in zip(self._goals, self._best, self.reference, strict=True) if not low < high]:
            raise TableError(f"{table.where}: {', '.join(flat)}: the same in all rows up to the reference point, so that nothing can be gained")
        every = non_dominated(np.array(self._scaled(point.scores for point in table.points.values())))
        self.best = hypervolume(every.tolist(), [1.0] * len(self._goals))

    def _scaled(self, scores: Iterable[Mapping[str, float | None]]) -> list[tuple[float, ...]]:
        """Scales what has all objectives and lies within the reference point."""
        found = []
        for values in scores:
            own = [values.get(goal.score) for goal in self._goals]
            if any(value is None for value in own):
                continue
            signed = np.array([sign(goal) * float(value or 0.0) for goal, value in zip(self._goals, own, strict=True)])
            scaled = (signed - self._best) / (self.reference - self._best)
            if (scaled < 1.0).all():
                found.append(tuple(scaled.tolist()))
        return found

    def shares(self, course: Course) -> list[tuple[float, float]]:
        """Lists, for each end of a trial that gained something, the seconds worked until then and the share of the table's best hypervolume."""
        front, reached = np.zeros((0, len(self._goals))), 0.0
        shares: list[tuple[float, float]] = []
        for end in course.ends:
            for point in self._scaled([end.result.scores]):
                if (gain := float(gains(np.array([point]), front, np.ones(len(point)))[0])) > 0.0:
                    front, reached = non_dominated(np.vstack([front, point])), reached + gain / self.best
                    shares.append((end.compute_s, reached))
        return shares

    def seconds_to(self, course: Course, share: float) -> float:
        """Gives the seconds that all workers worked until a share of the table's best hypervolume was reached; infinite where it was not."""
        return next((seconds for seconds, reached in self.shares(course) if reached >= share), math.inf)

    def share_at(self, course: Course, seconds: float = math.inf) -> float:
        """Gives the share that was reached within so many seconds of work."""
        return max((reached for worked, reached in self.shares(course) if worked <= seconds), default=0.0)
