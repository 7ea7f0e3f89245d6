"""Groups: copies are found whole or in part, in every orientation; look-alikes, mosaics and overlaps are not taken for copies."""

import csv
import io
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from trainables.datasets.copies import groups
from trainables.datasets.copies.groups import Look, find_groups, look, near_copies, whole_copies
from trainables.datasets.copies.repetition import repeats
from trainables.datasets.pictures import read_picture
from trainables.datasets.procedural import CLASSES, draw
from trainables.datasets.surfaces import textures

Pixels = npt.NDArray[np.uint8]
KINDS = (*CLASSES, "defect_free")
NEU_CODES = dict(zip(("Cr", "In", "Pa", "PS", "RS", "Sc"), CLASSES, strict=True))


def groups_of(pictures: list[Pixels]) -> list[int]:
    """Groups pictures that nothing is known of but their pixels."""
    names = [str(number) for number in range(len(pictures))]
    return find_groups([look(picture) for picture in pictures], names, [None] * len(pictures)).tolist()


def surfaces(count: int, *, size_px: int = 96) -> list[Pixels]:
    return [draw(KINDS[n % len(KINDS)], size_px=size_px, seed=n).pixels for n in range(count)]


def turned(pixels: Pixels, orientation: int) -> Pixels:
    return np.ascontiguousarray(np.rot90(pixels, orientation % 4)[:, :: -1 if orientation > 3 else 1])


def cropped(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A square of 60 to 90 % of the side; every other one enlarged to the size of the whole."""
    side = round(rng.uniform(0.6, 0.9) * len(pixels))
    top, left = rng.integers(0, len(pixels) - side + 1, 2)
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    return np.asarray(square.resize(pixels.shape, Image.Resampling.BICUBIC) if rng.random() < 0.5 else square)


def shifted(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The view moved by up to 2 % of the side each way."""
    down, across = rng.integers(1, round(0.02 * len(pixels)) + 1, 2)
    return np.pad(pixels[down:, across:], ((0, down), (0, across)), mode="reflect")


def relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Another gamma, contrast and brightness; some of it lost in black or white."""
    light = (pixels / 255.0) ** rng.uniform(0.6, 1.6) * rng.uniform(0.6, 1.2) + rng.uniform(-0.1, 0.1)
    return np.clip(light * 255.0, 0.0, 255.0).astype(np.uint8)


def stored(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Through a JPEG of quality 40 to 90."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=int(rng.integers(40, 91)))
    return np.asarray(Image.open(file))


CHANGES: tuple[tuple[Callable[[Pixels, np.random.Generator], Pixels], ...], ...] = (
    (cropped,),
    (shifted,),
    (relit,),
    (stored,),
    (cropped, relit),
    (cropped, relit, stored),
    (shifted, relit, stored),
)


@pytest.mark.parametrize("orientation", range(8))
def test_turned_mirrored_relit_and_noisy_copies_are_found(orientation: int) -> None:
    pictures = surfaces(12)
    copy = turned(pictures[4], orientation)
    noise = np.random.default_rng(0).normal(0.0, 3.0, copy.shape)
    pictures.append(np.clip(copy * 0.8 + 20.0 + noise, 0, 255).astype(np.uint8))
    assert groups_of(pictures) == [*range(12), 4]


@pytest.mark.parametrize("orientation", range(8))
def test_a_crop_is_found_in_every_orientation(orientation: int) -> None:
    pictures = surfaces(9, size_px=128)
    crop = relit(turned(pictures[2][20:105, 30:115], orientation), np.random.default_rng(orientation))
    assert groups_of([*pictures, crop]) == [*range(9), 2]


def test_cropped_shifted_relit_and_stored_copies_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(3)
    pictures = surfaces(49, size_px=128)
    count = len(pictures)
    for number in range(count):
        copy = turned(pictures[number], number % 8)
        for change in CHANGES[number // len(KINDS)]:
            copy = change(copy, rng)
        pictures.append(copy)
    found = np.array(groups_of(pictures))
    own = np.tile(np.arange(count), 2)
    assert ((found[:, None] == found) <= (own[:, None] == own)).all(), "two different pictures were taken for one"
    recall = np.mean(found[:count] == found[count:])
    thumbnails = np.stack([look(picture).thumbnail for picture in pictures])
    alone = {pair for pair in whole_copies(thumbnails, thumbnails) if pair[1] == pair[0] + count}
    assert recall >= 0.97 and len(alone) < 0.5 * count


def test_parts_seen_from_one_fixed_view_are_not_copies() -> None:
    rng = np.random.default_rng(0)
    down, across = np.mgrid[:128, :128] / 128 - 0.5
    ring = np.where(np.hypot(down, across) < 0.35, 200.0, 40.0)

    def part() -> Pixels:
        seen = ring + rng.normal(0.0, 6.0, ring.shape)
        y, x = rng.integers(30, 90, 2)
        seen[y : y + 10, x : x + 10] -= 90.0
        return np.clip(seen, 0, 255).astype(np.uint8)

    pictures = [part() for _ in range(30)]
    assert groups_of([*pictures, pictures[3].T]) == [*range(30), 3]


def test_mosaics_and_neighbours_that_overlap_are_not_copies() -> None:
    wide = [draw(name, size_px=256, seed=number).pixels for number, name in enumerate(CLASSES)]
    left, right = [picture[:128, :128] for picture in wide], [picture[:128, 30:158] for picture in wide]
    mosaics = [np.concatenate([one[:, :90], other[:, 90:]], axis=1) for one, other in pairwise(left)]
    pictures = [np.ascontiguousarray(picture) for picture in (*left, *right, *mosaics)]
    assert groups_of(pictures) == list(range(len(pictures)))


def test_streaked_pictures_are_not_copies_though_any_two_strips_can_be_made_to_agree() -> None:
    rng = np.random.default_rng(1)

    def streaked() -> Pixels:
        lines = gaussian_filter1d(rng.standard_normal(128), rng.uniform(1.0, 6.0))
        seen = 128.0 + 40.0 * lines / lines.std() + gaussian_filter1d(rng.standard_normal((128, 128)), 9.0, axis=0) * 8.0
        return np.clip(seen, 0, 255).astype(np.uint8)

    pictures = [streaked() for _ in range(60)]
    assert groups_of(pictures) == list(range(60))


@pytest.mark.parametrize(
    ("hashes", "hints", "expected"),
    [
        (["a", "b", "a", "c"], [None] * 4, [0, 1, 0, 2]),
        (["a", "b", "c", "d"], ["x", None, "y", "x"], [0, 1, 2, 0]),
        (["a", "b", "b", "d"], ["x", "y", "z", "z"], [0, 1, 1, 1]),
    ],
)
def test_hashes_and_hints_unite(hashes: list[str], hints: list[str | None], expected: list[int]) -> None:
    flat = look(np.full((40, 40), 7, np.uint8))
    assert find_groups([flat] * 4, hashes, hints).tolist() == expected


def test_pictures_without_contrast_resemble_nothing() -> None:
    assert groups_of([np.full((64, 64), level, np.uint8) for level in (9, 200, 9)]) == [0, 1, 2]
    assert find_groups([], [], []).tolist() == []


def test_copies_are_found_between_two_sets_and_not_within_them() -> None:
    ones, others = surfaces(8, size_px=128), surfaces(14, size_px=128)[8:]
    crop, whole = turned(ones[2][10:110, 20:120], 3), turned(others[1], 5)
    found = near_copies([look(p) for p in (*ones, ones[0].T, whole)], [look(p) for p in (*others, crop)])
    assert found == {(2, 6), (9, 1)}
    assert near_copies([], [look(crop)]) == set() == near_copies([look(crop)], [])


def test_long_and_tiny_pictures_are_compared_too() -> None:
    long = [np.ascontiguousarray(draw(name, size_px=256, seed=n).pixels[:64]) for n, name in enumerate(CLASSES)]
    assert groups_of([*long, turned(long[2][:, 60:], 1)]) == [*range(6), 2]
    tiny = [np.full((1, 1), 3, np.uint8), np.zeros((2, 300), np.uint8), np.arange(9, dtype=np.uint8).reshape(3, 3)]
    assert groups_of(tiny) == [0, 1, 2]


def neu(shared: Path, every: int) -> tuple[list[Look], npt.NDArray[np.int64]]:
    """Reads the three NEU sets, or one picture in `every`; gives looks and the true group of each file."""
    with (shared / "NEU_Seg-groups.csv").open() as stream:
        named = [(shared / "NEU_Seg" / "images" / row["split"] / f"{row['stem']}.jpg", row["group"]) for row in csv.DictReader(stream)]
    with (shared / "NEU-same-picture.csv").open() as stream:
        alias = {row["group_b"]: row["group_a"] for row in csv.DictReader(stream)}
    named += [(file, file.stem) for file in sorted((shared / "NEU-DET").glob("*/images/*/*.jpg"))]
    for file in sorted((shared / "NEU-CLS").glob("*.bmp")):
        code, number = file.stem.split("_")
        named.append((file, f"{NEU_CODES[code]}_{number}"))
    truth = np.unique([alias.get(group, group) for _, group in named], return_inverse=True)[1]
    kept = np.flatnonzero(truth % every == 0)
    return [look(read_picture(named[i][0])) for i in kept], truth[kept]


@pytest.mark.data
@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_all_copies_across_the_three_neu_sets_are_found_and_no_other_pair(every: int, shared_data: Path) -> None:
    looks, truth = neu(shared_data, every)
    found = find_groups(looks, [str(i) for i in range(len(looks))], [None] * len(looks))
    true_pairs, found_pairs = truth[:, None] == truth, found[:, None] == found
    np.fill_diagonal(true_pairs, False)
    np.fill_diagonal(found_pairs, False)
    assert true_pairs.sum() > 4000 / every
    assert (true_pairs & found_pairs).sum() >= 0.99 * true_pairs.sum()
    assert not (found_pairs & ~true_pairs).any()


def test_thumbnails_are_looked_up_without_losing_a_pair() -> None:
    rng = np.random.default_rng(0)
    ones = gaussian_filter(rng.normal(size=(60, 32, 32)), (0, 2, 2)).astype(np.float32) * 100.0
    # From copies to strangers, so that some pairs lie on either side of the limits.
    others = np.concatenate([ones + share * 12.0 * gaussian_filter(rng.normal(size=ones.shape), (0, 1, 1)) for share in (0.0, 0.5, 1.0, 2.0)])
    others = np.rot90(others, 3, axes=(1, 2)).astype(np.float32)
    flat = groups._unit(np.concatenate([ones.reshape(60, -1), others.reshape(240, -1)]))
    common = flat.mean(axis=0)
    expected = set()
    for turns in range(4):
        for seen in (np.rot90(others, turns, axes=(1, 2)), np.rot90(others, turns, axes=(1, 2))[:, :, ::-1]):
            right = groups._unit(seen.reshape(240, -1))
            alike = (flat[:60] @ right.T > groups.SAME) & (groups._unit(flat[:60] - common) @ groups._unit(right - common).T > groups.SAME_REST)
            expected |= {(int(i), int(j)) for i, j in np.argwhere(alike)}
    assert set(groups.whole_copies(ones, others)) == expected and 60 < len(expected) < 240


@pytest.mark.parametrize("kind", ["woven", "knurled", "perforated", "ribbed"])
def test_pictures_of_one_mesh_are_not_copies_and_a_turned_one_is(kind: str) -> None:
    pictures = [textures.draw(kind, defective=number % 3 == 0, size_px=64, seed=1000 + number).pixels for number in range(40)]
    pictures.append(np.rot90(pictures[3]))
    found = find_groups([look(own) for own in pictures], [str(number) for number in range(41)], [None] * 41)
    assert found.tolist() == [*range(40), 3]


def test_meshes_repeat_themselves_and_streaks_do_not() -> None:
    rng = np.random.default_rng(0)
    down, across = np.mgrid[0:96, 0:96]
    assert repeats((np.sin(down / 2) * np.sin(across / 2) * 60 + 128 + rng.normal(0, 5, (96, 96))).astype(np.uint8))
    assert repeats((np.sin(down / 2) * 60 + 128 + rng.normal(0, 5, (96, 96))).astype(np.uint8))
    streaks = gaussian_filter1d(rng.normal(size=(96, 1)), 2, axis=0) * 60 + np.zeros((96, 96)) + 128
    assert not repeats((streaks + rng.normal(0, 5, (96, 96))).astype(np.uint8))
    assert not repeats(np.full((96, 96), 7, dtype=np.uint8)) and not repeats(np.zeros((10, 96), dtype=np.uint8))
