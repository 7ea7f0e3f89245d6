"""Whether one picture is a copy of another, or of a part of it: it is laid upon it exactly, and must then agree everywhere. Called by `groups`.

Least squares bring both into agreement, over place, scale, contrast and a slope of light (B. Lucas, T. Kanade, IJCAI 1981; with contrast and light as
S. Baker, I. Matthews, IJCV 56 (2004), sections 3 and 4). Judged is what remains without that light, and without what all pictures of the set have in
common. One strong line makes the correlation of two whole pictures high though they are of different places: so they must agree part by part too.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from trainables.datasets.copies.keypoints import ORIENTATIONS, Floats, View
from trainables.datasets.copies.matching import Proposal

COARSE, FINE = 24, 48
"""Samples along each side of the picture that is laid upon the other."""

SHARPNESS_PX = 1.0
"""Deviation of the Gaussian that views are smoothed with: what is finer does not outlive being stored anew."""

PARTS = 6
"""Parts along each side that must agree one by one."""

LEAST_SAMPLES = 32
"""A part with fewer samples on both pictures says nothing."""

HOPELESS = 0.5
"""Correlation after coarse steps below which finer ones are not tried."""

Samples = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How well one picture agrees with the other where they overlap."""

    inside: float
    """Share of the picture's area that lies on the other one."""
    covered: float
    """Share of the other one's area that it covers."""
    stretch: float
    """Ratio of the scales down and across, at least 1; a copy has 1, unless one was squeezed."""
    correlation: float
    """Of what remains without light and what is common, over the overlap."""
    parts: npt.NDArray[np.float64]
    """The same for each part of the overlap; sorted."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A picture as it is compared."""

    smooth: Floats
    """(H, W)."""
    common: Floats | None
    """(H, W) what the pictures of its set have in common; None where nothing is known."""


def prepare(view: View, common: Floats | None = None) -> Subject:
    """Smooths a view, and what it has in common with others, for comparison."""
    smooth, shared = (
        None if image is None else gaussian_filter(image.astype(np.float32), SHARPNESS_PX, mode="nearest", truncate=3.0) for image in (view, common)
    )
    assert smooth is not None
    return Subject(smooth, shared)


def agreement(one: Subject, other: Subject, start: Proposal) -> Agreement | None:
    """Lays `other` upon `one`, near where it was proposed to lie; None where they do not come to agree at all."""
    turn = ORIENTATIONS[start.turn].astype(np.float64)
    scales, middle = np.full(2, start.scale), np.array(start.middle)
    for side, steps in ((COARSE, 3), (FINE, 3)):
        places, centred = _raster(other.smooth.shape, side)
        target, _, _ = _sample(other.smooth, places)
        arms = centred @ turn.T
        for _ in range(steps):
            stepped = _step(one.smooth, target, arms, scales, middle)
            if stepped is None:
                return None
            scales, middle = stepped
        if side == COARSE and _fit(one.smooth, target, arms, scales, middle) < HOPELESS:
            return None
    return _judge(one, other, places, arms, scales, middle)


def overlap(shape: tuple[int, ...], other: tuple[int, ...], turn: int, scales: Samples, middle: Samples) -> tuple[float, float]:
    """Gives the shares of the areas of `other` and of the picture below it that lie on each other; shapes are (H, W)."""
    size = np.array(other[::-1] if turn >= 4 else other) * scales
    low = np.maximum(middle - size / 2, -0.5)
    high = np.minimum(middle + size / 2, np.array(shape) - 0.5)
    both = float(np.prod(np.maximum(high - low, 0.0)))
    return both / float(np.prod(size)), both / float(np.prod(shape))


def _raster(shape: tuple[int, ...], side: int) -> tuple[Samples, Samples]:
    """Gives (side * side, 2) places on a view, and the same from its middle."""
    down, across = ((np.arange(side) + 0.5) / side * length - 0.5 for length in shape)
    places = np.stack(np.meshgrid(down, across, indexing="ij"), axis=-1).reshape(-1, 2)
    return places, places - (np.array(shape) - 1) / 2


def _sample(image: Floats, places: Samples) -> tuple[Samples, Samples, Samples]:
    """Samples an image between its pixels; gives values and their slopes down and across."""
    height, width = image.shape
    down = np.clip(places[:, 0], 0.0, height - 1.001)
    across = np.clip(places[:, 1], 0.0, width - 1.001)
    top, left = down.astype(np.int64), across.astype(np.int64)
    v, u = down - top, across - left
    flat, at = image.ravel(), top * width + left
    a, b, c, d = flat[at], flat[at + 1], flat[at + width], flat[at + width + 1]
    upper, lower = a + (b - a) * u, c + (d - c) * u
    return upper + (lower - upper) * v, lower - upper, (b - a) * (1 - v) + (d - c) * v


def _on(image: Floats, places: Samples) -> npt.NDArray[np.bool_]:
    return np.asarray(((places >= 0.0) & (places <= np.array(image.shape) - 1)).all(axis=1))


def _light(arms: Samples) -> Samples:
    """Gives the columns that stand for brightness and its slopes."""
    return np.column_stack([np.ones(len(arms)), arms / (np.abs(arms).max() + 1e-6)])


def _step(image: Floats, target: Samples, arms: Samples, scales: Samples, middle: Samples) -> tuple[Samples, Samples] | None:
    """Takes one step of Gauss and Newton; gives new scales and middle, or None where the pictures part."""
    places = middle + scales * arms
    on = _on(image, places)
    if on.sum() < len(on) / 6:
        return None
    value, down, across = _sample(image, places[on])
    arms = arms[on]
    columns = np.column_stack([_light(arms), value, down, across, down * arms[:, 0], across * arms[:, 1]])
    normal = columns.T @ columns
    normal[np.diag_indices(len(normal))] += 1e-6 * np.diag(normal) + 1e-9
    found = np.linalg.solve(normal, columns.T @ target[on])
    if found[3] <= 1e-3:
        return None
    step = found[4:] / found[3]
    return scales + np.clip(step[2:], -0.06, 0.06), middle + np.clip(step[:2], -3.0, 3.0)


def _fit(image: Floats, target: Samples, arms: Samples, scales: Samples, middle: Samples) -> float:
    """Correlates what lies on the picture with it, without light."""
    places = middle + scales * arms
    on = _on(image, places)
    return _correlate(*_rest(_sample(image, places[on])[0], target[on], _light(arms[on])))


def _rest(one: Samples, other: Samples, columns: Samples) -> tuple[Samples, Samples]:
    """Takes away from values what columns explain of them."""
    values = np.column_stack([one, other])
    normal = columns.T @ columns
    normal[np.diag_indices(len(normal))] += 1e-9 * np.diag(normal) + 1e-9
    rest = values - columns @ np.linalg.solve(normal, columns.T @ values)
    return rest[:, 0], rest[:, 1]


def _correlate(one: Samples, other: Samples) -> float:
    return float(one @ other / np.sqrt((one @ one) * (other @ other) + 1e-9))


def _judge(one: Subject, other: Subject, places: Samples, arms: Samples, scales: Samples, middle: Samples) -> Agreement | None:
    lie = middle + scales * arms
    on = _on(one.smooth, lie)
    if on.sum() < len(on) / 6 or (scales <= 0.0).any():
        return None
    columns = [_light(arms[on])]
    columns += [_sample(subject.common, at[on])[0][:, None] for subject, at in ((one, lie), (other, places)) if subject.common is not None]
    mine, theirs = _rest(_sample(one.smooth, lie[on])[0], _sample(other.smooth, places[on])[0], np.concatenate(columns, axis=1))
    cells = np.arange(FINE) * PARTS // FINE
    part = (cells[:, None] * PARTS + cells).ravel()[on]

    def total(values: Samples) -> Samples:
        return np.bincount(part, values, PARTS**2).astype(np.float64)

    samples = total(np.ones(len(part)))
    filled = np.maximum(samples, 1.0)
    mine_here, theirs_here = mine - (total(mine) / filled)[part], theirs - (total(theirs) / filled)[part]
    alike = total(mine_here * theirs_here) / np.sqrt(total(mine_here**2) * total(theirs_here**2) + 1e-9)
    shape = one.smooth.shape
    turned = 4 if abs(arms[1, 0] - arms[0, 0]) > abs(arms[1, 1] - arms[0, 1]) else 0
    inside, covered = overlap(shape, other.smooth.shape, turned, scales, middle)
    return Agreement(
        inside=inside,
        covered=covered,
        stretch=float(scales.max() / scales.min()),
        correlation=_correlate(mine, theirs),
        parts=np.sort(alike[samples >= LEAST_SAMPLES]),
    )
