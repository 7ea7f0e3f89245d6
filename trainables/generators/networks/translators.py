"""Networks that the image-to-image families share: residual generators, a critic with two heads, and the domains that they are told.

`cyclegan`, `stargan` and `pe_gan` build on them, and train them as `image_to_image` says.
"""

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.layers import ClassCode
from trainables.generators.training.losses import trunk_slope

Norm = Literal["instance", "layer"]
"""What each image is normalised by: every channel by itself, which takes its brightness and contrast away, or all channels together, which do not."""


def image_norm(kind: Norm, channels: int, *, affine: bool = True) -> nn.Module:
    """Makes a norm of each image by itself, without running statistics: with them, evaluation would give other images than training did."""
    if kind == "layer":
        return nn.GroupNorm(1, channels, affine=affine)
    return nn.InstanceNorm2d(channels, affine=affine, track_running_stats=False)


def reflect(maps: Tensor, margin: int) -> Tensor:
    """Pads (B, C, H, W) by `margin` pixels mirrored at each edge, the edge itself not repeated.

    Written with slices: torch's own padding gives channels-first maps, and on CUDA adds its gradients in any order.
    """
    for axis in (2, 3):
        last = maps.shape[axis] - 1
        before, after = maps.narrow(axis, 1, margin).flip(axis), maps.narrow(axis, last - margin, margin).flip(axis)
        maps = torch.cat([before, maps, after], dim=axis)
    return maps


def in_layout_of(images: Tensor, layers: nn.Sequential) -> Tensor:
    """Copies images into the memory layout of a network's weights, which decides that of all its maps."""
    weights = [part.weight for part in layers if isinstance(part, nn.Conv2d) and part.weight.shape[1] > 1]
    last = weights[-1].is_contiguous(memory_format=torch.channels_last)
    # A fresh tensor in any case: one of a single channel counts as both layouts and would keep strides that convolutions read as the other.
    return images.clone(memory_format=torch.channels_last if last else torch.contiguous_format)


class ReflectedConv2d(nn.Conv2d):
    """A convolution of maps that are padded by reflection."""

    def __init__(self, last: int, now: int, side: int, *, bias: bool) -> None:
        super().__init__(last, now, side, bias=bias)

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps height and width."""
        return super().forward(reflect(maps, self.kernel_size[0] // 2))


def convolution(last: int, now: int, side: int, *, reflects: bool, bias: bool = False) -> nn.Module:
    """Makes a convolution that keeps height and width, padded by zeros or by reflection."""
    return ReflectedConv2d(last, now, side, bias=bias) if reflects else nn.Conv2d(last, now, side, 1, side // 2, bias=bias)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    def __init__(self, channels: int, *, reflects: bool, norm: Norm, affine: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(channels, channels, 3, reflects=reflects),
            image_norm(norm, channels, affine=affine),
            nn.ReLU(inplace=True),
            convolution(channels, channels, 3, reflects=reflects),
            image_norm(norm, channels, affine=affine),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape (B, C, H, W)."""
        out: Tensor = maps + self.layers(maps)
        return out


class Translator(nn.Module):
    """A residual generator: image, and where there are several the domain it is to go to, in; image out.

    A 7 x 7 convolution, two of stride 2, residual blocks, two transposed ones of stride 2, a 7 x 7 convolution. No convolution that a norm follows
    has a bias, which the norm would take away. The domain enters as constant planes beside the image. With planes the padding must be zeros:
    under reflection, instance norm would remove all that they add.
    """

    def __init__(
        self,
        *,
        width: int,
        blocks: int,
        side: int,
        channels: int,
        domains: Subject | None = None,
        reflects: bool = False,
        norm: Norm = "instance",
        affine: bool = True,
        last_bias: bool = True,
    ) -> None:
        """Makes it with torch's own weights.

        Args:
            width: channels after the first convolution.
            blocks: residual blocks.
            side: of the convolutions of stride 2, in pixels.
            channels: of the images.
            domains: what tells the domains apart; None where there is but one to go to.
            reflects: pads by reflection, rather than by zeros.
            norm: what follows each convolution but the last.
            affine: whether norms scale and shift.
            last_bias: whether the last convolution has a bias.
        """
        super().__init__()
        self.code = ClassCode(domains) if domains is not None else None
        planes = self.code.width if self.code is not None else 0
        margin, missing = (side - 1) // 2, side % 2
        layers = [convolution(channels + planes, width, 7, reflects=reflects), image_norm(norm, width, affine=affine), nn.ReLU(inplace=True)]
        for now in (width, 2 * width):
            layers += [nn.Conv2d(now, 2 * now, side, 2, margin, bias=False), image_norm(norm, 2 * now, affine=affine), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * width, reflects=reflects, norm=norm, affine=affine) for _ in range(blocks)]
        for now in (2 * width, width):
            layers.append(nn.ConvTranspose2d(2 * now, now, side, 2, margin, output_padding=missing, bias=False))
            layers += [image_norm(norm, now, affine=affine), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, convolution(width, channels, 7, reflects=reflects, bias=last_bias))

    def forward(self, images: Tensor, domain: Tensor | None = None) -> Tensor:
        """Translates images (B, C, H, W) in [-1, 1], to their domain (B,) where there are several; the same shape and range, float32."""
        if self.code is not None:
            assert domain is not None, "told apart by their domain"
            planes = self.code(domain).to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, planes], dim=1)
        out: Tensor = self.layers(in_layout_of(images, self.layers))
        return torch.tanh(out.float())


class TwoHeadedCritic(nn.Module):
    """Convolutions of stride 2 with LeakyReLU 0.01 and no norm, then a map of patch scores beside the domain's logits."""

    def __init__(self, *, width: int, size_px: int, channels: int, domains: int, side: int = 5, stages: int = 5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last, now = channels, width
        for _ in range(stages):
            layers += [nn.Conv2d(last, now, side, 2, (side - 1) // 2), nn.LeakyReLU(0.01, inplace=True)]
            last, now = now, 2 * now
        self.trunk = nn.Sequential(*layers)
        self.score = nn.Conv2d(last, 1, 3, 1, 1, bias=False)
        self.domain = nn.Conv2d(last, domains, size_px // 2**stages, bias=False)

    def slope(self, images: Tensor) -> Tensor:
        """Gives the gradient of the sum of each image's patch scores with respect to the image, (B, C, H, W)."""

        def weigh(maps: Tensor) -> Tensor:
            return functional.conv_transpose2d(torch.ones_like(maps[:, :1]), self.score.weight, None, 1, 1)

        return trunk_slope(self.trunk, images, weigh)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Gives patch scores (B, 1, h, w), linear, and domain logits (B, domains), both float32."""
        maps = self.trunk(images)
        return self.score(maps).float(), self.domain(maps).flatten(1).float()


def with_background(subject: Subject) -> Subject:
    """Gives the domains of a subject: its classes, and the background as one more where it is none of them.

    Where classes have vectors of their own, the background stands on an axis that no class has a share in.
    """
    if subject.background_label is not None:
        return subject
    vectors = None
    if subject.class_vectors is not None:
        vectors = torch.block_diag(subject.vectors(), torch.ones(1, 1))
    return replace(subject, num_classes=subject.num_classes + 1, background_label=subject.num_classes, class_vectors=vectors)
