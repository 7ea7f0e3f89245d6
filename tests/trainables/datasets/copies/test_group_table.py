"""The user's own groups: added to what is known and found, and every bad row told."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.check import examine
from trainables.datasets.copies.group_table import add_groups
from trainables.datasets.listing import Sample, load_listing
from trainables.datasets.packs import fingerprint, pack_dataset
from trainables.datasets.procedural import draw
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import split
from trainables.errors import DatasetError
from trainables.store import Store


def samples(**groups: str | None) -> list[Sample]:
    return [Sample(name=f"{name}.png", cls="dent", group=group) for name, group in groups.items()]


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_groups_add_to_what_the_loader_knows(tmp_path: Path) -> None:
    given = samples(a="x", b="x", c=None, d=None, e="y", f="y", g=None, h="p")
    table = write(tmp_path / "groups.csv", "group,path,note\np,b.png,\np,c.png,kept\nq,e.png,\nr,./f.png,\n\n")
    made, problems = add_groups(given, table)
    a, b, c, d, e, f, g, h = (sample.group for sample in made)
    assert problems == [] and [sample.name for sample in made] == [sample.name for sample in given]
    assert a == b == c and e == f and d is None and g is None
    assert len({a, e, h}) == 3, "the loader's p is not the user's"


def test_every_bad_row_is_told_by_file_and_line(tmp_path: Path) -> None:
    table = write(tmp_path / "groups.csv", "path,group\na.png,1\n,2\nb.png,\nbb.png,1\na.png,2\nc.png,1,2\n")
    made, (problem,) = add_groups(samples(a=None, b=None, c=None), table)
    assert problem.severity == "error" and problem.count == 5 and [sample.group for sample in made] == ["groups: 1", None, None]
    assert problem.where[0] == f"{table}:3: no path" and problem.where[1] == f"{table}:4: no group"
    assert problem.where[2] == f"{table}:5: bb.png is no image of the data set; did you mean b.png?"
    _, (rest,) = add_groups(samples(a=None, c=None), write(tmp_path / "rest.csv", "path,group\na.png,1\na.png,2\nc.png,1,2\n"))
    assert rest.where == (f"{tmp_path}/rest.csv:3: a.png is given twice; the first time in line 2", f"{tmp_path}/rest.csv:4: 3 cells under 2 columns")


@pytest.mark.parametrize(("text", "message"), [("", "columns are none"), ("path,part\n", r"groups\.csv:1: the columns are path, part")])
def test_tables_without_the_columns(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        add_groups([], write(tmp_path / "groups.csv", text))
    with pytest.raises(DatasetError, match=r"data\.groups: .*cannot be read \(No such file"):
        add_groups([], str(tmp_path / "none.csv"))


def fill(root: Path) -> Path:
    for cls in ("patches", "scratches"):
        for seed in range(12):
            path = root / cls / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw(cls, size_px=48, seed=seed).pixels).save(path)
    return root


def test_parts_of_the_user_never_straddle_a_split(tmp_path: Path) -> None:
    root = fill(tmp_path / "images")
    rows = [f"{cls}/{seed}.png,{cls}-{seed // 3}" for cls in ("patches", "scratches") for seed in range(12)]
    table = write(tmp_path / "groups.csv", "\n".join(["path,group", *rows]))
    plain = DataSettings(dataset="image_folder", path=str(root), size_px=32)
    wanted = DataSettings(dataset="image_folder", path=str(root), size_px=32, groups=table)
    assert fingerprint(wanted) != fingerprint(plain)
    _, pack = pack_dataset(wanted, Store(tmp_path / "store"))
    assert len(np.unique(pack.groups)) == 8
    made = split(pack, wanted)
    seen = [set(pack.groups[part].tolist()) for part in (made.train, made.val, made.test)]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    notes = [problem.what for problem in examine(wanted).problems]
    assert "pictures with copies or other views, kept together in a split; the largest group has 3 images" in notes
    table = write(tmp_path / "groups.csv", "path,group\nnothing.png,1\n")
    with pytest.raises(DatasetError, match=r"rows of data\.groups that cannot be used\n.*groups\.csv:2: nothing\.png"):
        pack_dataset(wanted, Store(tmp_path / "store"))


def test_drawn_surfaces_have_no_groups() -> None:
    with pytest.raises(DatasetError, match=r"data\.groups: procedural is drawn"):
        load_listing(DataSettings(groups="groups.csv"))
