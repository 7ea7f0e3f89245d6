"""Losses that several families share."""

from collections.abc import Callable

import torch
from torch import Tensor


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Computes E[(|grad D(x)| - 1)^2] at random points between real and fake images (Gulrajani et al. 2017, eq. 3).

    It stays eager and in float32: a compiled graph has no second derivative, and the norm of a bf16 gradient is too coarse to be held at 1.

    Args:
        critic: maps images to scores of any shape with the batch first; a map of patch scores is summed for each image.
        real: float32 (B, C, H, W) in [-1, 1].
        fake: the same, without a graph.
        random: draws one mixing share for each pair.

    Returns:
        The penalty, a scalar that carries gradients to the critic's parameters.
    """
    share = torch.rand(len(real), 1, 1, 1, generator=random, device=real.device)
    mixed = torch.lerp(real, fake.float(), share).requires_grad_(True)
    with torch.autocast(real.device.type, enabled=False):
        (slope,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
    return (torch.linalg.vector_norm(slope, dim=(1, 2, 3)) - 1.0).square().mean()
