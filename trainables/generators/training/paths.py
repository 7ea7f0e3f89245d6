"""Walks between latents: pictures along the way, and how much a picture changes on it. Used by families whose latents are to be looked into.

The perceptual path length of Karras et al. 2019 (StyleGAN, section 4.1), in whatever space `draw` gives: pixels, or features of them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

EPSILON = 1e-3
"""The short step, as a share of the way: far above what float32 rounds off, far below where a generator bends."""

Way = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Maps starts (N, D), ends (N, D) and shares of the way (N, 1) in [0, 1] to latents (N, D)."""


def line(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Goes straight: the way through w, which has no shape of its own."""
    return torch.lerp(start, end, share)


def arc(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Goes along the great circle at even speed, lengths interpolated: the way through normal latents, whose straight lines lead through a middle
    where there are none. Where start and end point in one direction, or in opposite ones, it is a line."""
    lengths = start.norm(dim=1, keepdim=True), end.norm(dim=1, keepdim=True)
    one, other = start / lengths[0], end / lengths[1]
    angle = (one * other).sum(dim=1, keepdim=True).clamp(-1.0, 1.0).acos()
    along = (torch.sin((1.0 - share) * angle) * one + torch.sin(share * angle) * other) / torch.sin(angle)
    return torch.where(torch.sin(angle) > 1e-4, along * torch.lerp(*lengths, share), line(start, end, share))


def path_length(draw: Callable[[Tensor], Tensor], way: Way, start: Tensor, end: Tensor, share: Tensor, epsilon: float = EPSILON) -> Tensor:
    """Measures how fast what is drawn changes on the way: mean((draw(t + epsilon) - draw(t))^2) / epsilon^2, for each pair of latents.

    The mean is over what `draw` gives for one latent, so that pictures of different sizes compare. For a linear generator A, on a line of the
    direction v, it is |A v|^2 over the length of what A gives.

    Args:
        draw: maps latents (N, D) to floats (N, ...).
        way: `line` or `arc`.
        start: latents (N, D).
        end: latents (N, D).
        share: where on the way, (N, 1) in [0, 1).
        epsilon: the short step.

    Returns:
        (N,), float32.
    """
    # Both ends of the step in one batch, so that what a convolution rounds differently for another batch cannot pass for a change.
    here, there = draw(torch.cat([way(start, end, share), way(start, end, share + epsilon)])).float().chunk(2)
    return ((there - here) / epsilon).flatten(1).square().mean(dim=1)


def strip(draw: Callable[[Tensor], Tensor], way: Way, start: Tensor, end: Tensor, columns: int) -> Tensor:
    """Draws pictures at even shares of the way from one latent to another, both ends among them.

    Args:
        draw: maps latents (columns, D) to pictures (columns, ...).
        way: `line` or `arc`.
        start: one latent (D,).
        end: another.
        columns: pictures, at least 2.
    """
    shares = torch.linspace(0.0, 1.0, columns, device=start.device)[:, None]
    return draw(way(start.expand(columns, -1), end.expand(columns, -1), shares))
