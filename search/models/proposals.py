"""Weighs what might be tried next by the hypervolume that it is expected to add for each second: new generators, further training of one, another use
of one. Called by the moves.

A generator that stands at no mark, or at a low one, is weighed at every mark that it could still reach, with the seconds up to there: what makes it
worth training is where it may end. Whatever wins, only the next mark is asked for; its distance there is weighed again before more is spent on it.
But a mark is passed where going on to the following one takes less than what would stand behind it there: its rung score is told all the same.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.fronts import gains, levels, non_dominated
from search.models.expectations import ROOT_WEIGHTS, Candidate, Expected, Fitted
from search.models.model import MARK, Known, Model
from spaces.space import Space

Array = NDArray[np.float64]

DRAWN, NEIGHBOURS, KEPT = 48, 24, 16
"""New generators that are drawn from the whole space, and beside the best known ones; those of them that are weighed with what stands behind them."""
USED = 16
"""Trained generators that are weighed for further use."""
BEHIND = 8
"""Downstream settings that each is weighed with."""
BEST = 6
"""Generators, and trials, whose neighbours are looked at."""
ONE_OF_DRAWN = 4
"""One of so many of the new generators that are weighed was merely drawn, whatever is expected of it."""
FAR = 0.8
"""Quantile of each objective's values where the reference point lies, unless the front reaches further."""
NODES = np.array([-2.8569700138728, -1.3556261799742, 0.0, 1.3556261799742, 2.8569700138728])
NODE_WEIGHTS = np.array([0.0112574113277, 0.2220759220056, 0.5333333333333, 0.2220759220056, 0.0112574113277])
"""Gauss-Hermite points of a normal distribution, and their weights: for the objectives beside the distance."""
DRAWS = 12
"""Points for two and more of these."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is to be tried."""

    kind: str
    """explore, promote or reuse."""
    params: Mapping[str, Any]
    generator: Known
    gain: float
    """Expected hypervolume, as a share of that between the best values and the reference point."""
    seconds: float
    """Expected, up to the mark for whose sake it was chosen."""


class Proposals:
    """Candidates of one suggestion.

    Args:
        space: of the study.
        model: what is known.
        ladder: marks of a family, lowest first.
        rng: decides what is drawn.
        kinds: moves that may be made.
    """

    def __init__(self, space: Space, model: Model, ladder: Mapping[str, Sequence[float]], rng: random.Random, kinds: frozenset[str]) -> None:
        self._space, self._model, self._ladder, self._rng, self._kinds = space, model, ladder, rng, kinds

    def drawn(self) -> Proposal:
        """Draws a new generator, with what stands behind it; one that was tried, where nothing new is left."""
        for _ in range(DRAWN):
            params = self._at_first(self._space.around({}, self._rng))
            known = self._model.known(params)
            if known.name not in self._model.generators:
                break
        return Proposal(kind="explore", params=params, generator=known, gain=0.0, seconds=0.0)

    def best(self, fitted: Fitted) -> Proposal | None:
        """Finds what adds most for each second; None where nothing is left to try."""
        candidates = list(self.candidates(fitted))
        if not candidates:
            return None
        expected = fitted.expect(candidates)
        running = self._running(fitted)
        gain = expected_gains(self._model, expected, running)
        generators = {known: (known.mark, fitted.rate(known)) for known in {candidate.generator for candidate in candidates}}
        standing, rates = np.array([generators[candidate.generator] for candidate in candidates]).T
        marks = np.array([candidate.mark for candidate in candidates])
        seconds = rates * np.maximum(marks - standing, 0.0) + expected.seconds
        for i in np.argsort(-gain / seconds, kind="stable"):
            candidate = candidates[int(i)]
            kind, mark = self._step(candidate, float(rates[i]), float(expected.seconds[i]))
            params = {**candidate.generator.params, MARK: mark, **candidate.params}
            if self._model.parts(params) not in self._model.tried:
                return Proposal(kind=kind, params=params, generator=candidate.generator, gain=float(gain[i]), seconds=float(seconds[i]))
        return None

    def _step(self, candidate: Candidate, rate: float, behind_s: float) -> tuple[str, float]:
        """Says which move leads to a candidate, and to which mark it goes first.

        Args:
            candidate: what was chosen.
            rate: seconds of its generator's training for each kimg.
            behind_s: seconds behind the generator.
        """
        known = candidate.generator
        if candidate.mark <= known.mark:
            return "reuse", candidate.mark
        reached, *further = [mark for mark in self._ladder[known.family] if known.mark < mark <= candidate.mark]
        for mark in further:
            if rate * (mark - reached) >= behind_s:
                break
            reached = mark
        return ("promote" if known.mark else "explore"), reached

    def candidates(self, fitted: Fitted) -> Iterator[Candidate]:
        """Lists generators at the marks that they have or can reach, with different settings behind them."""
        behind: dict[str, list[tuple[Mapping[str, Any], Array]]] = {}
        for known in self._generators(fitted):
            family = known.family
            if family not in behind:
                behind[family] = self._behind(known)
            ladder = self._ladder[family]
            for mark in ladder:
                held = mark in known.distances or mark in known.trials
                goes_on = mark == ladder[0] or ("promote" in self._kinds and (known.kept or not known.trials))
                grows = mark > known.mark and goes_on and not known.running and not known.broken
                if not (grows or (held and "reuse" in self._kinds)):
                    continue
                for params, row in behind[family]:
                    yield Candidate(known, mark, params, row)

    def _generators(self, fitted: Fitted) -> list[Known]:
        """Chooses the generators that are weighed: by the least distance that they may well have at the last mark."""
        new: dict[Any, Known] = {}
        for params in (*self._draws(), *self._neighbours()):
            known = self._model.known(params)
            if known.name not in self._model.generators:
                new.setdefault(known.name, known)
        earlier = {known.name: known for known in self._earlier()}
        new = {name: known for name, known in new.items() if name not in earlier}
        fresh = list(new.values())
        chosen = fresh[: KEPT // ONE_OF_DRAWN]
        chosen += _promising(fitted, fresh[KEPT // ONE_OF_DRAWN :], self._ladder, KEPT - len(chosen))
        held = {known.name: known for known in self._met() if not known.elsewhere}
        used = {told.generator.name: told.generator for told in self._model.best.items[-BEST:] if not told.generator.elsewhere}
        used |= {known.name: known for known in _promising(fitted, list(held.values()), self._ladder, USED)}
        return chosen + list(earlier.values()) + list(used.values())

    def _met(self) -> Iterator[Known]:
        """Lists the generators that models are made of."""
        yield from (known for known, _ in self._model.rungs())
        yield from (told.generator for told in self._model.trials())

    def _earlier(self) -> Iterator[Known]:
        """Lists the best generators that only earlier runs have trained, as they would stand here: not at all."""
        told = [told for told in self._model.best.items if told.generator.elsewhere]
        rank = levels([item.values for item in told])
        for at in sorted(range(len(told)), key=rank.__getitem__)[:BEST]:
            here = self._model.known(told[at].generator.params)
            if here.name not in self._model.generators:
                here.origin = told[at].generator.origin
                yield here

    def _draws(self) -> Iterator[Mapping[str, Any]]:
        for _ in range(DRAWN):
            yield self._space.around({}, self._rng)

    def _neighbours(self) -> Iterator[Mapping[str, Any]]:
        """Changes one or two settings of generators that are near to the real images, or led to good inspectors."""
        near = sorted(self._model.rungs(), key=lambda item: item[0].distances[item[1]])[:BEST]
        roots = [known.params for known, _ in near] + [told.generator.params for told in self._model.best.items[-BEST:]]
        for _ in range(NEIGHBOURS if roots else 0):
            yield self._changed(self._rng.choice(roots), self._model.upstream.settings)

    def _behind(self, known: Known) -> list[tuple[Mapping[str, Any], Array]]:
        """Lists downstream settings for a generator, with their rows: those of good trials, their neighbours, and some that are drawn."""
        model = self._model
        good = [dict(rest) for rest in self._good()]
        roots = good[: BEHIND // 2]
        points = list(roots)
        points += [self._changed(self._rng.choice(roots), model.downstream.settings) for _ in range(BEHIND // 4)] if roots else []
        points += [{} for _ in range(BEHIND - len(points))]
        found = {}
        for point in points:
            rest = model.parts(self._space.around({**point, **known.params}, self._rng))[2]
            found[rest] = (params := dict(rest), model.downstream.encode(params))
        return list(found.values())

    def _good(self) -> list[frozenset[tuple[str, Any]]]:
        """Lists downstream settings of the trials that are kept as best, those of the best value of each objective first."""
        items = self._model.best.items
        leaders = [min(items, key=lambda told: told.values[i]) for i in range(len(self._model.goals)) if i != self._model.at] if items else []
        return list(dict.fromkeys(told.rest for told in (*leaders, *reversed(items))))

    def _changed(self, params: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """Draws one or two settings of a point anew."""
        active = {name: domain for name, domain in self._space.active(params).items() if name in names}
        given = dict(params)
        for name in self._rng.sample(list(active), min(len(active), self._rng.choice((1, 1, 2)))):
            given[name] = active[name].sample(self._rng)
        return self._space.around(given, self._rng)

    def _at_first(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {**params, MARK: self._ladder[str(params["generator.family"])][0]}

    def _running(self, fitted: Fitted) -> Array:
        """Gives what the trials under way are expected to end at, as if they had: (R, M)."""
        candidates = [Candidate(known, mark, {}, row) for known, mark, row in self._model.running()]
        return fitted.expect(candidates).means[:, len(ROOT_WEIGHTS) // 2] if candidates else np.zeros((0, len(self._model.goals)))


def expected_gains(model: Model, expected: Expected, running: Array) -> Array:
    """Gives the hypervolume that candidates are expected to add to the front, (N,), as a share of that up to the reference point."""
    values = np.array([told.values for told in model.trials()])
    shown = np.array(model.front).reshape(-1, len(model.goals))
    front = non_dominated(np.concatenate([shown, running]))
    low = np.concatenate([values, front]).min(axis=0)
    reference = np.quantile(values, FAR, axis=0)
    if len(shown):  # There is none yet where all that is known is of earlier runs.
        reference = np.maximum(reference, shown.max(axis=0) + 0.1 * (shown.max(axis=0) - shown.min(axis=0)))
    reference = np.where(reference > low, reference, low + np.maximum(np.abs(low), 1.0) * 1e-3)
    nodes, weights = _nodes(len(model.goals) - (model.at is not None), model.at, len(model.goals))
    points = expected.means[:, :, None] + expected.spreads[:, :, None] * nodes[None, None]
    count = points.shape[0]
    scale = reference - low
    found = gains((points.reshape(-1, points.shape[-1]) - low) / scale, (front - low) / scale, np.ones(len(scale)))
    return np.einsum("nri,r,i->n", found.reshape(count, len(ROOT_WEIGHTS), -1), ROOT_WEIGHTS, weights)


def _nodes(others: int, at: int | None, objectives: int) -> tuple[Array, Array]:
    """Gives points of a standard normal distribution, (I, M) with 0 for the distance, and their weights."""
    if others == 0:
        return np.zeros((1, objectives)), np.ones(1)
    if others == 1:
        columns, weights = NODES[:, None], NODE_WEIGHTS
    else:
        half = np.random.RandomState(0).standard_normal((DRAWS // 2, others))
        columns, weights = np.concatenate([half, -half]), np.full(DRAWS, 1.0 / DRAWS)
    nodes = np.zeros((len(columns), objectives))
    nodes[:, [i for i in range(objectives) if i != at]] = columns
    return nodes, weights


def _promising(fitted: Fitted, generators: Sequence[Known], ladder: Mapping[str, Sequence[float]], most: int) -> list[Known]:
    """Keeps the generators whose distance at their last mark may be least."""
    if len(generators) <= most:
        return list(generators)
    mean, spread = fitted.distances(generators, [ladder[known.family][-1] for known in generators])
    return [generators[i] for i in np.argsort(mean - spread, kind="stable")[:most]]
