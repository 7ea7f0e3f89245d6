"""LM-GAN (Song et al. 2022): a mapping network of n fully connected layers turns z into w, which replaces z as the generator's input; WGAN-GP loss.

The paper leaves learning rate, batch, widths and steps out; what stands here for them is said beside each setting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.generators.bases.model import SAMPLE_BATCH, adam, check_limits, to_pixels
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.networks.layers import ClassCode, DownStack, initialise, initialise_critic
from trainables.generators.training.diffaugment import Policy
from trainables.generators.training.paths import EPSILON, Way, arc, line, path_length, strip
from trainables.generators.wgan_gp import WganGp
from trainables.seeds import child_seed

LAYERS = 5
"""Stride-2 layers of both networks ("each GAN layer was uniformly composed of five layers", section 4.2)."""
MEAN_LATENTS = 4096
"""Latents over which the middle of w is measured, towards which truncation pulls."""
PATHS = 128
"""Pairs of latents over which a path length is the mean."""
STRIP_ROWS = 4
"""Fewest strips on a sheet; with more classes there is one for each."""
STRIP_COLUMNS = 8
"""Pictures on a strip."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LmGanConfig:
    """Settings of LM-GAN."""

    latent_dim: int = 50
    """Length of z; the paper compares 2, 5, 10, 50 and 100 and chooses 50 (table 4)."""
    mapping_depth: int = 8
    """Fully connected layers between z and w; the paper compares 0, 2, 4 and 8 and chooses 8 (table 4). 0 feeds z itself."""
    mapping_width: int = 512
    """Width of the layers between; unstated, read as the length of w. Without meaning at depth 0."""
    w_dim: Literal["latent", 128, 512] = 512
    """Length of w, or "latent" for that of z; unstated, StyleGAN's 512. Without meaning at depth 0."""
    mapping_lr_mult: float = 0.01
    """Learning rate of the mapping over that of the rest; unstated, StyleGAN's."""
    normalize_z: bool = True
    """Scales every z to unit mean square first; unstated, as in StyleGAN."""
    optimizer: Literal["rmsprop", "adam"] = "rmsprop"
    """The paper's RMSProp, or Adam (0, 0.9), which is usual under a gradient penalty."""
    lr: float = 5e-5
    """Learning rate of both networks; unstated, WGAN's."""
    gp_lambda: float = 10.0
    """Weight of the gradient penalty; unstated, WGAN-GP's."""
    gp_interval: int = 1
    """Critic steps between penalties; each is then weighted by as many."""
    n_critic: int = 5
    """Critic steps for each generator step; unstated, WGAN-GP's."""
    batch: int = 64
    """Real images per critic step; unstated."""
    base_channels: int = 32
    """Channels of the widest map of both networks; unstated."""
    diffaug: Policy = "none"
    """DiffAugment's changes to what the critic sees."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "conditional"
    """One model for each class, one that is told the class, or one that is not; the paper trains one on all defects together."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        check_limits(
            self,
            above_0=["lr", "mapping_lr_mult"],
            at_least_0=["gp_lambda", "ema_halflife_kimg", "mapping_depth"],
            at_least_1=["gp_interval", "n_critic", "batch", "latent_dim", "mapping_width", "base_channels"],
        )


class MappedGenerator(nn.Module):
    """z -> mapping -> w, then a linear layer to (size / 32)^2 x 16 base channels and five stride-2 transposed convolutions.

    The class stands beside w, so that w means the same for every class.
    """

    middle: Tensor

    def __init__(self, config: LmGanConfig, subject: Subject) -> None:
        super().__init__()
        self.code, self.normalize_z = ClassCode(subject), config.normalize_z
        self.start_px = subject.size_px // 2**LAYERS
        last = config.latent_dim
        mapping: list[nn.Module] = []
        for layer in range(config.mapping_depth):
            is_last = layer + 1 == config.mapping_depth
            width = (config.latent_dim if config.w_dim == "latent" else config.w_dim) if is_last else config.mapping_width
            mapping += [nn.Linear(last, width), nn.LeakyReLU(0.2)]
            last = width
        self.mapping = nn.Sequential(*mapping)
        self.register_buffer("middle", torch.zeros(last))
        now = config.base_channels * 2 ** (LAYERS - 1)
        self.entry = nn.Linear(last + self.code.width, now * self.start_px**2, bias=False)
        layers: list[nn.Module] = [nn.BatchNorm2d(now), nn.ReLU(inplace=True)]
        for _ in range(LAYERS - 1):
            layers += [nn.ConvTranspose2d(now, now // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(now // 2), nn.ReLU(inplace=True)]
            now //= 2
        layers.append(nn.ConvTranspose2d(now, subject.channels, 4, 2, 1))
        self.layers = nn.Sequential(*layers)

    def map(self, z: Tensor) -> Tensor:
        """Maps z (B, latent_dim) to w (B, w_dim)."""
        if self.normalize_z:
            z = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        w: Tensor = self.mapping(z)
        return w

    def synthesise(self, w: Tensor, labels: Tensor) -> Tensor:
        """Maps w (B, w_dim) and labels (B,) to images (B, channels, size, size) in [-1, 1], float32."""
        # Scaled to how far w spreads when training begins, as in `layers.UpStack`: eight layers leave about half of the latent's spread.
        seed = self.entry(torch.cat([w.float(), self.code(labels) * (0.5 * w.shape[1] ** 0.5)], dim=1))
        maps = seed.unflatten(1, (-1, self.start_px, self.start_px)).contiguous(memory_format=torch.channels_last)
        out: Tensor = self.layers(maps)
        return torch.tanh(out.float())

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps z and labels to images."""
        return self.synthesise(self.map(z), labels)


class LmGan(WganGp):
    """WGAN-GP training of the mapped generator."""

    VERSION = 3
    Config = LmGanConfig
    sizes_px = (32, 64, 128, 256)
    config: LmGanConfig  # type: ignore[assignment]
    ema: MappedGenerator
    generator: MappedGenerator

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks: N(0, 0.02), but the critic and the mapping by He: eight layers must neither fade nor blow up w."""
        generator = MappedGenerator(self.config, self.subject)
        critic = DownStack(width=self.config.base_channels, subject=self.subject, norm=False, stages=LAYERS)
        initialise(generator)
        initialise_critic(critic)
        for layer in generator.mapping:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes the optimizers, the mapping in a group of its own."""
        lr = self.config.lr
        mapping = list(self.generator.mapping.parameters())
        rest = [parameter for name, parameter in self.generator.named_parameters() if not name.startswith("mapping.")]
        groups: list[dict[str, Any]] = [
            {"params": rest, "lr": lr},
            *([{"params": mapping, "lr": lr * self.config.mapping_lr_mult}] if mapping else []),
        ]
        if self.config.optimizer == "adam":
            return adam(groups, lr, (0.0, 0.9)), adam(self.critic.parameters(), lr, (0.0, 0.9))
        rmsprop = partial(torch.optim.RMSprop, lr=lr, alpha=0.99, foreach=True)
        return rmsprop(groups), rmsprop(self.critic.parameters())

    def settle(self) -> None:
        """Measures the batch statistics and the middle of w."""
        super().settle()
        random = torch.Generator().manual_seed(child_seed(self.seed, "middle"))
        with torch.no_grad():
            self.ema.middle.copy_(self.ema.map(self.latent(MEAN_LATENTS, random).to(self.device)).mean(dim=0))

    def draw(self, z: Tensor, labels: Tensor, truncation: float, noise: torch.Generator | None = None) -> Tensor:
        """Runs the averaged generator, w pulled towards its middle by the truncation: scaling z would be undone by its normalisation."""
        w = self.ema.map(z).float()
        return self.ema.synthesise(torch.lerp(self.ema.middle, w, truncation) if truncation != 1.0 else w, labels)

    @torch.no_grad()
    def extra_scores(self, data: TrainingData, seed: int, *, features: Callable[[Tensor], Tensor], extractor: str) -> dict[str, float]:
        """Measures the path length in z and in w, in pixels of [-1, 1]: whether the mapping straightens its space (section 3).

        A feature space is not used: a short step is lost where images are rounded to whole pixels. See `paths.path_length`.
        """
        self.sampler_state()
        totals = {"path_length_z": 0.0, "path_length_w": 0.0}
        random = torch.Generator().manual_seed(child_seed(seed, "paths"))
        for rows in torch.arange(PATHS).split(SAMPLE_BATCH // 2):
            start, end = (self.latent(len(rows), random).to(self.device) for _ in range(2))
            share = torch.rand(len(rows), 1, generator=random).to(self.device) * (1.0 - EPSILON)
            labels = rows.to(self.device).repeat(2) % self.subject.num_classes
            for name, (way, draw, ends) in self._ways(start, end).items():
                totals[f"path_length_{name}"] += float(path_length(partial(draw, labels=labels), way, *ends, share).sum())
        return {name: total / PATHS for name, total in totals.items()}

    @torch.no_grad()
    def extra_pictures(self, data: TrainingData, seed: int) -> dict[str, Tensor]:
        """Draws strips between two latents, through z and through w; the ends of both are the same pictures, one row for each class in turn."""
        self.sampler_state()
        random = torch.Generator().manual_seed(child_seed(seed, "strips"))
        sheets: dict[str, list[Tensor]] = {"strips_z": [], "strips_w": []}
        for row in range(max(STRIP_ROWS, self.subject.num_classes)):
            start, end = (self.latent(1, random).to(self.device) for _ in range(2))
            labels = torch.full((STRIP_COLUMNS,), row % self.subject.num_classes, device=self.device)
            for name, (way, draw, ends) in self._ways(start, end).items():
                images = strip(partial(draw, labels=labels), way, ends[0][0], ends[1][0], STRIP_COLUMNS)
                sheets[f"strips_{name}"].append(to_pixels(images).cpu())
        return {name: torch.stack(rows) for name, rows in sheets.items()}

    def _ways(self, start: Tensor, end: Tensor) -> dict[str, tuple[Way, Callable[..., Tensor], tuple[Tensor, Tensor]]]:
        """Gives, for z and for w, how to go, how to draw, and between what. Always in float32: a short step would drown in bf16."""
        return {"z": (arc, self.ema, (start, end)), "w": (line, self.ema.synthesise, (self.ema.map(start), self.ema.map(end)))}
