"""SDG-GAN (Mustafaev et al., IEEE Access): DCGAN with four changes (section IV-C and table 1), each of which can be taken back by itself.

1. Three more convolutions in the generator, two before the last doubling and one after it: `extra_convs`.
2. Average pooling in place of strides in the critic: `downsample`.
3. LeakyReLU in place of ReLU in the generator: `g_activation`.
4. WGAN-GP in place of cross-entropy, and with it no batch norm in the critic: `adversarial_loss`.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.datasets.augmentation import augment, relight
from trainables.errors import SettingsError
from trainables.generators.bases.adversarial import AdversarialModel
from trainables.generators.bases.model import adam, check_limits, read_betas
from trainables.generators.bases.subject import Subject
from trainables.generators.networks.layers import ClassCode, TrunkCritic, halvings, initialise_critic
from trainables.generators.training.diffaugment import Policy
from trainables.generators.training.losses import PENALISED

DOUBLINGS = ((4, 16), (4, 8), (4, 4), (6, 4), (6, 2), (6, 1))
"""Table 2's transposed convolutions from 4 to 256 px: side of the kernel, channels over `width`. A smaller image leaves out the first."""
HALVINGS = ((7, 1), (5, 2), (5, 4), (5, 8), (3, 16), (3, 32))
"""Table 3's convolutions from 256 to 4 px, likewise. A smaller image leaves out the last."""
SLOPE = 0.2
"""Of every LeakyReLU; unstated, DCGAN's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SdgGanConfig:
    """Settings of SDG-GAN; the paper's are in its section V-C."""

    lr: float = 2e-4
    """Learning rate of both networks."""
    betas: Literal["0.5,0.9", "0,0.9"] = "0.5,0.9"
    """Adam coefficients."""
    gp_lambda: float = 10.0
    """Weight of the gradient penalty, under wgan_gp."""
    gp_interval: int = 1
    """Critic steps between penalties; each is then weighted by as many."""
    n_critic: int = 3
    """Critic steps for each generator step."""
    batch: int = 64
    """Real images per critic step."""
    latent_dim: int = 256
    """Length of the latent."""
    width: int = 32
    """Channels of the widest map of both networks (tables 2 and 3)."""
    extra_convs: int = 3
    """Convolutions beside the doublings: the first is the output's 5 x 5, the second and third are 4 x 4 before the last doubling. With none, the
    last doubling makes the image itself, as DCGAN's does."""
    downsample: Literal["avgpool", "stride"] = "avgpool"
    """How the critic halves its maps: average pooling, or DCGAN's strides."""
    g_activation: Literal["leaky_relu", "relu"] = "leaky_relu"
    """Between the generator's layers: the paper's, or DCGAN's."""
    adversarial_loss: Literal["wgan_gp", "bce", "hinge", "rpgan"] = "wgan_gp"
    """The paper's; DCGAN's cross-entropy; or, for comparison, hinge, or R3GAN's relativistic loss. bce and hinge bring the batch norm back into the
    critic."""
    r1_gamma: float = 1.0
    """Weight of R1 and R2 under rpgan."""
    augmentation: Literal["none", "flips", "flips,light"] = "flips,light"
    """What is done to real images each time one is shown, in place of the paper's 10,000 augmented images of each class: mirroring both ways, and
    brightness and contrast (by how much is unstated: a tenth of the range, and a fifth)."""
    diffaug: Policy = "none"
    """DiffAugment's changes to what the critic sees."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "per_class"
    """One model for each class, one that is told the class, or one that is not; the paper found one for all to mix the defects up (figure 9)."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        limits = {
            "at_least_0": ["gp_lambda", "r1_gamma", "extra_convs", "ema_halflife_kimg"],
            "at_least_1": ["gp_interval", "n_critic", "latent_dim", "width"],
        }
        check_limits(self, above_0=["lr"], **limits)
        if self.extra_convs > 3:
            raise SettingsError(f"extra_convs: {self.extra_convs} is more than the paper's 3")
        if self.batch < 2:
            raise SettingsError(f"batch: {self.batch} is less than 2, which batch norm needs")


class SdgGenerator(nn.Module):
    """Table 2: a dense layer to 4 x 4 with the only batch norm, doublings, and convolutions that keep the size.

    At 256 px grey, latent 256, width 32 and one class it has 10,029,057 parameters. A smaller image has the table's last doublings, fed by a dense
    layer of as many channels as stand before them there.
    """

    def __init__(self, config: SdgGanConfig, subject: Subject) -> None:
        super().__init__()
        self.code, self.latent_dim = ClassCode(subject), config.latent_dim
        stages = halvings(subject.size_px)
        first = 16 if stages == len(DOUBLINGS) else DOUBLINGS[-stages - 1][1]
        last = config.width * first
        self.entry = nn.Sequential(nn.Linear(config.latent_dim + self.code.width, 16 * last), nn.BatchNorm1d(16 * last), _activation(config))
        layers: list[nn.Module] = []
        for stage, (side, factor) in enumerate(DOUBLINGS[-stages:], 1):
            now = config.width * factor
            if stage == stages:
                # An even kernel keeps the size where one more row and column is added behind than before.
                for _ in range(config.extra_convs - 1):
                    layers += [nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(last, last, 4), _activation(config)]
                if config.extra_convs == 0:
                    now = subject.channels
            layers += [nn.ConvTranspose2d(last, now, side, 2, side // 2 - 1), _activation(config)]
            last = now
        if config.extra_convs == 0:
            layers.pop()
        else:
            layers.append(nn.Conv2d(last, subject.channels, 5, 1, 2))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps latents (B, latent_dim) and labels (B,) to images (B, channels, size, size) in [-1, 1], float32."""
        # The class is scaled to the length of the latent, as in `layers.UpStack`.
        seed = self.entry(torch.cat([z, self.code(labels) * self.latent_dim**0.5], dim=1))
        out: Tensor = self.layers(seed.unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last))
        return torch.tanh(out.float())


class SdgCritic(TrunkCritic):
    """Table 3: convolutions, each halved by average pooling, and one linear score of the 4 x 4 map.

    At 256 px grey, width 32 and one class it has 6,993,409 parameters. A smaller image has the table's first halvings.
    """

    def __init__(self, config: SdgGanConfig, subject: Subject, *, norm: bool) -> None:
        layers: list[nn.Module] = []
        last, pooled = subject.channels, config.downsample == "avgpool"
        for stage, (side, factor) in enumerate(HALVINGS[: halvings(subject.size_px)]):
            now = config.width * factor
            layers.append(nn.Conv2d(last, now, side, 1 if pooled else 2, side // 2))
            if norm and stage > 0:
                layers.append(nn.BatchNorm2d(now))
            layers.append(nn.LeakyReLU(SLOPE, inplace=True))
            if pooled:
                layers.append(nn.AvgPool2d(2))
            last = now
        super().__init__(nn.Sequential(*layers), nn.Conv2d(last, 1, 4), subject)


class SdgGan(AdversarialModel):
    """WGAN-GP training of both networks, on images that are augmented as they are shown."""

    gradient_exempt: ClassVar[dict[str, str]] = {
        "critic.score.bias": "a Wasserstein distance is a difference of scores: what is added to all falls out"
    }
    VERSION = 1
    Config: ClassVar[type[Any]] = SdgGanConfig
    config: SdgGanConfig

    @property
    def mixes_batch(self) -> bool:  # type: ignore[override]
        """Batch norm comes back where no penalty needs each image to be scored by itself."""
        return self.loss not in PENALISED

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks, their weights by He: table 2 has nothing that would rescale smaller ones."""
        generator = SdgGenerator(self.config, self.subject)
        critic = SdgCritic(self.config, self.subject, norm=self.mixes_batch)
        initialise_generator(generator)
        initialise_critic(critic)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam for each network."""
        betas = read_betas(self.config.betas)
        return adam(self.generator.parameters(), self.config.lr, betas), adam(self.critic.parameters(), self.config.lr, betas)

    def prepare(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Augments real images as the paper's set was, anew each time one is shown."""
        signed = super().prepare(images, random)
        if self.config.augmentation == "none":
            return signed
        turned = augment(signed, "flips", random)
        return relight(turned, random) if self.config.augmentation == "flips,light" else turned


def _activation(config: SdgGanConfig) -> nn.Module:
    return nn.LeakyReLU(SLOPE, inplace=True) if config.g_activation == "leaky_relu" else nn.ReLU(inplace=True)


def initialise_generator(generator: nn.Module) -> None:
    """Draws weights by He, counting for a transposed convolution the inputs that one pixel of its output has; biases 0."""
    for part in generator.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            inputs = part.weight[0].numel()
            if isinstance(part, nn.ConvTranspose2d):
                inputs = part.weight[:, 0].numel() // part.stride[0] ** 2
            nn.init.normal_(part.weight, 0.0, nn.init.calculate_gain("leaky_relu", SLOPE) * inputs**-0.5)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
