"""A few steps of each generator family and inspector, measured where no earlier run tells how long they take, and what they store. Nothing of it
is published.

A trial runs in a store that lies beside the real one: it finds there what the real one has, and what it makes goes with it. Called by the dry run.
"""

import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from search.spending.took import Took
from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe
from trainables.registry import resolve
from trainables.store import Entry, Store

PROBE_S = 5.0
"""Seconds of training that are watched of each; reports come every two."""
MOST_S = 60.0
"""Seconds after which a probe that has not come to its training is given up."""
BRIEF_KIMG, BRIEF_EPOCHS = 1e-3, 1
"""How short the trainings are of a trial that is run to its end for the size of its results, within `MOST_S` again."""


class Beside(Store):
    """A store that finds what another one has, and keeps what is published to itself."""

    def __init__(self, root: Path, behind: Store | None) -> None:
        super().__init__(root)
        self._behind = behind

    def lookup(self, stage: str, key: str) -> Entry | None:
        """Finds what was published under a key, here or behind."""
        return super().lookup(stage, key) or (self._behind.lookup(stage, key) if self._behind is not None else None)


class Found(Exception):
    """What a trial would begin its training with: raised in the place of training it."""

    def __init__(self, stage: str, key: str, ready: bool) -> None:
        super().__init__(f"{stage}/{key}")
        self.stage, self.key, self.ready = stage, key, ready


class Asking(Beside):
    """A store that stops a trial where it looks for its first generator, or for an inspector that is not there."""

    def lookup(self, stage: str, key: str) -> Entry | None:
        """Finds what was published under a key, unless the trial would go on to train."""
        entry = super().lookup(stage, key)
        if stage.startswith("generator/") or (stage == "inspector" and entry is None):
            raise Found(stage, key, entry is not None)
        return entry


def existing_store(root: str) -> Store | None:
    """Opens a store that is there, and makes none."""
    return Store(root) if "://" in root or (Path(root) / "format.json").is_file() else None


def bare(recipe: Recipe) -> Recipe:
    """Leaves out of a recipe what needs an inspector before its generator can be trained, and all but one unit."""
    scores = replace(recipe.scores, extractor="random", inception_weights=None, weights_hash=None, diagnostics=False, robustness=())
    synthesis = None if recipe.synthesis is None else replace(recipe.synthesis, filter="none")
    return replace(recipe, scores=scores, synthesis=synthesis, units=recipe.units[:1], judge=False)


def first_stage(recipe: Recipe, store: Asking, *, function: str, device: str, threads: int) -> Found | None:
    """Says which result a trial would look for first of its generator, or of the inspector that it needs before; None where it needs neither."""
    items = _items(recipe if recipe.generator is None else bare(recipe), store, function, device, threads)
    try:
        for _ in items:
            pass
    except Found as found:
        return found
    return None


def probe(recipe: Recipe, store: Beside, *, function: str, device: str, threads: int) -> Took | None:
    """Measures a few steps: of a recipe's generator, or of its inspector where it has none; None where it trains nothing that could be measured."""
    stage = "inspector" if recipe.generator is None else "generator"
    marks: list[tuple[float, float]] = []
    begun = time.monotonic()
    items = _items(bare(recipe), store, function, device, threads)
    try:
        for item in items:
            now = time.monotonic()
            if isinstance(item, Progress) and item.stage == stage:
                done = item.kimg if stage == "generator" else item.metrics.get("share")
                marks += [(now, done)] if done is not None else []
            elif marks:
                break
            if (len(marks) > 1 and marks[-1][0] - marks[0][0] >= PROBE_S) or now - begun > MOST_S:
                break
    finally:
        items.close()
    if not marks or marks[-1][1] <= 0:
        return None
    if len(marks) > 1 and marks[-1][1] > marks[0][1]:
        rate = (marks[-1][0] - marks[0][0]) / (marks[-1][1] - marks[0][1])
    else:
        # It was over before it could be watched twice; what came before it counts as its own.
        rate = (marks[-1][0] - begun) / marks[-1][1]
    part = recipe.generator
    return Took(
        move="probe",
        baseline=None,
        family=part.family if part is not None else None,
        inspector=recipe.inspector.kind,
        size_px=recipe.data.size_px,
        device=device,
        units=1,
        wall_s=0.0,
        kimg_s=rate if part is not None else None,
        rest_s=rate if part is None else None,
        stored_gib=None,
        gpus=0.0,
    )


def stored_gib(recipe: Recipe, store: Beside, *, function: str, device: str, threads: int) -> float | None:
    """Weighs what a unit of a recipe stores, in GiB, by a trial with the shortest of trainings: weights and images are as large as after long ones.

    Returns:
        None where it takes too long or fails.
    """
    inspector = replace(recipe.inspector, settings={**recipe.inspector.settings, "epochs": BRIEF_EPOCHS})
    generator = None if recipe.generator is None else replace(recipe.generator, kimg=BRIEF_KIMG)
    brief = replace(bare(recipe), inspector=inspector, generator=generator, rungs=())
    begun, before = time.monotonic(), store.published_bytes
    items = _items(brief, store, function, device, threads)
    try:
        for _ in items:
            if time.monotonic() - begun > MOST_S:
                return None
    except TrialFailure:
        return None
    finally:
        items.close()
    return (store.published_bytes - before) / 2**30


def _items(recipe: Recipe, store: Store, function: str, device: str, threads: int) -> Generator[Progress | Scores, None, None]:
    items: Generator[Progress | Scores, None, None] = resolve(function)(recipe, store, device=device, threads=threads)
    return items
