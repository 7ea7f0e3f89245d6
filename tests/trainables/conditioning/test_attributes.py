"""Attribute tables: what ships, and every complaint about a CSV with its row and column."""

import tomllib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from trainables.conditioning.attributes import OWN_TABLES, TEMPLATE, attribute_file, missing_classes, read_attributes, study_attributes
from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.procedural import CLASSES
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError


def complaints(folder: Path, text: str) -> list[str]:
    path = folder / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        read_attributes(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def test_the_procedural_surfaces_have_the_paper_s_29_attributes() -> None:
    table = study_attributes(DataSettings())
    assert table is not None and table.classes == (*CLASSES, DEFECT_FREE)
    assert len(table.attributes) == 29 and table.values.shape == (7, 29) and table.values.dtype == np.float32
    assert table.values.min() == 0.0 and table.values.max() == 1.0
    assert table.only(CLASSES[1:3]).classes == CLASSES[1:3]
    assert np.array_equal(table.only(("scratches",)).values[0], table.values[5])


def test_the_template_holds_the_same_names_and_no_class() -> None:
    with pytest.raises(SettingsError, match="no class; add a row for each class"):
        read_attributes(TEMPLATE)
    names, own = (next(line for line in path.read_text().splitlines() if not line.startswith("#")) for path in (TEMPLATE, OWN_TABLES["procedural"]))
    assert names == own and names.startswith("class,Color D: white,")
    for path in (TEMPLATE, OWN_TABLES["procedural"]):
        assert "prints no values" in path.read_text(), "whose numbers these are is said in the file"


def test_both_are_package_data() -> None:
    folder = resources.files("trainables.conditioning")
    assert all(folder.joinpath(name).is_file() for name in ("template.csv", "procedural.csv"))
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert "conditioning/*.csv" in project["tool"]["setuptools"]["package-data"]["trainables"]


def test_a_study_names_its_own_or_has_none(tmp_path: Path) -> None:
    assert attribute_file(DataSettings(attributes=str(tmp_path / "own.csv"))) == tmp_path / "own.csv"
    assert study_attributes(DataSettings(dataset="image_folder", path="pictures")) is None
    with pytest.raises(SettingsError, match=r"data\.attributes: .*own\.csv: cannot be read \(No such file"):
        study_attributes(DataSettings(attributes=str(tmp_path / "own.csv")))


def test_comments_empty_lines_and_a_spreadsheet_s_habits_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text('\ufeff"# a comment, quoted by a spreadsheet",,\nClass, dark ,"long, thin"\n\n,,\nb,1,0.5\na,-2e-1,0\n', encoding="utf-8")
    table = read_attributes(path)
    assert (table.classes, table.attributes) == (("b", "a"), ("dark", "long, thin"))
    assert table.values.tolist() == [[1.0, 0.5], [pytest.approx(-0.2), 0.0]]


def test_every_problem_is_said_with_its_row_and_column(tmp_path: Path) -> None:
    said = complaints(tmp_path, "# mine\nname,dark,dark,\na,1,x,0\nb,0.5,0.5,0.5\na,1,0,nan\n,1,2,3\nc,1\n")
    assert said == [
        "2: the first column is 'name'; expected class",
        "2: column 4 has no name",
        "2: the attribute 'dark' stands in 2 columns",
        "3: class a, column dark: 'x' is not a number",
        "4: class b: all values are 0.5, which says nothing of the class",
        "5: class a is given twice; the first time in line 3",
        "5: class a, column : 'nan' is not a number",
        "6: a row without a class",
        "7: class c has 1 values; expected 3",
    ]


def test_classes_that_nothing_tells_apart_are_named(tmp_path: Path) -> None:
    assert complaints(tmp_path, "class,dark,long\na,1,0\nb,0,1\nc,1,0\n") == [
        "4: class c has the values of class a (line 2); nothing tells them apart"
    ]
    assert complaints(tmp_path, "class\na\n")[0] == "1: no attribute; expected at least one column behind class"
    assert "no line of names" in complaints(tmp_path, "# nothing\n")[0]


def test_missing_classes_are_named_with_the_nearest_row() -> None:
    table = read_attributes(OWN_TABLES["procedural"])
    assert missing_classes(table, CLASSES) == []
    assert missing_classes(table, ["Crazing", "patches", "rust"]) == [
        "no row for class Crazing; did you mean it by crazing?",
        "no row for class rust; add one",
    ]
    with pytest.raises(SettingsError, match=r"data\.attributes: no row for class rust; add one"):
        table.only(["rust", "patches"])
