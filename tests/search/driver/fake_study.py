"""A small study whose trials compute next to nothing, driven as a real one is. A program of its own, so that it can be killed.

    python fake_study.py FOLDER [--ray] [--workers N] [--trials N] [--kill POINT:TRIAL] [--study MODULE:NAME] [--function MODULE:NAME]

It kills itself, or the worker of a trial, at one named point of one trial, once; tests then run it again.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from search.execution.driver import Means, drive
from search.moves import Plan, starting_points
from search.runs.index import Index
from search.runs.ledger import Ledger
from search.studies.objectives import Objective
from search.studies.recipes import baseline_params
from search.studies.settings import ConfirmSettings, Resolved, SearchSettings, Storage
from search.studies.study import Study
from spaces.domains import Categorical, Float, Int
from spaces.whole import whole_space
from trainables.datasets.settings import DataSettings
from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores, StageUse
from trainables.recipe import Recipe
from trainables.registry import resolve
from trainables.seeds import child_seed
from trainables.store import Store, stage_key

POINTS = (
    "before asked.json",
    "after asked.json",
    "after journal ask",
    "mid-mark",
    "before done.json",
    "after done.json",
    "before record.json",
    "after record.json",
    "after tell",
)
"""Where a run can be killed. The middle three are in the trial itself."""


def make_study(folder: Path, *, trials: int = 12, marks: tuple[float, ...] = (2.0, 4.0), top: int = 2) -> Study:
    """Makes a resolved study of two families with a few settings each."""
    rate = Float(low=1e-5, high=1e-2, log=True, default=1e-3)
    families = {
        "left": {"lr": rate, "width": Int(low=8, high=64, default=16)},
        "right": {"lr": rate, "norm": Categorical(choices=("a", "b"), default="a")},
    }
    inspectors = {"small": {"lr": rate}, "large": {"lr": rate}}
    space = whole_space(families, inspectors, marks).narrow({"synthesis.amount": ["fraction"]})
    return Study(
        name="fake",
        seed=3,
        data=DataSettings(),
        space=space,
        objectives=(Objective(score="val_accuracy", direction="maximize"), Objective(score="val_kid_random", direction="minimize")),
        search=SearchSettings(trials=trials, marks=marks, baselines=("plain",), confirm=ConfirmSettings(top=top, seeds=2)),
        storage=Storage(runs=str(folder / "runs"), store=str(folder / "store")),
        resolved=Resolved(extractor="random", precision="fp32", fingerprint="0" * 32),
    )


def fixed_cost(stage: Any) -> float:
    """Stage costs as fixed numbers, so that a choice which weighs seconds is the same in every run."""
    return 3.0 if stage["stage"] == "generator" else 1.0


def run_fake(recipe: Recipe, store: Store, *, device: str = "cpu", threads: int = 1) -> Iterator[Progress | Scores]:
    """Publishes stages under keys as a real trial does, and scores them by a formula."""
    pause = float(os.environ.get("FAKE_PAUSE_S", "0"))
    yield Progress(stage="data")
    plain = recipe.to_plain()
    values: list[dict[str, float | None]] = []
    stages: list[StageUse] = []
    for position, unit in enumerate(recipe.units):
        quality = 0.0
        if recipe.generator is not None:
            part = plain["generator"]
            key = stage_key("generator", version=1, settings=part, seed=child_seed(recipe.seed, "generator", unit.generator))
            yield Progress(unit=position, stage="generator", kimg=recipe.generator.kimg / 2, metrics={"loss": 0.5})
            _strike("mid-mark")
            time.sleep(pause)
            if float(part["settings"].get("lr", 0.0)) > 9e-3:
                raise TrialFailure("diverged", "the learning rate is too large")
            stages.append(_publish(store, "generator", key, position))
            quality = _number(key)
        settings = [plain["inspector"], plain["generator"], plain["synthesis"]]
        key = stage_key("inspector", version=1, settings={"all": settings}, seed=child_seed(recipe.seed, "inspector", unit.inspector))
        stages.append(_publish(store, "inspector", key, position))
        accuracy = 0.5 + 0.3 * _number(key) + 0.1 * quality
        values.append(
            {
                "val_accuracy": accuracy,
                "val_kid_random": None if recipe.generator is None else 1.0 - quality,
                "test_accuracy": accuracy - 0.01 if recipe.judge else None,
            }
        )
    means = {name: _mean([unit[name] for unit in values]) for name in values[0]}
    yield Scores(values=means, units=values, confusion={}, classes=["a", "b"], conditions={"extractor": "random"}, stages=stages)


def _number(key: str) -> float:
    return int(key[:8], 16) / 2**32


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _publish(store: Store, stage: str, key: str, unit: int) -> StageUse:
    """Publishes a stage where it is not there yet, and notes who did."""
    reused = store.lookup(stage, key) is not None
    if not reused:
        _strike("before done.json")
        store.publish(stage, key, {"weights": key.encode()}, {"seconds": 1.0})
        with (Path(store.root) / "published.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stage}/{key}\n")
        _strike("after done.json")
    return StageUse(unit=unit, stage=stage, key=key, reused=reused, seconds=1.0, device="cpu")


# Killing. A worker learns of its doom from a file, because Ray decides which process runs which trial.
def _strike(point: str) -> None:
    """Kills this process if it was told to, once."""
    order = os.environ.get("FAKE_KILL_FILE")
    if order and Path(order).exists():
        doom = json.loads(Path(order).read_text(encoding="utf-8"))
        if doom["point"] == point and doom.get("trial") in (None, CURRENT.get("trial")):
            Path(order).unlink()
            os.kill(os.getpid(), signal.SIGKILL)


CURRENT: dict[str, int] = {}


def _around(owner: type, name: str, before: str | None, after: str | None, number: Callable[..., int]) -> None:
    """Makes a method strike before and after its work."""
    original = getattr(owner, name)

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        CURRENT["trial"] = number(*args)
        if before:
            _strike(before)
        result = original(self, *args, **kwargs)
        if after:
            _strike(after)
        return result

    setattr(owner, name, wrapped)


class Silent:
    """Nobody watches."""

    def started(self, header: Any) -> None: ...
    def asked(self, asked: Any) -> None:
        CURRENT["trial"] = asked.trial

    def progress(self, number: int, progress: Any) -> None: ...
    def lost(self, asked: Any, reason: str) -> None: ...
    def finished(self, asked: Any, record: Any) -> None: ...
    def stopped(self, reason: str) -> None:
        print(reason)


def main() -> int:
    """Runs, or goes on with, the study."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--kill", default="")
    parser.add_argument("--study", default="fake_study:make_study")
    parser.add_argument("--function", default="fake_study:run_fake")
    given = parser.parse_args()
    order = given.folder / "kill.json"
    os.environ["FAKE_KILL_FILE"] = str(order)
    if given.kill:
        point, _, trial = given.kill.partition(":")
        order.write_text(json.dumps({"point": point, "trial": int(trial) if trial else None}), encoding="utf-8")
    _around(Ledger, "ask", "before asked.json", "after asked.json", lambda asked: asked.trial)
    _around(Index, "ask", None, "after journal ask", lambda asked: asked.trial)
    _around(Ledger, "finish", "before record.json", "after record.json", lambda record, **_: record.trial)
    _around(Index, "tell", None, "after tell", lambda asked, record: asked.trial)
    study: Study = resolve(given.study)(given.folder, trials=given.trials)
    ledger = Ledger(study.run_folder)
    plan = Plan(study=study, baselines=baseline_params(study.space, study.search.baselines), starts=starting_points(study), cost=fixed_cost)
    means = Means(workers=given.workers, threads=1, gpus_per_trial=0.0, device="cpu", function=given.function)
    try:
        if given.ray:
            import ray

            ray.init(address="local", include_dashboard=False, num_cpus=given.workers, log_to_driver=False, _temp_dir=os.environ["FAKE_RAY_DIR"])
        return drive(
            study,
            Store(study.storage.store),
            ledger,
            means,
            observer=Silent(),
            command="again",
            where="here",
            inline=not given.ray,
            plan=plan,
            write=lambda _: None,
        )
    finally:
        ledger.close()


if __name__ == "__main__":
    # By its name, so that the trial function and this program are one module.
    from fake_study import main as run_main

    sys.exit(run_main())
