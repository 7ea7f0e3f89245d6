"""Run-length encoded masks as Severstal's `train.csv` has them: pixels are counted from 1, down the columns. Called by its loader."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.datasets.listing import Problem, gather
from trainables.errors import DatasetError

COLUMNS = ("ImageId", "ClassId", "EncodedPixels")

Runs = npt.NDArray[np.int64]
"""(R, 2) of first and last + 1 pixel, counted from 0 down the columns; sorted, none overlapping another."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A read table of masks."""

    runs: dict[str, dict[int, Runs]] = field(default_factory=dict)
    """Image -> class number from 1 -> its pixels."""
    problems: list[Problem] = field(default_factory=list)
    """Rows that cannot be used, by line; they are left out of `runs`."""


def read_table(file: Path, *, pixels: int, classes: int, exists: Callable[[str], bool]) -> Table:
    """Reads all rows of a table; what is wrong with any of them is told at once.

    Args:
        file: CSV with the columns of `COLUMNS`.
        pixels: of each picture.
        classes: numbers from 1 to this are classes.
        exists: tells whether there is an image of a name.

    Raises:
        DatasetError: the table cannot be read, or has other columns.
    """
    table = Table()
    wrong: list[str] = []
    missing: list[str] = []
    shared: list[str] = []
    lines: dict[tuple[str, int], int] = {}
    for line, image, number, text in _rows(file):
        where = f"{file}:{line}: {image}"
        if not exists(image):
            missing.append(where)
            continue
        try:
            cls = _class_of(number, classes)
            if (image, cls) in lines:
                raise ValueError(f"class {cls} again; line {lines[image, cls]} has it already")
            runs = parse_runs(text, pixels)
        except ValueError as error:
            wrong.append(f"{where}: {error}")
            continue
        lines[image, cls] = line
        own = table.runs.setdefault(image, {})
        shared += [f"{where}: classes {other} and {cls}" for other, before in own.items() if _overlap(np.concatenate([before, runs]))]
        own[cls] = runs
    cure = "Correct the row, or remove it; an image without any row counts as defect-free."
    table.problems.extend(gather("error", "rows that are no mask", wrong, cure))
    cure = "The rows are left out. Add the images, if they should be there."
    table.problems.extend(gather("warning", "rows of images that are missing", missing, cure))
    cure = "They go to the class that covers less of the picture."
    table.problems.extend(gather("warning", "pixels that two classes claim", shared, cure))
    return table


def parse_runs(text: str, pixels: int) -> Runs:
    """Reads `start length start length ...`, starts counted from 1.

    Args:
        text: numbers between spaces.
        pixels: of the picture.

    Raises:
        ValueError: no numbers, or an odd count of them; a run without length, outside of the picture, or over another.
    """
    words = text.split()
    try:
        numbers = np.array([int(word) for word in words], dtype=np.int64)
    except (ValueError, OverflowError):
        strange = next((word for word in words if not word.isdecimal()), "a number beyond all pictures")
        raise ValueError(f"{strange!r} among the pixels, expected whole numbers: start length start length ...") from None
    if not len(numbers) or len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers, expected pairs: start length start length ...")
    starts, lengths = numbers[0::2], numbers[1::2]
    # Compared by what is left after the start, because a sum could be beyond what 64 bits hold.
    bad = np.flatnonzero((starts < 1) | (lengths < 1) | (starts > pixels) | (lengths > pixels - starts + 1))
    if len(bad):
        raise ValueError(f"run {starts[bad[0]]} {lengths[bad[0]]} is outside of the picture, whose pixels are 1 to {pixels}")
    runs = np.stack([starts - 1, starts - 1 + lengths], axis=1)
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    if _overlap(runs):
        first = int(np.flatnonzero(runs[1:, 0] < runs[:-1, 1])[0])
        pair = [f"{start + 1} {end - start}" for start, end in runs[first : first + 2].tolist()]
        raise ValueError(f"runs {pair[0]} and {pair[1]} overlap")
    return runs


def areas_between(runs: Runs, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Counts the pixels of runs between each two neighbours of `edges` (E,), counted like the runs: (E - 1,)."""
    clipped = np.clip(runs[:, :, None], edges[:-1], edges[1:])
    areas: npt.NDArray[np.int64] = (clipped[:, 1] - clipped[:, 0]).sum(axis=0)
    return areas


def paint(runs: dict[int, Runs], height: int, first: int, last: int) -> npt.NDArray[np.uint8]:
    """Draws the columns from `first` to `last` as class numbers: (height, last - first). Small masks lie on top of large ones."""
    start, stop = first * height, last * height
    flat = np.zeros(stop - start, dtype=np.uint8)
    for number, own in sorted(runs.items(), key=lambda item: -int((item[1][:, 1] - item[1][:, 0]).sum())):
        for begin, end in (np.clip(own, start, stop) - start).tolist():
            flat[begin:end] = number
    return np.ascontiguousarray(flat.reshape(last - first, height).T)


def _overlap(runs: Runs) -> bool:
    ordered = runs[np.argsort(runs[:, 0], kind="stable")]
    return bool((ordered[1:, 0] < ordered[:-1, 1]).any())


def _class_of(text: str, classes: int) -> int:
    if text not in map(str, range(1, classes + 1)):
        raise ValueError(f"class {text!r}, expected 1 to {classes}")
    return int(text)


def _rows(file: Path) -> Iterator[tuple[int, str, str, str]]:
    """Yields line number, image, class and pixels of each row."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or error}).\n  Copy it anew from the source.") from error
    header = _cells(lines[0]) if lines else []
    if not set(COLUMNS) <= set(header):
        raise DatasetError(f"{file}:1: expected the columns {','.join(COLUMNS)}, found {','.join(header) or 'nothing'}.")
    places = [header.index(name) for name in COLUMNS]
    for number, line in enumerate(lines[1:], start=2):
        if line.strip():
            cells = _cells(line)
            image, cls, pixels = (cells[place] if place < len(cells) else "" for place in places)
            yield number, image, cls, pixels


def _cells(line: str) -> list[str]:
    """Splits a line; no cell of such a table holds a comma, and the csv module would refuse long ones."""
    return [cell.strip().strip('"') for cell in line.split(",")]
