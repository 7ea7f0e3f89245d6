"""What is left of a study, in time, GPU-hours and disk: a range, from what earlier trials took. One computation, for the console, `tundish status`,
`run --dry-run` and the budget, which keeps what the confirmations will take.

A range is honest about how little is known: the trials there are stand for others by bootstrap, so that few of them give a wide range, and what was
measured of another size, family or inspector, or in a probe alone, is off by an unknown factor besides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search.confirm import TWIN
from search.spending.took import Todo, Took
from search.studies.study import Study
from spaces.domains import Choice, Fixed

Array = NDArray[np.float64]

DRAWS = 400
"""Courses that the rest of a study may take, drawn for each forecast."""
MOST_TRIALS = 100
"""Trials of one kind that are drawn in each; more of them are taken to go on as these."""
ENOUGH = 3
"""Ended trials of the search from which they alone stand for those to come."""
UNSURE, BORROWED, STRANGE = 0.4, 0.5, 1.0
"""Standard deviation of the logarithm of the unknown factor: for one measurement (shrinking with the root of their number), for those of another
image size, for those of another family or inspector."""
POOL = 300
"""Made-up trials that stand for a search which has not begun."""
DIAGNOSED = 2.0
"""Times an inspector's training that it takes where synthetic images are diagnosed too: of the two more inspectors, one is most often there."""


class Range(NamedTuple):
    """Percentiles 10, 50 and 90."""

    low: float
    typical: float
    high: float

    def times(self, factor: float) -> "Range":
        """Gives the range in another unit."""
        return Range(self.low * factor, self.typical * factor, self.high * factor)


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What is left."""

    trials: int
    """Trials to come, confirmations included."""
    hours: Range
    """Wall time."""
    gpu_hours: Range
    disk_gib: Range | None
    """Added to the store; None where no trial noted what it stored."""
    from_trials: int
    """How many ended trials it rests on."""


class Group(NamedTuple):
    """Trials of one kind to come."""

    trials: int
    pool: Array
    """Seconds of trials like them."""
    spread: float
    """Of the logarithm of the factor by which all of them may be off."""


def forecast(
    study: Study, ahead: Todo, own: Sequence[Took], earlier: Sequence[Took] = (), *, workers: float, gpus: float = 0.0, device: str = ""
) -> Forecast | None:
    """Says what is left; None where nothing is known of it.

    Args:
        study: the study.
        ahead: the trials to come.
        own: the study's own ended trials.
        earlier: those of other runs, and of a probe.
        workers: trials at a time.
        gpus: share of a GPU that each holds.
        device: cpu or cuda; trials of another device say nothing. Empty takes all.
    """
    like = [item for item in (*own, *earlier) if not device or item.device == device]
    if ahead.trials == 0:
        nothing = Range(0.0, 0.0, 0.0)
        return Forecast(trials=0, hours=nothing, gpu_hours=nothing, disk_gib=nothing, from_trials=len(like))
    phases = _phases(study, ahead, [item for item in own if not device or item.device == device], like)
    if phases is None:
        return None
    rng = np.random.default_rng(0)
    wall, work = np.zeros(DRAWS), np.zeros(DRAWS)
    for groups in phases:
        at_once = min(max(1.0, workers), sum(group.trials for group in groups))
        longest, total = np.zeros(DRAWS), np.zeros(DRAWS)
        for group in groups:
            sums, most = _draw(group, rng)
            total += sums
            longest = np.maximum(longest, most)
        wall += np.maximum(total / at_once, longest)
        work += total
    return Forecast(
        trials=ahead.trials,
        hours=_range(wall / 3600),
        gpu_hours=_range(work * gpus / 3600),
        disk_gib=_disk(study, ahead, like, rng),
        from_trials=len(like),
    )


def _phases(study: Study, ahead: Todo, own: Sequence[Took], like: Sequence[Took]) -> list[list[Group]] | None:
    """Groups the trials to come into what runs side by side: baselines and search, then confirmations; None where nothing is known of some."""
    folds = _folds(study)
    first: list[Group] = []
    for inspector in dict.fromkeys(ahead.baselines):
        rest = _rests(like, inspector, study.data.size_px, real_only=True)
        if rest is None:
            return None
        first.append(Group(ahead.baselines.count(inspector), rest[0] * folds, rest[1]))
    if ahead.search:
        searched = _searched(study, ahead.search, own, like, folds)
        if searched is None:
            return None
        first.append(searched)
    last = _confirmations(study, ahead, own, like, folds)
    return None if last is None else [groups for groups in (first, last) if groups]


def _searched(study: Study, count: int, own: Sequence[Took], like: Sequence[Took], folds: int) -> Group | None:
    """Gives the trials that the search will try: as those it has tried, or made up from what families and inspectors took elsewhere."""
    ended = np.array([item.wall_s for item in own if item.move not in ("baseline", "confirm")])
    if len(ended) >= ENOUGH:
        return Group(count, ended, UNSURE / math.sqrt(len(ended)))
    made = [(family, _rates(like, family, study.data.size_px)) for family in study.families]
    behind = [_rests(like, kind, study.data.size_px, real_only=False) for kind in study.inspectors]
    rates = {family: found for family, found in made if found is not None}
    rests = [found for found in behind if found is not None]
    if len(rates) < len(study.families) or len(rests) < len(study.inspectors):
        return None
    rng = np.random.default_rng(1)
    pool = []
    for i in range(POOL):
        family = study.families[i % len(study.families)]
        ladder = study.search.ladder(family)
        # Each mark is reached by a third of the generators at the one before; a reuse trains none. How many reuses there are depends on the study.
        at = min(int(rng.geometric(2 / 3)) - 1, len(ladder) - 1)
        before = ladder[at - 1] if at else 0.0
        reused = at == 0 and rng.random() < 1 / 3
        generator = 0.0 if reused else float(rng.choice(rates[family][0])) * (ladder[at] - before)
        rest = rests[int(rng.integers(len(rests)))][0]
        pool.append((generator + float(rng.choice(rest))) * folds)
    spread = max([found[1] for found in rates.values()] + [found[1] for found in rests])
    return Group(count, np.array(pool), spread)


def _confirmations(study: Study, ahead: Todo, own: Sequence[Took], like: Sequence[Took], folds: int) -> list[Group] | None:
    """Gives the confirmations: as those that have ended, or as many times a trial as they have units.

    The rounds of a race take what the judging of the same leaders then finds ready, so that both together are counted as the judging alone.
    """
    settings = study.search.confirm
    groups = [Group(ahead.confirm_race, np.zeros(1), 0.0)] if ahead.confirm_race else []
    for count, kind in ((ahead.confirm_real, "real"), (ahead.confirm_leaders, "leader"), (ahead.confirm_twins, "twin")):
        if count == 0:
            continue
        real_only = kind != "leader"
        if kind == "twin" and not _inspectors_vary(study):
            groups.append(Group(count, np.zeros(1), 0.0))  # They are the confirmed baselines, and found ready.
            continue
        ended = np.array([item.wall_s for item in own if item.move == "confirm" and item.judged and _confirmed(item) == kind])
        if len(ended) >= ENOUGH:
            groups.append(Group(count, ended, UNSURE / math.sqrt(len(ended))))
            continue
        found = [_rests(like, kind, study.data.size_px, real_only=real_only) for kind in study.inspectors]
        if any(rest is None for rest in found):
            return None
        pool = np.concatenate([rest[0] for rest in found if rest is not None])
        spread = max(rest[1] for rest in found if rest is not None)
        if real_only:
            groups.append(Group(count, pool * settings.seeds * folds, spread))
            continue
        inspectors, generators = _leader_trainings(study, ahead)
        pool = pool * inspectors * folds
        if generators:
            rates = [rate for family in study.families if (rate := _rates(like, family, study.data.size_px)) is not None]
            if not rates:
                return None
            top = max(max(study.search.ladder(family)) for family in study.families)
            pool = pool + float(np.median(np.concatenate([rate[0] for rate in rates]))) * top * generators * folds
        groups.append(Group(count, pool, spread))
    return groups


def _leader_trainings(study: Study, ahead: Todo) -> tuple[float, int]:
    """Counts what is trained for the confirmation of a leader, in one fold, beyond its race: inspectors, those of diagnostics too, and generators."""
    settings = study.search.confirm
    pairs, raced = (settings.layout.pairs(seeds) for seeds in (settings.seeds, ahead.raced))
    diagnosed = study.task != "zero_shot" and study.scores.diagnostics == "confirmed"
    anew = settings.retrain_generator or settings.generators > 0
    generators, trained = (len({generator for generator, _ in some}) if anew else 0 for some in (pairs, raced))
    return len(pairs) * (DIAGNOSED if diagnosed else 1.0) - len(raced), generators - trained


def _folds(study: Study) -> int:
    """Gives the folds that each unit is trained in."""
    return study.resolved.folds if study.resolved is not None else max(1, study.data.folds)


def _confirmed(item: Took) -> str:
    """Says what a confirmation repeats."""
    return "leader" if item.baseline is None else "twin" if item.baseline == TWIN else "real"


def _inspectors_vary(study: Study) -> bool:
    """Says whether the search varies settings of an inspector, so that a leader's is not that of a baseline."""
    return any(name.startswith("inspector.") and not isinstance(domain, Choice | Fixed) for name, domain in study.space.names().items())


def _rates(like: Sequence[Took], family: str, size_px: int) -> tuple[Array, float] | None:
    """Finds seconds for a thousand images, and how far they may be off: of the family at this size, at others, or of other families."""
    known = [item for item in like if item.kimg_s is not None]
    return _nearest([(item.family == family, item.size_px, float(item.kimg_s or 0.0)) for item in known], size_px)


def _rests(like: Sequence[Took], inspector: str, size_px: int, *, real_only: bool) -> tuple[Array, float] | None:
    """Finds seconds behind the generator, and how far they may be off; where nothing is known of synthetic images, real ones stand for them."""
    known = [item for item in like if item.rest_s is not None]
    asked_for = [item for item in known if (item.family is None) == real_only]
    found = _nearest([(item.inspector == inspector, item.size_px, float(item.rest_s or 0.0)) for item in asked_for or known], size_px)
    return found if found is None or asked_for else (found[0], max(found[1], BORROWED))


def _nearest(known: Sequence[tuple[bool, int, float]], size_px: int) -> tuple[Array, float] | None:
    """Takes the measurements that are nearest: (of the very kind, image size, seconds); work grows with the area of images."""
    same = [seconds for kind, size, seconds in known if kind and size == size_px]
    if same:
        return np.array(same), UNSURE / math.sqrt(len(same))
    scaled = [(kind, seconds * (size_px / size) ** 2) for kind, size, seconds in known if size > 0]
    if own := [seconds for kind, seconds in scaled if kind]:
        return np.array(own), BORROWED
    return (np.array([seconds for _, seconds in scaled]), STRANGE) if scaled else None


def _draw(group: Group, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draws the sum and the longest of a group's trials, `DRAWS` times."""
    size, drawn = len(group.pool), min(group.trials, MOST_TRIALS)
    again = rng.integers(size, size=(DRAWS, size))
    picked = np.take_along_axis(again, rng.integers(size, size=(DRAWS, drawn)), axis=1)
    factor = np.exp(rng.normal(0.0, group.spread, DRAWS))
    seconds = group.pool[picked] * factor[:, None]
    return seconds.sum(axis=1) * (group.trials / drawn), seconds.max(axis=1)


def _disk(study: Study, ahead: Todo, like: Sequence[Took], rng: np.random.Generator) -> Range | None:
    """Says what is stored: a trial of the search may hold a new generator, and so does a repeat of one; all else are inspectors and what they said.

    What a race stores is that of the judging.
    """
    stored = [(item.family is None or item.move == "confirm", item.stored_gib / item.units) for item in like if item.stored_gib is not None]
    searched, inspected = (np.array([gib for without, gib in stored if without == kind]) for kind in (False, True))
    inspectors, generators = _leader_trainings(study, ahead)
    real = ahead.confirm_real + (ahead.confirm_twins if _inspectors_vary(study) else 0)
    with_generator = ahead.search + ahead.confirm_leaders * generators
    without = len(ahead.baselines) + real * study.search.confirm.seeds + round(ahead.confirm_leaders * (inspectors - generators))
    if (with_generator and not len(searched)) or (without and not len(inspected)):
        return None
    folds = _folds(study)
    total = np.zeros(DRAWS)
    for count, pool in ((with_generator * folds, searched), (without * folds, inspected)):
        if count:
            total += _draw(Group(count, pool, UNSURE / math.sqrt(len(pool))), rng)[0]
    return _range(total)


def _range(values: Array) -> Range:
    low, typical, high = np.percentile(values, [10, 50, 90])
    return Range(float(low), float(typical), float(high))


def show_hours(hours: float) -> str:
    """Writes a time as people say it."""
    seconds = 3600 * hours
    for most, size, unit, digits in ((90, 1, "s", 0), (600, 60, "min", 1), (5400, 60, "min", 0), (math.inf, 3600, "h", 1)):
        if seconds < most:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{hours:.0f} h"


def show_range(found: Range, write: Any = show_hours) -> str:
    """Writes a range; one number where both ends read the same."""
    low, high = write(found.low), write(found.high)
    return low if low == high else f"{low} to {high}"
