"""Near-copies of pictures: which samples show the same surface, turned or mirrored or re-encoded. Used when packing and checking."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

THUMBNAIL_PX = 32
"""Side of the thumbnails that are compared."""

SAME = 0.99
"""Correlation of thumbnails from which two pictures count as one; on the NEU sets it finds their turned copies and no other pair."""

SAME_REST = 0.97
"""Correlation of what remains of two thumbnails without what all have in common; copies in the NEU sets and magnetic tiles lie above."""

ENOUGH = 8
"""With fewer pictures than this, what they have in common may be the copy itself, and is left in."""

_BLOCK = 1024


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
    """Finds pairs (i, j) where thumbnail i of `ones` is thumbnail j of `others`, in any of the eight orientations of a square.

    Pictures of one part from one fixed view resemble each other far beyond `SAME` without being copies, so what all pictures have in
    common is taken away, and what is left must be alike too.
    """
    if len(ones) == 0 or len(others) == 0:
        return
    left = _unit(ones.reshape(len(ones), -1))
    everything = left if others is ones else np.concatenate([left, _unit(others.reshape(len(others), -1))])
    common = everything.mean(axis=0) if len(everything) >= ENOUGH else np.zeros_like(left[0])
    own = _unit(left - common)
    for turns in range(4):
        turned = np.rot90(others, turns, axes=(1, 2))
        for seen in (turned, turned[:, :, ::-1]):
            right = _unit(seen.reshape(len(others), -1))
            for top in range(0, len(left), _BLOCK):
                for start in range(0, len(right), _BLOCK):
                    alike = np.argwhere(left[top : top + _BLOCK] @ right[start : start + _BLOCK].T > SAME) + (top, start)
                    rest = _unit(right[alike[:, 1]] - common)
                    kept = alike[(own[alike[:, 0]] * rest).sum(axis=1) > SAME_REST]
                    yield from ((int(i), int(j)) for i, j in kept)


def _unit(flat: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scales rows to unit vectors without mean; a picture without any contrast becomes zero and resembles nothing."""
    flat = flat.astype(np.float32) - flat.mean(axis=1, keepdims=True, dtype=np.float32)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = np.where(norm > 1e-3, flat / np.maximum(norm, 1e-3), 0.0).astype(np.float32)
    return scaled
