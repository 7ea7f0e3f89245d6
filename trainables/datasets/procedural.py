"""Procedural steel surfaces: six defect classes named after NEU's, with exact masks, and defect-free images. Demo and tests live on them.

An image is a rolled surface (level, light, streaks along the rolling direction, grain, faint marks that are no defect) and one kind of defect laid
over it. Lengths are in units of the picture's side, so that any size shows the same surface, finer or coarser. Called through `DATASETS`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_filter1d

from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Sample
from trainables.datasets.settings import DataSettings
from trainables.datasets.surfaces.drawing import Field, grid, line, noise, quantise, step
from trainables.datasets.surfaces.drawn import Drawn, numbered, refuse_folder
from trainables.errors import DatasetError
from trainables.seeds import child_seed

VERSION = 3
"""Of the drawing; a change gives other images, so it is part of the fingerprint."""

CLASSES = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")

LEAST_AREA = 0.006
"""Share of the picture that a defect covers at least; a smaller one is drawn anew, because nobody could name its class."""

VISIBLE = 0.5
"""Share of a defect's full strength from which a pixel belongs to its mask."""


def draw(cls: str, *, size_px: int, seed: int) -> Picture:
    """Draws one surface; the same arguments give the same picture.

    Args:
        cls: one of `CLASSES`, or `defect_free`.
        size_px: side of the picture.
        seed: of this one picture.

    Returns:
        (size_px, size_px) grey pixels and the exact mask of the defect.
    """
    rng = np.random.default_rng(seed)
    surface = _surface(rng, size_px)
    mask = np.zeros((size_px, size_px), dtype=bool)
    if cls != DEFECT_FREE:
        while mask.mean() < LEAST_AREA:
            image, strength = _DEFECTS[cls](rng, surface)
            mask = strength > VISIBLE
        surface = image
    return Picture(pixels=quantise(rng, surface, low=0.006, high=0.02), mask=mask)


def _surface(rng: np.random.Generator, side: int) -> Field:
    """Draws a rolled surface, with faint marks of every kind that are no defects and make the classes harder to tell."""
    shape = (side, side)
    down, across = grid(shape)
    level = rng.uniform(0.32, 0.68)
    light = rng.uniform(-0.16, 0.16) * (across - 0.5) + rng.uniform(-0.08, 0.08) * (down - 0.5) + rng.uniform(-0.12, 0.06) * (across - 0.5) ** 2 * 4.0
    lines = gaussian_filter1d(rng.standard_normal(side).astype(np.float32), rng.uniform(0.005, 0.06) * side, mode="wrap")
    streaks = lines / (lines.std() + 1e-6) * rng.uniform(0.0, 0.03)
    brushed = noise(rng, shape, rng.uniform(0.02, 0.12), 0.006) * rng.uniform(0.005, 0.032)
    grain = noise(rng, shape, 0.008, 0.008) * rng.uniform(0.0, 0.045)
    stain = noise(rng, shape, 0.15, 0.1) * rng.uniform(0.0, 0.04)
    surface = level + light + streaks[None, :] + brushed + grain + stain
    if rng.random() < 0.5:
        specks = step(noise(rng, shape, 0.012, 0.012) - rng.uniform(2.2, 3.0), 0.4)
        surface = surface + specks * rng.uniform(-0.15, 0.12)
    if rng.random() < 0.4:
        surface = surface + line(rng, shape, width=rng.uniform(0.004, 0.02), tilt=0.05) * rng.uniform(-0.07, 0.07)
    return np.clip(surface, 0.03, 0.97).astype(np.float32)


def _crazing(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A web of fine dark cracks, lying across the rolling direction, on a grainy ground."""
    shape = surface.shape
    grain = noise(rng, shape, 0.01, 0.01) * rng.uniform(0.02, 0.06)
    strength = np.zeros_like(surface)
    for _ in range(rng.integers(2, 4)):
        web = noise(rng, shape, rng.uniform(0.025, 0.045), rng.uniform(0.045, 0.09)) + 0.15 * noise(rng, shape, 0.01, 0.01)
        ridge = np.exp(-((web / rng.uniform(0.08, 0.16)) ** 2))
        gate = step(noise(rng, shape, 0.06, 0.06) - rng.uniform(0.1, 0.8), 0.8)
        strength = np.maximum(strength, ridge * gate)
    return surface + grain - strength * rng.uniform(0.16, 0.36), strength


def _inclusion(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """Dark slivers drawn out along the rolling direction, alone or in a file, with ragged edges."""
    shape = surface.shape
    down, across = grid(shape)
    ragged = noise(rng, shape, 0.03, 0.012) * 0.35
    strength = np.zeros_like(surface)
    centre = rng.uniform(0.15, 0.85)
    for _ in range(rng.integers(1, 9)):
        wide, long = rng.uniform(0.014, 0.045), rng.uniform(0.05, 0.28)
        y, x = rng.uniform(0.05, 0.95), centre + rng.normal(0.0, 0.12)
        lean = rng.normal(0.0, 0.06)
        distance = np.sqrt(((across - x - lean * (down - y)) / wide) ** 2 + ((down - y) / long) ** 2)
        strength = np.maximum(strength, step(1.0 - distance + ragged, 0.5))
    return surface - strength * rng.uniform(0.09, 0.28), strength


def _patches(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """Large dark islands with soft ragged borders on a bright, mottled ground."""
    shape = surface.shape
    islands = noise(rng, shape, rng.uniform(0.09, 0.2), rng.uniform(0.07, 0.14)) + noise(rng, shape, 0.02, 0.02) * rng.uniform(0.1, 0.3)
    strength = step(islands - rng.uniform(0.5, 1.3), rng.uniform(0.3, 0.7))
    mottled = noise(rng, shape, 0.02, 0.015) * rng.uniform(0.02, 0.07)
    bright = surface + rng.uniform(0.0, 0.3) + mottled
    return bright - strength * rng.uniform(0.14, 0.45), strength


def _pitted(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """Fields of small dark pits, often ending at an edge along the rolling direction."""
    shape = surface.shape
    _, across = grid(shape)
    pits = noise(rng, shape, rng.uniform(0.013, 0.028), rng.uniform(0.011, 0.02))
    edge = noise(rng, shape, 0.25, 0.04) * 0.03 + across - rng.uniform(0.15, 0.85)
    field = step(edge * rng.choice([-1.0, 1.0]), 0.15) if rng.random() < 0.7 else np.ones_like(surface)
    field = field * step(noise(rng, shape, 0.2, 0.12) + rng.uniform(0.0, 1.5), 1.0)
    strength = step(pits - rng.uniform(1.0, 1.8), 0.5) * field
    return surface + rng.uniform(0.0, 0.12) - field * rng.uniform(-0.03, 0.05) - strength * rng.uniform(0.1, 0.28), strength


def _scale(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """Flakes pressed in at a slant: dark on one flank, bright on the other, strewn in swarms."""
    shape = surface.shape
    down, across = grid(shape)
    strength = np.zeros_like(surface)
    relief = np.zeros_like(surface)
    centre_y, centre_x, spread = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.35)
    slant = rng.uniform(0.3, 0.8) * rng.choice([-1.0, 1.0])
    for _ in range(rng.integers(5, 22)):
        y, x = centre_y + rng.normal(0.0, spread), centre_x + rng.normal(0.0, spread)
        long, wide = rng.uniform(0.022, 0.06), rng.uniform(0.011, 0.024)
        u = (across - x) * np.cos(slant) - (down - y) * np.sin(slant)
        v = (across - x) * np.sin(slant) + (down - y) * np.cos(slant)
        flake = np.exp(-((u / long) ** 2) - (v / wide) ** 2)
        bright = np.exp(-((u / long) ** 2) - ((v - 1.6 * wide) / wide) ** 2)
        relief += flake - 0.7 * bright
        strength = np.maximum(strength, np.maximum(flake, bright))
    torn = 1.0 + 0.5 * noise(rng, shape, 0.015, 0.015)
    haze = noise(rng, shape, 0.02, 0.05) * rng.uniform(0.01, 0.04)
    return surface + haze - np.clip(relief, -1.0, 1.2) * torn * rng.uniform(0.13, 0.34), strength


def _scratches(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """Bright lines along the rolling direction, some bent or broken."""
    shape = surface.shape
    strength = np.zeros_like(surface)
    tilt = rng.uniform(0.01, 0.2)
    for _ in range(rng.integers(1, 5)):
        stroke = line(rng, shape, width=rng.uniform(0.004, 0.018), tilt=tilt)
        if rng.random() < 0.5:
            stroke = stroke * step(noise(rng, shape, 0.08, 0.03) + rng.uniform(0.0, 1.0), 0.6)
        strength = np.maximum(strength, stroke)
    return surface + strength * rng.uniform(0.12, 0.45), strength


_DEFECTS: dict[str, Callable[[np.random.Generator, Field], tuple[Field, Field]]] = {
    "crazing": _crazing,
    "inclusion": _inclusion,
    "patches": _patches,
    "pitted_surface": _pitted,
    "rolled-in_scale": _scale,
    "scratches": _scratches,
}


class ProceduralSurfaces(Drawn):
    """Lists the surfaces of some settings."""

    def listing(self, settings: DataSettings) -> Listing:
        """Lists images that will be drawn at the training size when they are read.

        Raises:
            DatasetError: a folder was named, or a count is negative.
        """
        wanted = settings.procedural
        refuse_folder(settings)
        if wanted.per_class < 0 or wanted.defect_free < 0:
            raise DatasetError(f"data.procedural: {wanted.per_class} images per class and {wanted.defect_free} defect-free; expected 0 or more.")
        return numbered(
            CLASSES,
            per_class=wanted.per_class,
            defect_free=wanted.defect_free,
            read=partial(_read, seed=wanted.seed, size_px=settings.size_px),
            content=f"procedural {VERSION} {wanted.per_class} {wanted.defect_free} {wanted.seed}",
        )


def _read(sample: Sample, *, seed: int, size_px: int) -> Picture:
    return draw(sample.cls, size_px=size_px, seed=child_seed(seed, "surface", sample.name))
