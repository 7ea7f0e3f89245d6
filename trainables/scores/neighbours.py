"""How two sets of features overlap, by nearest neighbours: precision and recall, density and coverage. Called by `scores.distances`.

Each set stands for the union of balls around its members, each ball reaching to its centre's k-th nearest other member of that set. A distance such
as KID gives one number for everything that is wrong; these tell images that no real one is near from real images that none is near.
"""

from typing import NamedTuple

import torch
from torch import Tensor

FEWEST = 4
"""Items of each set that the smallest k, 3, needs."""
SEED = 0
"""Decides which items of the larger set are left out."""


class Overlap(NamedTuple):
    """How two sets of equally many items overlap."""

    precision: float
    """Share of synthetic items inside of a real ball (Kynkaanniemi et al. 2019, eq. 1)."""
    recall: float
    """Share of real items inside of a synthetic ball (the same, with the sets exchanged)."""
    density: float
    """Real balls that a synthetic item lies in, over k, on average (Naeem et al. 2020, eq. 6). May pass 1, which equal distributions give."""
    coverage: float
    """Share of real balls with a synthetic item inside (Naeem et al. 2020, eq. 7). Equal distributions give `expected_coverage`, less than 1."""


def overlap(real: Tensor, synthetic: Tensor) -> Overlap:
    """Measures precision, recall, density and coverage.

    As many items of the larger set as the smaller one has are taken at random, so that both are equally dense; k is 5 (Naeem et al. 2020), or 3
    where there are fewer than 100 items, whose fifth neighbours lie too far.

    Args:
        real: (N1, D) features, N1 at least 4.
        synthetic: (N2, D) features, N2 at least 4.
    """
    count = min(len(real), len(synthetic))
    assert count >= FEWEST, "three neighbours need four items"
    k = neighbours(count)
    a, b = _some(real, count), _some(synthetic, count)
    across = _distances(a, b)
    inside_real = across <= _radii(a, k)[:, None]
    inside_synthetic = across <= _radii(b, k)[None, :]
    return Overlap(
        precision=float(inside_real.any(dim=0).double().mean()),
        recall=float(inside_synthetic.any(dim=1).double().mean()),
        density=float(inside_real.sum(dim=0).double().mean() / k),
        coverage=float(inside_real.any(dim=1).double().mean()),
    )


def neighbours(count: int) -> int:
    """Gives k for two sets of `count` items."""
    return 5 if count >= 100 else 3


def expected_coverage(count: int) -> float:
    """Gives the coverage that two sets of `count` items of one distribution have on average.

    It is 1 - (n - 1) ... (n - k) / ((2n - 1) ... (2n - k)), near 1 - 2^-k, whatever the distribution (Naeem et al. 2020, lemma 2).
    """
    missed = 1.0
    for i in range(1, neighbours(count) + 1):
        missed *= (count - i) / (2 * count - i)
    return 1.0 - missed


def _some(features: Tensor, count: int) -> Tensor:
    """Takes `count` items, the same ones at each call."""
    if len(features) == count:
        return features
    return features[torch.randperm(len(features), generator=torch.Generator().manual_seed(SEED))[:count]]


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # The exact way of cdist: the fast one loses the small distances that copies have.
    return torch.cdist(a.double(), b.double(), compute_mode="donot_use_mm_for_euclid_dist")


def _radii(features: Tensor, k: int) -> Tensor:
    """Gives the distance of each item to its k-th nearest other one."""
    # An item is the nearest to itself, so that the k-th other one comes (k + 1)-th.
    return _distances(features, features).kthvalue(k + 1, dim=1).values
