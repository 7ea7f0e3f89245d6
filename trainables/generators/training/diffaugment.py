"""DiffAugment (Zhao et al. 2020): random changes that gradients pass through, to real and synthetic images alike before the critic sees them."""

from typing import Literal

import torch
from torch import Tensor

Policy = Literal["none", "color", "translation", "cutout", "color,translation", "color,cutout", "translation,cutout", "color,translation,cutout"]
"""Which changes are made. On photometric-stereo images, whose channels are physical quantities, `color` mixes them: leave it out there."""


def diffaugment(images: Tensor, policy: Policy, random: torch.Generator) -> Tensor:
    """Changes each image by itself.

    color: brightness + U(-0.5, 0.5), saturation x U(0, 2), contrast x U(0.5, 1.5). translation: a whole shift of up to an eighth of the side, filled
    with 0. cutout: a square of half the side at a random place, set to 0, cropped where it passes the edge.

    Args:
        images: (B, C, H, W) in [-1, 1].
        policy: names separated by commas, or none.
        random: decides every change, on the images' device.

    Returns:
        (B, C, H, W), differentiable with respect to `images`; color may leave [-1, 1].
    """
    changes = {"color": _color, "translation": _translate, "cutout": _cut_out}
    for name in [] if policy == "none" else policy.split(","):
        images = changes[name](images, random)
    return images


def _uniform(images: Tensor, random: torch.Generator) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, generator=random, device=images.device)


def _color(images: Tensor, random: torch.Generator) -> Tensor:
    images = images + (_uniform(images, random) - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2.0 * _uniform(images, random))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return mean + (images - mean) * (0.5 + _uniform(images, random))


def _translate(images: Tensor, random: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    most = round(height / 8)
    down, right = (torch.randint(-most, most + 1, (count, 1, 1), generator=random, device=images.device) for _ in range(2))
    y = torch.arange(height, device=images.device)[None, :, None] - down
    x = torch.arange(width, device=images.device)[None, None, :] - right
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    picture = torch.arange(count, device=images.device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[picture, y.clamp(0, height - 1), x.clamp(0, width - 1)] * inside[..., None]
    return moved.permute(0, 3, 1, 2)


def _cut_out(images: Tensor, random: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    side = height // 2
    middle_y, middle_x = (torch.randint(0, edge + (1 - side % 2), (count, 1, 1), generator=random, device=images.device) for edge in (height, width))
    y, x = torch.arange(height, device=images.device)[None, :, None], torch.arange(width, device=images.device)[None, None, :]
    top, left = middle_y - side // 2, middle_x - side // 2
    hole = (y >= top) & (y < top + side) & (x >= left) & (x < left + side)
    return images * ~hole[:, None]
