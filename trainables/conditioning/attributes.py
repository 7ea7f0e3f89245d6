"""Attribute vectors of classes ("real" class embeddings), read from an editable CSV: a column `class`, then a numeric column for each attribute.

The two-stage paper (vaegan2023, Table 1) prints the names of its 29 attributes and none of the values, so `template.csv` holds the names alone, to be
filled by whoever knows the classes; `procedural.csv` and `textures.csv` are examples that we filled for surfaces that are drawn here. Lines that
begin with # are comments.
Imports no torch: studies are checked with it.
"""

import csv
import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError

FOLDER = Path(__file__).parent
TEMPLATE = FOLDER / "template.csv"
"""The attribute names of the paper, without a class."""
OWN_TABLES = {"procedural": FOLDER / "procedural.csv", "textures": FOLDER / "textures.csv"}
"""Attributes that ship with a data set; those of the textures are for `surfaces.labels: surfaces`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributeTable:
    """A vector of attributes for each class."""

    classes: tuple[str, ...]
    attributes: tuple[str, ...]
    """Names of the columns."""
    values: npt.NDArray[np.float32]
    """(classes, attributes)."""

    def only(self, classes: Sequence[str]) -> "AttributeTable":
        """Takes the rows of some classes, in that order.

        Raises:
            SettingsError: a class has no row; names all, each with the nearest one.
        """
        if missing := missing_classes(self, classes):
            raise SettingsError("\n".join(f"data.attributes: {text}" for text in missing))
        return replace(self, classes=tuple(classes), values=self.values[[self.classes.index(cls) for cls in classes]])

    def with_values(self, values: npt.NDArray[np.float32]) -> "AttributeTable":
        """Takes other vectors of the same classes and attributes."""
        return replace(self, values=values)


def attribute_file(data: DataSettings) -> Path | None:
    """Gives the CSV of a study: the one it names, else the data set's own; None where there is none."""
    if data.attributes is not None:
        return Path(data.attributes)
    if data.dataset == "textures" and data.surfaces.labels != "surfaces":
        return None
    return OWN_TABLES.get(data.dataset)


def study_attributes(data: DataSettings) -> AttributeTable | None:
    """Reads the attributes of a study; None where it has none.

    Raises:
        SettingsError: as `read_attributes`.
    """
    path = attribute_file(data)
    return None if path is None else read_attributes(path)


def read_attributes(path: Path) -> AttributeTable:
    """Reads a CSV of attributes.

    Raises:
        SettingsError: it cannot be read, or has problems; all of them, each with its line and column.
    """
    lines = _lines(path)
    if not lines:
        raise SettingsError(f"{path}: no line of names; expected `class` and the attributes, as in {TEMPLATE}")
    problems: list[str] = []
    (first, header), *rows = lines
    names = [name.strip() for name in header]
    if names[0].lower() != "class":
        problems.append(f"{path}:{first}: the first column is {names[0]!r}; expected class")
    problems += [f"{path}:{first}: column {i} has no name" for i, name in enumerate(names, start=1) if not name]
    problems += [f"{path}:{first}: the attribute {name!r} stands in {names.count(name)} columns" for name in _repeated(names) if name]
    if len(names) < 2:
        problems.append(f"{path}:{first}: no attribute; expected at least one column behind class")
    values: list[list[float]] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        cls = row[0].strip()
        where = f"{path}:{line}: class {cls}"
        if not cls:
            problems.append(f"{path}:{line}: a row without a class")
        elif cls in seen:
            problems.append(f"{where} is given twice; the first time in line {seen[cls]}")
        if len(row) != len(names):
            problems.append(f"{where} has {len(row) - 1} values; expected {len(names) - 1}")
        numbers = [_number(cell, f"{where}, column {name}", problems) for name, cell in zip(names[1:], row[1:], strict=False)]
        if len(row) == len(names) > 2 and len(set(numbers)) == 1 and math.isfinite(numbers[0]):
            problems.append(f"{where}: all values are {numbers[0]:g}, which says nothing of the class")
        seen.setdefault(cls, line)
        values.append(numbers)
    if not problems:
        problems += _alike(path, [line for line, _ in rows], list(seen), values)
    if not rows:
        problems.append(f"{path}: no class; add a row for each class of the data set")
    if problems:
        raise SettingsError("\n".join(problems))
    return AttributeTable(classes=tuple(seen), attributes=tuple(names[1:]), values=np.array(values, dtype=np.float32))


def missing_classes(table: AttributeTable, classes: Sequence[str]) -> list[str]:
    """Says which classes have no row, each with the nearest row there is; empty where none is missing."""
    said = []
    for cls in classes:
        if cls not in table.classes:
            spare = [name for name in table.classes if name not in classes]
            near = difflib.get_close_matches(cls, spare, n=1, cutoff=0.5)
            said.append(f"no row for class {cls}; " + (f"did you mean it by {near[0]}?" if near else "add one"))
    return said


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Reads the cells of every line that is neither empty nor a comment, with its number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a text file (UTF-8)"
        raise SettingsError(f"data.attributes: {path}: cannot be read ({reason}).\n  {TEMPLATE} shows the form.") from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip(" ,\t") and not line.lstrip().lstrip('"').startswith("#"):
            found.append((number, next(csv.reader([line]))))
    return found


def _number(cell: str, where: str, problems: list[str]) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problems.append(f"{where}: {cell.strip()!r} is not a number")
    return value


def _repeated(names: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def _alike(path: Path, lines: Sequence[int], classes: Sequence[str], values: Sequence[Sequence[float]]) -> list[str]:
    """Finds classes that their attributes do not tell apart."""
    first: dict[tuple[float, ...], int] = {}
    problems = []
    for i, row in enumerate(values):
        j = first.setdefault(tuple(row), i)
        if j != i:
            problems.append(f"{path}:{lines[i]}: class {classes[i]} has the values of class {classes[j]} (line {lines[j]}); nothing tells them apart")
    return problems


def content(table: AttributeTable) -> Mapping[str, object]:
    """Gives the table as plain data, for a hash."""
    return {"classes": list(table.classes), "attributes": list(table.attributes), "values": table.values.tolist()}
