"""Groups: copies are found in every orientation, look-alikes are not taken for copies."""

import numpy as np
import numpy.typing as npt
import pytest

from trainables.datasets.groups import find_groups, near_copies
from trainables.datasets.pictures import thumbnail
from trainables.datasets.procedural import CLASSES, draw

Pixels = npt.NDArray[np.uint8]


def thumbnails(pictures: list[Pixels]) -> npt.NDArray[np.float32]:
    return np.stack([thumbnail(picture, 32) for picture in pictures])


def surfaces(count: int) -> list[Pixels]:
    return [draw(CLASSES[n % 6], size_px=96, seed=n).pixels for n in range(count)]


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("mirror", [False, True])
def test_turned_mirrored_relit_and_noisy_copies_are_found(turns: int, mirror: bool) -> None:
    pictures = surfaces(12)
    copy = np.rot90(pictures[4], turns)[:, :: -1 if mirror else 1]
    noise = np.random.default_rng(0).normal(0.0, 3.0, copy.shape)
    pictures.append(np.clip(copy * 0.8 + 20.0 + noise, 0, 255).astype(np.uint8))
    groups = find_groups(thumbnails(pictures), [str(n) for n in range(13)], [None] * 13)
    assert groups.tolist() == [*range(12), 4]


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
    groups = find_groups(thumbnails([*pictures, pictures[3].T]), [str(n) for n in range(31)], [None] * 31)
    assert groups.tolist() == [*range(30), 3]


@pytest.mark.parametrize(
    ("hashes", "hints", "expected"),
    [
        (["a", "b", "a", "c"], [None] * 4, [0, 1, 0, 2]),
        (["a", "b", "c", "d"], ["x", None, "y", "x"], [0, 1, 2, 0]),
        (["a", "b", "b", "d"], ["x", "y", "z", "z"], [0, 1, 1, 1]),
    ],
)
def test_hashes_and_hints_unite(hashes: list[str], hints: list[str | None], expected: list[int]) -> None:
    assert find_groups(np.zeros((4, 32, 32), np.float32), hashes, hints).tolist() == expected


def test_pictures_without_contrast_resemble_nothing() -> None:
    shades = thumbnails([np.full((64, 64), level, np.uint8) for level in (9, 200)])
    assert list(near_copies(shades, shades)) == []
