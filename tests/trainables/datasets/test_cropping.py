"""Cropping: defect-centred squares, defect-free ones apart, and names that keep a picture's squares together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.cropping import crop_dataset, defect_squares
from trainables.datasets.listing import detect_layout, load_listing
from trainables.datasets.pictures import read_picture
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError

SHARED = Path(__file__).parents[4] / "shared" / "data"


def tiles(root: Path) -> Path:
    rng = np.random.default_rng(0)
    for number, cls in enumerate(("Break", "Crack", "Free")):
        folder = root / f"MT_{cls}" / "Imgs"
        folder.mkdir(parents=True)
        pixels = rng.integers(100, 140, (120, 200)).astype(np.uint8)
        mask = np.zeros((120, 200), np.uint8)
        if cls != "Free":
            pixels[40:50, 20:30], mask[40:50, 20:30] = 0, 255
        Image.fromarray(pixels).save(folder / f"exp1_num_{number * 1000}.jpg", quality=95)
        Image.fromarray(mask).save(folder / f"exp1_num_{number * 1000}.png")
    return root


def test_squares_around_defects_and_apart_from_them(tmp_path: Path) -> None:
    report = crop_dataset(tiles(tmp_path / "src"), tmp_path / "dst", 32)
    assert report.squares == {"background": 12, "break": 1, "crack": 1} and report.skipped == []
    assert "12 squares of background" in str(report)
    assert detect_layout(tmp_path / "dst") == "image_folder"
    listing = load_listing(DataSettings(dataset="image_folder", path=str(tmp_path / "dst")))
    assert listing.classes == ("break", "crack") and len({sample.group for sample in listing.samples}) == 3
    for sample in listing.samples:
        pixels = listing.read(sample).pixels
        assert pixels.shape == (32, 32)
        assert (pixels.min() < 50) == (sample.cls != "defect_free")
    (square,) = (tmp_path / "dst" / "break").iterdir()
    dark = np.argwhere(read_picture(square) < 50).mean(axis=0)
    assert np.abs(dark - 15.5).max() <= 1.0


def test_a_long_defect_gets_a_row_of_squares_and_an_edge_is_kept() -> None:
    defect = np.zeros((64, 256), bool)
    defect[30:34, 0:256] = True
    assert [square[0] for square in defect_squares(defect, 64)] == [0, 64, 128, 192]
    corner = np.zeros((64, 64), bool)
    corner[0:3, 60:64] = True
    assert defect_squares(corner, 32) == [(32, 0, 32)]


def test_what_cannot_be_cropped_is_said(tmp_path: Path) -> None:
    source = tiles(tmp_path / "src")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "x").touch()
    with pytest.raises(DatasetError, match="not an empty folder"):
        crop_dataset(source, tmp_path / "used", 32)
    with pytest.raises(DatasetError, match="less than 16"):
        crop_dataset(source, tmp_path / "dst", 8)
    report = crop_dataset(source, tmp_path / "dst", 150)
    assert report.squares == {} and len(report.skipped) == 3 and "smaller than 150" in report.skipped[0]
    plain = tmp_path / "plain" / "dent"
    plain.mkdir(parents=True)
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(plain / "a.png")
    with pytest.raises(DatasetError, match="neither masks nor boxes"):
        crop_dataset(tmp_path / "plain", tmp_path / "dst", 32)


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_real_tiles(tmp_path: Path) -> None:
    source = tmp_path / "src"
    source.mkdir()
    for cls in ("MT_Fray", "MT_Uneven"):
        (source / cls).symlink_to(SHARED / "Magnetic-tile-defect-datasets" / cls)
    report = crop_dataset(source, tmp_path / "dst", 64)
    assert set(report.squares) == {"background", "fray", "uneven"} and report.squares["uneven"] > 69
    assert len(report.skipped) == 4  # the masks that are empty though the tile is not
