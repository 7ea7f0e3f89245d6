"""Masks that hold classes: read, shrunken without losing any, packed as class numbers, refused where no class has the number."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Sample, read_files
from trainables.datasets.packs import fingerprint, pack_of
from trainables.datasets.pictures import MASK_COVER, Mask, fit_mask, is_coloured, read_numbers
from trainables.datasets.problems import defect_shares, problems_of
from trainables.datasets.settings import DataSettings
from trainables.datasets.survey import Survey, survey
from trainables.errors import DatasetError

CLASSES = ("dent", "rust", "chip")
SETTINGS = DataSettings(size_px=16)


def surveyed(*marked: tuple[str, Mask | None]) -> Survey:
    """Surveys pictures of 32 px, each of a class and with a mask."""
    pixels = np.random.default_rng(0).integers(0, 255, (len(marked), 32, 32)).astype(np.uint8)
    samples = [Sample(name=str(i), cls=cls) for i, (cls, _) in enumerate(marked)]

    def read(sample: Sample) -> Picture:
        return Picture(pixels=pixels[int(sample.name)], mask=marked[int(sample.name)][1])

    return survey(Listing(root=None, classes=CLASSES, samples=samples, read=read, independent=True), size_px=16, channels=1)


def quarters(*numbers: int) -> np.ndarray:
    """A mask of 32 px with a number in each quarter."""
    mask: np.ndarray = np.kron(np.array(numbers, np.uint8).reshape(2, 2), np.ones((16, 16), np.uint8))
    return mask


def test_numbers_shrink_to_the_class_that_covers_most() -> None:
    np.testing.assert_array_equal(fit_mask(quarters(0, 1, 2, 3), 2), [[0, 1], [2, 3]])
    mask = np.zeros((8, 8), np.uint8)
    mask[:4, :3], mask[:4, 3:4] = 1, 3
    mask[4:, 0] = 2
    np.testing.assert_array_equal(fit_mask(mask, 2), [[1, 3], [2, 0]])


def test_a_boolean_mask_shrinks_as_one_number_does() -> None:
    rng = np.random.default_rng(1)
    for side, share in ((33, 0.3), (60, 0.02), (100, 0.0005), (20, 0.5)):
        mask = rng.random((side, side + 7)) < share
        fitted = fit_mask(mask, 16)
        assert set(np.unique(fitted)) <= {0, 1} and fitted.any() == mask.any()
        np.testing.assert_array_equal(fit_mask(mask * np.uint8(2), 16), fitted * 2)
        cover = np.asarray(Image.fromarray(mask.astype(np.float32)).resize((16, 16), Image.Resampling.BOX))
        np.testing.assert_array_equal(fitted, cover >= min(MASK_COVER, max(float(cover.max()), 1e-6)))


def test_no_class_vanishes_however_thin() -> None:
    scratch = np.full((200, 200), 2, np.uint8)
    scratch[:, 100] = 3
    assert set(np.unique(fit_mask(scratch, 16))) == {2, 3}
    specks = np.zeros((64, 64), np.uint8)
    specks[:3, :3] = 1
    specks[3, :4] = 2
    specks[:3, 3] = 3
    fitted = fit_mask(specks, 16)
    assert fitted[0, 0] == 1 and np.bincount(fitted.ravel()).tolist() == [253, 1, 1, 1], "all three lie in one shrunken pixel"
    rng = np.random.default_rng(2)
    for _ in range(50):
        mask = np.where(rng.random((90, 40)) < rng.choice([0.001, 0.01, 0.5]), rng.integers(0, 8, (90, 40)), 0).astype(np.uint8)
        assert set(np.unique(fit_mask(mask, 8))) - {0} == set(np.unique(mask)) - {0}


def test_a_pack_carries_class_numbers() -> None:
    found = surveyed(
        ("rust", quarters(0, 0, 2, 2) > 0),
        ("dent", quarters(1, 1, 2, 0)),
        (DEFECT_FREE, np.zeros((32, 32), np.uint8)),
        (DEFECT_FREE, quarters(0, 0, 0, 9) > 0),
        ("chip", None),
    )
    pack = pack_of(found, SETTINGS)
    assert pack.masks is not None and pack.classes == (*CLASSES, DEFECT_FREE)
    small = [quarters(0, 0, 2, 2), quarters(1, 1, 2, 0), np.zeros((32, 32)), np.zeros((32, 32)), np.zeros((32, 32))]
    np.testing.assert_array_equal(pack.masks, [mask[::2, ::2] for mask in small])
    assert pack.has_mask.tolist() == [True, True, True, True, False]
    where = pack.defect_masks(np.arange(5))
    assert where is not None and set(np.unique(where)) == {0, 255} and (where[1, 0] == 255).mean() == 0.75
    shares = {cls: own.tolist() for cls, own in defect_shares(found).items()}
    assert shares == {"dent": [0.5], "rust": [0.5, 0.25], "chip": []}
    warned = {problem.what: problem.where for problem in problems_of(found, SETTINGS)}
    assert warned["defect-free images with a defect in their mask"] == ("3",)


def test_numbers_of_no_class_are_refused_all_at_once() -> None:
    found = surveyed(("dent", quarters(0, 1, 4, 9)), ("rust", quarters(0, 0, 2, 2)), ("rust", quarters(255, 0, 2, 2)))
    (problem,) = found.problems
    assert problem.severity == "error" and problem.what == "masks with label values that no class has" and problem.count == 2
    assert problem.where[0] == "0: label values 4, 9 that no class has; expected 0 background, 1 dent, 2 rust, 3 chip"
    assert len(found.samples) == 1


def test_files_hold_numbers_as_grey_levels_or_palette(tmp_path: Path) -> None:
    numbers = quarters(0, 1, 2, 3)
    Image.fromarray(numbers).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([numbers] * 3, axis=2)).save(tmp_path / "three.png")
    palette = Image.fromarray(numbers, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / "palette.png")
    for name in ("grey", "three", "palette"):
        np.testing.assert_array_equal(read_numbers(tmp_path / f"{name}.png"), numbers)
    palette.convert("RGB").save(tmp_path / "colour.png")
    with pytest.raises(DatasetError, match=r"colour\.png: a mask in colour"):
        read_numbers(tmp_path / "colour.png")


def test_files_are_read_with_their_numbers_and_content_beyond_them_counts(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(quarters(0, 1, 2, 3)).save(tmp_path / "mask.png")
    sample = Sample(name="a.png", cls="dent", file=tmp_path / "a.png", mask=tmp_path / "mask.png")
    whole, numbered = read_files(sample).mask, read_files(sample, numbers=True).mask
    assert whole is not None and numbered is not None
    assert whole.dtype == np.bool_ and whole.mean() == 0.75 and numbered.max() == 3
    listings = [Listing(root=tmp_path, classes=CLASSES, samples=[sample], read=partial(read_files, numbers=True), content=c) for c in ("", "x")]
    assert len({fingerprint(SETTINGS, listing) for listing in listings}) == 2


def test_colour_is_more_than_the_rounding_of_a_jpeg() -> None:
    grey = np.random.default_rng(3).integers(0, 240, (8, 8, 1)).astype(np.uint8).repeat(3, axis=2)
    assert not is_coloured(grey) and not is_coloured(grey[..., 0])
    # The mean moves by a third of what one channel does: 6 leaves it 4 away from the mean, 7 more than that.
    for more, coloured in ((6, False), (7, True)):
        tinted = grey.copy()
        tinted[3, 4, 1] += more
        assert is_coloured(tinted) == coloured
