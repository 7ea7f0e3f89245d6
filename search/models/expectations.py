"""Two linked models: what a trial that was not run would give, and how unsure that is. Called by the moves.

The first is of generators: settings and mark -> distance to the real images, told every rung. The second is of what stands behind a generator: how
far its images are from real ones, its family and the downstream settings -> the other objectives, and seconds; what generators do better or worse
than their distance lets expect goes with their settings, or is one's own. A generator that was not trained so far is weighed by what the first
expects of it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.models.covariance import Layout, Places, Rows, Shape
from search.models.model import FEW, Known, Model, Told
from search.models.surrogate import Surrogate, choose

Array = NDArray[np.float64]

AGAIN_EVERY = 1.2
"""A covariance is chosen anew when so many times more trials have ended."""
ROOTS = np.array([-math.sqrt(3.0), 0.0, math.sqrt(3.0)])
"""Gauss-Hermite points of a normal distribution, in standard deviations."""
ROOT_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])
LITTLE_S = 1e-3
"""Shortest time that counts, so that logarithms stay finite."""


class Candidate(NamedTuple):
    """A trial that might be run."""

    generator: Known
    mark: float
    params: Mapping[str, Any]
    """Its downstream settings."""
    row: Array


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of N candidates, for each of R distances that their generators may have."""

    means: Array
    """(N, R, M), lower is better."""
    spreads: Array
    """(N, R, M): standard deviations; 0 of the distance itself."""
    seconds: Array
    """(N,): behind the generator."""


@dataclass(frozen=True, slots=True)
class _Table:
    """What a process is told."""

    layout: Layout
    rows: Array
    values: Array


class _Scale:
    """Turns distances into logarithms, of which equal steps matter alike; an unbiased estimate may lie below 0."""

    def __init__(self, distances: Array) -> None:
        self._shift = max(0.0, -float(distances.min())) + 0.05 * float(np.median(np.abs(distances))) + 1e-12
        logs = self.log(distances)
        self.mean, self.spread = float(logs.mean()), float(logs.std()) or 1.0

    def log(self, distances: Array) -> Array:
        return np.asarray(np.log(np.maximum(distances + self._shift, 1e-12)))

    def back(self, logs: Array) -> Array:
        return np.asarray(np.exp(logs) - self._shift)

    def standard(self, logs: Array) -> Array:
        return np.asarray((logs - self.mean) / self.spread)


class Expectations:
    """Both models, as of the trials that have ended. `note` is called after each; `fit` when something is to be expected."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._due = float(FEW)
        self._snapshot: dict[str, _Table] = {}
        self._shapes: dict[str, Shape] = {}

    def note(self) -> None:
        """Looks whether covariances are to be chosen anew, from what is known at this moment."""
        if self._model.told >= self._due:
            self._due = max(self._model.told + 1.0, self._model.told * AGAIN_EVERY)
            self._snapshot, self._shapes = _tables(self._model, _scale(self._model)), {}

    def fit(self) -> "Fitted | None":
        """Tells both models what is known now; None where it is too little."""
        scale = _scale(self._model)
        tables = _tables(self._model, scale)
        if "seconds" not in tables:
            return None
        for name, table in tables.items():
            if name not in self._shapes:
                first = self._snapshot.get(name, table)
                self._shapes[name] = choose(first.layout, first.rows, first.values)
        processes = {name: Surrogate(table.layout, table.rows, table.values, self._shapes[name]) for name, table in tables.items()}
        return Fitted(self._model, scale, processes)


class Fitted:
    """Both models, ready to be asked."""

    def __init__(self, model: Model, scale: _Scale | None, processes: Mapping[str, Surrogate]) -> None:
        self._model, self._scale, self._processes = model, scale, processes
        rates: dict[str | None, list[float]] = {None: []}
        for known in model.generators.values():
            if known.rate is not None:
                rates[None].append(known.rate)
                rates.setdefault(known.family, []).append(known.rate)
        self._rates = {family: float(np.median(found)) for family, found in rates.items() if found}

    def rate(self, known: Known) -> float:
        """Seconds of a generator's training for each kimg: its own, the median of its family, or of all."""
        return known.rate if known.rate is not None else self._rates.get(known.family, self._rates.get(None, LITTLE_S))

    def distances(self, generators: Sequence[Known], marks: Sequence[float]) -> tuple[Array, Array]:
        """Expects the logarithm of generators' distances at marks, (G,): mean and standard deviation; 0 of those that were measured."""
        if self._scale is None:
            return np.zeros(len(generators)), np.zeros(len(generators))
        if (process := self._processes.get("distance")) is None:
            mean, spread = np.full(len(generators), self._scale.mean), np.full(len(generators), self._scale.spread)
        else:
            mean, spread = process.predict(Rows.of(process.layout, _upstream_rows(generators, marks)))
        measured = [i for i, (known, mark) in enumerate(zip(generators, marks, strict=True)) if mark in known.distances]
        mean[measured] = self._scale.log(np.array([generators[i].distances[marks[i]] for i in measured]))
        spread[measured] = 0.0
        return mean, spread

    def expect(self, candidates: Sequence[Candidate]) -> Expected:
        """Expects the objectives of candidates, and their seconds behind the generator."""
        model, count, roots = self._model, len(candidates), len(ROOTS)
        # Many of them are one generator at one mark, with other settings behind it.
        standing: dict[tuple[Known, float], int] = {}
        which = np.array([standing.setdefault((candidate.generator, candidate.mark), len(standing)) for candidate in candidates])
        mean, spread = self.distances([known for known, _ in standing], [mark for _, mark in standing])
        logs = mean[:, None] + spread[:, None] * ROOTS[None]
        # A distance that was measured is one row, not one for each that it might be.
        times = np.where(spread > 0.0, roots, 1)[which]
        where = (np.cumsum(times) - times)[:, None] + np.where(times > 1, 1, 0)[:, None] * np.arange(roots)[None]
        each = np.repeat(np.arange(count), times)
        root = np.zeros(len(each), dtype=np.intp)
        root[where] = np.arange(roots)
        distances = self._scale.standard(logs).reshape(-1, 1) if self._scale is not None else np.zeros((logs.size, 1))
        parts, names = _parts(model, candidates, list(standing), which)
        # All processes behind a generator have their columns laid out alike.
        layout = self._processes["seconds"].layout
        rows = Rows(layout, [(distances, which[each] * roots + root), *((different, of[each]) for different, of in parts)], names[each])
        means, spreads = np.zeros((count, roots, len(model.goals))), np.zeros((count, roots, len(model.goals)))
        for i in range(len(model.goals)):
            if i == model.at:
                assert self._scale is not None
                means[:, :, i] = self._scale.back(logs)[which]
            else:
                found = self._processes[f"objective {i}"].predict(rows)
                means[:, :, i], spreads[:, :, i] = found[0][where], found[1][where]
        seconds = np.exp(self._processes["seconds"].predict(rows.take(where[:, roots // 2]))[0])
        return Expected(means, spreads, seconds)


def _scale(model: Model) -> _Scale | None:
    found = [known.distances[mark] for known, mark in model.rungs()]
    return _Scale(np.array(found)) if found else None


def _tables(model: Model, scale: _Scale | None) -> dict[str, _Table]:
    """Lays out what each process is told; those of which too little is known are left out."""
    tables = {}
    rungs = model.rungs()
    if scale is not None and len(rungs) >= FEW:
        logs = scale.log(np.array([known.distances[mark] for known, mark in rungs]))
        broken = [known for known in model.generators.values() if known.broken and not known.distances]
        worst = broken[-len(rungs) :]
        rows = _upstream_rows([*(known for known, _ in rungs), *worst], [*(mark for _, mark in rungs), *(0.0 for _ in worst)])
        # A generator that broke counts as worse than any that was measured.
        values = np.concatenate([logs, np.full(len(rows) - len(logs), logs.max() + 0.5 * scale.spread)])
        width = model.upstream.columns
        layout = Layout(
            owner=_upstream_owner(model),
            parts=((0, width), (width, width + 1)),
            terms=((1,), (0,), (0, 1)),
        )
        tables["distance"] = _Table(layout, rows, values)
    told = model.trials()
    if len(told) >= FEW:
        # What failed behind its generator counts as worse than anything that was seen; for no more than half of what is known.
        spoiled = model.spoiled[-len(told) :]
        every = [*told, *spoiled]
        rows = _rows(model, every)
        if scale is not None:
            measured = [i for i, item in enumerate(every) if item.mark in item.generator.distances]
            distances = np.array([every[i].generator.distances[every[i].mark] for i in measured])
            rows[measured, 0] = scale.standard(scale.log(distances))
        # Distance; downstream settings; family; the generator's settings and mark.
        ends = np.cumsum([1, model.downstream.columns, len(model.families), model.upstream.columns + 1]).tolist()
        settings = np.cumsum([1, len(model.downstream.settings), 1])
        owners = ([0], settings[0] + model.downstream.owner, [settings[1]] * len(model.families), settings[2] + _upstream_owner(model))
        layout = Layout(
            owner=np.concatenate(owners).astype(np.intp),
            parts=tuple(pairwise([0, *ends])),
            terms=((0,), (1,), (2,), (3,), (0, 1), (1, 2)),
            same=ends[-1],
        )
        for i in range(len(model.goals)):
            if i != model.at:
                values = np.array([item.values[i] for item in told])
                tables[f"objective {i}"] = _Table(layout, rows, np.append(values, np.full(len(spoiled), values.max() + 0.5 * values.std())))
        timed = [i for i, item in enumerate(told) if not math.isnan(item.seconds)]
        if len(timed) >= FEW:
            tables["seconds"] = _Table(layout, rows[timed], np.log([max(told[i].seconds, LITTLE_S) for i in timed]))
    return tables


def _upstream_owner(model: Model) -> NDArray[np.intp]:
    """Says which setting each column of `_upstream_rows` belongs to; the mark is one of its own."""
    return np.append(model.upstream.owner, len(model.upstream.settings))


def _upstream_rows(generators: Sequence[Known], marks: Sequence[float]) -> Array:
    """Lays generators out: settings, and the logarithm of the mark."""
    return np.column_stack([np.array([known.row for known in generators]), np.log2(1.0 + np.array(marks))])


def _rows(model: Model, trials: Sequence[Told]) -> Array:
    """Lays trials out for the second model: their distance, still 0; downstream settings, family, the generator's settings and mark, and the number
    of the generator at its mark."""
    behind = np.array([trial.row for trial in trials]).reshape(len(trials), model.downstream.columns)
    families = _family_rows(model)[[model.families.index(trial.generator.family) for trial in trials]]
    upstream = _upstream_rows([trial.generator for trial in trials], [trial.mark for trial in trials])
    numbers = np.array([model.number(trial.generator, trial.mark) for trial in trials], dtype=np.float64)
    # A generator that nothing has stood behind with success is one of its own.
    numbers = np.where(numbers >= 0, numbers, -1.0 - np.arange(len(trials)))
    return np.column_stack([np.zeros(len(trials)), behind, families, upstream, numbers])


def _parts(
    model: Model, candidates: Sequence[Candidate], standing: Sequence[tuple[Known, float]], which: Places
) -> tuple[list[tuple[Array, Places]], Array]:
    """Lays candidates out as `_rows` does, but for the distance: what of each part is different, and which of that each has; and the numbers of
    their generators.

    Args:
        model: what is known.
        candidates: to be laid out.
        standing: their generators, with marks.
        which: (N,): of these, that of each candidate.
    """
    behind = {id(candidate.row): candidate.row for candidate in candidates}
    place = {own: i for i, own in enumerate(behind)}
    generators, marks = [known for known, _ in standing], [mark for _, mark in standing]
    families = np.array([model.families.index(known.family) for known in generators])
    numbers = np.array([model.number(known, mark) for known, mark in standing], dtype=np.float64)
    parts = [
        (np.array(list(behind.values())).reshape(len(behind), model.downstream.columns), np.array([place[id(item.row)] for item in candidates])),
        (_family_rows(model), families[which]),
        (_upstream_rows(generators, marks), which),
    ]
    return parts, np.where(numbers >= 0, numbers, math.nan)[which]


def _family_rows(model: Model) -> Array:
    """Gives a row for each family, two different ones at distance 1."""
    return math.sqrt(0.5) * np.eye(len(model.families))
