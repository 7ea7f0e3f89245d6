"""Classify: the inspector names the class of an image; defect-free is one of them where the study's data say so."""

from collections.abc import Mapping

from torch import Tensor

from trainables.datasets.splits import Indices
from trainables.inspectors.base import LabelledImages
from trainables.scores.classification import classification_scores
from trainables.synthesis import Chosen
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

    def score(self, said: Mapping[str, Tensor], *, validated: Mapping[str, Tensor], split: str) -> Scored:
        """Gives accuracy, F1, and the like."""
        values, confusion = classification_scores(said["logits"], said["labels"], self.pack.classes, split=split)
        return Scored(values=values, confusion=confusion)
