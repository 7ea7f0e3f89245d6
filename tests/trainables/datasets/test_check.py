"""Checking: every problem at once, and a run refuses errors."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.check import check, examine
from trainables.datasets.packs import pack_dataset
from trainables.datasets.procedural import draw
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import DatasetError
from trainables.store import Store

SHARED = Path(__file__).parents[4] / "shared" / "data"


def fill(root: Path, counts: dict[str, int], *, size_px: int = 32) -> Path:
    for cls, count in counts.items():
        for seed in range(count):
            path = root / cls / f"{cls}{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw("patches" if cls == "dent" else "scratches", size_px=size_px, seed=hash_of(cls) + seed).pixels).save(path)
    return root


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 1000


def settings_for(path: Path, **more: object) -> DataSettings:
    return DataSettings(dataset="image_folder", path=str(path), size_px=32, **more)  # type: ignore[arg-type]


def whats(path: Path, **more: object) -> dict[str, str]:
    return {problem.what: problem.severity for problem in check(settings_for(path, **more))}


def test_a_sound_data_set_has_no_problem(tmp_path: Path) -> None:
    found = examine(settings_for(fill(tmp_path, {"dent": 12, "rust": 12})))
    assert found.problems == [] and found.passed and found.sizes_px == ((32, 32), (32, 32))
    assert found.classes["dent"].split == {"train": 8, "val": 2, "test": 2} and found.classes["dent"].defect_share is None


def test_every_unreadable_file_is_told_at_once(tmp_path: Path) -> None:
    root = fill(tmp_path / "images", {"dent": 12, "rust": 12})
    (root / "dent" / "empty.png").touch()
    (root / "dent" / "text.jpg").write_text("no image")
    whole = (root / "rust" / "rust0.png").read_bytes()
    (root / "rust" / "half.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save(root / "rust" / "deep.png")
    Image.fromarray(np.full((32, 32), 4000, np.uint16)).save(root / "rust" / "deep.tif")
    (root / "bare").mkdir()
    problems = check(settings_for(root))
    by_what = {problem.what: problem for problem in problems}
    assert by_what["files that cannot be read as images"].count == 3
    assert by_what["images of more than 8 bits per channel"].count == 2
    assert by_what["classes without an image"].severity == "error"
    assert all(problem.cure for problem in problems if problem.severity == "error")
    with pytest.raises(DatasetError, match=r"half\.png[\s\S]*Cure"):
        pack_dataset(settings_for(root), Store(tmp_path / "store"))
    assert Store(tmp_path / "store").keys("pack") == []


def test_classes_that_are_too_few_or_too_small(tmp_path: Path) -> None:
    assert whats(fill(tmp_path / "one", {"dent": 12}))["one class only, an inspector needs at least two"] == "error"
    poor = {problem.what: problem.where for problem in check(settings_for(fill(tmp_path / "poor", {"dent": 12, "rust": 1})))}
    assert poor["classes with fewer than 3 different pictures"] == ("rust: 1 image",)
    found = whats(fill(tmp_path / "few", {"dent": 40, "rust": 1, "chip": 5}))
    assert found["classes with fewer than 3 different pictures"] == "error"
    assert found["classes with fewer than 10 images"] == "warning"
    assert found["unequal classes: 40 of dent, 1 of rust"] == "note"
    assert examine(settings_for(fill(tmp_path / "good", {"dent": 12, "good": 12}))).passed
    assert not examine(settings_for(tmp_path / "good", defect_free="background")).passed


def test_sizes(tmp_path: Path) -> None:
    root = fill(tmp_path, {"dent": 12, "rust": 12})
    for name, shape in (("tiny", (15, 15)), ("small", (20, 20)), ("long", (40, 90))):
        Image.fromarray(np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)).save(root / "dent" / f"{name}.png")
    found = whats(root)
    assert found["images smaller than the training size of 32 px"] == "error"
    assert found["mixed sizes: 4 of them, 15 to 90 px wide and 15 to 40 px high"] == "warning"
    assert found["images far from square, squeezed"] == "note"


def test_a_class_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "my images", {"dent": 12, "rust": 12, "chip": 12})
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("chip"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DatasetError, match=r"data\.path: .*my images/chip cannot be read(.|\n)*chmod -R u\+rX '.*my images'"):
        check(settings_for(root))


def test_an_empty_class_is_refused_though_its_images_are_packed(tmp_path: Path) -> None:
    root, store = fill(tmp_path / "images", {"dent": 12, "rust": 12}), Store(tmp_path / "store")
    pack_dataset(settings_for(root), store)
    (root / "chip").mkdir()
    with pytest.raises(DatasetError, match=r"classes without an image\n.*images/chip"):
        pack_dataset(settings_for(root), store)


def test_copies(tmp_path: Path) -> None:
    root = fill(tmp_path, {"train/dent": 12, "train/rust": 12, "test/dent": 3, "test/rust": 3})
    pixels = draw("patches", size_px=32, seed=77).pixels
    for path in ("train/dent", "test/dent", "train/rust"):
        Image.fromarray(np.ascontiguousarray(np.rot90(pixels) if path == "test/dent" else pixels)).save(root / path / "copy.png")
    found = whats(root)
    assert found["pictures with copies across the published split"] == "warning"
    assert found["pictures under two classes"] == "warning"
    leak = "the published split leaks: pictures that are trained on are seen again in 1 of 7 test images (14.3 %)"
    assert found[leak] == "note"
    published = whats(root, protocol="paper")
    assert published["pictures with copies across the published split"] == published[leak] == "warning"
    assert found["pictures with copies or other views, kept together in a split; the largest group has 3 images"] == "note"


def test_colour(tmp_path: Path) -> None:
    root = fill(tmp_path, {"dent": 12, "rust": 12})
    assert whats(root, channels=3)["all images are grey"] == "note"
    colour = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    Image.fromarray(colour).save(root / "dent" / "colour.png")
    assert whats(root)["images in colour, turned to grey"] == "warning"
    grey = np.repeat(draw("patches", size_px=32, seed=5).pixels[:, :, None], 3, axis=2)
    Image.fromarray(grey).save(root / "dent" / "colour.png")
    assert "images in colour, turned to grey" not in whats(root)


def test_defects_that_vanish_and_masks_that_contradict(tmp_path: Path) -> None:
    for cls in ("Break", "Crack", "Free"):
        folder = tmp_path / f"MT_{cls}" / "Imgs"
        folder.mkdir(parents=True)
        for n in range(12):
            pixels = draw("defect_free", size_px=128, seed=hash_of(cls) + n).pixels
            mask = np.zeros((128, 128), np.uint8)
            if cls == "Crack":
                mask[50:53, 50:55] = 255
            if cls == "Break" and n:
                mask[20:80, 20:80] = 255
            if cls == "Free" and n == 3:
                mask[0, 0] = 255
            name = folder / f"exp1_num_{hash_of(cls) + 1000 * n}.jpg"
            Image.fromarray(pixels).save(name)
            Image.fromarray(mask if not (cls == "Crack" and n == 5) else mask[:60]).save(name.with_suffix(".png"))
    found = {problem.what: problem for problem in check(DataSettings(dataset="magnetic_tiles", path=str(tmp_path), size_px=32))}
    assert found["classes whose defects shrink to specks at 32 px"].where[0].startswith("crack")
    assert found["images of a defect class with an empty mask"].count == 1
    assert found["defect-free images with a defect in their mask"].count == 1
    assert found["masks of another size than their images"].severity == "error"


def test_shares_and_splits_of_surfaces() -> None:
    found = examine(DataSettings(size_px=32, images_per_class=4, procedural=ProceduralSettings(per_class=10, defect_free=10)))
    assert found.passed and found.problems == []
    assert found.classes["scratches"].split == {"train": 4, "val": 2, "test": 2}
    share = found.classes["patches"].defect_share
    assert share is not None and 0.0 < share[0] < share[1] < share[2] < 0.9
    too_many = examine(DataSettings(size_px=32, images_per_class=9, procedural=ProceduralSettings(per_class=10, defect_free=10)))
    assert not too_many.passed and "images_per_class" in too_many.problems[0].what and "At most 6" in too_many.problems[0].cure


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_real_data_sets_pass() -> None:
    neu = examine(DataSettings(dataset="neu_cls", path=str(SHARED / "NEU-CLS")))
    assert neu.problems == [] and all(numbers.pictures == 100 for numbers in neu.classes.values())
    tiles = examine(DataSettings(dataset="magnetic_tiles", path=str(SHARED / "Magnetic-tile-defect-datasets")))
    assert tiles.passed
    assert {p.what: p.count for p in tiles.problems}["images of a defect class with an empty mask"] == 4


def test_folders_without_any_image(tmp_path: Path) -> None:
    for cls in ("dent", "rust"):
        (tmp_path / cls).mkdir()
    found = examine(settings_for(tmp_path))
    assert not found.passed and found.sizes_px is None and found.classes == {}
    with pytest.raises(DatasetError, match="classes without an image"):
        pack_dataset(settings_for(tmp_path), Store(tmp_path / "store"))
