"""Procedural surfaces: deterministic, with exact masks, at any size and count."""

import numpy as np
import pytest

from trainables.datasets.listing import load_listing
from trainables.datasets.procedural import CLASSES, draw
from trainables.datasets.settings import DataSettings, ProceduralSettings


@pytest.mark.parametrize("size_px", [32, 64, 100])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_surface_has_its_defect_under_its_mask(cls: str, size_px: int) -> None:
    for seed in range(8):
        picture = draw(cls, size_px=size_px, seed=seed)
        assert picture.pixels.shape == (size_px, size_px) and picture.pixels.dtype == np.uint8
        assert picture.mask is not None and 0.006 <= picture.mask.mean() < 0.7
        np.testing.assert_array_equal(picture.pixels, draw(cls, size_px=size_px, seed=seed).pixels)


def test_an_image_does_not_depend_on_how_many_there_are() -> None:
    few, many = (load_listing(DataSettings(size_px=32, procedural=ProceduralSettings(per_class=n, defect_free=1))) for n in (2, 5))
    by_name = {sample.name: sample for sample in many.samples}
    for sample in few.samples:
        np.testing.assert_array_equal(few.read(sample).pixels, many.read(by_name[sample.name]).pixels)


def test_seeds_and_numbers_make_different_images() -> None:
    pictures = [draw("patches", size_px=32, seed=seed).pixels.tobytes() for seed in range(20)]
    assert len(set(pictures)) == 20
