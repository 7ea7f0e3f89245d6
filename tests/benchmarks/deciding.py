"""Measures how long one suggestion takes with many finished trials, beside Optuna's own two-objective sampler told the same trials; how long the
decisions at a trial's rungs take; and what a trial takes of the driver's memory.

    python tests/benchmarks/deciding.py [--trials 100 500 2000 10000] [--suggestions 20] [--no-stock]

The trials are drawn at random from a study of five families and three inspectors, with objectives in closed form; each suggestion is followed by the
end of its trial, so that what is kept incrementally is kept up. Both sides take turns; counted is the time of the processor, which other work on the
machine lengthens less than that of the clock. Memory is what the process grew by while trials were asked and ended, with a recipe and scores of the
usual size: records, models and the ledger's own tables, without Ray.
"""

import argparse
import math
import random
import resource
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import yaml

from reports.records import Asked, Record
from search.distributions import distributions
from search.execution.driver import recipe_builder
from search.moves import Move, Moves, Plan
from search.schedulers import Rungs
from search.studies.recipes import baseline_params
from search.studies.settings import Resolved
from search.studies.study import Study
from search.studies.study_file import parse_study

MARKS = [5, 10, 20]
STUDY = {
    "study": "deciding",
    "data": {"dataset": "procedural"},
    "space": {
        "generator": {"family": ["dcgan", "wgan_gp", "sdg_gan", "lm_gan", "cutpaste"]},
        "synthesis": {"amount": ["fraction", "per_class"]},
        "inspector": {"kind": ["fcn", "resnet18", "mobilenet_v2"]},
    },
    "objectives": {"val_macro_f1": "maximize", "val_kid": "minimize"},
    "scores": {"extractor": "inspector"},
    "search": {"trials": 1000000, "marks": MARKS, "baselines": ["plain"]},
}


def outcome(params: dict[str, Any], rng: random.Random) -> tuple[float, float]:
    """Gives two objectives in closed form, with some noise."""
    numbers = [value for value in params.values() if isinstance(value, float) and value > 0]
    miss = statistics.fmean(abs(math.sin(3.0 * math.log(value))) for value in numbers) + 0.1 * rng.random()
    distance = miss / params["generator.kimg"] ** 0.3
    return 0.6 + 0.3 * math.exp(-2.0 * distance) - 0.1 * rng.random(), distance


def held_bytes() -> int:
    """Gives what this process holds in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


class Played:
    """A study whose trials end at once."""

    def __init__(self, study: Study, trials: int) -> None:
        self.moves = Moves(Plan(study=study, baselines=baseline_params(study.space, ("plain",))[:1], starts=[]))
        self.rungs, self.rungs_s = Rungs(study), [0.0]
        self.study, self.build, self.rng = study, recipe_builder(study), random.Random(0)
        self.asked: dict[int, Asked] = {}
        self.records: dict[int, Record] = {}
        self.end("baseline", baseline_params(study.space, ("plain",))[0])
        for _ in range(trials):
            self.end("explore", dict(study.space.sample(self.rng)))

    def end(self, move: str, params: dict[str, Any]) -> tuple[float, float] | None:
        """Asks for a trial and ends it."""
        number = len(self.asked)
        recipe = self.build(params, units=Move(kind=move, reason="").units, judge=False).to_plain()
        asked = Asked(trial=number, move=move, reason="", params=params, recipe=recipe, epoch=1, time_s=float(number))
        values = outcome(params, self.rng) if move != "baseline" else None
        self.rungs.add(asked)
        begun = time.process_time()
        for mark in [mark for mark in MARKS if mark <= params["generator.kimg"]] if values is not None else []:
            self.rungs.note(number, mark, values[1] * (params["generator.kimg"] / mark) ** 0.3)
            self.rungs.decide(number, mark)
        self.rungs_s.append(time.process_time() - begun)
        scores: dict[str, float | None] = {f"val_recall.class{i}": self.rng.random() for i in range(40)}
        if values is not None:
            scores |= {"val_macro_f1": values[0], "val_kid_inspector": values[1]}
        names = ("generator", "pool", "inspector")
        stages: list[Mapping[str, Any]] = [{"stage": stage, "key": f"{stage}{number}", "seconds": 1.0 + self.rng.random()} for stage in names]
        record = Record(
            trial=number,
            state="complete",
            scores=scores,
            units=[dict(scores)],
            stages=stages,
            rungs=self.rungs.told(number),
            started_s=0.0,
            ended_s=float(number),
            epoch=1,
        )
        self.asked[number], self.records[number] = asked, record
        self.moves.add(asked)
        self.moves.tell(record)
        self.rungs.tell(record)
        return values

    def suggest(self) -> float:
        """Gives the seconds of one suggestion, and ends its trial."""
        begun = time.process_time()
        move = self.moves.next(len(self.asked), is_free=lambda move: True)
        taken_s = time.process_time() - begun
        assert isinstance(move, Move)
        self.end(move.kind, dict(move.fixed))
        return taken_s


class Stock:
    """Optuna's sampler of several objectives, told the same trials."""

    def __init__(self, played: Played) -> None:
        self.space = played.study.space
        self.study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.TPESampler(seed=0))
        for number, asked in played.asked.items():
            if asked.move != "baseline":
                values = [played.records[number].scores[name] for name in ("val_macro_f1", "val_kid_inspector")]
                known = distributions(self.space, asked.params)
                params = {name: asked.params[name] for name in known}
                self.study.add_trial(optuna.trial.create_trial(values=[float(value or 0.0) for value in values], params=params, distributions=known))

    def suggest(self, rng: random.Random) -> float:
        """Gives the seconds of one suggestion, and ends its trial."""
        begun = time.process_time()
        trial = self.study.ask()
        params = self.space.suggest(trial)
        taken_s = time.process_time() - begun
        self.study.tell(trial, list(outcome(dict(params), rng)))
        return taken_s


def main() -> None:
    """Reads the command line and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 500, 2000, 10000], help="finished trials")
    parser.add_argument("--suggestions", type=int, default=20)
    parser.add_argument("--no-stock", action="store_true", help="leave Optuna's sampler out")
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = parse_study(yaml.safe_dump(STUDY), "deciding.yaml").resolve(Resolved(extractor="inspector", precision="fp32", fingerprint="0" * 32))
    for count in given.trials:
        before = held_bytes()
        played = Played(study, count)
        grown_kb = (held_bytes() - before) / 1024 / count
        stock = None if given.no_stock else Stock(played)
        rng = random.Random(1)
        mine, theirs = [], []
        for _ in range(given.suggestions):
            mine.append(1000 * played.suggest())
            if stock is not None:
                theirs.append(1000 * stock.suggest(rng))
        for _ in range(given.suggestions):
            played.end("explore", dict(study.space.sample(rng)))
        rungs_ms = 1000 * statistics.median(played.rungs_s[-given.suggestions :])
        line = f"{count:6} trials: {statistics.median(mine):7.1f} ms a suggestion (longest {max(mine):.0f} ms), {rungs_ms:.1f} ms a trial's rungs"
        line += f", {grown_kb:.1f} KB a trial"
        if theirs:
            times = statistics.median(theirs) / statistics.median(mine)
            line += f"; Optuna's own sampler {statistics.median(theirs):7.1f} ms, {times:.1f} times as long"
        print(line, flush=True)


if __name__ == "__main__":
    main()
