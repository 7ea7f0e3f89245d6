"""Hands a run's inspector over as files: `tundish winner RUN --out FOLDER`. Imports torch.

Beside the weights stand the classes that their outputs are for, so that a later study, on more classes, can begin with them: `start_from`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save

from reports.growth import winner
from reports.records import write_whole
from reports.run import Run, Trial, read_run
from search.studies.study import StudyError
from search.studies.study_file import load_study
from trainables.inspectors.local_weights import CLASSES
from trainables.inspectors.stage import STAGE
from trainables.store import Entry, Store
from trainables.tasks.segment import BACKGROUND

WEIGHTS, CARD = "weights.safetensors", "winner.json"
HEAD = "head"
"""Stage, and last layer, of an inspector whose last layer was learned anew on synthetic features."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Handed:
    """What was written."""

    weights: Path
    trial: Trial
    why: str
    kind: str
    """Of the inspector."""
    classes: tuple[str, ...]
    """What its outputs stand for, in their order; empty for a detector's one."""


def hand_over(folder: Path, out: Path, *, trial: int | None = None) -> Handed:
    """Writes the inspector of a run's winner, or of a named trial, as its first repeat trained it.

    Args:
        folder: of the run.
        out: where the files go: weights.safetensors, winner.json.
        trial: number of the trial; None takes the one that is best on validation among those confirmed, or among all where none was.

    Raises:
        StudyError: there is no such trial, it did not come to its end, or its inspector is not in the store.
        StoreError: the store cannot be read.
    """
    study = load_study(folder / "study.yaml")
    if study.task == "zero_shot":
        raise StudyError(f"{folder}: its winner is more than an inspector; `tundish system {folder} --out FOLDER` writes the whole system.")
    chosen, why = _choose(read_run(folder), trial)
    assert chosen.record is not None
    store = Store(study.storage.store)
    own = [row for row in chosen.record.stages if row.get("unit", 0) == 0]
    # The last one: others before it serve as extractor and filter.
    entry = _entry(store, STAGE, [str(row["key"]) for row in own if row["stage"] == STAGE], folder)
    tensors = load(entry.read(WEIGHTS))
    if keys := [str(row["key"]) for row in own if row["stage"] == HEAD]:
        learned = load(_entry(store, HEAD, keys, folder).read(WEIGHTS))
        tensors |= {f"{HEAD}.{name}": value for name, value in learned.items()}
    classes = _outputs(chosen.record.classes, int(entry.info["num_classes"]))
    write_whole(out / WEIGHTS, save(tensors, metadata={CLASSES: json.dumps(classes)} if classes else None))
    card = {
        "run": str(folder),
        "trial": chosen.number,
        "chosen": why,
        "task": study.task,
        "inspector": {name: entry.info[name] for name in ("kind", "config", "size_px", "channels", "num_classes")},
        "preprocess": chosen.asked.recipe.get("preprocess"),
        "classes": classes,
        "scores": _known(chosen.record.scores),
    }
    write_whole(out / CARD, json.dumps(card, indent=2, allow_nan=False).encode())
    return Handed(weights=out / WEIGHTS, trial=chosen, why=why, kind=str(entry.info["kind"]), classes=tuple(classes))


def _choose(run: Run, number: int | None) -> tuple[Trial, str]:
    """Finds the trial, and says why it is that."""
    complete = {trial.number: trial for trial in run.trials if trial.state == "complete"}
    if number is not None:
        if number not in complete:
            state = next((trial.state for trial in run.trials if trial.number == number), None)
            what = f"trial {number} is {state}" if state else f"there is no trial {number}"
            raise StudyError(f"{run.folder}: {what}; finished are {', '.join(map(str, complete)) or 'none'}")
        return complete[number], "as asked for"
    if (found := winner(run)) is None:
        raise StudyError(f"{run.folder}: no trial has finished yet.\n  Let the study run on: tundish run STUDY")
    return found.trial, "the best on validation of those confirmed on test" if found.confirmed else "best on validation; not confirmed"


def _entry(store: Store, stage: str, keys: Sequence[str], folder: Path) -> Entry:
    """Opens the last of some results of a trial."""
    entry = store.lookup(stage, keys[-1]) if keys else None
    if entry is None:
        raise StudyError(
            f"{folder}: the inspector is not in the store {store.root} any more.\n  Run the study again; it makes what is missing: tundish run STUDY"
        )
    return entry


def _outputs(kinds: Sequence[str], outputs: int) -> list[str]:
    """Names the outputs among what a record says that the inspector tells apart; background has no output, and a detector's one is of no class."""
    named = [kind for kind in kinds if kind != BACKGROUND]
    return named if len(named) == outputs else []


def _known(scores: Any) -> dict[str, float]:
    return {name: value for name, value in scores.items() if value is not None}
