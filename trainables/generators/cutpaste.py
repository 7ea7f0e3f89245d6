"""CutPaste (Li et al. 2021), turned to defects: what is cut out is a defect by its mask, or, where nobody knows where it is, a rectangle or a scar.

It learns nothing. The paper cuts from defect-free images to train a detector; here the patch comes from a training image of the class that is
asked for, so that the image shows that class.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.bases.model import check_limits
from trainables.generators.bases.pasting import PastingModel, jitter_light, uniform

LEAST_AREA = 0.02
"""Smallest share of the picture that a rectangle covers (CutPaste)."""
ASPECT = 0.3
"""Rectangles are up to 1 / 0.3 times as long as wide, or as wide as long (CutPaste)."""
SCAR_WIDTH, SCAR_LENGTH = (2 / 256, 16 / 256), (10 / 256, 25 / 256)
"""Sides of a scar as shares of the picture's (CutPaste: 2 to 16 and 10 to 25 of 256 px)."""
SCAR_TURN_DEG = 45.0
"""A scar is turned by up to this, to either side (CutPaste)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CutPasteConfig:
    """Settings of CutPaste; all of them decide how images are drawn."""

    patch_area: float = 0.15
    """Largest share of the picture that a rectangle covers, where there is no mask to cut by."""
    patch_shape: Literal["rectangle", "scar", "both"] = "both"
    """What is cut where there is no mask; both takes either, as the paper's best (3-way) variant sees either."""
    jitter: float = 0.1
    """Brightness and contrast of the patch change by up to this share."""
    resize: float = 0.2
    """The patch grows or shrinks by up to this share; unstated, the paper keeps its size."""
    rotation_deg: float = 15.0
    """The patch is turned by up to this, to either side; a scar by up to 45 more. Small, because many defects follow the rolling direction."""
    blend: float = 0.02
    """Width of the patch's soft edge as a share of the picture's side, rounded to pixels; 0 pastes as hard as the paper does."""
    class_mode: Literal["conditional"] = "conditional"
    """One store of patches, asked by class."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["patch_area"], at_least_0=["jitter", "resize", "rotation_deg", "blend"])
        tops = {"patch_area": 0.5, "jitter": 1.0, "resize": 1.0, "rotation_deg": 180.0, "blend": 0.25}
        if over := [f"{name}: {getattr(self, name)} is above {top:g}" for name, top in tops.items() if not getattr(self, name) <= top]:
            raise SettingsError("; ".join(over))


class CutPaste(PastingModel):
    """Cuts, changes and pastes whole batches at a time."""

    VERSION = 2
    Config: ClassVar[type[Any]] = CutPasteConfig
    sampling_settings = ("patch_area", "patch_shape", "jitter", "resize", "rotation_deg", "blend")
    config: CutPasteConfig

    def paste(self, sources: Tensor, masks: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Moves the patches of sources to random places; see `PastingModel.paste`."""
        config, count, side = self.config, len(sources), sources.shape[-1]
        shapes, are_scars = random_shapes(count, side, area=config.patch_area, kind=config.patch_shape, random=random)
        known = masks.amax(dim=(1, 2, 3), keepdim=True) > 0
        cut = torch.where(known, masks, shapes)
        turn = uniform(count, -config.rotation_deg, config.rotation_deg, random)
        turn = turn + uniform(count, -SCAR_TURN_DEG, SCAR_TURN_DEG, random) * (are_scars & ~known)
        factor = (1.0 + config.resize) ** uniform(count, -1.0, 1.0, random)
        place = random_place(cut, turn * (math.pi / 180.0), factor, random)
        moved = functional.grid_sample(sources, place, mode="bilinear", padding_mode="border", align_corners=False)
        soft = functional.grid_sample(cut, place, mode="bilinear", padding_mode="zeros", align_corners=False)
        # Half of the most that is left of it, so that a thin defect never vanishes by shrinking.
        found = (soft >= 0.5 * soft.amax(dim=(1, 2, 3), keepdim=True).clamp(max=1.0)).float()
        inside = (place.abs() <= 1.0).all(dim=3)[:, None]
        return jitter_light(moved, config.jitter, random), soften(found, round(config.blend * side)) * inside


def random_shapes(
    count: int, side: int, *, area: float, kind: Literal["rectangle", "scar", "both"], random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws upright rectangles that lie wholly inside of the picture.

    Args:
        count: how many.
        side: of the picture, in pixels.
        area: largest share of the picture that a rectangle covers; a scar has its own sides.
        kind: rectangles, scars, or either with equal chances.
        random: decides all of it.

    Returns:
        (count, 1, side, side) of 0 and 1, and which of them are scars, bool (count, 1, 1, 1).
    """
    share = uniform(count, min(LEAST_AREA, area), area, random)
    aspect = torch.exp(uniform(count, math.log(ASPECT), -math.log(ASPECT), random))
    scars = uniform(count, 0.0, 1.0, random) < {"rectangle": 0.0, "scar": 1.0, "both": 0.5}[kind]
    width = torch.where(scars, uniform(count, *SCAR_WIDTH, random), (share * aspect).sqrt())
    height = torch.where(scars, uniform(count, *SCAR_LENGTH, random), (share / aspect).sqrt())
    sides = [(length * side).round().clamp(1, side) for length in (height, width)]
    starts = [((side + 1 - length) * uniform(count, 0.0, 1.0, random)).floor() for length in sides]
    ticks = (torch.arange(side).view(1, 1, side, 1), torch.arange(side).view(1, 1, 1, side))
    down, across = ((tick >= start) & (tick < start + length) for tick, start, length in zip(ticks, starts, sides, strict=True))
    return (down & across).float(), scars


def random_place(cut: Tensor, turn: Tensor, factor: Tensor, random: torch.Generator) -> Tensor:
    """Chooses where patches go, so that each lies wholly inside of the picture; one too large for that is made to fit.

    Args:
        cut: (B, 1, S, S), above 0 on the patch.
        turn: radians, (B, 1, 1, 1).
        factor: how much larger the patch becomes, (B, 1, 1, 1).
        random: decides the place.

    Returns:
        For each pixel of the result where in the source it comes from: (B, S, S, 2), across and down in [-1, 1], for `grid_sample`. A patch that
        is neither turned nor resized moves by whole pixels.
    """
    count, side = len(cut), cut.shape[-1]
    (middle_y, half_y), (middle_x, half_x) = (_extent(cut.amax(dim=axis).flatten(1)) for axis in (3, 2))
    cos, sin = torch.cos(turn), torch.sin(turn)
    wide, high = half_x * cos.abs() + half_y * sin.abs(), half_x * sin.abs() + half_y * cos.abs()
    factor = torch.minimum(factor, 1.0 / torch.maximum(wide, high))
    shifts = []
    for half, middle in ((high * factor, middle_y), (wide * factor, middle_x)):
        wanted = uniform(count, -1.0, 1.0, random) * (1.0 - half)
        pixels = ((wanted - middle) * side / 2).round()
        shifts.append(middle + pixels * 2 / side)
    ticks = (torch.arange(side, dtype=torch.float32) + 0.5) * 2 / side - 1.0
    down, across = ticks.view(1, 1, side, 1) - shifts[0], ticks.view(1, 1, 1, side) - shifts[1]
    from_x = middle_x + (cos * across + sin * down) / factor
    from_y = middle_y + (cos * down - sin * across) / factor
    return torch.stack([from_x, from_y], dim=4).squeeze(1)


def _extent(covered: Tensor) -> tuple[Tensor, Tensor]:
    """Gives middle and half length of what is covered along one axis, (B, S) above 0: each (B, 1, 1, 1), in [-1, 1]."""
    side = covered.shape[1]
    found = (covered > 0).int()
    first, last = found.argmax(1), side - found.flip(1).argmax(1)
    return tuple((value / side).float().view(-1, 1, 1, 1) for value in (first + last - side, last - first))  # type: ignore[return-value]


def soften(shape: Tensor, width: int) -> Tensor:
    """Lets a shape (B, 1, S, S) of 0 and 1 fade out over `width` pixels around it; inside it stays 1."""
    for _ in range(width):
        shape = torch.maximum(shape, functional.max_pool2d(shape, 3, 1, 1) - 1.0 / (width + 1))
    return shape
