"""SDG-GAN's own inspectors: the Inception-CNN, and the baseline CNN beside it, whose filters follow from the printed numbers of parameters.

Both were drawn for 256 px: five convolutions or modules at falling sizes, seven max pools, 2 x 2 px of 512 channels at the end, flattened.
"""

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, cat, nn

from trainables.inspectors.base import Config
from trainables.inspectors.classifiers import Classifier

LAST_PX = 2
"""Pools leave at least this side. From 256 px all seven act, and 2 px are left; from 128, 64, 32 px the last one, two, three are left out, so that
the layers and parameters are the same at each of these sizes, and 512 x 2 x 2 numbers enter the head. From 512 px there are 4 px left."""

FC_WIDTHS = (256, 128, 64)
"""Fully connected layers before the last."""

INCEPTION_FILTERS = ((32, 16, 16, 32, 16, 16), (64, 64, 32, 96, 32, 64), (128, 96, 96, 96, 64, 128))
"""Filters of the three modules (Figure 7 b, d, f)."""


class InceptionModule(nn.Module):
    """Four branches over the same features, side by side at the end (Figure 7); sides stay as they are.

    3 x 3 then 1 x 1; pooled, 1 x 1; 1 x 1 then 3 x 3; pooled, 1 x 1. The second and the fourth differ in their filters alone.

    Args:
        channels: that come in.
        filters: of the six convolutions, in that order.
    """

    def __init__(self, channels: int, filters: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        first, first_end, pooled, third, third_end, pooled_too = filters
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*_convolved(channels, first, 3), *_convolved(first, first_end, 1)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_convolved(channels, pooled, 1)),
                nn.Sequential(*_convolved(channels, third, 1), *_convolved(third, third_end, 3)),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), *_convolved(channels, pooled_too, 1)),
            ]
        )
        self.out_channels = first_end + pooled + third_end + pooled_too

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, out_channels, H, W)."""
        return cat([branch(x) for branch in self.branches], 1)


class InceptionCNN(Classifier):
    """The paper's proposal (Figure 6): convolutions and inception modules in turn, each followed by a pool. 3,576,389 parameters for five classes."""

    def __init__(self, config: Config, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        side, width = size_px, channels
        for stage in self._stages(channels):
            layers += stage
            width = next(layer.out_channels for layer in reversed(stage) if isinstance(layer, nn.Conv2d | InceptionModule))
            if side // 2 >= LAST_PX:
                layers.append(nn.MaxPool2d(2))
                side //= 2
        self.trunk = nn.Sequential(*layers)
        sizes = (width * side * side, *FC_WIDTHS)
        hidden = [module for inside, out in pairwise(sizes) for module in (nn.Linear(inside, out), nn.ReLU())]
        self.hidden = nn.Sequential(*hidden)
        self.head = nn.Linear(sizes[-1], num_classes)
        # The paper states no first weights. With one batch norm in fourteen layers these must keep the size of the signal.
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if module is self.head else "relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def _stages(self, channels: int) -> list[list[nn.Module]]:
        """Lists what stands between the pools."""
        small, middle, large = (InceptionModule(wide, filters) for wide, filters in zip((32, 128, 256), INCEPTION_FILTERS, strict=True))
        return [
            [nn.Conv2d(channels, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU()],
            [small],
            list(_convolved(small.out_channels, 128, 5)),
            [middle],
            list(_convolved(middle.out_channels, 256, 3)),
            [large],
            list(_convolved(large.out_channels, 512, 3)),
        ]

    def features(self, x: Tensor) -> Tensor:
        """Gives the 64 numbers that enter the last layer: (B, C, H, W) in [-1, 1] to (B, 64)."""
        found: Tensor = self.hidden(self.trunk(x).flatten(1))
        return found


class BaselineCNN(InceptionCNN):
    """The same with one convolution in the place of each module: seven convolutions, seven pools. 5,120,293 parameters for five classes.

    The paper prints 5.12 million and no filters; other plans give that too.
    """

    def _stages(self, channels: int) -> list[list[nn.Module]]:
        """Lists what stands between the pools."""
        plan = ((32, 5), (128, 5), (256, 3), (256, 3), (512, 3), (512, 3))
        stages: list[list[nn.Module]] = [[nn.Conv2d(channels, 32, 5, padding=2), nn.BatchNorm2d(32), nn.ReLU()]]
        width = 32
        for out, kernel in plan:
            stages.append(list(_convolved(width, out, kernel)))
            width = out
        return stages


def _convolved(channels: int, out: int, kernel: int) -> Iterator[nn.Module]:
    """A convolution that keeps the side, and its ReLU."""
    yield nn.Conv2d(channels, out, kernel, padding=kernel // 2)
    yield nn.ReLU()
