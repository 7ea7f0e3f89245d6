"""The records of a run: what is written when a trial is asked and when it has finished. The reader defines what must be written.

`search` writes these files, `reports` reads them:

    runs/<study>/study.yaml              the resolved study file
    runs/<study>/environment.json        what the whole run stands on; its keys are below
    runs/<study>/ended.json              {"reason", "budget", "sampler", "time_s"}: why the search ended before its trials were through, where it did
    runs/<study>/warm_start.parquet      what the search has learned from earlier runs before its first trial, where it was told to
    runs/<study>/ray.log                 what Ray says of workers that died, where any did
    runs/<study>/backgrounds.webp        sheet of defect-free images, where a family uses them
    runs/<study>/trials/00012/asked.json     Asked, when the trial is suggested
    runs/<study>/trials/00012/record.json    Record, when it has finished
    runs/<study>/trials/00012/steps.jsonl    one step a line, while it runs: {"time_s", "unit", "stage", "kimg", "rung_score", "metrics"};
                                             at a rung also "stopped": why the trial ends there, or null
    runs/<study>/trials/00012/samples.webp   contact sheet, laid out as Record.samples says
    runs/<study>/trials/00012/<sheet>.webp   what is particular to a family, in lines of tiles with 2 px of grey around each; elimination: training
                                             defects, the same with the defects taken away, real backgrounds, for each model of the trial
    runs/<study>/trials/00012/error.txt      traceback of a failure

`environment.json` is written once, when the run starts. Every key may be missing; the report then says "not recorded":

    command         the line that started the run, and that repeats it
    objectives      {score name: "maximize" | "minimize"}, aliases resolved; their order is that of study.yaml
    limits          {score name: {"at_most": bound} | {"at_least": bound}}: what a trial must keep to; aliases resolved
    trials          how many trials the study asks for
    seed            the study's seed
    fingerprint     content hash of the data set
    dataset         name of the data set
    protocol        "strict" | "paper"
    split_counts    {class: {"train": n, "val": n, "test": n}}, images
    split_hashes    {class: {"train": hash, "val": hash, "test": hash}}: equal where the images are the same, in every fold
    zero_shot       {"folds": [{"unseen": [class], "pretended_unseen": [[class]], "images": {"val" | "test": {"trained": n, "scored": n}}}]}: a fold
                    for each set of unseen classes; of `pretended_unseen`, a set for each draw, all are in turn unseen to what validation scores,
                    `unseen` to everything; images are means over draws; task zero_shot only. `run.pretended_sets` reads both this form and the
                    older one, a single set as a plain list
    extractor       "inception" | "inspector" | "random"
    extractor_hash  SHA-256 of its weights, where there are any
    floor           {score name: value}: the distance between two halves of the real images; else `<score>_floor[.<class>]` in a record counts
    precision       "fp32" | "bf16"
    device          what the stages ran on
    versions        {package or program: version}
    git             commit of the code
    code            {stage, `generators.<family>` or `inspectors.<kind>`: VERSION}: what the numbers were made by
    backgrounds     {"origin", "count", "columns", "tile_px"}: what backgrounds.webp shows
    notes           sentences that every reader must see, such as that a published split leaks
"""

import contextlib
import dataclasses
import errno
import json
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

FORMAT = 1
"""Version of the records; records of a newer version are refused."""

ENDED = "ended.json"
"""Derived from records, budget and clock; a run without it that is over its budget writes it anew."""
MOVES = ("baseline", "explore", "reuse", "promote", "confirm")
STATES = ("running", "complete", "pruned", "failed")


class RecordError(Exception):
    """A record that cannot be read: says which file, what is wrong and how to mend it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A trial as it was suggested."""

    format: int = FORMAT
    trial: int
    move: str
    """One of `MOVES`."""
    reason: str
    """Why this move was made, in a sentence."""
    parent: int | None = None
    """The trial whose generator is used again, or that is confirmed."""
    params: Mapping[str, Any]
    """Settings that vary, by dotted name: `generator.family`, `generator.dcgan.g_lr`, `generator.kimg`, `inspector.kind`, `baseline`, ..."""
    recipe: Mapping[str, Any]
    """The whole recipe, plain."""
    epoch: int
    """Epoch of the lease under which it was asked."""
    time_s: float
    """Unix time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A trial as it ended."""

    format: int = FORMAT
    trial: int
    state: Literal["complete", "pruned", "failed"]
    failure: str | None = None
    """diverged, collapsed, out_of_memory, bad_data, lost_worker or error; null unless failed."""
    failed_in: str | None = None
    """Stage that was at work when the trial failed, where it had said so: data, conditioning, generator, rung, pool, inspector, scores."""
    message: str | None = None
    """First line of what went wrong, or why the trial was stopped at a rung."""
    scores: Mapping[str, float | None] = field(default_factory=dict)
    """Scores and costs by name, means over units: val_accuracy, val_macro_f1, val_recall.<class>, val_kid_<extractor>, test_* (null unless judged),
    generator_params_m, inspector_params_m, inspector_gmadds, inspector_ms_per_image, generator_s, inspector_s, trial_s, peak_memory_gib, ..."""
    units: list[Mapping[str, float | None]] = field(default_factory=list)
    """The same for each unit."""
    confusion: Mapping[str, list[list[int]]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    curves: Mapping[str, list[list[float | None]]] = field(default_factory=dict)
    """`val_robustness.<corruption>` -> of each unit, the task's first score at severities 0, the images as they are, to 5."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    unit_conditions: list[Mapping[str, Any]] = field(default_factory=list)
    """What each unit's numbers hold for beside `conditions`. Task zero_shot: `unseen`, a list of classes, and `pretended_unseen`, such a list for
    each draw; `draw_scores`, the validation scores of each draw, where there are several; `train_images` and `val_images` of the search's courses, as
    means over draws; `judged_train_images` and `test_images`, where the test split was read."""
    rungs: Mapping[str, float | None] = field(default_factory=dict)
    """Mark in kimg, as text -> rung score of the first unit's generator there, lower is better; null where it could not be measured."""
    rung_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Mark -> the distances that the study weighs as they were measured there, by score name; only where it weighs several."""
    health: Mapping[str, str] = field(default_factory=dict)
    """What looks wrong about a trial that has ended well, each in a sentence: low_diversity, saturated (the critic), memorised."""
    stages: list[Mapping[str, Any]] = field(default_factory=list)
    """unit, stage, cls, key, reused, seconds, device, peak_memory_gib."""
    samples: Mapping[str, Any] | None = None
    """Layout of samples.webp: {"classes": [...], "columns": n, "tile_px": n, "gap_px": n, "rows": ["real", "synthetic", "mask", "nearest"]}.

    A class has one line of tiles per row kind; `gap_px` (0 where it is missing) lies before every tile, across and down."""
    attempts: int = 1
    gpus: float = 0.0
    """Share of a GPU that the trial held while it ran."""
    stored_bytes: int | None = None
    """What the trial published in the store; null where that was not counted."""
    started_s: float
    ended_s: float
    epoch: int


R = TypeVar("R", Asked, Record)


def write_whole(path: Path, data: bytes, *, flush: bool = False) -> None:
    """Writes a file aside and renames it, so that a reader finds all of it or nothing; with `flush`, it is on the disk before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            if flush:
                os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def append_whole(path: Path, data: bytes) -> None:
    """Adds to the end of a file; where not all of it could be written, the file is cut back to what it was."""
    with path.open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                file.truncate(before)
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def derived(path: Path) -> Iterator[None]:
    """Guards the writing of a file that is made from the records, and can be made anew.

    Raises:
        RecordError: the disk is full, or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        cure = "Free some space there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Make the folder writable"
        raise RecordError(
            f"{path}: cannot be written ({error.strerror or error}). Every finished trial is kept.\n  {cure}, then: tundish report {path.parent}"
        ) from error


def write_json(path: Path, data: Any) -> None:
    """Writes a JSON file whole, flushed to the disk first."""
    write_whole(path, json.dumps(data, sort_keys=True, allow_nan=False).encode(), flush=True)


def write_record(folder: Path, record: Asked | Record) -> None:
    """Publishes a record into its trial's folder."""
    plain = {item.name: getattr(record, item.name) for item in dataclasses.fields(record)}
    write_json(folder / ("asked.json" if isinstance(record, Asked) else "record.json"), plain)


def read_record(folder: Path, kind: type[R]) -> R | None:
    """Reads a trial's record; None where it was not yet written.

    Raises:
        RecordError: the file is damaged or of a newer version.
    """
    path = folder / ("asked.json" if kind is Asked else "record.json")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] > FORMAT:
            raise RecordError(f"{path}: written by a newer Tundish (format {plain['format']}; this one reads up to {FORMAT}).\n  Update Tundish.")
        known = {item.name for item in dataclasses.fields(kind)}
        return kind(**{name: value for name, value in plain.items() if name in known})
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: not a readable record ({error}).\n  Move the folder {folder} away; the trial will be run again.") from error


def trial_folder(run: Path, trial: int) -> Path:
    """Gives the folder of one trial."""
    return run / "trials" / f"{trial:05d}"


def trial_numbers(run: Path) -> list[int]:
    """Lists the trials of a run that have a folder, in order."""
    folder = run / "trials"
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []
