"""StyleGAN2 with DiffAugment, the generator of Saiz et al. 2021, and adaptive augmentation (ADA) as an option.

The paper states no settings; what stands here are those of the `low_shot` preset of DiffAugment's StyleGAN2. Networks are in `networks.style`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.model import adam, check_limits, to_signed
from trainables.generators.bases.subject import Batch
from trainables.generators.networks.style import Discriminator, StyleGenerator, map_sides
from trainables.generators.training import ada
from trainables.generators.training.diffaugment import Policy
from trainables.generators.training.losses import critic_loss, slope_penalty

KEPT_W = 0.995
"""What a step leaves of the average w."""
PATH_DECAY = 0.01
"""How far a path length step moves the mean length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StyleGan2Config:
    """Settings of StyleGAN2."""

    lr: float = 2e-3
    """Learning rate of both networks (low_shot)."""
    mapping_lr_mult: float = 0.01
    """Learning rate of the mapping's layers over that of the rest (StyleGAN)."""
    batch: int = 8
    """Real images per step (low_shot)."""
    latent_dim: int = 512
    """Length of z and of w (StyleGAN)."""
    mapping_depth: int = 2
    """Fully connected layers between z and w, and before the discriminator's class vectors (low_shot)."""
    channel_base: int = 32768
    """Channels of a map times its side (low_shot: fmaps 1)."""
    max_channels: int = 512
    """Most channels of a map (StyleGAN2)."""
    mbstd_group: int = 4
    """Images over which the discriminator sees the deviation; 1 leaves it out (low_shot)."""
    adversarial_loss: Literal["r1_logistic", "rpgan"] = "r1_logistic"
    """The non-saturating logistic loss with R1; or, for comparison, R3GAN's relativistic loss with R1 and R2."""
    r1_gamma: float = 10.0
    """Weight of R1, and of R2 under rpgan (low_shot); 0 leaves it out."""
    d_reg_interval: int = 16
    """Steps between penalties, each weighted by as many (StyleGAN2, lazy regularisation)."""
    pl_weight: float = 2.0
    """Weight of the path length penalty (StyleGAN2); 0 leaves it out."""
    g_reg_interval: int = 4
    """Steps between path length penalties, each weighted by as many (StyleGAN2, lazy regularisation)."""
    style_mixing_prob: float = 0.9
    """Share of the images whose later layers get a second w (StyleGAN)."""
    aug_mode: Literal["diffaug", "ada", "both", "none"] = "diffaug"
    """What changes images before the discriminator sees them: DiffAugment (Saiz et al.), ADA, one after the other, or nothing."""
    diffaug: Policy = "color,translation,cutout"
    """DiffAugment's changes (low_shot). On photometric-stereo images, whose channels are physical quantities, leave color out."""
    ada_target: float = 0.6
    """Mean sign of the discriminator's score of real images that ADA aims at (ADA)."""
    ada_kimg: float = 500.0
    """Thousands of images in which ADA's probability can go from 0 to 1 (ADA)."""
    xflip: bool = True
    """Shows every other real image mirrored (low_shot of DiffAugment's TensorFlow code)."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "conditional"
    """One model for each class, one that is told the class, or one that is not; the paper trains one on all images."""
    ema_halflife_kimg: float = 10.0
    """Half-life of the weight average that is evaluated (low_shot)."""

    def __post_init__(self) -> None:
        check_limits(
            self,
            above_0=["lr", "mapping_lr_mult", "ada_kimg"],
            at_least_0=["r1_gamma", "pl_weight", "ema_halflife_kimg"],
            at_least_1=[
                "batch",
                "latent_dim",
                "mapping_depth",
                "channel_base",
                "max_channels",
                "mbstd_group",
                "d_reg_interval",
                "g_reg_interval",
            ],
        )
        problems = []
        if self.batch % self.deviation_group:
            problems.append(f"batch: {self.batch} is not a multiple of mbstd_group {self.mbstd_group}")
        if not 0.0 <= self.style_mixing_prob <= 1.0:
            problems.append(f"style_mixing_prob: {self.style_mixing_prob} is not between 0 and 1")
        if not -1.0 < self.ada_target < 1.0:
            problems.append(f"ada_target: {self.ada_target} is not between -1 and 1, as a mean sign is")
        if problems:
            raise SettingsError("; ".join(problems))

    @property
    def deviation_group(self) -> int:
        """Images over which the deviation is taken: never more than a batch."""
        return min(self.mbstd_group, self.batch)

    def channels(self, size_px: int) -> dict[int, int]:
        """Gives the channels of the maps of every side up to `size_px`."""
        return {side: max(1, min(self.channel_base // side, self.max_channels)) for side in map_sides(size_px)}


class StyleGan2(AdversarialModel):
    """Every step moves both networks; their penalties are updates of their own, every few steps (lazy regularisation)."""

    VERSION = 1
    Config: ClassVar[type[Any]] = StyleGan2Config
    config: StyleGan2Config
    generator: StyleGenerator
    ema: StyleGenerator

    def __init__(self, *arguments: Any, **more: Any) -> None:
        """Builds networks, optimizers, and what path lengths and ADA remember; arguments as `GeneratorModel` takes them."""
        super().__init__(*arguments, **more)
        self.path_sum, self.path_weight = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        self.adaptive = ada.AdaptiveAugmentation(target=self.config.ada_target, kimg=self.config.ada_kimg, device=self.device)

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the skip generator and the residual discriminator, weights N(0, 1)."""
        config, channels = self.config, self.config.channels(self.subject.size_px)
        generator = StyleGenerator(subject=self.subject, latent_dim=config.latent_dim, mapping_depth=config.mapping_depth, channels=channels)
        critic = Discriminator(subject=self.subject, mapping_depth=config.mapping_depth, channels=channels, group=config.deviation_group)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network, corrected for its penalty's updates, the mapping's layers in a group of their own."""
        intervals = (self.config.g_reg_interval if self.config.pl_weight else 0, self.penalty_interval if self.config.r1_gamma else 0)
        g, d = (
            lazy_adam(network, self.config.lr, self.config.mapping_lr_mult, interval)
            for network, interval in zip((self.generator, self.critic), intervals, strict=True)
        )
        return g, d

    @property
    def penalty_interval(self) -> int:
        """Steps between penalties on the discriminator's slope."""
        return self.config.d_reg_interval

    @property
    def path_mean(self) -> Tensor:
        """The running mean of path lengths, of what was seen alone: begun at 0 it would shorten all paths through a short training."""
        return self.path_sum / self.path_weight

    @property
    def adapts(self) -> bool:
        """Whether ADA is on."""
        return self.config.aug_mode in ("ada", "both")

    @property
    def steps_per_period(self) -> int:
        """Steps after which penalties and changes of ADA's probability fall together again."""
        config = self.config
        lazy = [(config.r1_gamma, config.d_reg_interval), (config.pl_weight, config.g_reg_interval), (self.adapts, ada.ADAPT_EVERY)]
        return math.lcm(*(interval for is_on, interval in lazy if is_on))

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Moves the discriminator, then the generator on the same images of it; each followed by its penalty where that is due."""
        random = self.random(step)
        real, labels = self.prepare(batch.real, random), batch.labels
        with self.autocast():
            w, styles = self.styles(labels, random)
            fake = self.generator.synthesise(styles, random)
        self.generator.follow(w.detach(), labels, KEPT_W)
        told = self.critic_step(real, fake.detach(), labels, random, step)
        told |= self.generator_step(real, fake, labels, random, step)
        if self.config.pl_weight and step % self.config.g_reg_interval == 0:
            told |= self.path_step(labels[: max(1, len(labels) // 2)], random)
        self.average(step, self.images_per_step)
        if self.adapts and (step + 1) % ada.ADAPT_EVERY == 0:
            self.adaptive.adapt(ada.ADAPT_EVERY * self.images_per_step)
        return told

    def prepare(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Turns real images, uint8, into float32 in [-1, 1], half of them mirrored left to right."""
        signed = to_signed(images)
        if not self.config.xflip:
            return signed
        flips = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device) < 0.5
        return torch.where(flips, signed.flip(3), signed)

    def styles(self, labels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draws w (B, latent_dim), and the styles (B, layers, latent_dim) made of it and, from a random layer on, of a second w."""
        generator, count = self.generator, len(labels)
        w = generator.map(self.latent(count, random), labels)
        styles = w[:, None].expand(-1, generator.num_styles, -1)
        if self.config.style_mixing_prob:
            second = generator.map(self.latent(count, random), labels)
            crossover = torch.randint(1, generator.num_styles, (count,), generator=random, device=random.device)
            mixed = torch.rand(count, generator=random, device=random.device) < self.config.style_mixing_prob
            styles = mix_styles(styles, second, torch.where(mixed, crossover, generator.num_styles))
        return w, styles

    def critic_step(self, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator, step: int) -> dict[str, Tensor]:
        """Moves the discriminator by its loss; then, where it is due, by its penalty alone."""
        self.critic.requires_grad_(True)
        real, fake = self.augment(real, random), self.augment(fake, random)
        with self.autocast():
            on_real, on_fake = self.critic(torch.cat([real, fake]), torch.cat([labels, labels])).chunk(2)
        loss = critic_loss(self.loss, on_real, on_fake)
        update(self.optimizer_d, loss)
        told = {"loss_d": loss.detach()}
        if self.adapts:
            # Relativistic scores have no zero of their own: there a real image counts as sure when it lies above its synthetic partner.
            self.adaptive.observe(on_real - on_fake if self.loss == "rpgan" else on_real)
            told["ada_p"] = self.adaptive.p
        if self.config.r1_gamma and step % self.penalty_interval == 0:
            penalty = self.penalty(real, fake, labels, random)
            update(self.optimizer_d, self.penalty_interval * penalty)
            told["penalty"] = penalty.detach()
        return told

    def penalty(self, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator) -> Tensor:
        """Computes R1 on real images as the discriminator sees them, and under rpgan R2 on synthetic ones, float32."""

        def slope(images: Tensor) -> Tensor:
            return self.slope(images, labels)

        return slope_penalty(self.loss, slope, real, fake, random, gp_lambda=0.0, r1_gamma=self.config.r1_gamma)

    def path_step(self, labels: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Moves the generator by its path length penalty, in float32."""
        _, styles = self.styles(labels, random)
        lengths = path_lengths(self.generator.synthesise(styles, random), styles, random)
        self.path_sum = torch.lerp(self.path_sum, lengths.detach().mean(), PATH_DECAY)
        self.path_weight = torch.lerp(self.path_weight, torch.ones_like(self.path_weight), PATH_DECAY)
        penalty = (lengths - self.path_mean).square().mean()
        update(self.optimizer_g, self.config.pl_weight * self.config.g_reg_interval * penalty)
        return {"path_length": lengths.detach().mean(), "path_penalty": penalty.detach()}

    def augment(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Changes real and synthetic images alike before the discriminator sees them."""
        if self.adapts:
            images = ada.augment(images, self.adaptive.p, random)
        return super().augment(images, random) if self.config.aug_mode in ("diffaug", "both") else images

    def settle(self) -> None:
        """Takes over the average w."""
        self.ema.w_sum.copy_(self.generator.w_sum)
        self.ema.w_weight.copy_(self.generator.w_weight)

    def draw(self, z: Tensor, labels: Tensor, truncation: float, noise: torch.Generator | None = None) -> Tensor:
        """Runs the averaged generator, w pulled towards its class's average by the truncation; without `noise`, with that of a fixed seed."""
        w = self.ema.map(z, labels)
        if truncation != 1.0:
            w = torch.lerp(self.ema.middle(labels), w, truncation)
        return self.ema.synthesise(w[:, None].expand(-1, self.ema.num_styles, -1), noise or torch.Generator().manual_seed(0))

    def state(self) -> dict[str, Any]:
        """Gives everything that continues the training."""
        return {**super().state(), "path": [self.path_sum, self.path_weight], "ada": self.adaptive.state()}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        super().load(state)
        self.path_sum, self.path_weight = (value.to(self.device, copy=True) for value in state["path"])
        self.adaptive.load(state["ada"])


def lazy_adam(network: nn.Module, lr: float, mapping_lr_mult: float, interval: int) -> torch.optim.Optimizer:
    """Makes an Adam (0, 0.99) whose rate and memory are lowered by k / (k + 1), as k steps bring k + 1 updates (StyleGAN2, appendix B).

    Args:
        network: its parameters under `mapping.layers.` learn more slowly.
        lr: learning rate without penalty.
        mapping_lr_mult: learning rate of the mapping's layers over it.
        interval: steps from one penalty to the next; 0 for none.
    """
    share = interval / (interval + 1) if interval else 1.0

    def named(*, of_mapping: bool) -> Iterable[nn.Parameter]:
        return [parameter for name, parameter in network.named_parameters() if name.startswith("mapping.layers.") == of_mapping]

    groups: list[dict[str, Any]] = [
        {"params": named(of_mapping=False), "lr": lr * share},
        {"params": named(of_mapping=True), "lr": lr * share * mapping_lr_mult},
    ]
    return adam([group for group in groups if group["params"]], lr * share, (0.0, 0.99**share))


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Moves an optimizer's parameters once, down a loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()


def mix_styles(styles: Tensor, second: Tensor, crossover: Tensor) -> Tensor:
    """Replaces styles (B, layers, D) by the second w (B, D) from each image's crossover (B,) on."""
    layer = torch.arange(styles.shape[1], device=styles.device)
    return torch.where((layer >= crossover[:, None])[:, :, None], second[:, None], styles)


def path_lengths(images: Tensor, styles: Tensor, random: torch.Generator) -> Tensor:
    """Measures how far each image moves with its styles, along one random direction (StyleGAN2, section 3.2).

    Args:
        images: float32 (B, C, H, W), made of the styles.
        styles: (B, layers, D), with a graph to the generator's weights.
        random: draws the direction y, N(0, 1 / (H W)) at each pixel.

    Returns:
        |J^T y| (B,), the squares averaged over layers; differentiable with respect to the generator's weights.
    """
    y = torch.randn(images.shape, generator=random, device=images.device) / math.sqrt(images[0, 0].numel())
    (slopes,) = torch.autograd.grad((images * y).sum(), styles, create_graph=True)
    return slopes.square().sum(dim=2).mean(dim=1).sqrt()
