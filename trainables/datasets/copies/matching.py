"""Which pictures may show one surface, and how one would lie on the other: keypoints that resemble each other and agree. Called by `groups`.

Each keypoint looks for its like among those that share a word (the nearest of some hundred typical descriptors: J. Sivic, A. Zisserman, "Video
Google", ICCV 2003), so that the work grows far slower than the number of pairs. Two keypoints that match say how their pictures lie on each other:
turned, scaled, and where the middle of one lies on the other; what at least `VOTES` of them say is proposed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trainables.datasets.copies.keypoints import ORIENTATIONS, Floats, Keypoints

WORDS = 1024
"""Typical descriptors; fewer where there are few keypoints."""

PROBES = 2
"""Words of a keypoint, the nearest ones, under which it looks."""

LIKE = 0.9
"""Product of unit descriptors from which two keypoints may be one."""

NEAREST = 8
"""Matches of a keypoint under a word at most: keypoints that every picture has would match without end."""

VOTES = 3
"""Matches that must say the same: crops of 60 % have four and more, and of what two say nearly nothing is true."""

LARGEST = 1.9
"""Ratio of scales beyond which nothing is proposed; a crop of 60 % of the side, enlarged to the size of the whole, has 1.67."""

NEAR_SCALE, NEAR_PX, OWN_PX = 0.25, 8.0, 1.5
"""Matches agree within this ratio (as a logarithm) and distance; keypoints closer than `OWN_PX` are one, and count once."""

_BLOCK = 2048
_CHAIN = 64

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Proposal:
    """How picture `other` may lie on picture `one`: place = middle + scale * ORIENTATIONS[turn] @ (place in other - middle of other)."""

    one: int
    other: int
    turn: int
    scale: float
    middle: tuple[float, float]
    """Where the middle of `other` lies on `one`; down, across."""
    votes: int


def propose(keypoints: Sequence[Keypoints], middles: Floats) -> list[Proposal]:
    """Proposes pairs of pictures, the best-founded first, each pair once with `one` < `other`.

    Args:
        keypoints: of each picture.
        middles: (N, 2) of their views.
    """
    counts = [len(own.scales) for own in keypoints]
    if sum(counts) < 2:
        return []
    owners = np.repeat(np.arange(len(counts)), counts)
    places = np.concatenate([own.places for own in keypoints])
    scales = np.concatenate([own.scales for own in keypoints])
    turns = np.concatenate([own.turns for own in keypoints]).astype(np.int64)
    left, right = match(np.concatenate([own.descriptors for own in keypoints]), owners).T
    ratios = np.log(scales[left] / scales[right])
    possible = np.abs(ratios) < np.log(LARGEST)
    left, right, ratios = left[possible], right[possible], ratios[possible]
    turn = _BETWEEN[turns[left], turns[right]]
    arms = np.einsum("nij,nj->ni", ORIENTATIONS[turn], middles[owners[right]] - places[right])
    lie = places[left] + np.exp(ratios)[:, None] * arms
    names = (owners[left] * len(counts) + owners[right]) * 8 + turn
    order = np.argsort(names, kind="stable")
    names, ratios, lie, left, right = names[order], ratios[order], lie[order], left[order], right[order]
    says = np.column_stack([ratios / NEAR_SCALE, lie / NEAR_PX])
    votes, sums = _count(names, says, places[left] / OWN_PX, places[right] / OWN_PX)
    best = np.lexsort((-votes, names // 8))
    best = best[np.unique(names[best] // 8, return_index=True)[1]]
    best = best[votes[best] >= VOTES]
    means = sums / votes[:, None]
    proposals = []
    for row in best[np.argsort(-votes[best], kind="stable")].tolist():
        pair, turned = divmod(int(names[row]), 8)
        scale = float(np.exp(means[row, 0] * NEAR_SCALE))
        middle = (float(means[row, 1] * NEAR_PX), float(means[row, 2] * NEAR_PX))
        proposals.append(Proposal(*divmod(pair, len(counts)), turned, scale, middle, int(votes[row])))
    return proposals


def match(descriptors: Floats, owners: Indices) -> Indices:
    """Finds keypoints of different pictures that resemble each other.

    Args:
        descriptors: (K, D), of unit length.
        owners: (K,) picture of each, rising.

    Returns:
        (M, 2) indices, the first one of the earlier picture; no pair twice.
    """
    count = len(descriptors)
    words = _words(descriptors, max(1, min(WORDS, count // 16)))
    near = np.concatenate([_nearest(descriptors[start : start + _BLOCK] @ words.T) for start in range(0, count, _BLOCK)])
    base = np.argsort(near[:, 0], kind="stable")
    starts = np.searchsorted(near[base, 0], np.arange(len(words) + 1))
    asking = np.argsort(near.ravel(), kind="stable")
    asked = np.searchsorted(near.ravel()[asking], np.arange(len(words) + 1))
    asking //= near.shape[1]
    found = [np.empty((0, 2), dtype=np.int64)]
    for word in range(len(words)):
        own = base[starts[word] : starts[word + 1]]
        for start in range(asked[word], asked[word + 1], _BLOCK):
            questions = asking[start : min(start + _BLOCK, asked[word + 1])]
            alike = descriptors[questions] @ descriptors[own].T
            alike[owners[questions][:, None] == owners[own]] = 0.0
            if len(own) > NEAREST:
                alike[alike < np.partition(alike, -NEAREST, axis=1)[:, -NEAREST, None]] = 0.0
            question, answer = np.nonzero(alike > LIKE)
            found.append(np.column_stack([questions[question], own[answer]]))
    pairs = np.sort(np.concatenate(found), axis=1)
    unique = np.unique(pairs[:, 0] * count + pairs[:, 1])
    return np.column_stack(np.divmod(unique, count))


def _words(descriptors: Floats, count: int) -> Floats:
    """Finds typical descriptors by a few rounds of spherical k-means over a sample; always the same ones for the same descriptors."""
    rng = np.random.default_rng(0)
    words = descriptors[rng.choice(len(descriptors), count, replace=False)]
    sample = descriptors[rng.choice(len(descriptors), min(len(descriptors), 40 * count), replace=False)]
    for _ in range(4):
        sums = np.zeros_like(words)
        np.add.at(sums, (sample @ words.T).argmax(axis=1), sample)
        norm = np.linalg.norm(sums, axis=1, keepdims=True)
        words = np.where(norm > 0.0, sums / np.maximum(norm, 1e-6), words)
    return words


def _nearest(alike: Floats) -> Indices:
    """Gives the columns of the `PROBES` highest values of each row, the highest first."""
    columns = []
    for _ in range(min(PROBES, alike.shape[1])):
        highest = alike.argmax(axis=1)
        columns.append(highest)
        alike[np.arange(len(alike)), highest] = -2.0
    return np.stack(columns, axis=1)


def _count(names: Indices, says: Floats, left: Floats, right: Floats) -> tuple[Indices, npt.NDArray[np.float64]]:
    """Counts, for each match, those of the same name that say the same from other keypoints; itself included.

    Args:
        names: (M,) pair and turn, sorted.
        says: (M, 3) in units within which matches agree.
        left, right: (M, 2) places of the two keypoints, in units within which they are one.

    Returns:
        (M,) counts, and (M, 3) sums of what they say.
    """
    votes, sums = np.ones(len(names), dtype=np.int64), says.astype(np.float64)
    for step in range(1, min(_CHAIN, len(names))):
        rows = np.flatnonzero(names[step:] == names[:-step])
        if len(rows) == 0:
            break
        agree = (np.abs(says[rows] - says[rows + step]) < 1.0).all(axis=1)
        for places in (left, right):
            agree &= (np.abs(places[rows] - places[rows + step]) > 1.0).any(axis=1)
        rows = rows[agree]
        # No row stands twice among `rows`, so that plain sums count each.
        votes[rows] += 1
        votes[rows + step] += 1
        sums[rows] += says[rows + step]
        sums[rows + step] += says[rows]
    return votes, sums


def _between() -> Indices:
    """Tells, for what brings one and another into normal orientation, what turns the other into the one; (8, 8)."""
    turned = np.einsum("aji,bjk->abik", ORIENTATIONS, ORIENTATIONS)
    return np.abs(turned[:, :, None] - ORIENTATIONS).sum(axis=(3, 4)).argmin(axis=2)


_BETWEEN = _between()
