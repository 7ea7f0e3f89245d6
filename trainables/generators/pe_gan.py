"""PE-GAN (He et al. 2024): one image-to-image generator that puts defects on backgrounds (production) and takes them away again (elimination).

StarGAN's losses on label pairs that always have the background on one side. Ambiguities of the paper are settled as follows: the adversarial head
is linear, because WGAN-GP replaces eq. 1 and 2; eq. 3 and 4 are plain cross-entropies; "20,000 epochs" are read as iterations; the classes of a
batch, half defects and half backgrounds, are not stated.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from trainables.generators.bases.subject import TrainingData
from trainables.generators.networks.translators import Translator, TwoHeadedCritic
from trainables.generators.stargan import DomainConfig, StarGan, check_domain_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class PeGanConfig(DomainConfig):
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
    """Weight of the reconstruction after both directions (eq. 5); 0, an ablation, leaves that pass out."""
    n_critic: int = 5
    """Critic steps for each generator step; unstated, StarGAN's."""
    base_width: int = 32
    """Channels after the first convolution of both networks (tables 1 and 2)."""
    n_res_blocks: int = 6
    """Residual blocks (table 1)."""
    both_directions: Literal["both", "production_only"] = "both"
    """Production and elimination, or production alone: the ablation that the paper claims and does not run."""
    lr_decay: Literal["none", "linear"] = "none"
    """linear takes the learning rate to 0 over the second half of the horizon, as StarGAN does."""
    horizon_kimg: float = 320.0
    """Where a linear decay ends; 20,000 iterations of 16 images."""

    def __post_init__(self) -> None:
        check_domain_settings(self, "lambda_cls_d", "lambda_cls_g")

    @property
    def horizon(self) -> float | None:
        """The last mark that the schedule of the learning rate allows, in kimg."""
        return self.horizon_kimg if self.lr_decay == "linear" else None


class PeGan(StarGan):
    """Backgrounds go to any class, and defects to the background."""

    VERSION = 4
    Config = PeGanConfig
    config: PeGanConfig

    @property
    def lambda_cls(self) -> tuple[float, float]:
        """Weights of the classification: in the critic's loss (eq. 6), and in the generator's (eq. 7)."""
        return self.config.lambda_cls_d, self.config.lambda_cls_g

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks (tables 1 and 2) with torch's own weights, as StarGAN does.

        They have 2,310,275 and 4,441,920 parameters at 128 px with 9 classes and 3 channels.
        """
        width, channels = self.config.base_width, self.subject.channels
        defects = [label for label in range(self.subject.num_classes) if label != self.background_domain]
        self._defects = torch.tensor(defects, device=self.device)
        return (
            Translator(width=width, blocks=self.config.n_res_blocks, side=5, channels=channels, domains=self.domains),
            TwoHeadedCritic(width=width, size_px=self.subject.size_px, channels=channels, domains=self.domains.num_classes),
        )

    def extra_scores(self, data: TrainingData, seed: int, *, features: Callable[[Tensor], Tensor], extractor: str) -> dict[str, float]:
        """Measures generated backgrounds, where elimination was learnt; see `image_to_image`."""
        return super().extra_scores(data, seed, features=features, extractor=extractor) if self.eliminates else {}

    def extra_pictures(self, data: TrainingData, seed: int) -> dict[str, Tensor]:
        """Shows the elimination, where it was learnt; see `image_to_image`."""
        return super().extra_pictures(data, seed) if self.eliminates else {}

    @property
    def eliminates(self) -> bool:
        """Whether the generator was taught to take defects away."""
        return self.config.both_directions == "both"

    def targets(self, domains: Tensor, random: torch.Generator) -> Tensor:
        """Sends backgrounds to random defects, and defects to the background unless production is all; see `StarGan.targets`."""
        wanted = self._defects[torch.randint(len(self._defects), (self.backgrounds_per_step,), generator=random, device=self.device)]
        if not self.eliminates:
            return wanted
        return torch.cat([torch.full((self.batch_size,), self.background_domain, device=self.device), wanted])
