"""Measures what the search itself costs: empty trials through the full product path on Ray, beside Tune's own OptunaSearch with its defaults.

    python tests/benchmarks/overhead.py [--trials 100] [--stock 20]

Full path: suggestion, key lookup and publication in the store, records, steps, Optuna's journal, Parquet files and report; two workers. Counted is
the time from the end of the last baseline to that of the last trial, and that of writing the Parquet files and the report. Starting Ray and its
workers is apart: the last baseline waits until both workers are up. Otherwise Tune would cancel the start of the second one at every end of a trial,
because an actor is free then, and ask for it anew, so that with empty trials only one would ever work. For Tune's own search counted is the time
between the first and the last end of a trial. Memory is what the driver, with Tune in it, grew by for each trial (Linux): the median of what twenty
trials added, over the last two thirds of them, so that the report's libraries, loaded once on the way, do not count.
"""

import argparse
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.progress import Progress, Scores
    from trainables.recipe import Recipe
    from trainables.store import Store

DRIVER = Path(__file__).resolve().parents[1] / "search" / "driver"
ROOT = DRIVER.parents[2]
LIMIT_S = 0.05
LIMIT_KB = 60
STEP = 20
"""Trials between two looks at memory."""
WORKERS = 2
BASELINES = 2
"""Trials that come first: real images alone, for each of two inspectors."""


def run_empty(recipe: "Recipe", store: "Store", **given: Any) -> Iterator["Progress | Scores"]:
    """Runs a trial that computes next to nothing; the second baseline waits until both workers have begun a trial."""
    from fake_study import run_fake

    up = Path(store.root).parent / "workers"
    (up / str(os.getpid())).touch()
    while recipe.inspector.kind == "large" and recipe.generator is None and len(list(up.iterdir())) < WORKERS:
        time.sleep(0.05)
    yield from run_fake(recipe, store, **given)


def product(folder: Path, trials: int) -> tuple[float, float, float]:
    """Runs empty trials as `tundish run` would; gives seconds a trial, of it those of the report at the end, and KB of memory a trial."""
    from deciding import held_bytes
    from fake_study import Silent, make_study

    from search.execution.driver import Means, drive, refresh
    from search.runs.ledger import Ledger
    from trainables.store import Store

    held: list[int] = []

    class Weighing(Silent):
        def finished(self, *told: Any) -> None:
            held.append(held_bytes())

    study = make_study(folder, trials=trials, top=0)
    ledger = Ledger(study.run_folder)
    (folder / "workers").mkdir()
    means = Means(workers=WORKERS, threads=1, gpus_per_trial=0.0, device="cpu", function="overhead:run_empty")
    written_s: list[float] = []

    def write(ledger: Ledger) -> None:
        started = time.perf_counter()
        refresh(ledger)
        written_s.append(time.perf_counter() - started)

    try:
        code = drive(study, Store(study.storage.store), ledger, means, observer=Weighing(), command="again", where="here", inline=False, write=write)
    finally:
        ledger.close()
    assert code == 0 and len(ledger.records) == trials
    assert (study.run_folder / "report.html").exists() and (study.run_folder / "trials.parquet").exists()
    start_s = max(ledger.records[number].ended_s for number in range(BASELINES))
    ends = [record.ended_s for record in ledger.records.values() if record.ended_s > start_s]
    last = held[len(held) // 3 :]
    grown = statistics.median(after - before for before, after in zip(last[::STEP], last[STEP::STEP], strict=False)) / STEP / 1024
    return (max(ends) - start_s + written_s[-1]) / len(ends), written_s[-1] / len(ends), grown


def stock(folder: Path, trials: int) -> float:
    """Runs as many empty trials with Tune's own search and defaults; gives seconds a trial."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    ends: list[float] = []

    class Ends(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
            ends.append(time.time())

    def empty(config: dict[str, Any]) -> None:
        tune.report({"val_accuracy": config["lr"], "val_kid_random": 1.0 - config["lr"]})

    space = {"lr": tune.loguniform(1e-5, 1e-2), "width": tune.randint(8, 64), "family": tune.choice(["left", "right"])}
    tune.Tuner(
        tune.with_resources(empty, {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(search_alg=OptunaSearch(metric=["val_accuracy", "val_kid_random"], mode=["max", "min"]), num_samples=trials),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0, callbacks=[Ends()]),
    ).fit()
    return (ends[-1] - ends[0]) / (trials - 1)


def main() -> int:
    """Prints both figures; fails above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--stock", type=int, default=20, help="trials of the stock search; 0 leaves it out")
    given = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(DRIVER)]
    os.environ |= {"PYTHONPATH": f"{ROOT}{os.pathsep}{DRIVER}{os.pathsep}{Path(__file__).parent}", "RAY_USAGE_STATS_ENABLED": "0"}
    import ray

    with tempfile.TemporaryDirectory(prefix="to-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        ray.init(address="local", include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.WARNING, _temp_dir=f"{name}/ray")
        # The stock search first: ours sets switches of Tune that would flatter it.
        theirs = stock(folder / "stock", given.stock) if given.stock else None
        ours, report, grown = product(folder, given.trials)
        ray.shutdown()
    print(f"tundish  {ours:.4f} s a trial ({given.trials} empty trials, two workers; {report:.4f} s of it for the report; limit {LIMIT_S} s)")
    print(f"         {grown:.0f} KB of the driver's memory a trial (limit {LIMIT_KB} KB)")
    if theirs is not None:
        print(f"stock    {theirs:.4f} s a trial ({given.stock} empty trials), {theirs / ours:.0f} times as much")
    return int(ours >= LIMIT_S or grown >= LIMIT_KB)


if __name__ == "__main__":
    sys.exit(main())
