"""What the units of a trial share, and what each of them comes to. Used by `trial` and by both kinds of unit."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.packs import Pack
from trainables.datasets.patches import open_preprocessed, preprocessed_split
from trainables.datasets.splits import Indices, Split, split
from trainables.inspectors.base import LabelledImages
from trainables.progress import DIAGNOSTICS, StageUse
from trainables.recipe import Recipe
from trainables.registry import resolve
from trainables.scores.patches import of_pictures
from trainables.store import Store
from trainables.tasks import TASKS
from trainables.tasks.base import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """The pictures as they are, behind what is trained on: what is scored."""

    pack: Pack
    parts: Split
    task: Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What all units of a trial share."""

    recipe: Recipe
    store: Store
    device: str
    pack: Pack
    parts: Split

    task: Task
    whole: Whole | None = None
    """The pictures that the images were made from by `recipe.preprocess`; None where they are taken as they are."""

    @property
    def pictures(self) -> Whole:
        """What scores are taken of: pictures with their split and task, which are the images themselves where nothing was done to them."""
        return self.whole or Whole(pack=self.pack, parts=self.parts, task=self.task)

    def of_pictures(self, said: Mapping[str, torch.Tensor], split: str) -> Mapping[str, torch.Tensor]:
        """Turns what an inspector said of all images of a split, in their order, into what it says of the pictures."""
        if self.whole is None or self.recipe.preprocess.patches == 1:
            return said
        rows = getattr(self.whole.parts, split)
        pictures = LabelledImages(images=torch.empty(len(rows), 0), labels=torch.from_numpy(self.whole.pack.labels[rows]))
        labels = self.whole.task.known(pictures, rows).labels
        return of_pictures(said, self.recipe.preprocess.patches, self.whole.pack.classes.index(DEFECT_FREE)) | {"labels": labels}

    @property
    def defects(self) -> dict[int, str]:
        """Labels and names of the defect classes."""
        return self.task.defects

    @property
    def made(self) -> dict[int, str]:
        """Labels and names of the classes that synthetic images are made of: the defects, and what is defect-free too where all is replaced."""
        every = self.recipe.synthesis is not None and self.recipe.synthesis.replaces == "all"
        return dict(enumerate(self.pack.classes)) if every else self.defects

    @property
    def replaced(self) -> dict[int, str]:
        """Labels and names of the classes whose real training images the trial's inspector is not shown."""
        return self.made if self.recipe.synthesis is not None and self.recipe.synthesis.replaces != "nothing" else {}

    def without(self, known: LabelledImages, classes: Collection[int], rows: Indices) -> LabelledImages:
        """Leaves out the real images of some classes.

        Args:
            known: images with what a task knows of them.
            classes: labels in the pack.
            rows: where the images stand in the pack.
        """
        kept = torch.from_numpy(~np.isin(self.pack.labels[rows], list(classes)))
        masks, marked = (None if value is None else value[kept] for value in (known.masks, known.marked))
        return LabelledImages(images=known.images[kept], labels=known.labels[kept], masks=masks, marked=marked)

    def images(self, rows: Indices) -> LabelledImages:
        """Takes images of the pack with their classes."""
        return LabelledImages(images=torch.from_numpy(self.pack.images[rows]), labels=torch.from_numpy(self.pack.labels[rows]))

    @property
    def readable(self) -> dict[str, Indices]:
        """Splits that scores may be taken on: validation, and test only where the recipe says so."""
        return {"val": self.parts.val} | ({"test": self.parts.test} if self.recipe.judge else {})


def lay_out(recipe: Recipe, pack: Pack, store: Store, *, device: str, fold: int | None = None) -> Bench:
    """Splits the pictures, and cuts them where the recipe says so: the split is that of the pictures, whatever becomes of them.

    Args:
        recipe: the settings of the trial.
        pack: the pictures as they are.
        store: where results are kept.
        device: where to work.
        fold: which of the data's folds.

    Raises:
        DatasetError: the pictures cannot be split, or cut.
    """
    task = resolve(TASKS[recipe.task])
    whole = Whole(pack=pack, parts=split(pack, recipe.data, fold), task=task(pack))
    if recipe.preprocess.plain:
        return Bench(recipe=recipe, store=store, device=device, pack=pack, parts=whole.parts, task=whole.task)
    cut = open_preprocessed(recipe.data, recipe.preprocess, pack, store)
    parts = preprocessed_split(whole.parts, recipe.preprocess, cut)
    return Bench(recipe=recipe, store=store, device=device, pack=cut, parts=parts, task=task(cut), whole=whole)


@dataclass(kw_only=True, slots=True)
class UnitResult:
    """What one unit came to."""

    values: dict[str, float | None] = field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    curves: dict[str, list[float | None]] = field(default_factory=dict)
    """Score of robustness -> its task's score at severities 0 to 5."""
    rungs: dict[str, float | None] = field(default_factory=dict)
    """Mark in kimg, as text -> rung score."""
    rung_counts: dict[str, int] = field(default_factory=dict)
    """How many images these hold for."""
    health: dict[str, str] = field(default_factory=dict)
    """What looks wrong, by name, each in a sentence."""
    uses: list[StageUse] = field(default_factory=list)
    synthetic_counts: dict[str, int] = field(default_factory=dict)
    scored_counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, str | int | list[str]] | None = None
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    conditions: dict[str, Any] = field(default_factory=dict)
    """What the numbers of this unit hold for, where that is not the same for all units of all trials."""

    def sum_costs(self) -> None:
        """Sums what all stages took."""
        # A mark's own seconds begin at the mark before it; the cost of a generator begins at its first step, however it was reached.
        others = {use.key: use.seconds for use in self.uses if use.stage not in ("generator", DIAGNOSTICS)}
        self.values["trial_s"] = sum(others.values()) + (self.values.get("generator_s") or 0.0)
