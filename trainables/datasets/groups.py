"""Near-copies of pictures: which samples show the same surface, turned or mirrored or re-encoded. Used when packing and checking."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

THUMBNAIL_PX = 32
"""Side of the thumbnails that are compared."""

SAME = 0.99
"""Correlation of thumbnails from which two pictures count as one; on the NEU sets it finds their turned copies and no other pair."""

_BLOCK = 2048


def find_groups(
    thumbnails: npt.NDArray[np.float32], hashes: Sequence[str], hints: Sequence[str | None], *, search: bool = True
) -> npt.NDArray[np.int64]:
    """Unites samples that show one picture.

    Args:
        thumbnails: (N, side, side) grey.
        hashes: hash of each sample's pixels; equal ones are exact duplicates.
        hints: what a loader knows of each sample's origin; equal ones belong together, None says nothing.
        search: whether to look for near-copies in eight orientations too.

    Returns:
        (N,) group of each sample, numbered from 0 in the order of first appearance.
    """
    parents = list(range(len(hashes)))

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = parents[parents[item]]
            item = parents[item]
        return item

    def unite(one: int, other: int) -> None:
        low, high = sorted((root(one), root(other)))
        parents[high] = low

    first: dict[tuple[str, str], int] = {}
    for i, (digest, hint) in enumerate(zip(hashes, hints, strict=True)):
        unite(i, first.setdefault(("hash", digest), i))
        if hint is not None:
            unite(i, first.setdefault(("hint", hint), i))
    if search:
        for one, other in near_copies(thumbnails, thumbnails):
            unite(one, other)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(i), len(numbers)) for i in range(len(hashes))], dtype=np.int64)


def near_copies(ones: npt.NDArray[np.float32], others: npt.NDArray[np.float32]) -> Iterator[tuple[int, int]]:
    """Finds pairs (i, j) where thumbnail i of `ones` is thumbnail j of `others`, in any of the eight orientations of a square."""
    if len(ones) == 0 or len(others) == 0:
        return
    left = _normalised(ones)
    for turns in range(4):
        turned = np.rot90(others, turns, axes=(1, 2))
        for seen in (turned, turned[:, :, ::-1]):
            right = _normalised(seen)
            for top in range(0, len(left), _BLOCK):
                for start in range(0, len(right), _BLOCK):
                    alike = left[top : top + _BLOCK] @ right[start : start + _BLOCK].T > SAME
                    yield from ((top + int(i), start + int(j)) for i, j in np.argwhere(alike))


def _normalised(thumbnails: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Flattens to unit vectors without mean; a picture without any contrast becomes zero and resembles nothing."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = np.where(norm > 1e-3, flat / np.maximum(norm, 1e-3), 0.0).astype(np.float32)
    return scaled
