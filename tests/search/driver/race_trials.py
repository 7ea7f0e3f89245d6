"""Trials whose worth lies in their generator's learning rate and hardly in their seeds, so that a race at the end of the study has a loser."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from fake_study import make_study, run_fake

from search.studies.settings import ConfirmSettings
from search.studies.study import Study
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe
from trainables.store import Store

RATES = (1e-4, 1.03e-4, 5e-3)
"""Of the generators that are tried: two that nobody tells apart, and one that has clearly lost. It has the best distance, by luck or not."""


def make_race_study(folder: Path, *, trials: int = 5) -> Study:
    """Makes a study of two baselines and the user's own points, all of which are confirmed."""
    study = make_study(folder, trials=trials, marks=(2.0,))
    tries = tuple({"generator.family": "left", "generator.left.lr": lr} for lr in RATES)
    return replace(study, search=replace(study.search, tries=tries, paper_settings=False, confirm=ConfirmSettings(top=3, seeds=4)))


def run(recipe: Recipe, store: Store, *, device: str = "cpu", threads: int = 1) -> Iterator[Progress | Scores]:
    """Scores by a formula; stages are those of the fake study."""
    worth = 0.0
    if recipe.generator is not None:
        worth = 1.0 / (1.0 + abs(math.log10(float(recipe.generator.settings["lr"])) + 4))
    for item in run_fake(recipe, store, device=device, threads=threads):
        if isinstance(item, Progress):
            yield item
            continue
        units = [{name: _moved(name, value, worth) for name, value in unit.items()} for unit in item.units]
        values = {name: None if None in (own := [unit[name] for unit in units]) else math.fsum(v or 0.0 for v in own) / len(own) for name in units[0]}
        yield replace(item, units=units, values=values)


def _moved(name: str, value: float | None, worth: float) -> float | None:
    """Makes an accuracy that is worth, and a little chance; a distance that is best where accuracy is worst."""
    if value is None:
        return None
    return 0.6 + 0.1 * worth + 0.03 * value if name.endswith("accuracy") else worth + 0.01 * value
