"""Classes without a training image: which vector stands for them (`unseen_ce`), or from which distance on an item belongs to no class.

The two-stage paper (vaegan2023) learns a vector for each seen class and does not say what stands for an unseen one, though it makes features of them.
Three readings: its real embedding; the real one mapped to where the seen classes' learned ones lie; or none, and a threshold on the dissimilarity
(`scores.zero_shot.unseen_threshold`).
"""

import torch
from torch import Tensor

from trainables.zero_shot.settings import UnseenCe

RIDGE = 1.0
"""Penalty of the map: with eight seen classes and 29 attributes, a map without one is not determined."""


def unseen_vectors(unseen_ce: UnseenCe, *, real_seen: Tensor, learned_seen: Tensor, real_unseen: Tensor, ridge: float = RIDGE) -> Tensor | None:
    """Gives what stands for each unseen class: float32 (unseen, V); None where a threshold decides instead.

    Args:
        unseen_ce: which reading.
        real_seen: real embeddings of the seen classes, (seen, V).
        learned_seen: learned embeddings of the same, (seen, V).
        real_unseen: real embeddings of the unseen classes, (unseen, V).
        ridge: penalty of the map.
    """
    if unseen_ce == "dissimilarity_threshold":
        return None
    return real_unseen if unseen_ce == "real" else ridge_map(real_seen, learned_seen, real_unseen, ridge=ridge)


def ridge_map(source: Tensor, target: Tensor, new: Tensor, *, ridge: float = RIDGE) -> Tensor:
    """Maps new rows as a ridge regression maps source rows to target rows; the intercept is not penalised.

    Args:
        source: (n, V).
        target: (n, W).
        new: (m, V).
        ridge: penalty on the squared weights, above 0.

    Returns:
        float32 (m, W).
    """
    x, y = source.double(), target.double()
    middle_x, middle_y = x.mean(0), y.mean(0)
    x, y = x - middle_x, y - middle_y
    # The dual form: as many equations as classes, whatever the number of attributes.
    shares = torch.linalg.solve(x @ x.T + ridge * torch.eye(len(x), dtype=x.dtype), y)
    return (middle_y + (new.double() - middle_x) @ x.T @ shares).float()


def dissimilarity(embedded: Tensor, vectors: Tensor) -> Tensor:
    """Gives the Euclidean distance of each embedded item (N, V) to the nearest class vector (C, V): (N,)."""
    return torch.cdist(embedded, vectors, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
