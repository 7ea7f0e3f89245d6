"""What a run has learned from earlier ones, as it lies in its folder: `warm_start.parquet`, written when the run starts and never changed.

Whatever becomes of the earlier runs, a driver that is started again reads the same, so that it suggests what it would have. A row is one trial in
this study's settings; settings, scores, rungs and keys are JSON, because a column of Parquet has values of one kind. The file's metadata holds, under
`tundish.warm_start`, what is told of each run in a line.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from reports.records import Record
from search.fronts import levels, objective_values, sign
from search.studies.recipes import at_lowest_mark
from search.studies.study import Study, StudyError
from spaces.domains import Scalar

FILE = "warm_start.parquet"
METADATA = b"tundish.warm_start"
FORMAT = 1
STARTS, ONE_START_OF = 4, 20
"""Settings of an earlier run that are tried first, where its numbers cannot be held beside this study's: at most so many, and one for so many
trials of the study, so that a run that has nothing in common with it costs a twentieth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """A trial of an earlier run, in this study's settings."""

    run: str
    """The run's folder, as the study file names it."""
    trial: int
    """Its number there."""
    use: Literal["told", "start"]
    """told: its numbers are learned from as they are. start: only its settings are of use."""
    state: Literal["complete", "pruned", "failed"]
    failed_in: str | None = None
    """As in its record."""
    params: Mapping[str, Scalar]
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """This study's objectives, and scores that have limits."""
    rungs: Mapping[str, float | None] = field(default_factory=dict)
    """As in its record."""
    generator_s: float | None = None
    """Seconds of its generator's training from the first step to its mark; None where they were measured on another kind of device."""
    rest_s: float | None = None
    """Seconds of what it made itself behind the generator; None likewise."""
    keys: Sequence[str] = ()
    """Keys of its generator's stages, all of which this study finds in its store; empty where it would have to train the generator itself."""

    @property
    def name(self) -> str:
        """Names it in the reason of a move."""
        return f"trial {self.trial} of {self.run}"

    def record(self, number: int) -> Record:
        """Gives it as a record under another number."""
        return Record(
            trial=number, state=self.state, failed_in=self.failed_in, scores=self.scores, rungs=self.rungs, started_s=0.0, ended_s=0.0, epoch=0
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What a run has learned from earlier ones."""

    trials: Sequence[Remembered] = ()
    lines: Sequence[str] = ()
    """A sentence for each earlier run: what of it was learned, and what was not."""

    @property
    def told(self) -> list[Remembered]:
        """The trials whose numbers are learned from."""
        return [item for item in self.trials if item.use == "told"]

    def starts(self, study: Study) -> list[tuple[str, Mapping[str, Any]]]:
        """Lists what is tried first because of earlier runs: reason and settings, at the lowest mark.

        The two linked models are told numbers that can be compared, and weigh these trials themselves. Other samplers are not told them, and begin
        with the best of them.
        """
        chosen = [item for item in self.trials if item.use == "start"]
        if study.search.sampler != "linked":
            chosen += best(self.told, study)
        found: dict[frozenset[tuple[str, Any]], tuple[str, Mapping[str, Any]]] = {}
        for item in chosen:
            point = at_lowest_mark(study, item.params)
            found.setdefault(frozenset(point.items()), (f"among the best of an earlier run: {item.name}", point))
        return list(found.values())

    def to_bytes(self) -> bytes:
        """Writes the table."""
        rows = [
            {
                "run": item.run,
                "trial": item.trial,
                "use": item.use,
                "state": item.state,
                "failed_in": item.failed_in,
                "params": json.dumps(dict(item.params), sort_keys=True),
                "scores": json.dumps(dict(item.scores), sort_keys=True),
                "rungs": json.dumps(dict(item.rungs), sort_keys=True),
                "generator_s": item.generator_s,
                "rest_s": item.rest_s,
                "keys": json.dumps(list(item.keys)),
            }
            for item in self.trials
        ]
        about = {METADATA: json.dumps({"format": FORMAT, "lines": list(self.lines)}).encode()}
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA).replace_schema_metadata(about), out)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Memory":
        """Reads the table back."""
        table = pq.read_table(io.BytesIO(data))
        about = json.loads((table.schema.metadata or {})[METADATA])
        rows = [
            {name: json.loads(value) if name in ("params", "scores", "rungs", "keys") else value for name, value in row.items()}
            for row in table.to_pylist()
        ]
        return cls(trials=tuple(Remembered(**{**row, "keys": tuple(row["keys"])}) for row in rows), lines=tuple(about["lines"]))


SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("run", "use", "state", "failed_in", "params", "scores", "rungs", "keys")]
    + [("trial", pa.int64()), ("generator_s", pa.float64()), ("rest_s", pa.float64())]
)


def best(trials: Sequence[Remembered], study: Study) -> list[Remembered]:
    """Chooses the trials that a study begins with: of those that no other dominates a few, spread evenly over the values of the first objective.

    Args:
        trials: of one run or of runs whose numbers can be compared.
        study: names the objectives, and has so many trials.
    """
    most = max(1, min(STARTS, study.search.trials // ONE_START_OF))
    valued = [(item, values) for item in trials if (values := objective_values(item.record(item.trial), study.objectives)) is not None]
    signed = [tuple(sign(goal) * value for goal, value in zip(study.objectives, values, strict=True)) for _, values in valued]
    front = sorted((values, at) for at, (values, level) in enumerate(zip(signed, levels(signed), strict=True)) if level == 0)
    places = range(len(front)) if len(front) <= most else sorted({round(i * (len(front) - 1) / max(1, most - 1)) for i in range(most)})
    return [valued[front[place][1]][0] for place in places]


def content_hash(data: bytes) -> str:
    """Names what was learned by its content."""
    return hashlib.sha256(data).hexdigest()


def read_memory(study: Study, run: Path) -> Memory:
    """Reads what a run has learned when it started; nothing where it has learned nothing.

    Raises:
        StudyError: the file is gone, or not what the run began with.
    """
    wanted = study.resolved.warm_start if study.resolved is not None else None
    if wanted is None:
        return Memory()
    path = run / FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        data, why = b"", f"cannot be read ({error.strerror or error})"
    else:
        why = "is not what this run began with"
    if content_hash(data) != wanted:
        cure = "Put it back as it was, or start another run: --name NAME keeps both, --fresh begins this one anew."
        raise StudyError(f"{path}: {why}. What the search has learned from earlier runs decides what it suggests.\n  {cure}")
    return Memory.from_bytes(data)
