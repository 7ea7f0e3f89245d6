"""The networks of `defect_residual`: an encoder of backgrounds, decoders fed by a vector and a picture of noise, and the critics."""

import itertools
import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.layers import ClassCode, DownStack

START_PX = 4
"""Side of the map where the decoders begin."""
GROUP = 8
"""Channels that are normalised together."""


class Decoder(nn.Module):
    """Turns a vector and a picture of noise into maps: a 4 x 4 map, doubled by nearest neighbours and a 3 x 3 convolution up to the picture's side.

    To each map the noise, pooled to its size, is added through a convolution of its own: it decides places and grain, which a vector alone comes to
    say very late. Then come a norm over groups of channels, and scale and shift that are linear in the vector. An encoder's maps of the same size are
    added where there are any.
    """

    def __init__(self, *, style: int, channels: list[int], out: int) -> None:
        super().__init__()
        self.entry = nn.Linear(style, channels[0] * START_PX**2)
        pairs = list(itertools.pairwise(channels))
        self.convolutions = nn.ModuleList(nn.Conv2d(last, now, 3, 1, 1, bias=False) for last, now in pairs)
        self.noises = nn.ModuleList(nn.Conv2d(1, now, 3, 1, 1, bias=False) for now in channels)
        self.norms = nn.ModuleList(nn.GroupNorm(now // GROUP, now, affine=False) for _, now in pairs)
        self.styles = nn.ModuleList(nn.Linear(style, 2 * now) for _, now in pairs)
        self.exit = nn.Conv2d(channels[-1], out, 3, 1, 1)

    def forward(self, style: Tensor, noise: Tensor, skips: list[Tensor] | None = None) -> Tensor:
        """Maps (B, style), noise (B, 1, size, size) and an encoder's maps, smallest first, to (B, out, size, size), linear, float32."""
        levels = pooled_noise(noise, len(self.noises))
        maps = self.entry(style).unflatten(1, (-1, START_PX, START_PX)).contiguous(memory_format=torch.channels_last)
        maps = functional.leaky_relu(maps + self.noises[0](levels[0]), 0.2)
        if skips is not None:
            maps = maps + skips[0]
        for i, (convolution, norm, affine) in enumerate(zip(self.convolutions, self.norms, self.styles, strict=True)):
            maps = convolution(functional.interpolate(maps, scale_factor=2.0, mode="nearest"))
            maps = norm(maps + self.noises[i + 1](levels[i + 1]))
            scale, shift = affine(style)[:, :, None, None].chunk(2, dim=1)
            maps = functional.leaky_relu(maps * (1.0 + scale) + shift, 0.2)
            if skips is not None:
                maps = maps + skips[i + 1]
        out: Tensor = self.exit(maps)
        return out.float()


def pooled_noise(noise: Tensor, levels: int) -> list[Tensor]:
    """Halves noise (B, 1, S, S) of unit variance again and again, variance kept: `levels` pictures, smallest first."""
    pictures = [noise]
    for _ in range(levels - 1):
        pictures.append(functional.avg_pool2d(pictures[-1], 2) * 2.0)
    return pictures[::-1]


class Encoder(nn.Module):
    """Halves a background down to 4 x 4 and gives the maps of every size, so that a defect can follow the surface it lies on."""

    def __init__(self, *, channels: list[int], image_channels: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(image_channels, channels[-1], 3, 1, 1)
        self.halvings = nn.ModuleList(nn.Conv2d(last, now, 4, 2, 1) for last, now in zip(channels[:0:-1], channels[-2::-1], strict=True))

    def forward(self, scenes: Tensor) -> list[Tensor]:
        """Maps (B, C, size, size) to maps of every size, smallest first."""
        maps = [functional.leaky_relu(self.entry(scenes), 0.2)]
        for halving in self.halvings:
            maps.append(functional.leaky_relu(halving(maps[-1]), 0.2))
        return maps[::-1]


class ResidualGenerator(nn.Module):
    """Background, residual and mask. The defect's decoder, shared by residual and mask, starts from (latent, class) and sees the background."""

    def __init__(self, *, latent_dim: int, width: int, generated: bool, subject: Subject) -> None:
        super().__init__()
        self.code, self.latent_dim, self.size_px = ClassCode(subject), latent_dim, subject.size_px
        doublings = int(math.log2(subject.size_px // START_PX))
        channels = [min(width * 2 ** (doublings - i), 8 * width) for i in range(doublings + 1)]
        self.encoder = Encoder(channels=channels, image_channels=subject.channels)
        self.defect = Decoder(style=latent_dim + self.code.width, channels=channels, out=subject.channels + 1)
        self.background = Decoder(style=latent_dim, channels=channels, out=subject.channels) if generated else None

    @property
    def latent_length(self) -> int:
        """Length of all that is random in one image: vector and noise of the defect, then those of a generated background."""
        return (self.latent_dim + self.size_px**2) * (1 if self.background is None else 2)

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Takes a vector and its noise, (B, 1, size, size), apart."""
        return z[:, : self.latent_dim], z[:, self.latent_dim :].unflatten(1, (1, self.size_px, self.size_px))

    def scene(self, z: Tensor) -> Tensor:
        """Makes backgrounds (B, C, size, size) in [-1, 1], float32, of the second half of latents."""
        assert self.background is not None, "real backgrounds are not made"
        return torch.tanh(self.background(*self._parts(z[:, self.latent_length // 2 :])))

    def forward(self, z: Tensor, labels: Tensor, scenes: Tensor) -> tuple[Tensor, Tensor]:
        """Lays defects over backgrounds.

        Args:
            z: (B, latent_length).
            labels: (B,).
            scenes: (B, C, size, size) in [-1, 1].

        Returns:
            Images, like `scenes`, and masks (B, 1, size, size) in [0, 1], both float32.
        """
        # Scaled to the length of the latent, as in `layers.UpStack`: a bare 1 would be drowned.
        vector, noise = self._parts(z[:, : self.latent_dim + self.size_px**2])
        style = torch.cat([vector, self.code(labels) * self.latent_dim**0.5], dim=1)
        out = self.defect(style, noise, self.encoder(scenes))
        mask, change = masked(out[:, :1], 2.0 * torch.tanh(out[:, 1:]))
        return (scenes + change).clamp(-1.0, 1.0), mask


def masked(logits: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Puts a residual under the mask relu(tanh(logits)), which is exactly 0 for every logit up to 0.

    Gradients are those of sigmoid(2 logits) in its place: a pixel outside of the mask can still come in, and the residual there learns what it
    would be good for. Without that, a mask that has once become empty stays so.

    Args:
        logits: (B, 1, H, W).
        residual: (B, C, H, W).

    Returns:
        The mask (B, 1, H, W) in [0, 1), and mask x residual (B, C, H, W).
    """
    smooth, mask = torch.sigmoid(2.0 * logits), functional.relu(torch.tanh(logits))
    return smooth + (mask - smooth).detach(), smooth * residual + (mask * residual - smooth * residual).detach()


class PairCritic(nn.Module):
    """A critic of defects, on images with their masks, and one of backgrounds where these are generated; the number of channels tells which."""

    def __init__(self, *, width: int, generated: bool, subject: Subject) -> None:
        super().__init__()
        _, *sides = subject.shape
        pairs = replace(subject, shape=(subject.channels + 1, *sides))
        scenes = Subject(shape=subject.shape)
        self.channels = subject.channels
        # As wide as the generator's maps of the same size.
        self.defects = DownStack(width=2 * width, subject=pairs, norm=False)
        self.backgrounds = DownStack(width=2 * width, subject=scenes, norm=False) if generated else None

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores (B, C + 1, H, W) as a defect of class (B,), or (B, C, H, W) as a background: float32 (B,), linear."""
        scores: Tensor = self._judge(images)(images, labels)
        return scores

    def slope(self, images: Tensor, labels: Tensor) -> Tensor:
        """Gives the gradient of each score with respect to what was scored."""
        return self._judge(images).slope(images, labels)

    def _judge(self, images: Tensor) -> DownStack:
        judge = self.backgrounds if images.shape[1] == self.channels else self.defects
        assert judge is not None, "real backgrounds are not judged"
        return judge
