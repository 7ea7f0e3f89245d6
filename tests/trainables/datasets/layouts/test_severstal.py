"""Severstal: run-length encoded masks, squares and their labels, and every kind of row that cannot be used."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from trainables.datasets.check import examine
from trainables.datasets.cropping import crop_dataset
from trainables.datasets.layouts.run_lengths import areas_between, paint, parse_runs, read_table
from trainables.datasets.listing import DEFECT_FREE, Listing, detect_layout, load_listing
from trainables.datasets.packs import fingerprint, pack_of
from trainables.datasets.settings import DataSettings, SeverstalSettings
from trainables.datasets.survey import survey
from trainables.errors import DatasetError, SettingsError

HEADER = "ImageId,ClassId,EncodedPixels\n"


def encode(mask: npt.NDArray[np.bool_]) -> str:
    """Encodes a mask (H, W) as Kaggle does."""
    flat = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
    starts, stops = (np.flatnonzero(np.diff(flat) == sign) for sign in (1, -1))
    return " ".join(f"{start + 1} {stop - start}" for start, stop in zip(starts, stops, strict=True))


def strip(root: Path, name: str, *boxes: tuple[int, int, int, int, int], size: tuple[int, int] = (1600, 256)) -> list[str]:
    """Writes a picture; gives the rows of its boxes (class, left, top, right, bottom)."""
    (root / "train_images").mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(int(name, 16)).integers(0, 255, (16, 100)).astype(np.uint8)
    Image.fromarray(noise).resize(size).convert("RGB").save(root / "train_images" / f"{name}.jpg")
    rows = []
    for cls, left, top, right, bottom in boxes:
        mask = np.zeros((256, 1600), dtype=bool)
        mask[top:bottom, left:right] = True
        rows.append(f"{name}.jpg,{cls},{encode(mask)}")
    return rows


def listed(root: Path, **severstal: object) -> Listing:
    return load_listing(settings_for(root, **severstal))


def settings_for(root: Path, **severstal: object) -> DataSettings:
    return DataSettings(dataset="severstal", path=str(root), size_px=64, severstal=SeverstalSettings(**severstal))  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures: one with defects of two classes in neighbouring squares, one clean, one with a defect in the columns that are dropped."""
    rows = strip(tmp_path, "0a", (1, 240, 10, 270, 20), (3, 260, 30, 264, 60)) + strip(tmp_path, "0b") + strip(tmp_path, "0c", (3, 1500, 0, 1600, 2))
    (tmp_path / "train.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return tmp_path


def test_runs_go_down_the_columns_and_count_from_one() -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[1:3, 0] = mask[3, 1] = mask[:, 2:4] = True
    text = encode(mask)
    assert text == "2 2 8 9"
    runs = parse_runs(text, 24)
    np.testing.assert_array_equal(paint({1: runs}, 4, 0, 6) > 0, mask)
    np.testing.assert_array_equal(paint({1: runs}, 4, 1, 3) > 0, mask[:, 1:3])
    assert areas_between(runs, np.array([0, 4, 8, 20])).tolist() == [2, 1, 8]
    np.testing.assert_array_equal(parse_runs("8 9 2 2", 24), runs)
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.random((16, 64)) < 0.3
        runs = parse_runs(encode(noise), noise.size)
        np.testing.assert_array_equal(paint({5: runs}, 16, 16, 48), noise[:, 16:48] * 5)
        assert areas_between(runs, np.arange(0, 65 * 16, 16 * 16)).tolist() == noise.reshape(16, 4, 16).sum(axis=(0, 2)).tolist()


def test_a_small_mask_lies_on_top_of_a_large_one() -> None:
    runs = {2: parse_runs("3 2", 16), 1: parse_runs("1 8", 16)}
    assert paint(runs, 4, 0, 4).T.ravel().tolist() == [1, 1, 2, 2, 1, 1, 1, 1, *[0] * 8]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "0 numbers, expected pairs"),
        ("1 2 3", "3 numbers, expected pairs"),
        ("1 x", "'x' among the pixels"),
        ("0 2", "run 0 2 is outside of the picture, whose pixels are 1 to 24"),
        ("24 2", "run 24 2 is outside"),
        ("5 0", "run 5 0 is outside"),
        ("5 -1", "run 5 -1 is outside"),
        ("2 9223372036854775807", "is outside"),
        ("2 99999999999999999999999", "a number beyond all pictures"),
        ("1 4 4 2", "runs 1 4 and 4 2 overlap"),
        ("9 2 1 9", "runs 1 9 and 9 2 overlap"),
    ],
)
def test_runs_that_are_no_mask(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_runs(text, 24)
    assert parse_runs("24 1", 24).tolist() == [[23, 24]]


def test_squares_take_the_class_that_covers_most_of_them(root: Path) -> None:
    assert detect_layout(root) == "severstal"
    listing = listed(root)
    assert listing.classes == ("defect_1", "defect_3") and not listing.problems
    assert len(listing.samples) == 18 and Counter(sample.group for sample in listing.samples) == {"0a": 6, "0b": 6, "0c": 6}
    classes = {sample.name: sample.cls for sample in listing.samples if sample.cls != DEFECT_FREE}
    # 160 px of class 1 in the first square; 140 of class 1 and 120 of class 3 in the second; 36 columns of the last defect are kept.
    first, second, last = "train_images/0a.crop-0-0.jpg", "train_images/0a.crop-256-0.jpg", "train_images/0c.crop-1280-0.jpg"
    assert classes == {first: "defect_1", second: "defect_1", last: "defect_3"}
    masks = {sample.name: listing.read(sample).mask for sample in listing.samples}
    counts = {name: np.bincount(mask.ravel(), minlength=3)[1:].tolist() for name, mask in masks.items() if mask is not None and mask.any()}
    assert counts == {first: [160, 0], second: [140, 120], last: [0, 72]}
    assert {mask.shape for mask in masks.values() if mask is not None} == {(256, 256)}
    whole = np.asarray(Image.open(root / "train_images" / "0a.jpg"))
    np.testing.assert_array_equal(listing.read(listing.samples[1]).pixels, whole[:, 256:512])
    pack = pack_of(survey(listing, size_px=64, channels=1), settings_for(root))
    assert pack.masks is not None and pack.has_mask.all() and np.unique(pack.masks[1]).tolist() == [0, 1, 2]


def test_squares_of_one_picture_may_differ_but_copies_may_not(root: Path) -> None:
    assert "pictures under two classes" not in {problem.what for problem in examine(settings_for(root)).problems}
    (root / "train_images" / "0e.jpg").write_bytes((root / "train_images" / "0a.jpg").read_bytes())
    told = {problem.what: problem for problem in examine(settings_for(root)).problems}
    assert "0a.crop-0-0.jpg" in told["pictures under two classes"].where[0], "one is said to be defective, its copy is not"


def test_squares_can_be_labelled_as_defective_or_not_from_an_area_on(root: Path) -> None:
    listing = listed(root, labels="defect", min_area_px=100)
    assert listing.classes == ("defect",) and Counter(sample.cls for sample in listing.samples) == {"defect": 2, DEFECT_FREE: 16}
    (problem,) = listing.problems
    assert problem.what == "crops with fewer than 100 marked pixels, taken as defect-free"
    assert problem.where == ("train_images/0c.crop-1280-0.jpg: 72 px",)
    masks = [listing.read(sample).mask for sample in listing.samples]
    assert [int(mask.sum()) for mask in masks if mask is not None and mask.any()] == [160, 260]
    marks = {fingerprint(settings, load_listing(settings)) for settings in (settings_for(root), settings_for(root, labels="defect"))}
    (root / "train.csv").write_text((root / "train.csv").read_text().replace("0a.jpg,3,", "0a.jpg,4,"))
    assert len(marks | {fingerprint(settings_for(root))}) == 3
    with pytest.raises(SettingsError, match="min_area_px: 0 is fewer than 1"):
        SeverstalSettings(min_area_px=0)


def test_rows_that_cannot_be_used_are_told_by_line(root: Path) -> None:
    lines = [
        "0b.jpg,1,409600 2",
        "0b.jpg,2,1 2 3",
        "0b.jpg,3,1 4 2 2",
        "0b.jpg,5,1 2",
        "ff.jpg,1,1 2",
        "0a.jpg,1,1 2",
        "0b.jpg,4",
        "0a.jpg,2,61450 2",
    ]
    with (root / "train.csv").open("a") as stream:
        stream.write("\n".join(lines[:4]) + "\n\n" + "\n".join(lines[4:]))
    table = read_table(root / "train.csv", pixels=409600, classes=4, exists=lambda name: name != "ff.jpg")
    told = {problem.what: problem for problem in table.problems}
    assert {what: (problem.severity, problem.count) for what, problem in told.items()} == {
        "rows that are no mask": ("error", 6),
        "rows of images that are missing": ("warning", 1),
        "pixels that two classes claim": ("warning", 1),
    }
    file = root / "train.csv"
    assert told["rows that are no mask"].where == (
        f"{file}:5: 0b.jpg: run 409600 2 is outside of the picture, whose pixels are 1 to 409600",
        f"{file}:6: 0b.jpg: 3 numbers, expected pairs: start length start length ...",
        f"{file}:7: 0b.jpg: runs 1 4 and 2 2 overlap",
    )
    assert told["rows of images that are missing"].where == (f"{file}:10: ff.jpg",)
    assert told["pixels that two classes claim"].where == (f"{file}:13: 0a.jpg: classes 1 and 2",)
    found = examine(settings_for(root))
    assert not found.passed and {problem.what for problem in found.problems} >= set(told)


def test_a_table_or_a_picture_of_another_layout(root: Path) -> None:
    strip(root, "0d", size=(800, 256))
    problems = {problem.what: problem for problem in examine(settings_for(root)).problems}
    wrong = problems["pictures of another size than their layout has"]
    assert wrong.severity == "error" and wrong.count == 6
    assert wrong.where[0] == f"{root / 'train_images' / '0d.jpg'}: 800x256 px, 1600x256 expected by the layout"
    (root / "train.csv").write_text(HEADER)
    clean = listed(root)
    assert clean.classes == () and {sample.cls for sample in clean.samples} == {DEFECT_FREE}
    (root / "train.csv").write_text("ImageId_ClassId,EncodedPixels\n")
    with pytest.raises(DatasetError, match=r"train\.csv:1: expected the columns ImageId,ClassId,EncodedPixels, found ImageId_ClassId"):
        listed(root)
    (root / "train.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"train\.csv: cannot be read"):
        listed(root)
    (root / "train.csv").unlink()
    with pytest.raises(DatasetError, match=r"no train\.csv beside a folder train_images"):
        listed(root)


def test_cropping_sorts_squares_by_the_class_they_show(root: Path, tmp_path: Path) -> None:
    report = crop_dataset(root, tmp_path / "crops", 64)
    assert set(report.squares) == {"defect_1", "defect_3", "background"} and not report.skipped
    assert {path.name.rsplit(".crop-", 1)[0] for path in (tmp_path / "crops" / "defect_3").iterdir()} >= {"train_images__0c.crop-1280-0"}


@pytest.mark.data
def test_the_real_severstal(shared_data: Path) -> None:
    folder = shared_data / "severstal-steel-defect-detection"
    assert detect_layout(folder) == "severstal"
    listing = listed(folder)
    assert listing.classes == ("defect_1", "defect_3") and not listing.problems
    assert len(listing.samples) == 78 and len({sample.group for sample in listing.samples}) == 13
    assert len({sample.group for sample in listing.samples if sample.cls != DEFECT_FREE}) == 6
    marked = dict.fromkeys(("000a4bcdd", "0a37f0a29", "0a5cff3a7"), 0)
    for sample in listing.samples:
        mask = listing.read(sample).mask
        assert mask is not None and (mask.any() == (sample.cls != DEFECT_FREE))
        if sample.group in marked:
            marked[sample.group] += int((mask > 0).sum())
    assert marked == {"000a4bcdd": 8319, "0a37f0a29": 20281, "0a5cff3a7": 7757}, "nothing of these lies in the columns that are dropped"
