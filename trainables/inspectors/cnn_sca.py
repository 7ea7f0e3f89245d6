"""A small CNN with spatial and channel attention, after Mustafaev et al. 2022 (Sensors 22:4192), which SDG-GAN compares itself with.

That paper's layers are not at hand. Known are its parts (a block of features, a vector by channel attention and one by spatial attention, both
concatenated, fully connected layers), its 0.52 million parameters and its 30 layers (SDG-GAN, Table 10); the widths here are ours.
"""

import torch
from torch import Tensor, nn

from trainables.inspectors.base import Config
from trainables.inspectors.classifiers import Classifier

PLAN = ((32, 5), (64, 3), (96, 3), (128, 3), (192, 3))
"""Channels and kernels of the convolutions."""

SQUEEZE = 4
"""Channels over the units in the middle of the channel attention."""

SPATIAL_PX = 7
"""Kernel of the spatial attention."""

FC_WIDTHS = (192, 64)
"""Fully connected layers before the last."""

LAST_PX = 2
"""Pools leave at least this side; from 64 px on all five act."""


class Attention(nn.Module):
    """Sums features up twice: by how much each channel matters, and by how much each place does.

    Args:
        channels: of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // SQUEEZE
        self.by_channel = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())
        self.by_place = nn.Conv2d(2, 1, SPATIAL_PX, padding=SPATIAL_PX // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, 2 C): the channel vector, then the spatial one."""
        mean = x.mean((2, 3))
        seen = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
        weights = self.by_place(seen).flatten(2).softmax(2)
        return torch.cat([mean * self.by_channel(mean), (x.flatten(2) * weights).sum(2)], 1)


class CnnSca(Classifier):
    """Five convolutions with batch norm and pools, both attentions side by side, three linear layers. 512,696 parameters for five grey classes."""

    def __init__(self, config: Config, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side, width = size_px, channels
        for out, kernel in PLAN:
            layers += [nn.Conv2d(width, out, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]
            width = out
            if side // 2 >= LAST_PX:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.trunk = nn.Sequential(*layers, Attention(width))
        hidden: list[nn.Module] = []
        inside = 2 * width
        for out in FC_WIDTHS:
            hidden += [nn.Linear(inside, out), nn.ReLU()]
            inside = out
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(inside, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Gives the 64 numbers that enter the last layer: (B, C, H, W) in [-1, 1] to (B, 64)."""
        found: Tensor = self.hidden(self.trunk(x))
        return found
