"""Layouts of several surfaces, good and defective: DAGM 2007, both KolektorSDDs, folders like MVTec AD. Miniatures, and the real subsets."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from trainables.datasets.listing import DEFECT_FREE, Listing, detect_layout, load_listing
from trainables.datasets.packs import fingerprint, pack_of
from trainables.datasets.settings import DataSettings, SurfaceSettings
from trainables.datasets.surfaces import textures
from trainables.datasets.survey import survey
from trainables.errors import DatasetError

SHARED = Path(__file__).parents[5] / "shared" / "data"
SIDE = 32


def write(path: Path, *, defective: bool = False, seed: int = 0, texture: str = "woven") -> npt.NDArray[np.bool_]:
    """Writes a picture, and gives the mask of its defect."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = textures.draw(texture, defective=defective, size_px=SIDE, seed=seed)
    Image.fromarray(picture.pixels).save(path)
    assert picture.mask is not None
    return np.asarray(picture.mask, dtype=bool)


def write_mask(path: Path, mask: npt.NDArray[np.bool_], *, value: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * np.uint8(value)).save(path)


def write_palette(path: Path, mask: npt.NDArray[np.uint8]) -> None:
    """Writes a palette mask as KolektorSDD's are: index 0 black, index 1 white."""
    image = Image.fromarray(mask, mode="P")
    image.putpalette([0, 0, 0, 255, 255, 255, 200, 200, 200])
    image.save(path)


def listed(root: Path, layout: str, **surfaces: object) -> Listing:
    assert detect_layout(root) == layout
    return load_listing(DataSettings(dataset=layout, path=str(root), size_px=SIDE, surfaces=SurfaceSettings(**surfaces)))  # type: ignore[arg-type]


def masks_of(listing: Listing) -> dict[str, float]:
    """Share that the mask of each defective image covers."""
    pictures = {sample.name: listing.read(sample) for sample in listing.samples if not sample.free}
    return {name: float((picture.mask > 0).mean()) for name, picture in pictures.items() if picture.mask is not None}


@pytest.fixture
def dagm(tmp_path: Path) -> Path:
    """Two classes as the original has them: numbers that run through, a mask and a line of 1 for defective images only."""
    root = tmp_path / "DAGM"
    number = 0
    for cls, texture in ((1, "grainy"), (10, "ribbed")):
        for part, count in (("Test", 5), ("Train", 4)):
            folder = root / f"Class{cls}" / part
            lines = ["1"]
            for k in range(count):
                number += 1
                stem = f"{number:04d}"
                mask = write(folder / f"{stem}.PNG", defective=k == 0, seed=number, texture=texture)
                if k == 0:
                    write_mask(folder / "Label" / f"{stem}_label.PNG", mask)
                lines.append(f"{stem}\t{int(k == 0)}\t{stem}.PNG\t0\t" + (f"{stem}_label.PNG" if k == 0 else "0"))
            (folder / "Label" / "Labels.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def test_dagm_gives_defects_surfaces_or_defective(dagm: Path) -> None:
    defects = listed(dagm, "dagm2007")
    assert defects.problems == [] and defects.classes == ("class1_defect", "class10_defect")
    assert Counter((sample.cls, sample.published) for sample in defects.samples) == {
        (DEFECT_FREE, "test"): 8,
        (DEFECT_FREE, "train"): 6,
        **{(f"class{n}_defect", part): 1 for n in (1, 10) for part in ("train", "test")},
    }
    assert len(masks_of(defects)) == 4 and min(masks_of(defects).values()) >= textures.LEAST_AREA
    assert listed(dagm, "dagm2007", labels="defective").classes == ("defect",)
    surfaces = listed(dagm, "dagm2007", labels="surfaces")
    assert surfaces.classes == ("class1", "class10") and Counter(sample.cls for sample in surfaces.samples) == {"class1": 9, "class10": 9}
    assert sum(sample.clean for sample in surfaces.samples) == 14


def test_dagm_mix_is_one_to_one_in_every_texture(dagm: Path) -> None:
    mix = listed(dagm, "dagm2007", labels="surfaces", good_per_defective=1)
    assert Counter((sample.cls, sample.clean) for sample in mix.samples) == {(f"class{n}", clean): 2 for n in (1, 10) for clean in (True, False)}
    pack = pack_of(survey(mix, size_px=SIDE, channels=1), DataSettings(dataset="dagm2007", path=str(dagm), size_px=SIDE))
    assert pack.classes == ("class1", "class10") and pack.has_mask.all() and pack.defect_free.sum() == 4


def test_labels_of_a_good_image_are_part_of_the_fingerprint(dagm: Path) -> None:
    settings = DataSettings(dataset="dagm2007", path=str(dagm), size_px=SIDE)
    kinds = [SurfaceSettings(labels="defects"), SurfaceSettings(labels="defective"), SurfaceSettings(labels="surfaces")]
    assert len({fingerprint(replace(settings, surfaces=surfaces)) for surfaces in kinds}) == 3


def test_one_class_of_dagm_is_a_data_set(dagm: Path) -> None:
    listing = listed(dagm / "Class10", "dagm2007")
    assert listing.classes == ("defect",) and len(listing.samples) == 9


def test_dagm_compares_masks_with_its_labels(dagm: Path) -> None:
    label = dagm / "Class1" / "Train" / "Label"
    (mask,) = label.glob("*.PNG")
    mask.rename(label / "0007_label.PNG")
    write_mask(label / "0999_label.PNG", np.ones((SIDE, SIDE), dtype=bool))
    with (label / "Labels.txt").open("a") as stream:
        stream.write("what is this\n0998\t0\t0998.PNG\t0\t0\n")
    problems = {(problem.severity, problem.what): problem for problem in listed(dagm, "dagm2007").problems}
    assert set(problems) == {
        ("error", "lines of Labels.txt without a number and 0 or 1"),
        ("warning", "defective images without a mask"),
        ("error", "masks of images that Labels.txt calls good"),
        ("warning", "masks without an image"),
        ("note", "images of Labels.txt that are not there"),
    }
    assert "Labels.txt:6: 'what is this'" in problems["error", "lines of Labels.txt without a number and 0 or 1"].where[0]


@pytest.fixture
def kolektor(tmp_path: Path) -> Path:
    root = tmp_path / "KolektorSDD"
    for n in (1, 2):
        for m in range(3):
            mask = write(root / f"kos{n:02d}" / f"Part{m}.jpg", defective=m == n, seed=10 * n + m)
            label = root / f"kos{n:02d}" / f"Part{m}_label.bmp"
            if m == n:
                indices = mask.astype(np.uint8)
                indices[:, ::2] *= n
                write_palette(label, indices)
            else:
                Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(label)
    return root


def test_kolektor_reads_palettes_and_keeps_items_together(kolektor: Path) -> None:
    listing = listed(kolektor, "kolektor_sdd")
    assert listing.classes == ("defect",) and listing.problems == []
    assert {sample.name for sample in listing.samples if not sample.free} == {"kos01/Part1.jpg", "kos02/Part2.jpg"}
    assert {(sample.name.split("/")[0], sample.group) for sample in listing.samples} == {("kos01", "kos01"), ("kos02", "kos02")}
    with_two = listing.read(next(sample for sample in listing.samples if sample.name == "kos02/Part2.jpg"))
    drawn = textures.draw("woven", defective=True, size_px=SIDE, seed=22).mask
    assert with_two.mask is not None and drawn is not None
    np.testing.assert_array_equal(with_two.mask > 0, drawn > 0)


def test_kolektor_says_what_it_leaves_out(kolektor: Path) -> None:
    write(kolektor / "kos02" / "kos01" / "Part0.jpg")
    (kolektor / "kos01" / "Part0_label.bmp").unlink()
    (kolektor / "kos02" / "Part0.jpg").unlink()
    (kolektor / "kos02" / "Part1_label.bmp").write_bytes(b"BM")
    listing = listed(kolektor, "kolektor_sdd")
    assert len(listing.samples) == 3
    assert [(problem.severity, problem.what, problem.count) for problem in listing.problems] == [
        ("warning", "images without a mask", 1),
        ("error", "masks that cannot be read", 1),
        ("warning", "masks without an image", 1),
        ("warning", "commutators inside of another one's folder", 1),
    ]


def test_kolektor_2_follows_its_published_parts(tmp_path: Path) -> None:
    for part, start in (("train", 10000), ("test", 20000)):
        for k in range(3):
            mask = write(tmp_path / part / f"{start + k}.png", defective=k == 1, seed=start + k)
            write_mask(tmp_path / part / f"{start + k}_GT.png", mask)
    (tmp_path / "train" / "10000_GT.png").unlink()
    write_mask(tmp_path / "test" / "29999_GT.png", np.zeros((SIDE, SIDE), dtype=bool))
    listing = listed(tmp_path, "kolektor_sdd2")
    assert Counter((sample.published, sample.cls) for sample in listing.samples) == {
        ("train", "defect"): 1,
        ("train", DEFECT_FREE): 1,
        ("test", "defect"): 1,
        ("test", DEFECT_FREE): 2,
    }
    assert set(masks_of(listing)) == {"train/10001.png", "test/20001.png"}
    assert [(problem.what, problem.count) for problem in listing.problems] == [("images without a mask", 1), ("masks without an image", 1)]


def mvtec(root: Path, texture: str, defect: str) -> None:
    for n, folder in enumerate(("train/good", "test/good", f"test/{defect}")):
        for k in range(3):
            mask = write(root / folder / f"{k:03d}.png", defective=n == 2, seed=10 * n + k, texture=texture)
            if n == 2 and k:
                write_mask(root / "ground_truth" / defect / f"{k:03d}_mask.png", mask)


def test_mvtec_folders_of_one_category_and_of_several(tmp_path: Path) -> None:
    mvtec(tmp_path / "tile", "cellular", "crack")
    one = listed(tmp_path / "tile", "mvtec_ad")
    assert one.classes == ("crack",) and len(masks_of(one)) == 2
    assert Counter((sample.cls, sample.published) for sample in one.samples) == {
        (DEFECT_FREE, "train"): 3,
        (DEFECT_FREE, "test"): 3,
        ("crack", "test"): 3,
    }
    assert [(problem.what, problem.where) for problem in one.problems] == [("images without a mask", (str(tmp_path / "tile/test/crack/000.png"),))]
    mvtec(tmp_path / "grid", "woven", "thread")
    write_mask(tmp_path / "grid" / "ground_truth" / "thread" / "999_mask.png", np.ones((SIDE, SIDE), dtype=bool))
    several = listed(tmp_path, "mvtec_ad")
    assert several.classes == ("grid_thread", "tile_crack") and several.problems[-1].what == "masks without an image"
    assert listed(tmp_path, "mvtec_ad", labels="surfaces").classes == ("grid", "tile")
    thinned = listed(tmp_path, "mvtec_ad", good_per_defective=1)
    assert Counter(sample.free for sample in thinned.samples) == {True: 6, False: 6}


@pytest.mark.parametrize("layout", ["dagm2007", "kolektor_sdd", "kolektor_sdd2", "mvtec_ad"])
def test_folders_of_another_layout_are_told_what_is_expected(layout: str, tmp_path: Path) -> None:
    write(tmp_path / "dent" / "a.png")
    assert detect_layout(tmp_path) == "image_folder"
    with pytest.raises(DatasetError, match=r"(?s)inside.*Expected|a category.*Expected"):
        load_listing(DataSettings(dataset=layout, path=str(tmp_path)))


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_real_dagm() -> None:
    listing = listed(SHARED / "DAGM2007", "dagm2007")
    assert listing.classes == ("class1_defect", "class2_defect", "class3_defect", "class4_defect")
    assert len(listing.samples) == 6 and {sample.published for sample in listing.samples} == {"test"} and listing.problems == []
    shares = masks_of(listing)
    assert len(shares) == 6 and all(0.005 < share < 0.1 for share in shares.values())
    assert listed(SHARED / "DAGM2007", "dagm2007", labels="surfaces").classes == ("class1", "class2", "class3", "class4")


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_real_kolektor() -> None:
    listing = listed(SHARED / "KolektorSDD", "kolektor_sdd")
    assert {sample.name for sample in listing.samples if not sample.free} == {"kos02/Part6.jpg", "kos03/Part2.jpg"}
    assert Counter(sample.group for sample in listing.samples) == {"kos02": 8, "kos03": 8} and listing.problems == []
    pack = pack_of(survey(listing, size_px=SIDE, channels=1), DataSettings(dataset="kolektor_sdd", path=str(SHARED / "KolektorSDD"), size_px=SIDE))
    assert len(np.unique(pack.groups)) == 2 and pack.has_mask.all() and pack.masks is not None
    assert [bool(mask.any()) for mask in pack.masks] == [not sample.free for sample in listing.samples]
