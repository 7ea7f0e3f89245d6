"""The replay table: a full factorial of real trials, with what each stage of them took and what came out. Read by the simulation.

A table is one Parquet file. A row is one trial of one seed:

    generator.family, generator.<family>.<setting>   settings of the generator; null where they belong to another family
    generator.kimg       the mark
    synthesis.*, inspector.*                         settings behind it: synthesis.amount with synthesis.<amount>, inspector.kind, ...
    seed                 which repetition; may be missing. Repetitions of one trial are averaged
    generator_s          seconds of training from the first step to the mark
    rung_score           score of the generator at the mark, lower is better: the same in all rows of a generator, mark and seed
    rung_s               seconds that measuring it took; may be missing
    downstream_s         seconds of everything behind the generator that depends on all settings: the inspector and its scores
    pool_s               seconds of drawing and measuring images, shared by all amounts of them; may be missing
    <objective>          one column for each objective

Every family's settings, the marks and the settings behind them must form a full factorial: a strategy may ask for any combination. The key
`tundish.replay` of the file's metadata holds, as JSON, `{"objectives": {name: direction}, "baseline_s": seconds of the trial on real images alone,
"provenance": {...}, "notes": [...]}`. Other columns, such as further scores, are kept but not used.
"""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from search.studies.objectives import Objective
from spaces.domains import Categorical, Choice, Domain, Fixed, Scalar, nearest
from spaces.space import Space
from trainables.scores.names import Direction

METADATA = b"tundish.replay"
SETTINGS = ("generator.", "synthesis.", "inspector.")
"""How the columns begin that are settings."""
NEEDED_SETTINGS = ("generator.family", "generator.kimg", "synthesis.amount", "inspector.kind")
SECONDS = ("generator_s", "downstream_s")
OPTIONAL = {"pool_s": 0.0, "rung_s": 0.0, "seed": 0}
"""Columns that may be missing, and what they then hold."""
SHOWN = 3
"""Examples of what is wrong that a message lists."""

Key = frozenset[tuple[str, Any]]
"""Settings by name."""
Columns = Mapping[str, Sequence[Any]]


class TableError(Exception):
    """A table that nothing can be replayed against: every problem with what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What a table says of itself."""

    objectives: tuple[Objective, ...]
    baseline_s: float = 0.0
    """Seconds of the trial on real images alone, whose inspector every distance is measured with: paid once, by every strategy."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Machine, versions, commit, what the seconds are."""
    notes: tuple[str, ...] = ()
    """What was done to the table since it was recorded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A generator at one of its marks."""

    kimg: float
    generator_s: float
    """From the first step on."""
    rung_score: float
    rung_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A trial of the table, mean of its repetitions."""

    params: Mapping[str, Scalar]
    scores: Mapping[str, float]
    """The objectives."""
    downstream_s: float
    pool_s: float


class Table:
    """A checked table.

    Args:
        columns: as the module says, each as long as the others.
        about: objectives, and what else the metadata holds.
        where: what a message calls the table.

    Raises:
        TableError: with every problem at once.
    """

    def __init__(self, columns: Columns, about: About, *, where: str = "table") -> None:
        self.columns = {name: list(values) for name, values in columns.items()}
        self.about = about
        self.where = where
        self._refuse(list(self._missing()))
        self.length = len(self.columns["generator.family"])
        for name, value in OPTIONAL.items():
            self.columns.setdefault(name, [value] * self.length)
        self._refuse(list(self._bad_values()))
        rows = [self._settings(row) for row in range(self.length)]
        self.space = _space({name: [params[name] for params in rows if name in params] for name in self._setting_names()})
        self.marks = tuple(sorted({float(mark) for mark in self.columns["generator.kimg"]}))
        by_point: dict[Key, list[int]] = {}
        for row, params in enumerate(rows):
            by_point.setdefault(frozenset(params.items()), []).append(row)
        self._refuse(list(self._holes(by_point)))
        self._marks: dict[Key, dict[float, Mark]] = {}
        self._refuse(list(self._group_marks(rows)))
        self.points = {key: self._point(rows[own[0]], own) for key, own in by_point.items()}

    def at(self, params: Mapping[str, Any]) -> Point:
        """Gives the trial with these settings."""
        return self.points[frozenset(params.items())]

    def ladder(self, params: Mapping[str, Any]) -> Mapping[float, Mark]:
        """Gives all marks of the generator with these settings, lowest first."""
        return self._marks[generator_key(params)]

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What is improved."""
        return self.about.objectives

    @property
    def generators(self) -> int:
        """How many generators there are, marks not counted."""
        return len(self._marks)

    def untrained(self) -> frozenset[str]:
        """Lists the families that are the same at every mark, in all their generators: they learn nothing."""
        families: dict[str, bool] = {}
        for key, ladder in self._marks.items():
            family = str(dict(key)["generator.family"])
            same = len({mark.rung_score for mark in ladder.values()}) == 1 == len({mark.generator_s for mark in ladder.values()})
            families[family] = families.get(family, len(self.marks) > 1) and same
        return frozenset(family for family, same in families.items() if same)

    def full_trial_s(self) -> float:
        """Gives the mean cost of a trial at the top mark that shares nothing with any other."""
        top = [point for point in self.points.values() if point.params["generator.kimg"] == self.marks[-1]]
        return statistics.fmean(self.ladder(point.params)[self.marks[-1]].generator_s + point.pool_s + point.downstream_s for point in top)

    def _refuse(self, problems: Sequence[str]) -> None:
        if problems:
            raise TableError("\n".join(f"{self.where}: {text}" for text in problems))

    def _setting_names(self) -> list[str]:
        """Lists the columns that are settings and have a value anywhere."""
        return [name for name, values in self.columns.items() if name.startswith(SETTINGS) and any(value is not None for value in values)]

    def _missing(self) -> Iterator[str]:
        if len({len(values) for values in self.columns.values()}) > 1:
            yield "its columns differ in length"
        goals = [goal.score for goal in self.about.objectives]
        if not goals:
            yield "no objectives; expected their names and directions in the metadata"
        for name in (*NEEDED_SETTINGS, "rung_score", *SECONDS, *goals):
            if name not in self.columns:
                what = "no column of the objective" if name in goals else "no column"
                yield f"{what} {name}; {nearest(name, list(self.columns))}"
            elif not self.columns[name]:
                yield f"{name}: no rows"

    def _bad_values(self) -> Iterator[str]:
        """Finds what is no number, or no setting."""
        seconds = (*SECONDS, "pool_s", "rung_s")
        for name in (*seconds, "rung_score", "generator.kimg", *(goal.score for goal in self.about.objectives)):
            bad = [row for row, value in enumerate(self.columns[name]) if not _is_number(value)]
            if bad:
                yield f"{name}: expected finite numbers; {_rows(bad, self.columns[name])}"
            elif name in seconds and (bad := [row for row, value in enumerate(self.columns[name]) if value < 0]):
                yield f"{name}: seconds are 0 or more; {_rows(bad, self.columns[name])}"
            elif name == "generator.kimg" and (bad := [row for row, value in enumerate(self.columns[name]) if value <= 0]):
                yield f"{name}: a mark is above 0; {_rows(bad, self.columns[name])}"
        for name in self._setting_names():
            bad = [row for row, value in enumerate(self.columns[name]) if isinstance(value, float) and not math.isfinite(value)]
            if bad and name != "generator.kimg":
                yield f"{name}: a setting is finite, or null where it does not apply; {_rows(bad, self.columns[name])}"
        for name in ("generator.family", "synthesis.amount", "inspector.kind", "seed"):
            if bad := [row for row, value in enumerate(self.columns[name]) if value is None]:
                yield f"{name}: expected a value in every row; {_rows(bad, self.columns[name])}"

    def _settings(self, row: int) -> dict[str, Scalar]:
        params = {name: self.columns[name][row] for name in self.columns if name.startswith(SETTINGS) and self.columns[name][row] is not None}
        return {**params, "generator.kimg": float(params["generator.kimg"])}

    def _holes(self, by_point: Mapping[Key, Sequence[int]]) -> Iterator[str]:
        """Finds combinations that are missing, that are there twice, or that no strategy could ask for."""
        wanted = {frozenset(params.items()): params for params in self.space.grid()}
        lacking = [params for key, params in wanted.items() if key not in by_point]
        if lacking:
            examples = "; ".join(_say(params) for params in lacking[:SHOWN])
            yield f"{len(lacking)} of the {len(wanted)} combinations of its settings have no row: {examples}"
        strange = [rows[0] for key, rows in by_point.items() if key not in wanted]
        if strange:
            yield f"{len(strange)} combinations lack a setting that others of their family have, or have another's; first rows {strange[:SHOWN]}"
        seeds = {key: sorted(self.columns["seed"][row] for row in rows) for key, rows in by_point.items()}
        every = sorted(set(self.columns["seed"]))
        for key, found in seeds.items():
            if len(set(found)) < len(found):
                yield f"{_say(dict(key))}: seed {next(seed for seed in found if found.count(seed) > 1)} is there twice"
                return
            if found != every:
                yield f"{_say(dict(key))}: has seeds {found}, the table {every}"
                return

    def _group_marks(self, rows: Sequence[Mapping[str, Scalar]]) -> Iterator[str]:
        """Gathers the marks of each generator, and finds those that contradict themselves."""
        found: dict[tuple[Key, float], dict[Any, tuple[float, ...]]] = {}
        for row, params in enumerate(rows):
            at = (generator_key(params), float(cast(float, params["generator.kimg"])))
            numbers = tuple(float(self.columns[name][row]) for name in ("generator_s", "rung_score", "rung_s"))
            before = found.setdefault(at, {}).setdefault(self.columns["seed"][row], numbers)
            if before != numbers:
                text = "generator_s, rung_score or rung_s differ between rows of one generator, mark and seed"
                yield f"row {row}: {text}; {_say(params)}: {before} and {numbers}"
                return
        for (key, kimg), own in sorted(found.items(), key=lambda item: item[0][1]):
            taken, score, measuring = (statistics.fmean(part) for part in zip(*own.values(), strict=True))
            ladder = self._marks.setdefault(key, {})
            if ladder and taken < (last := next(reversed(ladder.values()))).generator_s:
                text = f"generator_s is {taken:g} at {kimg:g} kimg but {last.generator_s:g} at {last.kimg:g}; expected seconds from the first step on"
                yield f"{_say(dict(key))}: {text}"
            ladder[kimg] = Mark(kimg=kimg, generator_s=taken, rung_score=score, rung_s=measuring)

    def _point(self, params: Mapping[str, Scalar], rows: Sequence[int]) -> Point:
        def mean(name: str) -> float:
            return statistics.fmean(self.columns[name][row] for row in rows)

        scores = {goal.score: mean(goal.score) for goal in self.about.objectives}
        return Point(params=params, scores=scores, downstream_s=mean("downstream_s"), pool_s=mean("pool_s"))


def generator_key(params: Mapping[str, Any]) -> Key:
    """Names a generator, whatever its mark."""
    return frozenset((name, value) for name, value in params.items() if name.startswith("generator.") and name != "generator.kimg")


def read_table(path: Path) -> Table:
    """Reads a table.

    Raises:
        TableError: the file is missing, is no replay table, or cannot be replayed.
    """
    try:
        found = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error})") from error
    text = (found.schema.metadata or {}).get(METADATA)
    if text is None:
        raise TableError(f"{path}: no replay table: its metadata has no {METADATA.decode()}.\n  tests/benchmarks/replay_table.py makes one.")
    try:
        about = json.loads(text)
        goals = tuple(Objective(score=name, direction=_direction(name, way)) for name, way in about["objectives"].items())
        read = About(
            objectives=goals,
            baseline_s=float(about.get("baseline_s", 0.0)),
            provenance=about.get("provenance", {}),
            notes=tuple(about.get("notes", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path}: its metadata cannot be read ({error!r}); expected objectives with their directions") from error
    return Table({name: found.column(name).to_pylist() for name in found.column_names}, read, where=str(path))


def write_table(table: Table, path: Path) -> None:
    """Writes a table."""
    plain = {
        "objectives": {goal.score: goal.direction for goal in table.objectives},
        "baseline_s": table.about.baseline_s,
        "provenance": dict(table.about.provenance),
        "notes": list(table.about.notes),
    }
    written = pa.table(table.columns).replace_schema_metadata({METADATA: json.dumps(plain).encode()})
    pq.write_table(written, path, compression="zstd")


def _direction(name: str, way: Any) -> Direction:
    if way not in ("maximize", "minimize"):
        raise ValueError(f"objective {name}: {way!r} is neither maximize nor minimize")
    return cast(Direction, way)


def _space(values: Mapping[str, Sequence[Any]]) -> Space:
    """Builds the space whose every domain is the list of values that the table has."""

    def domain(name: str) -> Domain:
        found = sorted(set(values[name]), key=lambda value: (isinstance(value, str), value))
        if len(found) == 1:
            return Fixed(default=found[0], source="table")
        lowest = name == "generator.kimg"
        return Categorical(choices=tuple(found), default=found[0 if lowest else len(found) // 2], source="table")

    def choice(name: str, brought: Mapping[Any, Sequence[str]]) -> Domain:
        room = name[: name.index(".") + 1]
        options = {option: {other.removeprefix(room): domain(other) for other in brought[option]} for option in sorted(brought)}
        return Choice(options=options, default=next(iter(options)), source="table")

    def below(name: str) -> dict[Any, list[str]]:
        room = name[: name.index(".") + 1]
        return {option: [other for other in values if other.startswith(f"{room}{option}.")] for option in values[name]}

    branches: dict[str, dict[Any, list[str]]] = {name: below(name) for name in ("generator.family", "inspector.kind")}
    branches["synthesis.amount"] = {kind: [f"synthesis.{kind}"] if f"synthesis.{kind}" in values else [] for kind in values["synthesis.amount"]}
    if "synthesis.filter" in values:
        lowest = ["synthesis.min_confidence"] if "synthesis.min_confidence" in values else []
        branches["synthesis.filter"] = {kind: lowest if kind == "confidence" else [] for kind in values["synthesis.filter"]}
    inner = {other for brought in branches.values() for own in brought.values() for other in own}
    outer = sorted((name for name in values if name not in inner), key=lambda name: (SETTINGS.index(name[: name.index(".") + 1]), name))
    return Space({name: choice(name, branches[name]) if name in branches else domain(name) for name in outer})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rows(rows: Sequence[int], values: Sequence[Any]) -> str:
    shown = ", ".join(f"row {row} has {values[row]!r}" for row in rows[:SHOWN])
    return shown + (f" and {len(rows) - SHOWN} more rows" if len(rows) > SHOWN else "")


def _say(params: Mapping[str, Any]) -> str:
    """Names a combination in a message."""
    return ", ".join(f"{name}={value}" for name, value in sorted(params.items()))
