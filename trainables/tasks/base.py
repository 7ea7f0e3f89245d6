"""What a task is to the units of a trial. Called by `bench`, `unit` and `steps`; a study is checked against `problems` once its images are packed."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.packs import Pack
from trainables.datasets.splits import Indices
from trainables.inspectors.base import Config, LabelledImages
from trainables.scores.groups import box_areas, mask_areas
from trainables.synthesis.blocks import Chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What was measured on one split."""

    values: dict[str, float | None]
    confusion: list[list[int]] | None = None
    """Rows are true, columns named classes, in the order of `Task.kinds`; None where a task has no such table."""


class Task(ABC):
    """One task, over one pack."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    @property
    def defects(self) -> dict[int, str]:
        """Labels and names of the defect classes: those that synthetic images are made of."""
        return {label: name for label, name in enumerate(self.pack.classes) if name != DEFECT_FREE}

    @property
    @abstractmethod
    def outputs(self) -> int:
        """How many outputs an inspector of this task has."""

    @property
    def names(self) -> list[str]:
        """Names of the classes that the outputs stand for, in their order; empty where an output stands for no class."""
        return self.kinds if len(self.kinds) == self.outputs else []

    @property
    @abstractmethod
    def kinds(self) -> list[str]:
        """Names of what an inspector tells apart, in the order of a confusion table."""

    @abstractmethod
    def known(self, taken: LabelledImages, rows: Indices) -> LabelledImages:
        """Gives real images with what an inspector of this task may know of them.

        Args:
            taken: the images with their classes.
            rows: where they stand in the pack.
        """

    @abstractmethod
    def synthetic(self, chosen: Mapping[str, Chosen]) -> LabelledImages:
        """Joins synthetic images of all defect classes, in the order of their labels, with what is known of them."""

    sorts: ClassVar[bool] = True
    """Whether an inspector of this task can tell the classes of synthetic images apart."""

    @abstractmethod
    def opinion(self, said: Mapping[str, Tensor]) -> Tensor:
        """Picks what an inspector's word on whole images is, (N, D), out of what it said."""

    def taken_for(self, opinion: Tensor, label: int, least: float) -> Tensor:
        """Says which images an inspector takes for a class, (N,) bool.

        Args:
            opinion: (N, D) as `opinion` gives it; logits of the classes.
            label: of the class.
            least: probability from which it counts.
        """
        return (opinion.argmax(1) == label) & (opinion.softmax(1)[:, label] >= least)

    @property
    def weighs_sound(self) -> bool:
        """Whether scores weigh defective images against sound ones, so that every group of defect sizes needs these beside its own."""
        return False

    def areas(self, rows: Indices) -> Tensor:
        """Gives the share of each image that defects cover, by its mask, else by its boxes: (n,) float64.

        0 for defect-free images, NaN where nobody knows, or where a defect is said to be and no pixel of it is.
        """
        masks, marked = self._masks(rows)
        boxes = [self.pack.boxes[row].tolist() for row in rows]
        boxed = torch.tensor([len(found) > 0 for found in boxes], dtype=torch.bool)
        areas = torch.where(marked, mask_areas(masks), torch.where(boxed, box_areas(boxes), torch.nan))
        free = torch.from_numpy(self.pack.defect_free[rows])
        return torch.where(free, 0.0, torch.where(areas > 0, areas, torch.nan))

    @abstractmethod
    def score(self, said: Mapping[str, Tensor], *, validated: Mapping[str, Tensor], config: Config, split: str, partly: bool = False) -> Scored:
        """Scores what an inspector said of a split, or of some images of it.

        Args:
            said: of the split, as `inspectors.stage.read_predictions` gives it.
            validated: the same of the validation split, on which alone thresholds may be chosen.
            config: the inspector's settings, for what its threshold is to reach.
            split: opens every name.
            partly: True where `said` is of a group of the split's images: no threshold is then chosen on them, and what a group lacks has no score.
        """

    def score_patches(self, said: Mapping[str, Tensor], *, split: str) -> dict[str, float | None]:
        """Scores what an inspector said of the patches of a split, each for itself; nothing in tasks that are not done in patches.

        Args:
            said: of the patches, as `inspectors.stage.read_predictions` gives it.
            split: opens every name.
        """
        return {}

    def problems(self, rows: Mapping[str, Indices]) -> list[str]:
        """Says why this task cannot be done with these images, by split; nothing where it can."""
        return []

    def _masks(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Takes masks of class numbers (n, H, W), and whether each image's pixels are known (n,)."""
        marked = torch.from_numpy(self.pack.has_mask[rows])
        if self.pack.masks is None:
            return torch.zeros(len(rows), *self.pack.images.shape[2:], dtype=torch.uint8), marked
        return torch.from_numpy(self.pack.masks[rows]), marked


def joined(chosen: Mapping[str, Chosen]) -> tuple[Tensor, Tensor]:
    """Joins the synthetic training images of all classes: images, and the label of each."""
    labels = [torch.full((len(images.training),), label, dtype=torch.int64) for label, images in enumerate(chosen.values())]
    return torch.cat([images.training for images in chosen.values()]), torch.cat(labels)


def joined_masks(chosen: Mapping[str, Chosen]) -> tuple[Tensor, Tensor]:
    """Joins the masks of synthetic training images: class numbers (n, H, W), and whether each image's pixels are known (n,).

    Of a defect-free image they are known to be background.
    """
    masks, marked = [], []
    for label, (cls, images) in enumerate(chosen.items()):
        shape = (len(images.training), *images.training.shape[2:])
        known = images.masks is not None or cls == DEFECT_FREE
        masks.append((images.masks[:, 0] > 127).to(torch.uint8) * (label + 1) if images.masks is not None else torch.zeros(shape, dtype=torch.uint8))
        marked.append(torch.full(shape[:1], known))
    return torch.cat(masks), torch.cat(marked)
