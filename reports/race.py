"""The race before the test split is read: who of the best is repeated to the end, and who has clearly lost on validation before. Pure.

Called by the search, which asks what the race needs, and by the verdict, which lists who was dropped.

After each round every candidate has the same repeats with the same seeds. It is dropped where a one-sided paired t test finds it worse than the
leader, the best mean on validation so far, at 5 % divided by the number of rounds and of its rivals. Whoever leads, and however often one looks, the
truly best candidate is thus dropped with a probability of 5 % at most, by Bonferroni's bound (racing: O. Maron, A. Moore, "Hoeffding races", NIPS
1993; M. Birattari and others, "A racing algorithm for configuring metaheuristics", GECCO 2002). Differences that are all the same have no spread that
they could be judged by, and drop nobody: few validation images make that happen by chance.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from reports.records import Asked, Record
from reports.repeats import Seeds, cells, estimate
from reports.run import better, label

LEVEL = 0.05
"""Probability, at most, that the truly best candidate is dropped in any round."""
FIRST = 3
"""Inspector seeds of the first round: with two, one degree of freedom finds hardly anything."""
GROWTH = 1.5
"""Each round has half as many again, so that there are few looks to be corrected for."""

Pair = tuple[int, int]
"""Seeds of the generator and of the inspector."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which seeds confirmations have."""

    seeds: int = 3
    """Seeds of the inspector."""
    retrain_generator: bool = False
    """Whether each of them has a generator of its own."""
    generators: int = 0
    """Generators that meet every inspector; 0 where seeds are not crossed."""
    race: bool = True
    """Whether there are rounds."""

    def pairs(self, count: int | None = None, *, real_only: bool = False) -> list[Pair]:
        """Lists the seeds of each repeat, the same for every candidate.

        Args:
            count: seeds of the inspector, and of the generator at most; all by default.
            real_only: without a generator, one repeat for each inspector is all there is.
        """
        inspectors = range(1, (self.seeds if count is None else count) + 1)
        if self.generators and not real_only:
            return [(generator, inspector) for inspector in inspectors for generator in inspectors[: self.generators]]
        return [(inspector if self.retrain_generator else 0, inspector) for inspector in inspectors]

    @property
    def rounds(self) -> tuple[int, ...]:
        """Seeds of the inspector at the end of each round; the last repeats are those of the judging, and no round."""
        found, count = [], FIRST
        while self.race and count < self.seeds:
            found.append(count)
            count = math.ceil(GROWTH * count)
        return tuple(found)


class Dropped(NamedTuple):
    """A candidate that is not judged."""

    of: int
    """The trial that was repeated."""
    round: int
    """From 1 on."""
    why: str


class Race(NamedTuple):
    """How a race stands."""

    left: list[int]
    """Candidates that are still in it, or have come through."""
    dropped: list[Dropped]
    open: int | None
    """The round that not all candidates have ended, from 1 on; None where the race is over."""


Repeats = Mapping[int, Sequence[tuple[Asked, Record | None]]]
"""Candidate -> its confirmations, with how they ended where they have."""


def race(candidates: Sequence[int], repeats: Repeats, layout: Layout, *, score: str, direction: str, judged: Collection[int] = ()) -> Race:
    """Runs the race as far as the records go.

    Args:
        candidates: the trials that are to be confirmed.
        repeats: their confirmations; a judged one has the repeats of all rounds.
        layout: which seeds there are.
        score: the validation score that decides.
        direction: maximize or minimize.
        judged: candidates whose test score is known or on its way: they can no more be dropped.
    """
    left, dropped = list(candidates), list[Dropped]()
    rounds = layout.rounds
    level = LEVEL / max(1, len(rounds) * (len(candidates) - 1))
    for number, count in enumerate(rounds, start=1):
        if len(left) < 2:
            break
        wanted = set(layout.pairs(count))
        ended = {of: _repeated(repeats.get(of, ()), wanted, score) for of in left}
        if any(found is None for found in ended.values()):
            return Race(left, dropped, number)
        for of, found in ended.items():
            if isinstance(found, str) and of not in judged:
                dropped.append(Dropped(of, number, f"a repeat of it failed: {found}"))
        values = {of: found for of, found in ended.items() if isinstance(found, Mapping)}
        lost = _lost(values, direction, level)
        for of, (leader, gap, p) in lost.items():
            if of not in judged:
                said = f"after {_count(wanted)} {100 * gap:.1f} points of {label(score)} behind #{leader} (one-sided p {p:.2g}, below {level:.2g})"
                dropped.append(Dropped(of, number, said))
        out = {item.of for item in dropped}
        left = [of for of in left if of not in out]
    return Race(left, dropped, None)


def _repeated(repeats: Sequence[tuple[Asked, Record | None]], wanted: set[Pair], score: str) -> Mapping[Seeds, float] | str | None:
    """Gives what a candidate scored with the seeds of a round: all of them, or nothing where a score is missing; the name of its failure where it has
    failed; None where it has not ended."""
    failure: str | None = None
    for asked, record in repeats:
        units = asked.recipe.get("units") or []
        if record is None or not wanted <= {(unit.get("generator", 0), unit["inspector"]) for unit in units}:
            continue
        if record.state != "complete":
            failure = failure or record.failure or record.state
            continue
        scored = {
            (unit.get("generator", 0), unit["inspector"], unit.get("fold", 0)): values.get(score)
            for unit, values in zip(units, record.units, strict=False)
        }
        found = {seeds: value for seeds, value in scored.items() if seeds[:2] in wanted and value is not None}
        whole = len(record.units) == len(units) and sum(seeds[:2] in wanted for seeds in scored) == len(found)
        return cells(found) if whole else {}
    return failure


def _lost(values: Mapping[int, Mapping[Seeds, float]], direction: str, level: float) -> dict[int, tuple[int, float, float]]:
    """Finds who is clearly worse than the leader: the leader, by how much, and the p value."""
    means = {of: better(sum(own.values()) / len(own), direction) for of, own in values.items() if own}
    if not means:
        return {}
    leader = max(means, key=lambda of: (means[of], -of))
    found = {}
    for of in means:
        gaps = {seeds: better(values[leader][seeds], direction) - better(value, direction) for seeds, value in values[of].items()}
        told = estimate(gaps)
        if told is not None and told.error > 0 and told.p_above < level:
            found[of] = (leader, told.mean, told.p_above)
    return found


def _count(pairs: Collection[Pair]) -> str:
    """Says how many repeats there are."""
    generators, inspectors = ({pair[place] for pair in pairs} for place in (0, 1))
    crossed = len(pairs) > len(inspectors)
    return f"{len(generators)} x {len(inspectors)} seeds of generator and inspector" if crossed else f"{len(pairs)} seeds"
