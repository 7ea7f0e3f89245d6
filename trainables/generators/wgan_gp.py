"""WGAN-GP (Gulrajani et al. 2017) on the DCGAN networks, the critic without batch norm: the baseline "DCGAN + WGAN-GP" of the LM-GAN paper."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.generators.layers import DownStack, UpStack, initialise, initialise_critic
from trainables.generators.losses import gradient_penalty
from trainables.generators.model import LatentModel, adam, check_limits, to_signed

Betas = Literal["0,0.9", "0.5,0.9", "0.5,0.999"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WganGpConfig:
    """Settings of WGAN-GP."""

    lr: float = 1e-4
    """Learning rate of both networks."""
    betas: Betas = "0,0.9"
    """Adam coefficients."""
    gp_lambda: float = 10.0
    """Weight of the gradient penalty."""
    gp_interval: int = 1
    """Critic steps between penalties; each is then weighted by as many."""
    n_critic: int = 5
    """Critic steps for each generator step."""
    batch: int = 64
    """Real images per critic step."""
    latent_dim: int = 100
    """Length of the latent."""
    width: int = 64
    """Channels of the widest map of both networks."""
    class_mode: Literal["per_class", "conditional"] = "conditional"
    """One model for each class, or one that is told the class."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        whole = ["gp_interval", "n_critic", "batch", "latent_dim", "width"]
        check_limits(self, above_0=["lr"], at_least_0=["gp_lambda", "ema_halflife_kimg"], at_least_1=whole)


class WganGp(LatentModel):
    """Wasserstein distance with a gradient penalty; one step is one critic step, and every `n_critic`-th also moves the generator."""

    VERSION = 2
    Config: ClassVar[type[Any]] = WganGpConfig
    config: WganGpConfig
    critic: DownStack

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the DCGAN stacks, the critic without batch norm."""
        shape = {"size_px": self.size_px, "channels": self.channels, "num_classes": self.num_classes}
        generator = UpStack(latent_dim=self.config.latent_dim, width=self.config.width, **shape)
        critic = DownStack(width=self.config.width, norm=False, **shape)
        initialise(generator)
        initialise_critic(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    @property
    def steps_per_period(self) -> int:
        """Steps after which generator updates and penalties fall together again."""
        return math.lcm(self.config.n_critic, self.config.gp_interval)

    def train_step(self, real: Tensor, labels: Tensor, backgrounds: Tensor | None, step: int) -> dict[str, Tensor]:
        """Does one critic step, and a generator step at the end of each round."""
        random = self.random(step)
        losses = self._critic_step(to_signed(real), labels, random, step)
        if (step + 1) % self.config.n_critic == 0:
            losses["loss_g"] = self._generator_step(labels, random)
            self.average(step, self.images_per_step * self.config.n_critic)
        return losses

    def _critic_step(self, real: Tensor, labels: Tensor, random: torch.Generator, step: int) -> dict[str, Tensor]:
        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        with torch.no_grad(), self.autocast():
            fake = self.generator(self.latent(len(real), random), labels)
        # Without batch norm real and fake images may share one pass.
        with self.autocast():
            scores = self.critic(torch.cat([real, fake]), torch.cat([labels, labels]))
        on_real, on_fake = scores.chunk(2)
        distance = on_real.mean() - on_fake.mean()
        loss = -distance
        told = {"distance": distance.detach()}
        if step % self.config.gp_interval == 0:
            penalty = gradient_penalty(lambda images: self.critic.slope(images, labels), real, fake, random)
            loss = loss + self.config.gp_lambda * self.config.gp_interval * penalty
            told["penalty"] = penalty.detach()
        loss.backward()
        self.optimizer_d.step()
        return told

    def _generator_step(self, labels: Tensor, random: torch.Generator) -> Tensor:
        self.critic.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        with self.autocast():
            loss = -self.critic(self.generator(self.latent(len(labels), random), labels), labels).mean()
        loss.backward()
        self.optimizer_g.step()
        return loss.detach()


def read_betas(text: str) -> tuple[float, float]:
    """Reads Adam coefficients written as "0.5,0.9"."""
    first, second = text.split(",")
    return float(first), float(second)
