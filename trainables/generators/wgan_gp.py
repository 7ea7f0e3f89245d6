"""WGAN-GP (Gulrajani et al. 2017) on the DCGAN networks, the critic without batch norm: the baseline "DCGAN + WGAN-GP" of the LM-GAN paper."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.model import adam, check_limits, read_betas
from trainables.generators.networks.layers import DownStack, UpStack, initialise, initialise_critic
from trainables.generators.training.diffaugment import Policy

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
    diffaug: Policy = "none"
    """DiffAugment's changes to what the critic sees."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "conditional"
    """One model for each class, one that is told the class, or one that is not."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        whole = ["gp_interval", "n_critic", "batch", "latent_dim", "width"]
        check_limits(self, above_0=["lr"], at_least_0=["gp_lambda", "ema_halflife_kimg"], at_least_1=whole)


class WganGp(AdversarialModel):
    """Wasserstein distance with a gradient penalty."""

    LOSS = "wgan_gp"
    VERSION = 3
    Config: ClassVar[type[Any]] = WganGpConfig
    config: WganGpConfig

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the DCGAN stacks, the critic without batch norm."""
        generator = UpStack(latent_dim=self.config.latent_dim, width=self.config.width, subject=self.subject)
        critic = DownStack(width=self.config.width, subject=self.subject, norm=False)
        initialise(generator)
        initialise_critic(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)
