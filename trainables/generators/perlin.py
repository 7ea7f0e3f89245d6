"""DRAEM's synthetic anomalies (Zavrtanik et al. 2021), turned to defects: where Perlin noise is high, another texture shows through.

It learns nothing. The paper takes textures from foreign pictures to train a detector; here the texture is a training image of the class that is
asked for.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from trainables.errors import SettingsError
from trainables.generators.bases.model import check_limits
from trainables.generators.bases.pasting import PastingModel, jitter_light, uniform

LEAST_OPACITY = 0.1
"""Opacity begins here (DRAEM: drawn from [0.1, 1])."""
LEAST_AREA = 0.02
"""Share of the picture that is changed at least: where the noise stays below the threshold, its highest places are taken."""
LATTICE = 32
"""Cells of the coarse grid along one side at most, 2^5 in DRAEM's reference code."""
TURN_DEG = 90.0
"""The noise is turned by up to this, to either side (DRAEM, reference code)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PerlinConfig:
    """Settings of the Perlin blend; all of them decide how images are drawn."""

    scale: int = 6
    """How many scales of noise there are: cells along a side are 1, 2, 4, ... 2^(scale - 1), drawn for each axis."""
    threshold: float = 0.5
    """The noise, in [-1, 1], shows the texture where it is above this."""
    opacity: float = 1.0
    """Most that the texture covers; drawn between 0.1 and this."""
    jitter: float = 0.1
    """Brightness and contrast of the texture change by up to this share; stands in for the paper's change of colours."""
    class_mode: Literal["conditional"] = "conditional"
    """One store of textures, asked by class."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["opacity"], at_least_0=["jitter", "threshold"], at_least_1=["scale"])
        tops = {"scale": 6, "threshold": 0.9, "opacity": 1.0, "jitter": 1.0}
        if over := [f"{name}: {getattr(self, name)} is above {top:g}" for name, top in tops.items() if not getattr(self, name) <= top]:
            raise SettingsError("; ".join(over))


class Perlin(PastingModel):
    """Blends whole batches at a time."""

    VERSION = 2
    Config: ClassVar[type[Any]] = PerlinConfig
    sampling_settings = ("scale", "threshold", "opacity", "jitter")
    config: PerlinConfig

    def paste(self, sources: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Shows mirrored sources where noise is high; see `PastingModel.paste`."""
        count, side = len(sources), sources.shape[-1]
        for axis in (3, 2):
            sources = torch.where(uniform(count, 0.0, 1.0, random) < 0.5, sources.flip(axis), sources)
        # Cells of less than two pixels would leave nothing but single pixels.
        scales = min(self.config.scale, int(math.log2(side)))
        cells = [2 ** torch.randint(scales, (count,), generator=random) for _ in range(2)]
        turn = uniform(count, -TURN_DEG, TURN_DEG, random).flatten() * (math.pi / 180.0)
        noise = perlin_noise(side, cells[0], cells[1], turn, random)
        high = torch.quantile(noise.flatten(1), 1.0 - LEAST_AREA, dim=1).view(-1, 1, 1)
        shown = (noise > high.clamp(max=self.config.threshold))[:, None]
        opacity = uniform(count, min(LEAST_OPACITY, self.config.opacity), self.config.opacity, random)
        return jitter_light(sources, self.config.jitter, random), shown * opacity


def perlin_noise(side: int, cells_y: Tensor, cells_x: Tensor, turn: Tensor, random: torch.Generator) -> Tensor:
    """Draws gradient noise (Perlin 1985, with the smoother fade of 2002) for each of B pictures.

    Args:
        side: of the pictures, in pixels.
        cells_y: cells of the grid down the picture, (B,).
        cells_x: cells across it, (B,).
        turn: angle in radians by which the grid is turned, (B,).
        random: decides the gradients.

    Returns:
        (B, side, side) within [-1, 1], 0 at the corners of cells.
    """
    count = len(turn)
    angle = torch.rand(count, LATTICE, LATTICE, generator=random) * (2 * math.pi)
    gradients = torch.stack([torch.sin(angle), torch.cos(angle)], dim=3).flatten(1, 2)
    ticks = (torch.arange(side) + 0.5) / side - 0.5
    cos, sin = torch.cos(turn).view(-1, 1, 1), torch.sin(turn).view(-1, 1, 1)
    down, across = ticks[None, :, None], ticks[None, None, :]
    y = (cos * down - sin * across + 0.5) * cells_y.view(-1, 1, 1)
    x = (cos * across + sin * down + 0.5) * cells_x.view(-1, 1, 1)
    whole_y, whole_x = y.floor(), x.floor()
    y, x = y - whole_y, x - whole_x

    def corner(step_y: int, step_x: int) -> Tensor:
        # A turned grid reaches past its sides; there it begins anew.
        place = ((whole_y.long() + step_y) % LATTICE) * LATTICE + (whole_x.long() + step_x) % LATTICE
        slope = gradients.gather(1, place.flatten(1)[..., None].expand(-1, -1, 2)).view(count, side, side, 2)
        return slope[..., 0] * (y - step_y) + slope[..., 1] * (x - step_x)

    fade_y, fade_x = (part**3 * (part * (part * 6 - 15) + 10) for part in (y, x))
    top = torch.lerp(corner(0, 0), corner(0, 1), fade_x)
    bottom = torch.lerp(corner(1, 0), corner(1, 1), fade_x)
    # A sum of four slopes reaches half the square root of two.
    return math.sqrt(2) * torch.lerp(top, bottom, fade_y)
