"""Classical augmentation of whole batches on their device, one random draw per image. Called by inspectors while they train, and by SDG-GAN.

Planes (what each pixel is to become: class numbers, weights) are moved along with their image by the very same geometry; changes of light leave
them alone.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.errors import SettingsError

Policy = Literal["none", "flips", "classical", "sdg", "brightness", "sdg_hardened", "saiz"]
POLICIES: tuple[Policy, ...] = ("none", "flips", "classical", "sdg", "brightness", "sdg_hardened", "saiz")
"""none; flips: mirrored, both ways; classical: flips, quarter turns, shifts, contrast and brightness; sdg: flips, contrast and brightness (SDG-GAN,
section V-A); brightness: hardened against bad light, and nothing else; sdg_hardened: sdg, then brightness; saiz: shifts, flips, rotation, scale,
noise and brightness (Saiz et al., section 2.3.1)."""

EPOCH_FOLD: dict[Policy, int] = {"saiz": 15}
"""How many times an epoch shows each image, where it is not once: Saiz et al. store fifteen changed copies of each, which are drawn anew here."""

SHIFT = 1 / 8
"""Largest shift, as a share of the side."""

CONTRAST = 0.2
"""Contrast is scaled by 1 +- this about the image's mean."""

BRIGHTNESS = 0.1
"""Brightness is moved by +- this share of the range."""

HARDENED = 2.5
"""Hardening multiplies the light by up to this, or divides by it, evenly in the logarithm: the ends of the robustness curve's brightness. SDG-GAN's
inspectors erred most in extreme light (section V-F)."""

SAIZ_SHIFT, SAIZ_SCALE, SAIZ_LIGHT, SAIZ_NOISE = 0.1, 2.0, 0.2, (0.01, 0.05)
"""Largest shift as a share of the side; largest scale; largest change of light; least and most standard deviation of the noise as shares of the
range. The paper states the scale alone."""


Move = Callable[[Tensor], Tensor]
"""Moves the pixels of a batch, images and planes alike."""


def augment(images: Tensor, policy: Policy, generator: torch.Generator) -> Tensor:
    """Changes each image of a batch at random; shape, type and device stay.

    Args:
        images: (B, C, S, S), uint8 of 0..255 or floats of -1..1.
        policy: one of `POLICIES`.
        generator: source of all randomness, on the images' device or on the processor.

    Raises:
        SettingsError: no such policy.
    """
    return augment_with(images, None, policy, generator)[0]


def augment_with(images: Tensor, planes: Tensor | None, policy: Policy, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Changes each image as `augment` does from the same state of the generator, and moves its planes along.

    Args:
        images: (B, C, S, S), uint8 of 0..255 or floats of -1..1.
        planes: (B, P, S, S) or None; of uint8 the nearest pixel's value is taken, so that class numbers stay class numbers; floats are interpolated
            where images are.
        policy: one of `POLICIES`.
        generator: source of all randomness, on the images' device or on the processor.

    Returns:
        Images and planes of the same shapes and types.

    Raises:
        SettingsError: no such policy.
    """
    if policy == "none":
        return images, planes
    if policy not in POLICIES:
        raise SettingsError(f"augment: {policy!r} is not one of {', '.join(POLICIES)}")
    kind = images.dtype
    if policy == "saiz":
        images = images.float()  # An image of bytes is interpolated as one of floats is, and rounded once, at the end.
    for move in _moves(images, policy, generator):
        images, planes = move(images), None if planes is None else move(planes)
    if policy in ("classical", "sdg", "sdg_hardened"):
        images = relight(images, generator)
    if policy in ("brightness", "sdg_hardened"):
        images = _lit(images, HARDENED ** _draw(images, generator), kind)
    if policy == "saiz":
        images = _lit(_noisy(images, kind, generator), 1 + SAIZ_LIGHT * _draw(images, generator), kind)
    return images, planes


def _moves(images: Tensor, policy: Policy, generator: torch.Generator) -> list[Move]:
    """Draws the geometry of a policy, in the order in which it is done."""
    if policy == "brightness":
        return []
    moves = [_flip(images, 3, generator), _flip(images, 2, generator)]
    if policy == "classical":
        turned = _coin(images, generator)
        # Two flips and one quarter turn generate all eight orientations of a square.
        moves += [lambda pixels: torch.where(turned, pixels.rot90(1, (2, 3)), pixels), _shift(images, generator)]
    if policy == "saiz":
        moves.append(_turn_and_scale(images, generator))
    return moves


def _draw(images: Tensor, generator: torch.Generator) -> Tensor:
    """One number in -1..1 for each image, (B, 1, 1, 1)."""
    return (torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device) * 2 - 1).to(images.device)


def _coin(images: Tensor, generator: torch.Generator) -> Tensor:
    return _draw(images, generator) < 0


def _flip(images: Tensor, axis: int, generator: torch.Generator) -> Move:
    mirrored = _coin(images, generator)
    return lambda pixels: torch.where(mirrored, pixels.flip(axis), pixels)


def _shift(images: Tensor, generator: torch.Generator) -> Move:
    """Moves each image by whole pixels; what comes in at an edge is its mirror image."""
    batch, _, height, width = images.shape

    def places(side: int) -> Tensor:
        ticks = torch.arange(side, device=images.device)
        moved = ticks + (_draw(images, generator).view(-1, 1) * side * SHIFT).round().long()
        return torch.where(moved < 0, -moved, torch.where(moved >= side, 2 * side - 2 - moved, moved))

    rows, columns = places(height).view(batch, 1, height, 1), places(width).view(batch, 1, 1, width)

    def move(pixels: Tensor) -> Tensor:
        depth = pixels.shape[1]
        return pixels.gather(2, rows.expand(-1, depth, -1, width)).gather(3, columns.expand(-1, depth, height, -1))

    return move


def _turn_and_scale(images: Tensor, generator: torch.Generator) -> Move:
    """Shifts, turns by 0 to 180 degrees and magnifies each image in one resampling; what comes in at an edge is its mirror image."""
    across, down, turn, zoom = (_draw(images, generator).flatten() for _ in range(4))
    angle, scale = (turn + 1) / 2 * math.pi, 1 + (zoom + 1) / 2 * (SAIZ_SCALE - 1)
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # A side runs from -1 to 1 here, so that a share of it is twice that number.
    rows = torch.stack([cos, -sin, 2 * SAIZ_SHIFT * across, sin, cos, 2 * SAIZ_SHIFT * down], dim=1)
    grid = F.affine_grid(rows.view(-1, 2, 3), [len(images), 1, *images.shape[2:]], align_corners=False)

    def move(pixels: Tensor) -> Tensor:
        mode = "nearest" if pixels.dtype == torch.uint8 else "bilinear"
        return F.grid_sample(pixels.float(), grid, mode=mode, padding_mode="reflection", align_corners=False).to(pixels.dtype)

    return move


def _ends(kind: torch.dtype) -> tuple[float, float]:
    """Black and white of images of a type."""
    return (0.0, 255.0) if kind == torch.uint8 else (-1.0, 1.0)


def _fitted(values: Tensor, kind: torch.dtype) -> Tensor:
    """Cuts values to the range of images of a type, and gives them that type."""
    values = values.clamp(*_ends(kind))
    return (values.round() if kind == torch.uint8 else values).to(kind)


def relight(images: Tensor, generator: torch.Generator) -> Tensor:
    """Scales contrast about each image's mean and moves its brightness; images as `augment` takes them."""
    low, high = _ends(images.dtype)
    values = images.float()
    mean = values.mean((1, 2, 3), keepdim=True)
    values = (values - mean) * (1 + CONTRAST * _draw(images, generator)) + mean + BRIGHTNESS * (high - low) * _draw(images, generator)
    return _fitted(values, images.dtype)


def _lit(images: Tensor, light: Tensor, kind: torch.dtype) -> Tensor:
    """Multiplies what is above black by each image's light, (B, 1, 1, 1); what is too bright is white."""
    black = _ends(kind)[0]
    return _fitted((images.float() - black) * light + black, kind)


def _noisy(values: Tensor, kind: torch.dtype, generator: torch.Generator) -> Tensor:
    """Adds Gaussian noise, of a strength of each image's own, to floats in the range of a type."""
    low, high = _ends(kind)
    weakest, strongest = SAIZ_NOISE
    strength = (weakest + (strongest - weakest) * (_draw(values, generator) + 1) / 2) * (high - low)
    noise = torch.randn(values.shape, generator=generator, device=generator.device).to(values.device)
    return values + strength * noise
