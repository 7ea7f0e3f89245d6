"""Tables of what was stopped at rungs and how far rung scores are trusted, and of what looks wrong about trials that ended well. Called by `page`."""

from typing import NamedTuple

from reports.run import Run, Trial
from reports.trust import Pairs, bounds_of, describe, trust

SIGNS = {"low_diversity": "low diversity", "saturated": "saturated critic", "memorised": "memorised images"}


class Row(NamedTuple):
    """One family, or all together."""

    family: str
    scored: int
    """Trials that told a rung score."""
    stopped: int
    """Trials that ended at a rung."""
    generators: int
    """Generators with a final score beside the one at the rung."""
    correlation: float | None
    low: float | None
    high: float | None
    says: str
    weak: bool
    """Whether enough is known to say that rung scores are not worth stopping by."""


class Sign(NamedTuple):
    """Something that looks wrong about a trial."""

    trial: Trial
    name: str
    text: str


def stopping_rows(run: Run) -> list[Row]:
    """Says of each family with rung scores how far they are trusted, and of all together; empty where no trial has any."""
    told = [trial for trial in run.trials if trial.record is not None and trial.record.rungs and trial.searched and trial.family]
    if not told:
        return []
    bounds, known = bounds_of(run.study), Pairs(run.objectives, ((trial.asked, trial.record) for trial in run.trials)).known()
    rows = []
    for family in [*sorted({str(trial.family) for trial in told}), None]:
        mine = [trial for trial in told if family in (None, trial.family)]
        found = trust(known, family)
        stopped = sum(trial.state == "pruned" for trial in mine)
        rows.append(
            Row(
                family or "all, each ranked by itself",
                len(mine),
                stopped,
                found.generators,
                found.correlation,
                found.low,
                found.high,
                describe(found, bounds).partition(" (")[0],
                found.is_weak(bounds),
            )
        )
    return rows


def signs(run: Run) -> list[Sign]:
    """Lists what looks wrong about trials, in their order."""
    with_record = [(trial, trial.record) for trial in run.trials if trial.record is not None]
    return [Sign(trial, SIGNS.get(name, name.replace("_", " ")), text) for trial, record in with_record for name, text in record.health.items()]
