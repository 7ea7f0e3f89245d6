"""How many synthetic images are closer to a training image than real images are to each other. Called by `scores.image_sets`."""

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
    found = [_distances(some, real).min(1) for some in made.split(CHUNK)]
    reached, nearest = torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])
    # Only of training images that are nearest to something: with many of them, their own table would cost far more than the one above.
    asked, of = nearest.unique(return_inverse=True)
    between = torch.cat([_to_the_next(real, rows) for rows in asked.split(CHUNK)])
    return int((reached < between[of]).sum()) / len(made)


def _to_the_next(real: Tensor, rows: Tensor) -> Tensor:
    """Gives for some training images the distance to the nearest other one."""
    table = _distances(real[rows], real)
    table[torch.arange(len(rows)), rows] = torch.inf
    return table.amin(1)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # The exact way of cdist: the fast one loses the small distances that copies have.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
