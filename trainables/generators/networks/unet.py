"""The UNet of `flow_unet`: it maps a noisy image, told how noisy, of which class and how augmented, to an image of the same shape."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.subject import Subject
from trainables.generators.networks.attention import SelfAttention, group_norm, shrink
from trainables.generators.networks.layers import ClassCode

PATCH_PX = {16: 1, 32: 1, 64: 2, 128: 2, 256: 4}
"""Side of the patches as which an image enters and leaves, by its own side (Hoogeboom et al. 2023): 64 px then cost what 32 px do."""
SMALLEST_MAP_PX = 8
"""Side of the innermost maps, the only ones with attention."""
DROPOUT_PX = 16
"""Largest maps with dropout: lower ones hold most of the weights that could remember (Hoogeboom et al. 2023)."""
WAVES = 32
"""Frequencies that the noise level is written in."""


def drop(maps: Tensor, share: float, random: torch.Generator | None) -> Tensor:
    """Sets a share of the values to 0 and scales the rest up; without `random`, outside of training, it changes nothing."""
    if random is None or share == 0.0:
        return maps
    kept = torch.rand(maps.shape, generator=random, device=maps.device) >= share
    return maps * kept.to(maps.dtype) / (1.0 - share)


class TimedBlock(nn.Module):
    """Two 3 x 3 convolutions beside the identity; scale and shift of the second norm come from what the network is told."""

    def __init__(self, before: int, after: int, told: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm_1, self.conv_1 = group_norm(before), nn.Conv2d(before, after, 3, 1, 1)
        self.norm_2, self.conv_2 = group_norm(after), nn.Conv2d(after, after, 3, 1, 1)
        self.modulate = nn.Linear(told, 2 * after)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        shrink(self.conv_2)

    def forward(self, maps: Tensor, told: Tensor, random: torch.Generator | None) -> Tensor:
        """Maps (B, before, H, W) and what is told (B, told) to (B, after, H, W)."""
        inner = self.conv_1(functional.silu(self.norm_1(maps)))
        scale, shift = self.modulate(told)[:, :, None, None].chunk(2, dim=1)
        inner = torch.addcmul(shift, self.norm_2(inner), 1.0 + scale)
        out: Tensor = self.skip(maps) + self.conv_2(drop(functional.silu(inner), self.dropout, random))
        return out


class UNet(nn.Module):
    """One block on each level on the way down and one on the way up, with attention innermost.

    Maps are halved from one place for each patch of the image down to 8 px, the outermost with `width` channels and all others with twice as
    many. The null class of guidance is the zero vector. The network also keeps the mean and the deviation of the pixels it is trained on, for
    whoever standardises images with them.
    """

    mean: Tensor
    deviation: Tensor
    waves: Tensor

    def __init__(self, *, width: int, dropout: float, subject: Subject, changes: int) -> None:
        """Builds the network.

        Args:
            width: channels of the outermost maps.
            dropout: share of the values of maps of up to 16 px that is left out in training.
            subject: what is made.
            changes: length of the vector that says how an image was augmented.
        """
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))
        self.register_buffer("waves", 2.0 * math.pi * 2.0 ** torch.linspace(-2.0, 5.0, WAVES), persistent=False)
        self.code = ClassCode(subject)
        self.patch = PATCH_PX[subject.size_px]
        side, told = subject.size_px // self.patch, 4 * width
        self.level = nn.Sequential(nn.Linear(2 * WAVES, told), nn.SiLU(), nn.Linear(told, told))
        self.change = nn.Linear(changes, told, bias=False)
        self.label = nn.Linear(self.code.width, told, bias=False) if self.code.width else None
        pixels = subject.channels * self.patch**2
        self.entry = nn.Conv2d(pixels, width, 3, 1, 1)
        self.down, self.halve, self.up = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        levels = int(math.log2(side // SMALLEST_MAP_PX)) + 1
        widths = [width] + [2 * width] * (levels - 1)
        for level, now in enumerate(widths):
            share = dropout if side >> level <= DROPOUT_PX else 0.0
            self.down.append(TimedBlock(now, now, told, dropout=share))
            if level + 1 < levels:
                self.halve.append(nn.Conv2d(now, widths[level + 1], 3, 2, 1))
            below = widths[min(level + 1, levels - 1)]
            self.up.append(TimedBlock(now + below, now, told, dropout=share))
        self.attention = SelfAttention(widths[-1])
        self.exit_norm, self.exit = group_norm(width), nn.Conv2d(width, pixels, 3, 1, 1)
        shrink(self.exit)

    def forward(
        self, images: Tensor, level: Tensor, labels: Tensor, *, told: Tensor, changes: Tensor, random: torch.Generator | None = None
    ) -> Tensor:
        """Runs the network.

        Args:
            images: noisy images (B, C, H, W), standardised.
            level: how noisy each is, (B,), about -1..1.
            labels: their classes, int64 (B,).
            told: (B,), 1.0 where the class is told and 0.0 where the image is of the null class.
            changes: how each was augmented, (B, changes); 0 for not at all.
            random: decides what dropout leaves out; None leaves out nothing.

        Returns:
            (B, C, H, W), float32.
        """
        angles = level[:, None] * self.waves
        about = self.level(torch.cat([angles.cos(), angles.sin()], dim=1)) + self.change(changes)
        if self.label is not None:
            about = about + self.label(self.code(labels) * self.code.width**0.5 * told[:, None])
        about = functional.silu(about)
        maps = self.entry(functional.pixel_unshuffle(images, self.patch).contiguous(memory_format=torch.channels_last))
        kept = []
        for level_number, block in enumerate(self.down):
            maps = block(maps, about, random)
            kept.append(maps)
            if level_number < len(self.halve):
                maps = self.halve[level_number](maps)
        maps = self.attention(maps)
        for level_number in reversed(range(len(self.up))):
            maps = self.up[level_number](torch.cat([maps, kept[level_number]], dim=1), about, random)
            if level_number > 0:
                maps = functional.interpolate(maps, scale_factor=2.0, mode="nearest")
        out = self.exit(functional.silu(self.exit_norm(maps))).float()
        return functional.pixel_shuffle(out, self.patch)
