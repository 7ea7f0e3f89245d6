"""The first GAN (Goodfellow et al. 2014), of fully connected layers: the baseline of the LM-GAN paper.

The paper says five layers, a latent of 100 and RMSProp (section 4.2), and no more; what stands here for the rest is said beside each setting.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.model import adam, check_limits
from trainables.generators.bases.subject import Subject
from trainables.generators.networks.layers import ClassCode
from trainables.generators.training.diffaugment import Policy

FACTORS = (1, 2, 4, 8)
"""Units of the four hidden layers over `width`: 256, 512, 1024, 2048."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GanConfig:
    """Settings of the fully connected GAN."""

    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """The paper's RMSProp, or Adam (0.5, 0.999) as DCGAN has it."""
    lr: float = 5e-5
    """Learning rate of both networks; unstated, WGAN's, as in lm_gan."""
    batch: int = 64
    """Real images per step; unstated."""
    latent_dim: int = 100
    """Length of the latent."""
    width: int = 256
    """Units of the narrowest hidden layer; unstated."""
    adversarial_loss: Literal["bce", "hinge", "rpgan"] = "bce"
    """Cross-entropy; or, for comparison, hinge, or R3GAN's relativistic loss."""
    r1_gamma: float = 1.0
    """Weight of R1 and R2 under rpgan."""
    diffaug: Policy = "none"
    """DiffAugment's changes to what the discriminator sees."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "conditional"
    """One model for each class, one that is told the class, or one that is not; the paper trains one on all defects together."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["lr"], at_least_0=["r1_gamma", "ema_halflife_kimg"], at_least_1=["latent_dim", "width"])
        if self.batch < 2:
            raise SettingsError(f"batch: {self.batch} is less than 2, which batch norm needs")


class DenseGenerator(nn.Module):
    """latent -> 256 -> 512 -> 1024 -> 2048 -> C x H x W, with batch norm and LeakyReLU 0.2 between. The class enters beside the latent.

    The paper does not speak of a norm; without one, or begun with He's larger weights, it was much further from the procedural surfaces (KID) after
    equally many images.
    """

    def __init__(self, config: GanConfig, subject: Subject) -> None:
        super().__init__()
        self.code, self.latent_dim, self.shape = ClassCode(subject), config.latent_dim, subject.shape
        last = config.latent_dim + self.code.width
        layers: list[nn.Module] = []
        for factor in FACTORS:
            now = config.width * factor
            layers += [nn.Linear(last, now, bias=False), nn.BatchNorm1d(now), nn.LeakyReLU(0.2, inplace=True)]
            last = now
        self.layers = nn.Sequential(*layers, nn.Linear(last, subject.channels * subject.size_px**2))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps latents (B, latent_dim) and labels (B,) to images (B, channels, size, size) in [-1, 1], float32."""
        # The class is scaled to the length of the latent, as in `layers.UpStack`.
        out: Tensor = self.layers(torch.cat([z, self.code(labels) * self.latent_dim**0.5], dim=1))
        return torch.tanh(out.float()).unflatten(1, self.shape)


class DenseCritic(nn.Module):
    """C x H x W -> 2048 -> 1024 -> 512 -> 256 -> 1, with LeakyReLU 0.2 between; classes are told by a projection, as in `layers.TrunkCritic`."""

    def __init__(self, config: GanConfig, subject: Subject) -> None:
        super().__init__()
        last = subject.channels * subject.size_px**2
        layers: list[nn.Module] = []
        for factor in reversed(FACTORS):
            layers += [nn.Linear(last, config.width * factor), nn.LeakyReLU(0.2, inplace=True)]
            last = config.width * factor
        self.layers = nn.Sequential(*layers)
        self.score = nn.Linear(last, 1)
        self.code = ClassCode(subject)
        self.classes = nn.Linear(self.code.width, last, bias=False) if self.code.width else None

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores images (B, C, H, W) in [-1, 1] as their class (B,): float32 (B,), linear."""
        found = self.layers(images.flatten(1))
        score: Tensor = self.score(found).squeeze(1).float()
        if self.classes is not None:
            score = score + (self.classes(self.code(labels)).float() * found.float()).sum(dim=1)
        return score


class Gan(AdversarialModel):
    """Two stacks of dense layers. At 256 px grey the generator's last layer alone would have 134 million weights: up to 64 px."""

    sizes_px = (16, 32, 64)
    VERSION = 1
    Config: ClassVar[type[Any]] = GanConfig
    config: GanConfig

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks with torch's own weights."""
        return DenseGenerator(self.config, self.subject), DenseCritic(self.config, self.subject)

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes the optimizers."""
        lr, networks = self.config.lr, (self.generator.parameters(), self.critic.parameters())
        make = partial(adam, lr=lr, betas=(0.5, 0.999)) if self.config.optimizer == "adam" else partial(torch.optim.RMSprop, lr=lr, foreach=True)
        return make(networks[0]), make(networks[1])
