"""What all inspectors are: networks with settings, that say what they see, and what a training step costs them.

A task has its own kind of inspector (`classifiers`, `segmenters`, `segdecnet`); the loop in `training` and the stages in `stage` serve all of them.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.datasets.augmentation import Policy
from trainables.errors import SettingsError
from trainables.inspectors.local_weights import start_problem
from trainables.tasks import TaskName

TARGETS = ("target_sensitivity", "target_specificity")
"""Settings that choose a threshold once an inspector is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """Settings that all inspectors share."""

    LEAST_BATCH: ClassVar[int] = 2
    """Fewest images a step: most inspectors have batch norm, which needs two. One that does not says so in its own settings."""

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
    augment: Policy = "none"
    """Changes made to each image as it is drawn. PE-GAN's comparison has none."""
    balance: Literal["none", "oversample", "undersample", "rotate"] = "none"
    """Whether every epoch shows as many images of each class as the largest class has, or as the smallest has; rotate: the latter, where the images
    of the larger classes take turns over the epochs, so that each is shown as often as any other (SegDecNet's negatives)."""
    synthetic_weight: float = 1.0
    """Weight of a synthetic image in the loss; a real one's is 1."""
    finetune_epochs: int = 0
    """Passes over the real training images alone, after all others, at a tenth of the learning rate."""
    start_from: str | None = None
    """Weights that the training starts from: the weights.safetensors of an earlier inspector of the same kind and channels, as a store keeps it or
    `tundish winner` writes it. Its outputs go over by the names of their classes; classes that it does not know begin anew."""
    target_sensitivity: float | None = None
    """Share of the defective validation images that the operating point is to find; it changes no weight, so that it is in no key."""
    target_specificity: float | None = None
    """Share of the defect-free validation images that it is to pass; one of the two, or none: then it is where F is best."""

    def __post_init__(self) -> None:
        limits = {
            "lr": (1e-6, 1.0),
            "epochs": (1, 10_000),
            "batch": (self.LEAST_BATCH, 4096),
            "weight_decay": (0.0, 1.0),
            "min_steps": (0, 10_000_000),
        }
        limits |= {"synthetic_weight": (0.0, 10.0), "finetune_epochs": (0, 10_000)}
        wrong = []
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                wrong.append(f"{name}: {getattr(self, name)} is not between {low} and {high}")
        targets = {name: target for name in TARGETS if (target := getattr(self, name)) is not None}
        wrong += [f"{name}: {target} is not above 0 and at most 1" for name, target in targets.items() if not 0.0 < target <= 1.0]
        if len(targets) > 1:
            wrong.append(f"{', '.join(targets)}: expected one of the two; a threshold cannot be held to both")
        if wrong:
            raise SettingsError("; ".join(wrong))

    def lr_at(self, step: int, steps: int) -> float:
        """Gives the learning rate of a step, down half a cosine: small at the end, since the last weights are the ones that are used."""
        return self.lr * 0.5 * (1.0 + math.cos(math.pi * step / steps))


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledImages:
    """Images with what is known of each."""

    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor
    """(N,) int64, 0 to classes - 1."""
    masks: Tensor | None = None
    """(N, H, W) uint8: 0 is background, k + 1 defect class k. None where a task needs none."""
    marked: Tensor | None = None
    """(N,) bool: whether anybody knows an image's pixels; a mask of what is not marked means nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What one step of training shows an inspector."""

    images: Tensor
    """(B, C, H, W) float32 in [-1, 1]."""
    labels: Tensor
    """(B,) int64."""
    planes: Tensor | None
    """(B, P, H, W): what the inspector's own `planes` made of the masks, moved as the images were."""
    marked: Tensor | None
    """(B,) bool."""
    weights: Tensor | None
    """(B,) float32 in the loss; None where all count alike."""


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


class InspectorNetwork(nn.Module, ABC):
    """What every inspector of the registry is.

    Args:
        config: settings of the inspector's own `Config`.
        size_px: side of the square images.
        channels: 1 or 3.
        num_classes: number of classes it tells apart; of defect classes where pixels are marked.
    """

    VERSION: ClassVar[int] = 1
    """Part of the stage key: changes when the same settings give other numbers."""
    Config: ClassVar[type[Any]] = Config
    task: ClassVar[TaskName]
    last_layers: ClassVar[tuple[str, ...]] = ("head.",)
    """What the names of the tensors start with whose shapes depend on the classes."""
    bf16_on_cpu: ClassVar[bool] = True
    """False where bfloat16 is slower than float32 on a CPU, and is therefore not used there."""
    channels_last_on_cpu: ClassVar[bool] = True
    """False where a CPU is slower with the channels last in memory, and weights and images are therefore kept channels-first there."""

    config: Any
    """Set by `training.build`."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Gives what the network has found just before it decides: (B, C, H, W) in [-1, 1] to (B, D)."""

    @abstractmethod
    def loss(self, said: Any, shown: Shown, share: float) -> Tensor:
        """Gives what a training step makes smaller, a scalar.

        Args:
            said: what `forward` gave for `shown.images`.
            shown: the batch.
            share: how far the training is, 0 to 1.
        """

    @abstractmethod
    def predictions(self, said: Any) -> dict[str, Tensor]:
        """Turns what `forward` gave in evaluation into what is kept of it, one row an image: `logits`, `maps`, `scores`."""

    @classmethod
    def problems(cls, config: Any, *, size_px: int, channels: int, num_classes: int | None = None) -> list[str]:
        """Says why this inspector cannot be built or started so, each with the nearest thing that would work; nothing where it can.

        Args:
            config: of the class's own `Config`.
            size_px: side of the square images.
            channels: 1 or 3.
            num_classes: how many classes it is to tell apart, once that is known.
        """
        if config.start_from is None:
            return []
        text = start_problem(
            config.start_from,
            lambda: cls(config, size_px=size_px, channels=channels, num_classes=num_classes or 2),
            last=cls.last_layers,
            counted=num_classes is not None,
        )
        return [] if text is None else [f"start_from: {text}"]

    @property
    def patience(self) -> int | None:
        """Epochs without a better one on validation after which to stop, 0 for never; None where the last epoch is kept, whatever it is worth."""
        return None

    def merit(self, said: Mapping[str, Tensor], known: LabelledImages) -> float:
        """Says how good what it said of the validation split is, the more the better, where it has a `patience`.

        Args:
            said: `predictions` of all of its images.
            known: these, with what is known of them.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps its best epoch, and does not say what an epoch is worth")

    def check(self, labels: Tensor, num_classes: int) -> None:
        """Refuses training labels (N,) that this inspector has no output for.

        Raises:
            DatasetError: a label is outside of the classes.
        """

    def begin(self) -> None:
        """Takes weights of files that the settings name, once before training; not where a trained inspector is read back.

        Raises:
            SettingsError: they cannot be read, or do not fit.
        """

    def planes(self, masks: Tensor, labels: Tensor, marked: Tensor) -> Tensor | None:
        """Makes what each pixel is to become, once before training: (N, P, H, W), or None for an inspector that is taught by labels alone.

        Args:
            masks: (N, H, W) uint8 of class numbers, 0 for background.
            labels: (N,) int64.
            marked: (N,) bool, false where a mask means nothing.
        """
        return None

    def optimizer(self) -> torch.optim.Optimizer:
        """Makes AdamW; convolutions and linear layers decay, biases and norms do not."""
        weights = [p for p in self.parameters() if p.ndim > 1]
        rest = [p for p in self.parameters() if p.ndim <= 1]
        groups = [{"params": weights, "weight_decay": self.config.weight_decay}, {"params": rest, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.config.lr, fused=True)
