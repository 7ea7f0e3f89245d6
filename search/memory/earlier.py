"""An earlier run as it is read: its trials.parquet and stages.parquet, and the study.yaml and environment.json beside them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from search.studies.study import Study
from spaces.domains import Domain, nearest
from spaces.space import flatten
from trainables.scores.names import EXTRACTORS

TRIALS = ("trial", "state", "move", "failure", "ended_s", "params.generator.family", "params.generator.kimg", "params.inspector.kind")
"""Columns that every trials.parquet of a run with a finished trial of its search has."""
STAGES = ("trial", "stage", "key", "seconds")
REAL_ONLY, REPEATS = "baseline", "confirm"


class Unusable(Exception):
    """An earlier run that nothing can be learned from: says which file, why, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierRun:
    """What the files of a run say, as plain data."""

    name: str
    """As the study file names it."""
    folder: Path
    study: Mapping[str, Any]
    """Its resolved study file."""
    environment: Mapping[str, Any]
    trials: Sequence[Mapping[str, Any]]
    """A row for each trial, without what is null, in the order of their ends; unfinished ones last."""
    stages: Mapping[int, Sequence[Mapping[str, Any]]]
    """Rows of each trial."""

    @property
    def searched(self) -> list[Mapping[str, Any]]:
        """The trials of its search that have ended: neither baselines nor confirmations."""
        return [row for row in self.trials if row["move"] not in (REAL_ONLY, REPEATS) and row["state"] != "running"]

    @property
    def objectives(self) -> dict[str, str]:
        """Score -> direction, in the order of its study file."""
        plain = self.study.get("objectives")
        return {str(name): str(way) for name, way in plain.items()} if isinstance(plain, Mapping) else {}

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What was decided when it started."""
        return self.section("resolved")

    def section(self, name: str) -> Mapping[str, Any]:
        """Gives a section of its study file; empty where there is none."""
        plain = self.study.get(name)
        return plain if isinstance(plain, Mapping) else {}

    def space(self, known: Mapping[str, Domain]) -> dict[str, Any]:
        """Gives its space by dotted name, each a value, a list or a range `{low, high}`."""
        return dict(flatten(self.section("space"), known))


def folder_of(given: str) -> Path:
    """Gives the folder of a run that is named by it or by its trials.parquet."""
    place = Path(given).expanduser()
    return place.parent if place.suffix == ".parquet" else place


def read_earlier(given: str, study: Study) -> EarlierRun:
    """Reads a run.

    Args:
        given: its folder, or its trials.parquet.
        study: the one that is to learn from it.

    Raises:
        Unusable: it is no run, is the study's own, lacks a file or a column, or has no finished trial of a search.
    """
    place, folder = Path(given).expanduser(), folder_of(given)
    if folder.resolve() == study.run_folder.resolve():
        raise Unusable(f"{given}: this is the study's own run, which knows its trials anyway; name another one")
    if not place.exists():
        others = [str(path.parent) for path in sorted(Path(study.storage.runs).glob("*/study.yaml")) if path.parent.name != study.name]
        raise Unusable(f"{given}: there is no such run" + (f"; {nearest(given, others)}" if others else ""))
    if not (folder / "study.yaml").is_file():
        raise Unusable(f"{given}: no run: there is no {folder / 'study.yaml'}, which says what its settings mean; expected a run's folder")
    trials = _read(place if place.suffix == ".parquet" else folder / "trials.parquet", TRIALS, folder)
    stages = _read(folder / "stages.parquet", STAGES, folder)
    rows = sorted(trials, key=lambda row: (row.get("ended_s") is None, row.get("ended_s", 0.0), row["trial"]))
    by_trial: dict[int, list[Mapping[str, Any]]] = {}
    for stage in stages:
        by_trial.setdefault(int(stage["trial"]), []).append(stage)
    found = EarlierRun(name=str(folder), folder=folder, study=_plain(folder), environment=_environment(folder), trials=rows, stages=by_trial)
    if not found.searched:
        raise Unusable(f"{given}: no trial of its search has ended, so that there is nothing to learn from it")
    return found


def _read(path: Path, columns: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """Reads a table as rows without nulls.

    Raises:
        Unusable: it is missing, no Parquet, or lacks a column.
    """
    anew = f"`tundish report {folder}` writes it anew"
    if not path.is_file():
        raise Unusable(f"{path}: missing; {anew}")
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise Unusable(f"{path}: cannot be read as Parquet ({error}); {anew}") from error
    if "params.generator.family" in columns and len(table) and not any(name.startswith("params.generator.") for name in table.column_names):
        raise Unusable(f"{path}: no trial with synthetic images in it, so that there is nothing to learn from it")
    lacking = [name for name in columns if name not in table.column_names]
    if lacking:
        told = "; ".join(f"no column {name}, {nearest(name, table.column_names)}" for name in lacking)
        raise Unusable(f"{path}: {told}. Expected the table of a run as Tundish writes it; {anew}")
    return [{name: value for name, value in row.items() if value is not None} for row in table.to_pylist()]


def _plain(folder: Path) -> Mapping[str, Any]:
    path = folder / "study.yaml"
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Unusable(f"{path}: cannot be read ({error}); it says what the run's settings mean") from error
    if not isinstance(plain, Mapping):
        raise Unusable(f"{path}: no study, which is to say what the run's settings mean")
    return plain


def _environment(folder: Path) -> Mapping[str, Any]:
    """Reads what a run stood on; nothing where that cannot be read: nothing is then known to be equal."""
    try:
        plain = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return plain if isinstance(plain, Mapping) else {}


def alike(score: str) -> str:
    """Names a score whatever the features that it is measured in: the same of two runs that have other extractors."""
    base, dot, cls = score.partition(".")
    base = "val_frechet" if base == "val_fid" else base
    for extractor in EXTRACTORS:
        base = base.removesuffix(f"_{extractor}")
    return f"{base}{dot}{cls}"
