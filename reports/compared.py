"""Who is looked at closely: the best trial with synthetic images beside the best on real images alone, as they were confirmed on test.

Before a confirmation, the two that are best on validation. Used by the figures of groups, robustness and confusion.
"""

from typing import NamedTuple

from reports.figures.style import PALETTE, REAL
from reports.repeats import interval
from reports.run import Run, Trial, better
from reports.verdict import headline_score, verdict


class Mean(NamedTuple):
    """A number over the units of a trial."""

    value: float
    low: float | None
    """Lower end of the 95 % t interval over units; none with a single one."""
    high: float | None
    units: int


class Side(NamedTuple):
    """One of the two."""

    trial: Trial
    title: str
    """Whose repeats these are: `#12 dcgan + resnet18`."""

    @property
    def shade(self) -> str:
        return PALETTE[0] if self.trial.family else REAL

    def mean(self, score: str) -> Mean | None:
        """Takes a score over the units; none where one lacks it."""
        units = self.trial.record.units if self.trial.record else []
        return mean([unit.get(score) for unit in units])


class Compared(NamedTuple):
    """The two, real images alone first, and the split that both were scored on."""

    split: str
    sides: list[Side]


def compared(run: Run) -> Compared | None:
    """Chooses the two, on validation in either case; only one of them where the other is not there yet."""
    found, trials = verdict(run), {trial.number: trial for trial in run.trials}
    if chosen := [item for item in (found.baseline, found.best) if item is not None]:
        return Compared("test", [Side(trials[item.trial], item.title) for item in chosen])
    score = headline_score(run.objectives)
    direction = run.objectives.get(score, "maximize")
    rated = [(better(value, direction), trial) for trial in run.keeping(run.complete()) if trial.family and (value := trial.score(score)) is not None]
    best = max(rated, key=lambda pair: pair[0])[1] if rated else None
    sides = [Side(trial, trial.title()) for trial in (run.best_baseline(score), best) if trial is not None]
    return Compared("val", sides) if sides else None


def mean(values: list[float | None]) -> Mean | None:
    """Gives the mean of some numbers with its interval; none where there are none, or one is missing."""
    known = [float(value) for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    low, high = interval(known) or (None, None)
    return Mean(sum(known) / len(known), low, high, len(known))
