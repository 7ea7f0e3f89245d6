"""How a score falls as images get worse: its curve over severities 0 to 5, and the area under it as one number. Called by `measures.robustness`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainables.scores.corruptions import SEVERITIES, Corruption


def robustness_curve(measure: Callable[[Tensor], float | None], images: Tensor, corrupt: Corruption, *, seed: int) -> list[float | None]:
    """Measures a score on ever worse images.

    Args:
        measure: takes images like the given ones, disturbed, in their order, and gives the score.
        images: (N, C, H, W) uint8.
        corrupt: one of `corruptions.corruptions`.
        seed: of the random numbers, which are the same at every severity.

    Returns:
        The scores at severities 0 (undisturbed) to 5.
    """
    return [measure(corrupt(images, severity, torch.Generator().manual_seed(seed))) for severity in SEVERITIES]


def area_under_curve(curve: Sequence[float | None]) -> float | None:
    """Gives the area under a curve by trapezoids, over its width: the mean height, in the score's own unit.

    Null where a point is.
    """
    points = [point for point in curve if point is not None]
    if len(points) < len(curve):
        return None
    return (sum(points) - (points[0] + points[-1]) / 2) / (len(points) - 1)
