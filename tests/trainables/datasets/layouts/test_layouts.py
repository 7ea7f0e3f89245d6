"""Loaders: the real layouts, and small copies of them made here."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.listing import detect_layout, load_listing
from trainables.datasets.procedural import draw
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError, SettingsError

SHARED = Path(__file__).parents[5] / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")


def write(path: Path, *, cls: str = "patches", seed: int = 0, size_px: int = 32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(cls, size_px=size_px, seed=seed).pixels).save(path)
    return path


def test_neu_in_both_layouts(tmp_path: Path) -> None:
    for n, code in enumerate(("Cr", "In", "PS")):
        write(tmp_path / "flat" / f"{code}_{n + 1}.bmp", seed=n)
        write(tmp_path / "kaggle" / ("train", "valid", "test")[n] / "Whatever" / f"{code}_{n + 1}.bmp", seed=n)
    (tmp_path / "kaggle" / "train" / ".DS_Store").write_bytes(b"x")
    write(tmp_path / "flat" / "pS_9.bmp")
    for layout, published in (("flat", ["", "", ""]), ("kaggle", ["train", "val", "test"])):
        assert detect_layout(tmp_path / layout) == "neu_cls"
        listing = load_listing(DataSettings(dataset="neu_cls", path=str(tmp_path / layout)))
        by_class = {sample.cls: sample.published for sample in listing.samples}
        assert by_class == dict(zip(("crazing", "inclusion", "pitted_surface"), published, strict=True))
        assert [problem.what for problem in listing.problems] == (["images of no known class"] if layout == "flat" else [])


def test_image_folder_knows_defect_free_folders_and_crops(tmp_path: Path) -> None:
    write(tmp_path / "dent" / "a.crop-0-0.png")
    write(tmp_path / "Good" / "a.crop-32-0.png", seed=1)
    write(tmp_path / "Good" / "b.tif", seed=2)
    (tmp_path / "rust").mkdir()
    write(tmp_path / "loose.png")
    assert detect_layout(tmp_path) == "image_folder"
    listing = load_listing(DataSettings(dataset="image_folder", path=str(tmp_path)))
    assert Counter(sample.cls for sample in listing.samples) == {"dent": 1, "defect_free": 2}
    assert {sample.name: sample.group for sample in listing.samples} == {
        "dent/a.crop-0-0.png": "a",
        "Good/a.crop-32-0.png": "a",
        "Good/b.tif": None,
    }
    assert {(problem.severity, problem.what) for problem in listing.problems} == {
        ("error", "classes without an image"),
        ("warning", "images outside of any class folder"),
    }


def test_image_folder_follows_published_parts(tmp_path: Path) -> None:
    for part in ("train", "validation", "test"):
        write(tmp_path / part / "dent" / "x.png")
    listing = load_listing(DataSettings(dataset="image_folder", path=str(tmp_path)))
    assert [sample.published for sample in listing.samples] == ["test", "train", "val"] and listing.classes == ("dent",)


def test_magnetic_tiles_keeps_masks_apart_and_unites_tiles(tmp_path: Path) -> None:
    folder = tmp_path / "MT_Break" / "Imgs"
    for n, stem in enumerate(("exp1_num_100", "exp2_num_130", "exp1_num_160", "exp3_num_9000")):
        write(folder / f"{stem}.jpg", seed=n)
        if n != 3:
            mask = np.zeros((32, 32), np.uint8)
            mask[4:9, 4:9] = 255
            mask[9, 4:9] = 100
            Image.fromarray(mask).save(folder / f"{stem}.png")
    write(tmp_path / "MT_Free" / "Imgs" / "exp4_num_20000.jpg", seed=9)
    assert detect_layout(tmp_path) == "magnetic_tiles"
    listing = load_listing(DataSettings(dataset="magnetic_tiles", path=str(tmp_path)))
    groups = {sample.name.split("/")[-1]: sample.group for sample in listing.samples}
    assert len(groups) == 5 and groups["exp1_num_100.jpg"] == groups["exp2_num_130.jpg"] != groups["exp1_num_160.jpg"] != groups["exp3_num_9000.jpg"]
    mask_read = listing.read(listing.samples[0]).mask
    assert mask_read is not None and mask_read.sum() == 25
    assert [problem.count for problem in listing.problems if problem.what == "images without a mask"] == [1]


def test_boxes_come_by_name_and_broken_ones_are_told(tmp_path: Path) -> None:
    write(tmp_path / "neu" / "Cr_1.bmp")
    write(tmp_path / "neu" / "RS_2.bmp", seed=1)
    boxes = tmp_path / "boxes" / "deep"
    boxes.mkdir(parents=True)
    size = "<size><width>200</width><height>100</height></size>"
    box = "<object><name>other</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>999</xmax><ymax>60</ymax></bndbox></object>"
    (boxes / "rolled-in_scale_2.xml").write_text(f"<annotation>{size}{box}</annotation>")
    (boxes / "crazing_1.xml").write_text("<annotation><size>")
    listing = load_listing(DataSettings(dataset="neu_cls", path=str(tmp_path / "neu"), boxes_path=str(tmp_path / "boxes")))
    assert {sample.name: sample.boxes for sample in listing.samples} == {"Cr_1.bmp": (), "RS_2.bmp": ((0.1, 0.1, 1.0, 0.6),)}
    assert [problem.severity for problem in listing.problems] == ["error", "warning"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (DataSettings(dataset="neu_cls"), "needs a folder"),
        (DataSettings(dataset="image_folder", path="/nowhere/at/all"), "does not exist"),
        (DataSettings(dataset="image_folder", path=__file__), "is a file"),
        (DataSettings(dataset="procedural", path="/tmp"), "is drawn"),
    ],
)
def test_folders_that_cannot_be_used(settings: DataSettings, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        load_listing(settings)


def test_unknown_data_set_and_layout(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="neu_cls"):
        load_listing(DataSettings(dataset="neu_cl"))
    with pytest.raises(DatasetError, match="none of the known layouts"):
        detect_layout(tmp_path)


@pytest.mark.data
@real
@pytest.mark.parametrize(
    ("folder", "layout", "counts"),
    [
        ("NEU-CLS", "neu_cls", dict.fromkeys(("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches"), 100)),
        ("Magnetic-tile-defect-datasets", "magnetic_tiles", {"blowhole": 77, "break": 56, "crack": 37, "fray": 21, "uneven": 69, "defect_free": 317}),
    ],
)
def test_real_layouts(folder: str, layout: str, counts: dict[str, int]) -> None:
    assert detect_layout(SHARED / folder) == layout
    boxes = str(SHARED / "NEU-DET") if layout == "neu_cls" else None
    listing = load_listing(DataSettings(dataset=layout, path=str(SHARED / folder), boxes_path=boxes))
    assert Counter(sample.cls for sample in listing.samples) == counts
    assert all(problem.severity != "error" for problem in listing.problems)
    if boxes:
        assert sum(bool(sample.boxes) for sample in listing.samples) == 559
