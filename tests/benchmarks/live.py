"""Runs one real study through Ray with our search, and with stock Ray Tune and Optuna, and says what each needed to find a good front.

    python tests/benchmarks/live.py --out FOLDER [--seeds 3] [--minutes 8] [--only ours stock ...] [--repeat 5]

Strategies: `ours`, the product as it is (`tundish run`); `stock`, Tune's OptunaSearch with its defaults, every trial to the top mark and in a store
of its own; `asha`, the same with Tune's ASHA on the rung scores; `store`, the same with one store of ours for all trials. All choose from the same
space with two workers for equally many minutes. The stages of the one trial on real images alone, whose inspector measures distances, are made
before and given to all. A run that has ended is kept under FOLDER and not run again.

Printed is, for each seed, the share of the hypervolume of the front of all runs of that seed together, at the end; the seconds that the workers had
worked until 95 % of the lesser of both final shares was reached, for each other strategy beside ours; and over the seeds the median of ours over each
other's. The reference point has of each objective what four fifths of all trials of the seed are no worse than. Scores are of validation, with one
seed each, noise and all, for everyone alike. Who ends more trials has more luck: `--repeat 5` trains the inspector of each strategy's trial of best
macro-F1 again with five fresh seeds, behind the generator that it had, beside real images alone, and prints the means.
"""

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from reports.fronts import hypervolume
from reports.run import read_run
from search.execution.driver import recipe_builder
from search.fronts import sign
from search.studies.study import Study
from search.studies.study_file import load_study
from trainables.progress import Progress, Scores
from trainables.recipe import Unit
from trainables.store import Store
from trainables.trial import run_trial

ROOT = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("live_study.yaml")
WORKERS = 2
STRATEGIES = ("ours", "stock", "asha", "store")
REAL = "real"
"""Instead of a strategy: real images alone."""
WORST_F1, WORST_KID = 0.0, 1e3
"""What Optuna is told of a trial that ASHA stopped has all metrics, as Tune demands of every report."""
ENOUGH = 0.95
"""Share of the lesser of two final hypervolumes that both are timed to."""
FAR = 0.8
"""Quantile of each objective where the reference point lies."""
End = tuple[float, float, float]
"""Seconds of the clock since the first trial began, macro-F1, KID."""


def ours(folder: Path, seed: int, minutes: float) -> list[End]:
    """Runs the product in a process of its own; its store begins with nothing but the stages of the baseline."""
    product(folder=folder, name="ours", seed=seed, sets={"search.budget.hours": minutes / 60})
    run = read_run(folder / "runs" / "ours")
    f1, kid = run.objectives
    records = [trial.record for trial in run.trials if trial.family and trial.record is not None]
    begun = min(record.started_s for record in records)
    ended = [(record.ended_s - begun, record.scores.get(f1), record.scores.get(kid)) for record in records if record.state == "complete"]
    return [(when, first, second) for when, first, second in ended if first is not None and second is not None]


def stock(strategy: str, folder: Path, study: Study, seed: int, minutes: float) -> list[End]:
    """Runs Tune's own search with the product's trials as its trainable."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    ends: list[End] = []
    begun: list[float] = []
    goals = [goal.score for goal in study.objectives]

    class Ends(tune.Callback):
        def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            begun.append(time.time())

        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            if (told := trial.last_result).get("whole"):
                ends.append((time.time() - begun[0], told[goals[0]], told[goals[1]]))

    # Its rungs lie at powers of the reduction factor; the study's marks are such.
    asha = ASHAScheduler(time_attr="kimg", metric=goals[1], mode="min", max_t=10**6, grace_period=1, reduction_factor=3)
    ray.init(address="local", include_dashboard=False, num_cpus=WORKERS, log_to_driver=False, _temp_dir=tempfile.mkdtemp(prefix="tl-", dir="/tmp"))
    try:
        tune.Tuner(
            tune.with_resources(train, {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=OptunaSearch(space=partial(suggested, study, strategy, str(folder)), metric=goals, mode=["max", "min"], seed=seed),
                scheduler=asha if strategy == "asha" else None,
                num_samples=-1,
                time_budget_s=60 * minutes,
                max_concurrent_trials=WORKERS,
                reuse_actors=False,
            ),
            run_config=tune.RunConfig(storage_path=str(folder / "tune" / strategy), verbose=0, callbacks=[Ends()]),
        ).fit()
    finally:
        ray.shutdown()
    return ends


def suggested(study: Study, strategy: str, folder: str, trial: Any) -> dict[str, Any]:
    """Suggests by define-by-run; what comes back are constants. Not within `stock`, because Tune pickles it."""
    params = study.space.suggest(trial, {"generator.kimg": top(study)})
    return {"params": json.dumps(params), "strategy": strategy, "folder": folder}


def top(study: Study) -> float:
    """Gives the top mark, the same for all families."""
    return study.ladder(study.families[0])[-1]


def train(config: Mapping[str, Any]) -> None:
    """One of Tune's trials: the product's, to its end."""
    from ray import tune

    folder, strategy = Path(config["folder"]), config["strategy"]
    study = study_of(folder)
    goals = [goal.score for goal in study.objectives]
    recipe = recipe_builder(study)(json.loads(config["params"]), units=(Unit(),), judge=False)
    # Only who stops trials looks at rungs, and never at the top one: that trial has been trained.
    recipe = replace(recipe, rungs=tuple(mark for mark in recipe.rungs if mark < top(study)) if strategy == "asha" else ())
    root = folder / "shared"
    if strategy != "store":
        root = Path(tempfile.mkdtemp(prefix="tundish-live-"))
        shutil.copytree(folder / "seeded", root, dirs_exist_ok=True)
    try:
        for item in run_trial(recipe, Store(root), device="cpu", threads=1):
            if isinstance(item, Progress) and item.stage == "rung" and item.rung_score is not None:
                tune.report({"kimg": item.kimg, goals[0]: WORST_F1, goals[1]: item.rung_score, "whole": False})
            elif isinstance(item, Scores):
                values = zip([item.values.get(goal) for goal in goals], (WORST_F1, WORST_KID), strict=True)
                told = [float(value) if value is not None and math.isfinite(value) else worst for value, worst in values]
                tune.report({"kimg": 10**5, goals[0]: told[0], goals[1]: told[1], "whole": True})
    finally:
        if strategy != "store":
            shutil.rmtree(root, ignore_errors=True)


def prepared(folder: Path, seed: int) -> None:
    """Makes the stages of the trial on real images alone, in the stores that strategies begin with."""
    if (folder / "seeded").exists():
        return
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    product("--inline", folder=making, name="seeded", seed=seed, sets={"search.trials": 2, "search.marks": "[1]"})
    # A study has one trial with synthetic images at least; nobody begins with what that one has trained.
    for made in ("generator", "pool", "conditioning"):
        shutil.rmtree(making / "store" / made, ignore_errors=True)
    for name in ("store", "shared"):
        shutil.copytree(making / "store", folder / name, dirs_exist_ok=True)
    (making / "store").rename(folder / "seeded")


def product(*options: str, folder: Path, name: str, seed: int, sets: Mapping[str, Any]) -> None:
    """Runs the study in a process of its own; what it says is kept beside its runs."""
    folder.mkdir(parents=True, exist_ok=True)
    every = {"seed": seed, "storage.runs": folder / "runs", "storage.store": folder / "store", **sets}
    command = [sys.executable, "-m", "search", "run", str(FILE), *options, "--name", name, *(f"--set={key}={value}" for key, value in every.items())]
    with (folder / f"{name}.log").open("w", encoding="utf-8") as log:
        code = subprocess.run(command, cwd=ROOT, check=False, stdout=log, stderr=subprocess.STDOUT).returncode
    # 1 says that no trial with synthetic images came to its end, which that of the stores' making need not.
    if code not in (0, 1):
        raise SystemExit(f"{' '.join(command)}: exit status {code}; see {folder / name}.log.")


def study_of(folder: Path) -> Study:
    """Reads the study of one seed, which our run has left resolved."""
    return load_study(folder / "runs" / "ours" / "study.yaml")


def again(folder: Path, strategy: str, seeds: int) -> tuple[float, ...]:
    """Repeats the best trial of a strategy; a generator that lies in no store any more is trained again, which comes to the same.

    Returns:
        macro-F1 as it was found, and its means over fresh inspector seeds on validation and on test.
    """
    study = study_of(folder)
    found, params = max(searched(folder, strategy, study.objectives[0].score), key=lambda item: item[0])
    recipe = recipe_builder(study)(params, units=tuple(Unit(generator=0, inspector=seed) for seed in range(1, seeds + 1)), judge=True)
    ended = next(item for item in run_trial(recipe, Store(folder / "store"), device="cpu", threads=1) if isinstance(item, Scores))
    means = (ended.values[f"{split}_macro_f1"] for split in ("val", "test"))
    return found, *(math.nan if mean is None else mean for mean in means)


def searched(folder: Path, strategy: str, score: str) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Lists a score and the settings of each trial of a strategy that came to its end; of `real`, those on real images alone."""
    if strategy in ("ours", REAL):
        for trial in read_run(folder / "runs" / "ours").trials:
            if trial.record is not None and bool(trial.family) == (strategy == "ours") and (value := trial.record.scores.get(score)) is not None:
                yield value, trial.asked.params
        return
    for told in sorted((folder / "tune" / strategy).glob("*/*/result.json")):
        for line in told.read_text(encoding="utf-8").splitlines():
            if (result := json.loads(line))["whole"]:
                yield result[score], json.loads(result["config"]["params"])


class Measured:
    """All runs of one seed, held against the front of them all."""

    def __init__(self, study: Study, runs: Mapping[str, Sequence[End]]) -> None:
        self._goals, self._runs = study.objectives, runs
        every = np.array([self._signed(end) for ends in runs.values() for end in ends])
        self._low, self._high = every.min(axis=0), np.quantile(every, FAR, axis=0)
        self._whole = self._volume([end for ends in runs.values() for end in ends])

    def _signed(self, end: End) -> list[float]:
        return [sign(goal) * value for goal, value in zip(self._goals, end[1:], strict=True)]

    def _volume(self, ends: Sequence[End]) -> float:
        scaled = [(np.array(self._signed(end)) - self._low) / (self._high - self._low) for end in ends]
        points = [point.tolist() for point in scaled if (point < 1.0).all()]
        return float(hypervolume(points, [1.0] * len(self._goals))) if points else 0.0

    def share(self, strategy: str, seconds: float = math.inf) -> float:
        """Gives the share of the common front's hypervolume within so many seconds of the clock."""
        return self._volume([end for end in self._runs[strategy] if end[0] <= seconds]) / self._whole

    def seconds_to(self, strategy: str, share: float) -> float:
        """Gives the seconds of the workers until a share was reached; infinite where it was not."""
        return next((WORKERS * when for when, *_ in sorted(self._runs[strategy]) if self.share(strategy, when) >= share), math.inf)


def main() -> None:
    """Reads the command line, runs what has not been run, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=8.0, help="of each run")
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=STRATEGIES)
    parser.add_argument("--repeat", type=int, default=0, help="fresh inspector seeds of each strategy's best")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{Path(__file__).parent}"
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AIR_NEW_OUTPUT": "0", "OMP_NUM_THREADS": "1"}
    folders = [(given.out / f"seed{seed}").resolve() for seed in range(given.seeds)]
    compare(folders, given.only, given.minutes)
    if given.repeat:
        repeat(folders, given.only, given.repeat)


def compare(folders: Sequence[Path], strategies: Sequence[str], minutes: float) -> None:
    """Runs what has not been run, a folder for each seed, and prints what each strategy came to."""
    ratios: dict[str, list[float]] = {strategy: [] for strategy in strategies if strategy != "ours"}
    for seed, folder in enumerate(folders):
        folder.mkdir(parents=True, exist_ok=True)
        runs: dict[str, list[End]] = {}
        for strategy in strategies:
            kept = folder / f"{strategy}.json"
            if not kept.exists():
                prepared(folder, seed)
                ends = ours(folder, seed, minutes) if strategy == "ours" else stock(strategy, folder, study_of(folder), seed, minutes)
                kept.write_text(json.dumps(ends), encoding="utf-8")
            runs[strategy] = [tuple(end) for end in json.loads(kept.read_text(encoding="utf-8"))]
        measured = Measured(study_of(folder), runs)
        for strategy, ends in runs.items():
            told = f"seed {seed}  {strategy:6} {len(ends):4} trials, {measured.share(strategy):.3f} of the hypervolume at the end"
            if "ours" in runs and strategy != "ours":
                share = ENOUGH * min(measured.share(each) for each in ("ours", strategy))
                mine, theirs = (measured.seconds_to(each, share) for each in ("ours", strategy))
                ratios[strategy].append(mine / theirs)
                told += f"; to {share:.3f} {theirs:.0f} s, ours {mine:.0f} s"
            print(told, flush=True)
    for strategy, each in ratios.items():
        if each:
            print(f"ours over {strategy}: {statistics.median(each):.2f} (median of {len(each)}: {', '.join(f'{ratio:.2f}' for ratio in each)})")


def repeat(folders: Sequence[Path], strategies: Sequence[str], seeds: int) -> None:
    """Repeats the best trial of each strategy and seed with fresh seeds of the inspector, and prints means."""
    for strategy in (*strategies, REAL):
        found = []
        for folder in folders:
            kept = folder / f"{strategy}-again-{seeds}.json"
            if not kept.exists():
                kept.write_text(json.dumps(again(folder, strategy, seeds)), encoding="utf-8")
            found.append(json.loads(kept.read_text(encoding="utf-8")))
        told = [f"{statistics.mean(column):.3f} ({', '.join(f'{value:.3f}' for value in column)})" for column in zip(*found, strict=True)]
        print(f"{strategy:6} best macro-F1 as found {told[0]}; with fresh seeds on validation {told[1]}, on test {told[2]}", flush=True)


if __name__ == "__main__":
    main()
