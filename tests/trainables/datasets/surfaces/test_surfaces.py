"""Procedural textures, strips and stereo: deterministic, at any size and count, with masks where the defects are, and worth learning."""

from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from trainables.conditioning.attributes import study_attributes
from trainables.datasets import DRAWN, PHYSICAL
from trainables.datasets.listing import DEFECT_FREE, Listing, load_listing
from trainables.datasets.packs import fingerprint, pack_of
from trainables.datasets.problems import problems_of
from trainables.datasets.settings import DataSettings, StereoSettings, StripSettings, SurfaceSettings, Texture, TextureSettings
from trainables.datasets.surfaces import stereo, strips, textures
from trainables.datasets.surfaces.flaws import FLAWS
from trainables.datasets.survey import survey
from trainables.errors import DatasetError, SettingsError

FEW = TextureSettings(good=3, defective=2)
SMALL = {
    "textures": DataSettings(dataset="textures", size_px=32, textures=FEW),
    "strips": DataSettings(dataset="strips", size_px=32, strips=StripSettings(per_class=2, defect_free=2, height_px=256)),
    "stereo": DataSettings(dataset="stereo", size_px=32, channels=3, stereo=StereoSettings(per_class=2, defect_free=2)),
}


@pytest.mark.parametrize("size_px", [32, 64, 100])
@pytest.mark.parametrize("texture", textures.TEXTURES)
def test_a_texture_has_its_flaw_under_its_mask(texture: str, size_px: int) -> None:
    for seed in range(4):
        flawed, good = (textures.draw(texture, defective=defective, size_px=size_px, seed=seed) for defective in (True, False))
        assert flawed.pixels.shape == good.pixels.shape == (size_px, size_px) and flawed.pixels.dtype == np.uint8
        assert flawed.mask is not None and textures.LEAST_AREA <= flawed.mask.mean() < 0.3 and good.mask is not None and not good.mask.any()
        again = textures.draw(texture, defective=True, size_px=size_px, seed=seed)
        np.testing.assert_array_equal(flawed.pixels, again.pixels)


@pytest.mark.parametrize("texture", textures.TEXTURES)
def test_a_flaw_changes_its_ground_inside_the_mask_and_not_far_outside(texture: str) -> None:
    shape = (128, 128)
    rng = np.random.default_rng(0)
    ground = np.clip(0.5 + 0.1 * textures.GROUNDS[texture](rng, shape), 0.02, 0.98).astype(np.float32)
    inside, outside = [], []
    for seed in range(6):
        image, strength = FLAWS[texture][1](np.random.default_rng(seed), ground)
        change = np.abs(image - ground)
        inside.append(change[strength > textures.VISIBLE].mean())
        outside.append(change[strength < 0.02].mean())
    assert np.mean(inside) > 0.03 and max(outside) < 1e-3


def test_the_names_of_textures_are_those_of_the_settings() -> None:
    assert textures.TEXTURES == get_args(Texture) == tuple(FLAWS)


def test_textures_are_told_apart_by_their_grain() -> None:
    """Nearest neighbours on the spectrum's rings and directions name the ground of nearly every picture; chance is one in ten."""

    def spectrum(texture: str, seed: int) -> np.ndarray:
        pixels = textures.draw(texture, defective=seed % 2 == 1, size_px=64, seed=seed).pixels.astype(np.float64)
        power = np.abs(np.fft.fftshift(np.fft.fft2((pixels - pixels.mean()) / pixels.std()))) ** 2
        down, across = np.indices(power.shape) - 32
        ring, turn = np.minimum(np.hypot(down, across).astype(int), 31), ((np.arctan2(down, across) % np.pi) / np.pi * 8).astype(int) % 8
        return np.log1p(np.bincount(ring.ravel() * 8 + turn.ravel(), power.ravel(), minlength=256))

    known = {texture: np.stack([spectrum(texture, seed) for seed in range(8)]) for texture in textures.TEXTURES}
    right = sum(
        min(known, key=lambda name: np.linalg.norm(known[name] - spectrum(texture, seed), axis=1).min()) == texture
        for texture in textures.TEXTURES
        for seed in range(100, 104)
    )
    assert right >= 36


@pytest.mark.parametrize(
    ("labels", "classes", "clean"),
    [
        ("defects", {"woven_torn": 2, "ribbed_shifted": 2, DEFECT_FREE: 6}, 0),
        ("defective", {"defect": 4, DEFECT_FREE: 6}, 0),
        ("surfaces", {"woven": 5, "ribbed": 5}, 6),
    ],
)
def test_classes_of_textures_are_defects_or_surfaces(labels: str, classes: dict[str, int], clean: int) -> None:
    settings = replace(SMALL["textures"], textures=replace(FEW, kinds=("ribbed", "woven")), surfaces=SurfaceSettings(labels=labels))  # type: ignore[arg-type]
    listing = load_listing(settings)
    assert Counter(sample.cls for sample in listing.samples) == classes
    assert set(listing.classes) == set(classes) - {DEFECT_FREE}
    assert sum(sample.clean for sample in listing.samples) == clean and sum(sample.free for sample in listing.samples) == 6
    assert (study_attributes(settings) is not None) == (labels == "surfaces")


def test_one_texture_alone_names_its_flaw() -> None:
    listing = load_listing(replace(SMALL["textures"], textures=replace(FEW, kinds=("cellular",))))
    assert listing.classes == ("crack",)


def test_textures_have_attributes_that_tell_them_apart() -> None:
    settings = replace(SMALL["textures"], surfaces=SurfaceSettings(labels="surfaces"))
    table = study_attributes(settings)
    assert table is not None and set(table.classes) == set(textures.TEXTURES) and len(table.attributes) == 29


def test_a_pack_of_surfaces_keeps_all_three_labels() -> None:
    settings = replace(SMALL["textures"], surfaces=SurfaceSettings(labels="surfaces"))
    found = survey(load_listing(settings), size_px=32, channels=1)
    assert [problem for problem in problems_of(found, settings) if problem.severity != "note" and "fewer than 10 images" not in problem.what] == []
    pack = pack_of(found, settings)
    assert pack.classes == textures.TEXTURES and pack.has_mask.all() and pack.masks is not None and not pack.physical
    np.testing.assert_array_equal(pack.defect_free, ["good" in path for path in pack.paths])
    for row, label in enumerate(pack.labels):
        assert set(np.unique(pack.masks[row])) == ({0} if pack.defect_free[row] else {0, label + 1})


@pytest.mark.parametrize("share", [0.0, 1.0, 1.5, 9.0])
def test_good_images_are_thinned_by_their_names_alone(share: float) -> None:
    everything = load_listing(SMALL["textures"]).samples
    kept = load_listing(replace(SMALL["textures"], surfaces=SurfaceSettings(good_per_defective=share))).samples
    for texture in textures.TEXTURES:
        good = [sample for sample in kept if sample.free and sample.name.startswith(texture)]
        assert len(good) == min(3, round(2 * share))
    assert [sample for sample in everything if sample in kept] == list(kept)
    more = load_listing(replace(SMALL["textures"], surfaces=SurfaceSettings(good_per_defective=share + 0.5))).samples
    assert {sample.name for sample in kept} <= {sample.name for sample in more}


@pytest.mark.parametrize("cls", strips.CLASSES)
def test_a_strip_has_black_borders_and_a_small_defect(cls: str) -> None:
    for seed in range(3):
        picture = strips.draw(cls, height_px=512, seed=seed)
        height, width = picture.pixels.shape
        assert height >= 512 and 128 * 1.06 <= width <= 128 * 2.2
        columns = picture.pixels.max(axis=0) < 25
        assert columns[:3].all() and columns[-3:].all() and (~columns).sum() == 128
        assert picture.mask is not None and picture.mask.shape == picture.pixels.shape and not picture.mask[:, columns].any()
        assert strips.LEAST_AREA <= picture.mask.sum() / (512 * 128) < 0.2
        np.testing.assert_array_equal(picture.pixels, strips.draw(cls, height_px=512, seed=seed).pixels)


def test_strips_are_as_large_as_the_papers() -> None:
    (sample, *_) = (listing := load_listing(DataSettings(dataset="strips"))).samples
    columns = listing.read(sample).pixels.max(axis=0) >= 25
    rows = listing.read(sample).pixels.max(axis=1) >= 25
    assert (int(rows.sum()), int(columns.sum())) == (2048, 512)


@pytest.mark.parametrize(("cls", "seen", "unseen"), [("dent", (0, 1), (2,)), ("scratch", (0, 2), ()), ("stain", (2,), (0, 1))])
def test_a_stereo_defect_shows_in_the_channels_that_measure_it(cls: str, seen: tuple[int, ...], unseen: tuple[int, ...]) -> None:
    shape = (96, 96)
    for seed in range(5):
        deeper, paler, strength = stereo._DEFECTS[cls](np.random.default_rng(seed), shape)
        assert (np.abs(deeper).max() > 0.2) == (0 in seen) and (np.abs(paler).max() > 0.05) == (2 in seen)
        picture = stereo.draw(cls, size_px=96, seed=seed)
        assert picture.pixels.shape == (96, 96, 3) and picture.mask is not None and stereo.LEAST_AREA <= picture.mask.mean() < 0.3
        assert (strength > stereo.VISIBLE).any()
        for channel in unseen:
            assert not np.abs((deeper, deeper, paler)[channel]).any()


@pytest.mark.parametrize("name", SMALL)
def test_an_image_does_not_depend_on_how_many_there_are(name: str) -> None:
    settings = SMALL[name]
    counts = {"good": 5, "defective": 4} if name == "textures" else {"per_class": 4, "defect_free": 3}
    more = load_listing(replace(settings, **{name: replace(getattr(settings, name), **counts)}))
    few = load_listing(settings)
    by_name = {sample.name: sample for sample in more.samples}
    for sample in few.samples:
        np.testing.assert_array_equal(few.read(sample).pixels, more.read(by_name[sample.name]).pixels)
    assert fingerprint(settings, few) != fingerprint(settings, more)


@pytest.mark.parametrize("name", SMALL)
def test_drawn_sets_take_no_folder_and_say_what_they_are(name: str) -> None:
    listing: Listing = load_listing(SMALL[name])
    assert listing.physical == (name == "stereo") and listing.independent and listing.root is None
    with pytest.raises(DatasetError, match="drawn, not read from"):
        load_listing(replace(SMALL[name], path="/tmp"))


def test_stereo_tells_its_pack_and_refuses_one_channel() -> None:
    settings = SMALL["stereo"]
    pack = pack_of(survey(load_listing(settings), size_px=32, channels=3), settings)
    assert pack.physical and pack.images.shape[1:] == (3, 32, 32)
    grey = replace(settings, channels=1)
    said = [problem.what for problem in problems_of(survey(load_listing(grey), size_px=32, channels=1), grey) if problem.severity == "error"]
    assert any("no common grey" in what for what in said)


def test_settings_out_of_range_are_told_at_once() -> None:
    with pytest.raises(SettingsError, match=r"(?s)per_class: 0 is fewer than 1.*height_px: 8 is fewer than 256"):
        StripSettings(per_class=0, height_px=8)
    with pytest.raises(SettingsError, match="good_per_defective"):
        SurfaceSettings(good_per_defective=-1.0)


def test_drawn_sets_of_physical_channels_are_named_as_such() -> None:
    found = {name for name in DRAWN if load_listing(DataSettings(dataset=name, channels=3)).physical}
    assert found == set(PHYSICAL) & set(DRAWN)
