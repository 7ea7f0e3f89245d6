"""Backgrounds: from training pictures only, outside of what is marked, and it is said where from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.backgrounds import Backgrounds, backgrounds, training_side
from trainables.datasets.packs import Pack, pack_dataset
from trainables.datasets.pictures import fit
from trainables.datasets.procedural import CLASSES, draw
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.datasets.splits import Split, split
from trainables.datasets.squares import free_squares
from trainables.errors import DatasetError
from trainables.store import Store

SHARED = Path(__file__).parents[4] / "shared" / "data"
SURFACES = ProceduralSettings(per_class=8, defect_free=6)


def made(settings: DataSettings, store: Store) -> tuple[Pack, Split, Backgrounds]:
    _, pack = pack_dataset(settings, store)
    parts = split(pack, settings)
    return pack, parts, backgrounds(pack, parts, settings, store)


def only_from_training(pack: Pack, parts: Split, found: Backgrounds) -> bool:
    return set(found.groups.tolist()) <= set(pack.groups[training_side(pack, parts)].tolist())


@pytest.mark.parametrize("defect_free", ["class", "background"])
def test_own_defect_free_images_of_the_training_split(tmp_path: Path, defect_free: str) -> None:
    settings = DataSettings(size_px=32, backgrounds="folder", defect_free=defect_free, procedural=SURFACES)  # type: ignore[arg-type]
    store = Store(tmp_path)
    pack, parts, found = made(settings, store)
    assert found.origin == "folder" and len(found.images) == 4 and only_from_training(pack, parts, found)
    np.testing.assert_array_equal(found.images, pack.images[parts.backgrounds])
    assert pack.defect_free[parts.backgrounds].all()
    again = backgrounds(pack, parts, settings, store)
    assert again.key == found.key and store.keys("backgrounds") == [found.key]


def test_crops_by_masks_hold_no_defect(tmp_path: Path) -> None:
    settings = DataSettings(size_px=32, backgrounds="crops", procedural=SURFACES)
    pack, parts, found = made(settings, Store(tmp_path))
    assert found.origin == "crops:masks" and only_from_training(pack, parts, found)
    assert found.images.shape[1:] == (1, 32, 32) and len(found.images) > 10
    other = split(pack, dataclasses.replace(settings, split_seed=1))
    assert backgrounds(pack, other, settings, Store(tmp_path)).key != found.key


def folder_of(tmp_path: Path, *, size_px: int = 64) -> Path:
    for cls in CLASSES[:3]:
        for seed in range(6):
            path = tmp_path / "own" / cls / f"{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw(cls, size_px=size_px, seed=seed).pixels).save(path)
    return tmp_path / "own"


def test_the_calmest_crops_where_nothing_is_marked(tmp_path: Path) -> None:
    settings = DataSettings(dataset="image_folder", path=str(folder_of(tmp_path)), size_px=32, backgrounds="crops")
    pack, parts, found = made(settings, Store(tmp_path / "store"))
    assert found.origin == "crops:texture" and only_from_training(pack, parts, found)
    assert len(found.images) == 3 * 2  # half of the four training pictures of each class


def test_boxes_of_a_texture_are_kept_clear(tmp_path: Path) -> None:
    for n in range(1, 5):
        for code, dark in (("Cr", slice(0, 40)), ("Pa", slice(60, 100))):
            blocks = np.kron(np.random.default_rng(n).integers(0, 90, (10, 10)), np.ones((10, 10))).astype(np.uint8)
            pixels = blocks + np.uint8(160)
            pixels[dark] = blocks[dark] // 2
            (tmp_path / "neu").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "neu" / f"{code}_{n}.bmp")
            name = {"Cr": "crazing", "Pa": "patches"}[code]
            box = f"<xmin>0</xmin><ymin>{dark.start}</ymin><xmax>100</xmax><ymax>{dark.stop}</ymax>"
            (tmp_path / f"{name}_{n}.xml").write_text(
                f"<annotation><size><width>100</width><height>100</height></size><object><bndbox>{box}</bndbox></object></annotation>"
            )
    settings = DataSettings(dataset="neu_cls", path=str(tmp_path / "neu"), boxes_path=str(tmp_path), size_px=32, backgrounds="crops")
    pack, parts, found = made(settings, Store(tmp_path / "store"))
    assert found.origin == "crops:boxes" and only_from_training(pack, parts, found)
    assert found.images.min() > 150


def test_images_of_a_folder_that_show_held_out_pictures_are_left_out(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    settings = DataSettings(size_px=32, backgrounds="folder", procedural=SURFACES)
    _, pack = pack_dataset(settings, store)
    parts = split(pack, settings)
    folder = tmp_path / "clean"
    folder.mkdir()
    held_out = pack.images[parts.test[-1], 0]
    Image.fromarray(np.ascontiguousarray(np.rot90(held_out))).save(folder / "leak.png")
    Image.fromarray(draw("defect_free", size_px=64, seed=5).pixels).save(folder / "fine.png")
    found = backgrounds(pack, parts, dataclasses.replace(settings, backgrounds_path=str(folder)), store)
    assert found.left_out == 1 and len(found.images) == 1 and found.groups[0] > pack.groups.max()
    np.testing.assert_array_equal(found.images[0], fit(draw("defect_free", size_px=64, seed=5).pixels, 32, 1))


def test_no_backgrounds_is_said_with_the_cure(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    settings = DataSettings(dataset="image_folder", path=str(folder_of(tmp_path)), size_px=32)
    _, pack = pack_dataset(settings, store)
    with pytest.raises(DatasetError, match=r"none, but[\s\S]*backgrounds: crops"):
        backgrounds(pack, split(pack, settings), settings, store)
    wanting = dataclasses.replace(settings, backgrounds="folder")
    with pytest.raises(DatasetError, match="no defect-free image"):
        backgrounds(pack, split(pack, wanting), wanting, store)
    with pytest.raises(DatasetError, match="no defect-free images for"):
        pack_dataset(wanting, Store(tmp_path / "fresh"))


def test_a_picture_that_changed_since_packing_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    settings = DataSettings(dataset="image_folder", path=str(folder_of(tmp_path)), size_px=32, backgrounds="crops")
    _, pack = pack_dataset(settings, store)
    for path in (tmp_path / "own" / "crazing").iterdir():
        Image.fromarray(np.zeros((64, 64), np.uint8)).save(path)
    with pytest.raises(DatasetError, match="changed since it was packed"):
        backgrounds(pack, split(pack, settings), settings, store)


def test_largest_squares_first_and_apart() -> None:
    blocked = np.zeros((20, 30), bool)
    blocked[:, 12] = True
    squares = free_squares(blocked, least=5, most=100, limit=4)
    assert squares[0][2] == 17 and squares[1][2] == 12
    seen = blocked.copy()
    for left, top, side in squares:
        assert not seen[top : top + side, left : left + side].any()
        seen[top : top + side, left : left + side] = True
    assert free_squares(np.ones((8, 8), bool), least=1, most=8, limit=3) == []
    assert len(free_squares(np.zeros((8, 9), bool), least=8, most=8, limit=3)) == 1


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_real_neu_boxes_leave_room(tmp_path: Path) -> None:
    settings = DataSettings(
        dataset="neu_cls", path=str(SHARED / "NEU-CLS"), boxes_path=str(SHARED / "NEU-DET"), backgrounds="crops", images_per_class=20
    )
    pack, parts, found = made(settings, Store(tmp_path))
    assert found.origin == "crops:boxes" and only_from_training(pack, parts, found) and len(found.images) > 60
