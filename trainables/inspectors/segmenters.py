"""Inspectors that say which pixels are defective: DeepLabV3+, PAN, and any other architecture of segmentation-models-pytorch.

Called through the registry, which holds one line for all that have none of their own: `smp:unet`. The library is imported when the first segmenter is
asked for, and nothing is downloaded: weights come from a file, or are new.
"""

import difflib
import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal

import segmentation_models_pytorch as smp
import timm
import torch
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import Tensor, nn

from trainables.datasets.augmentation import Policy
from trainables.datasets.settings import SIZES_PX
from trainables.errors import DatasetError, SettingsError
from trainables.inspectors.base import Config, InspectorNetwork, LabelledImages, Shown
from trainables.inspectors.local_weights import Shape, misfit, put, read_shapes, read_weights, shapes_of, without
from trainables.inspectors.pixel_losses import UNKNOWN, PixelLoss, bce, dice, focal, tversky, wanted
from trainables.inspectors.seeded import SeededNetwork
from trainables.inspectors.stock import Normalised
from trainables.scores.segmentation import iou, pixel_confusions

LEAST_PX = 32
"""Smallest side: a defect must leave something of itself in maps of a sixteenth of it."""

MOST_CLASSES = 254
"""Class numbers are bytes: 0 is background, 255 unknown."""

HIGHEST = 0.01
"""Share of an image's pixels whose logits, the highest, speak for the image."""

NEAREST = 3
"""Names offered for one that there is not."""

TIMM = "tu-"
"""The library's mark of encoders that are timm's."""

HEADS = ("segmentation_head.", "classification_head.")
"""Last layers in files of whole networks; they are always new."""

USUAL = ("resnet34", "tu-vit_tiny_patch16_224")
"""Encoders offered for one that does not go with an architecture: one of the two goes with each."""

CLASSIFIERS = ("fc.", "_fc.", "head.", "classifier.", "last_linear.")
"""Last layers in files of encoders alone; segmenters have none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmenterConfig(Config):
    """Settings of all segmenters."""

    epochs: int = 10
    """Passes over the training images, of which Saiz et al.'s augmentation makes fifteen each. They state no number."""
    batch: int = 8
    """Images a step. Saiz et al. state none."""
    augment: Policy = "saiz"
    """Changes made to each image, and to its mask, as it is drawn (Saiz et al., section 2.3.1)."""
    encoder: str = "resnet34"
    """Name in segmentation-models-pytorch, `tu-<name>` for timm's. Saiz et al.'s DeepLabV3+ has Xception, which the library cannot dilate."""
    weights: str | None = None
    """File of weights to begin with: of the encoder as the library names its tensors (for a ResNet torchvision's file fits), or of a whole network of
    the library. Last layers are always new. With weights a grey image is shown as three equal channels, and pixels are normalised as ImageNet's."""
    loss: PixelLoss = "dice_bce"
    """What is made smaller (systems.md 2.3: Dice and cross-entropy, half and half)."""
    dice_weight: float = 0.5
    """Share of Dice in `dice_bce`; the rest is the cross-entropy's."""
    tversky_missed: float = 0.7
    """Weight of missed pixels in `tversky`, that of false ones being the rest (Salehi et al. 2017)."""
    focal_gamma: float = 2.0
    """How little `focal` counts what is already right (Lin et al. 2017)."""
    focal_alpha: float = 0.25
    """Weight of a defect's pixels in `focal` (Lin et al. 2017)."""
    threshold: float = 0.5
    """Least probability of a defect's pixel."""
    select: Literal["best", "last"] = "best"
    """Which weights are kept: those of the epoch with the best validation IoU (systems.md 2.3; Saiz et al. state none), or the last."""
    patience: int = 0
    """Epochs without a better validation IoU after which the training stops, with `best`; 0 goes through all: the learning rate falls to the end."""

    def __post_init__(self) -> None:
        # A dataclass with slots is made anew by the decorator, so that super() without arguments would look for the wrong class.
        wrong = []
        try:
            Config.__post_init__(self)
        except SettingsError as error:
            wrong.append(str(error))
        highest = {"dice_weight": 1, "tversky_missed": 1, "focal_gamma": 10, "focal_alpha": 1, "threshold": 1}
        wrong += [f"{name}: {getattr(self, name)} is not between 0 and {end}" for name, end in highest.items() if not 0 <= getattr(self, name) <= end]
        if not 0 <= self.patience <= 10_000:
            wrong.append(f"patience: {self.patience} is not between 0 and 10000")
        if text := _unknown_encoder(self.encoder):
            wrong.append(text)
        if wrong:
            raise SettingsError("; ".join(wrong))


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepLabV3PlusConfig(SegmenterConfig):
    """Settings of DeepLabV3+."""

    output_stride: Literal[8, 16] = 16
    """How many times smaller than the image the encoder's last maps are; the finer one costs more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PANConfig(SegmenterConfig):
    """Settings of PAN."""

    output_stride: Literal[16, 32] = 16
    """How many times smaller than the image the encoder's last maps are, which must be at least of 8 px."""


class Segmenter(InspectorNetwork):
    """A network of the library; a subclass says which.

    Args:
        config: settings.
        size_px: side of the square images.
        channels: 1 or 3.
        num_classes: K, of defects.
    """

    VERSION = 3
    task = "segment"
    channels_last_on_cpu = False  # Dilated convolutions lose a third by it; other architectures neither gain nor lose.
    last_layers = ("network.network.segmentation_head.",)
    Config = SegmenterConfig
    architecture: ClassVar[str]
    """In the library, in small letters."""

    config: SegmenterConfig

    def __init__(self, config: SegmenterConfig, *, size_px: int, channels: int, num_classes: int) -> None:
        super().__init__()
        self.config = config
        self.num_classes = num_classes
        self.prepare = Normalised() if config.weights is not None else nn.Identity()
        built = _build(self.architecture, config.encoder, _stride(config), size_px, channels if config.weights is None else 3, num_classes)
        self.network = SeededNetwork(built)

    @property
    def body(self) -> nn.Module:
        """The library's network, with `encoder` and `decoder`."""
        return self.network.network

    def forward(self, x: Tensor) -> Tensor:
        """Gives logits of each defect class: (B, C, S, S) in [-1, 1] to (B, K, S, S)."""
        logits: Tensor = self.network(self.prepare(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """Gives the means of the encoder's last maps: (B, C, S, S) in [-1, 1] to (B, D)."""
        maps = self.body.get_submodule("encoder")(self.prepare(x))
        # A transformer's come with its tokens beside them.
        deepest: Tensor = (maps[0] if isinstance(maps, tuple) else maps)[-1]
        return deepest.mean((2, 3))

    def planes(self, masks: Tensor, labels: Tensor, marked: Tensor) -> Tensor:
        """Gives class numbers, (N, 1, S, S) uint8, 255 where nobody knows.

        Raises:
            DatasetError: a mask holds a number that no class has.
        """
        highest = int(masks[marked].max()) if bool(marked.any()) else 0
        if highest > self.num_classes:
            raise DatasetError(f"inspector: a mask holds the number {highest}; expected 0 for background, 1 to {self.num_classes} for defect classes")
        return torch.where(marked.view(-1, 1, 1, 1), masks[:, None], torch.tensor(UNKNOWN, dtype=torch.uint8))

    def loss(self, said: Tensor, shown: Shown, share: float) -> Tensor:
        """Gives the loss that the settings name, over the pixels that somebody knows.

        Raises:
            DatasetError: there are no masks at all.
        """
        if shown.planes is None:
            raise DatasetError("inspector: no image has a mask; expected masks beside the images, or an inspector of task classify")
        goal = wanted(shown.planes, shown.weights, self.num_classes)
        config = self.config
        match config.loss:
            case "dice":
                return dice(said, goal)
            case "bce":
                return bce(said, goal)
            case "tversky":
                return tversky(said, goal, config.tversky_missed)
            case "focal":
                return focal(said, goal, gamma=config.focal_gamma, alpha=config.focal_alpha)
            case _:
                return config.dice_weight * dice(said, goal) + (1.0 - config.dice_weight) * bce(said, goal)

    def predictions(self, said: Tensor) -> dict[str, Tensor]:
        """Names each pixel, and says how sure that is.

        Returns:
            `maps` (B, S, S) uint8: class numbers, 0 where no class reaches the threshold, else the likeliest. `logits` (B, K): means of each class's
            highest hundredth of pixels. `sureness` (B,): mean probability of the pixels called defective, 0 where there are none.
        """
        logits = said.float()
        chance, kind = logits.max(1)
        chance = chance.sigmoid()
        called = chance >= self.config.threshold
        taken = max(1, math.ceil(HIGHEST * called[0].numel()))
        return {
            "maps": torch.where(called, kind + 1, 0).to(torch.uint8),
            "logits": logits.flatten(2).topk(taken, dim=2).values.mean(2),
            "sureness": (chance * called).sum((1, 2)) / called.sum((1, 2)).clamp_min(1),
        }

    @property
    def patience(self) -> int | None:
        """As the settings say, where the best epoch is kept."""
        return self.config.patience if self.config.select == "best" else None

    def merit(self, said: Mapping[str, Tensor], known: LabelledImages) -> float:
        """Gives the mean IoU of the validation images whose pixels are known: the score that a study knows as `val_iou`; 0 where none are.

        Raises:
            DatasetError: a mask holds a number that no class has.
        """
        if known.masks is None or known.marked is None or not bool(known.marked.any()):
            return 0.0
        marked = known.marked.cpu()
        return iou(pixel_confusions(said["maps"][marked], known.masks.cpu()[marked], self.num_classes))

    def begin(self) -> None:
        """Begins with the weights of the file that the settings name.

        Raises:
            SettingsError: the file cannot be read, or does not fit.
        """
        if (path := self.config.weights) is not None:
            tensors = read_weights(path)
            module, ends = self._target(set(tensors))
            put(module, without(tensors, ends), path)

    def _target(self, names: set[str]) -> tuple[nn.Module, tuple[str, ...]]:
        """Says which part of the network a file is of, by the names in it, and what the names start with that are left out."""
        encoder = self.body.get_submodule("encoder")
        if any(name.startswith("encoder.") for name in names):
            return nn.ModuleDict({"encoder": encoder, "decoder": self.body.get_submodule("decoder")}), HEADS
        return encoder, CLASSIFIERS

    @classmethod
    def problems(cls, config: SegmenterConfig, *, size_px: int, channels: int, num_classes: int | None = None) -> list[str]:
        """Says whether encoder, architecture and size do not go together, or the weights do not fit; reads of these no more than their shapes."""
        found = []
        if num_classes is not None and num_classes > MOST_CLASSES:
            found.append(f"{num_classes} defect classes; a mask of bytes tells at most {MOST_CLASSES} apart")
        if text := cls._misplaced(config, size_px):
            return [*found, text]
        found += super().problems(config, size_px=size_px, channels=channels, num_classes=num_classes)
        if config.weights is None:
            return found
        try:
            shapes = read_shapes(config.weights)
        except SettingsError as error:
            return [*found, f"weights: {error}"]
        text = cls._misfit(config, size_px, shapes)
        return found if text is None else [*found, f"weights: {config.weights}: {text}"]

    @classmethod
    def _misplaced(cls, config: SegmenterConfig, size_px: int) -> str | None:
        """Says that encoder, architecture and size do not go together, and what does."""
        stride, sizes = _stride(config), sorted(SIZES_PX, key=lambda size: abs(size - size_px))
        text = refusal(cls.architecture, config.encoder, stride, size_px)
        if text is None:
            return None
        for size in sizes:
            if refusal(cls.architecture, config.encoder, stride, size) is None:
                return f"does not take images of {size_px} px; the nearest size that works is {size} (data.size_px)"
        offered = next(name for name in USUAL if any(refusal(cls.architecture, name, stride, size) is None for size in sizes))
        return f"encoder: {config.encoder} does not go with {cls.architecture} ({text}); take {offered}, or another that does"

    @classmethod
    def _misfit(cls, config: SegmenterConfig, size_px: int, shapes: dict[str, Shape]) -> str | None:
        with torch.device("meta"):
            module, ends = cls(config, size_px=size_px, channels=3, num_classes=1)._target(set(shapes))
        return misfit(shapes_of(module), without(shapes, ends))


class DeepLabV3Plus(Segmenter):
    """DeepLabV3+ (Chen et al. 2018); Saiz et al.'s first segmenter, which also makes the masks of their synthetic images.

    Their "CRF at the end" belongs to earlier DeepLabs: this one has none.
    """

    Config = DeepLabV3PlusConfig
    architecture = "deeplabv3plus"


class PAN(Segmenter):
    """Pyramid attention network (Li et al. 2018); Saiz et al.'s second segmenter. The smallest images are of 128 px."""

    Config = PANConfig
    architecture = "pan"


@cache
def smp_kind(name: str) -> type[Segmenter]:
    """Makes the inspector of one of the library's architectures; the same class at each call.

    Args:
        name: in small letters, `unet`.

    Raises:
        SettingsError: the library has no such architecture; the nearest names are offered.
    """
    known = list(smp.MODEL_ARCHITECTURES_MAPPING)
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=NEAREST)
        offered = f"did you mean {', '.join(f'smp:{other}' for other in near)}?" if near else f"there are {', '.join(known)}"
        raise SettingsError(f"segmentation-models-pytorch {smp.__version__} has no architecture {name!r}; {offered}")
    made: type[Segmenter] = type(f"Smp_{name}", (Segmenter,), {"architecture": name, "__module__": __name__})
    return made


@cache
def refusal(architecture: str, encoder: str, stride: int | None, size_px: int) -> str | None:
    """Says why a network cannot be built for a size, or be trained there with as few as two images; None where it can. Shapes alone are followed."""
    if size_px < LEAST_PX:
        return f"segmenters take images from {LEAST_PX} px on"
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            given = _build(architecture, encoder, stride, size_px, 3, 1).train()(torch.empty(2, 3, size_px, size_px))
    except Exception as error:
        # Each encoder says in its own way, by whatever exception, that it does not fit the architecture or the size.
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return None if given.shape == (2, 1, size_px, size_px) else f"its maps are of {tuple(given.shape[2:])} px"


def _build(architecture: str, encoder: str, stride: int | None, size_px: int, channels: int, classes: int) -> nn.Module:
    more: dict[str, Any] = {} if stride is None else {"encoder_output_stride": stride}
    known = timm.get_pretrained_cfg(encoder.removeprefix(TIMM)) if encoder.startswith(TIMM) else None
    if known is not None and known.fixed_input_size:
        more["img_size"] = size_px
    # Without an explicit None the library would download weights.
    network: nn.Module = smp.create_model(architecture, encoder, encoder_weights=None, in_channels=channels, classes=classes, **more)
    return network


def _stride(config: SegmenterConfig) -> int | None:
    return getattr(config, "output_stride", None)


def _unknown_encoder(name: str) -> str | None:
    """Says that there is no such encoder, with the nearest names."""
    # The library's own older names of timm's encoders warn that they will go.
    known = [other for other in get_encoder_names() if not other.startswith("timm-")]
    if name.startswith(TIMM):
        known = [f"{TIMM}{other}" for other in timm.list_models()]
    if name in known:
        return None
    near = difflib.get_close_matches(name, known, n=NEAREST)
    offered = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known[:8])}, ... and {TIMM}<name> for each of timm's models"
    return f"encoder: segmentation-models-pytorch {smp.__version__} has no {name!r}; {offered}"
