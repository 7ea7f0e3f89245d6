"""Building blocks that several families share: the DCGAN stacks, conditioning by class, initialisation."""

import math

import torch
from torch import Tensor, nn

from trainables.generators.bases.subject import Subject
from trainables.generators.training.losses import trunk_slope


class ClassCode(nn.Module):
    """What a network is told of a class: its vector of the subject."""

    vectors: Tensor

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.register_buffer("vectors", subject.vectors())

    @property
    def width(self) -> int:
        """Length of a vector; 0 where there is but one class."""
        return int(self.vectors.shape[1])

    def forward(self, labels: Tensor) -> Tensor:
        """Turns labels (B,) into float32 (B, width)."""
        return self.vectors[labels]


def halvings(size_px: int) -> int:
    """Counts the stride-2 layers between `size_px` and the 4 x 4 map where the DCGAN stacks end."""
    return int(math.log2(size_px)) - 2


class UpStack(nn.Module):
    """DCGAN generator (Radford et al. 2016, as in pytorch/examples).

    A 4 x 4 map is made from the latent, then doubled by stride-2 transposed convolutions. The class enters beside the latent. At 64 px, width 64,
    latent 100, three channels and one class it has 3,576,704 parameters.
    """

    def __init__(self, *, latent_dim: int, width: int, subject: Subject) -> None:
        super().__init__()
        self.code = ClassCode(subject)
        self.latent_dim = latent_dim
        stages = halvings(subject.size_px)
        now = width * 2 ** (stages - 1)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim + self.code.width, now, 4, 1, 0, bias=False),
            nn.BatchNorm2d(now),
            nn.ReLU(inplace=True),
        ]
        for _ in range(stages - 1):
            layers += [nn.ConvTranspose2d(now, now // 2, 4, 2, 1, bias=False), nn.BatchNorm2d(now // 2), nn.ReLU(inplace=True)]
            now //= 2
        layers.append(nn.ConvTranspose2d(now, subject.channels, 4, 2, 1, bias=False))
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps latents (B, latent_dim) and labels (B,) to images (B, channels, size, size) in [-1, 1], float32."""
        # Scaled to the length of the latent: a bare 1 beside a hundred normal numbers is drowned, and classes are then told apart late or never.
        seed = torch.cat([z, self.code(labels) * self.latent_dim**0.5], dim=1)
        out: Tensor = self.layers(seed[:, :, None, None])
        return torch.tanh(out.float())


class TrunkCritic(nn.Module):
    """A trunk of convolutions, and one linear score of all of the map it ends in.

    With several classes a projection (Miyato and Koyama 2018) adds the inner product of a class vector with the pooled features.
    """

    def __init__(self, trunk: nn.Sequential, score: nn.Conv2d, subject: Subject) -> None:
        super().__init__()
        self.layers, self.score = trunk, score
        self.code = ClassCode(subject)
        self.classes = nn.Linear(self.code.width, score.in_channels, bias=False) if self.code.width else None

    def slope(self, images: Tensor, labels: Tensor) -> Tensor:
        """Gives the gradient of each score with respect to its image, (B, C, H, W); only without norm."""

        def weigh(maps: Tensor) -> Tensor:
            weights = self.score.weight.expand(len(maps), -1, -1, -1)
            if self.classes is not None:
                weights = weights + self.classes(self.code(labels).to(maps.dtype))[:, :, None, None] / maps[0, 0].numel()
            return weights

        return trunk_slope(self.layers, images, weigh)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores images (B, C, H, W) in [-1, 1] as their class (B,): float32 (B,), linear."""
        maps = self.layers(images)
        score: Tensor = self.score(maps).flatten(1).squeeze(1).float()
        if self.classes is not None:
            score = score + (self.classes(self.code(labels)).float() * maps.float().mean(dim=(2, 3))).sum(dim=1)
        return score


class DownStack(TrunkCritic):
    """DCGAN discriminator: stride-2 convolutions with LeakyReLU 0.2 down to a 4 x 4 map, and its score.

    Batch norm follows every convolution but the first when `norm` is set (DCGAN). A critic under a penalty of its slope must not mix the images of
    a batch: without norm, convolutions have a bias, but for the last, which no Wasserstein gradient reaches. At 64 px, width 64, three channels,
    one class, with norm: 2,765,568 parameters.
    """

    def __init__(self, *, width: int, subject: Subject, norm: bool, stages: int | None = None) -> None:
        now, last = width, subject.channels
        stages = halvings(subject.size_px) if stages is None else stages
        layers: list[nn.Module] = []
        for stage in range(stages):
            normed = norm and stage > 0
            layers.append(nn.Conv2d(last, now, 4, 2, 1, bias=not norm))
            if normed:
                layers.append(nn.BatchNorm2d(now))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            last, now = now, now * 2
        super().__init__(nn.Sequential(*layers), nn.Conv2d(last, 1, subject.size_px // 2**stages, 1, 0, bias=False), subject)


def initialise(module: nn.Module) -> None:
    """Draws weights as DCGAN does, from torch's current state.

    Convolutions, linear layers and class vectors N(0, 0.02), norm scales N(1, 0.02), biases 0.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, 0.0, 0.02)
            if getattr(part, "bias", None) is not None:
                nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        elif isinstance(part, nn.BatchNorm2d):
            nn.init.normal_(part.weight, 1.0, 0.02)
            nn.init.zeros_(part.bias)


def initialise_critic(module: nn.Module) -> None:
    """Draws the weights of a critic without norm by He, as WGAN-GP's reference code does; class vectors N(0, 0.02), biases 0.

    With DCGAN's small weights and nothing to rescale them, each layer would pass on about a quarter of its signal, and the critic would stay flat.
    """
    initialise(module)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight, a=0.2)
