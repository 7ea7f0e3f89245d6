"""Columns by whose values scores are grouped: read once, kept, and refused where they make no groups."""

from dataclasses import replace
from pathlib import Path

import pytest

from trainables.datasets.copies.group_columns import MOST_VALUES, read_group_columns, stored_group_columns
from trainables.datasets.packs import Pack, pack_dataset
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import DatasetError
from trainables.store import Store


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    """A pack of a few images; only their names count."""
    data = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=4, defect_free=0))
    return pack_dataset(data, Store(tmp_path_factory.mktemp("store")))[1]


def table(path: Path, pack: Pack, text: str = "path,group,Line,shift,serial", left_out: int = 2) -> DataSettings:
    rows = [f"{name},{i},{i % 3},{'late' if i % 2 else ''},{i}" for i, name in enumerate(pack.paths) if i >= left_out]
    path.write_text("\n".join([text, *rows]), encoding="utf-8")
    return DataSettings(dataset="image_folder", path="images", groups=str(path))


def test_values_are_those_of_the_images_and_gaps_are_told(pack: Pack, tmp_path: Path) -> None:
    found = read_group_columns(table(tmp_path / "parts.csv", pack), ("line", "shift"), pack)
    assert found.values["line"][:5] == [None, None, "2", "0", "1"] and found.values["shift"][2:5] == [None, "late", None]
    assert found.notes[0] == f"scores.columns: 2 of {len(pack.paths)} images have no value of line, and stand in no group of it."
    assert "13 of 24 images have no value of shift" in found.notes[1]


def test_a_study_goes_on_with_what_it_began_with(pack: Pack, tmp_path: Path) -> None:
    data, store = table(tmp_path / "parts.csv", pack), Store(tmp_path / "store")
    begun = read_group_columns(data, ("line",), pack)
    kept = stored_group_columns(data, ("line",), begun.content_hash, pack, store)
    table(tmp_path / "parts.csv", pack, left_out=9)
    assert stored_group_columns(data, ("line",), begun.content_hash, pack, store).values == kept.values == begun.values
    with pytest.raises(DatasetError, match=r"parts\.csv: the columns line are not those that this study began with"):
        stored_group_columns(data, ("line",), begun.content_hash, pack, Store(tmp_path / "other"))


def test_columns_that_make_no_groups_are_refused(pack: Pack, tmp_path: Path) -> None:
    data = table(tmp_path / "parts.csv", pack)
    with pytest.raises(DatasetError, match=r"no column lines; did you mean line\?\n.*no column nought\n  The columns are path, group, line"):
        read_group_columns(data, ("lines", "nought"), pack)
    with pytest.raises(DatasetError, match=rf"serial has 22 values \(10, 11, 12, ...\); expected a column of {MOST_VALUES} at most"):
        read_group_columns(data, ("serial",), pack)
    with pytest.raises(DatasetError, match=r"line has no value for any image"):
        read_group_columns(table(tmp_path / "none.csv", pack, left_out=24), ("line",), pack)
    with pytest.raises(DatasetError, match="path names images one by one"):
        read_group_columns(data, ("path",), pack)
    with pytest.raises(DatasetError, match=r"Expected data\.groups: FILE\.csv"):
        read_group_columns(replace(data, groups=None), ("line",), pack)
    twice = table(tmp_path / "twice.csv", pack, text="path,group,line,line,serial")
    with pytest.raises(DatasetError, match="the column line is there 2 times"):
        read_group_columns(twice, ("line",), pack)
