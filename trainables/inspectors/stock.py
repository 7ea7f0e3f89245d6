"""What inspectors built from networks of other libraries share: their head, weights from a local file, and the sizes they take.

The networks themselves are in `torchvision_networks` and `timm_networks`.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.datasets.settings import SIZES_PX
from trainables.errors import SettingsError
from trainables.inspectors.base import Config, SeededDropout
from trainables.inspectors.classifiers import Classifier
from trainables.inspectors.local_weights import misfit, put, read_shapes, read_weights, shapes_of, without

FC_WIDTHS = (256, 128, 64)
"""Widths of the fully connected head (SDG-GAN, section IV-D; its tables count it in the stock networks too)."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in 0..1; what weights trained there expect to be taken off and divided by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StockConfig(Config):
    """Settings of an inspector built from a network of another library."""

    head: Literal["linear", "fc"] = "linear"
    """linear: the network's own last layer (PE-GAN). fc: 256, 128 and 64 units with ReLU before it, as SDG-GAN ends its stock networks."""
    weights: str | None = None
    """File of weights to begin with, as the library gives them (.pth, .safetensors); the last layer is always new. None begins anew. With weights a
    grey image is shown as three equal channels, and pixels are normalised as ImageNet's."""


class Normalised(nn.Module):
    """Turns images of -1..1 into what a network trained elsewhere was shown: three channels, less their mean, over their deviation."""

    def __init__(self, mean: tuple[float, ...] = IMAGENET_MEAN, std: tuple[float, ...] = IMAGENET_STD) -> None:
        super().__init__()
        centre, spread = torch.tensor(mean).view(1, -1, 1, 1), torch.tensor(std).view(1, -1, 1, 1)
        self.register_buffer("scale", 0.5 / spread, persistent=False)
        self.register_buffer("offset", (0.5 - centre) / spread, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, 1 or 3, H, W) to (B, 3, H, W)."""
        return x * self.get_buffer("scale") + self.get_buffer("offset")


class StockClassifier(Classifier):
    """A classifier whose trunk is another library's network.

    A subclass builds `trunk`, and then calls `end`.
    """

    Config = StockConfig
    least_px: ClassVar[int] = 1
    """Smallest side that the network takes."""
    file_prefix: ClassVar[str] = ""
    """What the names of the body's tensors start with in a file of the library."""
    file_rest: ClassVar[tuple[str, ...]] = ("fc.",)
    """What the names start with that belong to the library's own last layers, and are left out."""

    hidden: nn.Module
    dropout: SeededDropout
    prepare: nn.Module

    @abstractmethod
    def body(self) -> nn.Module:
        """Gives the part of the trunk that the library's files have weights for."""

    def end(self, config: StockConfig, width: int, num_classes: int, *, dropout: float = 0.0) -> None:
        """Makes what comes before and after the trunk.

        Args:
            config: decides the head.
            width: features of the trunk.
            num_classes: number of logits.
            dropout: of the library before its last layer; the fully connected head has none.
        """
        self.prepare = Normalised() if config.weights is not None else nn.Identity()
        layers: list[nn.Module] = []
        if config.head == "fc":
            for size in FC_WIDTHS:
                layers += [nn.Linear(width, size), nn.ReLU()]
                width = size
        self.hidden = nn.Sequential(*layers)
        self.dropout = SeededDropout(0.0 if layers else dropout)
        self.head = nn.Linear(width, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Gives what enters the last layer: (B, C, H, W) in [-1, 1] to (B, D)."""
        found: Tensor = self.hidden(self.trunk(self.prepare(x)).flatten(1))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Gives logits, with the library's dropout before the last layer while training."""
        logits: Tensor = self.head(self.dropout(self.features(x)))
        return logits

    def begin(self) -> None:
        """Begins with the weights of the file that the settings name.

        Raises:
            SettingsError: the file cannot be read, or does not fit.
        """
        path = self.config.weights
        if path is None:
            return
        tensors = without(read_weights(path), self.file_rest)
        put(self.body(), {name.removeprefix(self.file_prefix): value for name, value in tensors.items()}, path)

    @classmethod
    def takes(cls, size_px: int, channels: int) -> bool:
        """Says whether the network can be shown images of this size."""
        return size_px >= cls.least_px

    @classmethod
    def problems(cls, config: Any, *, size_px: int, channels: int, num_classes: int | None = None) -> list[str]:
        """Says whether the network cannot take the size, or the weights do not fit it; reads of the weights no more than their shapes."""
        found = super().problems(config, size_px=size_px, channels=channels, num_classes=num_classes)
        if not cls.takes(size_px, channels):
            working = [size for size in sorted(SIZES_PX, key=lambda size: abs(size - size_px)) if cls.takes(size, channels)]
            nearest = f"the nearest size that works is {working[0]}" if working else f"none of {', '.join(map(str, SIZES_PX))} works"
            return [*found, f"does not take images of {size_px} px; {nearest} (data.size_px)"]
        if config.weights is None:
            return found
        with torch.device("meta"):
            body = cls(config, size_px=size_px, channels=channels, num_classes=2).body()
        try:
            shapes = without(read_shapes(config.weights), cls.file_rest)
        except SettingsError as error:
            return [*found, f"weights: {error}"]
        text = misfit({f"{cls.file_prefix}{name}": shape for name, shape in shapes_of(body).items()}, shapes)
        return found if text is None else [*found, f"weights: {config.weights}: {text}"]
