"""Further columns of the table that `data.groups` names, by whose values scores are grouped: `scores.columns: [line, shift]`.

A study reads them once, when it starts, and keeps what it read in the store: a table that is changed later changes no number. No key of any other
stage depends on them. Called by `search.prepare` and by `trainables.measures.grouping`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from trainables.datasets.copies.group_table import COLUMNS, read_columns
from trainables.datasets.listing import EXAMPLES
from trainables.datasets.packs import Pack
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError
from trainables.store import Store, stage_key

VERSION = 1
"""Counts up when the same table would be kept otherwise."""

STAGE = "group_columns"
FILE = "columns.json"
MOST_VALUES = 20
"""Most values of a column: one that names each part would make a group of each, and thousands of scores."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupColumns:
    """The columns of a study's images."""

    content_hash: str
    """Names what was read; a recipe carries it."""
    values: Mapping[str, Sequence[str | None]]
    """Column -> value of each image of the pack, None where the table gives none."""

    @property
    def notes(self) -> list[str]:
        """Says which images are in no group of a column."""
        told = []
        for column, values in self.values.items():
            if missing := sum(value is None for value in values):
                are = "image has" if missing == 1 else "images have"
                told.append(f"scores.columns: {missing} of {len(values)} {are} no value of {column}, and stand in no group of it.")
        return told


def read_group_columns(data: DataSettings, columns: Sequence[str], pack: Pack) -> GroupColumns:
    """Reads the columns as the table has them now.

    Args:
        data: whose `groups` names the table.
        columns: in small letters.
        pack: whose images are looked up, by their paths.

    Raises:
        DatasetError: there is no table, or it cannot be read, or lacks a column, or a column makes no groups: all problems of a kind at once.
    """
    if data.groups is None:
        raise DatasetError("scores.columns: names columns of the table of data.groups, and that is not given.\n  Expected data.groups: FILE.csv.")
    if "path" in columns:
        raise DatasetError(f"scores.columns: path names images one by one; expected another column than {COLUMNS[0]}.")
    values = read_columns(data.groups, pack.paths, columns)
    wrong = []
    for column, cells in values.items():
        found = sorted({cell for cell in cells if cell is not None})
        if not found:
            wrong.append(f"scores.columns: {column} has no value for any image of the data set ({data.groups})")
        elif len(found) > MOST_VALUES:
            shown = ", ".join(found[:EXAMPLES])
            wrong.append(f"scores.columns: {column} has {len(found)} values ({shown}, ...); expected a column of {MOST_VALUES} at most")
    if wrong:
        raise DatasetError("\n".join(wrong))
    text = json.dumps(values, sort_keys=True)
    return GroupColumns(content_hash=hashlib.sha256(text.encode()).hexdigest()[:32], values=values)


def stored_group_columns(data: DataSettings, columns: Sequence[str], wanted: str, pack: Pack, store: Store) -> GroupColumns:
    """Gives the columns that a study began with: out of the store, or out of the table if it still says the same.

    Args:
        data: as for `read_group_columns`.
        columns: as for `read_group_columns`.
        wanted: what `content_hash` was when the study began.
        pack: as for `read_group_columns`.
        store: where they are kept.

    Raises:
        DatasetError: as `read_group_columns`, or the table says something else by now.
    """
    key = stage_key(STAGE, version=VERSION, settings={"columns": sorted(columns), "content_hash": wanted}, inputs=[pack.key])
    entry = store.lookup(STAGE, key)
    if entry is None:
        found = read_group_columns(data, columns, pack)
        if found.content_hash != wanted:
            raise DatasetError(
                f"{data.groups}: the columns {', '.join(columns)} are not those that this study began with.\n"
                "  Put the table back as it was, or start a new run: --fresh or --name NAME."
            )
        entry = store.publish(STAGE, key, {FILE: json.dumps(found.values).encode()}, {"columns": list(columns)})
    return GroupColumns(content_hash=wanted, values=json.loads(entry.read(FILE)))
