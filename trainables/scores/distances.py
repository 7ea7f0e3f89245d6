"""Distances between two sets of features: KID and the Frechet distance, in float64 throughout; and all that is measured on a trial's images.

Called by `trainables.unit`. Features are given, never images: one pass through the extractor serves all.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from trainables.scores.names import distance_names, overlap_names
from trainables.scores.neighbours import FEWEST, Overlap, overlap
from trainables.seeds import child_seed

FLOOR_HALVINGS = 8
"""How many random halvings the floor is the mean over: one halving of twenty images says little."""


def frechet(real: Tensor, synthetic: Tensor) -> float:
    """Frechet distance between Gaussians fitted to two sets (Heusel et al. 2017): |m1 - m2|^2 + Tr(S1 + S2 - 2 (S1 S2)^(1/2)).

    With no more images than dimensions, Tr (S1 S2)^(1/2) is the nuclear norm of A B^T / sqrt((n1 - 1)(n2 - 1)) for the centred features A and B:
    exact, and far cheaper than the root of a matrix that is mostly empty. Otherwise the eigenvalues of S1^(1/2) S2 S1^(1/2) are taken.

    Args:
        real: (N1, D) features, N1 at least 2.
        synthetic: (N2, D) features, N2 at least 2.
    """
    a, b = real.double(), synthetic.double()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    a, b = a - a.mean(0), b - b.mean(0)
    a, b = a / (len(a) - 1) ** 0.5, b / (len(b) - 1) ** 0.5
    spread = a.square().sum() + b.square().sum()
    if min(len(a), len(b)) <= a.shape[1]:
        shared = torch.linalg.svdvals(a @ b.T).sum()
    else:
        values, vectors = torch.linalg.eigh(a.T @ a)
        root = vectors * values.clamp(min=0).sqrt()
        shared = torch.linalg.eigvalsh(root.T @ (b.T @ b) @ root).clamp(min=0).sqrt().sum()
    # Equal sets differ by rounding alone, which may fall below nothing.
    return max(0.0, float(apart + spread - 2.0 * shared))


def kid(real: Tensor, synthetic: Tensor) -> float:
    """Kernel distance (Binkowski et al. 2018): the unbiased U-statistic of the squared MMD with the kernel (x.y / D + 1)^3, over all pairs.

    May be below 0: its mean is 0 where both sets come from one distribution, whatever their sizes.

    Args:
        real: (N1, D) features, N1 at least 2.
        synthetic: (N2, D) features, N2 at least 2.
    """
    a, b = real.double(), synthetic.double()
    return float(_among(a) + _among(b) - 2.0 * _kernel(a, b).mean())


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1.0) ** 3


def _among(a: Tensor) -> Tensor:
    """Gives the kernel's mean over pairs of different members."""
    k = _kernel(a, a)
    return (k.sum() - k.diagonal().sum()) / (len(a) * (len(a) - 1))


def floors(real: Tensor) -> tuple[float, float]:
    """Gives KID and Frechet distance between two halves of one set, the mean over a few fixed halvings: what "no different" looks like.

    Args:
        real: (N, D) features, N at least 4.
    """
    kids, frechets = zip(*((kid(first, second), frechet(first, second)) for first, second in _halvings(real)), strict=True)
    return sum(kids) / len(kids), sum(frechets) / len(frechets)


def kid_floor(real: Tensor) -> float:
    """Gives the first of `floors` alone, which is far cheaper."""
    return sum(kid(first, second) for first, second in _halvings(real)) / FLOOR_HALVINGS


def _halvings(real: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Halves a set in a few fixed ways."""
    for i in range(FLOOR_HALVINGS):
        order = torch.from_numpy(np.random.default_rng(child_seed(0, "floor", i)).permutation(len(real)))
        yield real[order[: len(real) // 2]], real[order[len(real) // 2 :]]


def image_distances(real: Mapping[str, Tensor], synthetic: Mapping[str, Tensor], *, extractor: str, split: str = "val") -> dict[str, float | None]:
    """Measures synthetic images against real ones, class by class and on average.

    Args:
        real: (N, D) features of the real images of a split by class.
        synthetic: the same of the synthetic images; a class may be missing.
        extractor: whose features these are; it names the distances.
        split: the split of the real images; it opens every name.

    Returns:
        By name: `val_kid_inspector`, `val_kid_inspector.<class>`, each also with `_floor` before the class; `fid` or `frechet_<extractor>`
        likewise; `manifold_precision_<extractor>`, `manifold_recall_<extractor>`, `density_<extractor>` and `coverage_<extractor>` without a
        floor, because `neighbours.Overlap` says what equal distributions give. Null where a set is too small (2 images for a distance, 4 for a floor
        or an overlap). The average is over the classes with enough real images, and null where one of these lacks synthetic ones: leaving out a
        class that a filter refuses would make a worse generator look better.
    """
    kid_name, frechet_name = (f"{split}_{base}" for base in distance_names(extractor))
    overlaps = [f"{split}_{base}" for base in overlap_names(extractor)]
    names = (kid_name, frechet_name, f"{kid_name}_floor", f"{frechet_name}_floor", *overlaps)
    per_class: dict[str, dict[str, float | None]] = {name: {} for name in names}
    for cls, features in real.items():
        others = synthetic.get(cls)
        if len(features) >= 2:
            pair = (kid(features, others), frechet(features, others)) if others is not None and len(others) >= 2 else (None, None)
            per_class[kid_name][cls], per_class[frechet_name][cls] = pair
        if len(features) >= 4:
            per_class[f"{kid_name}_floor"][cls], per_class[f"{frechet_name}_floor"][cls] = floors(features)
        if len(features) >= FEWEST:
            enough = others is not None and len(others) >= FEWEST
            measured: tuple[float | None, ...] = overlap(features, others) if enough and others is not None else (None,) * len(Overlap._fields)
            for name, value in zip(overlaps, measured, strict=True):
                per_class[name][cls] = value
    return over_classes(per_class, real)


def over_classes(per_class: Mapping[str, Mapping[str, float | None]], classes: Iterable[str]) -> dict[str, float | None]:
    """Gives scores of every class by name, and their means, which are null where a class that was looked at has none.

    Args:
        per_class: name -> class -> value; a class that could not be looked at is left out, and stands out of the mean.
        classes: all of them.
    """
    found: dict[str, float | None] = {}
    named = list(classes)
    for name, values in per_class.items():
        known = [value for value in values.values() if value is not None]
        found[name] = sum(known) / len(known) if known and len(known) == len(values) else None
        found |= {f"{name}.{cls}": values.get(cls) for cls in named}
    return found
