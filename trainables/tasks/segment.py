"""Segment: the inspector says for each pixel which defect it belongs to, if any; images whose pixels nobody knows teach and count for nothing."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from trainables.datasets.splits import Indices
from trainables.inspectors.base import Config, LabelledImages
from trainables.scores.segmentation import pixel_confusions, segmentation_scores
from trainables.synthesis.blocks import Chosen
from trainables.tasks.base import Scored, Task, joined, joined_masks

BACKGROUND = "background"


class Segment(Task):
    """Names classes of pixels."""

    @property
    def outputs(self) -> int:
        """A map for each defect class; background is where none of them is."""
        return len(self.defects)

    @property
    def names(self) -> list[str]:
        """The defect classes."""
        return list(self.defects.values())

    @property
    def kinds(self) -> list[str]:
        """Background, then the defect classes."""
        return [BACKGROUND, *self.defects.values()]

    def known(self, taken: LabelledImages, rows: Indices) -> LabelledImages:
        """Adds masks of class numbers."""
        masks, marked = self._masks(rows)
        return replace(taken, masks=masks, marked=marked)

    def synthetic(self, chosen: Mapping[str, Chosen]) -> LabelledImages:
        """Joins images with the masks that their generator made, or that were made for them."""
        images, labels = joined(chosen)
        masks, marked = joined_masks(chosen)
        return LabelledImages(images=images, labels=labels, masks=masks, marked=marked)

    def opinion(self, said: Mapping[str, Tensor]) -> Tensor:
        """Picks the logits of whole images, one a class and each for itself."""
        return said["logits"]

    def taken_for(self, opinion: Tensor, label: int, least: float) -> Tensor:
        """Says which images show more of a class than of any other, and with this probability at least; (N,) bool."""
        return (opinion.argmax(1) == label) & (opinion[:, label].sigmoid() >= least)

    def areas(self, rows: Indices) -> Tensor:
        """Gives the share of each image that defects cover, NaN for images that count for nothing because nobody knows their pixels."""
        return torch.where(torch.from_numpy(self.pack.has_mask[rows]), super().areas(rows), torch.nan)

    def score(self, said: Mapping[str, Tensor], *, validated: Mapping[str, Tensor], config: Config, split: str, partly: bool = False) -> Scored:
        """Gives IoU and the like, of the images whose pixels are known; nothing of a group without any."""
        known = said["marked"]
        if partly and not known.any():
            return Scored(values={})
        confusions = pixel_confusions(said["maps"][known], said["masks"][known], self.outputs)
        values, confusion = segmentation_scores(confusions, list(self.defects.values()), split=split)
        return Scored(values=values, confusion=confusion)

    def problems(self, rows: Mapping[str, Indices]) -> list[str]:
        """Wants marked pixels of defects in every split."""
        bare = [split for split, own in rows.items() if self.pack.masks is None or not self.pack.masks[own][self.pack.has_mask[own]].any()]
        text = f"task segment: no image of the {', '.join(bare)} split has a mask with a defect; expected masks beside the images, or task: classify"
        return [text] if bare else []
