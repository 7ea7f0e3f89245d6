"""Records the table that searches are replayed against: every combination of settings of a study file, each run as a real trial.

    python tests/benchmarks/replay_table.py --out /tmp/table --part 1/2 &
    python tests/benchmarks/replay_table.py --out /tmp/table --part 2/2 &
    python tests/benchmarks/replay_table.py --out /tmp/table --join tests/benchmarks/replay.parquet

    python tests/benchmarks/replay_table.py --out /tmp/table --forecast        # a generator of each family, and what the whole would take
    python tests/benchmarks/replay_table.py --out /tmp/tiny --set "space.generator.family=[dcgan]" ...

All parts share one store, so that a generator is trained once for all that stands behind it. Each finished trial is one line of a file in the
folder, written to the disk before the next begins: killed and started again, in as many parts as you like, it goes on.

Seconds are those that the processor worked for the trial, of one thread (`time.process_time`), not those that passed: a machine that is busy with
other things makes the table later, not other costs. What shares caches and clock still slows a trial by some percent, so that the table is best
made on a quiet machine. A generator's seconds are those of its training. What the first trial of a generator, mark and seed needs more than the later
ones, up to its rung and behind it, are the seconds of its images: drawing them, their features, their distances; the median of the family is taken.
Everything else stands behind.
"""

import argparse
import hashlib
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml

import trainables.generators.training.stage
import trainables.inspectors.stage
import trainables.inspectors.training
import trainables.synthesis.blocks
from search.replay.table import NEEDED_SETTINGS, About, Table, TableError, write_table
from search.studies.recipes import baseline_params, build_recipe, untrained_families
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import load_study
from spaces.space import flatten
from trainables.datasets.packs import pack_dataset
from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe, Unit
from trainables.store import Store
from trainables.trial import run_trial

ROOT = Path(__file__).resolve().parents[2]
STUDY = Path(__file__).with_name("replay_study.yaml")
CLOCKED = (
    trainables.generators.training.stage,
    trainables.inspectors.stage,
    trainables.inspectors.training,
    trainables.synthesis.blocks,
)
"""Modules that measure their own seconds."""
KEPT = ("val_accuracy", "val_macro_f1", "val_kid_inspector", "val_frechet_inspector")
"""Scores that are kept beside the objectives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One trial of the table."""

    params: Mapping[str, Any]
    seed: int

    @property
    def name(self) -> str:
        """Names it, in whatever part and order it is run."""
        text = json.dumps([dict(self.params), self.seed], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


class Factorial:
    """All trials of a study file.

    Args:
        path: the file.
        sets: overrides, as for `tundish run --set`.
        seeds: repetitions, each with a generator and an inspector of its own.
        store: where stages lie.
    """

    def __init__(self, path: Path, sets: Sequence[str], seeds: int, store: Store) -> None:
        study = load_study(path, sets)
        # What the file does not name stands at its default; overrides name settings that the file names.
        known = study.space.names()
        named = {name for name, _ in flatten(yaml.safe_load(path.read_text(encoding="utf-8"))["space"], known)}
        narrowed = study.space.narrow({name: domain.default for name, domain in known.items() if name not in named and name != "generator.kimg"})
        fingerprint, _ = pack_dataset(study.data, store)
        settled = Resolved(extractor="inspector", precision="fp32", fingerprint=fingerprint)
        self.study: Study = replace(study, space=narrowed).resolve(settled)
        ranges = [name for name, domain in narrowed.names().items() if hasattr(domain, "low")]
        if ranges:
            raise SystemExit(f"{path}: expected lists of values, not ranges, for {', '.join(ranges)}")
        self.varied = {name for name, domain in narrowed.names().items() if len(domain.grid(1)) > 1} | {*NEEDED_SETTINGS}
        self.untrained = untrained_families(self.study)
        self.seeds = seeds

    @property
    def marks(self) -> tuple[float, ...]:
        """All marks, lowest first."""
        return self.study.search.every_mark

    def generators(self) -> list[list[Cell]]:
        """Lists the trials of each generator and seed, mark after mark; families in turns, so that parts take equally long.

        What learns nothing is the same at every mark, and is run at the lowest.
        """
        found: dict[str, list[Cell]] = {}
        for params in self.study.space.grid():
            if params["generator.family"] in self.untrained and params["generator.kimg"] != self.marks[0]:
                continue
            for seed in range(self.seeds):
                name = json.dumps([{name: value for name, value in params.items() if _is_generators(name)}, seed], sort_keys=True)
                found.setdefault(name, []).append(Cell(params=params, seed=seed))
        for cells in found.values():
            cells.sort(key=lambda cell: float(cell.params["generator.kimg"]))
        by_family: dict[str, list[list[Cell]]] = {}
        for cells in found.values():
            by_family.setdefault(cells[0].params["generator.family"], []).append(cells)
        return [cells for turn in itertools.zip_longest(*by_family.values()) for cells in turn if cells is not None]

    def recipe(self, cell: Cell) -> Recipe:
        """Builds the recipe of a trial, which tells its score at its own mark alone."""
        recipe = build_recipe(self.study, cell.params, units=(Unit(generator=cell.seed, inspector=cell.seed),))
        return replace(recipe, rungs=(float(cell.params["generator.kimg"]),))

    def baseline(self) -> Recipe:
        """Builds the recipe of the trial on real images alone."""
        return build_recipe(self.study, baseline_params(self.study.space, ("plain",))[0])


def _is_generators(name: str) -> bool:
    return name.startswith("generator.") and name != "generator.kimg"


@contextmanager
def processor_clock() -> Iterator[None]:
    """Makes stages measure what the processor worked, not what passed."""
    clock = SimpleNamespace(monotonic=time.process_time, perf_counter=time.process_time, time=time.time)
    with ExitStack() as stack:
        for module in CLOCKED:
            stack.enter_context(mock.patch.object(module, "time", clock))
        yield


def run_cell(recipe: Recipe, store: Store) -> dict[str, Any]:
    """Runs one trial; gives its seconds, its rung score and its scores."""
    begun = time.process_time()
    rung_at, rung_score = 0.0, None
    for item in run_trial(recipe, store):
        if isinstance(item, Progress) and item.stage == "rung":
            rung_at, rung_score = time.process_time() - begun, item.rung_score
        last = item
    assert isinstance(last, Scores)
    total = time.process_time() - begun
    made = [stage for stage in last.stages if not stage.reused]
    trained = sum(stage.seconds for stage in made if stage.stage == "generator")
    inspected = sum(stage.seconds for stage in made if stage.stage == "inspector")
    return {
        "rung_score": rung_score,
        "generator_s": last.values.get("generator_s"),
        "inspector_s": last.values["inspector_s"],
        "before_rung_s": rung_at - trained,
        "behind_rung_s": total - rung_at - inspected,
        "total_s": total,
        "reused": not any(stage.stage == "inspector" for stage in made),
        "scores": {name: last.values.get(name) for name in (*KEPT, *(name for name in last.values if name.endswith("_floor")))},
    }


class Book:
    """What has been run, one line a trial, in the files of all parts.

    Args:
        folder: of the files.
        part: names the file that this process writes.
    """

    def __init__(self, folder: Path, part: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.part = folder, part
        self._path = folder / f"trials-{part}.jsonl"
        if self._path.exists():
            data = self._path.read_bytes()
            self._path.write_bytes(data[: data.rfind(b"\n") + 1])
        self.lines: dict[str, dict[str, Any]] = {}
        self.begun: set[str] = set()
        for path in sorted(folder.glob("trials-*.jsonl")):
            for text in path.read_text(encoding="utf-8").split("\n")[:-1]:
                line = json.loads(text)
                if "begun" in line:
                    self.begun.add(line["begun"])
                else:
                    self.lines.setdefault(line["name"], line)

    def write(self, line: Mapping[str, Any]) -> None:
        """Adds a line, on the disk before this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())


def run_cells(factorial: Factorial, cells: Sequence[Sequence[Cell]], book: Book, store: Store, *, limit: int | None = None) -> None:
    """Runs what is missing of the cells; with a limit, so many at most."""
    left = [(own, at) for own in cells for at, cell in enumerate(own) if cell.name not in book.lines]
    print(f"{sum(map(len, cells)) - len(left)} of {sum(map(len, cells))} trials are there", flush=True)
    commit = _commit()
    with processor_clock():
        if "baseline" not in book.lines:
            found = run_cell(factorial.baseline(), store)
            if not found["reused"]:
                book.write({"name": "baseline", **found})
        for count, (own, at) in enumerate(left[:limit]):
            cell = own[at]
            mark = cell.params["generator.kimg"]
            first = at == 0 or own[at - 1].params["generator.kimg"] != mark
            facts = {
                "name": cell.name,
                "params": dict(cell.params),
                "seed": cell.seed,
                "first": first,
                "resumed": cell.name in book.begun,
                "commit": commit,
            }
            book.write({"begun": cell.name})
            try:
                book.write({**facts, **run_cell(factorial.recipe(cell), store)})
            except TrialFailure as failure:
                book.write({**facts, "failure": str(failure)})
            if count % 20 == 0:
                print(f"{count + 1} of {len(left)}: {cell.params['generator.family']} at {mark:g} kimg", flush=True)


def join(factorial: Factorial, book: Book, where: Path) -> Table:
    """Makes the table out of all trials, and writes it.

    Raises:
        SystemExit: trials are missing or failed.
        TableError: the table cannot be replayed.
    """
    cells = [cell for own in factorial.generators() for cell in own]
    lines = {cell.name: book.lines[cell.name] for cell in cells if cell.name in book.lines}
    failed = [f"  {line['params']}: {line['failure']}" for line in lines.values() if "failure" in line]
    if failed:
        raise SystemExit(f"{len(failed)} trials failed; take their settings out of the study:\n" + "\n".join(failed[:20]))
    if len(lines) < len(cells):
        raise SystemExit(f"{len(cells) - len(lines)} of {len(cells)} trials are missing: run the parts again, they go on")
    rows = [row for group in _groups(factorial, lines.values()) for row in group]
    baselines = [line["total_s"] for name, line in book.lines.items() if name == "baseline"]
    goals = factorial.study.objectives
    about = About(objectives=goals, baseline_s=statistics.fmean(baselines), provenance=_provenance(factorial, list(lines.values())))
    names = dict.fromkeys(name for row in rows for name in row)
    table = Table({name: [row.get(name) for row in rows] for name in names}, about, where=str(where))
    write_table(table, where)
    return table


def _groups(factorial: Factorial, lines: Any) -> Iterator[list[dict[str, Any]]]:
    """Gives the rows of each generator, mark and seed, seconds shared out among stages."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        upstream = {name: value for name, value in line["params"].items() if name.startswith("generator.")}
        found.setdefault(json.dumps([upstream, line["seed"]], sort_keys=True), []).append(line)
    images: dict[str, list[tuple[float, float]]] = {}
    for own in found.values():
        if (seconds := _image_seconds(own)) is not None:
            images.setdefault(own[0]["params"]["generator.family"], []).append(seconds)
    for own in found.values():
        family = own[0]["params"]["generator.family"]
        # The median of the family: a difference of two small measurements says little alone.
        rung_s, pool_s = (statistics.median(part) for part in zip(*images[family], strict=True))
        later = [line for line in own if not line["first"]] or own
        overhead_s = statistics.fmean(max(0.0, line["before_rung_s"]) + max(0.0, line["behind_rung_s"]) for line in later)
        marks = factorial.marks if family in factorial.untrained else (own[0]["params"]["generator.kimg"],)
        for mark in marks:
            yield [
                {
                    **{name: value for name, value in line["params"].items() if name in factorial.varied},
                    "generator.kimg": float(mark),
                    "seed": line["seed"],
                    "generator_s": own[0]["generator_s"],
                    "rung_score": own[0]["rung_score"],
                    "rung_s": rung_s,
                    "pool_s": pool_s,
                    "downstream_s": line["inspector_s"] + overhead_s,
                    "inspector_s": line["inspector_s"],
                    **line["scores"],
                }
                for line in own
            ]


def _image_seconds(own: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Says what the images of a generator take, up to the rung and behind it; None where its first trial was interrupted."""
    first = next((line for line in own if line["first"]), None)
    later = [line for line in own if not line["first"]]
    if first is None or first["resumed"] or not later:
        return None
    before, behind = (first[name] - statistics.fmean(line[name] for line in later) for name in ("before_rung_s", "behind_rung_s"))
    return max(0.0, before), max(0.0, behind)


def _provenance(factorial: Factorial, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Says on what, with what and from what the table was made."""
    names = ("torch", "torchvision", "numpy", "optuna", "pyarrow")
    return {
        "seconds": "of the processor, one thread (time.process_time)",
        "machine": f"{platform.machine()}, {os.cpu_count()} processors, {_processor()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
        "commits": sorted({line["commit"] for line in lines}),
        "study": factorial.study.to_plain(),
        "seeds": factorial.seeds,
        "made": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def _commit() -> str:
    """Gives the commit of this code; empty where it is no checkout."""
    return subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def forecast(factorial: Factorial, book: Book, store: Store) -> None:
    """Runs the first generator of each family at every mark with three settings behind it, and says what the whole would take."""
    groups = factorial.generators()
    firsts = {own[0].params["generator.family"]: own for own in reversed(groups)}
    total_s = 0.0
    for family, own in firsts.items():
        marks = sorted({cell.params["generator.kimg"] for cell in own})
        at = {mark: [cell for cell in own if cell.params["generator.kimg"] == mark] for mark in marks}
        chosen = [[cell for cells in at.values() for cell in (cells[0], cells[len(cells) // 2], cells[-1])]]
        run_cells(factorial, chosen, book, store)
        book = Book(book.folder, book.part)
        lines = [book.lines[cell.name] for cell in chosen[0]]
        first_s = sum(line["total_s"] for line in lines if line["first"])
        later_s = statistics.fmean(line["total_s"] for line in lines if not line["first"])
        count = sum(group[0].params["generator.family"] == family for group in groups)
        whole_s = count * (first_s + later_s * (len(own) - len(marks)))
        total_s += whole_s
        trained_s = max(line["generator_s"] for line in lines)
        f1 = ", ".join(f"{line['scores']['val_macro_f1']:.3f}" for line in lines)
        takes = f"training {trained_s:6.1f} s, a later trial {later_s:5.2f} s, all {whole_s / 3600:.2f} h"
        print(f"{family:10} {count:3} generators with seeds: {takes}; F1 {f1}", flush=True)
    print(f"all {sum(map(len, groups))} trials: {total_s / 3600:.2f} h of one processor")


def main() -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=STUDY)
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="overrides of the study file")
    parser.add_argument("--out", type=Path, required=True, help="folder of the lines and of the store")
    parser.add_argument("--part", default="1/1", metavar="I/N", help="which generators this process runs")
    parser.add_argument("--seeds", type=int, default=2, help="repetitions of every trial")
    parser.add_argument("--limit", type=int, help="trials that are run at most")
    parser.add_argument("--join", type=Path, metavar="PARQUET", help="make the table out of what was run")
    parser.add_argument("--forecast", action="store_true", help="say what the whole would take")
    given = parser.parse_args()
    number, _, parts = given.part.partition("/")
    if not (number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        parser.error(f"--part {given.part}: expected I/N, for example 1/2")
    store = Store(given.out / "store")
    factorial = Factorial(given.study, given.set, given.seeds, store)
    book = Book(given.out, f"{number}-of-{parts}")
    if given.join is not None:
        table = join(factorial, book, given.join)
        size = f"{table.generators} generators, {len(table.points)} trials, mean of {given.seeds} seeds"
        print(f"{given.join}: {size}; a trial {table.full_trial_s():.1f} s")
    elif given.forecast:
        forecast(factorial, book, store)
    else:
        run_cells(factorial, factorial.generators()[int(number) - 1 :: int(parts)], book, store, limit=given.limit)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (StudyError, TableError) as error:
        sys.exit(str(error))
