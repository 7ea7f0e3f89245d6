"""SegDecNet with mixed supervision: finds where a defect is, and from that decides whether there is one; taught by labels, and by masks where known.

From Božič, Tabernik and Skočaj (2021), "Mixed supervision for surface-defect detection", with what their settings were (systems.md 1.1); the
detector of the two-stage paper (vaegan2023, section 3.1). Its pixel targets are made in `defect_weights`. Called by `training` and `stage`, like
every inspector.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.errors import DatasetError, SettingsError
from trainables.inspectors.base import Config, InspectorNetwork, Shown
from trainables.inspectors.defect_weights import pixel_targets, shrink, with_pixel_labels

Norm = Literal["sqrt_std", "std"]

STRIDE = 8
"""Pixels of the image to one of the map."""
SMALLEST_PX = 16
"""Least side: a map of two by two is the smallest whose features can be normalised."""
LEAST_POOLED = 3
"""The decision does not pool a map to fewer than this many pixels a side. All published sizes are pooled three times; below 192 px a third or second
time would leave one pixel, which has nothing left once its mean is taken off."""

PUBLISHED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # 512 x 512
        "dagm": {"lr": 0.05, "delta_cls": 1.0, "batch": 1, "weight_power": 1.0, "weight_max": 10.0, "dilate_px": 7, "epochs": 70},
        # 512 x 1408
        "ksdd": {"lr": 1.0, "delta_cls": 0.01, "batch": 1, "weight_power": 2.0, "weight_max": 1.0, "dilate_px": 7, "epochs": 50},
        # 232 x 640, colour
        "ksdd2": {"lr": 0.01, "delta_cls": 1.0, "batch": 1, "weight_power": 2.0, "weight_max": 3.0, "dilate_px": 15, "epochs": 50},
        # 1600 x 256, with 3000 defective images
        "steel": {"lr": 0.1, "delta_cls": 0.1, "batch": 10, "weight_power": 2.0, "weight_max": 1.0, "dilate_px": 1, "epochs": 40},
    }
)
"""Settings by data set (systems.md 1.1), as `inspector.segdecnet` takes them; those of DAGM, the two-stage paper's data, are the defaults."""

STEEL_EPOCHS: Mapping[int, int] = MappingProxyType({300: 90, 750: 80, 1000: 50, 1500: 60, 3000: 40})
"""Passes by the number of defective training images of the Severstal set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegDecNetConfig(Config):
    """Settings of SegDecNet; what it shares with other inspectors has its own defaults here."""

    LEAST_BATCH: ClassVar[int] = 1

    lr: float = 0.05
    """Learning rate of plain SGD, the same throughout (DAGM)."""
    epochs: int = 70
    """Passes over as many good images as there are defective ones (DAGM)."""
    batch: int = 1
    """Images a step (DAGM, KSDD, KSDD2; the Severstal set 10)."""
    weight_decay: float = 0.0
    """Decay of all weights; SegDecNet has none."""
    balance: Literal["none", "oversample", "undersample", "rotate"] = "rotate"
    """One good image for each defective one and epoch, every good one used equally often."""
    width: float = 1.0
    """Channels of the volume over the published 32, 64 and 1024; less for small studies and tests."""
    feature_norm: Norm = "sqrt_std"
    """What features are divided by, image by image: the square root of their standard deviation, as published, or the standard deviation itself."""
    gradient_stop: bool = True
    """Whether the decision leaves the volume and the map as they are, and learns from them only. It never stops where no defect has pixel labels."""
    dynamic_balance: bool = True
    """Whether the weight moves from the segmentation to the decision while training; otherwise both count from first to last."""
    delta_cls: float = 1.0
    """Weight of the decision's loss (DAGM)."""
    weight_max: float = 10.0
    """Weight of the pixel that lies deepest inside its defect; 1 is a pixel outside (DAGM)."""
    weight_power: float = 1.0
    """How fast a defect's weight rises from its edge inwards: to this power of the depth (DAGM)."""
    dilate_px: int = 7
    """Side of the square that masks are dilated by, in pixels of the training size; 1 leaves them as they are (DAGM at 512 px)."""
    pixel_labels: float = 1.0
    """Share of the defective training images, synthetic ones counted in, whose pixel labels are used: 1 full, 0 weak supervision."""

    def __post_init__(self) -> None:
        # A dataclass with slots is made anew by the decorator, so that super() without arguments would look for the wrong class.
        limits = {"width": (0.02, 2.0), "delta_cls": (0.0, 100.0), "weight_max": (0.01, 1000.0), "weight_power": (0.0, 10.0)}
        limits |= {"dilate_px": (1, 63), "pixel_labels": (0.0, 1.0)}
        wrong = []
        try:
            Config.__post_init__(self)
        except SettingsError as error:
            wrong.append(str(error))
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                wrong.append(f"{name}: {getattr(self, name)} is not between {low} and {high}")
        if self.dilate_px % 2 == 0:
            wrong.append(f"dilate_px: {self.dilate_px} is even, so that its square has no middle; take {self.dilate_px - 1} or {self.dilate_px + 1}")
        if wrong:
            raise SettingsError("; ".join(wrong))

    def lr_at(self, step: int, steps: int) -> float:
        """Gives the learning rate of a step: it stays as it is."""
        return self.lr


class FeatureNorm(nn.Module):
    """Normalises each channel of each image over its own pixels, then scales and shifts it.

    Args:
        channels: number of channels.
        kind: what is divided by. `sqrt_std` leaves a channel of larger contrast the larger one, by the root.
        shifts: whether there is a learnt shift.
    """

    EPS = 1e-3
    """Added to the standard deviation, for flat channels; the value is ours."""

    def __init__(self, channels: int, kind: Norm, *, shifts: bool = True) -> None:
        super().__init__()
        self.kind = kind
        self.scale = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1)) if shifts else None

    def forward(self, x: Tensor) -> Tensor:
        """Gives (B, C, H, W) for (B, C, H, W)."""
        variance, mean = torch.var_mean(x.float(), (2, 3), correction=0, keepdim=True)
        # The slope of a root is infinite at nought, which is where a flat channel is.
        divisor = (variance + 1e-12).sqrt() + self.EPS
        factor = self.scale / (divisor.sqrt() if self.kind == "sqrt_std" else divisor)
        offset = -mean * factor if self.shift is None else self.shift - mean * factor
        return torch.addcmul(offset.to(x.dtype), x, factor.to(x.dtype))


def _conv(into: int, out: int, kernel: int, norm: Norm) -> nn.Sequential:
    conv = nn.Conv2d(into, out, kernel, padding=kernel // 2, bias=False)
    nn.init.xavier_normal_(conv.weight)
    return nn.Sequential(conv, FeatureNorm(out, norm), nn.ReLU(inplace=True))


class Found(NamedTuple):
    """What SegDecNet says of images."""

    maps: Tensor
    """(B, 1, H/8, W/8) logits of a defect at each place."""
    decision: Tensor
    """(B,) logits of a defect anywhere."""


class SegDecNet(InspectorNetwork):
    """Volume, segmentation head and decision head; sides are any multiples of 8 px, and need not be equal.

    There is one output, "defective", whatever `num_classes` says.
    """

    VERSION = 1
    Config = SegDecNetConfig
    task = "detect"

    def __init__(self, config: SegDecNetConfig, *, size_px: int, channels: int, num_classes: int = 1) -> None:
        super().__init__()
        norm = config.feature_norm
        narrow, middle, wide = (max(1, round(count * config.width)) for count in (32, 64, 1024))
        self.volume = nn.Sequential(
            _conv(channels, narrow, 5, norm),
            nn.MaxPool2d(2),
            _conv(narrow, middle, 5, norm),
            *(_conv(middle, middle, 5, norm) for _ in range(2)),
            nn.MaxPool2d(2),
            *(_conv(middle, middle, 5, norm) for _ in range(4)),
            nn.MaxPool2d(2),
            _conv(middle, wide, 15, norm),
        )
        to_map = nn.Conv2d(wide, 1, 1, bias=False)
        nn.init.xavier_normal_(to_map.weight)
        self.segmentation = nn.Sequential(to_map, FeatureNorm(1, norm, shifts=False))
        self.extractor = nn.ModuleList([_conv(wide + 1, 8, 5, norm), _conv(8, 16, 5, norm), _conv(16, 32, 5, norm)])
        self.head = nn.Linear(2 * 32 + 2, 1)
        self.stops_gradient = False
        """Whether the decision's gradient ends at the volume and the map; set by `planes`, which knows whether there are pixel labels."""

    def _look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gives the map (B, 1, H/8, W/8) and the features (B, 66) that decide."""
        volume = self.volume(x)
        maps: Tensor = self.segmentation(volume)
        seen, said = (volume.detach(), maps.detach()) if self.stops_gradient else (volume, maps)
        found = torch.cat([seen, said], dim=1)
        for block in self.extractor:
            if min(found.shape[2:]) // 2 >= LEAST_POOLED:
                found = F.max_pool2d(found, 2)
            found = block(found)
        peaks = [part.amax((2, 3)) for part in (found, said)]
        means = [part.mean((2, 3)) for part in (found, said)]
        return maps, torch.cat([peaks[0], means[0], peaks[1], means[1]], dim=1)

    def features(self, x: Tensor) -> Tensor:
        """Gives largest and mean values of the 32 decision channels, then of the map: (B, C, H, W) in [-1, 1] to (B, 66)."""
        return self._look(x)[1]

    def forward(self, x: Tensor) -> Found:
        """Gives the map and the decision: (B, C, H, W) in [-1, 1], sides multiples of 8, to (B, 1, H/8, W/8) and (B,), both logits."""
        maps, features = self._look(x)
        return Found(maps=maps, decision=self.head(features).squeeze(1))

    def predictions(self, said: Found) -> dict[str, Tensor]:
        """Keeps `scores` (B,) float32, the decision's logits, and `maps` (B, H/8, W/8) uint8, where 255 stands for certainly defective.

        Logits, since probabilities of sure decisions round to the same number.
        """
        return {"scores": said.decision.float(), "maps": (said.maps.squeeze(1).float().sigmoid() * 255.0).round().to(torch.uint8)}

    def loss(self, said: Found, shown: Shown, share: float) -> Tensor:
        """Gives (1 - share) * segmentation + delta * share * decision, the mean over images.

        An image without pixel labels brings no segmentation, and counts in the mean all the same, as if each image were a step of its own.
        """
        ramp = (1.0 - share, share) if self.config.dynamic_balance else (1.0, 1.0)
        each = ramp[1] * self.config.delta_cls * F.binary_cross_entropy_with_logits(said.decision.float(), shown.labels.float(), reduction="none")
        if shown.planes is not None:
            mask, weight = shrink(shown.planes).unbind(1)
            pixels = F.binary_cross_entropy_with_logits(said.maps.squeeze(1).float(), mask, reduction="none")
            each = each + ramp[0] * (weight * pixels).mean((1, 2))
        if shown.weights is None:
            return each.mean()
        return (each * shown.weights).sum() / shown.weights.sum()

    def planes(self, masks: Tensor, labels: Tensor, marked: Tensor) -> Tensor:
        """Makes mask and weight of each pixel, (N, 2, H, W) float16; the weight is 0 all over where an image's pixel labels are not used.

        Good images are always marked: nothing in them is defective.
        """
        config = self.config
        used = with_pixel_labels(masks, labels, marked, config.pixel_labels)
        self.stops_gradient = config.gradient_stop and bool(used.any())
        return pixel_targets(masks, labels, used, dilate_px=config.dilate_px, highest=config.weight_max, power=config.weight_power)

    def optimizer(self) -> torch.optim.Optimizer:
        """Makes plain SGD, without momentum."""
        return torch.optim.SGD(self.parameters(), lr=self.config.lr, weight_decay=self.config.weight_decay, foreach=True)

    def check(self, labels: Tensor, num_classes: int) -> None:
        """Refuses labels other than 0, good, and 1, defective.

        Raises:
            DatasetError: there is one.
        """
        if not 0 <= int(labels.min()) <= int(labels.max()) <= 1:
            raise DatasetError(f"inspector: labels from {int(labels.min())} to {int(labels.max())}; a detector knows 0, good, and 1, defective")

    last_layers = ()

    @classmethod
    def problems(cls, config: Any, *, size_px: int, channels: int, num_classes: int | None = None) -> list[str]:
        """Refuses sides that the map does not divide evenly, and weights of an earlier run that do not fit."""
        if size_px >= SMALLEST_PX and size_px % STRIDE == 0:
            return super().problems(config, size_px=size_px, channels=channels, num_classes=num_classes)
        nearest = max(SMALLEST_PX, STRIDE * round(size_px / STRIDE))
        return [f"does not take images of {size_px} px; the nearest size that works is {nearest} (data.size_px), a multiple of its map's {STRIDE} px"]
