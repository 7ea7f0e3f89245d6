"""Adversarial losses by name, the penalties on a critic's slope that go with them, and that slope itself. Used by every adversarial family."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

AdversarialLoss = Literal["bce", "lsgan", "hinge", "wgan_gp", "r1_logistic", "rpgan"]
"""bce: the first GAN's, with the generator's non-saturating side. lsgan: squared distance to target labels. hinge: margins of 1. wgan_gp: Wasserstein
distance with a gradient penalty. r1_logistic: bce with R1 (StyleGAN2). rpgan: relativistic pairing with R1 and R2 (R3GAN)."""
PENALISED = ("wgan_gp", "r1_logistic", "rpgan")
"""Losses with a penalty on the critic's slope, whose critic must not mix the images of a batch: no batch norm."""


class Targets(NamedTuple):
    """Which scores least squares asks for (Mao et al. 2017, eq. 2)."""

    a: float = 0.0
    """Of synthetic images, from the critic."""
    b: float = 1.0
    """Of real images, from the critic."""
    c: float = 1.0
    """Of synthetic images, where the generator wants them."""


TARGETS = Targets()


def critic_loss(kind: AdversarialLoss, on_real: Tensor, on_fake: Tensor, *, smoothing: float = 0.0, targets: Targets = TARGETS) -> Tensor:
    """Averages what the critic minimises, penalties apart.

    Args:
        kind: the loss.
        on_real: linear scores of real images, float32, any shape.
        on_fake: scores of as many synthetic images; `rpgan` pairs them.
        smoothing: taken off the target of real images, with bce and lsgan alone.
        targets: the labels of lsgan.
    """
    if kind in ("bce", "r1_logistic"):
        target = torch.full_like(on_real, 1.0 - smoothing)
        return functional.binary_cross_entropy_with_logits(on_real, target) + functional.softplus(on_fake).mean()
    if kind == "lsgan":
        return 0.5 * (on_real - (targets.b - smoothing)).square().mean() + 0.5 * (on_fake - targets.a).square().mean()
    if kind == "hinge":
        return functional.relu(1.0 - on_real).mean() + functional.relu(1.0 + on_fake).mean()
    if kind == "wgan_gp":
        return on_fake.mean() - on_real.mean()
    return functional.softplus(on_fake - on_real).mean()


def generator_loss(kind: AdversarialLoss, on_fake: Tensor, on_real: Tensor | None = None, *, targets: Targets = TARGETS) -> Tensor:
    """Averages what the generator minimises; `rpgan` needs the scores of as many real images, without a graph, lsgan its targets."""
    if kind in ("bce", "r1_logistic"):
        return functional.softplus(-on_fake).mean()
    if kind == "lsgan":
        return 0.5 * (on_fake - targets.c).square().mean()
    if kind in ("hinge", "wgan_gp"):
        return -on_fake.mean()
    assert on_real is not None, "a relativistic loss compares with real images"
    return functional.softplus(on_real - on_fake).mean()


def slope_penalty(
    kind: AdversarialLoss,
    slope: Callable[[Tensor], Tensor],
    real: Tensor,
    fake: Tensor,
    random: torch.Generator,
    *,
    gp_lambda: float,
    r1_gamma: float,
) -> Tensor:
    """Computes the penalty that goes with a loss, weighted.

    It stays eager and in float32: a compiled graph has no second derivative, and the norm of a bf16 gradient is too coarse.

    Args:
        kind: one of `PENALISED`.
        slope: maps images to the gradient of the sum of their critic scores, a differentiable function of the critic's weights.
        real: float32 (B, C, H, W) in [-1, 1].
        fake: the same, without a graph.
        random: draws one mixing share for each pair, for wgan_gp.
        gp_lambda: weight of WGAN-GP's penalty.
        r1_gamma: weight of R1, and of R2 where the loss has it.

    Returns:
        A scalar that carries gradients to the critic's parameters.
    """
    if kind == "wgan_gp":
        return gp_lambda * gradient_penalty(slope, real, fake, random)
    penalty = zero_centred_penalty(slope, real)
    if kind == "rpgan":
        penalty = penalty + zero_centred_penalty(slope, fake.float())
    return r1_gamma * penalty


def gradient_penalty(slope: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, random: torch.Generator) -> Tensor:
    """Computes E[(|grad D(x)| - 1)^2] at random points between real and fake items (Gulrajani et al. 2017, eq. 3); arguments as `slope_penalty`'s."""
    share = torch.rand(len(real), *[1] * (real.ndim - 1), generator=random, device=real.device)
    with torch.autocast(real.device.type, enabled=False):
        slopes = slope(torch.lerp(real, fake.float(), share))
    return (slopes.flatten(1).norm(dim=1) - 1.0).square().mean()


def zero_centred_penalty(slope: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Computes E[|grad D(x)|^2] / 2: R1 on real images, R2 on synthetic ones (Mescheder et al. 2018)."""
    with torch.autocast(images.device.type, enabled=False):
        return 0.5 * slope(images).flatten(1).square().sum(dim=1).mean()


def autograd_slope(critic: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Makes the slope of any critic, from images to linear scores, by differentiating it; `trunk_slope` is cheaper where it applies."""

    def slope(images: Tensor) -> Tensor:
        images = images.detach().requires_grad_(True)
        with torch.enable_grad():
            (slopes,) = torch.autograd.grad(critic(images).sum(), images, create_graph=True)
        return slopes

    return slope


def trunk_slope(trunk: nn.Sequential, images: Tensor, weigh: Callable[[Tensor], Tensor]) -> Tensor:
    """Gives the gradient, with respect to images, of a weighted sum over the maps that a trunk makes of them.

    Such a trunk is piecewise linear, so that its gradient depends on the weights and, through the signs alone, on the images. Written out as a
    chain of transposed convolutions it costs about half of autograd's second derivative, which walks back through the forward pass as well,
    with nothing but zeros.

    Args:
        trunk: convolutions, LeakyReLUs and average pools of side 2, in any order.
        images: (B, C, H, W).
        weigh: maps the shape of the trunk's output, given as that tensor, to the weights of the sum, of the same shape.

    Returns:
        (B, C, H, W), differentiable with respect to the trunk's weights and to the sum's.
    """
    back: list[Callable[[Tensor], Tensor]] = []
    maps = images
    with torch.no_grad():
        for layer in trunk:
            if isinstance(layer, nn.Conv2d):
                back.append(partial(_through_convolution, layer, maps.shape[2]))
                maps = layer(maps)
            elif isinstance(layer, nn.LeakyReLU):
                bend = torch.where(maps > 0, 1.0, layer.negative_slope).to(maps.dtype)
                back.append(bend.mul)
                maps = layer(maps)
            else:
                assert isinstance(layer, nn.AvgPool2d) and layer.kernel_size == 2, "a trunk is convolutions, LeakyReLUs and average pools of side 2"
                back.append(_through_pool)
                maps = layer(maps)
    slopes = weigh(maps)
    for step in reversed(back):
        slopes = step(slopes)
    return slopes


def _through_convolution(layer: nn.Conv2d, before: int, slopes: Tensor) -> Tensor:
    """Takes slopes back through a convolution whose input had the side `before`."""
    stride, padding, side = layer.stride[0], int(layer.padding[0]), layer.kernel_size[0]
    missing = before - ((slopes.shape[2] - 1) * stride - 2 * padding + side)
    return functional.conv_transpose2d(slopes, layer.weight, None, stride, padding, missing)


def _through_pool(slopes: Tensor) -> Tensor:
    """Takes slopes back through an average over 2 x 2."""
    return 0.25 * functional.interpolate(slopes, scale_factor=2, mode="nearest")
