"""What surfaces are drawn with: coordinates, soft steps, noise, lines and ellipses. Called by `procedural` and by every file beside this one.

Lengths are shares of the picture's width, so that any size shows the same surface, finer or coarser.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

Field = npt.NDArray[np.floating[Any]]
"""(H, W) of floats; images in 0..1 before they are quantised."""

Shape = tuple[int, ...]
"""Height and width in pixels."""

COARSE_PX = 2.0
"""Correlation length in pixels at which `cloud` draws before it enlarges."""


def noise(rng: np.random.Generator, shape: Shape, along: float, across: float) -> Field:
    """Draws smooth noise of zero mean and unit deviation; correlation lengths down the picture and across it."""
    white = rng.standard_normal(shape, dtype=np.float32)
    width = shape[1]
    smooth = gaussian_filter(white, (max(along * width, 0.3), max(across * width, 0.3)), mode="wrap", truncate=3.0)
    return standardise(smooth)


def cloud(rng: np.random.Generator, shape: Shape, length: float) -> Field:
    """Draws noise of a long correlation length as `noise` does, at a cost that does not grow with that length."""
    pace = max(length * shape[1] / COARSE_PX, 1.0)
    coarse = tuple(max(4, round(side / pace)) for side in shape)
    small = gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), COARSE_PX, mode="wrap", truncate=3.0)
    return standardise(np.asarray(Image.fromarray(small).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)))


def standardise(field: Field) -> Field:
    """Scales to zero mean and unit deviation."""
    scaled: Field = (field - field.mean()) / (field.std() + 1e-6)
    return scaled


def grid(shape: Shape) -> tuple[Field, Field]:
    """Gives the coordinates of pixel centres, (H, 1) down and (1, W) across; the width is 1."""
    height, width = shape
    down, across = (np.arange(height, dtype=np.float32) + 0.5) / width, (np.arange(width, dtype=np.float32) + 0.5) / width
    return down[:, None], across[None, :]


def turned(down: Field, across: Field, angle: float) -> tuple[Field, Field]:
    """Turns coordinates by an angle in radians; gives those along the new axes (down, across)."""
    return across * np.sin(angle) + down * np.cos(angle), across * np.cos(angle) - down * np.sin(angle)


def step(values: Field, softness: float) -> Field:
    """A soft step from 0 to 1 at zero."""
    ramp: Field = np.clip(values / softness * 0.5 + 0.5, 0.0, 1.0)
    return ramp * ramp * (3.0 - 2.0 * ramp)


def line(rng: np.random.Generator, shape: Shape, *, width: float, tilt: float) -> Field:
    """Draws one bent line down a square picture, with ends, as a soft profile of 0..1."""
    down, across = grid(shape)
    length = rng.uniform(0.25, 1.3)
    middle = rng.uniform(0.1, 0.9)
    slope, bend = rng.normal(0.0, tilt), rng.normal(0.0, tilt)
    place = rng.uniform(0.05, 0.95) + slope * (down - middle) + bend * (down - middle) ** 2
    inside = step(length / 2 - np.abs(down - middle), 0.04)
    taper = np.maximum(width * (0.5 + 0.5 * inside), 0.35 / shape[1])
    profile: Field = np.exp(-(((across - place) / taper) ** 2)) * inside
    return profile


def segment(shape: Shape, *, middle: tuple[float, float], length: float, width: float, angle: float, bend: float = 0.0) -> Field:
    """Draws one stroke as a soft profile of 0..1: straight, or a parabola for a `bend`; its middle is given as (down, across)."""
    down, across = grid(shape)
    along, aside = turned(down - middle[0], across - middle[1], angle)
    thick = max(width, 0.7 / shape[1])
    profile: Field = np.exp(-(((aside - bend * along**2) / thick) ** 2)) * step(length / 2 - np.abs(along), 0.03)
    return profile


def ellipse(shape: Shape, *, middle: tuple[float, float], radii: tuple[float, float], angle: float) -> Field:
    """Gives how far inside an ellipse each pixel lies: 1 at its middle, 0 on its rim, negative outside."""
    down, across = grid(shape)
    along, aside = turned(down - middle[0], across - middle[1], angle)
    inside: Field = 1.0 - np.sqrt((along / radii[0]) ** 2 + (aside / radii[1]) ** 2)
    return inside


def quantise(rng: np.random.Generator, surface: Field, *, low: float, high: float) -> npt.NDArray[np.uint8]:
    """Adds a camera's noise, of a deviation between `low` and `high`, and rounds 0..1 to 8 bits."""
    noisy = surface + rng.standard_normal(surface.shape, dtype=np.float32) * rng.uniform(low, high)
    return np.clip(noisy * 255.0, 0.0, 255.0).astype(np.uint8)
