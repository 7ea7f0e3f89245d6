"""Measures how much compute the search needs to find a good front, beside stock Ray Tune with Optuna, by replay of a table of real trials.

    python tests/benchmarks/efficiency.py tests/benchmarks/replay.parquet [--half reported] [--ablations] [--processes 2]
    python tests/benchmarks/efficiency.py --made-up 1 3 --seeds 10

Printed is, for every strategy, what all workers worked, in seconds of the table, until their front had 95 % of the hypervolume of the table's best
front: median and quartiles over seeds, in how many seeds it was reached within the budget, our median over the strategy's with a 95 % interval
(bootstrap over seeds; where it was not reached, the budget stands for it, and the ratio is less than that), and the share of hypervolume when the
budget was spent. The reference point is the table's nadir, the worst value of each objective (`--quantile` takes a better one); objectives are scaled
to the table's ranges. All strategies choose among the table's values with equally many workers, and all pay for the one trial on real images alone
whose inspector measures distances. Nobody is told where to begin.

Beside the table as it is stand two shapes made from it: inspector-heavy (seconds behind generators multiplied, so that these are four fifths of a
trial) and misleading (every generator has the rung scores of another). Even seeds are for tuning, odd ones for reporting; so are made-up tables.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from search.moves import KINDS
from search.replay.made_up import random_table, with_misleading_rungs, with_share
from search.replay.measure import Yardstick
from search.replay.ours import Search, study_plan, table_study
from search.replay.simulation import Player, simulate
from search.replay.stock import Asha, Stock
from search.replay.table import Table, TableError, read_table
from search.studies.settings import StoppingSettings

OURS = "ours"
INSPECTOR_HEAVY = 0.2
"""Share of generators in a trial of the inspector-heavy shape."""
MOST_TRIALS = 600
"""However cheap trials are that find everything in the store."""
LIMITS = {"as measured": {"stock": 1 / 3, "stock, ASHA": 1 / 2, "stock, our store": 0.7}}
"""Our median over theirs at most, on the table as it is; on the other shapes 1.0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """Our search with something left out."""

    search: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the study's section `search`."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the plan."""


ABLATIONS: dict[str, Variant] = {
    "ours, no reuse": Variant(plan={"kinds": KINDS - {"reuse"}}),
    "ours, no promote": Variant(plan={"kinds": KINDS - {"promote"}}),
    "ours, no stopping": Variant(search={"stopping": StoppingSettings(enabled=False)}),
}
"""What our search is without each of its parts."""


def ours(table: Table, seed: int, variant: Variant) -> Player:
    """Makes our search."""
    return Search(study_plan(table_study(table, seed=seed, trials=MOST_TRIALS, **variant.search), table, **variant.plan))


def strategies(reduction: float) -> dict[str, Callable[[Table, int], Player]]:
    """Lists who plays, ours first."""
    found: dict[str, Callable[[Table, int], Player]] = {OURS: lambda table, seed: ours(table, seed, Variant())}
    found["stock"] = lambda table, seed: Stock(table, seed=seed, trials=MOST_TRIALS)
    found["stock, ASHA"] = lambda table, seed: Stock(table, seed=seed, trials=MOST_TRIALS, asha=Asha(marks=table.marks[:-1], reduction=reduction))
    found["stock, our store"] = lambda table, seed: Stock(table, seed=seed, trials=MOST_TRIALS, shares=True)
    found["random"] = lambda table, seed: Stock(table, seed=seed, trials=MOST_TRIALS, sampler="random")
    return found | {name: lambda table, seed, variant=variant: ours(table, seed, variant) for name, variant in ABLATIONS.items()}


SHAPES: dict[str, Callable[[Table], Table]] = {
    "as measured": lambda table: table,
    "inspector-heavy": lambda table: with_share(table, INSPECTOR_HEAVY),
    "misleading": with_misleading_rungs,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How is measured."""

    workers: int
    budget_trials: float
    """What may be worked, in mean trials at the top mark that share nothing."""
    share: float
    quantile: float
    reduction: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one strategy came to with one seed."""

    seconds: float
    """Worked until the share was reached; infinite where it was not."""
    final: float
    """Share of hypervolume when the budget was spent."""
    trials: int
    decided_ms: float
    """Real time of the whole replay for each trial."""


_TABLES: dict[tuple[str, str], tuple[Table, Yardstick]] = {}
"""In a worker process: tables already made, by source and shape."""


def play(source: str, shape: str, name: str, seed: int, settings: Settings) -> Outcome:
    """Plays one strategy once."""
    if (source, shape) not in _TABLES:
        table = SHAPES[shape](random_table(int(source)) if source.isdigit() else read_table(Path(source)))
        _TABLES[source, shape] = table, Yardstick(table, quantile=settings.quantile)
    table, yardstick = _TABLES[source, shape]
    begun = time.perf_counter()
    player = strategies(settings.reduction)[name](table, seed)
    course = simulate(player, table, workers=settings.workers, budget_s=settings.budget_trials * table.full_trial_s())
    taken_ms = 1000 * (time.perf_counter() - begun) / max(1, len(course.ends))
    seconds, final = yardstick.seconds_to(course, settings.share), yardstick.share_at(course)
    return Outcome(seconds=seconds, final=final, trials=len(course.ends), decided_ms=taken_ms)


def quantile(values: Sequence[float], at: float) -> float:
    """Gives a quantile of numbers that may be infinite: the next value above it."""
    return float(np.quantile(np.array(values), at, method="higher"))


def ratio(one: Sequence[float], other: Sequence[float], budget_s: float) -> tuple[float, float, float]:
    """Gives median over median, and its 95 % interval by resampling seeds, the same ones of both. Where the other median was not reached within the
    budget, the budget stands for it, and the ratio is that at most."""

    def of(rows: Sequence[int]) -> float:
        upper, lower = (quantile([values[row] for row in rows], 0.5) for values in (one, other))
        return math.nan if math.isinf(upper) and math.isinf(lower) else upper / min(lower, budget_s)

    rng = random.Random(0)
    drawn = sorted(value for _ in range(1000) if not math.isnan(value := of(rng.choices(range(len(one)), k=len(one)))))
    ends = (drawn[int(0.025 * len(drawn))], drawn[int(0.975 * len(drawn))]) if drawn else (math.nan, math.nan)
    return of(range(len(one))), *ends


def report(shape: str, found: Mapping[str, Sequence[Outcome]], unit_s: float, budget_trials: float) -> bool:
    """Prints one shape of one table; says whether no limit is exceeded."""
    print(
        f"  {'strategy':20} {'reached':>9} {'median':>9} {'quartiles':>17} {'trials worth':>12} {'ours/this':>9} {'95 % interval':>15} {'final':>6}"
    )
    kept, mine = True, [outcome.seconds for outcome in found[OURS]]
    for name, outcomes in found.items():
        seconds = [outcome.seconds for outcome in outcomes]
        low, middle, high = (quantile(seconds, at) for at in (0.25, 0.5, 0.75))
        times, least, most = ratio(mine, seconds, budget_trials * unit_s)
        limit = LIMITS.get(shape, dict.fromkeys(LIMITS["as measured"], 1.0)).get(name)
        kept = kept and (limit is None or times <= limit)
        verdict = ", undecided: neither reached it" if math.isnan(times) else ", exceeded" if limit is not None and times > limit else ""
        told = f"  at most {limit:.2f}{verdict}" if limit is not None else ""
        reached = f"{sum(map(math.isfinite, seconds))}/{len(seconds)}"
        final = quantile([outcome.final for outcome in outcomes], 0.5)
        spread, interval = f"{low:.0f} to {high:.0f}", f"{least:.2f} to {most:.2f}"
        over = f"<{math.ceil(100 * times) / 100:.2f}" if math.isinf(middle) and math.isfinite(times) else f"{times:.2f}"
        print(f"  {name:20} {reached:>9} {middle:9.0f} {spread:>17} {middle / unit_s:12.1f} {over:>9} {interval:>15} {final:6.3f}{told}")
    ours_ms, trials = (quantile([getattr(outcome, name) for outcome in found[OURS]], 0.5) for name in ("decided_ms", "trials"))
    print(f"  ours: {trials:.0f} trials, {ours_ms:.1f} ms of this machine each\n", flush=True)
    return kept


def main() -> int:
    """Reads the command line and measures; fails above a limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="Parquet files, as replay_table.py makes them")
    parser.add_argument("--made-up", nargs="*", type=int, default=[], metavar="SEED", help="made-up tables beside them")
    parser.add_argument("--seeds", type=int, default=60, help="seeds from 0 on, of both halves together")
    parser.add_argument("--half", choices=["tuned", "reported", "all"], default="reported", help="even seeds, odd seeds, or all")
    parser.add_argument("--workers", type=int, default=4, help="simulated workers, 2 to 8")
    parser.add_argument("--budget", type=float, default=80.0, help="in mean trials at the top mark that share nothing")
    parser.add_argument("--share", type=float, default=0.95, help="of the table's best hypervolume")
    parser.add_argument("--quantile", type=float, default=1.0, help="of each objective, where the reference point lies; 1 is the nadir")
    parser.add_argument("--reduction", type=float, default=4.0, help="of ASHA; 4 is Ray's default")
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--strategies", nargs="+", metavar="NAME", help="besides ours")
    parser.add_argument("--ablations", action="store_true", help="also ours without each of its parts")
    parser.add_argument("--processes", type=int, default=1)
    given = parser.parse_args()
    settings = Settings(workers=given.workers, budget_trials=given.budget, share=given.share, quantile=given.quantile, reduction=given.reduction)
    seeds = [seed for seed in range(given.seeds) if given.half == "all" or seed % 2 == (given.half == "reported")]
    wanted = [name for name in strategies(given.reduction) if name not in ABLATIONS or given.ablations]
    names = [name for name in wanted if name == OURS or name in ABLATIONS or given.strategies is None or name in given.strategies]
    kept = True
    with ProcessPoolExecutor(max_workers=given.processes) as pool:
        for source in [*given.tables, *map(str, given.made_up)]:
            plain = random_table(int(source)) if source.isdigit() else read_table(Path(source))
            print(f"{source if not source.isdigit() else f'made-up table {source}'}: {plain.generators} generators x {len(plain.marks)} marks,")
            print(f"{len(plain.points)} trials; {len(seeds)} seeds, {given.workers} workers")
            for shape in given.shapes:
                table = SHAPES[shape](plain)
                reference = ", ".join(
                    f"{goal.score} {abs(value):.4g}"
                    for goal, value in zip(table.objectives, Yardstick(table, quantile=given.quantile).reference, strict=True)
                )
                print(
                    f"{shape}: {'; '.join(table.about.notes) or 'nothing changed'}; reference point {reference}; a trial {table.full_trial_s():.1f} s"
                )
                jobs = {(name, seed): pool.submit(play, source, shape, name, seed, settings) for name in names for seed in seeds}
                found = {name: [jobs[name, seed].result() for seed in seeds] for name in names}
                kept = report(shape, found, table.full_trial_s(), settings.budget_trials) and kept
    return int(not kept)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TableError as error:
        sys.exit(str(error))
