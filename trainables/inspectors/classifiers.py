"""Inspectors that name the class of an image: torchvision's ResNet-18 and MobileNetV2 from scratch, and a fully convolutional network.

Every class here is an inspector of the registry: built from its Config, it gives logits when called and the features before the last layer from
`features`. Called by `training.py`, `stage.py`, the inspector contract tests and the cost scores.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from trainables.errors import DatasetError, SettingsError
from trainables.inspectors.base import Config, InspectorNetwork, SeededDropout, Shown

SMALL_PX = 64
"""Below this size the first convolution of the torchvision networks has stride 1: they were drawn for 224 px, and one pixel would be left."""


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


class Classifier(InspectorNetwork):
    """What all inspectors that name the class of an image have in common: a trunk, and one linear layer at its end."""

    task = "classify"

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

    def check(self, labels: Tensor, num_classes: int) -> None:
        """Refuses labels that are no class's.

        Raises:
            DatasetError: a label is outside of the classes.
        """
        if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise DatasetError(f"inspector: labels from {int(labels.min())} to {int(labels.max())}, expected 0 to {num_classes - 1}")

    def loss(self, said: Tensor, shown: Shown, share: float) -> Tensor:
        """Gives the cross-entropy, weighted image by image where the batch has weights."""
        if shown.weights is None:
            return F.cross_entropy(said.float(), shown.labels)
        each = F.cross_entropy(said.float(), shown.labels, reduction="none")
        return (each * shown.weights).sum() / shown.weights.sum()

    def predictions(self, said: Tensor) -> dict[str, Tensor]:
        """Keeps the logits, (B, num_classes) float32."""
        return {"logits": said.float()}


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
