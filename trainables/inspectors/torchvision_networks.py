"""Inspectors from torchvision: ResNet-18 and -50, MobileNetV2, EfficientNetV2-S and Inception v3, from scratch or from weights in a local file.

They were drawn for 224 px and more: below 64 px their first convolution has stride 1, or one pixel would be left at the end.
"""

from typing import Any

from torch import nn
from torchvision import models

from trainables.inspectors.seeded import SeededNetwork
from trainables.inspectors.stock import StockClassifier, StockConfig

SMALL_PX = 64
"""Below this size the first convolution has stride 1."""

INCEPTION_SMALL_PX = 75
"""The same for Inception v3, which pads little: with stride 2 it takes no smaller images."""


def _channels(config: StockConfig, channels: int) -> int:
    """Says how many channels enter the first convolution: weights of elsewhere have three."""
    return channels if config.weights is None else 3


def _stride(size_px: int) -> int:
    return 1 if size_px < SMALL_PX else 2


class ResNet18(StockClassifier):
    """ResNet-18 (He et al. 2016) as torchvision builds it; one of PE-GAN's two inspectors."""

    def __init__(self, config: StockConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = self._net()
        net.conv1 = nn.Conv2d(_channels(config, channels), 64, 7, stride=_stride(size_px), padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        self.end(config, net.fc.in_features, num_classes)
        net.fc = nn.Identity()
        self.trunk = net

    def _net(self) -> Any:
        return models.resnet18(weights=None)

    def body(self) -> nn.Module:
        """Gives all but the last layer."""
        return self.trunk


class ResNet50(ResNet18):
    """ResNet-50 (He et al. 2016) as torchvision builds it; one of SDG-GAN's stock networks."""

    def _net(self) -> Any:
        return models.resnet50(weights=None)


class MobileNetV2(StockClassifier):
    """MobileNetV2 (Sandler et al. 2018), width 1.0, as torchvision builds it; PE-GAN's other inspector, and one of SDG-GAN's stock networks."""

    # Its convolutions by channel took 1.7 times as long in bfloat16 on a CPU that has it.
    bf16_on_cpu = False
    file_prefix = "features."
    file_rest = ("classifier.",)

    def __init__(self, config: StockConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = models.mobilenet_v2(weights=None)
        stem = net.features[0]
        stem[0] = nn.Conv2d(_channels(config, channels), 32, 3, stride=_stride(size_px), padding=1, bias=False)
        nn.init.kaiming_normal_(stem[0].weight, mode="fan_out")
        self.end(config, net.last_channel, num_classes, dropout=0.2)
        nn.init.normal_(self.head.weight, 0.0, 0.01)
        nn.init.zeros_(self.head.bias)
        self.trunk = nn.Sequential(net.features, nn.AdaptiveAvgPool2d(1))

    def body(self) -> nn.Module:
        """Gives the convolutions."""
        return self.trunk.get_submodule("0")


class EfficientNetV2S(StockClassifier):
    """EfficientNetV2-S (Tan and Le 2021) as torchvision builds it, stochastic depth 0.2; one of SDG-GAN's stock networks."""

    # Like MobileNetV2 it convolves channel by channel in most of its blocks.
    bf16_on_cpu = False
    file_prefix = "features."
    file_rest = ("classifier.",)

    def __init__(self, config: StockConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = models.efficientnet_v2_s(weights=None)
        stem = net.features[0]
        stem[0] = nn.Conv2d(_channels(config, channels), stem[0].out_channels, 3, stride=_stride(size_px), padding=1, bias=False)
        nn.init.kaiming_normal_(stem[0].weight, mode="fan_out")
        self.end(config, net.classifier[1].in_features, num_classes, dropout=0.2)
        self.trunk = SeededNetwork(nn.Sequential(net.features, nn.AdaptiveAvgPool2d(1)))

    def body(self) -> nn.Module:
        """Gives the convolutions."""
        return self.trunk.get_submodule("network.0")


class InceptionV3(StockClassifier):
    """Inception v3 (Szegedy et al. 2016) as torchvision builds it; one of SDG-GAN's stock networks.

    Its auxiliary classifier is left out: it was there to train deep networks before batch norm, does little beside it (section 4 there), and wants
    feature maps of 17 px. What weights of elsewhere hold for it is not read. The smallest images are of 39 px.
    """

    least_px = 39
    file_rest = ("fc.", "AuxLogits.")

    def __init__(self, config: StockConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        net = models.inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=True)
        if size_px < INCEPTION_SMALL_PX or _channels(config, channels) != 3:
            stride = 1 if size_px < INCEPTION_SMALL_PX else 2
            net.Conv2d_1a_3x3.conv = nn.Conv2d(_channels(config, channels), 32, 3, stride=stride, bias=False)
            nn.init.trunc_normal_(net.Conv2d_1a_3x3.conv.weight, std=0.1, a=-2.0, b=2.0)
        self.end(config, net.fc.in_features, num_classes, dropout=0.5)
        net.fc = net.dropout = nn.Identity()
        self.trunk = net

    def body(self) -> nn.Module:
        """Gives all but the last layer."""
        return self.trunk
