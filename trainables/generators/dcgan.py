"""DCGAN (Radford, Metz and Chintala 2016) with the settings of pytorch/examples, which the papers use as their baseline."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.layers import DownStack, UpStack, initialise
from trainables.generators.model import LatentModel, adam, check_limits, to_signed


@dataclass(frozen=True, kw_only=True, slots=True)
class DcganConfig:
    """Settings of DCGAN."""

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
    """Taken off the target 1 of real images (one-sided)."""
    class_mode: Literal["per_class", "conditional"] = "per_class"
    """One model for each class, or one that is told the class."""
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


class Dcgan(LatentModel):
    """Binary cross-entropy on a linear score, one step of each network at a time."""

    VERSION = 1
    Config = DcganConfig
    config: DcganConfig

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the two stacks with weights N(0, 0.02)."""
        shape = {"size_px": self.size_px, "channels": self.channels, "num_classes": self.num_classes}
        generator = UpStack(latent_dim=self.config.latent_dim, width=self.config.width, **shape)
        critic = DownStack(width=self.config.width, norm=True, **shape)
        initialise(generator)
        initialise(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = (self.config.beta1, 0.999)
        lr = self.config.g_lr
        return adam(self.generator.parameters(), lr, betas), adam(self.critic.parameters(), lr * self.config.d_lr_ratio, betas)

    def train_step(self, real: Tensor, labels: Tensor, backgrounds: Tensor | None, step: int) -> dict[str, Tensor]:
        """Does one discriminator and one generator step on the same fakes (non-saturating loss)."""
        z = self.latent(len(real), self.random(step))
        with self.autocast():
            fake = self.generator(z, labels)

        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        with self.autocast():
            on_real = self.critic(to_signed(real), labels)
            on_fake = self.critic(fake.detach(), labels)
        loss_d = bce(on_real, 1.0 - self.config.label_smoothing) + bce(on_fake, 0.0)
        loss_d.backward()
        self.optimizer_d.step()

        # The discriminator's own gradients are not wanted here; leaving them out saves a third of its backward pass.
        self.critic.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        with self.autocast():
            loss_g = bce(self.critic(fake, labels), 1.0)
        loss_g.backward()
        self.optimizer_g.step()
        self.average(step, self.images_per_step)
        return {"loss_d": loss_d.detach(), "loss_g": loss_g.detach()}


def bce(scores: Tensor, target: float) -> Tensor:
    """Averages the binary cross-entropy of linear scores (B,) against one target."""
    return functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))
