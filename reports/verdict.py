"""Does synthetic data help here? The answer, from the confirmed trials. Pure; used by the page and by the console.

The candidate and the baseline it is held against are both chosen on validation, before the test split is looked at. The interval is
Student's, over the differences between the two on the same replicates. It covers what the seeds change, not which images were tested.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from scipy.special import stdtrit

from reports.run import Run, Trial, better, label

CONFIDENCE = 0.95


class Confirmed(NamedTuple):
    """A trial that was repeated with fresh seeds and read on test."""

    trial: int
    """The confirming trial."""
    of: int | None
    """The trial it confirms."""
    title: str
    real_only: bool
    inspector: str | None
    test: list[float]
    """The test score of each seed."""
    mean: float
    low: float | None
    """Lower end of the t interval over seeds; none with a single seed."""
    high: float | None
    val: float | None
    """Validation score of the same repeats, which the choice is made by."""


class Verdict(NamedTuple):
    """The headline of a study, with the conditions that give it meaning."""

    kind: str
    """helps, hurts, no_evidence, unconfirmed."""
    headline: str
    detail: str
    score: str
    """The test score it speaks of."""
    gain: float | None
    """Mean paired difference to the best real-only baseline, turned so that more is better."""
    low: float | None
    high: float | None
    seeds: int
    best: Confirmed | None
    baseline: Confirmed | None
    confirmed: list[Confirmed]
    conditions: str


def interval(values: list[float]) -> tuple[float, float] | None:
    """Gives the Student t interval of the mean at 95 %; none for fewer than two values."""
    count = len(values)
    if count < 2:
        return None
    mean = sum(values) / count
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
    half = float(stdtrit(count - 1, 0.5 + CONFIDENCE / 2)) * spread / math.sqrt(count)
    return mean - half, mean + half


def headline_score(objectives: Mapping[str, str]) -> str:
    """Names the validation score the verdict is about, among objectives with their directions: the first that measures the inspector on images."""
    for score, direction in objectives.items():
        if score.startswith("val_") and direction == "maximize":
            return score
    return "val_accuracy"


def comparable_score(run: Run, score: str) -> str:
    """Gives the score that a verdict can hold baselines to as well: `score`, but in task zero_shot the harmonic mean of the alarm.

    A baseline on real images alone knows no unseen class by name. What it can be asked is whether an image is of any of them.
    """
    alarm = "val_alarm_harmonic_mean"
    known = any(trial.score(alarm) is not None for trial in run.trials)
    return alarm if score == "val_harmonic_mean" and known else score


def verdict(run: Run) -> Verdict:
    """Weighs the confirmed best against the confirmed best real-only baseline."""
    val = comparable_score(run, headline_score(run.objectives))
    test = "test_" + val.removeprefix("val_")
    direction = run.objectives.get(val, "maximize")
    confirmed = [found for trial in run.keeping(run.complete(searched=False)) if (found := _confirmed(run, trial, val, test)) is not None]
    baseline = _chosen([item for item in confirmed if item.real_only], direction)
    best = _chosen([item for item in confirmed if not item.real_only], direction)
    if baseline is None or best is None:
        return _unconfirmed(run, val, test, best, baseline, confirmed)
    gains = [better(a, direction) - better(b, direction) for a, b in _pairs(run, best, baseline)]
    seeds = len(gains)
    conditions = f"{label(test)}; {run.conditions('test')}; {seeds} paired seeds; both chosen on validation"
    ends = interval(gains)
    if ends is None:
        return _unconfirmed(run, val, test, best, baseline, confirmed)
    gain = sum(gains) / seeds
    low, high = ends
    kind = "helps" if low > 0 else "hurts" if high < 0 else "no_evidence"
    # Where a threshold decides what is unseen, nothing synthetic is used: what the generator learned of the embedding is.
    what = "the generator" if run.study.get("task") == "zero_shot" else "synthetic data"
    headline = {
        "helps": f"{what.capitalize()} helps here: {points(gain)} of {label(test)}",
        "hurts": f"{what.capitalize()} hurts here: {points(gain)} of {label(test)}",
        "no_evidence": f"No evidence that {what} helps here",
    }[kind]
    detail = (
        f"{best.title} reaches {best.mean:.3f}, the best real-only baseline {baseline.title} {baseline.mean:.3f}. "
        f"The difference is {points(gain)} with a 95% interval from {points(low)} to {points(high)} over {seeds} paired seeds"
        + ("; it includes zero." if kind == "no_evidence" else ".")
    )
    return Verdict(kind, headline, detail, test, gain, low, high, seeds, best, baseline, confirmed, conditions)


def points(gain: float) -> str:
    """Writes a difference of a score between 0 and 1 in points, with its sign."""
    return f"{100 * gain:+.1f} points".replace("-", "−")


def _unconfirmed(run: Run, val: str, test: str, best: Confirmed | None, baseline: Confirmed | None, confirmed: list[Confirmed]) -> Verdict:
    """Says what is known so far, and that it is no verdict."""
    direction = run.objectives.get(val, "maximize")
    rated = [(value, trial) for trial in run.keeping(run.complete()) if trial.family and (value := trial.score(val)) is not None]
    real = run.best_baseline(val)
    if not rated:
        detail = "No trial with synthetic images has finished yet."
    else:
        value, leader = max(rated, key=lambda pair: better(pair[0], direction))
        seeds = "one seed" if leader.seeds == 1 else f"{leader.seeds} seeds"
        detail = f"Best so far: {leader.title()} with {value:.3f} {label(val)} ({seeds})"
        if real is not None and (known := real.score(val)) is not None:
            detail += f"; best real-only baseline {known:.3f} ({real.title()})"
        detail += ". The best of many trials on validation looks better than it is: only repeats on the test split, with fresh seeds, decide."
    if run.running:
        headline = "No verdict yet: the search has not finished"
    elif best is not None and baseline is not None:
        headline = "No verdict: one seed has no interval"
    else:
        headline = "No verdict: the best trials were not confirmed on test"
    return Verdict("unconfirmed", headline, detail, test, None, None, None, 0, best, baseline, confirmed, f"{label(val)}; {run.conditions('val')}")


def _confirmed(run: Run, trial: Trial, val: str, test: str) -> Confirmed | None:
    assert trial.record is not None
    values = [float(value) for unit in trial.record.units if (value := unit.get(test)) is not None]
    if not values:
        return None
    ends = interval(values)
    parent = trial.asked.parent
    kind = trial.family or f"real only ({trial.asked.params.get('baseline', 'plain')})"
    title = f"#{trial.number if parent is None else parent} {kind} + {trial.inspector}"
    low, high = ends if ends else (None, None)
    return Confirmed(
        trial.number, parent, title, trial.family is None, trial.inspector, values, sum(values) / len(values), low, high, trial.record.scores.get(val)
    )


def _chosen(items: list[Confirmed], direction: str) -> Confirmed | None:
    """Takes the best on validation; test scores decide nothing here."""
    rated = [item for item in items if item.val is not None]
    return max(rated, key=lambda item: better(item.val or 0.0, direction)) if rated else None


def _pairs(run: Run, one: Confirmed, other: Confirmed) -> list[tuple[float, float]]:
    """Pairs the seeds of two confirmed trials by the inspector's replicate and the fold, or by position where that is not recorded."""
    trials = {trial.number: trial for trial in run.trials}

    def replicates(item: Confirmed) -> list[tuple[int, int]]:
        units = trials[item.trial].asked.recipe.get("units") or []
        if len(units) == len(item.test):
            return [(unit["inspector"], unit.get("fold", 0)) for unit in units]
        return [(number, 0) for number in range(len(item.test))]

    left, right = (dict(zip(replicates(item), item.test, strict=True)) for item in (one, other))
    shared = sorted(left.keys() & right.keys()) if len(left) == len(one.test) and len(right) == len(other.test) else []
    return [(left[replicate], right[replicate]) for replicate in shared] or list(zip(one.test, other.test, strict=False))
