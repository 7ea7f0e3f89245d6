"""A Gaussian process over settings: what a trial that was not run would give, and how unsure that is. Called by the model.

The covariance is a sum of products of Matern 5/2 kernels, each over some of the columns, and may hold a part that is 1 for the same generator and 0
for any other. How much a setting matters (its weight, the inverse of a squared length) is chosen from few levels, one setting after the other, where
the marginal likelihood is highest: few enough trials for anything finer to be noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs, dtrtrs

Array = NDArray[np.float64]
Kernels = dict[tuple[int, tuple[float, ...]], Array]
"""Kernels among the same rows by part and weights: of most changes of a shape, one part is new."""

WEIGHTS = (0.0, 0.1, 0.4, 1.6, 6.4, 25.0)
"""Levels of a setting's weight: at 0 it decides nothing; at 25 trials a fifth of its range apart say little of each other."""
USUAL_WEIGHT = 0.4
WEIGHT_COST = 0.5
"""What a setting that matters must add to the logarithm of the likelihood."""
SHARES = (0.02, 0.1, 0.3, 1.0)
"""Levels of a term's share in the covariance."""
NOISES = (1e-3, 1e-2, 0.1, 0.4)
"""Levels of the variance of what is not explained, in units of the covariance's."""
PASSES = 2
JITTER = 1e-8
BLOCK = 128
"""Rows that are weighed at once: larger tables leave the processor's cache, and are taken from the system anew each time."""
SQRT5 = math.sqrt(5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which columns a covariance is made of."""

    owner: NDArray[np.intp]
    """(columns,): the setting that each belongs to, counted from 0; weights are per setting."""
    parts: tuple[tuple[int, int], ...]
    """First column and the one behind the last, of each part."""
    terms: tuple[tuple[int, ...], ...]
    """Each a product of parts."""
    same: int | None = None
    """A column of names: rows of the same name share what is their own."""

    @property
    def settings(self) -> int:
        """Number of settings."""
        return int(self.owner.max()) + 1 if len(self.owner) else 0

    @property
    def shares(self) -> int:
        """Number of shares: one for each term, and for `same`."""
        return len(self.terms) + (self.same is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What was chosen of a covariance."""

    weights: tuple[float, ...]
    shares: tuple[float, ...]
    """Of each term; the last one of `same`, where there is such a column."""
    noise: float


class Surrogate:
    """A process that was told some rows.

    Args:
        layout: of the columns.
        rows: (N, columns, and `same` where there is one).
        values: (N,), finite.
        shape: as chosen by `choose`.
    """

    def __init__(self, layout: Layout, rows: Array, values: Array, shape: Shape) -> None:
        self._layout, self._shape, self._rows = layout, shape, rows
        self._mean = float(values.mean())
        self._spread = float(values.std()) or 1.0
        known = (values - self._mean) / self._spread
        covariance = _covariance(layout, shape, rows)
        self._factor = _factor(covariance, shape.noise)
        self._answer = dpotrs(self._factor, known, lower=1)[0]
        # How large it all is follows from the values themselves, with a little of the standard scale for few of them.
        self._scale = float((known @ self._answer + 2.0) / (len(known) + 2.0))
        self._self = sum(shape.shares)

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Gives mean and standard deviation of what rows (M, ...) would give without noise, (M,) each."""
        mean, variance = np.empty(len(rows)), np.empty(len(rows))
        # Candidates are some generators by some settings behind them: of the columns of one part, few rows are different.
        parts = [_distinct(rows[:, first:end]) for first, end in self._layout.parts]
        kernels = [
            _matern(distinct, self._rows[:, first:end], _weights(self._layout, self._shape, first, end))
            for (distinct, _), (first, end) in zip(parts, self._layout.parts, strict=True)
        ]
        for start in range(0, len(rows), BLOCK):
            block = slice(start, start + BLOCK)
            found = [kernel[where[block]] for kernel, (_, where) in zip(kernels, parts, strict=True)]
            across = _sum(self._layout, self._shape, found, rows[block], self._rows)
            mean[block] = across @ self._answer
            part = dtrtrs(self._factor, across.T, lower=1)[0]
            variance[block] = self._self - np.einsum("ij,ij->j", part, part)
        return self._mean + self._spread * mean, self._spread * np.sqrt(np.maximum(variance, 1e-12) * self._scale)


def choose(layout: Layout, rows: Array, values: Array) -> Shape:
    """Chooses weights, shares and noise, one after the other, by the marginal likelihood of rows (N, ...) and values (N,)."""
    shape = Shape(weights=(USUAL_WEIGHT,) * layout.settings, shares=(1.0,) * layout.shares, noise=NOISES[1])
    spread = float(values.std()) or 1.0
    known = (values - values.mean()) / spread
    kernels: Kernels = {}
    best = _evidence(layout, shape, rows, known, kernels)
    for _ in range(PASSES):
        before = best
        for change in _changes(layout, rows):
            for other in change(shape):
                found = _evidence(layout, other, rows, known, kernels)
                if found > best + 1e-6:
                    shape, best = other, found
        if best - before < 0.1:
            break
    return shape


def _changes(layout: Layout, rows: Array) -> list[Callable[[Shape], list[Shape]]]:
    """Lists the ways in which a shape is changed: noise, each share, each weight of a setting that varies among the rows."""

    def noises(shape: Shape) -> list[Shape]:
        return [replace(shape, noise=noise) for noise in NOISES if noise != shape.noise]

    def shares(at: int, shape: Shape) -> list[Shape]:
        return [replace(shape, shares=_with(shape.shares, at, share)) for share in SHARES if share != shape.shares[at]]

    def weights(at: int, shape: Shape) -> list[Shape]:
        return [replace(shape, weights=_with(shape.weights, at, weight)) for weight in WEIGHTS if weight != shape.weights[at]]

    varies = rows[:, : len(layout.owner)].std(axis=0) > 0
    settings = sorted(set(layout.owner[varies].tolist()))
    return [noises, *(partial(shares, at) for at in range(layout.shares)), *(partial(weights, at) for at in settings)]


def _with(values: Sequence[float], at: int, value: float) -> tuple[float, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _evidence(layout: Layout, shape: Shape, rows: Array, known: Array, kernels: Kernels) -> float:
    """Gives the logarithm of the marginal likelihood at the best scale, less what weights cost."""
    factor = _factor(_covariance(layout, shape, rows, kernels), shape.noise)
    part = dtrtrs(factor, known, lower=1)[0]
    count = len(known)
    fit = -0.5 * (count + 2.0) * math.log(float(part @ part + 2.0) / (count + 2.0)) - float(np.log(np.diag(factor)).sum())
    return fit - WEIGHT_COST * sum(weight > 0 for weight in shape.weights)


def _factor(covariance: Array, noise: float) -> Array:
    """Factors a covariance (N, N) with its noise; by LAPACK itself, because for so few rows the wrappers around it take longer than the work."""
    inner = covariance.copy(order="F")
    inner.ravel(order="K")[:: len(inner) + 1] += noise + JITTER
    factor, wrong = dpotrf(inner, lower=1, overwrite_a=1)
    if wrong:
        raise np.linalg.LinAlgError("covariance is not positive definite")
    return np.asarray(factor, dtype=np.float64)


def _covariance(layout: Layout, shape: Shape, rows: Array, kernels: Kernels | None = None) -> Array:
    """Gives the covariance of rows (N, ...) among each other, (N, N)."""
    known = {} if kernels is None else kernels
    found = []
    for at, (first, end) in enumerate(layout.parts):
        weights = _weights(layout, shape, first, end)
        key = (at, tuple(weights.tolist()))
        if key not in known:
            known[key] = _matern(rows[:, first:end], rows[:, first:end], weights)
        found.append(known[key])
    return _sum(layout, shape, found, rows, rows)


def _sum(layout: Layout, shape: Shape, found: Sequence[Array], left: Array, right: Array) -> Array:
    """Adds the terms up, and what is a row's own.

    Args:
        layout: of the columns.
        shape: as chosen.
        found: kernel of each part, (N, M).
        left: (N, ...).
        right: (M, ...).
    """
    total = np.zeros((len(left), len(right)))
    for share, term in zip(shape.shares, layout.terms, strict=False):
        product = share * found[term[0]]
        for part in term[1:]:
            product *= found[part]
        total += product
    if layout.same is not None:
        total += shape.shares[-1] * (left[:, layout.same][:, None] == right[:, layout.same][None])
    return total


def _weights(layout: Layout, shape: Shape, first: int, end: int) -> Array:
    """Gives the weight of each column of a part."""
    return np.asarray(shape.weights)[layout.owner[first:end]]


def _distinct(rows: Array) -> tuple[Array, NDArray[np.intp]]:
    """Gives the different ones of rows (N, columns), and which of them each row is, (N,)."""
    each: list[Any] = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).reshape(-1).tolist()
    places: dict[Any, int] = {}
    where = np.array([places.setdefault(row, len(places)) for row in each], dtype=np.intp)
    return rows[np.unique(where, return_index=True)[1]], where


def _matern(left: Array, right: Array, weights: Array) -> Array:
    """Gives the Matern 5/2 kernel of rows (N, columns) with rows (M, columns), (N, M)."""
    a, b = left * np.sqrt(weights), right * np.sqrt(weights)
    far = np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2.0 * (a @ b.T), 0.0)
    far = np.sqrt(far, out=far)
    far *= SQRT5
    near = np.exp(-far)
    near *= 1.0 + far * (1.0 + far / 3.0)
    return near
