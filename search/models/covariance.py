"""How much two rows of settings say of each other: a sum of products of Matern 5/2 kernels, each over some of the columns. Called by the surrogate.

A setting's weight is the inverse of a squared length: at 0 it decides nothing. One part more may be 1 for the same generator and 0 for any other.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf

Array = NDArray[np.float64]
Places = NDArray[np.intp]

JITTER = 1e-8
NEAR = 2
"""Settings of other weights for which distances are corrected, not computed anew."""
BLOCK = 128
"""Rows that are weighed at once: larger tables leave the processor's cache, and are taken from the system anew each time."""
SQRT5 = math.sqrt(5.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Which columns a covariance is made of."""

    owner: Places
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


class Among:
    """Rows among each other. A covariance is symmetric: of each kernel half is kept, the columns of its lower half one after the other.

    Args:
        layout: of the columns.
        rows: (N, columns, and `same` where there is one).
    """

    def __init__(self, layout: Layout, rows: Array) -> None:
        self._layout, self._rows = layout, rows
        right, left = np.triu_indices(len(rows))
        self._places = right * len(rows) + left
        self._same = None if layout.same is None else rows[left, layout.same] == rows[right, layout.same]
        self._kernels: dict[tuple[int, tuple[float, ...]], Array] = {}
        """By part and weights: of most changes of a shape, one part is new."""
        self._bases: dict[int, tuple[Array, Array]] = {}
        """By part: weights of the columns, and squared distances with these."""
        self._apart: dict[tuple[int, int], Array] = {}
        """Squared distances in one setting alone, by part and setting."""

    def factor(self, shape: Shape) -> Array:
        """Factors the covariance with its noise, (N, N); by LAPACK itself, because for so few rows the wrappers around it take longer than the work.

        Raises:
            numpy.linalg.LinAlgError: it is not positive definite.
        """
        total = _sum(self._layout, shape, [self._kernel(shape, at) for at in range(len(self._layout.parts))], self._same)
        inner = np.empty((len(self._rows), len(self._rows)))
        flat = inner.reshape(-1)
        flat[self._places] = total
        flat[:: len(inner) + 1] += shape.noise + JITTER
        factor, wrong = dpotrf(inner.T, lower=1, overwrite_a=1)
        if wrong:
            raise np.linalg.LinAlgError("covariance is not positive definite")
        return np.asarray(factor, dtype=np.float64)

    def _kernel(self, shape: Shape, at: int) -> Array:
        weights = _weights(self._layout, shape, at)
        key = (at, tuple(weights.tolist()))
        if key not in self._kernels:
            self._kernels[key] = _matern(self._squared(at, weights))
        return self._kernels[key]

    def _squared(self, at: int, weights: Array) -> Array:
        """Gives the squared distances in a part: from its base, where no more than `NEAR` settings weigh other than there."""
        first, end = self._layout.parts[at]
        if at in self._bases:
            base, far = self._bases[at]
            other = weights != base
            more = dict(zip(self._layout.owner[first:end][other].tolist(), (weights - base)[other].tolist(), strict=True))
            if len(more) <= NEAR:
                return np.asarray(np.maximum(far + sum(weight * self._in_setting(at, setting) for setting, weight in more.items()), 0.0))
        columns = self._rows[:, first:end]
        self._bases[at] = weights, _far(columns, columns, weights).take(self._places)
        return self._bases[at][1].copy()

    def _in_setting(self, at: int, setting: int) -> Array:
        if (at, setting) not in self._apart:
            first, end = self._layout.parts[at]
            columns = self._rows[:, first:end][:, self._layout.owner[first:end] == setting]
            self._apart[at, setting] = _far(columns, columns, np.ones(columns.shape[1])).take(self._places)
        return self._apart[at, setting]


class Rows:
    """Rows that are held against others: of the columns of one part, few of them are different.

    Args:
        layout: of the columns.
        parts: of each part different ones (D, its columns), and which of them each row has, (M,).
        names: (M,), where the layout has a column of names; not a number for a name that nobody else has.
    """

    def __init__(self, layout: Layout, parts: Sequence[tuple[Array, Places]], names: Array | None = None) -> None:
        self._layout, self._parts, self._names = layout, parts, names
        self.count = len(parts[0][1])

    @classmethod
    def of(cls, layout: Layout, rows: Array) -> "Rows":
        """Takes rows (M, columns, and `same` where there is one) as they are."""
        every = np.arange(len(rows))
        return cls(layout, [(rows[:, first:end], every) for first, end in layout.parts], None if layout.same is None else rows[:, layout.same])

    def take(self, which: Places) -> "Rows":
        """Gives some of the rows."""
        parts = [(different, where[which]) for different, where in self._parts]
        return Rows(self._layout, parts, None if self._names is None else self._names[which])

    def against(self, others: Array, shape: Shape) -> Iterator[tuple[slice, Array]]:
        """Gives the covariance with other rows (N, ...) of the same layout, `BLOCK` of these rows at a time: which they are, and (B, N)."""
        layout = self._layout
        kernels = [
            (_matern(_far(different, others[:, first:end], _weights(layout, shape, at))), where)
            for at, ((different, where), (first, end)) in enumerate(zip(self._parts, layout.parts, strict=True))
        ]
        for start in range(0, self.count, BLOCK):
            block = slice(start, min(start + BLOCK, self.count))
            same = None if self._names is None else self._names[block, None] == others[:, layout.same][None]
            yield block, _sum(layout, shape, [kernel[where[block]] for kernel, where in kernels], same)


def _sum(layout: Layout, shape: Shape, found: Sequence[Array], same: NDArray[np.bool_] | None) -> Array:
    """Adds the terms up, and what is a row's own.

    Args:
        layout: of the columns.
        shape: as chosen.
        found: kernel of each part, all of one form.
        same: where names are equal, of that form; None where rows have none.
    """
    total = np.zeros(found[0].shape)
    for share, term in zip(shape.shares, layout.terms, strict=False):
        product = share * found[term[0]]
        for part in term[1:]:
            product *= found[part]
        total += product
    if same is not None:
        total += shape.shares[-1] * same
    return total


def _weights(layout: Layout, shape: Shape, at: int) -> Array:
    """Gives the weight of each column of a part."""
    first, end = layout.parts[at]
    return np.asarray(shape.weights)[layout.owner[first:end]]


def _far(left: Array, right: Array, weights: Array) -> Array:
    """Gives the squared distances of rows (N, columns) to rows (M, columns), (N, M)."""
    a, b = left * np.sqrt(weights), right * np.sqrt(weights)
    return np.asarray(np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2.0 * (a @ b.T), 0.0))


def _matern(squared: Array) -> Array:
    """Gives the Matern 5/2 kernel of squared distances, which are written over."""
    far = np.sqrt(squared, out=squared)
    far *= SQRT5
    near = np.exp(-far)
    near *= 1.0 + far * (1.0 + far / 3.0)
    return near
