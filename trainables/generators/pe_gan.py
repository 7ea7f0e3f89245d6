"""PE-GAN (He et al. 2024): one image-to-image generator that puts defects on backgrounds (production) and takes them away again (elimination).

Ambiguities of the paper are settled as follows: the adversarial head is linear, because WGAN-GP replaces eq. 1 and 2; eq. 3 and 4 are plain
cross-entropies; "20,000 epochs" are read as iterations; the classes of a batch, half defects and half backgrounds, are not stated.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.loop import Shuffle
from trainables.generators.losses import gradient_penalty, trunk_slope
from trainables.generators.model import SAMPLE_BATCH, GeneratorModel, adam, check_limits, read_betas, to_pixels, to_signed
from trainables.generators.subject import Batch, Drawn
from trainables.seeds import child_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class PeGanConfig:
    """Settings of PE-GAN (section 3.3 of the paper)."""

    lr: float = 1e-4
    """Learning rate of both networks."""
    betas: Literal["0.9,0.99", "0.5,0.999", "0.5,0.9", "0,0.9"] = "0.9,0.99"
    """Adam coefficients; the paper's are unusual under a gradient penalty."""
    lambda_cls_d: float = 2.0
    """Weight of the critic's classification of real images."""
    lambda_cls_g: float = 5.0
    """Weight of the generator's classification of its own images."""
    lambda_rec: float = 10.0
    """Weight of the reconstruction after both directions (eq. 5)."""
    gp_lambda: float = 10.0
    """Weight of the gradient penalty."""
    gp_interval: int = 1
    """Critic steps between penalties; each is then weighted by as many."""
    n_critic: int = 5
    """Critic steps for each generator step; unstated, StarGAN's."""
    batch: int = 16
    """Real images per critic step, half of them defects and half backgrounds."""
    base_width: int = 32
    """Channels after the first convolution of both networks (tables 1 and 2)."""
    n_res_blocks: int = 6
    """Residual blocks (table 1)."""
    both_directions: Literal["both", "production_only"] = "both"
    """Production and elimination, or production alone: the ablation that the paper claims and does not run."""
    mirror_backgrounds: bool = True
    """Mirrors backgrounds at random, in training and when drawing, so that few of them give more images; unstated."""
    lr_decay: Literal["none", "linear"] = "none"
    """linear takes the learning rate to 0 over the second half of the horizon, as StarGAN does."""
    horizon_kimg: float = 320.0
    """Where a linear decay ends; 20,000 iterations of 16 images."""
    class_mode: Literal["conditional"] = "conditional"
    """One model that is told the class."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        weights = ["lambda_cls_d", "lambda_cls_g", "lambda_rec", "gp_lambda", "ema_halflife_kimg", "n_res_blocks"]
        check_limits(self, above_0=["lr", "horizon_kimg"], at_least_0=weights, at_least_1=["gp_interval", "n_critic", "base_width"])
        if self.batch < 2 or self.batch % 2:
            raise SettingsError(f"batch: {self.batch} is not an even number, half defects and half backgrounds")

    @property
    def horizon(self) -> float | None:
        """The last mark that the schedule of the learning rate allows, in kimg."""
        return self.horizon_kimg if self.lr_decay == "linear" else None


def instance_norm(channels: int) -> nn.Module:
    """Makes an affine instance norm without running statistics: with them, evaluation would give other images than training did."""
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=False)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            instance_norm(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            instance_norm(channels),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Keeps the shape (B, C, H, W)."""
        out: Tensor = maps + self.layers(maps)
        return out


class Translator(nn.Module):
    """The generator of table 1: image and domain in, image out. Zero padding, so that the domain's planes survive the norms."""

    def __init__(self, *, width: int, blocks: int, channels: int, domains: int) -> None:
        super().__init__()
        self.domains = domains
        down = [nn.Conv2d(channels + domains, width, 7, 1, 3, bias=False), instance_norm(width), nn.ReLU(inplace=True)]
        for factor in (1, 2):
            now = width * factor
            down += [nn.Conv2d(now, 2 * now, 5, 2, 2, bias=False), instance_norm(2 * now), nn.ReLU(inplace=True)]
        up: list[nn.Module] = []
        for factor in (4, 2):
            now = width * factor
            up += [nn.ConvTranspose2d(now, now // 2, 5, 2, 2, output_padding=1, bias=False), instance_norm(now // 2), nn.ReLU(inplace=True)]
        middle = [ResidualBlock(4 * width) for _ in range(blocks)]
        self.layers = nn.Sequential(*down, *middle, *up, nn.Conv2d(width, channels, 7, 1, 3))

    def forward(self, images: Tensor, domain: Tensor) -> Tensor:
        """Translates images (B, C, H, W) in [-1, 1] to their domain (B,); the same shape and range, float32."""
        planes = functional.one_hot(domain, self.domains).to(images.dtype)[:, :, None, None].expand(-1, -1, *images.shape[2:])
        out: Tensor = self.layers(torch.cat([images, planes], dim=1).contiguous(memory_format=torch.channels_last))
        return torch.tanh(out.float())


class TwoHeadedCritic(nn.Module):
    """The discriminator of table 2: five 5 x 5 stride-2 convolutions, a map of patch scores, and the domain's logits."""

    def __init__(self, *, width: int, size_px: int, channels: int, domains: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        last, now = channels, width
        for _ in range(5):
            layers += [nn.Conv2d(last, now, 5, 2, 2), nn.LeakyReLU(0.01, inplace=True)]
            last, now = now, 2 * now
        self.trunk = nn.Sequential(*layers)
        self.score = nn.Conv2d(last, 1, 3, 1, 1, bias=False)
        self.domain = nn.Conv2d(last, domains, size_px // 32, bias=False)

    def slope(self, images: Tensor) -> Tensor:
        """Gives the gradient of the sum of each image's patch scores with respect to the image, (B, C, H, W)."""

        def weigh(maps: Tensor) -> Tensor:
            return functional.conv_transpose2d(torch.ones_like(maps[:, :1]), self.score.weight, None, 1, 1)

        return trunk_slope(self.trunk, images, weigh)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Gives patch scores (B, 1, H / 32, W / 32), linear, and domain logits (B, domains), both float32."""
        maps = self.trunk(images)
        return self.score(maps).float(), self.domain(maps).flatten(1).float()


class PeGan(GeneratorModel):
    """StarGAN's losses on label pairs that always have the background on one side."""

    needs_backgrounds = True
    class_modes = ("conditional",)
    takes_vectors = False
    sizes_px = (32, 64, 128, 256)
    VERSION = 2
    Config = PeGanConfig
    config: PeGanConfig
    critic: TwoHeadedCritic

    @property
    def domains(self) -> int:
        """Classes and the background, which may be one of the classes."""
        return self.subject.num_classes + (self.subject.background_label is None)

    @property
    def background_domain(self) -> int:
        """Which domain the backgrounds are."""
        return self.subject.num_classes if self.subject.background_label is None else self.subject.background_label

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks with torch's own weights, as StarGAN does.

        They have 2,310,275 and 4,441,920 parameters at 128 px with 9 classes and 3 channels.
        """
        width, domains = self.config.base_width, self.domains
        return (
            Translator(width=width, blocks=self.config.n_res_blocks, channels=self.subject.channels, domains=domains),
            TwoHeadedCritic(width=width, size_px=self.subject.size_px, channels=self.subject.channels, domains=domains),
        )

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    @property
    def batch_size(self) -> int:
        """Defect images per step."""
        return self.config.batch // 2

    @property
    def backgrounds_per_step(self) -> int:
        """Backgrounds per step."""
        return self.config.batch // 2

    @property
    def steps_per_period(self) -> int:
        """Steps after which generator updates and penalties fall together again."""
        return math.lcm(self.config.n_critic, self.config.gp_interval)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Does one critic step, and a generator step at the end of each round."""
        real, labels, backgrounds = batch.real, batch.labels, batch.backgrounds
        assert backgrounds is not None, "the loop refuses a training without backgrounds"
        random = self.random(step)
        self._schedule(step)
        scenes = mirror(to_signed(backgrounds), random) if self.config.mirror_backgrounds else to_signed(backgrounds)
        images = torch.cat([to_signed(real), scenes])
        scene_domain = torch.full((len(scenes),), self.background_domain, device=self.device)
        domains = torch.cat([labels, scene_domain])
        defects = torch.tensor([label for label in range(self.subject.num_classes) if label != self.subject.background_label], device=self.device)
        wanted = defects[torch.randint(len(defects), (len(scenes),), generator=random, device=self.device)]
        if self.config.both_directions == "both":
            sources, origins, targets = images, domains, torch.cat([torch.full_like(labels, self.background_domain), wanted])
        else:
            sources, origins, targets = scenes, scene_domain, wanted
        losses = self._critic_step(images, domains, sources, targets, random, step)
        if (step + 1) % self.config.n_critic == 0:
            losses |= self._generator_step(sources, origins, targets)
            self.average(step, self.images_per_step * self.config.n_critic)
        return losses

    def _schedule(self, step: int) -> None:
        """Sets the learning rate of this step."""
        horizon = self.config.horizon
        shown = step * self.images_per_step / 1000
        left = 1.0 if horizon is None else min(1.0, 2.0 * (1.0 - shown / horizon))
        for group in (*self.optimizer_g.param_groups, *self.optimizer_d.param_groups):
            group["lr"] = self.config.lr * max(left, 0.0)

    def _critic_step(
        self, images: Tensor, domains: Tensor, sources: Tensor, targets: Tensor, random: torch.Generator, step: int
    ) -> dict[str, Tensor]:
        """Eq. 6 with WGAN-GP in place of eq. 2."""
        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        with torch.no_grad(), self.autocast():
            fake = self.generator(sources, targets)
        with self.autocast():
            scores, logits = self.critic(torch.cat([images, fake]))
        count = len(images)
        distance = scores[:count].mean() - scores[count:].mean()
        loss_cls = functional.cross_entropy(logits[:count], domains)
        loss = -distance + self.config.lambda_cls_d * loss_cls
        told = {"distance": distance.detach(), "loss_cls_d": loss_cls.detach()}
        if step % self.config.gp_interval == 0:
            penalty = gradient_penalty(self.critic.slope, images[: len(fake)], fake, random)
            loss = loss + self.config.gp_lambda * self.config.gp_interval * penalty
            told["penalty"] = penalty.detach()
        loss.backward()
        self.optimizer_d.step()
        return told

    def _generator_step(self, sources: Tensor, origins: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Eq. 7."""
        self.critic.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        with self.autocast():
            fake = self.generator(sources, targets)
            scores, logits = self.critic(fake)
            back = self.generator(fake, origins)
        loss_cls = functional.cross_entropy(logits, targets)
        loss_rec = functional.l1_loss(back, sources)
        loss_g = -scores.mean() + self.config.lambda_cls_g * loss_cls + self.config.lambda_rec * loss_rec
        loss_g.backward()
        self.optimizer_g.step()
        return {"loss_g": loss_g.detach(), "loss_cls_g": loss_cls.detach(), "loss_rec": loss_rec.detach()}

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Puts defects of one class on backgrounds, each of which is used once before any is used again; it has no latent to truncate."""
        if backgrounds is None or len(backgrounds) == 0:
            raise SettingsError("pe_gan draws defects on backgrounds and was given none: set data.backgrounds to folder or crops")
        seed = child_seed(seed, "sample", label)
        random = torch.Generator().manual_seed(seed)
        rows = Shuffle(len(backgrounds), seed).rows(0, count)
        parts = []
        for chosen in rows.split(SAMPLE_BATCH):
            scenes = to_signed(backgrounds[chosen.to(backgrounds.device)].cpu())
            scenes = mirror(scenes, random) if self.config.mirror_backgrounds else scenes
            with self.autocast():
                images = self.ema(scenes.to(self.device), torch.full((len(chosen),), label, device=self.device))
            parts.append(to_pixels(images).cpu())
        return Drawn(items=torch.cat(parts))

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives the averaged generator as a function of images."""

        def produce(images: Tensor) -> Tensor:
            return self.ema(images, torch.zeros(len(images), dtype=torch.int64, device=images.device))

        return produce, (self.subject.channels, self.subject.size_px, self.subject.size_px)


def mirror(images: Tensor, random: torch.Generator) -> Tensor:
    """Mirrors each image left to right and top to bottom, each with probability one half."""
    for axis in (3, 2):
        turned = torch.rand(len(images), 1, 1, 1, generator=random, device=images.device) < 0.5
        images = torch.where(turned, images.flip(axis), images)
    return images
