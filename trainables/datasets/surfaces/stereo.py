"""Procedural photometric stereo: three measured channels per picture, as Saiz et al. (Appl. Sci. 11:6368, section 2.1) have them, with exact masks.

Channel 0 is curvature, 1 is range (height), 2 is texture (reflectance). They are no colours: a dent shows in the shape alone, a stain in the
reflectance alone, a scratch in curvature and reflectance. Who mixes or tints channels destroys what tells the classes apart. Called through
`DATASETS`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.ndimage import gaussian_laplace

from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Sample
from trainables.datasets.settings import DataSettings
from trainables.datasets.surfaces.drawing import Field, Shape, cloud, ellipse, noise, quantise, segment, step
from trainables.datasets.surfaces.drawn import Drawn, numbered, refuse_folder
from trainables.seeds import child_seed

VERSION = 1
"""Of the drawing; a change gives other images, so it is part of the fingerprint."""

CLASSES = ("dent", "scratch", "stain")
CHANNELS = ("curvature", "range", "texture")

LEAST_AREA = 0.008
"""Share of the picture that a defect covers at least."""

VISIBLE = 0.5
"""Share of a defect's full strength from which a pixel belongs to its mask."""

BEND = 0.02
"""Scale at which curvature is measured, in sides."""


def draw(cls: str, *, size_px: int, seed: int) -> Picture:
    """Draws one picture; the same arguments give the same one.

    Args:
        cls: one of `CLASSES`, or `defect_free`.
        size_px: side of the picture.
        seed: of this one picture.

    Returns:
        (size_px, size_px, 3) of curvature, range and texture, and the exact mask.
    """
    rng = np.random.default_rng(seed)
    shape = (size_px, size_px)
    # A milled part: waviness, grooves and roughness in its shape; brushing, handling marks and grain in its reflectance.
    groove = np.sin(2.0 * np.pi * np.linspace(0.0, rng.uniform(5.0, 9.0), size_px, dtype=np.float32) + rng.uniform(0.0, 6.3))
    height = cloud(rng, shape, rng.uniform(0.09, 0.16)) + rng.uniform(0.05, 0.15) * groove[None, :] + 0.04 * noise(rng, shape, 0.012, 0.012)
    albedo = rng.uniform(0.45, 0.65) + 0.03 * noise(rng, shape, 0.15, 0.008) + rng.uniform(0.01, 0.05) * cloud(rng, shape, 0.12)
    mask = np.zeros(shape, dtype=bool)
    if cls != DEFECT_FREE:
        while mask.mean() < LEAST_AREA:
            deeper, paler, strength = _DEFECTS[cls](rng, shape)
            mask = strength > VISIBLE
        height, albedo = height + deeper, albedo + paler
    bent = gaussian_laplace(height, max(BEND * size_px, 0.8), mode="mirror") * max(BEND * size_px, 0.8) ** 2
    planes = (0.5 + 0.9 * bent, 0.5 + 0.13 * height, albedo)
    pixels = np.stack([quantise(rng, plane, low=0.006, high=0.02) for plane in planes], axis=2)
    return Picture(pixels=pixels, mask=mask)


def _place(rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85)


def _dent(rng: np.random.Generator, shape: Shape) -> tuple[Field, Field, Field]:
    """A hollow or a bump of the shape; its reflectance is the surroundings'."""
    inside = ellipse(shape, middle=_place(rng), radii=(rng.uniform(0.06, 0.14), rng.uniform(0.06, 0.14)), angle=rng.uniform(0.0, np.pi))
    strength = step(inside + 0.05 * cloud(rng, shape, 0.05), 0.45)
    return strength * rng.uniform(1.2, 2.2) * rng.choice([-1.0, 1.0]), np.zeros(shape, np.float32), step(inside, 0.1)


def _scratch(rng: np.random.Generator, shape: Shape) -> tuple[Field, Field, Field]:
    """One or two narrow furrows, bright where the metal is bare: sharp in the curvature, hardly there in the range."""
    strength = np.zeros(shape, np.float32)
    angle, depth, bare = rng.uniform(0.0, np.pi), rng.uniform(0.3, 0.6), rng.uniform(0.1, 0.25)
    for _ in range(rng.integers(1, 3)):
        length, width = rng.uniform(0.3, 0.7), rng.uniform(0.009, 0.014)
        stroke = segment(shape, middle=_place(rng), length=length, width=width, angle=rng.normal(angle, 0.2), bend=rng.normal(0.0, 0.2))
        strength = np.maximum(strength, stroke)
    return -depth * strength, bare * strength, strength


def _stain(rng: np.random.Generator, shape: Shape) -> tuple[Field, Field, Field]:
    """A dark or pale spot of the reflectance; the shape knows nothing of it."""
    inside = ellipse(shape, middle=_place(rng), radii=(rng.uniform(0.07, 0.17), rng.uniform(0.07, 0.17)), angle=rng.uniform(0.0, np.pi))
    strength = step(inside + 0.15 * cloud(rng, shape, 0.05), 0.3)
    return np.zeros(shape, np.float32), strength * rng.uniform(0.1, 0.22) * rng.choice([-1.0, -1.0, 1.0]), strength


_DEFECTS: dict[str, Callable[[np.random.Generator, Shape], tuple[Field, Field, Field]]] = {"dent": _dent, "scratch": _scratch, "stain": _stain}
"""Class -> what it adds to the height and to the reflectance, and its strength of 0..1."""


class Stereo(Drawn):
    """Lists the pictures of some settings."""

    def listing(self, settings: DataSettings) -> Listing:
        """Lists pictures that will be drawn at the training size when they are read.

        Raises:
            DatasetError: a folder was named.
        """
        wanted = settings.stereo
        refuse_folder(settings)
        return numbered(
            CLASSES,
            per_class=wanted.per_class,
            defect_free=wanted.defect_free,
            read=partial(_read, seed=wanted.seed, size_px=settings.size_px),
            content=f"stereo {VERSION} {wanted}",
            physical=True,
        )


def _read(sample: Sample, *, seed: int, size_px: int) -> Picture:
    return draw(sample.cls, size_px=size_px, seed=child_seed(seed, "stereo", sample.name))
