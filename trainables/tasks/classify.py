"""Classify: the inspector names the class of an image; defect-free is one of them where the study's data say so."""

from collections.abc import Mapping

from torch import Tensor

from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.splits import Indices
from trainables.inspectors.base import Config, LabelledImages
from trainables.scores.classification import classification_scores, defect_margin
from trainables.scores.detection import choose_thresholds, operating_scores
from trainables.scores.patches import patch_accuracy
from trainables.synthesis.blocks import Chosen
from trainables.tasks.base import Scored, Task, joined


class Classify(Task):
    """Names classes of whole images."""

    @property
    def outputs(self) -> int:
        """A logit for each class."""
        return len(self.pack.classes)

    @property
    def kinds(self) -> list[str]:
        """The classes, in the order of their labels."""
        return list(self.pack.classes)

    def known(self, taken: LabelledImages, rows: Indices) -> LabelledImages:
        """Gives images with their classes, as they are."""
        return taken

    def synthetic(self, chosen: Mapping[str, Chosen]) -> LabelledImages:
        """Joins images with their classes; defect classes come first, so that their order is their label."""
        images, labels = joined(chosen)
        return LabelledImages(images=images, labels=labels)

    def opinion(self, said: Mapping[str, Tensor]) -> Tensor:
        """Picks the logits."""
        return said["logits"]

    @property
    def weighs_sound(self) -> bool:
        """Where defect-free images are a class."""
        return DEFECT_FREE in self.pack.classes

    def score(self, said: Mapping[str, Tensor], *, validated: Mapping[str, Tensor], config: Config, split: str, partly: bool = False) -> Scored:
        """Gives accuracy, F1, and the like; with a defect-free class also what its operating point brings."""
        values, confusion = classification_scores(said["logits"], said["labels"], self.pack.classes, split=split)
        return Scored(values=values | self._operating(said, validated, config, split), confusion=confusion)

    def score_patches(self, said: Mapping[str, Tensor], *, split: str) -> dict[str, float | None]:
        """Gives the share of patches that are named right."""
        return {f"{split}_patch_accuracy": patch_accuracy(said["logits"], said["labels"])}

    def _operating(self, said: Mapping[str, Tensor], validated: Mapping[str, Tensor], config: Config, split: str) -> dict[str, float | None]:
        """Gives sensitivity and specificity of telling defective images, of whichever class, from defect-free ones."""
        if DEFECT_FREE not in self.pack.classes:
            return {}
        free = self.pack.classes.index(DEFECT_FREE)
        known = validated["labels"] != free
        if known.all() or not known.any():
            return {}
        targets = {"target_sensitivity": config.target_sensitivity, "target_specificity": config.target_specificity}
        chosen = choose_thresholds(defect_margin(validated["logits"], free), known, **targets)
        return operating_scores(defect_margin(said["logits"], free), said["labels"] != free, chosen.operating, split=split)
