"""What the units of a trial share, and what each of them comes to. Used by `trial` and by both kinds of unit."""

from dataclasses import dataclass, field

import torch

from trainables.datasets.packs import Pack
from trainables.datasets.splits import Indices, Split
from trainables.inspectors.base import LabelledImages
from trainables.progress import StageUse
from trainables.recipe import Recipe
from trainables.store import Store
from trainables.tasks.base import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What all units of a trial share."""

    recipe: Recipe
    store: Store
    device: str
    pack: Pack
    parts: Split

    task: Task

    @property
    def defects(self) -> dict[int, str]:
        """Labels and names of the defect classes: those that synthetic images are made of."""
        return self.task.defects

    def images(self, rows: Indices) -> LabelledImages:
        """Takes images of the pack with their classes."""
        return LabelledImages(images=torch.from_numpy(self.pack.images[rows]), labels=torch.from_numpy(self.pack.labels[rows]))

    @property
    def readable(self) -> dict[str, Indices]:
        """Splits that scores may be taken on: validation, and test only where the recipe says so."""
        return {"val": self.parts.val} | ({"test": self.parts.test} if self.recipe.judge else {})


@dataclass(kw_only=True, slots=True)
class UnitResult:
    """What one unit came to."""

    values: dict[str, float | None] = field(default_factory=dict)
    confusion: dict[str, list[list[int]]] = field(default_factory=dict)
    uses: list[StageUse] = field(default_factory=list)
    synthetic_counts: dict[str, int] = field(default_factory=dict)
    scored_counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, str | int | list[str]] | None = None
    files: dict[str, dict[str, str]] = field(default_factory=dict)

    def sum_costs(self) -> None:
        """Sums what all stages took."""
        # A mark's own seconds begin at the mark before it; the cost of a generator begins at its first step, however it was reached.
        others = {use.key: use.seconds for use in self.uses if use.stage != "generator"}
        self.values["trial_s"] = sum(others.values()) + (self.values.get("generator_s") or 0.0)
