"""Where a part lies in its picture: borders go, the part stays whole, whatever lies at its rim."""

import numpy as np
import numpy.typing as npt
import pytest

from trainables.datasets.borders import BLACK, find_part
from trainables.datasets.settings import DataSettings, StripSettings
from trainables.datasets.surfaces.strips import CLASSES, Strips

Pixels = npt.NDArray[np.uint8]


def framed(part: Pixels, top: int, bottom: int, left: int, right: int, *, seed: int = 0) -> Pixels:
    """Lays a part into a dark frame with the noise of a camera."""
    margins = ((top, bottom), (left, right), *(((0, 0),) if part.ndim == 3 else ()))
    noise = np.random.default_rng(seed).integers(0, 6, size=[size + sum(own) for size, own in zip(part.shape, margins[:2], strict=False)])
    dark = noise.astype(np.uint8) if part.ndim == 2 else np.repeat(noise[..., None], 3, axis=2).astype(np.uint8)
    dark[top : top + part.shape[0], left : left + part.shape[1]] = part
    return dark


def surface(height: int, width: int, seed: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(90, 150, size=(height, width)).astype(np.uint8)


def test_borders_of_all_sides_go() -> None:
    part = surface(200, 50)
    assert find_part(framed(part, 3, 7, 30, 12)) == (slice(3, 203), slice(30, 80))
    assert find_part(framed(part, 0, 0, 30, 0)) == (slice(0, 200), slice(30, 80))
    assert find_part(part) == (slice(0, 200), slice(0, 50))


def test_colour_is_bright_where_any_channel_is() -> None:
    red = np.zeros((40, 20, 3), np.uint8)
    red[..., 0] = 120
    assert find_part(framed(red, 5, 5, 5, 5)) == (slice(5, 45), slice(5, 25))


@pytest.mark.parametrize("level", [0, BLACK, BLACK + 8])
def test_a_dark_defect_at_the_rim_stays_with_the_part(level: int) -> None:
    part = surface(200, 50)
    part[:40, :45] = level  # A corner, nine tenths of the first rows.
    part[150:, 49] = level
    assert find_part(framed(part, 4, 4, 10, 20)) == (slice(4, 204), slice(10, 60))


def test_a_dark_band_from_side_to_side_is_no_border_unless_it_is_black() -> None:
    part = surface(200, 50)
    part[:20] = BLACK + 1
    assert find_part(framed(part, 5, 5, 5, 5))[0] == slice(5, 205)
    part[100:120] = 0  # Black, but not at the rim.
    assert find_part(framed(part, 5, 5, 5, 5))[0] == slice(5, 205)


def test_single_bright_pixels_of_the_border_are_not_the_part() -> None:
    picture = framed(surface(300, 200), 20, 20, 150, 150)
    picture[5, 3] = picture[100, 10] = picture[330, 480] = 255
    assert find_part(picture) == (slice(20, 320), slice(150, 350))


def test_a_thin_part_in_a_wide_frame_is_found() -> None:
    assert find_part(framed(surface(100, 15), 200, 200, 200, 200)) == (slice(200, 300), slice(200, 215))


@pytest.mark.parametrize("lit", [0, 1])
def test_a_picture_that_is_all_but_black_is_taken_as_it_is(lit: int) -> None:
    picture = np.zeros((80, 60), np.uint8)
    picture[40, 30] = 255 * lit
    assert find_part(picture) == (slice(0, 80), slice(0, 60))


def test_strips_lose_their_borders_and_no_marked_pixel() -> None:
    listing = Strips().listing(DataSettings(dataset="strips", strips=StripSettings(per_class=3, defect_free=1, height_px=256)))
    assert len(listing.samples) == 3 * len(CLASSES) + 1
    for sample in listing.samples:
        picture = listing.read(sample)
        rows, columns = find_part(picture.pixels)
        assert (rows.stop - rows.start, columns.stop - columns.start) == (256, 64), sample.name
        assert picture.mask is not None and picture.mask[rows, columns].sum() == picture.mask.sum()
