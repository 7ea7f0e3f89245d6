"""Where a run stands, from its records alone: counts, the best so far, the real-only baseline. For the console, `status` and `runs`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Leader:
    """A finished trial and its value of one objective."""

    trial: int
    value: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The best trial with synthetic images beside the best on real images alone, by one objective on validation."""

    best: Leader | None
    baseline: Leader | None
    maximize: bool

    def gain(self) -> float | None:
        """Gives by how much the best is better than the baseline, positive where it is; null until there are both."""
        if self.best is None or self.baseline is None:
            return None
        gain = self.best.value - self.baseline.value
        return gain if self.maximize else -gain


def standing(finished: Iterable[tuple[Asked, Record]], objective: str, direction: str) -> Standing:
    """Compares the finished trials of a run by one objective.

    Trials of the confirmation enter neither side: they repeat settings under other seeds, so that their luck would count twice.
    """
    maximize = direction == "maximize"
    sides: dict[bool, Leader | None] = {True: None, False: None}
    for asked, record in finished:
        value = record.scores.get(objective)
        if record.state != "complete" or value is None or asked.move == "confirm":
            continue
        is_baseline = asked.move == "baseline"
        leader = sides[is_baseline]
        if leader is None or (value > leader.value if maximize else value < leader.value):
            sides[is_baseline] = Leader(trial=asked.trial, value=value)
    return Standing(best=sides[False], baseline=sides[True], maximize=maximize)


def read_trials(run: Path) -> tuple[list[tuple[Asked, Record]], list[Asked]]:
    """Reads the finished trials of a run, and those that were asked and have not finished."""
    finished, unfinished = [], []
    for trial in trial_numbers(run):
        folder = trial_folder(run, trial)
        asked = read_record(folder, Asked)
        if asked is None:
            continue
        record = read_record(folder, Record)
        if record is None:
            unfinished.append(asked)
        else:
            finished.append((asked, record))
    return finished, unfinished


def describe(params: Mapping[str, Any]) -> str:
    """Says in a few words what a trial tries: its baseline, or generator, amount and inspector."""
    inspector = str(params.get("inspector.kind", "?"))
    if (family := params.get("generator.family")) is None:
        return f"real only, {params.get('baseline', 'plain')} + {inspector}"
    amounts = [f"{name.rpartition('.')[2]} {value:g}" for name, value in params.items() if _is_amount(name, value)]
    kimg = params.get("generator.kimg")
    parts = [str(family) + (f" {kimg:g} kimg" if isinstance(kimg, int | float) else ""), *amounts, inspector]
    return " + ".join(parts)


def _is_amount(name: str, value: Any) -> bool:
    kinds = ("fraction", "per_class", "multiple", "top_up_to", "balance")
    return name.startswith("synthesis.") and name.rpartition(".")[2] in kinds and isinstance(value, int | float)
