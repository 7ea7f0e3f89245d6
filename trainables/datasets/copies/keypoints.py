"""Keypoints of pictures: places that are found again where a picture is cropped, shifted, relit, turned or mirrored, each with a descriptor.

Blobs are extrema of differences of Gaussians over place and scale, as in D. Lowe, IJCV 60 (2004) 91-110, sections 3 and 4. Two things are simpler:
copies are turned by quarters and mirrored only, so a keypoint needs one of eight orientations, and the descriptor is the surroundings themselves, as
low frequencies of a cosine transform, because copies of one file resemble each other far more than two photographs of one thing. Called by `groups`.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter

VIEW_PX = 96
"""Geometric mean of the sides of the view that is looked at; a picture keeps its aspect ratio."""

MOST = 80
"""Keypoints of a picture, the strongest ones."""

SCALES = 1.2 * 2.0 ** (np.arange(9) / 3.0)
"""Deviations, in pixels of the view, of the Gaussians that a view is smoothed with."""

PATCH = 12
"""Samples along the side of a keypoint's surroundings; they lie one deviation of the keypoint's scale apart."""

FREQUENCIES = 6
"""Frequencies kept along each side of the surroundings."""

Floats = npt.NDArray[np.float32]
View = npt.NDArray[np.uint8]
"""(H, W) grey."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keypoints:
    """Keypoints of one picture or of many; arrays have one row for each."""

    places: Floats
    """(K, 2) down, across; in pixels of the view, 0 in the middle of the first one."""
    scales: Floats
    """(K,) deviations in pixels of the view."""
    turns: npt.NDArray[np.int8]
    """(K,) index in `ORIENTATIONS` of what brings the surroundings into their normal orientation."""
    descriptors: Floats
    """(K, D), of unit length."""


def _orientations() -> Floats:
    """Lists the eight: (8, 2, 2) signed permutations of (down, across); index = 4 * swapped + 2 * down reversed + across reversed."""
    plain = [np.diag([down, across]) for down in (1.0, -1.0) for across in (1.0, -1.0)]
    swap = np.array([[0.0, 1.0], [1.0, 0.0]])
    return np.stack([*plain, *(swap @ matrix for matrix in plain)]).astype(np.float32)


ORIENTATIONS = _orientations()
"""Reversed first, swapped afterwards."""


def view_of(pixels: npt.NDArray[np.uint8]) -> View:
    """Shrinks or enlarges a picture to its view: grey, its aspect ratio kept, the geometric mean of its sides `VIEW_PX`.

    Args:
        pixels: (H, W) grey or (H, W, 3) colour.
    """
    image = Image.fromarray(pixels).convert("L")
    scale = VIEW_PX / (image.width * image.height) ** 0.5
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BILINEAR))


def find_keypoints(view: View) -> Keypoints:
    """Finds the strongest keypoints of a view; none where it has no contrast, or is narrower than the surroundings of any."""
    if min(view.shape) < PATCH:
        view = np.zeros((PATCH, PATCH), np.uint8)
    levels = _smoothed(view)
    places, layers, strengths = _extrema(levels[1:] - levels[:-1])
    order = np.argsort(-strengths, kind="stable")[:MOST]
    places, layers = places[order], layers[order]
    # An extremum of the difference between two levels stands for a blob between them.
    scales = (SCALES[0] * 2.0 ** ((layers + 0.5) / 3.0)).astype(np.float32)
    patches = _surroundings(levels, places, layers, scales)
    patches, turns = _upright(patches)
    flat = patches.reshape(len(patches), PATCH**2) @ _cosines()
    norm = np.linalg.norm(flat, axis=1, keepdims=True)
    seen = norm[:, 0] > 1e-3
    return Keypoints(places=places[seen], scales=scales[seen], turns=turns[seen], descriptors=(flat / np.maximum(norm, 1e-3))[seen])


def _smoothed(view: View) -> Floats:
    """Smooths a view to every scale, each from the one before; (len(SCALES), H, W)."""
    levels = np.empty((len(SCALES), *view.shape), dtype=np.float32)
    # The view itself is taken as sharp to half a pixel.
    image, before = view.astype(np.float32), 0.5
    for level, scale in zip(levels, SCALES, strict=True):
        gaussian_filter(image, (scale**2 - before**2) ** 0.5, output=level, mode="nearest", truncate=3.0)
        image, before = level, scale
    return levels


def _extrema(differences: Floats) -> tuple[Floats, Floats, Floats]:
    """Finds extrema over place and scale, finer than the raster by parabolas.

    Returns:
        (K, 2) places, (K,) layers in steps of `differences`, (K,) strengths.
    """
    strong = np.abs(differences) > 0.02 * differences.std() + 1e-4
    high = (differences == maximum_filter(differences, 3, mode="nearest")) & (differences > 0)
    low = (differences == minimum_filter(differences, 3, mode="nearest")) & (differences < 0)
    found = (high | low) & strong
    found[[0, -1]] = False
    found[:, [0, -1]] = False
    found[:, :, [0, -1]] = False
    at = np.argwhere(found)
    k, y, x = at.T
    middle = differences[k, y, x]
    fine = np.empty((len(at), 3), dtype=np.float32)
    for axis, step in enumerate(np.eye(3, dtype=np.int64)):
        before, after = (differences[k + sign * step[0], y + sign * step[1], x + sign * step[2]] for sign in (-1, 1))
        curve = before - 2.0 * middle + after
        fine[:, axis] = at[:, axis] + np.clip(np.where(curve == 0.0, 0.0, 0.5 * (before - after) / np.where(curve == 0.0, 1.0, curve)), -0.5, 0.5)
    return fine[:, 1:], fine[:, 0], np.abs(middle)


def _surroundings(levels: Floats, places: Floats, layers: Floats, scales: Floats) -> Floats:
    """Samples (K, PATCH, PATCH) around keypoints, from the level of their scale; beyond the border stands what is on it."""
    steps = np.arange(PATCH, dtype=np.float32) - (PATCH - 1) / 2
    down = places[:, :1] + scales[:, None] * steps
    across = places[:, 1:] + scales[:, None] * steps
    level = np.clip(np.rint(layers + 0.5), 0, len(levels) - 1).astype(np.int64)
    down = np.clip(down, 0.0, levels.shape[1] - 1.001)
    across = np.clip(across, 0.0, levels.shape[2] - 1.001)
    top, left = down.astype(np.int64), across.astype(np.int64)
    v, u = (down - top)[:, :, None], (across - left)[:, None, :]
    k, y, x = level[:, None, None], top[:, :, None], left[:, None, :]
    upper = levels[k, y, x] * (1 - u) + levels[k, y, x + 1] * u
    lower = levels[k, y + 1, x] * (1 - u) + levels[k, y + 1, x + 1] * u
    sampled: Floats = upper * (1 - v) + lower * v
    return sampled


def _upright(patches: Floats) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Turns and mirrors surroundings so that their bright side lies down and across, across more than down."""
    steps = np.arange(PATCH, dtype=np.float32) - (PATCH - 1) / 2
    window = np.exp(-(steps**2) / (2 * (PATCH / 4) ** 2))
    slope = steps * window
    down = np.einsum("kyx,y,x->k", patches, slope, window, optimize=True)
    across = np.einsum("kyx,y,x->k", patches, window, slope, optimize=True)
    patches = patches.copy()
    patches[down < 0] = patches[down < 0, ::-1]
    patches[across < 0] = patches[across < 0, :, ::-1]
    swapped = np.abs(down) > np.abs(across)
    patches[swapped] = patches[swapped].transpose(0, 2, 1)
    return patches, (4 * swapped + 2 * (down < 0) + (across < 0)).astype(np.int8)


@cache
def _cosines() -> Floats:
    """The window and the low frequencies of the cosine transform as one matrix, (PATCH**2, FREQUENCIES**2 - 1); without the mean."""
    steps = np.arange(PATCH)
    waves = np.cos(np.pi * (steps[:, None] + 0.5) * np.arange(FREQUENCIES) / PATCH)
    waves /= np.linalg.norm(waves, axis=0)
    centred = steps - (PATCH - 1) / 2
    window = np.exp(-(centred[:, None] ** 2 + centred**2) / (2 * (PATCH / 3) ** 2)).reshape(-1, 1)
    basis = np.einsum("yi,xj->yxij", waves, waves).reshape(PATCH**2, -1)
    weighted = basis[:, 1:] * window
    # Each column sums to zero, so that brightness drops out whatever the window.
    balanced: Floats = (weighted - window * (weighted.sum(axis=0) / window.sum())).astype(np.float32)
    return balanced
