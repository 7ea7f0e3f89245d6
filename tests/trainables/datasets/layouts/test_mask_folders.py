"""Users' images with a folder of masks, and photometric stereo of three grey files per picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.listing import DEFECT_FREE, detect_layout, load_listing
from trainables.datasets.packs import fingerprint, pack_of
from trainables.datasets.problems import problems_of
from trainables.datasets.settings import DataSettings, PhotometricSettings
from trainables.datasets.surfaces import stereo
from trainables.datasets.survey import survey
from trainables.errors import DatasetError, SettingsError

SIDE = 32


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def picture(cls: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    drawn = stereo.draw(cls, size_px=SIDE, seed=seed)
    assert drawn.mask is not None
    return drawn.pixels, np.asarray(drawn.mask, dtype=bool)


def fill(images: Path, masks: Path) -> dict[str, np.ndarray]:
    """Writes two classes and defect-free images with masks; gives the masks by the images' names."""
    written = {}
    for seed, (cls, folder) in enumerate((("dent", "dent"), ("stain", "stain"), ("stain", "stain"), (DEFECT_FREE, "good"))):
        pixels, mask = picture(cls, seed)
        write(images / folder / f"{seed}.png", pixels[..., 2])
        written[f"{folder}/{seed}.png"] = mask
        if cls != DEFECT_FREE:
            write(masks / folder / f"{seed}.png", mask.astype(np.uint8) * np.uint8(255 if seed else 1))
    return written


@pytest.mark.parametrize("layout", ["inside", "beside", "named"])
def test_masks_lie_inside_beside_or_where_the_settings_say(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "images" if layout == "beside" else tmp_path
    masks = {"inside": tmp_path / "masks", "beside": tmp_path / "masks", "named": tmp_path.parent / f"{tmp_path.name}-truth"}[layout]
    written = fill(root, masks)
    settings = DataSettings(dataset="image_folder", path=str(root), size_px=SIDE, masks_path=str(masks) if layout == "named" else None)
    assert detect_layout(root) == "image_folder"
    listing = load_listing(settings)
    assert listing.classes == ("dent", "stain") and listing.problems == [] and len(listing.samples) == 4
    for sample in listing.samples:
        mask = listing.read(sample).mask
        assert (mask is None) == sample.free
        if mask is not None:
            np.testing.assert_array_equal(mask > 0, written[sample.name])
    pack = pack_of(survey(listing, size_px=SIDE, channels=1), settings)
    assert pack.has_mask.all() and pack.masks is not None and sorted(np.unique(pack.masks)) == [0, 1, 2]


def test_masks_that_do_not_match_are_told(tmp_path: Path) -> None:
    fill(tmp_path, tmp_path / "masks")
    (tmp_path / "masks" / "dent" / "0.png").rename(tmp_path / "masks" / "dent" / "9.png")
    write(tmp_path / "masks" / "stain" / "1.png", np.ones((5, 6), np.uint8))
    settings = DataSettings(dataset="image_folder", path=str(tmp_path), size_px=SIDE)
    found = survey(load_listing(settings), size_px=SIDE, channels=1)
    said = {problem.what: problem for problem in problems_of(found, settings)}
    assert said["images without a mask"].where == ("dent/0.png",)
    assert said["masks without an image"].where[0].endswith("9.png")
    assert "mask of 6x5 beside an image of 32x32" in said["masks of another size than their images"].where[0]


def test_masks_follow_published_parts(tmp_path: Path) -> None:
    pixels, mask = picture("dent", 1)
    write(tmp_path / "train" / "dent" / "a.png", pixels[..., 2])
    write(tmp_path / "masks" / "train" / "dent" / "a_mask.png", mask.astype(np.uint8) * np.uint8(255))
    (sample,) = load_listing(DataSettings(dataset="image_folder", path=str(tmp_path))).samples
    assert sample.published == "train" and sample.cls == "dent" and sample.mask is not None


@pytest.mark.parametrize("layout", ["files", "folders"])
def test_three_grey_files_become_three_channels_that_are_no_colours(layout: str, tmp_path: Path) -> None:
    drawn = {}
    for seed, (cls, folder) in enumerate((("dent", "dent"), ("stain", "stain"), (DEFECT_FREE, "good"))):
        pixels, mask = picture(cls, seed)
        drawn[f"{folder}/p_{seed}.png"] = pixels
        for channel, name in enumerate("RGB"):
            place = f"{folder}/p_{seed}_{name}.png" if layout == "files" else f"{name}/{folder}/p_{seed}.png"
            write(tmp_path / place, pixels[..., channel])
        if cls != DEFECT_FREE:
            write(tmp_path / "masks" / folder / f"p_{seed}.png", mask.astype(np.uint8) * np.uint8(255))
    settings = DataSettings(dataset="photometric_stereo", path=str(tmp_path), size_px=SIDE, channels=3)
    assert detect_layout(tmp_path) == "photometric_stereo"
    listing = load_listing(settings)
    assert listing.classes == ("dent", "stain") and listing.physical and listing.problems == []
    assert [sample.cls for sample in listing.samples] == ["dent", DEFECT_FREE, "stain"]
    pack = pack_of(survey(listing, size_px=SIDE, channels=3), settings)
    assert pack.physical and pack.has_mask.all()
    for row, path in enumerate(pack.paths):
        np.testing.assert_array_equal(pack.images[row].transpose(1, 2, 0), drawn[path])
    before = fingerprint(settings)
    write(listing.samples[0].planes[1], 255 - drawn["dent/p_0.png"][..., 2])
    assert fingerprint(settings) != before


def test_channels_under_names_of_their_own_and_what_is_wrong_with_them(tmp_path: Path) -> None:
    names = ("curvature", "range", "texture")
    for seed in range(4):
        pixels, _ = picture("dent", seed)
        for channel, name in enumerate(names):
            write(tmp_path / "dent" / f"{seed}-{name}.png", pixels[..., channel])
    write(tmp_path / "dent" / "1-range.png", np.zeros((8, 9), np.uint8))
    write(tmp_path / "dent" / "2-texture.png", picture("dent", 2)[0])
    (tmp_path / "dent" / "3-range.png").unlink()
    assert detect_layout(tmp_path) == "image_folder"
    settings = DataSettings(dataset="photometric_stereo", path=str(tmp_path), size_px=SIDE, channels=3, photometric=PhotometricSettings(names=names))
    found = survey(load_listing(settings), size_px=SIDE, channels=3)
    assert [sample.name for sample in found.samples] == ["dent/0.png"]
    said = {problem.what: problem for problem in problems_of(found, settings)}
    assert said["pictures without all three files"].where == ("dent/3.png: no range",)
    wrong = said["files that do not fit the other channels of their picture"].where
    assert "9x8 beside 32x32" in wrong[0] and "in colour" in wrong[1]


def test_stereo_without_three_files_or_three_names(tmp_path: Path) -> None:
    write(tmp_path / "dent" / "a.png", picture("dent", 0)[0])
    with pytest.raises(DatasetError, match=r"no picture has a file for each of R, G, B"):
        load_listing(DataSettings(dataset="photometric_stereo", path=str(tmp_path), channels=3))
    with pytest.raises(SettingsError, match="three different names"):
        PhotometricSettings(names=("R", "R", "B"))
