"""Distances between two sets of images by their texture alone, which need no network: power spectrum, local binary patterns, co-occurrence of greys.

The statistics of a set are taken once (`texture_statistics`, kept by `stored_textures`) and then compared as often as needed: with another set, with
halves of itself. Channels are described one by one, because those of photometric stereo are no colours, and a distance is the mean over channels.
Called by `scores.image_sets`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save
from scipy.stats import wasserstein_distance
from torch import Tensor

from trainables.scores.distances import FLOOR_HALVINGS
from trainables.seeds import child_seed
from trainables.store import Store, stage_key

VERSION = 1
"""Counts up when the same images would be described by other numbers."""

STAGE = "textures"
REACHES_PX = (1, 2, 4)
"""How far the neighbours lie that a pixel is compared with, in patterns and co-occurrences."""
LEAST_SIDE_PX = 2 * REACHES_PX[-1] + 1
RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""The eight neighbours in order around a pixel: down, across."""
PATTERNS = 10
"""Uniform patterns with 0 to 8 brighter neighbours, and all others together (Ojala et al. 2002: riu2)."""
LEVELS = 32
"""Grey levels of co-occurrence: eight of 256 each."""
DIRECTIONS = ((0, 1), (-1, 1), (-1, 0), (-1, -1))
PROPERTIES = ("contrast", "homogeneity", "energy", "correlation")
"""Of a co-occurrence matrix (Haralick et al. 1973)."""
ROUNDING_POWER = 1 / 12
"""Variance that rounding to whole grey levels adds. Power below it says nothing, and is hidden under it."""
LEAST_SPREAD = 1e-3
"""Deviation of a property that is taken at least, lest real images that are all alike divide by nothing."""
CHUNK = 64


class TextureDistances(NamedTuple):
    """How far the textures of two sets lie apart; all 0 for a set and itself."""

    spectrum: float
    """Root mean square over radial frequencies of the difference between the sets' mean spectra, in dB."""
    lbp: float
    """Jensen-Shannon distance (0..1) between the sets' histograms of local binary patterns, mean over `REACHES_PX`."""
    glcm: float
    """Wasserstein distance between the sets' values of a Haralick property, in the real images' deviations; mean over properties and `REACHES_PX`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextureStatistics:
    """What is kept of a set of N images with C channels."""

    spectra: Tensor
    """(N, C, R) float64: radial power spectrum in dB."""
    patterns: Tensor
    """(N, C, 3, 10) float64: share of each pattern, by reach."""
    properties: Tensor
    """(N, C, 3, 4) float64: `PROPERTIES`, by reach."""

    def pick(self, rows: Tensor) -> "TextureStatistics":
        """Gives the statistics of some of the images."""
        return TextureStatistics(spectra=self.spectra[rows], patterns=self.patterns[rows], properties=self.properties[rows])


def texture_statistics(images: Tensor) -> TextureStatistics:
    """Describes the texture of a set of images.

    Args:
        images: (N, C, S, S) uint8, N at least 1, S at least 9.
    """
    count, channels, side, _ = images.shape
    assert side >= LEAST_SIDE_PX, side
    chunks = images.flatten(0, 1).split(CHUNK)
    spectra, patterns, properties = (torch.cat([describe(chunk) for chunk in chunks]) for describe in (_spectra, _patterns, _properties))
    return TextureStatistics(
        spectra=spectra.unflatten(0, (count, channels)),
        patterns=patterns.unflatten(0, (count, channels)),
        properties=properties.unflatten(0, (count, channels)),
    )


def stored_textures(images: Tensor, *, name: str, inputs: Sequence[str], store: Store, formerly: Sequence[str] | None = None) -> TextureStatistics:
    """Describes the texture of a set of images, or finds it under its key.

    Args:
        images: as for `texture_statistics`.
        name: which images of the inputs these are.
        inputs: keys that decide the images: of the split, or of the pool.
        store: where results are kept.
        formerly: other keys of the very same images, by which an older store may know them.
    """
    known = [inputs] if formerly is None else [inputs, formerly]
    keys = [stage_key(STAGE, version=VERSION, settings={"name": name, "count": len(images)}, inputs=own) for own in known]
    entry = next((found for key in keys if (found := store.lookup(STAGE, key)) is not None), None)
    if entry is None:
        made = texture_statistics(images)
        tensors = {"spectra": made.spectra, "patterns": made.patterns, "properties": made.properties}
        data = save({kind: values.contiguous() for kind, values in tensors.items()})
        entry = store.publish(STAGE, keys[0], {"textures.safetensors": data}, {"images": len(images)})
    return TextureStatistics(**load(entry.read("textures.safetensors")))


def texture_distances(real: TextureStatistics, synthetic: TextureStatistics) -> TextureDistances:
    """Compares the textures of two sets; the images of both must have one size."""
    return TextureDistances(spectrum_distance(real, synthetic), pattern_distance(real, synthetic), property_distance(real, synthetic))


def texture_floors(real: TextureStatistics) -> TextureDistances:
    """Gives the distances between two halves of one set, the mean over a few fixed halvings: what "no different" looks like.

    Args:
        real: of 2 images at least.
    """
    pairs = []
    for i in range(FLOOR_HALVINGS):
        # The halvings of `distances.floors`.
        order = torch.from_numpy(np.random.default_rng(child_seed(0, "floor", i)).permutation(len(real.spectra)))
        pairs.append(texture_distances(real.pick(order[: len(order) // 2]), real.pick(order[len(order) // 2 :])))
    return TextureDistances(*(sum(values) / len(values) for values in zip(*pairs, strict=True)))


def spectrum_distance(real: TextureStatistics, synthetic: TextureStatistics) -> float:
    """Compares power spectra, as `TextureDistances.spectrum` says."""
    return float((real.spectra.mean(0) - synthetic.spectra.mean(0)).square().mean(1).sqrt().mean())


def pattern_distance(real: TextureStatistics, synthetic: TextureStatistics) -> float:
    """Compares local binary patterns, as `TextureDistances.lbp` says."""
    p, q = real.patterns.mean(0), synthetic.patterns.mean(0)
    middle = (p + q) / 2
    divergence = ((torch.special.xlogy(p, p) + torch.special.xlogy(q, q)) / 2 - torch.special.xlogy(middle, middle)).sum(-1) / np.log(2.0)
    # Equal histograms differ by rounding alone, which may fall below nothing.
    return float(divergence.clamp(min=0).sqrt().mean())


def property_distance(real: TextureStatistics, synthetic: TextureStatistics) -> float:
    """Compares co-occurrence properties, as `TextureDistances.glcm` says."""
    a, b = real.properties.flatten(1).numpy(), synthetic.properties.flatten(1).numpy()
    spread = np.maximum(a.std(0), LEAST_SPREAD)
    return float(np.mean([wasserstein_distance(x, y) / scale for x, y, scale in zip(a.T, b.T, spread, strict=True)]))


def _spectra(planes: Tensor) -> Tensor:
    """Gives the mean power at 1 to S / 2 periods a side, in dB over one squared grey level: (B, R).

    The mean is taken off, and a Hann window laid over, whose own power is divided out: white noise of variance v has the power v everywhere.
    """
    side = planes.shape[1]
    hann = torch.hann_window(side, dtype=torch.float64, device=planes.device)
    window = hann[:, None] * hann[None, :]
    values = planes.double()
    power = torch.fft.fft2((values - values.mean((1, 2), keepdim=True)) * window).abs().square() / window.square().sum()
    periods = torch.fft.fftfreq(side, d=1 / side, dtype=torch.float64, device=planes.device)
    radius = torch.hypot(periods[:, None], periods[None, :]).round().long()
    used = (radius >= 1) & (radius <= side // 2)
    bins = (radius[used] - 1)[None].expand(len(planes), -1)
    sums = torch.zeros(len(planes), side // 2, dtype=torch.float64, device=planes.device).scatter_add_(1, bins, power[:, used])
    return (10.0 * torch.log10(sums / torch.bincount(bins[0]) + ROUNDING_POWER)).cpu()


def _patterns(planes: Tensor) -> Tensor:
    """Gives the share of pixels with each pattern of neighbours that are no darker than themselves, by reach: (B, 3, 10)."""
    found = []
    side = planes.shape[1]
    for reach in REACHES_PX:
        centre = planes[:, reach : side - reach, reach : side - reach]
        brighter = torch.stack([_shifted(planes, dy * reach, dx * reach, reach) >= centre for dy, dx in RING])
        changes = (brighter != brighter.roll(1, 0)).sum(0)
        # A pattern is uniform if, going round, it changes between darker and brighter twice at most.
        codes = torch.where(changes <= 2, brighter.sum(0), PATTERNS - 1).flatten(1)
        found.append(_histograms(codes, PATTERNS) / codes.shape[1])
    return torch.stack(found, 1)


def _properties(planes: Tensor) -> Tensor:
    """Gives the Haralick properties of the symmetric co-occurrence matrices, mean over four directions, by reach: (B, 3, 4)."""
    levels = planes // (256 // LEVELS)
    found = []
    for reach in REACHES_PX:
        side = levels.shape[1]
        centre = levels[:, reach : side - reach, reach : side - reach].long()
        by_direction = []
        for dy, dx in DIRECTIONS:
            pairs = (centre * LEVELS + _shifted(levels, dy * reach, dx * reach, reach)).flatten(1)
            counts = _histograms(pairs, LEVELS**2).unflatten(1, (LEVELS, LEVELS))
            by_direction.append(_haralick((counts + counts.mT) / (2 * pairs.shape[1])))
        found.append(torch.stack(by_direction).mean(0))
    return torch.stack(found, 1)


def _haralick(matrices: Tensor) -> Tensor:
    """Gives the properties of symmetric matrices (B, L, L) that sum to 1: (B, 4); an image of one grey level correlates by 1."""
    level = torch.arange(LEVELS, dtype=torch.float64)
    apart = (level[:, None] - level[None, :]).square()
    mean = (matrices.sum(2) * level).sum(1)
    variance = (matrices.sum(2) * level.square()).sum(1) - mean.square()
    covariance = (matrices * level[:, None] * level[None, :]).sum((1, 2)) - mean.square()
    return torch.stack(
        [
            (matrices * apart).sum((1, 2)),
            (matrices / (1.0 + apart)).sum((1, 2)),
            matrices.square().sum((1, 2)).sqrt(),
            torch.where(variance > 1e-9, covariance / variance.clamp(min=1e-9), 1.0),
        ],
        1,
    )


def _shifted(planes: Tensor, down: int, across: int, margin: int) -> Tensor:
    """Gives for every pixel that is no nearer to an edge than the margin what lies beside it."""
    side = planes.shape[1]
    return planes[:, margin + down : side - margin + down, margin + across : side - margin + across]


def _histograms(codes: Tensor, kinds: int) -> Tensor:
    """Counts (B, M) codes row by row: (B, kinds) float64, on the processor."""
    cells = codes.long() + torch.arange(len(codes), device=codes.device)[:, None] * kinds
    return torch.bincount(cells.flatten(), minlength=len(codes) * kinds).unflatten(0, (len(codes), kinds)).double().cpu()
