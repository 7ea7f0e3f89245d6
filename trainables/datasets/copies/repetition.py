"""Whether a picture repeats itself, as weaves, knurls and perforated sheets do: two different ones can then be laid upon each other, mesh on mesh.

Called by `groups`, which asks more of the agreement of such pictures.
"""

import numpy as np
from scipy.fft import irfft2, rfft2

from trainables.datasets.copies.keypoints import View

LEAST_SHIFT_PX = 6
"""Shifts of a view below which it resembles itself in any case."""

ALIKE = 0.6
"""Correlation with itself, shifted, from which a picture repeats itself."""

DIP = 0.3
"""How much less it resembles itself half way there: streaks resemble themselves all along, and repeat nothing."""


def repeats(view: View) -> bool:
    """Says whether a view (H, W), shifted by some pixels, falls on itself again."""
    height, width = view.shape
    values = view.astype(np.float64) - view.mean()
    if not values.any() or min(height, width) < 4 * LEAST_SHIFT_PX:
        return False
    shape = (2 * height, 2 * width)
    power = irfft2(np.abs(rfft2(values, shape)) ** 2, shape)
    # Shifts up to half of the view, to all sides, with the same share of pixels for each.
    down, across = np.arange(-(height // 2), height // 2 + 1), np.arange(-(width // 2), width // 2 + 1)
    overlap = np.outer(height - np.abs(down), width - np.abs(across)) / (height * width)
    alike = power[np.ix_(down, across)] / power[0, 0] / overlap
    far = np.hypot(down[:, None], across) >= LEAST_SHIFT_PX
    places = np.argwhere(far & (alike >= ALIKE))
    middle = np.array([height // 2, width // 2])
    half = middle + (places - middle) // 2
    return bool((alike[half[:, 0], half[:, 1]] <= alike[places[:, 0], places[:, 1]] - DIP).any())
