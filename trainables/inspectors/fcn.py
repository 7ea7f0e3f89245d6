"""A fully convolutional network in the manner of Wang et al. 2017, in two dimensions; LM-GAN's inspector."""

from dataclasses import dataclass

from torch import nn

from trainables.errors import SettingsError
from trainables.inspectors.base import Config
from trainables.inspectors.classifiers import Classifier


@dataclass(frozen=True, kw_only=True, slots=True)
class FCNConfig(Config):
    """Settings of the fully convolutional network."""

    width: int = 128
    """Channels of its first and last convolution; the middle one has twice as many (Wang et al. 2017: 128, 256, 128)."""

    def __post_init__(self) -> None:
        # A dataclass with slots is made anew by the decorator, so that super() without arguments would look for the wrong class.
        Config.__post_init__(self)
        if not 4 <= self.width <= 512:
            raise SettingsError(f"width: {self.width} is not between 4 and 512")


class FCN(Classifier):
    """Three convolutions of 7, 5 and 3 px with batch norm, averaged at the end; LM-GAN's inspector (Wang et al. 2017, in two dimensions)."""

    Config = FCNConfig

    def __init__(self, config: FCNConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        widths = (channels, config.width, 2 * config.width, config.width)
        layers: list[nn.Module] = []
        for i, kernel in enumerate((7, 5, 3)):
            layers.append(nn.Conv2d(widths[i], widths[i + 1], kernel, padding=kernel // 2, bias=False))
            layers += [nn.BatchNorm2d(widths[i + 1]), nn.ReLU(inplace=True)]
            if i < 2:
                layers.append(nn.MaxPool2d(2))
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.head = nn.Linear(config.width, num_classes)
