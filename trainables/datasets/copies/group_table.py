"""A user's own table: a CSV that says which images show one part or product, and whatever else is known of each.

Groups are read where a data set is listed; further columns, by whose values scores are grouped, where a study starts (`group_columns`).
"""

import csv
import difflib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from trainables.datasets.listing import Problem, Sample, gather
from trainables.errors import DatasetError

COLUMNS = ("path", "group")


def add_groups(samples: Sequence[Sample], path: str) -> tuple[list[Sample], list[Problem]]:
    """Adds the groups of a CSV to what a loader knows of the origin of samples: who shares either, shares a group.

    Args:
        samples: as listed.
        path: of the CSV; its column `path` holds names of samples, below the data set's folder. Images that it leaves out stay as they are.

    Returns:
        The samples in their order, and one problem of all rows that cannot be used.

    Raises:
        DatasetError: the file cannot be read, or lacks a column.
    """
    rows, wrong = _read(Path(path).expanduser(), [sample.name for sample in samples])
    named = {name: row["group"] for name, row in rows.items()}
    united = _unite([(sample.group, named.get(sample.name)) for sample in samples])
    cure = "Name images by their path below the data set's folder, each once, with its group."
    problems = gather("error", "rows of data.groups that cannot be used", wrong, cure)
    return [replace(sample, group=group) for sample, group in zip(samples, united, strict=True)], problems


def read_columns(path: str, names: Sequence[str], columns: Sequence[str]) -> dict[str, list[str | None]]:
    """Reads columns of the CSV, for images by name.

    Args:
        path: of the CSV.
        names: of all images, as listed.
        columns: to be read, in small letters.

    Returns:
        Column -> the value of each image in the order of `names`; None where the CSV leaves the image or its cell out.

    Raises:
        DatasetError: the file cannot be read, or lacks a column, or has it twice; the nearest ones are named, all at once.
    """
    place = Path(path).expanduser()
    header = _table(place)[0]
    told = []
    for column in columns:
        near = difflib.get_close_matches(column, header, n=1)
        if column not in header:
            told.append(f"{place}:1: no column {column}" + (f"; did you mean {near[0]}?" if near else ""))
        elif header.count(column) > 1:
            told.append(f"{place}:1: the column {column} is there {header.count(column)} times; expected once")
    if told:
        raise DatasetError("\n".join([*told, f"  The columns are {', '.join(header)}."]))
    rows, _ = _read(place, names)
    return {column: [rows[name][column] or None if name in rows else None for name in names] for column in columns}


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """Gives the header in small letters, and the rows below it.

    Raises:
        DatasetError: the file cannot be read, or lacks a column that every such table has, or has it twice.
    """
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a table of text (CSV, UTF-8)"
        raise DatasetError(f"data.groups: {path} cannot be read ({reason}).\n  Expected a CSV with the columns path and group.") from error
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    if any(header.count(column) != 1 for column in COLUMNS):
        raise DatasetError(f"{path}:1: the columns are {', '.join(header) or 'none'}.\n  Expected path and group, each once.")
    return header, rows[1:]


def _read(path: Path, names: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Gives for each image that is named well its cells by column, and what is wrong, by file and line."""
    header, rows = _table(path)
    at, of = (header.index(column) for column in COLUMNS)
    known = dict.fromkeys(names)
    named: dict[str, dict[str, str]] = {}
    lines: dict[str, int] = {}
    wrong = []
    for line, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = [*(cell.strip() for cell in row), *[""] * len(header)]
        name, group = cells[at].replace("\\", "/").removeprefix("./"), cells[of]
        if len(row) > len(header):
            wrong.append(f"{path}:{line}: {len(row)} cells under {len(header)} columns")
        elif not name or not group:
            wrong.append(f"{path}:{line}: no {'group' if name else 'path'}")
        elif name not in known:
            near = difflib.get_close_matches(name, names, n=1)
            wrong.append(f"{path}:{line}: {name} is no image of the data set" + (f"; did you mean {near[0]}?" if near else ""))
        elif name in named:
            wrong.append(f"{path}:{line}: {name} is given twice; the first time in line {lines[name]}")
        else:
            named[name], lines[name] = dict(zip(header, cells, strict=False)), line
    return named, wrong


def _unite(tokens: Sequence[tuple[str | None, str | None]]) -> list[str | None]:
    """Gives samples that share the loader's hint or the user's group, over any number of others, one name."""
    parents: dict[tuple[int, str], tuple[int, str]] = {}

    def root(item: tuple[int, str]) -> tuple[int, str]:
        parents.setdefault(item, item)
        while parents[item] != item:
            item = parents[item]
        return item

    pairs = [[(kind, value) for kind, value in enumerate(pair) if value is not None] for pair in tokens]
    for own in pairs:
        for one, other in pairwise(own):
            # The user's name wins, then the first one in the alphabet.
            low, high = sorted((root(one), root(other)), key=lambda item: (-item[0], item[1]))
            parents[high] = low
    roots = [root(own[0]) if own else None for own in pairs]
    # The two kinds of names are told apart, where the loader and the user chance to use the same.
    return [None if found is None else found[1] if found[0] == 0 else f"groups: {found[1]}" for found in roots]
