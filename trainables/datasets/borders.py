"""Black borders around a photographed part: where the part lies in its picture. Called by `datasets.patches`; it sees pixels alone, never a mask."""

import numpy as np
import numpy.typing as npt

BLACK = 12
"""A pixel up to this level of 255 may be border: the dark of a camera is 0 to 5, a JPEG's ringing adds a few levels. Dark defects are lighter."""

STRAY = 0.01
"""Share of a line's pixels that may be brighter, and the line be border all the same: hot pixels, dust."""

LEAST_SHARE = 0.02
"""A part covers at least this share of each side; where less is left, the picture is taken as it is: nearly all of it is black."""

Window = tuple[slice, slice]


def find_part(pixels: npt.NDArray[np.uint8]) -> Window:
    """Finds the part in its picture: rows and columns without the lines at the rim that are black from end to end.

    A line is border only if all but a few of its pixels are black, so that a dark defect at the rim of a part is not taken for one. Rows are judged
    within the columns that are left and the other way round, until nothing more goes.

    Args:
        pixels: (H, W) grey or (H, W, 3) colour.

    Returns:
        Rows and columns; the whole picture where it has no border, or nothing else.
    """
    bright = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > BLACK
    height, width = bright.shape
    rows, columns = slice(0, height), slice(0, width)
    while True:
        inside = bright[rows, columns]
        if inside.size == 0:
            return slice(0, height), slice(0, width)
        new_rows = _within(rows, inside.mean(axis=1))
        new_columns = _within(columns, bright[new_rows, columns].mean(axis=0)) if new_rows.stop > new_rows.start else slice(0, 0)
        if (new_rows, new_columns) == (rows, columns):
            break
        rows, columns = new_rows, new_columns
    if rows.stop - rows.start < LEAST_SHARE * height or columns.stop - columns.start < LEAST_SHARE * width:
        return slice(0, height), slice(0, width)
    return rows, columns


def _within(lines: slice, bright: npt.NDArray[np.float64]) -> slice:
    """Takes black lines away at both ends; `bright` is the share of each line's pixels that are not black."""
    shown = np.flatnonzero(bright > STRAY)
    return slice(lines.start + int(shown[0]), lines.start + int(shown[-1]) + 1) if len(shown) else slice(lines.start, lines.start)
