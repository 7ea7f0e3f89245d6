"""Groups of a data set that has grown: pictures that were there keep their groups, whatever was added since. Called by `survey`.

What counts as a copy depends a little on all pictures, since what all have in common is taken away first; and a picture that was added may show two
that were there at once. Either would unite pictures of the earlier data set, and move them from one side of its split to another.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from trainables.datasets.copies.groups import Look, find_groups, near_copies

Numbers = npt.NDArray[np.int64]
T = TypeVar("T")


class Grown(NamedTuple):
    """The groups of all samples."""

    groups: Numbers
    """(N,); those of the first generation are numbered as they would be alone, those of each later one after all before it."""
    bridges: list[int]
    """Samples of later generations that show pictures of several earlier groups, and so belong to none of them."""


def grown_groups(looks: Sequence[Look], hashes: Sequence[str], hints: Sequence[str | None], generations: Numbers, *, search: bool = True) -> Grown:
    """Unites samples that show one picture, generation by generation.

    Args:
        looks: N samples.
        hashes: hash of each sample's pixels.
        hints: what is known of each sample's origin, None where nothing is.
        generations: (N,) 0 for what was there first.
        search: whether to look for near-copies, beside equal pixels and hints.
    """
    groups = np.full(len(hashes), -1, dtype=np.int64)
    bridges: list[int] = []
    for generation in np.unique(generations):
        rows = np.flatnonzero(generations == generation)
        before = np.flatnonzero(generations < generation)
        own = find_groups(_taken(looks, rows), _taken(hashes, rows), _taken(hints, rows), search=search)
        joins = _joins(looks, hashes, hints, rows, before, search=search)
        first = int(groups.max(initial=-1)) + 1
        fresh: dict[int, int] = {}
        for group in np.unique(own):
            members = rows[own == group]
            known = {int(groups[earlier]) for row, earlier in joins if own[row] == group}
            groups[members] = min(known) if known else fresh.setdefault(int(group), first + len(fresh))
            bridges += members.tolist() if len(known) > 1 else []
    return Grown(groups, bridges)


def _joins(
    looks: Sequence[Look], hashes: Sequence[str], hints: Sequence[str | None], rows: Numbers, before: Numbers, *, search: bool
) -> set[tuple[int, int]]:
    """Finds pairs of a position in `rows` and an earlier sample that show one picture."""
    if not len(before):
        return set()
    found = near_copies(_taken(looks, rows), _taken(looks, before)) if search else set()
    joins = {(i, int(before[j])) for i, j in found}
    for marks in (list(hashes), list(hints)):
        known: dict[str | None, list[int]] = {}
        for earlier in before.tolist():
            known.setdefault(marks[earlier], []).append(earlier)
        known.pop(None, None)
        joins |= {(i, earlier) for i, row in enumerate(rows.tolist()) for earlier in known.get(marks[row], [])}
    return joins


def _taken(values: Sequence[T], rows: Numbers) -> list[T]:
    return [values[row] for row in rows.tolist()]
