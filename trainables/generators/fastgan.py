"""FastGAN (Liu et al. 2021): a light generator with skip-layer excitation against a discriminator that must also be able to describe what it saw.

Built from the paper. What it leaves open is settled as follows. The reconstruction of real images is compared in pixels, at three scales: the
perceptual distance of the paper needs a network that was trained elsewhere. Spectral norm stands in the discriminator alone: in the generator batch
norm undoes any scale. A part is one of the four quarters of the 16 px map. Images below 1024 px leave out the largest levels.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.model import adam, check_limits, read_betas
from trainables.generators.networks.fastgan import FastCritic, FastGenerator, quarter
from trainables.generators.networks.layers import initialise, initialise_critic
from trainables.generators.training.diffaugment import Policy
from trainables.generators.training.losses import PENALISED, autograd_slope, critic_loss, slope_penalty

SCALES = (1, 2, 4)
"""Pixels that are averaged before a reconstruction is compared with its image."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FastganConfig:
    """Settings of FastGAN."""

    lr: float = 2e-4
    """Learning rate of both networks (section 4)."""
    betas: Literal["0.5,0.9", "0.5,0.999", "0,0.9"] = "0.5,0.9"
    """Adam coefficients; lightweight-gan's."""
    batch: int = 8
    """Real images per step (section 4)."""
    latent_dim: int = 256
    """Length of the latent (section 3.1)."""
    width: int = 64
    """Channels of both networks on maps of 128 px; twice as many at 32 and 64 px, 16 times at 4 px."""
    recon_weight: float = 1.0
    """Weight of the reconstruction of real images from the discriminator's maps (eq. 3 and 4)."""
    attn_res: Literal["none", 16, 32] = "none"
    """Side of the generator's maps that self-attention is added to (lightweight-gan's option)."""
    adversarial_loss: Literal["hinge", "rpgan"] = "hinge"
    """Hinge (eq. 4 and 5); or, for comparison, R3GAN's relativistic loss, which takes batch and spectral norm out of the discriminator."""
    r1_gamma: float = 1.0
    """Weight of R1 and R2 under rpgan."""
    diffaug: Policy = "translation,cutout"
    """DiffAugment's changes to what the discriminator sees, and reconstructs."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "per_class"
    """One model for each class, one that is told the class, or one that is not; the paper trains on one kind of image at a time."""
    ema_halflife_kimg: float = 5.5
    """Half-life of the weight average that is evaluated: that of a decay of 0.999 a step of 8 images."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["lr"], at_least_0=["recon_weight", "r1_gamma", "ema_halflife_kimg"], at_least_1=["latent_dim"])
        problems = []
        if self.batch < 2:
            problems.append(f"batch: {self.batch} is less than 2, which batch norm needs")
        if self.width < 4 or self.width % 4:
            problems.append(f"width: {self.width} is not a multiple of 4")
        if problems:
            raise SettingsError("; ".join(problems))


def reconstruction_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Averages the absolute difference of two images, (B, C, H, W) in [-1, 1], over pixels and over `SCALES`."""
    pairs = [(functional.avg_pool2d(made, scale), functional.avg_pool2d(wanted, scale)) for scale in SCALES]
    return torch.stack([functional.l1_loss(*pair) for pair in pairs]).mean()


class Fastgan(AdversarialModel):
    """One step moves both networks."""

    sizes_px = (32, 64, 128, 256)
    VERSION = 1
    Config: ClassVar[type[Any]] = FastganConfig
    config: FastganConfig
    generator: FastGenerator
    critic: FastCritic

    @property
    def mixes_batch(self) -> bool:  # type: ignore[override]
        """Batch norm goes where a penalty needs each image to be scored by itself."""
        return self.loss not in PENALISED

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks with weights N(0, 0.02); a discriminator without norm by He."""
        attention = None if self.config.attn_res == "none" else self.config.attn_res
        generator = FastGenerator(latent_dim=self.config.latent_dim, width=self.config.width, attention_px=attention, subject=self.subject)
        critic = FastCritic(width=self.config.width, norm=self.mixes_batch, subject=self.subject)
        initialise(generator)
        (initialise if self.mixes_batch else initialise_critic)(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    def latent(self, count: int, random: torch.Generator) -> Tensor:
        """Draws z and the noise that is laid over maps, which is part of what an image is made from: (count, latent_dim + noise)."""
        return torch.randn(count, self.generator.latent_dim + self.generator.noise_dim, generator=random, device=random.device)

    def probe(self) -> tuple[Any, tuple[int, ...]]:
        """Gives the averaged generator as a function of latents and noise."""
        network, _ = super().probe()
        return network, (self.generator.latent_dim + self.generator.noise_dim,)

    def draw(self, z: Tensor, labels: Tensor, truncation: float, noise: torch.Generator | None = None) -> Tensor:
        """Runs the averaged generator; truncation scales the latent and leaves the noise, which decides grain alone."""
        long = self.generator.latent_dim
        images: Tensor = self.ema(torch.cat([z[:, :long] * truncation, z[:, long:]], dim=1), labels)
        return images

    def critic_step(self, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator, step: int) -> dict[str, Tensor]:
        """Moves discriminator and decoders: adversarial loss, penalty where there is one, and the reconstruction of real images as shown (eq. 4)."""
        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        real, fake = self.augment(real, random), self.augment(fake, random)
        corner = torch.randint(2, (2, len(real)), generator=random, device=self.device)
        with self.autocast():
            shallow, deep = self.critic.maps(real)
            on_real, on_fake = self.critic.score(deep, labels), self.critic(fake, labels)
            whole, part = self.critic.reconstruct(shallow, deep, corner)
        loss = critic_loss(self.loss, on_real, on_fake)
        rebuilt = reconstruction_loss(whole, self.critic.shrunk(real)) + reconstruction_loss(part, quarter(real, corner))
        told = {"loss_d": loss.detach(), "loss_rec": rebuilt.detach()}
        if self.loss in PENALISED:
            penalty = slope_penalty(
                self.loss, lambda images: self.slope(images, labels), real, fake, random, gp_lambda=0.0, r1_gamma=self.config.r1_gamma
            )
            loss = loss + penalty
            told["penalty"] = penalty.detach()
        (loss + self.config.recon_weight * rebuilt).backward()
        self.optimizer_d.step()
        return told

    def slope(self, images: Tensor, labels: Tensor) -> Tensor:
        """Gives the gradient of the mean score of each image's patches with respect to the image."""
        return autograd_slope(lambda points: self.critic(points, labels).mean(dim=1))(images)
