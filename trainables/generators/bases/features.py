"""What families that make features share: scaling to [0, 1] and back, drawing from a latent, and the divergence of a latent from its prior."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.generators.bases.model import SAMPLE_BATCH, GeneratorModel
from trainables.generators.bases.subject import Drawn, TrainingData
from trainables.seeds import child_seed


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureConfig:
    """Settings of every family that makes features; their limits are checked beside the family's own, so that all are complained about at once."""

    class_mode: Literal["conditional"] = "conditional"
    """One model that is told the class: in a space of features, classes are what is modelled."""
    classifier_lr: float = 1e-3
    """Learning rate of the head that is retrained on real and synthetic features; TF-VAEGAN's. Decides neither training nor drawing."""
    classifier_epochs: int = 25
    """Passes of that head over the features; TF-VAEGAN's."""


HEAD_SETTINGS = ("classifier_lr", "classifier_epochs")
"""Settings of a `FeatureConfig` that only decide how an inspector's head learns from the features."""


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Computes KL(N(mean, s^2) || N(0, 1)) = 0.5 sum(-1 - log s^2 + s^2 + mean^2), averaged over the batch; both float32 (B, L).

    The two-stage paper prints 1 + log s^2 + s^2 under a common minus (eq. 3), which no divergence has.
    """
    return 0.5 * (log_variance.exp() - log_variance - 1.0 + mean.square()).sum(dim=1).mean()


class FeatureModel(GeneratorModel):
    """A family whose generator maps a latent (B, latent_size) and a label to features, scaled to [0, 1] by the training split."""

    makes = "features"
    class_modes = ("conditional",)
    truncates = True
    head_settings = HEAD_SETTINGS

    @property
    def width(self) -> int:
        """Length of an item."""
        return self.subject.shape[0]

    def fit(self, data: TrainingData) -> None:
        """Takes the smallest and largest value of each feature in the training split, which features are scaled by."""
        super().fit(data)
        low, high = data.items.amin(dim=0), data.items.amax(dim=0)
        for part in (self.generator, self.ema):
            part.scaling.low.copy_(low)
            part.scaling.span.copy_(high - low)

    def latent(self, count: int, random: torch.Generator) -> Tensor:
        """Draws latents N(0, 1), float32 (count, latent_size)."""
        return torch.randn(count, self.config.latent_size, generator=random, device=random.device)

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        super().load(state)
        self.ema.scaling.load_state_dict(self.generator.scaling.state_dict())

    @abstractmethod
    def draw(self, z: Tensor, labels: Tensor) -> Tensor:
        """Runs the averaged generator on latents (B, latent_size): scaled features (B, D) in [0, 1], float32."""

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives the averaged generator as a function of latents."""
        return lambda z: self.draw(z, torch.zeros(len(z), dtype=torch.int64, device=z.device)), (self.config.latent_size,)

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws features of one class, in their own scale; see `GeneratorModel.sample`."""
        # Latents come from the CPU's generator, so that a seed means the same latents on every device.
        z = self.latent(count, torch.Generator().manual_seed(child_seed(seed, "sample", label))).to(self.device) * truncation
        labels = torch.full((count,), label, device=self.device)
        parts = []
        for rows in torch.arange(count).split(SAMPLE_BATCH):
            with self.autocast():
                scaled = self.draw(z[rows], labels[rows])
            parts.append(self.ema.scaling.back(scaled).cpu())
        return Drawn(items=torch.cat(parts))


class Scaling(nn.Module):
    """Maps features to [0, 1] by the smallest and largest value of each, and back; a feature that never varies is 0 there."""

    low: Tensor
    span: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(width))
        self.register_buffer("span", torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        """Scales features (B, D)."""
        scaled = (features - self.low) / self.span.clamp_min(torch.finfo(torch.float32).tiny)
        # Elsewhere such a feature may vary: in an image of a class that was never met, say.
        return torch.where(self.span > 0, scaled, 0.0)

    def back(self, scaled: Tensor) -> Tensor:
        """Scales features in [0, 1] back."""
        return torch.addcmul(self.low, scaled, self.span)
