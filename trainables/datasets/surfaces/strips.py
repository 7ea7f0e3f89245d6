"""Procedural strips: whole parts of 2048 x 512 pixels in black borders, with small defects of four classes and exact masks.

They are what the SDG-GAN paper photographs (Mustafaev et al., Figs. 2 and 8): turned motor housings unrolled into a strip, the camera's picture black
where the part ends. Many defects cover less than a hundredth of the part, so that they all but vanish when the whole is shrunk, and are plain in
a patch of 256 pixels. Lengths are shares of the part's width. Called through `DATASETS`.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from trainables.datasets.listing import DEFECT_FREE, Listing, Picture, Sample
from trainables.datasets.settings import DataSettings
from trainables.datasets.surfaces.drawing import Field, Shape, cloud, ellipse, noise, quantise, segment, step
from trainables.datasets.surfaces.drawn import Drawn, numbered, refuse_folder
from trainables.seeds import child_seed

VERSION = 1
"""Of the drawing; a change gives other images, so it is part of the fingerprint."""

CLASSES = ("imprinted", "pits", "roll-marks", "scratches")
"""The paper's defect classes; its fifth is defect-free."""

ASPECT = 4
"""Height of a part over its width: 2048 x 512."""

VISIBLE = 0.5
"""Share of a defect's full strength from which a pixel belongs to its mask."""

LEAST_AREA = 0.0005
"""Share of the part that its defects cover at least: 520 of a million pixels."""

Window = tuple[slice, slice]


def draw(cls: str, *, height_px: int, seed: int) -> Picture:
    """Draws one strip in its borders; the same arguments give the same picture.

    Args:
        cls: one of `CLASSES`, or `defect_free`.
        height_px: height of the part without borders; its width is a quarter of that.
        seed: of this one picture.

    Returns:
        Grey pixels, larger than the part by borders of 3 to 60 % of its width on either side and up to 3 % of its height, and the exact mask.
    """
    rng = np.random.default_rng(seed)
    width_px = height_px // ASPECT
    surface = _part(rng, (height_px, width_px))
    mask = np.zeros(surface.shape, dtype=bool)
    if cls != DEFECT_FREE:
        while mask.mean() < LEAST_AREA:
            image = surface.copy()
            strength = np.zeros_like(surface)
            _DEFECTS[cls](rng, image, strength)
            mask = strength > VISIBLE
        surface = image
    left, right = (int(rng.uniform(0.03, 0.6) * width_px) for _ in range(2))
    top, bottom = (int(rng.uniform(0.0, 0.03) * height_px) for _ in range(2))
    margins = ((top, bottom), (left, right))
    return Picture(pixels=quantise(rng, np.pad(surface, margins, constant_values=0.01), low=0.003, high=0.01), mask=np.pad(mask, margins))


def _part(rng: np.random.Generator, shape: Shape) -> Field:
    """Draws a turned, polished part: fine tool marks across, a highlight down its length, stains that are no defects."""
    height, width = shape
    across = (np.arange(width, dtype=np.float32) + 0.5) / width
    lines = rng.standard_normal(height).astype(np.float32)
    marks = np.convolve(lines, np.ones(3, np.float32) / 3, mode="same") * rng.uniform(0.01, 0.03)
    highlight = rng.uniform(0.05, 0.18) * np.exp(-(((across - rng.uniform(0.2, 0.8)) / rng.uniform(0.12, 0.3)) ** 2))
    surface = rng.uniform(0.4, 0.55) + marks[:, None] + highlight[None, :]
    surface = surface + cloud(rng, shape, 0.25) * rng.uniform(0.01, 0.04) + cloud(rng, shape, 0.02) * rng.uniform(0.003, 0.012)
    # The part is round: its flanks turn away from the light.
    dimmed: Field = (surface * (1.0 - rng.uniform(0.2, 0.45) * (2.0 * np.abs(across - 0.5)) ** 4)[None, :]).astype(np.float32)
    return dimmed


def _window(rng: np.random.Generator, surface: Field, size: float) -> tuple[Window, Shape]:
    """Picks a square of the part, `size` of its width wide, so that a small defect costs no pass over the whole; gives it and its shape."""
    side = max(8, int(size * surface.shape[1]))
    top, left = rng.integers(0, surface.shape[0] - side + 1), rng.integers(0, surface.shape[1] - side + 1)
    return (slice(top, top + side), slice(left, left + side)), (side, side)


def _lay(surface: Field, strength: Field, window: Window, profile: Field, tone: float) -> None:
    """Adds a defect's tone in a window, and notes how strong it is."""
    surface[window] += profile * tone
    strength[window] = np.maximum(strength[window], profile)


def _imprinted(rng: np.random.Generator, surface: Field, strength: Field) -> None:
    """One or two marks pressed in: a ring or a bar, dark on the flank away from the light and bright on the other."""
    for _ in range(rng.integers(1, 3)):
        window, shape = _window(rng, surface, rng.uniform(0.16, 0.4))
        angle = rng.uniform(0.0, np.pi)
        long = rng.uniform(0.25, 0.42)
        inside = ellipse(shape, middle=(0.5, 0.5), radii=(long, long * rng.uniform(0.35, 1.0)), angle=angle) + 0.05 * cloud(rng, shape, 0.2)
        rim = np.exp(-((inside / rng.uniform(0.08, 0.14)) ** 2))
        lit = np.clip(np.linspace(-3.0, 3.0, shape[0], dtype=np.float32), -1.0, 1.0)[:, None]
        surface[window] += rim * lit * rng.uniform(0.12, 0.22)
        _lay(surface, strength, window, step(inside + 0.1, 0.15), -rng.uniform(0.03, 0.1))


def _pits(rng: np.random.Generator, surface: Field, strength: Field) -> None:
    """A swarm of small dark holes."""
    window, shape = _window(rng, surface, rng.uniform(0.25, 0.6))
    gate = step(ellipse(shape, middle=(0.5, 0.5), radii=(0.45, rng.uniform(0.25, 0.45)), angle=rng.uniform(0.0, np.pi)), 0.3)
    size = 0.012 * surface.shape[1] / shape[1]
    holes = step(noise(rng, shape, size, size) - rng.uniform(1.2, 1.8), 0.5) * gate
    _lay(surface, strength, window, holes, -rng.uniform(0.15, 0.32))


def _roll_marks(rng: np.random.Generator, surface: Field, strength: Field) -> None:
    """One mark of a roll, again at every turn: three to six alike, evenly down the part, broad and faint."""
    height, width = surface.shape
    window, shape = _window(rng, surface, rng.uniform(0.18, 0.35))
    inside = ellipse(shape, middle=(0.5, 0.5), radii=(rng.uniform(0.12, 0.25), rng.uniform(0.3, 0.45)), angle=rng.normal(0.0, 0.2))
    profile = step(inside + 0.12 * cloud(rng, shape, 0.1), 0.35)
    pace, tone = int(rng.uniform(0.5, 1.0) * width), rng.uniform(0.07, 0.17) * rng.choice([-1.0, 1.0])
    first = int(rng.integers(0, max(1, height - shape[0] - 2 * pace)))
    for top in range(first, min(first + 6 * pace, height - shape[0]), pace):
        _lay(surface, strength, (slice(top, top + shape[0]), window[1]), profile, tone * rng.uniform(0.7, 1.1))


def _scratches(rng: np.random.Generator, surface: Field, strength: Field) -> None:
    """One to four thin lines, bright or dark, mostly across the tool marks."""
    angle, tone = rng.normal(0.0, 0.5), rng.uniform(0.12, 0.3) * rng.choice([1.0, 1.0, -1.0])
    for _ in range(rng.integers(1, 5)):
        size = rng.uniform(0.3, 0.9)
        window, shape = _window(rng, surface, size)
        own, bend = rng.normal(angle, 0.15), rng.normal(0.0, 0.15)
        _lay(
            surface,
            strength,
            window,
            segment(shape, middle=(0.5, 0.5), length=rng.uniform(0.6, 0.95), width=rng.uniform(0.003, 0.006) / size, angle=own, bend=bend),
            tone,
        )


_DEFECTS: dict[str, Callable[[np.random.Generator, Field, Field], None]] = {
    "imprinted": _imprinted,
    "pits": _pits,
    "roll-marks": _roll_marks,
    "scratches": _scratches,
}
"""Class -> what lays it over a surface, in place, and notes its strength."""


class Strips(Drawn):
    """Lists the strips of some settings."""

    def listing(self, settings: DataSettings) -> Listing:
        """Lists strips that will be drawn at their own size, borders included, when they are read.

        Raises:
            DatasetError: a folder was named.
        """
        wanted = settings.strips
        refuse_folder(settings)
        return numbered(
            CLASSES,
            per_class=wanted.per_class,
            defect_free=wanted.defect_free,
            read=partial(_read, seed=wanted.seed, height_px=wanted.height_px),
            content=f"strips {VERSION} {wanted}",
        )


def _read(sample: Sample, *, seed: int, height_px: int) -> Picture:
    return draw(sample.cls, height_px=height_px, seed=child_seed(seed, "strip", sample.name))
