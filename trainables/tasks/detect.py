"""Detect: the inspector says whether an image shows a defect, whichever, and where; all defect classes count as one."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.splits import Indices
from trainables.inspectors.base import Config, LabelledImages
from trainables.scores.detection import choose_thresholds, detection_scores, outcome, trapezoid_ap
from trainables.synthesis.blocks import Chosen
from trainables.tasks.base import Scored, Task, joined, joined_masks


class Detect(Task):
    """Tells defective images from sound ones."""

    @property
    def outputs(self) -> int:
        """One number: how defective an image is."""
        return 1

    @property
    def kinds(self) -> list[str]:
        """Sound, then defective."""
        return [DEFECT_FREE, "defective"]

    def known(self, taken: LabelledImages, rows: Indices) -> LabelledImages:
        """Says 1 for defective and adds masks, known or not."""
        masks, marked = self._masks(rows)
        return replace(taken, labels=torch.isin(taken.labels, torch.tensor(list(self.defects))).long(), masks=masks, marked=marked)

    def synthetic(self, chosen: Mapping[str, Chosen]) -> LabelledImages:
        """Joins images with the masks that their generator made, if it made any; all are defective but those of the class that is not."""
        images, labels = joined(chosen)
        masks, marked = joined_masks(chosen)
        return LabelledImages(images=images, labels=torch.isin(labels, torch.tensor(list(self.defects))).long(), masks=masks, marked=marked)

    sorts = False

    def opinion(self, said: Mapping[str, Tensor]) -> Tensor:
        """Picks the score of each image, (N, 1)."""
        return said["scores"][:, None]

    def taken_for(self, opinion: Tensor, label: int, least: float) -> Tensor:
        """Says which images are taken for defective, of whichever class, or for sound, with this probability at least; (N,) bool."""
        chance = opinion[:, 0].sigmoid()
        return (chance if label in self.defects else 1.0 - chance) >= least

    @property
    def weighs_sound(self) -> bool:
        """Always."""
        return True

    def score(self, said: Mapping[str, Tensor], *, validated: Mapping[str, Tensor], config: Config, split: str, partly: bool = False) -> Scored:
        """Gives areas under curves, and what thresholds bring: those chosen on validation, and, elsewhere, the split's own as an oracle's."""
        scores, truth = said["scores"], said["labels"] == 1
        targets = {"target_sensitivity": config.target_sensitivity, "target_specificity": config.target_specificity}
        chosen = choose_thresholds(validated["scores"], validated["labels"] == 1, **targets)
        oracle = None if split == "val" or partly else choose_thresholds(scores, truth, **targets)
        called = outcome(scores, truth, chosen.best_f)
        sound = int((~truth).sum())
        # At the threshold of the best F: sound and defective images by what they are called.
        confusion = [[sound - called.fp, called.fp], [called.fn, len(truth) - sound - called.fn]]
        return Scored(values=detection_scores(scores, truth, chosen, oracle=oracle, split=split), confusion=confusion)

    def score_patches(self, said: Mapping[str, Tensor], *, split: str) -> dict[str, float | None]:
        """Gives the AP over patches."""
        return {f"{split}_patch_ap": trapezoid_ap(said["scores"], said["labels"] == 1)}

    def problems(self, rows: Mapping[str, Indices]) -> list[str]:
        """Wants defective and sound images in every split."""
        found = []
        for kind, wanted in (("defective", True), ("defect-free", False)):
            bare = [split for split, own in rows.items() if not (np.isin(self.pack.labels[own], list(self.defects)) == wanted).any()]
            cure = "" if wanted else ": defect-free images in the data set, and data.defect_free: class"
            found += [f"task detect: no image of the {', '.join(bare)} split is {kind}; expected both kinds{cure}"] if bare else []
        return found
