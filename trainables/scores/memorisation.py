"""How many synthetic images are closer to a training image than real images are to each other. No trial calls it."""

import torch
from torch import Tensor

CHUNK = 512
"""Rows of the table of distances that are held at a time."""


def memorisation(training: Tensor, synthetic: Tensor) -> float:
    """Gives the share of synthetic images that lie closer to their nearest training image than its nearest other training image does.

    This is 1 - AuthPct of Alaa et al. (2022). It is not 0 for images drawn as the training images were: the same number of held-out real images, put
    in place of the synthetic ones, is what it must be read against. Near-copies within the training images make it lower, because they lie closer to
    each other than any copy could be told by.

    Args:
        training: (N1, D) features of the real training images, N1 at least 2.
        synthetic: (N2, D) features, N2 at least 1.
    """
    assert len(training) >= 2, "an image without another has none that is nearest"
    real, made = training.double(), synthetic.double()
    between = torch.cat([_others(real, start) for start in range(0, len(real), CHUNK)])
    closer = 0
    for some in made.split(CHUNK):
        nearest = _distances(some, real).min(1)
        closer += int((nearest.values < between[nearest.indices]).sum())
    return closer / len(made)


def _others(real: Tensor, start: int) -> Tensor:
    """Gives for some training images the distance to the nearest other one."""
    table = _distances(real[start : start + CHUNK], real)
    rows = torch.arange(len(table))
    table[rows, rows + start] = torch.inf
    return table.amin(1)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # The exact way of cdist: the fast one loses the small distances that copies have.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
