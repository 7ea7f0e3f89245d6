"""Confirmation, at the end of a study: who is repeated with fresh seeds and judged on the test split, once. Called by the moves.

Confirmed are the best baseline of each inspector and the top of the front. Their units are paired: unit i of every confirmed trial carries the same
seeds, so that differences can be taken unit by unit (`reports` does). Confirmations enter no model.
"""

from collections.abc import Mapping

from reports.records import Asked, Record
from search.fronts import Value, objective_values, ranks, sign
from search.study import Objective
from trainables.recipe import Unit


def fresh_units(seeds: int, *, retrain_generator: bool) -> tuple[Unit, ...]:
    """Gives the replicates of a confirmation: seeds that no trial of the search used."""
    return tuple(Unit(generator=i if retrain_generator else 0, inspector=i) for i in range(1, seeds + 1))


def to_confirm(asked: Mapping[int, Asked], records: Mapping[int, Record], goals: tuple[Objective, ...], *, top: int) -> list[tuple[int, str]]:
    """Lists (trial, reason) of what is to be confirmed: the baselines first, then the front from the best of the first objective on."""
    chosen: list[tuple[int, str]] = []
    first = goals[0]
    done = [number for number in sorted(records) if records[number].state == "complete" and asked[number].move != "confirm"]
    best: dict[str, int] = {}
    for number in done:
        if asked[number].move == "baseline":
            kind = str(asked[number].params["inspector.kind"])
            if kind not in best or _first(records[number], first) < _first(records[best[kind]], first):
                best[kind] = number
    for kind, number in best.items():
        chosen.append((number, f"the best {kind} on real images alone"))
    values: dict[int, Value] = {}
    for number in done:
        if asked[number].move != "baseline" and (found := objective_values(records[number], goals)) is not None:
            values[number] = found
    level = ranks(values, goals)
    order = sorted(values, key=lambda number: (level[number], _first(records[number], first), number))
    for number in order[:top]:
        chosen.append((number, "on the front of the search" if level[number] == 0 else "next behind the front of the search"))
    return chosen


def _first(record: Record, goal: Objective) -> float:
    """The first objective, lower is better; what has none comes last."""
    value = record.scores.get(goal.score)
    return float("inf") if value is None else sign(goal) * value
