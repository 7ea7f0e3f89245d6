"""Confirmation, at the end of a study: who is repeated with fresh seeds and judged on the test split, once. Called by the moves.

Confirmed are the best baseline of each inspector and the top of the front, and beside each of these its twin: the same inspector settings on real
images alone, so that what the search found for the inspector is not taken for the worth of synthetic images. Units are paired: unit i of every
confirmed trial carries the same seeds, so that differences can be taken unit by unit (`reports` does). Confirmations enter no model.

Before anything is judged the top of the front runs a race on validation (`reports.race`): in each round every candidate is repeated with a few seeds
more, side by side, and who has clearly lost is dropped, with its twin. What a round trains is what the judging of the same candidate finds in the
store. Everything here follows from the records: a driver that is killed between any two of them asks for what it would have asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from reports.race import Layout, Race, race
from reports.records import Asked, Record
from reports.verdict import headline_score, weighed_score
from search.fronts import Value, objective_values, ranks, sign, violation
from search.studies.objectives import Limit, Objective
from search.studies.study import Study
from trainables.recipe import Unit

TWIN = "same inspector"
"""Baseline name of a confirmed trial's inspector on real images alone."""
TWIN_WHY = "its inspector on real images alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """Who is confirmed."""

    parent: int
    """The trial that is repeated, or whose inspector is."""
    params: Mapping[str, Any]
    why: str

    @property
    def name(self) -> tuple[int, str | None]:
        """Tells it from the others: the trial, and the name of its baseline."""
        return self.parent, self.params.get("baseline")

    @property
    def is_leader(self) -> bool:
        """Whether it has synthetic images: the others are baselines and twins."""
        return "baseline" not in self.params


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """One trial that confirms."""

    repeat: Repeat
    units: tuple[Unit, ...]
    judge: bool
    """False for a round of the race."""
    reason: str


class Due(NamedTuple):
    """What is to be asked."""

    now: list[Confirmation]
    later: bool
    """Whether more follows once what runs has ended."""


class Left(NamedTuple):
    """Confirmations that have not ended."""

    real: int
    """Of baselines."""
    leaders: int
    twins: int
    race: int
    """On validation: of the round that is open, and of those to come if nobody is dropped."""
    raced: int
    """Seeds of the inspector that the leaders have behind them."""


def fresh_units(layout: Layout, count: int | None = None, *, real_only: bool = False) -> tuple[Unit, ...]:
    """Gives the replicates of a confirmation, seeds that no trial of the search used: all, or those of so many seeds of the inspector."""
    return tuple(Unit(generator=generator, inspector=inspector) for generator, inspector in layout.pairs(count, real_only=real_only))


def to_confirm(
    asked: Mapping[int, Asked], records: Mapping[int, Record], goals: tuple[Objective, ...], *, top: int, limits: Sequence[Limit] = ()
) -> list[Repeat]:
    """Lists what is to be confirmed: the baselines first, then the front from the best of the first objective on, then its twins.

    A trial that breaks a limit is none of these: neither could it be taken, nor is a baseline that nobody may use worth beating.
    Each leader has a twin, even one that equals a baseline: it costs nothing, its inspectors being there, and the number of confirmations is fixed.
    """
    complete = [number for number in sorted(records) if records[number].state == "complete" and asked[number].move != "confirm"]
    done = [number for number in complete if not violation(records[number], limits)]
    baselines = [number for number in done if asked[number].move == "baseline"]
    # By the score that the verdict weighs: a baseline has no distance and costs no generator, whatever the first objective is.
    weighed = _weighed(goals)
    best: dict[str, int] = {}
    for number in baselines:
        kind = str(asked[number].params["inspector.kind"])
        if kind not in best or _first(records[number], weighed) < _first(records[best[kind]], weighed):
            best[kind] = number
    chosen = [Repeat(parent=number, params=asked[number].params, why=f"the best {kind} on real images alone") for kind, number in best.items()]
    values: dict[int, Value] = {}
    for number in done:
        if number not in baselines and (found := objective_values(records[number], goals)) is not None:
            values[number] = found
    level = ranks(values, goals)
    leaders = sorted(values, key=lambda number: (level[number], _first(records[number], goals[0]), number))[:top]
    for number in leaders:
        why = "on the front of the search" if level[number] == 0 else "next behind the front of the search"
        chosen.append(Repeat(parent=number, params=asked[number].params, why=why))
    twins = [Repeat(parent=number, params={"baseline": TWIN, **inspector_of(asked[number].params)}, why=TWIN_WHY) for number in leaders]
    return chosen + twins


def due(study: Study, asked: Mapping[int, Asked], records: Mapping[int, Record]) -> Due:
    """Lists the confirmations that are to be asked, once all other trials have ended: those of the open round, or else of the judging.

    Args:
        study: resolved.
        asked: all trials.
        records: those that have ended.
    """
    layout = study.search.confirm.layout
    chosen, repeats, running = _state(study, asked, records)
    if running.open is not None:
        units = fresh_units(layout, layout.rounds[running.open - 1])
        missing = [
            repeat for repeat in chosen if repeat.is_leader and repeat.parent in running.left and not _is_asked(repeats.get(repeat.parent, ()), units)
        ]
        reason = f"round {running.open} of the race: {len(units)} units of fresh seeds on validation, and who has clearly lost is not judged on test"
        return Due([_confirmation(repeat, units, reason, judge=False) for repeat in missing], later=True)
    judged = {(other.parent, other.params.get("baseline")) for other in asked.values() if _is_judged(other)}
    reason = "with fresh seeds on the test split"
    if len(running.left) + len(running.dropped) > 1 and layout.rounds:
        reason += f"; {len(running.left)} of {len(running.left) + len(running.dropped)} leaders came through the race"
    now = []
    for repeat in chosen:
        if repeat.name not in judged and (repeat.parent not in {item.of for item in running.dropped}):
            now.append(_confirmation(repeat, fresh_units(layout, real_only=not repeat.is_leader), reason, judge=True))
    return Due(now, later=False)


def left(study: Study, asked: Mapping[int, Asked], records: Mapping[int, Record]) -> Left:
    """Counts the confirmations that have not ended, of a study whose search is through; an upper bound while a race is open.

    Args:
        study: resolved.
        asked: all trials, those that run may be missing.
        records: those that have ended.
    """
    if study.search.confirm.top == 0:
        return Left(0, 0, 0, 0, 0)
    rounds = study.search.confirm.layout.rounds
    chosen, repeats, running = _state(study, asked, records)
    ended = {(asked[number].parent, asked[number].params.get("baseline")) for number in records if _is_judged(asked[number])}
    dropped = {item.of for item in running.dropped}
    wanted = [repeat for repeat in chosen if repeat.parent not in dropped and repeat.name not in ended]
    twins = sum(repeat.params.get("baseline") == TWIN for repeat in wanted)
    leaders = sum(repeat.is_leader for repeat in wanted)
    race_left, raced = 0, rounds[-1] if rounds and len(running.left) > 1 else 0
    if running.open is not None:
        units = fresh_units(study.search.confirm.layout, rounds[running.open - 1])
        over = sum(_is_asked([item for item in repeats.get(of, ()) if item[1] is not None], units) for of in running.left)
        race_left = len(running.left) * (len(rounds) - running.open + 1) - over
        raced = rounds[running.open - 2] if running.open > 1 else 0
    return Left(len(wanted) - twins - leaders, leaders, twins, race_left, raced)


def most(study: Study) -> Left:
    """Counts the confirmations of a study that has not come to them, at most."""
    confirm = study.search.confirm
    real = len(study.inspectors) if confirm.top else 0
    return Left(real, confirm.top, confirm.top, confirm.top * len(confirm.layout.rounds), 0)


def inspector_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps an inspector's settings, and what is done to the pictures that it is shown."""
    return {name: value for name, value in params.items() if name.startswith(("inspector.", "preprocess."))}


_Repeats = dict[int, list[tuple[Asked, Record | None]]]


def _state(study: Study, asked: Mapping[int, Asked], records: Mapping[int, Record]) -> tuple[list[Repeat], _Repeats, Race]:
    """Finds who is to be confirmed, the repeats of the leaders so far, and how their race stands."""
    settings = study.search.confirm
    chosen = to_confirm(asked, records, study.objectives, top=settings.top, limits=study.limits)
    leaders = [repeat.parent for repeat in chosen if repeat.is_leader]
    repeats: _Repeats = {}
    judged = set()
    for number in sorted(asked):
        trial = asked[number]
        if trial.move == "confirm" and "baseline" not in trial.params and trial.parent in leaders:
            repeats.setdefault(trial.parent, []).append((trial, records.get(number)))
            if _is_judged(trial):
                judged.add(trial.parent)
    weighed = _weighed(study.objectives)
    score = weighed_score(weighed.score, (record.scores for own in repeats.values() for _, record in own if record is not None))
    return chosen, repeats, race(leaders, repeats, settings.layout, score=score, direction=weighed.direction, judged=judged)


def _confirmation(repeat: Repeat, units: tuple[Unit, ...], reason: str, *, judge: bool) -> Confirmation:
    return Confirmation(repeat=repeat, units=units, judge=judge, reason=f"trial {repeat.parent}, {repeat.why}, {reason}")


def _is_judged(trial: Asked) -> bool:
    """Tells a confirmation that reads the test split from a round of the race; runs from before there were races have no others."""
    return trial.move == "confirm" and bool(trial.recipe.get("judge", True))


def _is_asked(repeats: Sequence[tuple[Asked, Record | None]], units: Sequence[Unit]) -> bool:
    """Whether any confirmation of a leader has the seeds of a round."""
    wanted = {(unit.generator, unit.inspector) for unit in units}
    return any(wanted <= {(own.get("generator", 0), own["inspector"]) for own in asked.recipe.get("units") or []} for asked, _ in repeats)


def _weighed(goals: Sequence[Objective]) -> Objective:
    """Gives the score that the verdict weighs."""
    headline = headline_score({goal.score: goal.direction for goal in goals})
    return next((goal for goal in goals if goal.score == headline), Objective(score=headline, direction="maximize"))


def _first(record: Record, goal: Objective) -> float:
    """The first objective, lower is better; what has none comes last."""
    value = record.scores.get(goal.score)
    return float("inf") if value is None else sign(goal) * value
