"""Trials that tell rung scores: generators whose worth lies in their learning rate, and shows at the first rung."""

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fake_study import make_study

from search.studies.settings import StoppingSettings
from search.studies.study import Study
from trainables.progress import Progress, Scores, StageUse
from trainables.recipe import Recipe
from trainables.store import Store, stage_key

RATES = (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 9e-3, 3e-4, 8e-3, 1.5e-4, 7e-3, 4e-4, 5e-3, 1.2e-4, 6e-3, 9e-3, 1e-4)
"""Of the generators that are tried first; 1e-4 is best."""


def make_rung_study(folder: Path, *, trials: int = 18) -> Study:
    """Makes a study whose trials are two baselines and the user's own points, half of them with a rung on their way; it stops as early as it may."""
    study = make_study(folder, trials=trials, top=0)
    tries = tuple({"generator.family": "left", "generator.left.lr": lr, "generator.kimg": (4.0, 2.0)[i % 2]} for i, lr in enumerate(RATES))
    search = replace(study.search, tries=tries, paper_settings=False, stopping=StoppingSettings(least_results=3, pass_share=0.0))
    return replace(study, search=search)


def run(recipe: Recipe, store: Store, *, device: str = "cpu", threads: int = 1) -> Iterator[Progress | Scores]:
    """Scores by a formula; notes in the store's root which process ran which inspector."""
    stages: list[StageUse] = []
    quality, rungs = 0.0, {}
    yield Progress(stage="data")
    if recipe.generator is not None:
        miss = abs(math.log10(float(recipe.generator.settings["lr"])) + 4)
        for mark in recipe.rungs:
            key = stage_key("generator", version=1, settings={**recipe.generator.settings, "family": recipe.generator.family, "mark": mark})
            stages.append(StageUse(unit=0, stage="generator", key=key, reused=False, seconds=1.0, device="cpu"))
            rungs[f"{mark:g}"] = miss / mark
            yield Progress(stage="rung", kimg=mark, rung_score=miss / mark, metrics={"synthetic_images": 64.0}, stages=list(stages))
        quality = 1.0 / (1.0 + miss)
    with (Path(store.root) / "inspectors.txt").open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    key = stage_key("inspector", version=1, settings={"recipe": recipe.to_plain()})
    stages.append(StageUse(unit=0, stage="inspector", key=key, reused=False, seconds=1.0, device="cpu"))
    values = {"val_accuracy": 0.5 + 0.4 * quality, "val_kid_random": None if recipe.generator is None else 1.0 - quality}
    yield Scores(values=values, units=[values], rungs=rungs, confusion={}, classes=["a", "b"], conditions={}, stages=stages)
