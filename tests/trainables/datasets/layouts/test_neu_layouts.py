"""NEU_Seg, NEU-DET and NEU-CLS-64: faithful miniatures with their traps, and the real subsets."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.check import examine
from trainables.datasets.layouts.neu_cls_64 import CODES
from trainables.datasets.layouts.neu_seg import CLASSES
from trainables.datasets.listing import Listing, detect_layout, load_listing
from trainables.datasets.packs import pack_dataset
from trainables.datasets.procedural import draw
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError
from trainables.store import Store

SEEDS = iter(range(10_000))


def write(path: Path, size_px: int = 200) -> Path:
    """Writes a picture as NEU's JPEGs are, three equal channels; no two alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    surface = draw("patches", size_px=32, seed=next(SEEDS)).pixels
    Image.fromarray(surface).resize((size_px, size_px)).convert("RGB").save(path)
    return path


def whats(listing: Listing) -> dict[str, tuple[str, int]]:
    return {problem.what: (problem.severity, problem.count) for problem in listing.problems}


def listed(dataset: str, root: Path) -> Listing:
    assert detect_layout(root) == dataset
    return load_listing(DataSettings(dataset=dataset, path=str(root)))


def segment(root: Path, part: str, number: int, *areas: int, size_px: int = 200) -> Path:
    """Writes a picture of NEU_Seg whose mask has so many rows of each class."""
    write(root / "images" / part / f"{number:06}.jpg")
    mask = np.zeros((size_px, size_px), np.uint8)
    stops = np.cumsum(areas)
    for cls, (rows, stop) in enumerate(zip(areas, stops, strict=True), start=1):
        mask[stop - rows : stop] = cls
    path = root / "annotations" / part / f"{number:06}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def test_neu_seg_labels_an_image_by_what_covers_most_of_it(tmp_path: Path) -> None:
    root = tmp_path / "NEU_Seg"
    for part, count in (("training", 4), ("test", 2)):
        for n in range(count):
            for cls in range(3):
                segment(root, part, 10 * n + cls, *(20 if k == cls else 0 for k in range(3)))
    segment(root, "training", 900, 10, 30, 1)
    listing = listed("neu_seg", root)
    assert listing.classes == CLASSES and Counter(sample.published for sample in listing.samples) == {"train": 13, "test": 6}
    assert Counter(sample.cls for sample in listing.samples) == {"inclusion": 6, "patches": 7, "scratches": 6}
    assert whats(listing) == {"images of several classes, each labelled by the class that covers most of it": ("note", 1)}
    settings = DataSettings(dataset="neu_seg", path=str(root), size_px=32)
    _, pack = pack_dataset(settings, Store(tmp_path / "store"))
    row = pack.paths.index("images/training/000900.jpg")
    assert pack.masks is not None and pack.has_mask.all()
    assert np.unique(pack.masks[row]).tolist() == [0, 1, 2, 3] and pack.classes[pack.labels[row]] == "patches"
    assert all((np.unique(pack.masks[i])[1:] == pack.labels[i] + 1).all() for i in range(19) if i != row)
    found = examine(settings)
    assert found.passed and found.masked == 19 and found.boxed == 0 and found.published == {"train": 13, "test": 6}
    share = found.classes["inclusion"].defect_share
    assert share is not None and share[0] == pytest.approx(0.05), "the ten rows beside other classes count as well"
    assert examine(DataSettings(dataset="neu_seg", path=str(root), size_px=32, protocol="paper")).passed


def test_neu_seg_tells_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    for n in range(9):
        segment(tmp_path, "training", n, *(20 if k == n % 3 else 0 for k in range(3)))
    strange = segment(tmp_path, "training", 100, 5, 5, 5, 5)
    foreign = segment(tmp_path, "test", 101, 5)
    Image.fromarray(np.asarray(Image.open(foreign)) * np.uint8(255)).save(foreign)
    small = segment(tmp_path, "test", 102, 20, size_px=100)
    segment(tmp_path, "test", 103)
    segment(tmp_path, "test", 104, 5).write_bytes(b"no image")
    segment(tmp_path, "test", 105, 5).unlink()
    (tmp_path / "images" / "test" / "000106.jpg").touch()
    segment(tmp_path, "test", 107, 5)
    (tmp_path / "images" / "test" / "000107.jpg").unlink()
    problems = {problem.what: problem for problem in examine(DataSettings(dataset="neu_seg", path=str(tmp_path), size_px=32)).problems}
    told = {what: (problem.severity, problem.count) for what, problem in problems.items()}
    assert told["masks with label values that no class has"] == ("error", 2)
    expected = "that no class has; expected 0 background, 1 inclusion, 2 patches, 3 scratches"
    assert set(problems["masks with label values that no class has"].where) == {
        f"{strange}: label values 4 {expected}",
        f"{foreign}: label values 255 {expected}",
    }
    assert told["masks of another size than their images"] == ("error", 1)
    assert problems["masks of another size than their images"].where == (f"{small}: mask of 100x100 beside an image of 200x200",)
    assert told["masks that cannot be read"] == ("error", 1)
    assert told["images without a mask"] == ("warning", 2)
    assert told["masks without an image"] == ("warning", 1)
    assert told["empty masks, whose images count as defect-free"] == ("warning", 1)


BOX = "<object><name>{name}</name><bndbox><xmin>20</xmin><ymin>10</ymin><xmax>120</xmax><ymax>60</ymax></bndbox></object>"


def annotate(path: Path, *names: str) -> None:
    """Writes a box file as NEU-DET's are: a file name without its ending, one channel, a short code for a folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    boxes = "".join(BOX.format(name=name) for name in names)
    size = "<size><width>200</width><height>200</height><depth>1</depth></size>"
    path.write_text(f"<annotation><folder>cr</folder><filename>{path.stem}</filename>{size}{boxes}</annotation>")


@pytest.mark.parametrize("packaging", ["kaggle", "flat"])
def test_neu_det_in_both_packagings(tmp_path: Path, packaging: str) -> None:
    root = tmp_path / "NEU-DET"
    for cls, n in (("pitted_surface", 1), ("rolled-in_scale", 2), ("crazing", 240), ("scratches", 250)):
        part = "train" if n <= 240 else "validation"
        # The box file of crazing_240 lies in the other part than its image.
        boxes = "validation" if n >= 240 else "train"
        flat = packaging == "flat"
        write(root / (f"IMAGES/{cls}_{n}.jpg" if flat else f"{part}/images/{cls}/{cls}_{n}.jpg"))
        names = (cls, "inclusion") if cls == "scratches" else (cls,)
        annotate(root / (f"ANNOTATIONS/{cls}_{n}.xml" if flat else f"{boxes}/annotations/{cls}_{n}.xml"), *names)
    listing = listed("neu_det", root)
    assert listing.classes == ("crazing", "pitted_surface", "rolled-in_scale", "scratches")
    by_class = {sample.cls: sample for sample in listing.samples}
    assert {cls: len(sample.boxes) for cls, sample in by_class.items()} == {"pitted_surface": 1, "rolled-in_scale": 1, "crazing": 1, "scratches": 2}
    assert by_class["crazing"].boxes == ((0.1, 0.05, 0.6, 0.3),)
    parts = {cls: sample.published for cls, sample in by_class.items()}
    expected = ("train", "train", "train", "test") if packaging == "kaggle" else ("",) * 4
    assert parts == dict(zip(("pitted_surface", "rolled-in_scale", "crazing", "scratches"), expected, strict=True))
    assert whats(listing) == {"boxes of another class than their image": ("note", 1)}


def test_neu_det_tells_what_does_not_fit(tmp_path: Path) -> None:
    for name in ("crazing/crazing_1", "crazing/patches_2", "crazing/dent_3", "patches/patches_x"):
        write(tmp_path / "train" / "images" / f"{name}.jpg", 32)
    annotate(tmp_path / "train" / "annotations" / "crazing_1.xml", "crazing")
    annotate(tmp_path / "train" / "annotations" / "crazing_9.xml", "crazing")
    (tmp_path / "train" / "annotations" / "crazing_8.xml").write_text("<annotation>")
    annotate(tmp_path / "validation" / "annotations" / "crazing_1.xml", "crazing", "crazing")
    assert whats(listed("neu_det", tmp_path)) == {
        "box files of one name": ("warning", 1),
        "box files that cannot be read": ("error", 1),
        "images of no known class": ("warning", 2),
        "images in the folder of another class than their name's": ("warning", 1),
        "images without boxes": ("warning", 1),
        "box files without an image": ("note", 1),
    }
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no image is named like one of NEU-DET"):
        load_listing(DataSettings(dataset="neu_det", path=str(tmp_path / "empty")))


def test_neu_cls_64_gives_every_code_its_full_name(tmp_path: Path) -> None:
    root = tmp_path / "NEU-CLS-64"
    for n, code in enumerate(CODES):
        for k in range(1, 2 + n):
            write(root / code / f"{k}.jpg", 64)
    listing = listed("neu_cls_64", root)
    counts = Counter(sample.cls for sample in listing.samples)
    assert list(counts.values()) == [1, 2, 3, 4, 5, 6, 7, 8, 9] and counts["rolling_dust"] == 6
    assert listing.classes == tuple(CODES.values()) and not listing.problems
    write(root / "background" / "1.jpg", 64)
    write(root / "GG" / "1.jpg", 64)
    write(root / "loose.jpg", 64)
    (root / "sp" / "more").mkdir()
    for file in (root / "cr").iterdir():
        file.unlink()
    listing = listed("neu_cls_64", root)
    assert Counter(sample.cls for sample in listing.samples)["defect_free"] == 1 and "crazing" not in listing.classes
    assert whats(listing) == {
        "classes without an image": ("error", 1),
        "folders of no known class": ("warning", 1),
        "images outside of any class folder": ("warning", 1),
    }
    assert next(problem.where for problem in listing.problems if "folders" in problem.what) == (f"{root / 'GG'}: did you mean gg?",)


def test_a_folder_of_other_classes_is_none_of_these(tmp_path: Path) -> None:
    write(tmp_path / "in" / "1.jpg", 32)
    write(tmp_path / "out" / "1.jpg", 32)
    assert detect_layout(tmp_path) == "image_folder"
    with pytest.raises(DatasetError, match="no images/training beside annotations/training"):
        load_listing(DataSettings(dataset="neu_seg", path=str(tmp_path)))
    (tmp_path / "in" / "1.jpg").unlink()
    with pytest.raises(DatasetError, match="no image in a folder named by a code of NEU-CLS-64"):
        load_listing(DataSettings(dataset="neu_cls_64", path=str(tmp_path)))


@pytest.mark.data
def test_the_real_neu_seg(shared_data: Path) -> None:
    listing = listed("neu_seg", shared_data / "NEU_Seg")
    assert Counter(sample.published for sample in listing.samples) == {"train": 859, "test": 481}
    assert whats(listing) == {"images of several classes, each labelled by the class that covers most of it": ("note", 154)}
    with (shared_data / "NEU_Seg-groups.csv").open() as stream:
        groups = {(row["split"], row["stem"]): row["group"] for row in csv.DictReader(stream)}
    single = [(sample, groups[Path(sample.name).parent.name, Path(sample.name).stem]) for sample in listing.samples]
    named = [(sample.cls, group.rpartition("_")[0]) for sample, group in single if not group.startswith("composite")]
    assert len(named) == 1180 and all(cls == picture for cls, picture in named)
    picture = listing.read(listing.samples[0])
    assert picture.mask is not None and picture.mask.dtype == np.uint8 and picture.mask.shape == (200, 200) and picture.mask.max() <= 3


@pytest.mark.data
def test_the_real_neu_det(shared_data: Path) -> None:
    listing = listed("neu_det", shared_data / "NEU-DET")
    assert Counter((sample.cls, sample.published) for sample in listing.samples) == {
        (cls, part): count for cls in listing.classes for part, count in (("train", 100), ("test", 40))
    }
    assert sum(len(sample.boxes) for sample in listing.samples) == 1940
    assert whats(listing) == {"boxes of another class than their image": ("note", 52)}
