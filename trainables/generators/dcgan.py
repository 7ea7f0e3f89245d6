"""DCGAN (Radford, Metz and Chintala 2016) with the settings of pytorch/examples, which the papers use as their baseline."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from trainables.errors import SettingsError
from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.model import adam, check_limits
from trainables.generators.networks.layers import DownStack, UpStack, initialise, initialise_critic
from trainables.generators.training.diffaugment import Policy
from trainables.generators.training.losses import PENALISED


@dataclass(frozen=True, kw_only=True, slots=True)
class StackConfig:
    """Settings of the DCGAN stacks and of their training, whatever the loss."""

    g_lr: float = 2e-4
    """Learning rate of the generator."""
    d_lr_ratio: float = 1.0
    """Learning rate of the discriminator over the generator's (two time scales)."""
    beta1: float = 0.5
    """First Adam coefficient; the second is 0.999."""
    batch: int = 64
    """Real images per step."""
    latent_dim: int = 100
    """Length of the latent."""
    width: int = 64
    """Channels of the widest map of both networks (ngf = ndf)."""
    label_smoothing: float = 0.0
    """Taken off the target of real images (one-sided), under bce and lsgan."""
    diffaug: Policy = "none"
    """DiffAugment's changes to what the discriminator sees."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "per_class"
    """One model for each class, one that is told the class, or one that is not."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["g_lr", "d_lr_ratio"], at_least_0=["ema_halflife_kimg"], at_least_1=["latent_dim", "width"])
        problems = []
        if self.batch < 2:
            problems.append(f"batch: {self.batch} is less than 2, which batch norm needs")
        if not 0.0 <= self.beta1 < 1.0:
            problems.append(f"beta1: {self.beta1} is not between 0 and 1")
        if not 0.0 <= self.label_smoothing < 0.5:
            problems.append(f"label_smoothing: {self.label_smoothing} is not between 0 and 0.5")
        if problems:
            raise SettingsError("; ".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class DcganConfig(StackConfig):
    """Settings of DCGAN."""

    adversarial_loss: Literal["bce", "hinge", "rpgan"] = "bce"
    """Cross-entropy; or, for comparison, hinge, or R3GAN's relativistic loss, which takes the batch norm out of the discriminator."""
    r1_gamma: float = 1.0
    """Weight of R1 and R2 under rpgan."""

    def __post_init__(self) -> None:
        StackConfig.__post_init__(self)
        check_limits(self, at_least_0=["r1_gamma"])


class Dcgan(AdversarialModel):
    """A stack of transposed convolutions against a stack of convolutions."""

    VERSION = 2
    Config: ClassVar[type[Any]] = DcganConfig
    config: StackConfig

    @property
    def mixes_batch(self) -> bool:  # type: ignore[override]
        """Batch norm goes where a penalty needs each image to be scored by itself."""
        return self.loss not in PENALISED

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the two stacks with weights N(0, 0.02)."""
        generator = UpStack(latent_dim=self.config.latent_dim, width=self.config.width, subject=self.subject)
        critic = DownStack(width=self.config.width, subject=self.subject, norm=self.mixes_batch)
        initialise(generator)
        (initialise if self.mixes_batch else initialise_critic)(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = (self.config.beta1, 0.999)
        lr = self.config.g_lr
        return adam(self.generator.parameters(), lr, betas), adam(self.critic.parameters(), lr * self.config.d_lr_ratio, betas)
