"""The flaws of `textures`: each takes a ground with its light and gives it back with one flaw, beside the flaw's strength of 0..1 per pixel.

Some add tone (a crack, a stain), some take the pattern itself away or move it (worn, shifted): these have the brightness of their surroundings, so
that finding them means knowing the texture.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from trainables.datasets.surfaces.drawing import Field, Shape, cloud, ellipse, noise, segment, step


def _middle(rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85)


def _blob(rng: np.random.Generator, shape: Shape, low: float, high: float) -> Field:
    """A ragged ellipse of 0..1 with radii between two shares of the side."""
    inside = ellipse(shape, middle=_middle(rng), radii=(rng.uniform(low, high), rng.uniform(low, high)), angle=rng.uniform(0.0, np.pi))
    return step(inside + 0.12 * cloud(rng, shape, 0.04), 0.25)


def _arc(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A bent dark crack across the grain."""
    angle = rng.uniform(0.4, np.pi - 0.4)
    length, width = rng.uniform(0.3, 0.55), rng.uniform(0.012, 0.018)
    strength = segment(surface.shape, middle=_middle(rng), length=length, width=width, angle=angle, bend=rng.uniform(0.5, 1.8) * rng.choice([-1, 1]))
    return surface * (1.0 - rng.uniform(0.65, 0.9) * strength), strength


def _worn(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A patch in which the pattern is rubbed off; its mean tone stays."""
    strength = _blob(rng, surface.shape, 0.11, 0.2)
    smooth = gaussian_filter(surface, 0.06 * surface.shape[1])
    return surface + (smooth - surface) * strength * rng.uniform(0.85, 1.0), strength


def _torn(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A torn thread: a long straight gap along one of the two directions."""
    angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0.0, 0.03)
    strength = segment(surface.shape, middle=_middle(rng), length=rng.uniform(0.3, 0.7), width=rng.uniform(0.024, 0.036), angle=angle)
    return surface + (0.06 - surface) * strength * rng.uniform(0.75, 1.0), strength


def _scratch(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """One or two straight bright scratches."""
    strength = np.zeros_like(surface)
    angle = rng.uniform(0.0, np.pi)
    for _ in range(rng.integers(1, 3)):
        own = rng.normal(angle, 0.15)
        stroke = segment(surface.shape, middle=_middle(rng), length=rng.uniform(0.25, 0.6), width=rng.uniform(0.011, 0.016), angle=own)
        strength = np.maximum(strength, stroke)
    return surface + (1.0 - surface) * strength * rng.uniform(0.6, 0.9), strength


def _stain(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A soft dark stain that lets the pattern through."""
    strength = _blob(rng, surface.shape, 0.09, 0.18)
    return surface * (1.0 - rng.uniform(0.35, 0.6) * strength), strength


def _crack(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A crack that wanders and forks, wider than any seam and brighter: the light comes through."""
    side = surface.shape[1]
    strength = np.zeros_like(surface)
    y, x = _middle(rng)
    angle = np.arctan2(0.5 - y, 0.5 - x) + rng.normal(0.0, 0.5)
    branches = [(y, x, angle, int(rng.integers(5, 9)))]
    while branches:
        y, x, angle, steps = branches.pop()
        for k in range(steps):
            length = rng.uniform(0.05, 0.08)
            middle = (y + np.sin(angle) * length / 2, x + np.cos(angle) * length / 2)
            # `segment` measures its angle from the downward axis, the walk from the one across.
            stroke = segment(surface.shape, middle=middle, length=length + 1.5 / side, width=0.014, angle=np.pi / 2 - angle)
            strength = np.maximum(strength, stroke)
            y, x = y + np.sin(angle) * length, x + np.cos(angle) * length
            if k == 2 and steps > 4:
                branches.append((y, x, angle + rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.0), 3))
            angle += rng.normal(0.0, 0.45)
    return surface + (1.0 - surface) * strength * rng.uniform(0.55, 0.85), strength


def _specks(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A swarm of small bright specks."""
    near = ellipse(surface.shape, middle=_middle(rng), radii=(rng.uniform(0.1, 0.2), rng.uniform(0.1, 0.2)), angle=rng.uniform(0.0, np.pi))
    strength = step(noise(rng, surface.shape, 0.012, 0.012) - rng.uniform(0.4, 0.8), 0.5) * step(near, 0.2)
    return surface + (1.0 - surface) * strength * rng.uniform(0.55, 0.85), strength


def _burnish(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A long patch pressed flat and shining."""
    inside = ellipse(surface.shape, middle=_middle(rng), radii=(rng.uniform(0.14, 0.26), rng.uniform(0.04, 0.08)), angle=rng.uniform(0.0, np.pi))
    strength = step(inside, 0.3)
    bright = gaussian_filter(surface, 0.05 * surface.shape[1]) + rng.uniform(0.12, 0.26)
    return surface + (bright - surface) * strength * rng.uniform(0.7, 0.95), strength


def _shifted(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """A patch in which the pattern has slipped: every pixel comes from about half a rib further up."""
    side = surface.shape[1]
    inside = ellipse(surface.shape, middle=_middle(rng), radii=(rng.uniform(0.12, 0.2), rng.uniform(0.1, 0.18)), angle=rng.uniform(0.0, np.pi))
    strength = step(inside, 0.08)
    down, across = np.indices(surface.shape, dtype=np.float32)
    slip = rng.uniform(0.05, 0.08) * side * rng.choice([-1.0, 1.0])
    slipped = map_coordinates(surface, [down + slip * strength, across], order=1, mode="mirror")
    return slipped, strength


def _blocked(rng: np.random.Generator, surface: Field) -> tuple[Field, Field]:
    """Holes filled up: within a patch all is as bright as the sheet."""
    strength = _blob(rng, surface.shape, 0.11, 0.2)
    sheet = float(np.percentile(surface, 70.0)) + 0.02 * noise(rng, surface.shape, 0.02, 0.02)
    return surface + (sheet - surface) * strength * rng.uniform(0.85, 1.0), strength


FLAWS: dict[str, tuple[str, Callable[[np.random.Generator, Field], tuple[Field, Field]]]] = {
    "brushed": ("arc", _arc),
    "grainy": ("worn", _worn),
    "woven": ("torn", _torn),
    "turned": ("scratch", _scratch),
    "rayed": ("stain", _stain),
    "cellular": ("crack", _crack),
    "mottled": ("specks", _specks),
    "knurled": ("burnish", _burnish),
    "ribbed": ("shifted", _shifted),
    "perforated": ("blocked", _blocked),
}
"""Ground -> name of its flaw, and what lays it over a lit ground of 0..1: image and strength."""
