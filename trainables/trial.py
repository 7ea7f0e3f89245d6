"""One trial, from data set to scores: units one after another, and their mean.

`run_trial` is a Python generator. It yields `Progress` while it works and ends with `Scores`; the caller may stop pulling and close it. Every
stage looks its key up in the store before it works, so that running again costs nothing for what is there.
"""

import statistics
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch

from trainables.bench import Bench, UnitResult, lay_out
from trainables.datasets.packs import open_pack
from trainables.feature_unit import run_feature_unit
from trainables.generators.training.stage import makes_features
from trainables.progress import Progress, Scores, stamped
from trainables.recipe import Recipe, Unit
from trainables.store import Store
from trainables.unit import run_unit
from trainables.zero_shot.draws import DRAW_SCORES
from trainables.zero_shot.unit import run_zero_shot_unit


def run_trial(recipe: Recipe, store: Store, *, device: str = "cpu", threads: int = 1) -> Iterator[Progress | Scores]:
    """Runs one trial: yields `Progress`, and `Scores` as the last item.

    Args:
        recipe: the settings of the trial.
        store: where stages are looked up and published.
        device: a torch device name.
        threads: processor threads that torch may use; equal threads give equal numbers.

    Raises:
        TrialFailure: the trial ended with a name: diverged, collapsed, ...
        BadInput: the data set or a setting cannot be used.
    """
    torch.set_num_threads(threads)
    yield Progress(stage="data")
    pack = open_pack(recipe.data, recipe.fingerprint, store)
    bench = lay_out(recipe, pack, store, device=device)
    results = []
    for position, unit in enumerate(recipe.units):
        folded = lay_out(recipe, pack, store, device=device, fold=unit.fold) if recipe.data.folds else bench
        results.append((yield from stamped(_started(folded, position, unit), unit=position)))
    yield _summary(bench, results)


def _started(bench: Bench, position: int, unit: Unit) -> Generator[Progress, None, UnitResult]:
    """Starts a unit of the kind that the recipe asks for."""
    recipe = bench.recipe
    if recipe.zero_shot is not None:
        return run_zero_shot_unit(bench, position, unit, recipe.zero_shot, fold=unit.fold)
    return run_feature_unit(bench, position, unit) if makes_features(recipe.generator) else run_unit(bench, position, unit)


def _summary(bench: Bench, results: list[UnitResult]) -> Scores:
    """Gives means over units, with each unit kept."""
    recipe, counts = bench.recipe, bench.parts.counts
    names = dict.fromkeys(name for result in results for name in result.values)
    values: dict[str, float | None] = {}
    for name in names:
        found = [value for result in results if (value := result.values.get(name)) is not None]
        values[name] = statistics.fmean(found) if len(found) == len(results) else None
    confusion = {name: np.sum([np.array(result.confusion[name]) for result in results], axis=0).astype(int).tolist() for name in results[0].confusion}
    conditions: dict[str, str | int | float] = {
        "task": recipe.task,
        "extractor": recipe.scores.extractor,
        "protocol": recipe.data.protocol,
        "precision": recipe.precision,
        "size_px": recipe.data.size_px,
        "preprocess": str(recipe.preprocess),
        "train_images": sum(count["train"] for count in counts.values()),
        "val_images": sum(count["val"] for count in bench.pictures.parts.counts.values()),
        "synthetic_images": sum(results[0].synthetic_counts.values()),
        "scored_synthetic_images": sum(results[0].scored_counts.values()),
        "units": len(results),
        "seed": recipe.seed,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if recipe.judge:
        conditions["test_images"] = sum(count["test"] for count in bench.pictures.parts.counts.values())
    if bench.whole is not None and recipe.preprocess.patches > 1:
        conditions |= {
            "patches_per_picture": recipe.preprocess.patches,
            "train_pictures": sum(count["train"] for count in bench.whole.parts.counts.values()),
            "val_patches": sum(count["val"] for count in counts.values()),
        }
    conditions |= _agreed([result.conditions for result in results]) | results[0].rung_counts
    if makes_features(recipe.generator):
        conditions["synthetic"] = "features of the trial's own inspector"
    if bench.pictures.parts.leak:
        conditions["leak"] = bench.pictures.parts.leak
    if recipe.data.folds:
        conditions["folds"] = recipe.data.folds
    if recipe.zero_shot is not None and recipe.zero_shot.unseen == "pairs":
        sets = recipe.zero_shot.val_draws
        conditions |= {"unseen": "every pair in turn", "pretended_unseen": f"{f'{sets} sets ' if sets > 1 else ''}drawn for each pair"}
    if recipe.scores.weights_hash is not None:
        conditions["weights_hash"] = recipe.scores.weights_hash
    return Scores(
        values=values,
        units=[result.values for result in results],
        confusion=confusion,
        curves={name: [result.curves[name] for result in results] for name in results[0].curves},
        rungs=results[0].rungs,
        health={name: text for result in reversed(results) for name, text in result.health.items()},
        classes=bench.task.kinds,
        conditions=conditions,
        stages=[use for result in results for use in result.uses],
        unit_conditions=[result.conditions for result in results],
        files={name: where for result in reversed(results) for name, where in result.files.items()},
        samples=next((result.samples for result in results if result.samples is not None), None),
    )


def _agreed(units: list[dict[str, Any]]) -> dict[str, str | int | float]:
    """Gives the conditions of all units as those of the trial: what they have in common, and the mean of counts that differ."""
    found: dict[str, str | int | float] = {}
    for name in (name for name in units[0] if name != DRAW_SCORES and all(name in unit for unit in units)):
        values = [unit[name] for unit in units]
        if all(value == values[0] for value in values):
            found[name] = _worded(values[0])
        elif all(isinstance(value, int) for value in values):
            found[name] = round(statistics.fmean(values))
    return found


def _worded(value: Any) -> str | int | float:
    """Writes a list of names, and a list of such lists, as text; anything else stays."""
    if not isinstance(value, list):
        found: str | int | float = value
        return found
    return "; ".join(", ".join(item) for item in value) if value and isinstance(value[0], list) else ", ".join(value)
