"""Cutting pictures: patches tile them exactly, inherit picture, group and split, and are named by what the mask shows in them."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from trainables.datasets.listing import Listing, Picture, Sample
from trainables.datasets.packs import VERSION as PACK_VERSION
from trainables.datasets.packs import Pack, pack_dataset, pack_key
from trainables.datasets.patches import cut_picture, cut_pixels, name_patches, open_preprocessed, picture_problems, preprocessed_split, rows_of
from trainables.datasets.preprocessing import PreprocessPart
from trainables.datasets.settings import DataSettings, StripSettings, SurfaceSettings, TextureSettings
from trainables.datasets.splits import PARTS, split
from trainables.errors import DatasetError, SettingsError
from trainables.store import Store, stage_key

STRIPS = DataSettings(dataset="strips", size_px=16, strips=StripSettings(per_class=6, defect_free=5, height_px=256))
FOUR = PreprocessPart(kind="patches", grid="4x1")
SIXTEEN = PreprocessPart(kind="patches", grid="8x2")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pack, Store]:
    store = Store(tmp_path_factory.mktemp("store"))
    return pack_dataset(STRIPS, store)[1], store


def striped(rows: int, columns: int, side: int) -> npt.NDArray[np.uint8]:
    """Draws a picture whose patches each have a level of their own."""
    levels = 20 + np.arange(rows * columns, dtype=np.uint8).reshape(rows, columns)
    return np.kron(levels, np.ones((side, side), np.uint8))


def test_patches_tile_the_picture_row_by_row() -> None:
    part = PreprocessPart(kind="patches", grid="3x2", borders="keep")
    patches = cut_pixels(striped(3, 2, 8), part, size_px=8, channels=1)
    assert patches.shape == (6, 1, 8, 8)
    for number, patch in enumerate(patches):
        assert (patch == 20 + number).all()


def test_patches_put_together_are_the_resized_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(90, 37, 3)).astype(np.uint8)
    patches = cut_pixels(pixels, PreprocessPart(kind="patches", grid="4x2", borders="keep"), size_px=16, channels=3)
    whole = patches.reshape(4, 2, 3, 16, 16).transpose(0, 3, 1, 4, 2).reshape(64, 32, 3)
    np.testing.assert_array_equal(whole, np.asarray(Image.fromarray(pixels).resize((32, 64), Image.Resampling.BICUBIC)))


def test_every_picture_comes_to_the_grids_own_ratio_of_sides_without_its_borders() -> None:
    for left, right, top in ((3, 30, 0), (11, 5, 9), (0, 0, 0)):
        framed = np.pad(striped(8, 2, 16), ((top, 2), (left, right)))
        np.testing.assert_array_equal(cut_pixels(framed, SIXTEEN, size_px=16, channels=1)[:, 0, 8, 8], 20 + np.arange(16))


def test_a_whole_picture_can_lose_its_borders_too() -> None:
    framed = np.pad(np.full((32, 32), 90, np.uint8), 16)
    assert (cut_pixels(framed, PreprocessPart(borders="remove"), size_px=16, channels=1) == 90).all()
    assert not (cut_pixels(framed, PreprocessPart(), size_px=16, channels=1) == 90).all()


def masks(*areas: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Makes patches with so many pixels of class 0 and of class 1."""
    found = np.zeros((len(areas), 64), np.uint8)
    for patch, (first, second) in zip(found, areas, strict=True):
        patch[:first] = 1
        patch[first : first + second] = 2
    return found.reshape(-1, 8, 8)


@pytest.mark.parametrize(
    ("areas", "own", "labels"),
    [
        ([(0, 0), (8, 0), (7, 0)], 0, [-1, 0, -1]),  # Enough, and one too few.
        ([(0, 0), (3, 0), (5, 0)], 0, [-1, -1, 0]),  # Nowhere enough: the one that shows most.
        ([(20, 0), (9, 30), (4, 5)], 0, [0, 1, 1]),  # What most of the marked pixels are of.
        ([(1, 20), (2, 30), (0, 9)], 0, [1, 0, 1]),  # Its own class is always there.
        ([(0, 9), (0, 0), (0, 0)], 0, [1, -1, -1]),  # Unless nothing of it is marked.
        ([(9, 9), (60, 0), (0, 0)], None, [-1, -1, -1]),  # Of a defect-free picture what is marked counts as nothing.
    ],
)
def test_patches_are_named_by_what_is_marked_in_them(areas: list[tuple[int, int]], own: int | None, labels: list[int]) -> None:
    assert name_patches(masks(*areas), own, 2, 8).tolist() == labels


def test_boxes_are_cut_at_the_rims_of_patches() -> None:
    listing = Listing(root=Path("."), classes=("a", "b"), samples=())
    sample = Sample(name="x", cls="b", boxes=((0.25, 0.4, 0.5, 0.6),))
    part = PreprocessPart(kind="patches", grid="2x1", borders="keep")
    cut = cut_picture(Picture(pixels=np.full((80, 40), 90, np.uint8), mask=None), sample, listing, part, size_px=16, channels=1)
    np.testing.assert_allclose(cut.boxes, [[(0.25, 0.8, 0.5, 1.0)], [(0.25, 0.0, 0.5, 0.2)]])
    assert set(np.unique(cut.masks)) == {0, 2}
    assert name_patches(cut.masks, 1, 2, 8).tolist() == [1, 1]


def test_a_pack_of_patches_knows_what_that_of_the_pictures_knows(packed: tuple[Pack, Store]) -> None:
    whole, store = packed
    patches = open_preprocessed(STRIPS, FOUR, whole, store)
    assert patches.images.shape == (4 * len(whole.labels), 1, 16, 16) and patches.classes == whole.classes
    np.testing.assert_array_equal(patches.groups, np.repeat(whole.groups, 4))
    assert patches.paths[5] == f"{whole.paths[1]}#1,0"
    free = whole.classes.index("defect_free")
    labels = patches.labels.reshape(-1, 4)
    assert (labels[whole.defect_free] == free).all()
    for own, label in zip(labels[~whole.defect_free], whole.labels[~whole.defect_free], strict=True):
        assert label in own and set(own.tolist()) <= {int(label), free}
    assert patches.masks is not None
    np.testing.assert_array_equal(patches.masks.any(axis=(1, 2)), patches.labels != free)
    np.testing.assert_array_equal(patches.defect_free, patches.labels == free)
    assert not patches.images.flags.writeable  # It is the mapped file.


def test_each_way_of_preprocessing_has_a_pack_of_its_own_and_the_usual_one_is_the_old(
    packed: tuple[Pack, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, store = packed
    assert open_preprocessed(STRIPS, PreprocessPart(), whole, store) is whole
    ways = [FOUR, SIXTEEN, PreprocessPart(borders="remove"), PreprocessPart(kind="patches", grid="4x1", min_area_px=30)]
    keys = [open_preprocessed(STRIPS, part, whole, store).key for part in ways]
    assert len({*keys, whole.key}) == 5
    monkeypatch.setattr("trainables.datasets.patches.load_listing", lambda settings: pytest.fail("it is there already"))
    same = PreprocessPart(kind="patches", grid="4x1", borders="remove", free_from="all_pictures")
    assert open_preprocessed(STRIPS, same, whole, store).key == keys[0]


def test_keys_of_whole_pictures_stay_what_they_were() -> None:
    known = {"fingerprint": "0" * 32, "dataset": "strips", "size_px": STRIPS.size_px, "channels": 1, "defect_free": STRIPS.defect_free}
    assert pack_key(STRIPS, "0" * 32) == stage_key("pack", version=PACK_VERSION, settings=known)
    assert PreprocessPart(grid="4x1", min_area_px=30, free_from="all_pictures").plain


@pytest.mark.parametrize("part", [FOUR, SIXTEEN, PreprocessPart(borders="remove")], ids=str)
def test_the_split_is_that_of_the_pictures(packed: tuple[Pack, Store], part: PreprocessPart) -> None:
    whole, store = packed
    cut = open_preprocessed(STRIPS, part, whole, store)
    pictures = split(whole, STRIPS)
    patches = preprocessed_split(pictures, part, cut)
    for name in PARTS:
        np.testing.assert_array_equal(np.unique(getattr(patches, name) // part.patches), getattr(pictures, name))
    np.testing.assert_array_equal(patches.val, rows_of(pictures.val, part.patches))
    held_out = np.concatenate([cut.groups[patches.val], cut.groups[patches.test]])
    assert not np.isin(cut.groups[patches.train], held_out).any()
    assert patches.key != pictures.key


def test_defect_free_patches_to_train_on_come_from_defect_free_pictures_unless_a_study_says_otherwise(packed: tuple[Pack, Store]) -> None:
    whole, store = packed
    cut, pictures = open_preprocessed(STRIPS, FOUR, whole, store), split(whole, STRIPS)
    paper = preprocessed_split(pictures, FOUR, cut)
    free = paper.train[cut.defect_free[paper.train]]
    assert whole.defect_free[free // 4].all() and len(free) == 4 * whole.defect_free[pictures.train].sum()
    np.testing.assert_array_equal(free, paper.backgrounds)
    every = preprocessed_split(pictures, PreprocessPart(kind="patches", grid="4x1", free_from="all_pictures"), cut)
    assert len(every.train) == 4 * len(pictures.train) and every.key != paper.key
    assert set(every.train) > set(paper.train)
    assert every.counts["defect_free"]["train"] > paper.counts["defect_free"]["train"] == len(free)


def test_fewer_pictures_per_class_are_fewer_pictures_not_patches(packed: tuple[Pack, Store]) -> None:
    whole, store = packed
    settings = DataSettings(dataset="strips", size_px=16, strips=STRIPS.strips, images_per_class=2)
    parts = preprocessed_split(split(whole, settings), FOUR, open_preprocessed(STRIPS, FOUR, whole, store))
    assert len(np.unique(parts.train // 4)) == 2 * len(whole.classes)


def folder(place: Path, *, masked: bool = True) -> DataSettings:
    """Writes 3 pictures of each of two classes, 64x32 pixels, one of which has no mask."""
    rng = np.random.default_rng(0)
    for cls in ("crack", "good"):
        for number in range(3):
            (place / "images" / cls).mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(80, 160, size=(64, 32)).astype(np.uint8)).save(place / "images" / cls / f"{number}.png")
    if masked:
        (place / "masks" / "crack").mkdir(parents=True)
        mask = np.zeros((64, 32), np.uint8)
        mask[40:50, 5:15] = 255
        for number in range(2):
            Image.fromarray(mask).save(place / "masks" / "crack" / f"{number}.png")
    masks_path = str(place / "masks") if masked else None
    return DataSettings(dataset="image_folder", path=str(place / "images"), size_px=16, masks_path=masks_path)


def test_pictures_whose_defects_nobody_marked_are_named(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    whole, part = pack_dataset(settings, Store(tmp_path / "store"))[1], PreprocessPart(kind="patches", grid="2x1")
    (problem,) = picture_problems(whole, part)
    assert "1 defective pictures" in problem and "crack/2.png" in problem and "data.masks_path" in problem
    assert picture_problems(whole, PreprocessPart(borders="remove")) == []
    with pytest.raises(DatasetError, match=r"crack/2\.png"):
        open_preprocessed(settings, part, whole, Store(tmp_path / "store"))


def test_pictures_that_changed_since_they_were_packed_are_named(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    whole = pack_dataset(settings, Store(tmp_path / "store"))[1]
    Image.fromarray(np.full((64, 32), 90, np.uint8)).save(tmp_path / "images" / "good" / "1.png")
    with pytest.raises(DatasetError, match=r"changed, since it was packed \(1\): good/1.png"):
        open_preprocessed(settings, PreprocessPart(borders="remove"), whole, Store(tmp_path / "store"))


@pytest.mark.parametrize(
    ("grid", "said"),
    [("2x8", "far from square.*4x1 would fit"), ("40x6", "smaller than data.size_px: 16")],
)
def test_a_grid_that_does_not_fit_the_pictures_is_refused(packed: tuple[Pack, Store], grid: str, said: str) -> None:
    with pytest.raises(DatasetError, match=f"(?s){said}"):
        open_preprocessed(STRIPS, PreprocessPart(kind="patches", grid=grid), *packed)


def test_a_defect_that_would_go_with_the_border_is_refused(tmp_path: Path) -> None:
    settings = folder(tmp_path)
    for number in range(3):
        file = tmp_path / "images" / "crack" / f"{number}.png"
        pixels = np.asarray(Image.open(file)).copy()
        pixels[38:] = 0
        Image.fromarray(pixels).save(file)
        Image.fromarray(np.pad(np.full((10, 10), 255, np.uint8), ((40, 14), (5, 17)))).save(tmp_path / "masks" / "crack" / f"{number}.png")
    whole = pack_dataset(settings, Store(tmp_path / "store"))[1]
    with pytest.raises(DatasetError, match=r"looks like a black border \(3\).*\n.*borders: keep"):
        open_preprocessed(settings, PreprocessPart(kind="patches", grid="2x1"), whole, Store(tmp_path / "store"))


@pytest.mark.parametrize("labels", ["surfaces", "defects"])
def test_surfaces_as_classes_and_sets_without_defect_free_pictures_cannot_be_cut(tmp_path: Path, labels: Literal["surfaces", "defects"]) -> None:
    textures = TextureSettings(kinds=("brushed", "grainy"), good=3 if labels == "surfaces" else 0, defective=3)
    settings = DataSettings(dataset="textures", size_px=16, surfaces=SurfaceSettings(labels=labels), textures=textures)
    (problem,) = picture_problems(pack_dataset(settings, Store(tmp_path))[1], FOUR)
    assert "expected defect-free pictures" in problem and "data.surfaces.labels" in problem


@pytest.mark.parametrize("settings", [{"grid": "8"}, {"grid": "0x2"}, {"grid": "1x1"}, {"grid": "40x40"}, {"min_area_px": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    (name,) = settings
    with pytest.raises(SettingsError, match=name):
        PreprocessPart(kind="patches", **settings)  # type: ignore[arg-type]
