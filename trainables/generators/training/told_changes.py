"""Augmentation that does not leak into what is generated: each change is told to the network, and none is asked for when drawing (EDM, appendix F.2).

Used by `flow_unet`. Geometry alone: a change of brightness or contrast would tell a network of photometric-stereo channels something untrue.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

CHANGES = 8
"""Length of the vector that says what was done: mirrored across, mirrored down, log2 of the size, cosine - 1 and sine of the turn, log2 of the
stretch, shift across, shift down."""
SPREAD = 0.2
"""Deviation of log2 of size and stretch."""
SHIFT = 0.125
"""Deviation of a shift, in sides."""


def change(images: Tensor, probability: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Changes images at random, and says how.

    Args:
        images: (B, C, S, S); beyond their edges lies their mirror image.
        probability: of each of six changes, independently: mirroring across and down, size, any turn, stretch, shift.
        random: decides everything, on the images' device.

    Returns:
        (B, C, S, S), and float32 (B, `CHANGES`): a row of zeros for an image that is as it was, to the bit.
    """
    count, device = len(images), images.device
    if probability == 0.0:
        return images, torch.zeros(count, CHANGES, device=device)
    chosen = (torch.rand(6, count, generator=random, device=device) < probability).float()
    amounts = torch.randn(4, count, generator=random, device=device)
    turn = (torch.rand(count, generator=random, device=device) * 2.0 - 1.0) * math.pi * chosen[3]
    size, stretch = SPREAD * amounts[0] * chosen[2], SPREAD * amounts[1] * chosen[4]
    right, down = SHIFT * amounts[2] * chosen[5], SHIFT * amounts[3] * chosen[5]
    done = torch.stack([chosen[0], chosen[1], size, turn.cos() - 1.0, turn.sin(), stretch, right, down], dim=1)
    # Where each pixel comes from, in coordinates of -1..1: shifted back, turned back, then scaled and mirrored along the image's own axes.
    across, along = (1.0 - 2.0 * chosen[0]) * 2.0 ** -(size + stretch), (1.0 - 2.0 * chosen[1]) * 2.0 ** -(size - stretch)
    rows = [
        torch.stack([across * turn.cos(), across * turn.sin()], dim=1),
        torch.stack([-along * turn.sin(), along * turn.cos()], dim=1),
    ]
    turned = torch.stack(rows, dim=1)
    moved = turned @ torch.stack([-2.0 * right, -2.0 * down], dim=1)[:, :, None]
    places = functional.affine_grid(torch.cat([turned, moved], dim=2), list(images.shape), align_corners=False)
    changed = functional.grid_sample(images, places, mode="bilinear", padding_mode="reflection", align_corners=False)
    return torch.where((done == 0.0).all(dim=1)[:, None, None, None], images, changed), done
