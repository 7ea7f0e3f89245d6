"""A Gaussian process over settings: what a trial that was not run would give, and how unsure that is. Called by the expectations.

How much a setting matters, and what each term of the covariance has of it, is chosen from few levels, one after the other, where the marginal
likelihood is highest: few enough trials for anything finer to be noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrs, dtrtrs

from search.models.covariance import Among, Layout, Rows, Shape

Array = NDArray[np.float64]

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


class Surrogate:
    """A process that was told some rows.

    Args:
        layout: of the columns.
        rows: (N, columns, and `same` where there is one).
        values: (N,), finite.
        shape: as chosen by `choose`.
    """

    def __init__(self, layout: Layout, rows: Array, values: Array, shape: Shape) -> None:
        self.layout, self._shape, self._rows = layout, shape, rows
        self._mean = float(values.mean())
        self._spread = float(values.std()) or 1.0
        known = (values - self._mean) / self._spread
        self._factor = Among(layout, rows).factor(shape)
        self._answer = dpotrs(self._factor, known, lower=1)[0]
        # How large it all is follows from the values themselves, with a little of the standard scale for few of them.
        self._scale = float((known @ self._answer + 2.0) / (len(known) + 2.0))
        self._self = sum(shape.shares)

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Gives mean and standard deviation of what rows (M) would give without noise, (M,) each."""
        mean, variance = np.empty(rows.count), np.empty(rows.count)
        for block, across in rows.against(self._rows, self._shape):
            mean[block] = across @ self._answer
            part = dtrtrs(self._factor, across.T, lower=1)[0]
            variance[block] = self._self - np.einsum("ij,ij->j", part, part)
        return self._mean + self._spread * mean, self._spread * np.sqrt(np.maximum(variance, 1e-12) * self._scale)


def choose(layout: Layout, rows: Array, values: Array) -> Shape:
    """Chooses weights, shares and noise, one after the other, by the marginal likelihood of rows (N, ...) and values (N,)."""
    shape = Shape(weights=(USUAL_WEIGHT,) * layout.settings, shares=(1.0,) * layout.shares, noise=NOISES[1])
    spread = float(values.std()) or 1.0
    known = (values - values.mean()) / spread
    among = Among(layout, rows)
    best = _evidence(among, shape, known)
    for _ in range(PASSES):
        before = best
        for change in _changes(layout, rows):
            for other in change(shape):
                found = _evidence(among, other, known)
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


def _evidence(among: Among, shape: Shape, known: Array) -> float:
    """Gives the logarithm of the marginal likelihood at the best scale, less what weights cost."""
    factor = among.factor(shape)
    part = dtrtrs(factor, known, lower=1)[0]
    count = len(known)
    fit = -0.5 * (count + 2.0) * math.log(float(part @ part + 2.0) / (count + 2.0)) - float(np.log(np.diag(factor)).sum())
    return fit - WEIGHT_COST * sum(weight > 0 for weight in shape.weights)
