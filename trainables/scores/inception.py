"""The Inception network whose pooled features FID is defined on: the graph of 2015-12-05, with its own pooling and its own resize.

Built from the published shape of the network; parameters carry the names of the converted weights that torch-fidelity publishes. It differs from
torchvision's Inception v3 in its 1008 outputs, in average pools that do not count the padding, and in the maximum pool of the last block. Called by
`extractors.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE_PX = 299
DIMENSIONS = 2048

Step = tuple[str, int, tuple[int, int], int]
"""One convolution: name, channels out, kernel (height, width), stride."""

ONE, THREE, FIVE, WIDE, TALL, ACROSS, DOWN = (1, 1), (3, 3), (5, 5), (1, 7), (7, 1), (1, 3), (3, 1)


def _block_a(pooled: int) -> dict[str, Any]:
    return {
        "branches": [
            [("branch1x1", 64, ONE, 1)],
            [("branch5x5_1", 48, ONE, 1), ("branch5x5_2", 64, FIVE, 1)],
            [("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1), ("branch3x3dbl_3", 96, THREE, 1)],
        ],
        "pool": "average",
        "pooled": pooled,
    }


def _block_c(inner: int) -> dict[str, Any]:
    return {
        "branches": [
            [("branch1x1", 192, ONE, 1)],
            [("branch7x7_1", inner, ONE, 1), ("branch7x7_2", inner, WIDE, 1), ("branch7x7_3", 192, TALL, 1)],
            [
                ("branch7x7dbl_1", inner, ONE, 1),
                ("branch7x7dbl_2", inner, TALL, 1),
                ("branch7x7dbl_3", inner, WIDE, 1),
                ("branch7x7dbl_4", inner, TALL, 1),
                ("branch7x7dbl_5", 192, WIDE, 1),
            ],
        ],
        "pool": "average",
        "pooled": 192,
    }


def _block_e(pool: str) -> dict[str, Any]:
    return {
        "branches": [
            [("branch1x1", 320, ONE, 1)],
            [("branch3x3_1", 384, ONE, 1), [("branch3x3_2a", 384, ACROSS, 1), ("branch3x3_2b", 384, DOWN, 1)]],
            [
                ("branch3x3dbl_1", 448, ONE, 1),
                ("branch3x3dbl_2", 384, THREE, 1),
                [("branch3x3dbl_3a", 384, ACROSS, 1), ("branch3x3dbl_3b", 384, DOWN, 1)],
            ],
        ],
        "pool": pool,
        "pooled": 192,
    }


BLOCKS: dict[str, dict[str, Any]] = {
    "Mixed_5b": _block_a(32),
    "Mixed_5c": _block_a(64),
    "Mixed_5d": _block_a(64),
    "Mixed_6a": {
        "branches": [
            [("branch3x3", 384, THREE, 2)],
            [("branch3x3dbl_1", 64, ONE, 1), ("branch3x3dbl_2", 96, THREE, 1), ("branch3x3dbl_3", 96, THREE, 2)],
        ],
        "pool": "halve",
        "pooled": 0,
    },
    "Mixed_6b": _block_c(128),
    "Mixed_6c": _block_c(160),
    "Mixed_6d": _block_c(160),
    "Mixed_6e": _block_c(192),
    "Mixed_7a": {
        "branches": [
            [("branch3x3_1", 192, ONE, 1), ("branch3x3_2", 320, THREE, 2)],
            [("branch7x7x3_1", 192, ONE, 1), ("branch7x7x3_2", 192, WIDE, 1), ("branch7x7x3_3", 192, TALL, 1), ("branch7x7x3_4", 192, THREE, 2)],
        ],
        "pool": "halve",
        "pooled": 0,
    },
    "Mixed_7b": _block_e("average"),
    "Mixed_7c": _block_e("maximum"),
}
"""Blocks from the first to the last. A branch is a chain of steps; a list inside of it splits the chain's end into two beside each other."""


class _Conv(nn.Module):
    """A convolution without bias, batch norm with eps 0.001, ReLU."""

    def __init__(self, channels: int, out: int, kernel: tuple[int, int], stride: int, padding: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class _Block(nn.Module):
    """Branches side by side, and a pooled one."""

    def __init__(self, channels: int, branches: list[list[Any]], pool: str, pooled: int) -> None:
        super().__init__()
        self.branches, self.pool, self.out = branches, pool, 0
        for branch in branches:
            width = channels
            for step in branch:
                sides: list[Step] = step if isinstance(step, list) else [step]
                for name, out, (height, across), stride in sides:
                    padding = (height // 2, across // 2) if stride == 1 else (0, 0)
                    self.add_module(name, _Conv(width, out, (height, across), stride, padding))
                width = sum(out for _, out, _, _ in sides)
            self.out += width
        if pooled:
            self.branch_pool = _Conv(channels, pooled, ONE, 1, (0, 0))
        self.out += pooled or channels

    def forward(self, x: Tensor) -> Tensor:
        ends = []
        for branch in self.branches:
            y = x
            for step in branch:
                sides = step if isinstance(step, list) else [step]
                y = torch.cat([self.get_submodule(name)(y) for name, *_ in sides], 1)
            ends.append(y)
        if self.pool == "halve":
            ends.append(F.max_pool2d(x, 3, stride=2))
        elif self.pool == "average":
            ends.append(self.branch_pool(F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)))
        else:
            ends.append(self.branch_pool(F.max_pool2d(x, 3, stride=1, padding=1)))
        return torch.cat(ends, 1)


class FIDInception(nn.Module):
    """Maps uint8 images (B, 3, H, W) to the 2048 pooled features of the standard FID network: (B, 2048) float32."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Conv(3, 32, THREE, 2, (0, 0))
        self.Conv2d_2a_3x3 = _Conv(32, 32, THREE, 1, (0, 0))
        self.Conv2d_2b_3x3 = _Conv(32, 64, THREE, 1, (1, 1))
        self.Conv2d_3b_1x1 = _Conv(64, 80, ONE, 1, (0, 0))
        self.Conv2d_4a_3x3 = _Conv(80, 192, THREE, 1, (0, 0))
        channels = 192
        for name, spec in BLOCKS.items():
            block = _Block(channels, **spec)
            self.add_module(name, block)
            channels = block.out
        # Features stand before it; the Inception Score reads its weights.
        self.fc = nn.Linear(DIMENSIONS, 1008)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        x = (resize_tf1(images.float(), SIDE_PX) - 128.0) / 128.0
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = F.max_pool2d(x, 3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = F.max_pool2d(x, 3, stride=2)
        for name in BLOCKS:
            x = self.get_submodule(name)(x)
        return x.mean((2, 3))


def resize_tf1(x: Tensor, side: int) -> Tensor:
    """Resizes (B, C, H, W) bilinearly as TensorFlow 1 did: pixel i is read at i * (old / new), neither centred nor antialiased."""
    tall, wide = (_weights(old, side).to(x) for old in x.shape[-2:])
    return tall @ x @ wide.T


def _weights(old: int, new: int) -> Tensor:
    """Gives the (new, old) matrix of the resize along one side; places are rounded to float32, as they were in the original."""
    place = torch.arange(new, dtype=torch.float32) * torch.tensor(old / new, dtype=torch.float32)
    low = place.long().clamp(max=old - 1)
    high = (low + 1).clamp(max=old - 1)
    share = place - low
    rows = torch.arange(new)
    weights = torch.zeros(new, old)
    weights.index_put_((rows, low), 1.0 - share, accumulate=True)
    weights.index_put_((rows, high), share, accumulate=True)
    return weights
