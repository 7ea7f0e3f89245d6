"""The records of a run as Parquet, for pandas, DuckDB or a spreadsheet. Written beside the report, whole and atomically.

`trials.parquet` has a row for each trial: its state, settings, scores, costs and conditions. `stages.parquet` has a row for each stage as a
trial met it, `steps.parquet` one for each sign of life of a running stage.
"""

import functools
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from reports.records import derived, trial_folder, write_whole
from reports.run import Run, Trial, read_run

TRIALS = {
    "trial": pa.int64(),
    "state": pa.string(),
    "move": pa.string(),
    "reason": pa.string(),
    "parent": pa.int64(),
    "family": pa.string(),
    "kimg": pa.float64(),
    "inspector": pa.string(),
    "seed": pa.int64(),
    "units": pa.int64(),
    "failure": pa.string(),
    "failed_in": pa.string(),
    "message": pa.string(),
    "attempts": pa.int64(),
    "asked_s": pa.float64(),
    "started_s": pa.float64(),
    "ended_s": pa.float64(),
}
"""Columns that every trials.parquet has. One for each score and cost follows by its own name, then `params.<dotted name>`, `conditions.<name>`, and
`rungs.<mark>`, the score at each rung, and `health.<name>`, what looks wrong about a trial."""

STAGES = {
    "trial": pa.int64(),
    "unit": pa.int64(),
    "stage": pa.string(),
    "class": pa.string(),
    "key": pa.string(),
    "reused": pa.bool_(),
    "seconds": pa.float64(),
    "device": pa.string(),
    "peak_memory_gib": pa.float64(),
}
STEPS = {
    "trial": pa.int64(),
    "time_s": pa.float64(),
    "unit": pa.int64(),
    "stage": pa.string(),
    "kimg": pa.float64(),
    "rung_score": pa.float64(),
    "stopped": pa.string(),
}
"""After them a column for each metric, `metrics.<name>`. `stopped` says why a trial ended at a rung."""


def write_parquet(run: Path | Run) -> list[Path]:
    """Writes the three tables into the run's folder and gives their paths.

    Raises:
        RecordError: the folder is no run, or a file in it is damaged.
    """
    read = run if isinstance(run, Run) else read_run(run)
    tables = {"trials": trial_table(read), "stages": stage_table(read), "steps": step_table(read)}
    return [_publish(read.folder / f"{name}.parquet", table) for name, table in tables.items()]


def trial_table(run: Run) -> pa.Table:
    """Gives a row for each trial, the running ones too."""
    return _table([_trial_row(trial) for trial in run.trials], TRIALS)


def stage_table(run: Run) -> pa.Table:
    """Gives a row for each stage of each finished trial."""
    rows = []
    for trial in run.trials:
        for stage in trial.record.stages if trial.record else []:
            row = {name: stage.get("cls" if name == "class" else name) for name in STAGES}
            rows.append(row | {"trial": trial.number})
    return _table(rows, STAGES)


def step_table(run: Run) -> pa.Table:
    """Gives a row for each step of each trial."""
    rows: list[dict[str, Any]] = []
    for trial in run.trials:
        path = trial_folder(run.folder, trial.number) / "steps.jsonl"
        if path.is_file():
            status = path.stat()
            rows += [{"trial": trial.number, **step} for step in _steps(path, status.st_mtime_ns, status.st_size)]
    return _table(rows, STEPS)


@functools.lru_cache(maxsize=4096)
def _steps(path: Path, changed: int, size: int) -> list[dict[str, Any]]:
    """Reads the steps of a trial; `changed` and `size` are the file's, so that a refresh reads only what is new."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            step = json.loads(line)
        except ValueError:
            continue  # A worker that was killed leaves half a line; what follows it is whole.
        row = {name: step.get(name) for name in STEPS if name != "trial"}
        rows.append(row | {f"metrics.{name}": float(value) for name, value in (step.get("metrics") or {}).items() if value is not None})
    return rows


def _trial_row(trial: Trial) -> dict[str, Any]:
    asked, record = trial.asked, trial.record
    row: dict[str, Any] = {
        "trial": trial.number,
        "state": trial.state,
        "move": asked.move,
        "reason": asked.reason,
        "parent": asked.parent,
        "family": trial.family,
        "kimg": (asked.recipe.get("generator") or {}).get("kimg"),
        "inspector": trial.inspector,
        "seed": asked.recipe.get("seed"),
        "units": trial.seeds,
        "asked_s": asked.time_s,
    }
    if record is not None:
        row |= {name: getattr(record, name) for name in ("failure", "failed_in", "message", "attempts", "started_s", "ended_s")}
        row |= {name: value if value is None else float(value) for name, value in record.scores.items()}
        row |= {f"conditions.{name}": value for name, value in record.conditions.items()}
        row |= {f"health.{name}": text for name, text in record.health.items()}
        row |= {f"rungs.{mark}": value if value is None else float(value) for mark, value in record.rungs.items()}
    return row | {f"params.{name}": value for name, value in asked.params.items()}


def _table(rows: list[dict[str, Any]], fixed: Mapping[str, pa.DataType]) -> pa.Table:
    """Builds a table with the fixed columns first; a column whose values are of several kinds becomes text."""
    columns = dict.fromkeys([*fixed, *sorted({name for row in rows for name in row} - set(fixed))])
    arrays = {name: _column([row.get(name) for row in rows], fixed.get(name)) for name in columns}
    return pa.table(arrays)


def _column(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is None:
        kinds = {type(value) for value in values if value is not None}
        if kinds <= {int, float} and kinds:
            kind = pa.int64() if kinds == {int} else pa.float64()
        elif kinds == {bool}:
            kind = pa.bool_()
        elif not kinds:
            kind = pa.float64()  # Only nulls so far, as test scores are before the end: these are numbers when they come.
        else:
            kind = pa.string()
            values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array([float(value) if value is not None and pa.types.is_floating(kind) else value for value in values], type=kind)


def _publish(path: Path, table: pa.Table) -> Path:
    """Writes aside and renames, so that a reader finds all of a table or the one before."""
    out = io.BytesIO()
    pq.write_table(table, out)
    with derived(path):
        write_whole(path, out.getvalue())
    return path
