"""The ten grounds of `textures`, each a kind of finish that a person tells at a glance: brushed, turned, woven, etched and so on.

A ground is drawn as a pattern of zero mean and about unit deviation; `textures` gives it level, contrast and light. Every one varies from picture to
picture (pitch, angle, phase, centre, grain), so that none is told by one pixel, and its pitch stays above two pixels at 64 px.
"""

from collections.abc import Callable

import numpy as np

from trainables.datasets.surfaces.drawing import Field, Shape, cloud, grid, noise, standardise, step, turned


def _brushed(rng: np.random.Generator, shape: Shape) -> Field:
    """Fine streaks down the picture, as a brush leaves them."""
    return noise(rng, shape, rng.uniform(0.12, 0.25), rng.uniform(0.008, 0.012)) + 0.4 * noise(rng, shape, 0.05, 0.015)


def _grainy(rng: np.random.Generator, shape: Shape) -> Field:
    """Sand-blasted: grain without any direction."""
    return noise(rng, shape, *2 * (rng.uniform(0.012, 0.018),)) + 0.2 * cloud(rng, shape, 0.1)


def _woven(rng: np.random.Generator, shape: Shape) -> Field:
    """Wire cloth: threads along and across, each over the other in turn."""
    down, across = turned(*grid(shape), rng.uniform(-0.06, 0.06))
    pitch = rng.uniform(0.11, 0.14)
    u, v = (down / pitch + rng.random()) * np.pi, (across / pitch + rng.random()) * np.pi
    over = step(np.sin(u) * np.sin(v), 0.25)
    along, aside = np.abs(np.sin(u)) * (0.6 + 0.4 * np.abs(np.cos(v))), np.abs(np.sin(v)) * (0.6 + 0.4 * np.abs(np.cos(u)))
    return standardise(over * along + (1.0 - over) * 0.6 * aside) + 0.25 * noise(rng, shape, 0.01, 0.01)


def _turned(rng: np.random.Generator, shape: Shape) -> Field:
    """A lathe's rings about a centre in or near the picture."""
    down, across = grid(shape)
    radius = np.hypot(down - rng.uniform(-0.1, 1.1), across - rng.uniform(-0.1, 1.1))
    pitch = rng.uniform(0.065, 0.09)
    rings = np.sin(2.0 * np.pi * (radius / pitch + 0.15 * cloud(rng, shape, 0.2)))
    return rings + 0.35 * noise(rng, shape, 0.01, 0.01)


def _rayed(rng: np.random.Generator, shape: Shape) -> Field:
    """A star of rays about a hub, as a forged or ground end shows."""
    down, across = grid(shape)
    y, x = down - rng.uniform(0.35, 0.65), across - rng.uniform(0.35, 0.65)
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    rays = np.zeros(shape, np.float32)
    for _ in range(rng.integers(26, 36)):
        spread, start = rng.uniform(0.018, 0.035), rng.uniform(0.0, 0.15)
        off = np.abs(np.angle(np.exp(1j * (angle - rng.uniform(-np.pi, np.pi))))) * radius
        rays += rng.choice([-1.0, 1.0]) * np.exp(-((off / (spread * (0.3 + radius))) ** 2)) * step(radius - start, 0.1)
    return standardise(rays - 2.0 * np.exp(-((radius / 0.05) ** 2))) + 0.2 * noise(rng, shape, 0.01, 0.01)


def _cellular(rng: np.random.Generator, shape: Shape) -> Field:
    """Etched crystals: cells of slightly different tone with dark seams."""
    down, across = grid(shape)
    rows, columns = 6, 6
    y = (np.arange(-1, rows + 1)[:, None] + rng.uniform(0.1, 0.9, (rows + 2, columns + 2))) / rows
    x = (np.arange(-1, columns + 1)[None] + rng.uniform(0.1, 0.9, (rows + 2, columns + 2))) / columns
    tones = rng.normal(0.0, 0.45, y.size).astype(np.float32)
    bent = 0.012 * cloud(rng, shape, 0.05), 0.012 * cloud(rng, shape, 0.05)
    far = np.hypot(down + bent[0] - y.reshape(-1, 1, 1), across + bent[1] - x.reshape(-1, 1, 1)).astype(np.float32)
    nearest = np.argmin(far, axis=0)
    first, second = np.partition(far, 1, axis=0)[:2]
    seams = np.exp(-(((second - first) / 0.018) ** 2))
    return standardise(tones[nearest] - 2.0 * seams) + 0.2 * noise(rng, shape, 0.01, 0.01)


def _mottled(rng: np.random.Generator, shape: Shape) -> Field:
    """Large soft clouds, as on a pickled or cast skin."""
    return cloud(rng, shape, rng.uniform(0.06, 0.09)) + 0.6 * cloud(rng, shape, 0.03) + 0.12 * noise(rng, shape, 0.008, 0.008)


def _knurled(rng: np.random.Generator, shape: Shape) -> Field:
    """Diamonds: two families of grooves that cross at a slant."""
    down, across = grid(shape)
    pitch, half = rng.uniform(0.1, 0.13), rng.uniform(0.6, 0.75)
    ridges = [np.abs(np.sin(np.pi * (turned(down, across, angle)[1] / pitch + rng.random()))) for angle in (half, -half)]
    return standardise(np.minimum(*ridges)) + 0.25 * noise(rng, shape, 0.01, 0.01)


def _ribbed(rng: np.random.Generator, shape: Shape) -> Field:
    """Broad ribs across the picture, lit from above."""
    down, across = turned(*grid(shape), rng.uniform(-0.12, 0.12))
    pitch = rng.uniform(0.13, 0.18)
    place = (down / pitch + 0.06 * cloud(rng, shape, 0.15) + rng.random() + 0.0 * across) % 1.0
    # A saw of a gentle flank and a steep one is no sine: that tells ribs from rings where these are nearly straight.
    rib = place - 1.8 * np.exp(-(((place - 0.5) / 0.5) ** 8)) * step(place - 0.75, 0.2)
    return standardise(rib) + 0.2 * noise(rng, shape, 0.012, 0.012)


def _perforated(rng: np.random.Generator, shape: Shape) -> Field:
    """Sheet with rows of dark holes, each row set off by half a pitch."""
    down, across = turned(*grid(shape), rng.uniform(-0.08, 0.08))
    pitch = rng.uniform(0.15, 0.19)
    row = down / (0.866 * pitch) + rng.random()
    column = across / pitch + rng.random() + 0.5 * (np.floor(row) % 2)
    hole = np.hypot((row % 1.0 - 0.5) * 0.866, column % 1.0 - 0.5)
    return -2.2 * step(rng.uniform(0.24, 0.3) - hole, 0.2) + 0.35 * noise(rng, shape, 0.02, 0.006)


GROUNDS: dict[str, Callable[[np.random.Generator, Shape], Field]] = {
    "brushed": _brushed,
    "grainy": _grainy,
    "woven": _woven,
    "turned": _turned,
    "rayed": _rayed,
    "cellular": _cellular,
    "mottled": _mottled,
    "knurled": _knurled,
    "ribbed": _ribbed,
    "perforated": _perforated,
}
"""Name -> what draws it, (H, W) of zero mean and about unit deviation."""
