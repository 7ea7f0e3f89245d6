"""Near-copies of pictures: which samples show the same surface, turned, mirrored, cropped, shifted, relit or re-encoded. Used by packs and checks.

Whole copies are found by their thumbnails, in all eight orientations; copies of parts, and what thumbnails miss, by keypoints that agree on how one
picture lies on the other (`matching`), each of which is then verified pixel by pixel (`alignment`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from trainables.datasets.copies.alignment import Agreement, Subject, agreement, overlap, prepare
from trainables.datasets.copies.keypoints import Floats, View, find_keypoints, view_of
from trainables.datasets.copies.matching import propose
from trainables.datasets.copies.repetition import repeats
from trainables.datasets.pictures import thumbnail

THUMBNAIL_PX = 32
"""Side of the thumbnails that are compared."""

SAME = 0.99
"""Correlation of thumbnails from which two pictures count as one; on the NEU sets it finds their turned copies and no other pair."""

SAME_REST = 0.97
"""Correlation of what remains of two thumbnails without what all have in common; copies in the NEU sets and magnetic tiles lie above."""

ENOUGH = 8
"""With fewer pictures than this, what they have in common may be the copy itself, and is left in."""

INSIDE = 0.95
"""Share of the smaller picture that must lie on the other one. The NEU sets hold pictures cut from one strip that overlap by less, from 0.945 down
to slivers; their publishers, and the ground truth beside them, count these as different ones."""

COVERED = 0.25
"""Share of the larger picture that the smaller one must cover; a crop of 60 % of its sides covers 0.36."""

STRETCH = 1.03
"""Ratio of the scales down and across up to which both count as one: streaks of different pictures agree once they are stretched."""

MANY = 8
"""Matching keypoints from which a copy may have been changed a lot (relit beyond white, stored as a poor JPEG); with fewer it must agree closely."""

CHANGED, CLOSE = (0.85, 0.6, 0.6), (0.95, 0.95, 0.8)
"""Least correlation as a whole, least median over parts, and least ratio of the weakest tenth of the parts to that median: in a mosaic of two
pictures (NEU_Seg has some) most parts agree perfectly and the others not at all."""

REPEATED = 0.98
"""Least correlation as a whole of pictures that repeat themselves: weaves and knurls lie upon each other at 0.94 to 0.97, mesh on mesh."""

FAILURES = 24
"""Proposals of a picture that may prove wrong before no more are tried: where all show one part from one view, there is one for each pair."""

_BLOCK = 256
_PAIRS = 2**16

DIRECTIONS = 12
"""Directions of thumbnails in which those that may be alike are looked up: enough to leave few, and few enough to look up fast."""


@dataclass(frozen=True, slots=True)
class Look:
    """A picture as it is compared with others."""

    thumbnail: Floats
    """(THUMBNAIL_PX, THUMBNAIL_PX) grey, squeezed into a square."""
    view: View
    """(H, W) grey, of some 96 x 96 pixels, aspect ratio kept."""


def look(pixels: npt.NDArray[np.uint8]) -> Look:
    """Keeps of a picture, (H, W) grey or (H, W, 3) colour, what finding its copies needs."""
    return Look(thumbnail(pixels, THUMBNAIL_PX), view_of(pixels))


def find_groups(looks: Sequence[Look], hashes: Sequence[str], hints: Sequence[str | None], *, search: bool = True) -> npt.NDArray[np.int64]:
    """Unites samples that show one picture.

    Args:
        looks: N samples.
        hashes: hash of each sample's pixels; equal ones are exact duplicates.
        hints: what is known of each sample's origin; equal ones belong together, None says nothing.
        search: whether to look for near-copies too.

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
        for one, other in whole_copies(_thumbnails(looks), _thumbnails(looks)):
            unite(one, other)
        for one, other in partial_copies(looks, skip=lambda one, other: root(one) == root(other)):
            unite(one, other)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(i), len(numbers)) for i in range(len(hashes))], dtype=np.int64)


def near_copies(ones: Sequence[Look], others: Sequence[Look]) -> set[tuple[int, int]]:
    """Finds pairs (i, j) where picture i of `ones` shows what picture j of `others` does, or one shows a part of the other."""
    found = set(whole_copies(_thumbnails(ones), _thumbnails(others)))
    count = len(ones)
    both = partial_copies([*ones, *others], skip=lambda i, j: (i < count) == (j < count) or (i, j - count) in found)
    return found | {(i, j - count) for i, j in both}


def whole_copies(ones: Floats, others: Floats) -> Iterator[tuple[int, int]]:
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
    main = _main_directions(own)
    for turns in range(4):
        turned = np.rot90(others, turns, axes=(1, 2))
        for seen in (turned, turned[:, :, ::-1]):
            right = _unit(seen.reshape(len(others), -1))
            rest = _unit(right - common)
            for alike in _near(own @ main, rest @ main):
                kept = (left[alike[:, 0]] * right[alike[:, 1]]).sum(axis=1) > SAME
                kept &= (own[alike[:, 0]] * rest[alike[:, 1]]).sum(axis=1) > SAME_REST
                yield from ((int(i), int(j)) for i, j in alike[kept])


def _main_directions(rows: Floats) -> Floats:
    """Gives the directions in which unit rows differ most, (D, at most `DIRECTIONS`), orthonormal."""
    _, vectors = np.linalg.eigh(rows.T.astype(np.float64) @ rows.astype(np.float64))
    return np.asarray(vectors[:, ::-1][:, :DIRECTIONS], dtype=np.float32)


def _near(ones: Floats, others: Floats) -> Iterator[npt.NDArray[np.int64]]:
    """Lists pairs (n, 2) of rows that may be alike, some at a time: unit vectors with a product above `SAME_REST` are no further apart than this, and
    in some of their directions nearer still, so that no pair is lost."""
    furthest = (2.0 * (1.0 - SAME_REST)) ** 0.5 + 1e-3
    tree = cKDTree(others)
    for top in range(0, len(ones), _BLOCK):
        found = tree.query_ball_point(ones[top : top + _BLOCK], furthest, workers=-1, return_sorted=False)
        counts = [len(own) for own in found]
        rows = np.repeat(np.arange(top, top + len(found)), counts)
        columns = np.concatenate([np.asarray(own, dtype=np.int64) for own in found])
        pairs = np.column_stack([rows, columns])
        for start in range(0, len(pairs), _PAIRS):
            yield pairs[start : start + _PAIRS]


def partial_copies(looks: Sequence[Look], *, skip: Callable[[int, int], bool]) -> Iterator[tuple[int, int]]:
    """Finds pairs (i, j), i < j, where one picture is the other or a crop of it: in any orientation, relit, shifted, stored anew.

    Args:
        looks: of all pictures.
        skip: pairs that need not be looked at; asked again before each one is verified.
    """
    views = [look.view for look in looks]
    middles = np.array([[(length - 1) / 2 for length in view.shape] for view in views], dtype=np.float32).reshape(-1, 2)
    common = _common(views)
    subject: Callable[[int], Subject] = lru_cache(maxsize=4096)(lambda i: prepare(views[i], common.get(views[i].shape)))
    repeating: Callable[[int], bool] = lru_cache(maxsize=None)(lambda i: repeats(views[i]))
    failures = [0] * len(looks)
    for proposal in propose([find_keypoints(view) for view in views], middles):
        i, j = proposal.one, proposal.other
        inside, covered = overlap(views[i].shape, views[j].shape, proposal.turn, np.full(2, proposal.scale), np.array(proposal.middle))
        # Votes say only roughly how pictures lie; what is far from a copy is not worth a closer look.
        if max(inside, covered) < INSIDE - 0.1 or min(inside, covered) < COVERED or max(failures[i], failures[j]) >= FAILURES or skip(i, j):
            continue
        found = agreement(subject(i), subject(j), proposal)
        if found is not None and is_copy(found, proposal.votes) and (found.correlation >= REPEATED or not (repeating(i) or repeating(j))):
            yield i, j
        else:
            failures[i] += 1
            failures[j] += 1


def is_copy(found: Agreement, votes: int) -> bool:
    """Tells a copy of a picture, or of a large part of it, from pictures that resemble or merely overlap each other."""
    if max(found.inside, found.covered) < INSIDE or min(found.inside, found.covered) < COVERED or found.stretch > STRETCH or not len(found.parts):
        return False
    whole, typical, ratio = CHANGED if votes >= MANY else CLOSE
    tenth, median = np.quantile(found.parts, [0.1, 0.5])
    return bool(found.correlation >= whole and median >= typical and tenth >= ratio * median)


def _common(views: Sequence[View]) -> dict[tuple[int, ...], Floats]:
    """Gives what views of one shape have in common, for each shape that enough of them have."""
    kinds: dict[tuple[int, ...], list[View]] = {}
    for view in views:
        kinds.setdefault(view.shape, []).append(view)
    common = {}
    for shape, own in kinds.items():
        if len(own) >= ENOUGH:
            total = np.zeros((1, int(np.prod(shape))), dtype=np.float32)
            for view in own:
                total += _unit(view.reshape(1, -1).astype(np.float32))
            common[shape] = total.reshape(shape) / np.float32(len(own))
    return common


def _thumbnails(looks: Sequence[Look]) -> Floats:
    return np.stack([look.thumbnail for look in looks]) if looks else np.empty((0, THUMBNAIL_PX, THUMBNAIL_PX), np.float32)


def _unit(flat: Floats) -> Floats:
    """Scales rows to unit vectors without mean; a picture without any contrast becomes zero and resembles nothing."""
    flat = flat.astype(np.float32) - flat.mean(axis=1, keepdims=True, dtype=np.float32)
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = np.where(norm > 1e-3, flat / np.maximum(norm, 1e-3), 0.0).astype(np.float32)
    return scaled
