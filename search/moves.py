"""What to suggest next. Each suggestion is a move with its reason and its parent, a pure function of the study, the trial's number and the records.

In order: baselines on real images alone, each family's paper settings, the user's own points, then explore, promote and reuse in turns, and
confirmations once all of these have ended. Called by the asker.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.records import Asked, Record
from search.budget import StageCost, measured, spent
from search.confirm import fresh_units, inspector_of, to_confirm
from search.fronts import Value, objective_values, ranks, sign, violation
from search.studies.recipes import paper_params, try_params
from search.studies.study import Study
from trainables.recipe import Unit

MOST_REUSES = 3
"""Reuses in a row before a new generator is tried, however cheap they are."""
MOST_EXPLORES = 3
"""New generators in a row before one of them is used again, however cheap they are."""
PROMOTE_ONE_OF = 3
"""Generators that must have ended at a mark for each one that goes on to the next."""


UPSTREAM = ("generator.", "preprocess.")
"""Settings that decide a trained generator: its own, and what is done to the pictures that it learns from."""

Name = tuple[frozenset[tuple[str, Any]], float | None]
"""The settings of a generator, and its mark."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What a trial is for, and what of it is given."""

    kind: str
    """One of `reports.records.MOVES`."""
    reason: str
    parent: int | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Settings that are given."""
    whole: bool = True
    """True where `fixed` is everything; False lets the model suggest the rest."""
    units: tuple[Unit, ...] = (Unit(),)
    judge: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A study as the moves see it."""

    study: Study
    baselines: Sequence[Mapping[str, Any]]
    """Settings of each baseline; the first makes the stages that others share."""
    starts: Sequence[tuple[str, Mapping[str, Any]]]
    """Reason and settings of what is tried before anything is suggested."""
    cost: StageCost = measured
    """Seconds of a stage; fixed numbers where a test weighs them."""
    untrained: frozenset[str] = frozenset()
    """Families that learn nothing, so that no later mark is worth a trial."""
    drawing: frozenset[str] = frozenset()
    """Settings that decide only how images are drawn: the same training serves all their values."""

    @property
    def trials(self) -> int:
        """Trials before confirmation: what the study says, but never fewer than the baselines."""
        return max(self.study.search.trials, len(self.baselines))


def starting_points(study: Study) -> list[tuple[str, Mapping[str, Any]]]:
    """Lists what is tried first: the paper settings of each family, then the user's own points."""
    paper = paper_params(study) if study.search.paper_settings else []
    starts = [(f"the paper's settings of {point['generator.family']}", point) for point in paper]
    return starts + [("a point of the study's own (search.try)", point) for point in try_params(study)]


def next_move(plan: Plan, number: int, asked: Mapping[int, Asked], records: Mapping[int, Record], *, is_free: Callable[[Move], bool]) -> Move | str:
    """Chooses the move of trial `number`; "wait" where it cannot be chosen yet, "finished" where there is none left.

    Args:
        plan: the study.
        number: the trial, smaller than all numbers that are not yet asked.
        asked: what was asked.
        records: what has finished.
        is_free: whether a move would not train a stage that a running trial is training.
    """
    if number < len(plan.baselines):
        params = plan.baselines[number]
        return Move(kind="baseline", reason=f"real images alone, {params.get('baseline', 'plain')}: what synthetic images must beat", fixed=params)
    if 0 not in records:
        return "wait"  # The first baseline makes the inspector whose features and confidences everything else uses.
    # Counted, not numbered: a study that was extended goes on behind its first confirmations.
    if sum(other.move != "confirm" for other in asked.values()) < plan.trials:
        before = sum(other.move != "confirm" for trial, other in asked.items() if trial < number)
        if (at := before - len(plan.baselines)) < len(plan.starts):
            reason, params = plan.starts[at]
            return Move(kind="explore", reason=reason, fixed=params)
        return _search(plan, asked, records)
    return _confirm(plan, asked, records, is_free)


def _search(plan: Plan, asked: Mapping[int, Asked], records: Mapping[int, Record]) -> Move:
    """Weighs new generators against more use of those there are."""
    # The asker puts it at the lowest mark of the family that the model chooses.
    lowest = min(plan.study.ladder(family)[0] for family in plan.study.families)
    new = Move(kind="explore", reason="a new generator, suggested by the model", fixed={"generator.kimg": lowest}, whole=False)
    names = {number: _generator(other.params, plan.drawing) for number, other in asked.items()}
    values = _generators(plan, asked, records, names)
    if not values:
        return new
    goals = plan.study.objectives
    best = {key: numbers[0] for key, numbers in values.items()}
    level = ranks({number: value for number in best.values() if (value := objective_values(records[number], goals)) is not None}, goals)
    keeping = {key: number for key, number in best.items() if not violation(records[number], plan.study.limits)}
    if (parent := _to_promote(plan, names, keeping, level)) is not None:
        params = asked[parent].params
        mark = min(mark for mark in plan.study.ladder(params["generator.family"]) if mark > params["generator.kimg"])
        fixed = {**asked[parent].params, "generator.kimg": mark}
        return Move(kind="promote", reason=f"trial {parent} leads its mark, so its generator goes on to {mark:g} kimg", parent=parent, fixed=fixed)
    if _explores(plan, asked, records):
        return new
    # The best generator first, but each further use of one makes way for the next best.
    uses = Counter(names[number] for number, other in asked.items() if other.move != "confirm")
    key = min(best, key=lambda key: (level[best[key]] + uses[key], best[key]))
    fixed = {name: value for name, value in asked[best[key]].params.items() if name.startswith(UPSTREAM) and name not in plan.drawing}
    reason = f"the generator of trial {best[key]} again, with other settings behind it"
    return Move(kind="reuse", reason=reason, parent=best[key], fixed=fixed, whole=False)


def _explores(plan: Plan, asked: Mapping[int, Asked], records: Mapping[int, Record]) -> bool:
    """Balances the seconds on generators with those behind them, within a longest row of either move."""
    moves = [move for number in sorted(asked) if (move := asked[number].move) in ("explore", "reuse")]
    if moves[-MOST_REUSES:] == ["reuse"] * MOST_REUSES:
        return True
    if moves[-MOST_EXPLORES:] == ["explore"] * MOST_EXPLORES:
        return False
    so_far = spent((record for number, record in sorted(records.items()) if asked[number].move != "confirm"), plan.cost)
    return so_far.generators_s < so_far.downstream_s


def _generators(plan: Plan, asked: Mapping[int, Asked], records: Mapping[int, Record], names: Mapping[int, Name]) -> dict[Name, list[int]]:
    """Lists the finished trials of each finished generator and mark, the best of the first objective first."""
    goals = plan.study.objectives
    found: dict[Name, list[tuple[Value, int]]] = {}
    for number in sorted(records):
        value = objective_values(records[number], goals)
        if asked[number].move in ("explore", "reuse", "promote") and records[number].state == "complete" and value is not None:
            found.setdefault(names[number], []).append((value, number))

    def order(pair: tuple[Value, int]) -> tuple[bool, float, int]:
        return violation(records[pair[1]], plan.study.limits) > 0, sign(goals[0]) * pair[0][0], pair[1]

    return {key: [number for _, number in sorted(pairs, key=order)] for key, pairs in found.items()}


def _generator(params: Mapping[str, Any], drawing: frozenset[str]) -> Name:
    """Names the generator of a trial, however images are drawn from it."""
    left_out = drawing | {"generator.kimg"}
    settings = frozenset((name, value) for name, value in params.items() if name.startswith(UPSTREAM) and name not in left_out)
    return settings, params.get("generator.kimg")


def _to_promote(plan: Plan, names: Mapping[int, Name], best: Mapping[Name, int], level: Mapping[int, int]) -> int | None:
    """Finds a trial whose generator has earned the next mark: the best of its mark, one for every `PROMOTE_ONE_OF` that ended there."""
    steps = {family: list(itertools.pairwise(plan.study.ladder(family))) for family in plan.study.families if family not in plan.untrained}
    for mark, after in sorted({step for ladder in steps.values() for step in ladder}, reverse=True):
        at = {
            settings: number
            for (settings, kimg), number in best.items()
            if kimg == mark and (mark, after) in steps.get(dict(settings)["generator.family"], [])
        }
        gone = {settings for settings, kimg in names.values() if kimg == after}
        left = [number for settings, number in at.items() if settings not in gone]
        if left and len(at) >= PROMOTE_ONE_OF * (len(at) - len(left) + 1):
            return min(left, key=lambda number: (level[number], number))
    return None


def _confirm(plan: Plan, asked: Mapping[int, Asked], records: Mapping[int, Record], is_free: Callable[[Move], bool]) -> Move | str:
    """Repeats the best with fresh seeds on the test split, once everything else has ended."""
    settings = plan.study.search.confirm
    if settings.top == 0:
        return "finished"
    if any(number not in records for number in asked if asked[number].move != "confirm"):
        return "wait"
    units = fresh_units(settings.seeds, retrain_generator=settings.retrain_generator)
    confirmed = {(other.parent, other.params.get("baseline")) for other in asked.values() if other.move == "confirm"}
    chosen = to_confirm(asked, records, plan.study.objectives, top=settings.top, limits=plan.study.limits)
    left = [repeat for repeat in chosen if repeat.name not in confirmed]
    training = [inspector_of(other.params) for number, other in asked.items() if number not in records and "baseline" in other.params]
    for repeat in left:
        if "baseline" in repeat.params and inspector_of(repeat.params) in training:
            continue  # Two that are the same inspector would both train it.
        reason = f"trial {repeat.parent}, {repeat.why}, with fresh seeds on the test split"
        move = Move(kind="confirm", reason=reason, parent=repeat.parent, fixed=repeat.params, units=units, judge=True)
        if is_free(move):
            return move
    return "wait" if left else "finished"
