"""Whether the score at a rung may be trusted to say what a generator will be worth: rank correlation with the final score, with an interval.

The report shows it, the console says it, and the search stops no trial of a family for which it does not hold. Read from records alone.

Ranks are taken among trials that were scored at one rung and ended at one mark: more training betters both numbers, which is not what a comparison at
a rung rests on. Trials that share a generator count once, with the best that was made of it. Only trials that were let through have a final score,
so that the correlation is rather too low than too high: the worst are missing, but for those that pass regardless.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.records import Asked, Record
from reports.run import better
from reports.verdict import headline_score

SEARCHED = ("explore", "reuse", "promote")
RESAMPLES = 400
TAIL = 0.1
"""Share of the resamples beyond either end of the interval, which so covers 80 %."""
UPSTREAM = ("generator.", "preprocess.")


class Bounds(NamedTuple):
    """What trust takes."""

    generators: int = 6
    """Fewest of them; with fewer, a family is judged with all others."""
    correlation: float = 0.3
    """Least rank correlation."""
    low: float = 0.0
    """The lower end of its interval must lie above this."""


class Pair(NamedTuple):
    """A rung score and what came of it."""

    family: str
    generator: frozenset[tuple[str, Any]]
    rung: float
    """Mark at which it was scored, in kimg."""
    mark: float
    """Mark at which the trial ended."""
    score: float
    """At the rung, lower is better."""
    value: float
    """The final score, turned so that more is better."""


class Trust(NamedTuple):
    """How far rung scores order generators as their final scores do."""

    family: str | None
    """None where all families are taken together, each ranked by itself."""
    generators: int
    correlation: float | None
    """Of ranks, 1 where a better rung score always meant a better end; none where there are too few, or nothing varies."""
    low: float | None
    """Lower end of the 80 % bootstrap interval over generators."""
    high: float | None

    def holds(self, bounds: Bounds) -> bool:
        """Says whether trials may be stopped by it."""
        if self.generators < bounds.generators or self.correlation is None or self.low is None:
            return False
        return self.correlation >= bounds.correlation and self.low > bounds.low

    def is_weak(self, bounds: Bounds) -> bool:
        """Says whether there were enough generators to know that it does not hold."""
        return self.generators >= bounds.generators and not self.holds(bounds)


class Pairs:
    """Rung scores with the final score that the study's verdict is about, the best one of each generator and mark; told trials as they end.

    Args:
        objectives: score -> maximize or minimize.
        trials: asked and finished, that are known from the start.
    """

    def __init__(self, objectives: Mapping[str, str], trials: Iterable[tuple[Asked, Record | None]] = ()) -> None:
        self._score = headline_score(objectives)
        self._direction = objectives.get(self._score, "maximize")
        self._best: dict[tuple[frozenset[tuple[str, Any]], float, float], Pair] = {}
        for asked, record in trials:
            self.add(asked, record)

    def add(self, asked: Asked, record: Record | None) -> None:
        """Takes in a trial; one that was not searched, or has no rung or no final score, says nothing."""
        if record is None or record.state != "complete" or not record.rungs or asked.move not in SEARCHED:
            return
        value = record.scores.get(self._score)
        if value is None or not math.isfinite(value):
            return
        generator = frozenset(item for item in asked.params.items() if item[0].startswith(UPSTREAM) and item[0] != "generator.kimg")
        family, mark = str(asked.params["generator.family"]), float(asked.params["generator.kimg"])
        told = better(value, self._direction)
        for rung, found in record.rungs.items():
            key = (generator, float(rung), mark)
            if found is not None and math.isfinite(found) and (key not in self._best or self._best[key].value < told):
                self._best[key] = Pair(family, generator, float(rung), mark, found, told)

    def known(self) -> list[Pair]:
        """Lists them, in an order that does not depend on which trial ended first."""
        return sorted(self._best.values(), key=lambda pair: (pair.rung, pair.mark, pair.score, pair.value))


def trust(known: Sequence[Pair], family: str | None = None) -> Trust:
    """Correlates rung scores with final ones.

    Args:
        known: of all families.
        family: whose; None takes all of them, each ranked by itself.
    """
    mine = [pair for pair in known if family in (None, pair.family)]
    names = {generator: i for i, generator in enumerate(dict.fromkeys(pair.generator for pair in mine))}
    groups: dict[tuple[str, float, float], list[Pair]] = {}
    for pair in mine:
        groups.setdefault((pair.family, pair.rung, pair.mark), []).append(pair)
    sums = np.zeros((len(names), 3))
    for group in groups.values():
        x, y = _ranks([-pair.score for pair in group]), _ranks([pair.value for pair in group])
        np.add.at(sums, [names[pair.generator] for pair in group], np.stack([x * y, x * x, y * y], axis=1))
    correlation = _correlation(sums.sum(axis=0)[None])[0]
    if math.isnan(correlation):
        return Trust(family, len(names), None, None, None)
    # Whole generators are drawn anew, since the rungs of one are no independent evidence.
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=RESAMPLES)
    low, high = np.quantile(np.nan_to_num(_correlation(drawn @ sums)), [TAIL, 1 - TAIL])
    return Trust(family, len(names), float(correlation), float(low), float(high))


def family_trust(known: Sequence[Pair], family: str, bounds: Bounds) -> Trust:
    """Gives the trust that decides for a family: its own, or that of all together where it has too few generators."""
    own = trust(known, family)
    return own if own.generators >= bounds.generators else trust(known)


def bounds_of(study: Mapping[str, Any]) -> Bounds:
    """Reads the bounds of a study, as its file has them."""
    search = study.get("search")
    given = search.get("stopping") if isinstance(search, Mapping) else None
    usual, told = Bounds(), given if isinstance(given, Mapping) else {}
    return Bounds(
        int(told.get("least_results", usual.generators)),
        float(told.get("least_correlation", usual.correlation)),
        float(told.get("least_low", usual.low)),
    )


def _ranks(values: list[float]) -> NDArray[np.float64]:
    """Gives ranks, equal values sharing theirs, around 0 and in shares of the group, so that groups of any size count by their members."""
    order, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)[1:]
    middle = np.cumsum(counts) - (counts + 1) / 2
    ranks: NDArray[np.float64] = (middle[order] - (len(values) - 1) / 2) / len(values)
    return ranks


def _correlation(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turns sums (N, 3) of xy, xx and yy into correlations (N,); nan where something does not vary."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: NDArray[np.float64] = sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
    return found


def describe(found: Trust, bounds: Bounds) -> str:
    """Says in a phrase how far rung scores may be trusted."""
    if found.generators < bounds.generators:
        return f"too early to say ({found.generators} of {bounds.generators} generators)"
    if found.correlation is None:
        return f"nothing to rank by ({found.generators} generators)"
    word = "trusted" if found.holds(bounds) else "weak, so that none is stopped by it"
    return f"{word} (rank correlation {found.correlation:.2f}, {found.low:.2f} to {found.high:.2f}, {found.generators} generators)"
