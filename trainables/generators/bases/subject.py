"""What a generator is to make, and what it learns that from. Built by `trainables.steps`, by tests and benchmarks."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What one model is to make: the shape of an item, and the classes it serves."""

    shape: tuple[int, ...]
    """(C, H, W) of images, H = W; (D,) of features."""
    num_classes: int = 1
    """Classes it serves; 1 builds it unconditional."""
    background_label: int | None = None
    """The class that is defect-free, where there is one; only families that need backgrounds look at it."""
    class_vectors: Tensor | None = None
    """How it is told the class: float32 (num_classes, V); None says it by a one-hot vector. Without meaning for a single class."""

    @property
    def size_px(self) -> int:
        """Side of the images."""
        return self.shape[-1]

    @property
    def channels(self) -> int:
        """Channels of the images: 1 or 3."""
        return self.shape[0]

    def vectors(self) -> Tensor:
        """Gives what stands for each class: float32 (num_classes, V) of mean length 1; a single class has nothing to say and gives (1, 0)."""
        if self.num_classes == 1:
            return torch.zeros(1, 0)
        if self.class_vectors is None:
            return torch.eye(self.num_classes)
        return self.class_vectors.float() / self.class_vectors.float().norm(dim=1).mean()


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """What a generator is trained on."""

    items: Tensor
    """Images, uint8 (N, C, H, W); or features, float32 (N, D)."""
    labels: Tensor
    """int64 (N,), from 0."""
    masks: Tensor | None = None
    """Where the defect of each image is, uint8 (N, 1, H, W) of 0 and 255, for families that make masks; all 0 where nobody marked it."""
    backgrounds: Tensor | None = None
    """Defect-free images, uint8 (M, C, H, W), for families that need them."""
    num_classes: int
    """Classes that labels may name; 1 trains an unconditional model."""
    background_label: int | None = None
    """The class that is defect-free, where there is one."""
    class_vectors: Tensor | None = None
    """As in `Subject`."""

    def __post_init__(self) -> None:
        images = self.items.dtype == torch.uint8 and self.items.ndim == 4
        assert images or (self.items.dtype == torch.float32 and self.items.ndim == 2), "items are uint8 (N, C, H, W) or float32 (N, D)"
        assert len(self.items) == len(self.labels) > 0, "one label for each of at least one item"
        assert self.masks is None or len(self.masks) == len(self.items), "one mask for each image"

    @property
    def subject(self) -> Subject:
        """What a model of this data is to make."""
        return Subject(
            shape=tuple(self.items.shape[1:]),
            num_classes=self.num_classes,
            background_label=self.background_label,
            class_vectors=self.class_vectors,
        )

    def only(self, label: int) -> "TrainingData":
        """Keeps the items of one class, relabelled 0, for a model of that class alone; backgrounds stay."""
        rows = self.labels == label
        masks = self.masks[rows] if self.masks is not None else None
        return replace(self.pooled(), items=self.items[rows], labels=torch.zeros(int(rows.sum()), dtype=torch.int64), masks=masks)

    def pooled(self) -> "TrainingData":
        """Takes the items of all classes for those of one, for a model that is not told the class."""
        return replace(self, labels=torch.zeros_like(self.labels), num_classes=1, background_label=None, class_vectors=None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one step of training is given, all on the model's device."""

    real: Tensor
    """Items of `TrainingData` (batch_size, ...)."""
    labels: Tensor
    """int64 (batch_size,)."""
    masks: Tensor | None = None
    """uint8 (batch_size, 1, H, W), where the data has them."""
    backgrounds: Tensor | None = None
    """uint8 (backgrounds_per_step, C, H, W), for families that need them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """What a generator made, on the CPU."""

    items: Tensor
    """Images, uint8 (count, C, H, W); or features, float32 (count, D)."""
    masks: Tensor | None = None
    """Where the defect of each image is, uint8 (count, 1, H, W) of 0 and 255, from families that make masks."""
