"""Seen and unseen classes in the report of a zero-shot study: a table of the scores that belong together, and what must be kept in mind. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from reports.run import Run, Trial, better
from reports.verdict import headline_score

SCORES = {
    "seen": "seen",
    "unseen": "unseen",
    "harmonic_mean": "harmonic mean",
    "zsl_accuracy": "among unseen alone",
    "unseen_found": "unseen found",
    "auc_unseen": "AUROC",
    "reading_error": "reading error",
}
"""Base of a score -> heading of its column."""
UNREAD = 0.5
"""Reading error from which on an embedding counts as not read. Below, half of the seen classes' images surely lie nearest to their own class's
vector, whichever way they miss it. In the 42 trials of two searches on drawn textures the AUROC was at least 0.90 below it, but for one setting at
0.47, and at most 0.80 above."""


class Row(NamedTuple):
    """One trial."""

    trial: Trial
    kind: str
    """Generator with its class embedding, or real only."""
    stands: str
    """What stands for an unseen class: real, ridge_mapped, dissimilarity_threshold."""
    values: list[float | None]
    """In the order of `SCORES`."""


class Table(NamedTuple):
    """The scores of some trials on one split."""

    split: str
    rows: list[Row]
    unread: str | None
    """What must be said of those whose class embedding is not read; none where all are."""


def is_zero_shot(run: Run) -> bool:
    """Tells whether a run is of task zero_shot."""
    return run.study.get("task") == "zero_shot"


def tables(run: Run) -> list[Table]:
    """Gives the table of the confirmed trials on test, and the best of each variant on validation; those that have a row."""
    if not is_zero_shot(run):
        return []
    confirmed = [_row(trial, "test") for trial in run.complete(searched=False) if trial.score("test_seen") is not None]
    found = [("test", confirmed), ("val", [_row(trial, "val") for trial in _leaders(run)])]
    return [Table(split, rows, unread([row.trial for row in rows], (split,))) for split, rows in found if rows]


def notes(run: Run) -> list[str]:
    """Says what every reader must know of these scores."""
    if not is_zero_shot(run):
        return []
    told = [
        "Validation scores are of classes that were pretended to be unseen; the truly unseen ones were read on test alone. What tells pretended ones "
        "from the others need not tell the true ones.",
    ]
    if any(_by_alarm(trial) for trial in run.complete()):
        told.append(
            "Real only, and dissimilarity_threshold, raise an alarm and name no unseen class: for them an alarm counts as right. The others must "
            "name it. Hold them to each other by “unseen found”, which asks all of them for the alarm alone, and by AUROC."
        )
    return [*told, *filter(None, [unread([*run.complete(), *run.complete(searched=False)], ("val", "test"))])]


def unread(trials: Sequence[Trial], splits: Sequence[str]) -> str | None:
    """Says in a sentence of which trials the class embedding is not read on some of these splits; none where it is of all that have one."""
    found = [f"#{trial.number}" for trial in trials if any((trial.score(f"{split}_reading_error") or 0.0) >= UNREAD for split in splits)]
    if not found:
        return None
    return (
        f"In {', '.join(found)} the class embedding is not read yet (reading error of {UNREAD} or more), so that dissimilarity means nothing there, "
        "and neither does an AUROC or an alarm that rests on it."
    )


def stands_for_unseen(trial: Trial) -> str:
    """Says what stands for an unseen class in a trial."""
    return "dissimilarity_threshold" if trial.family is None else str((trial.asked.recipe.get("zero_shot") or {}).get("unseen_ce", "ridge_mapped"))


def _by_alarm(trial: Trial) -> bool:
    return stands_for_unseen(trial) == "dissimilarity_threshold"


def _kind(trial: Trial) -> str:
    if trial.family is None:
        return f"real only ({trial.asked.params.get('baseline', 'plain')})"
    embedding = trial.asked.params.get(f"generator.{trial.family}.conditioning")
    return f"{trial.family}, {embedding}" if embedding else trial.family


def _row(trial: Trial, split: str) -> Row:
    return Row(trial, _kind(trial), stands_for_unseen(trial), [trial.score(f"{split}_{base}") for base in SCORES])


def _leaders(run: Run) -> list[Trial]:
    """Finds the best trial of each variant, best first."""
    score = headline_score(run.objectives)
    direction = run.objectives.get(score, "maximize")
    best: dict[tuple[str, str], tuple[float, Trial]] = {}
    for trial in run.complete():
        value = trial.score(score)
        name = _kind(trial), stands_for_unseen(trial)
        if value is not None and (name not in best or better(value, direction) > better(best[name][0], direction)):
            best[name] = value, trial
    return [trial for _, trial in sorted(best.values(), key=lambda pair: (-better(pair[0], direction), pair[1].number))]
