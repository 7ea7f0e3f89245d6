"""Adaptive discriminator augmentation (Karras et al. 2020): changes that do not leak into what is generated, as often as the critic overfits.

Each change happens to an image with probability p, so that as long as p stays below 1 the generator can still be told from one that makes
changed images. p follows how sure the critic is of real images. Called by `stylegan2`.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

ADAPT_EVERY = 4
"""Steps between two changes of p (Karras et al. 2020, section 3.1)."""
SHIFT = 0.125
"""Largest whole shift, as a share of the side."""
SCALE_OCTAVES = 0.2
"""Spread of the logarithm to base 2 of the scale."""
BRIGHTNESS = 0.2
"""Spread of what is added, on the scale of [-1, 1]."""
CONTRAST_OCTAVES = 0.5
"""Spread of the logarithm to base 2 of the contrast."""


class AdaptiveAugmentation:
    """The probability p of every change, moved towards where the mean sign of the critic's score of real images is a target (r_t of the paper)."""

    def __init__(self, *, target: float, kimg: float, device: torch.device) -> None:
        """Begins at p = 0.

        Args:
            target: the mean sign aimed at.
            kimg: thousands of images in which p can go from 0 to 1.
            device: where the critic lives.
        """
        self.target, self.kimg = target, kimg
        self.p = torch.zeros((), device=device)
        self.signs = torch.zeros(2, device=device)

    def observe(self, on_real: Tensor) -> None:
        """Takes in the signs of linear scores of real images, of any shape."""
        self.signs += torch.stack([on_real.detach().sign().sum(), torch.full((), float(on_real.numel()), device=self.signs.device)])

    def adapt(self, images: int) -> None:
        """Moves p by what `images` images allow: up where the mean sign since the last move is above the target, down where below, within [0, 1]."""
        direction = (self.signs[0] / self.signs[1] - self.target).sign()
        self.p = (self.p + direction * (images / (1000.0 * self.kimg))).clamp(0.0, 1.0)
        self.signs = torch.zeros_like(self.signs)

    def state(self) -> dict[str, Any]:
        """Gives what continues it."""
        return {"p": self.p, "signs": self.signs}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        self.p, self.signs = (state[name].to(self.signs.device, copy=True) for name in ("p", "signs"))


def augment(images: Tensor, p: Tensor, random: torch.Generator) -> Tensor:
    """Changes each image by itself, each change with probability p.

    Geometry: mirrored left to right, turned by quarters, shifted by whole pixels up to an eighth of the side, scaled by 2^N(0, 0.2), turned by any
    angle; beyond the edges the image is reflected. Colour: brightness + N(0, 0.2), contrast x 2^N(0, 0.5), luma flipped. The paper's `bgc` without
    what a surface under one lamp does not vary: stretch, fractional shifts, hue and saturation. Interpolation is bilinear.

    Args:
        images: float32 (B, C, H, H) in [-1, 1].
        p: a scalar in [0, 1], on the images' device.
        random: decides every change, on the images' device.

    Returns:
        (B, C, H, H), differentiable with respect to `images`; with p = 0 the images themselves. May leave [-1, 1].
    """
    with torch.autocast(images.device.type, enabled=False):
        return _recolour(_warp(images.float(), p, random), p, random)


def _happens(images: Tensor, p: Tensor, random: torch.Generator) -> Tensor:
    """Draws which images are changed, bool (B,)."""
    return torch.rand(len(images), generator=random, device=images.device) < p


def _normal(images: Tensor, spread: float, random: torch.Generator) -> Tensor:
    return torch.randn(len(images), generator=random, device=images.device) * spread


def _warp(images: Tensor, p: Tensor, random: torch.Generator) -> Tensor:
    count, side, device = len(images), images.shape[-1], images.device
    flips, turns, shifts, scales, rotates = (_happens(images, p, random) for _ in range(5))
    quarters = torch.randint(0, 4, (count,), generator=random, device=device) * turns
    shift = (torch.empty(2, count, device=device).uniform_(-SHIFT, SHIFT, generator=random) * side).round() * (2.0 / side) * shifts
    scale = torch.exp2(_normal(images, SCALE_OCTAVES, random) * scales)
    angle = torch.empty(count, device=device).uniform_(-math.pi, math.pi, generator=random) * rotates
    one, zero = torch.ones(count, device=device), torch.zeros(count, device=device)
    # From where a pixel is taken: the inverse of each change, the first change leftmost. Sines of whole quarters are rounded, or they would blur.
    source = (
        matrix(torch.where(flips, -one, one), zero, zero, one)
        @ matrix(*turn(quarters * (math.pi / 2), whole=True))
        @ matrix(one, zero, zero, one, *shift)
        @ matrix(1.0 / scale, zero, zero, 1.0 / scale)
        @ matrix(*turn(angle))
    )
    # Untouched images stay the very same: a grid's rounding would change their last bits.
    touched = flips | (quarters != 0) | shifts | scales | rotates
    return torch.where(touched[:, None, None, None], resample(images, source), images)


def resample(images: Tensor, source: Tensor) -> Tensor:
    """Takes each pixel of images (B, C, H, H) from where matrices (B, 3, 3) send its place; places lie in [-1, 1] across and down."""
    grid = functional.affine_grid(source[:, :2], list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def turn(angle: Tensor, *, whole: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gives the entries of rotations by angles (B,) in radians, for `matrix`; `whole` rounds them, for quarters of a turn."""
    cosine, sine = (value.round() if whole else value for value in (angle.cos(), angle.sin()))
    return cosine, -sine, sine, cosine


def matrix(xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor, x: Tensor | None = None, y: Tensor | None = None) -> Tensor:
    """Makes homogeneous matrices (B, 3, 3) of their entries (B,)."""
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    rows = [xx, xy, zero if x is None else x, yx, yy, zero if y is None else y, zero, zero, one]
    return torch.stack(rows, dim=1).unflatten(1, (3, 3))


def _recolour(images: Tensor, p: Tensor, random: torch.Generator) -> Tensor:
    brightens, contrasts, flips = (_happens(images, p, random) for _ in range(3))
    added = _normal(images, BRIGHTNESS, random) * brightens
    factor = torch.exp2(_normal(images, CONTRAST_OCTAVES, random) * contrasts)
    images = (images + added[:, None, None, None]) * factor[:, None, None, None]
    # A reflection in the plane of no luma; of a grey image that is its negative.
    return images - (2.0 * flips)[:, None, None, None] * images.mean(dim=1, keepdim=True)
