"""Confirmation, at the end of a study: who is repeated with fresh seeds and judged on the test split, once. Called by the moves.

Confirmed are the best baseline of each inspector and the top of the front, and beside each of these its twin: the same inspector settings on real
images alone, so that what the search found for the inspector is not taken for the worth of synthetic images. Units are paired: unit i of every
confirmed trial carries the same seeds, so that differences can be taken unit by unit (`reports` does). Confirmations enter no model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.records import Asked, Record
from reports.verdict import headline_score
from search.fronts import Value, objective_values, ranks, sign, violation
from search.studies.study import Limit, Objective
from trainables.recipe import Unit

TWIN = "same inspector"
"""Baseline name of a confirmed trial's inspector on real images alone."""
TWIN_WHY = "its inspector on real images alone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """One confirmation."""

    parent: int
    """The trial that is repeated, or whose inspector is."""
    params: Mapping[str, Any]
    why: str

    @property
    def name(self) -> tuple[int, str | None]:
        """Tells it from the others: the trial, and the name of its baseline."""
        return self.parent, self.params.get("baseline")


def fresh_units(seeds: int, *, retrain_generator: bool) -> tuple[Unit, ...]:
    """Gives the replicates of a confirmation: seeds that no trial of the search used."""
    return tuple(Unit(generator=i if retrain_generator else 0, inspector=i) for i in range(1, seeds + 1))


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
    headline = headline_score({goal.score: goal.direction for goal in goals})
    weighed = next((goal for goal in goals if goal.score == headline), Objective(score=headline, direction="maximize"))
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


def inspector_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Keeps an inspector's settings, and what is done to the pictures that it is shown."""
    return {name: value for name, value in params.items() if name.startswith(("inspector.", "preprocess."))}


def _first(record: Record, goal: Objective) -> float:
    """The first objective, lower is better; what has none comes last."""
    value = record.scores.get(goal.score)
    return float("inf") if value is None else sign(goal) * value
