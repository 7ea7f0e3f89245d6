"""The networks of `fastgan`: skip-layer excitation, the generator, and the discriminator with its two decoders (Liu et al. 2021, section 3)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.attention import SelfAttention
from trainables.generators.networks.layers import ClassCode

DEEP_PX, SHALLOW_PX = 8, 16
"""Sides of the discriminator's maps: scored and decoded into the whole image; and decoded, a quarter at a time."""
NOISY_PX = (8, 32, 128)
"""Maps that two convolutions make and noise is laid over; the others are made by one."""
LARGEST_WHOLE_PX = 128
"""Side of the reconstructed whole image, at most."""


def channels_at(side: int, width: int) -> int:
    """Gives the channels of both networks' maps: 16 `width` at 4 px, halved with each doubling of the side, but 2 `width` at both 32 and 64 px."""
    return {4: 16 * width, 8: 8 * width, 16: 4 * width, 32: 2 * width, 64: 2 * width, 128: width, 256: width // 2}[side]


def quarter(maps: Tensor, corner: Tensor) -> Tensor:
    """Takes one quarter of each map (B, C, S, S), by `corner` (2, B) of 0 and 1, down and across: (B, C, S / 2, S / 2)."""
    half = maps.shape[2] // 2
    rows = torch.arange(len(maps), device=maps.device)
    return maps.unflatten(3, (2, half)).unflatten(2, (2, half))[rows, :, corner[0], :, corner[1]]


class Excitation(nn.Module):
    """Skip-layer excitation (eq. 1 and 2): a low map, pooled to 4 x 4, says for each channel of a high one how much of it is let through."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(low, high, 4, bias=False), nn.LeakyReLU(0.1), nn.Conv2d(high, high, 1, bias=False), nn.Sigmoid()
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Gives (B, high, H, W), each channel scaled by 0 to 1."""
        out: Tensor = high * self.gate(low)
        return out


class GatedConvolution(nn.Module):
    """A 3 x 3 convolution, noise where it is given, batch norm and a gated linear unit."""

    def __init__(self, before: int, after: int, *, noisy: bool) -> None:
        super().__init__()
        self.layer = nn.Conv2d(before, 2 * after, 3, 1, 1, bias=False)
        self.strength = nn.Parameter(torch.zeros(1)) if noisy else None
        self.norm = nn.BatchNorm2d(2 * after)

    def forward(self, maps: Tensor, noise: Tensor | None = None) -> Tensor:
        """Maps (B, before, H, W), and noise (B, 1, H, W) where it is noisy, to (B, after, H, W)."""
        maps = self.layer(maps)
        if self.strength is not None and noise is not None:
            maps = maps + (self.strength * noise).to(maps.dtype)
        return functional.glu(self.norm(maps), dim=1)


class FastGenerator(nn.Module):
    """A 4 x 4 map from the latent, then one level for each doubling of the side; the class enters beside the latent.

    Maps of 64 px and more, and the last one, are gated by those of a sixteenth of their side, or by the 4 x 4 one.
    """

    def __init__(self, *, latent_dim: int, width: int, attention_px: int | None, subject: Subject) -> None:
        super().__init__()
        self.code, self.latent_dim = ClassCode(subject), latent_dim
        self.sides = [4 * 2**level for level in range((subject.size_px // 4).bit_length())]
        self.noisy_sides = [side for side in self.sides if side in NOISY_PX]
        self.noise_dim = sum(2 * side**2 for side in self.noisy_sides)
        now = channels_at(4, width)
        self.entry = nn.Sequential(nn.ConvTranspose2d(latent_dim + self.code.width, 2 * now, 4, bias=False), nn.BatchNorm2d(2 * now), nn.GLU(dim=1))
        self.levels, self.gates, self.attentions = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        for before, side in pairwise(self.sides):
            now, noisy = channels_at(side, width), side in NOISY_PX
            convolutions = [GatedConvolution(channels_at(before, width), now, noisy=noisy)]
            if noisy:
                convolutions.append(GatedConvolution(now, now, noisy=True))
            self.levels[str(side)] = nn.ModuleList(convolutions)
            if side >= 64 or side == subject.size_px:
                self.gates[str(side)] = Excitation(channels_at(max(side // 16, 4), width), now)
            if side == attention_px:
                self.attentions[str(side)] = SelfAttention(now)
        self.exit = nn.Conv2d(now, subject.channels, 3, 1, 1)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Maps latents and noise (B, latent_dim + noise_dim) and labels (B,) to images (B, channels, size, size) in [-1, 1], float32."""
        # The class is scaled to the length of the latent, as in `layers.UpStack`.
        seed = torch.cat([z[:, : self.latent_dim], self.code(labels) * self.latent_dim**0.5], dim=1)
        grains = iter(self._grains(z[:, self.latent_dim :]))
        maps = {4: self.entry(seed[:, :, None, None])}
        for before, side in pairwise(self.sides):
            now = functional.interpolate(maps[before], scale_factor=2.0, mode="nearest")
            for convolution in self.levels[str(side)]:  # type: ignore[attr-defined]
                now = convolution(now, next(grains) if side in NOISY_PX else None)
            if str(side) in self.gates:
                now = self.gates[str(side)](maps[max(side // 16, 4)], now)
            maps[side] = self.attentions[str(side)](now) if str(side) in self.attentions else now
        out: Tensor = self.exit(maps[self.sides[-1]])
        return torch.tanh(out.float())

    def _grains(self, noise: Tensor) -> list[Tensor]:
        """Cuts noise (B, noise_dim) into the maps it is laid over, two for each side."""
        sides = [side for side in self.noisy_sides for _ in range(2)]
        parts = noise.split([side**2 for side in sides], dim=1)
        return [part.reshape(-1, 1, side, side) for part, side in zip(parts, sides, strict=True)]


class SpectralConv2d(nn.Conv2d):
    """A convolution whose weight is divided by its largest singular value (Miyato et al. 2018).

    Each pass in training moves the estimate of its first vector by one step of the power method, in float32.
    """

    vector: Tensor

    def __init__(self, before: int, after: int, side: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(before, after, side, stride, padding, bias=False)
        self.register_buffer("vector", functional.normalize(torch.randn(self.out_channels), dim=0))

    def normed(self) -> Tensor:
        """Gives the weight of norm about 1."""
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.flatten(1)
            with torch.no_grad():
                right = functional.normalize(self.vector @ matrix, dim=0)
                left = functional.normalize(matrix @ right, dim=0)
                if self.training:
                    # A new tensor: an earlier pass of this step may still need the old one for its gradient.
                    self.vector = left
            return self.weight / (left @ (matrix @ right))

    def forward(self, images: Tensor) -> Tensor:
        """Convolves (B, C, H, W)."""
        return self._conv_forward(images, self.normed(), None)


def _convolution(before: int, after: int, side: int, stride: int, padding: int, *, norm: bool) -> list[nn.Module]:
    """Makes a convolution with its norms, or without them and with a bias, and a LeakyReLU."""
    if not norm:
        return [nn.Conv2d(before, after, side, stride, padding), nn.LeakyReLU(0.2)]
    return [SpectralConv2d(before, after, side, stride, padding), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]


class HalvingBlock(nn.Module):
    """The mean of two ways down: two convolutions, and a pooled short cut."""

    def __init__(self, before: int, after: int, *, norm: bool) -> None:
        super().__init__()
        self.long = nn.Sequential(*_convolution(before, after, 4, 2, 1, norm=norm), *_convolution(after, after, 3, 1, 1, norm=norm))
        self.short = nn.Sequential(nn.AvgPool2d(2), *_convolution(before, after, 1, 1, 0, norm=norm))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (B, before, H, W) to (B, after, H / 2, W / 2)."""
        out: Tensor = (self.long(maps) + self.short(maps)) * 0.5
        return out


def decoder(before: int, width: int, channels: int, *, from_px: int, to_px: int) -> nn.Sequential:
    """Makes a small decoder: a gated convolution for each doubling of the side, a convolution, and tanh."""
    layers: list[nn.Module] = []
    while from_px < to_px:
        from_px *= 2
        after = channels_at(from_px, width) // 2
        layers += [nn.Upsample(scale_factor=2.0, mode="nearest"), GatedConvolution(before, after, noisy=False)]
        before = after
    return nn.Sequential(*layers, nn.Conv2d(before, channels, 3, 1, 1), nn.Tanh())


class FastCritic(nn.Module):
    """Halves an image down to 16 px and 8 px, scores 5 x 5 patches of the latter, and rebuilds the image from both.

    With several classes a projection (Miyato and Koyama 2018) adds the inner product of a class vector with the pooled map to every patch.
    """

    def __init__(self, *, width: int, norm: bool, subject: Subject) -> None:
        super().__init__()
        self.code = ClassCode(subject)
        side = subject.size_px
        first = nn.Conv2d(subject.channels, channels_at(side, width), 3, 1, 1)
        layers: list[nn.Module] = [nn.Sequential(first, nn.LeakyReLU(0.2))]
        while side > DEEP_PX:
            layers.append(HalvingBlock(channels_at(side, width), channels_at(side // 2, width), norm=norm))
            side //= 2
        self.trunk, self.last = nn.Sequential(*layers[:-1]), layers[-1]
        deep = channels_at(DEEP_PX, width)
        patch = (SpectralConv2d if norm else nn.Conv2d)(deep, 1, 4)
        self.head = nn.Sequential(*_convolution(deep, deep, 1, 1, 0, norm=norm), patch)
        self.classes = nn.Linear(self.code.width, deep, bias=False) if self.code.width else None
        self.whole_px = min(subject.size_px, LARGEST_WHOLE_PX)
        self.whole = decoder(deep, width, subject.channels, from_px=DEEP_PX, to_px=self.whole_px)
        shallow = channels_at(SHALLOW_PX, width)
        self.part = decoder(shallow, width, subject.channels, from_px=SHALLOW_PX // 2, to_px=subject.size_px // 2)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Maps images (B, C, H, W) in [-1, 1] to the maps of 16 px and of 8 px."""
        shallow: Tensor = self.trunk(images)
        return shallow, self.last(shallow)

    def score(self, deep: Tensor, labels: Tensor) -> Tensor:
        """Scores maps of 8 px as their class (B,): float32 (B, 25), linear."""
        scores: Tensor = self.head(deep).flatten(1).float()
        if self.classes is not None:
            scores = scores + (self.classes(self.code(labels)).float() * deep.float().mean(dim=(2, 3))).sum(dim=1, keepdim=True)
        return scores

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Scores the patches of images as their class."""
        return self.score(self.maps(images)[1], labels)

    def shrunk(self, images: Tensor) -> Tensor:
        """Gives what the whole reconstruction is compared with: images of at most 128 px."""
        return functional.adaptive_avg_pool2d(images, self.whole_px)

    def reconstruct(self, shallow: Tensor, deep: Tensor, corner: Tensor) -> tuple[Tensor, Tensor]:
        """Rebuilds the whole images from the maps of 8 px, and their quarters in `corner` (2, B) from those of 16 px; both float32 in [-1, 1]."""
        whole: Tensor = self.whole(deep)
        part: Tensor = self.part(quarter(shallow, corner).contiguous(memory_format=torch.channels_last))
        return whole.float(), part.float()
