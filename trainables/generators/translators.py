"""What the image-to-image families share: residual generators, critics with two heads, mirrored backgrounds, and drawing defects on them.

`cyclegan`, `stargan` and `pe_gan` build on it.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.layers import ClassCode
from trainables.generators.loop import Shuffle
from trainables.generators.losses import trunk_slope
from trainables.generators.model import SAMPLE_BATCH, GeneratorModel, adam, read_betas, to_pixels, to_signed
from trainables.generators.subject import Drawn, Subject
from trainables.seeds import child_seed


def instance_norm(channels: int, *, affine: bool = True) -> nn.Module:
    """Makes an instance norm without running statistics: with them, evaluation would give other images than training did."""
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

    def __init__(self, channels: int, *, reflects: bool, affine: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(channels, channels, 3, reflects=reflects),
            instance_norm(channels, affine=affine),
            nn.ReLU(inplace=True),
            convolution(channels, channels, 3, reflects=reflects),
            instance_norm(channels, affine=affine),
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
            affine: whether norms scale and shift.
            last_bias: whether the last convolution has a bias.
        """
        super().__init__()
        self.code = ClassCode(domains) if domains is not None else None
        planes = self.code.width if self.code is not None else 0
        margin, missing = (side - 1) // 2, side % 2
        layers = [convolution(channels + planes, width, 7, reflects=reflects), instance_norm(width, affine=affine), nn.ReLU(inplace=True)]
        for now in (width, 2 * width):
            layers += [nn.Conv2d(now, 2 * now, side, 2, margin, bias=False), instance_norm(2 * now, affine=affine), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * width, reflects=reflects, affine=affine) for _ in range(blocks)]
        for now in (2 * width, width):
            layers.append(nn.ConvTranspose2d(2 * now, now, side, 2, margin, output_padding=missing, bias=False))
            layers += [instance_norm(now, affine=affine), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, convolution(width, channels, 7, reflects=reflects, bias=last_bias))

    def forward(self, images: Tensor, domain: Tensor | None = None) -> Tensor:
        """Translates images (B, C, H, W) in [-1, 1], to their domain (B,) where there are several; the same shape and range, float32."""
        if self.code is not None:
            assert domain is not None, "told apart by their domain"
            planes = self.code(domain).to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
            images = torch.cat([images, planes], dim=1).contiguous(memory_format=torch.channels_last)
        out: Tensor = self.layers(images)
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


def mirror(images: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors each image left to right and top to bottom, each with probability one half."""
    for axis in (3, 2):
        turned = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device) < 0.5
        images = torch.where(turned, images.flip(axis), images)
    return images


class ImageToImageModel(GeneratorModel):
    """A family that puts defects on backgrounds, and may take them away again.

    Of its Config it reads lr, betas, mirror_backgrounds, lr_decay, horizon_kimg and, where it is there, decay_start.
    """

    needs_backgrounds = True
    sizes_px = (32, 64, 128, 256)

    @abstractmethod
    def produce(self, scenes: Tensor, label: int) -> Tensor:
        """Puts defects of a class on backgrounds (B, C, H, W) in [-1, 1], with the averaged weights; the same shape and range."""

    @abstractmethod
    def eliminate(self, images: Tensor) -> Tensor:
        """Takes the defects of images (B, C, H, W) in [-1, 1] away, with the averaged weights; the same shape and range."""

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for the generator and one for the critic."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    def schedule(self, step: int) -> None:
        """Sets the learning rate of this step: a linear decay begins at half of the horizon unless `decay_start` says otherwise."""
        left = 1.0
        start = getattr(self.config, "decay_start", 0.5)
        if self.config.lr_decay == "linear" and start < 1:
            shown = step * self.images_per_step / 1000
            left = max(0.0, min(1.0, (1.0 - shown / self.config.horizon_kimg) / (1.0 - start)))
        for group in (*self.optimizer_g.param_groups, *self.optimizer_d.param_groups):
            group["lr"] = self.config.lr * left

    def scenes(self, backgrounds: Tensor, random: torch.Generator) -> Tensor:
        """Turns uint8 backgrounds into float32 in [-1, 1], mirrored at random where the settings say so."""
        return mirror(to_signed(backgrounds), random) if self.config.mirror_backgrounds else to_signed(backgrounds)

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Puts defects of one class on backgrounds, each of which is used once before any is used again; it has no latent to truncate."""
        if backgrounds is None or len(backgrounds) == 0:
            raise SettingsError(f"{type(self).__name__} draws defects on backgrounds and was given none: set data.backgrounds to folder or crops")
        seed = child_seed(seed, "sample", label)
        random = torch.Generator().manual_seed(seed)
        rows = Shuffle(len(backgrounds), seed).rows(0, count)
        parts = []
        for chosen in rows.split(SAMPLE_BATCH):
            scenes = self.scenes(backgrounds[chosen.to(backgrounds.device)].cpu(), random).to(self.device)
            with self.autocast():
                parts.append(to_pixels(self.produce(scenes, label)).cpu())
        return Drawn(items=torch.cat(parts))

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives the averaged generator as a function of images."""
        return lambda images: self.produce(images, 0), self.subject.shape
