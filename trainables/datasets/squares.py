"""Where squares without a defect fit into a picture. Called by backgrounds and cropping."""

from typing import Any

import numpy as np
import numpy.typing as npt

from trainables.datasets.layouts.boxes import fill_boxes
from trainables.datasets.listing import Picture, Sample

Square = tuple[int, int, int]
"""Left, top, side in pixels."""


def defect_map(sample: Sample, picture: Picture, *, free: bool) -> npt.NDArray[np.bool_] | None:
    """Gives (H, W), true where a defect is: by the mask, else by the boxes; None where nobody knows. `free` marks a defect-free image."""
    height, width = picture.pixels.shape[:2]
    if picture.mask is not None:
        # An empty mask of a defect class is an omission, not a defect-free picture.
        return picture.mask > 0 if free or picture.mask.any() else None
    if free:
        return np.zeros((height, width), dtype=bool)
    if not sample.boxes:
        return None
    return fill_boxes(sample.boxes, height, width)


def free_squares(blocked: npt.NDArray[np.bool_], *, least: int, most: int, limit: int) -> list[Square]:
    """Finds squares without a blocked pixel, the largest first, none overlapping another.

    Args:
        blocked: (H, W).
        least: smallest side in pixels.
        most: largest side in pixels.
        limit: how many at most.
    """
    blocked = blocked.copy()
    squares: list[Square] = []
    side = min(most, *blocked.shape)
    while len(squares) < limit:
        total = _integral(blocked)
        side = _largest(total, least, side)
        if side < least:
            break
        tops, lefts = np.nonzero(_windows(total, side) == 0)
        middle = len(tops) // 2
        left, top = int(lefts[middle]), int(tops[middle])
        squares.append((left, top, side))
        blocked[top : top + side, left : left + side] = True
    return squares


def window_sums(values: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Gives the sum over each (side, side) window, at its top left corner: (H - side + 1, W - side + 1)."""
    return _windows(_integral(values), side)


def _integral(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Sums over all rectangles that begin at the top left corner; exact for masks, whose sums are whole numbers."""
    kind = np.int32 if values.dtype == np.bool_ else np.float64
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1), dtype=kind)
    np.cumsum(values, axis=0, dtype=kind, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    return total


def _windows(total: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    sums: npt.NDArray[Any] = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return sums


def _largest(total: npt.NDArray[Any], least: int, most: int) -> int:
    """Gives the largest side of a free square by bisection; less than `least` where there is none."""
    low, high = least - 1, most
    while low < high:
        side = (low + high + 1) // 2
        if (_windows(total, side) == 0).any():
            low = side
        else:
            high = side - 1
    return low
