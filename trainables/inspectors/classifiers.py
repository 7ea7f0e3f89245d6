"""Inspectors that name the class of an image: torchvision's ResNet-18 and MobileNetV2 from scratch, and a fully convolutional network.

Every class here is an inspector of the registry: built from its Config, it gives logits when called and the features before the last layer from
`features`. Called by `training.py`, `stage.py`, the inspector contract tests and the cost scores.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torchvision import models

from trainables.errors import SettingsError

SMALL_PX = 64
"""Below this size the first convolution of the torchvision networks has stride 1: they were drawn for 224 px, and one pixel would be left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings that all classifiers share."""

    lr: float = 1e-4
    """Learning rate of AdamW at its start; it falls along a cosine. SDG-GAN, section 4.3; the other papers state none, and none states a schedule."""
    epochs: int = 50
    """Passes over the training images, synthetic ones counted in (SDG-GAN's comparison and cross-validation)."""
    batch: int = 32
    """Images a step (SDG-GAN's whole images)."""
    weight_decay: float = 1e-2
    """Decay of convolution and linear weights, apart from the gradient (AdamW). The number is SDG-GAN's, there a penalty inside of Adam's loss."""
    min_steps: int = 400
    """Least number of optimizer steps, so that a small real-only set is not starved beside a large synthetic one."""
    augment: Literal["none", "flips", "classical"] = "none"
    """Changes made to each image as it is drawn. PE-GAN's comparison has none."""
    balance: Literal["none", "oversample", "undersample"] = "none"
    """Whether every epoch shows as many images of each class as the largest class has, or as the smallest has."""

    def __post_init__(self) -> None:
        limits = {"lr": (1e-6, 1.0), "epochs": (1, 10_000), "batch": (2, 4096), "weight_decay": (0.0, 1.0), "min_steps": (0, 10_000_000)}
        wrong = []
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                wrong.append(f"{name}: {getattr(self, name)} is not between {low} and {high}")
        if wrong:
            raise SettingsError("; ".join(wrong))


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


class SeededDropout(nn.Module):
    """Dropout that draws from a generator of its own, so that a resumed training drops what an undisturbed one would have."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None
        """Set by the training loop before each step."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeroes a share of the values while training, and scales the rest to keep the mean."""
        if not self.training or self.rate == 0.0:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1.0 - self.rate)


class Classifier(nn.Module):
    """What all inspectors here have in common.

    Args:
        config: settings of the inspector's own `Config`.
        size_px: side of the square images.
        channels: 1 or 3.
        num_classes: number of logits.
    """

    VERSION: ClassVar[int] = 1
    """Part of the stage key: changes when the same settings give other numbers."""
    Config: ClassVar[type[Config]] = Config
    task: ClassVar[str] = "classify"
    bf16_on_cpu: ClassVar[bool] = True
    """False where bfloat16 is slower than float32 on a CPU, and is therefore not used there."""

    trunk: nn.Module
    head: nn.Linear

    def features(self, x: Tensor) -> Tensor:
        """Gives the pooled features before the last layer: (B, C, H, W) in [-1, 1] to (B, D)."""
        pooled: Tensor = self.trunk(x)
        return pooled.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Gives logits: (B, C, H, W) in [-1, 1] to (B, num_classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits


class ResNet18(Classifier):
    """ResNet-18 (He et al. 2016) as torchvision builds it, without pretrained weights; one of PE-GAN's two inspectors."""

    def __init__(self, config: Config, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = models.resnet18(weights=None)
        stride = 1 if size_px < SMALL_PX else 2
        net.conv1 = nn.Conv2d(channels, 64, 7, stride=stride, padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.head = nn.Linear(net.fc.in_features, num_classes)
        net.fc = nn.Identity()
        self.trunk = net


class MobileNetV2(Classifier):
    """MobileNetV2 (Sandler et al. 2018), width 1.0, as torchvision builds it, without pretrained weights; the other inspector of PE-GAN."""

    # Its convolutions by channel took 1.7 times as long in bfloat16 on a CPU that has it.
    bf16_on_cpu = False

    def __init__(self, config: Config, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = models.mobilenet_v2(weights=None)
        stride = 1 if size_px < SMALL_PX else 2
        stem = net.features[0]
        stem[0] = nn.Conv2d(channels, 32, 3, stride=stride, padding=1, bias=False)
        nn.init.kaiming_normal_(stem[0].weight, mode="fan_out")
        self.head = nn.Linear(net.last_channel, num_classes)
        nn.init.normal_(self.head.weight, 0.0, 0.01)
        nn.init.zeros_(self.head.bias)
        self.dropout = SeededDropout(0.2)
        self.trunk = nn.Sequential(net.features, nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        """Gives logits, with dropout before the last layer while training."""
        logits: Tensor = self.head(self.dropout(self.features(x)))
        return logits


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
