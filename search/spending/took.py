"""What ended trials took, and which trials are to come: what forecasts and budgets are made of."""

import contextlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from reports.records import Asked, Record, RecordError
from reports.run import read_run
from search.confirm import TWIN, Left, left, most
from search.memory.earlier import folder_of
from search.studies.recipes import baseline_params
from search.studies.study import Study


class Took(NamedTuple):
    """What one ended trial took."""

    move: str
    baseline: str | None
    family: str | None
    inspector: str
    size_px: int
    device: str
    units: int
    wall_s: float
    kimg_s: float | None
    """Seconds for a thousand images shown to the generator of one unit; None where none was trained."""
    rest_s: float | None
    """Seconds behind the generator, of one unit; None where its inspector was found ready."""
    stored_gib: float | None
    gpus: float
    judged: bool = True
    """False for a confirmation that is a round of the race."""
    asked: Asked | None = None
    record: Record | None = None
    """The trial itself, where it is one of a study's own."""


def took(asked: Asked, record: Record) -> Took:
    """Reads off a trial what it took."""
    recipe = asked.recipe
    part, units = recipe.get("generator"), max(1, len(recipe.get("units") or [None]))
    wall_s = max(0.0, record.ended_s - record.started_s)
    made_s = sum(float(stage["seconds"]) for stage in record.stages if stage["stage"] == "generator" and not stage["reused"])
    seconds = record.scores.get("generator_s") if part else None
    trained = any(stage["stage"] == "inspector" and not stage["reused"] for stage in record.stages)
    whole = record.state == "complete" and trained
    return Took(
        move=asked.move,
        baseline=asked.params.get("baseline"),
        family=part["family"] if part else None,
        inspector=str(recipe["inspector"]["kind"]),
        size_px=int((recipe.get("data") or {}).get("size_px", 0)),
        device=next((str(stage["device"]).partition(":")[0] for stage in record.stages if "device" in stage), ""),
        units=units,
        wall_s=wall_s,
        kimg_s=None if seconds is None or not part else seconds / float(part["kimg"]),
        rest_s=max(0.0, wall_s - made_s) / units if whole else None,
        stored_gib=None if record.stored_bytes is None else record.stored_bytes / 2**30,
        gpus=record.gpus,
        judged=bool(recipe.get("judge", True)),
        asked=asked,
        record=record,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Todo:
    """The trials to come."""

    baselines: tuple[str, ...] = ()
    """The inspector of each."""
    search: int = 0
    confirm_real: int = 0
    """Confirmations of baselines."""
    confirm_leaders: int = 0
    confirm_twins: int = 0
    """Confirmations of leaders' inspectors on real images alone."""
    confirm_race: int = 0
    """Rounds of leaders' race on validation, at most: who is dropped has none."""
    raced: int = 0
    """Seeds of the inspector that leaders have behind them."""

    @property
    def trials(self) -> int:
        """How many they are."""
        return len(self.baselines) + self.search + self.confirm_real + self.confirm_leaders + self.confirm_twins + self.confirm_race


def todo(study: Study, ended: Iterable[Took], *, closed: bool = False) -> Todo:
    """Counts what is left of a study. Confirmations are counted one by one once the search is through; before, as many as there may be at most.

    Args:
        study: the study.
        ended: its trials that have ended.
        closed: whether nothing more is searched.
    """
    known = list(ended)
    inspectors = [str(point["inspector.kind"]) for point in baseline_params(study.space, study.search.baselines)]
    baselines = sum(item.move == "baseline" for item in known)
    searched = sum(item.move not in ("baseline", "confirm") for item in known)
    search = 0 if closed else max(0, max(study.search.trials, len(inspectors)) - len(inspectors) - searched)
    ahead = _confirmations(study, known, through=search == 0 and baselines >= len(inspectors))
    return Todo(
        baselines=tuple(inspectors[baselines:]),
        search=search,
        confirm_real=ahead.real,
        confirm_leaders=ahead.leaders,
        confirm_twins=ahead.twins,
        confirm_race=ahead.race,
        raced=ahead.raced,
    )


def _confirmations(study: Study, known: Sequence[Took], *, through: bool) -> Left:
    """Counts the confirmations that have not ended."""
    trials = [(item.asked, item.record) for item in known if item.asked is not None and item.record is not None]
    if not through or len(trials) < len(known):
        # In a study that was extended the baselines are confirmed, but its leaders may be others in the end.
        real = sum(item.move == "confirm" and item.baseline not in (None, TWIN) for item in known)
        bound = most(study)
        return bound._replace(real=max(0, bound.real - real))
    return left(study, {asked.trial: asked for asked, _ in trials}, {record.trial: record for _, record in trials})


def parallelism(records: Iterable[Record]) -> float:
    """Says how many trials the last driver of a run ran at a time, from its records; 1 where there are none."""
    known = list(records)
    newest = max((record.epoch for record in known), default=0)
    last = [record for record in known if record.epoch == newest]
    spans = [(record.started_s, record.ended_s) for record in last]
    together = covered_s(spans)
    return max(1.0, sum(end - start for start, end in spans) / together) if together > 0 else 1.0


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Gives the seconds in which at least one of some spans (start, end) lasts."""
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def earlier_trials(study: Study, *, device: str) -> list[Took]:
    """Reads what the trials of other runs took on the same kind of device; a run that cannot be read says nothing.

    Args:
        study: what is foreseen. The runs beside its own are read, and those that it learns from, wherever they lie.
        device: cpu or cuda.
    """
    beside = (path.parent for path in Path(study.storage.runs).glob("*/study.yaml"))
    folders = {folder.resolve() for folder in (*beside, *map(folder_of, study.search.warm_start))}
    found = []
    for folder in sorted(folders - {study.run_folder.resolve()}):
        with contextlib.suppress(RecordError):
            found += [took(trial.asked, trial.record) for trial in read_run(folder).trials if trial.record is not None]
    return [item for item in found if item.device == device]
