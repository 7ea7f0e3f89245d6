"""The gradient penalty, and the slope of a piecewise linear critic that it needs. Used by every family with a Wasserstein critic."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def gradient_penalty(slope: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Computes E[(|grad D(x)| - 1)^2] at random points between real and fake images (Gulrajani et al. 2017, eq. 3).

    It stays eager and in float32: a compiled graph has no second derivative, and the norm of a bf16 gradient is too coarse to be held at 1.

    Args:
        slope: maps images to the gradient of their critic scores, a differentiable function of the critic's weights.
        real: float32 (B, C, H, W) in [-1, 1].
        fake: the same, without a graph.
        random: draws one mixing share for each pair.

    Returns:
        The penalty, a scalar that carries gradients to the critic's parameters.
    """
    share = torch.rand(len(real), 1, 1, 1, generator=random, device=real.device)
    with torch.autocast(real.device.type, enabled=False):
        slopes = slope(torch.lerp(real, fake.float(), share))
    return (torch.linalg.vector_norm(slopes, dim=(1, 2, 3)) - 1.0).square().mean()


def trunk_slope(trunk: nn.Sequential, images: Tensor, weigh: Callable[[Tensor], Tensor]) -> Tensor:
    """Gives the gradient, with respect to images, of a weighted sum over the maps that a trunk makes of them.

    Such a trunk is piecewise linear, so that its gradient depends on the weights and, through the signs alone, on the images. Written out as a
    chain of transposed convolutions it costs about half of autograd's second derivative, which walks back through the forward pass as well,
    with nothing but zeros.

    Args:
        trunk: convolutions, each followed by a LeakyReLU.
        images: (B, C, H, W).
        weigh: maps the shape of the trunk's output, given as that tensor, to the weights of the sum, of the same shape.

    Returns:
        (B, C, H, W), differentiable with respect to the trunk's weights and to the sum's.
    """
    passed: list[tuple[nn.Conv2d, int, Tensor]] = []
    maps = images
    with torch.no_grad():
        for convolution, activation in zip(trunk[::2], trunk[1::2], strict=True):
            assert isinstance(convolution, nn.Conv2d) and isinstance(activation, nn.LeakyReLU), "a trunk is convolutions and LeakyReLUs"
            before = maps.shape[2]
            maps = convolution(maps)
            passed.append((convolution, before, torch.where(maps > 0, 1.0, activation.negative_slope).to(maps.dtype)))
            maps = activation(maps)
    slopes = weigh(maps)
    for convolution, before, bend in reversed(passed):
        stride, padding, side = convolution.stride[0], int(convolution.padding[0]), convolution.kernel_size[0]
        missing = before - ((bend.shape[2] - 1) * stride - 2 * padding + side)
        slopes = functional.conv_transpose2d(slopes * bend, convolution.weight, None, stride, padding, missing)
    return slopes
