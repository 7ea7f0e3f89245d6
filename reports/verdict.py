"""Does synthetic data help here? The answer, from the confirmed trials. Pure; used by the page and by the console.

The candidate and the baseline it is held against are both chosen on validation, before the test split is looked at. The interval is
Student's, over the differences between the two on the same replicates, or that of crossed seeds (`repeats`). It covers what the seeds change, not
which images were tested. Every other confirmed trial with synthetic images is held against the same baseline, its p value corrected for their number.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from reports.race import Layout, race
from reports.repeats import Components, Estimate, Seeds, components, estimate, grid, holm
from reports.run import Run, Trial, better, label

ALARM = "val_alarm_harmonic_mean"
"""Task zero_shot: whether an image is of any unseen class, which a baseline can be asked too."""


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
    repeats: Mapping[Seeds, float]
    """The test score by what each repeat is told from another by."""
    shares: Components | None
    """Where its variance comes from, where seeds are crossed."""


class Ranked(NamedTuple):
    """A confirmed trial in its place."""

    confirmed: Confirmed
    gain: Estimate | None
    """Its paired differences to the best real-only baseline, turned so that more is better; none for real-only ones, and with a single seed."""
    p: float | None
    """Of the two-sided paired t test, corrected after Holm for all trials with synthetic images."""


class Left(NamedTuple):
    """A candidate that the test split was not read for."""

    trial: int
    """Its last repeat."""
    of: int
    title: str
    round: int | None
    """In which round it was dropped; none where something else left it out."""
    why: str


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
    """Paired repeats; where seeds are crossed, generators, of which there are never more than inspectors."""
    best: Confirmed | None
    baseline: Confirmed | None
    confirmed: list[Confirmed]
    conditions: str
    paired: str
    """How many differences it rests on, in words."""
    ranking: list[Ranked]
    """The confirmed trials, best on test first; one inspector on real images alone, met under several names, once."""
    left: list[Left]
    """Who was repeated on validation alone."""


def headline_score(objectives: Mapping[str, str]) -> str:
    """Names the validation score the verdict is about, among objectives with their directions: the first that measures the inspector on images."""
    for score, direction in objectives.items():
        if score.startswith("val_") and direction == "maximize":
            return score
    return "val_accuracy"


def comparable_score(run: Run, score: str) -> str:
    """Gives the score that a verdict can hold baselines to as well."""
    return weighed_score(score, (trial.record.scores for trial in run.trials if trial.record is not None))


def weighed_score(score: str, known: Iterable[Mapping[str, float | None]]) -> str:
    """Gives `score`, but in task zero_shot the harmonic mean of the alarm, where the scores of any trial have it.

    A baseline on real images alone knows no unseen class by name. What it can be asked is whether an image is of any of them.
    """
    return ALARM if score == "val_harmonic_mean" and any(scores.get(ALARM) is not None for scores in known) else score


def verdict(run: Run) -> Verdict:
    """Weighs the confirmed best against the confirmed best real-only baseline."""
    val = comparable_score(run, headline_score(run.objectives))
    test = "test_" + val.removeprefix("val_")
    direction = run.objectives.get(val, "maximize")
    judged = run.keeping(run.complete(searched=False))
    confirmed = [found for trial in judged if (found := _confirmed(run, trial, val, test)) is not None]
    baseline = _chosen([item for item in confirmed if item.real_only], direction)
    best = _chosen([item for item in confirmed if not item.real_only], direction)
    ranking = _ranking(confirmed, baseline, direction)
    left = _left(run, val, confirmed)
    gains = _gains(best, baseline, direction) if best is not None and baseline is not None else {}
    told = estimate(gains)
    if baseline is None or best is None or told is None:
        return _unconfirmed(run, val, test, best, baseline, confirmed, ranking, left)
    paired = _paired(gains)
    conditions = f"{label(test)}; {run.conditions('test')}; {paired}; both chosen on validation"
    gain, low, high = told.mean, told.low, told.high
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
        f"The difference is {points(gain)} with a 95% interval from {points(low)} to {points(high)} over {paired}"
        + ("; it includes zero." if kind == "no_evidence" else ".")
    )
    seeds = len(table) if (table := grid(gains)) is not None else len(gains)
    return Verdict(kind, headline, detail, test, gain, low, high, seeds, best, baseline, confirmed, conditions, paired, ranking, left)


def points(gain: float) -> str:
    """Writes a difference of a score between 0 and 1 in points, with its sign."""
    return f"{100 * gain:+.1f} points".replace("-", "−")


def _unconfirmed(
    run: Run,
    val: str,
    test: str,
    best: Confirmed | None,
    baseline: Confirmed | None,
    confirmed: list[Confirmed],
    ranking: list[Ranked],
    left: list[Left],
) -> Verdict:
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
    conditions = f"{label(val)}; {run.conditions('val')}"
    return Verdict("unconfirmed", headline, detail, test, None, None, None, 0, best, baseline, confirmed, conditions, "", ranking, left)


def _confirmed(run: Run, trial: Trial, val: str, test: str) -> Confirmed | None:
    assert trial.record is not None
    repeats = {seeds: float(value) for seeds, unit in _units(trial) if (value := unit.get(test)) is not None}
    if not repeats:
        return None
    values, found = list(repeats.values()), estimate(repeats)
    low, high = (found.low, found.high) if found else (None, None)
    scored = trial.record.scores.get(val)
    title, mean = _title(trial), found.mean if found else values[0]
    shares = components(repeats)
    return Confirmed(trial.number, trial.asked.parent, title, trial.family is None, trial.inspector, values, mean, low, high, scored, repeats, shares)


def _title(trial: Trial) -> str:
    """Names what a confirmation confirms."""
    kind = trial.family or f"real only ({trial.asked.params.get('baseline', 'plain')})"
    return f"#{trial.number if trial.asked.parent is None else trial.asked.parent} {kind} + {trial.inspector}"


def _units(trial: Trial) -> list[tuple[Seeds, Mapping[str, float | None]]]:
    """Lists the scores of each unit with its seeds, or its position where these are not recorded."""
    assert trial.record is not None
    units, told = trial.record.units, trial.asked.recipe.get("units") or []
    if len(told) != len(units):
        return [((0, place, 0), unit) for place, unit in enumerate(units)]
    return [((own.get("generator", 0), own["inspector"], own.get("fold", 0)), unit) for own, unit in zip(told, units, strict=True)]


def _chosen(items: list[Confirmed], direction: str) -> Confirmed | None:
    """Takes the best on validation; test scores decide nothing here."""
    rated = [item for item in items if item.val is not None]
    return max(rated, key=lambda item: better(item.val or 0.0, direction)) if rated else None


def _gains(one: Confirmed, other: Confirmed, direction: str) -> dict[Seeds, float]:
    """Takes the differences to a real-only trial, repeat by repeat: that of the same inspector's seed and fold. It has no generator."""
    real = {(inspector, fold): value for (_, inspector, fold), value in other.repeats.items()}
    shared = {seeds: value for seeds, value in one.repeats.items() if seeds[1:] in real}
    if not shared:
        pairs = zip(one.test, other.test, strict=False)
        return {(0, place, 0): better(a, direction) - better(b, direction) for place, (a, b) in enumerate(pairs)}
    return {seeds: better(value, direction) - better(real[seeds[1:]], direction) for seeds, value in shared.items()}


def _paired(gains: Mapping[Seeds, float]) -> str:
    """Says how many differences there are."""
    table = grid(gains)
    return f"{len(gains)} paired seeds" if table is None else f"{len(table)} x {len(table[0])} paired seeds of generator and inspector"


def _ranking(confirmed: list[Confirmed], baseline: Confirmed | None, direction: str) -> list[Ranked]:
    """Orders the confirmed trials by their test score, and tests those with synthetic images against the best without.

    Real images alone that say the same repeat by repeat are one inspector under several names, and stand in one row.
    """
    alike: dict[tuple[object, ...], Confirmed] = {}
    for item in sorted(confirmed, key=lambda item: item.trial):
        alike.setdefault((item.inspector, *sorted(item.repeats.items())) if item.real_only else (item.trial,), item)
    order = sorted(alike.values(), key=lambda item: (-better(item.mean, direction), item.trial))
    gains = {item.trial: estimate(_gains(item, baseline, direction)) for item in order if baseline is not None and not item.real_only}
    tested = {trial: gain.p for trial, gain in gains.items() if gain is not None}
    corrected = dict(zip(tested, holm(list(tested.values())), strict=True))
    return [Ranked(item, gains.get(item.trial), corrected.get(item.trial)) for item in order]


def _left(run: Run, score: str, confirmed: list[Confirmed]) -> list[Left]:
    """Lists who was repeated on validation alone, with the round and the reason."""
    raced = {trial.asked.parent: trial for trial in run.trials if trial.raced and trial.asked.parent is not None}
    made = [trial for trial in run.trials if not trial.searched and trial.family]
    repeats = {of: [(trial.asked, trial.record) for trial in made if trial.asked.parent == of] for of in raced}
    judged = {of for of, own in repeats.items() if any(asked.recipe.get("judge") for asked, _ in own)}
    search = run.study.get("search")
    confirm = search.get("confirm") if isinstance(search, Mapping) else None
    layout = Layout(**{name: value for name, value in (confirm or {}).items() if name in Layout.__dataclass_fields__})
    found = race(list(raced), repeats, layout, score=score, direction=run.objectives.get(score, "maximize"), judged=judged)
    reasons = {item.of: item for item in found.dropped}
    unread = "still in the race" if found.open is not None else "not judged on test"
    return [
        Left(trial.number, of, _title(trial), reasons[of].round if of in reasons else None, reasons[of].why if of in reasons else unread)
        for of, trial in raced.items()
        if of is not None and of not in judged
    ]
