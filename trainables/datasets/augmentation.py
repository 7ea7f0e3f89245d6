"""Classical augmentation of whole batches on their device, one random draw per image. Called by inspectors while they train, and by SDG-GAN."""

from typing import Literal

import torch
from torch import Tensor

from trainables.errors import SettingsError

Policy = Literal["none", "flips", "classical"]
POLICIES: tuple[Policy, ...] = ("none", "flips", "classical")

SHIFT = 1 / 8
"""Largest shift, as a share of the side."""

CONTRAST = 0.2
"""Contrast is scaled by 1 +- this about the image's mean."""

BRIGHTNESS = 0.1
"""Brightness is moved by +- this share of the range."""


def augment(images: Tensor, policy: Policy, generator: torch.Generator) -> Tensor:
    """Changes each image of a batch at random; shape, type and device stay.

    Args:
        images: (B, C, S, S), uint8 of 0..255 or floats of -1..1.
        policy: none; flips: mirrored, both ways; classical: flips, quarter turns, shifts, brightness and contrast.
        generator: source of all randomness, on the images' device or on the processor.

    Raises:
        SettingsError: no such policy.
    """
    if policy == "none":
        return images
    if policy not in POLICIES:
        raise SettingsError(f"augment: {policy!r} is not one of {', '.join(POLICIES)}")
    images = torch.where(_coin(images, generator), images.flip(3), images)
    images = torch.where(_coin(images, generator), images.flip(2), images)
    if policy == "flips":
        return images
    # Two flips and one quarter turn generate all eight orientations of a square.
    images = torch.where(_coin(images, generator), images.rot90(1, (2, 3)), images)
    return relight(_shift(images, generator), generator)


def _draw(images: Tensor, generator: torch.Generator) -> Tensor:
    """One number in -1..1 for each image, (B, 1, 1, 1)."""
    return (torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device) * 2 - 1).to(images.device)


def _coin(images: Tensor, generator: torch.Generator) -> Tensor:
    return _draw(images, generator) < 0


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Moves each image by whole pixels; what comes in at an edge is its mirror image."""
    batch, channels, height, width = images.shape

    def places(side: int) -> Tensor:
        ticks = torch.arange(side, device=images.device)
        moved = ticks + (_draw(images, generator).view(-1, 1) * side * SHIFT).round().long()
        return torch.where(moved < 0, -moved, torch.where(moved >= side, 2 * side - 2 - moved, moved))

    rows = places(height).view(batch, 1, height, 1).expand(-1, channels, -1, width)
    columns = places(width).view(batch, 1, 1, width).expand(-1, channels, height, -1)
    return images.gather(2, rows).gather(3, columns)


def relight(images: Tensor, generator: torch.Generator) -> Tensor:
    """Scales contrast about each image's mean and moves its brightness; images as `augment` takes them."""
    low, high = (0.0, 255.0) if images.dtype == torch.uint8 else (-1.0, 1.0)
    values = images.float()
    mean = values.mean((1, 2, 3), keepdim=True)
    values = (values - mean) * (1 + CONTRAST * _draw(images, generator)) + mean + BRIGHTNESS * (high - low) * _draw(images, generator)
    values = values.clamp(low, high)
    return (values.round() if images.dtype == torch.uint8 else values).to(images.dtype)
