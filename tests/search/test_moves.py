from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_study import fixed_cost, make_study
from hypothesis import given
from hypothesis import strategies as st

from reports.records import Asked, Record
from search.fronts import ranks
from search.moves import MOST_REUSES, Move, Plan, next_move, starting_points
from search.studies.recipes import baseline_params
from search.studies.study import Objective

GOALS = (Objective(score="val_accuracy", direction="maximize"), Objective(score="val_kid_random", direction="minimize"))


class Play:
    """A study played by hand: every trial ends as it is told to."""

    def __init__(self, cost: Any = fixed_cost, **changes: Any) -> None:
        self.study = make_study(Path(), **changes)
        self.plan = Plan(study=self.study, baselines=baseline_params(self.study.space, ("plain",)), starts=starting_points(self.study), cost=cost)
        self.asked: dict[int, Asked] = {}
        self.records: dict[int, Record] = {}

    def next(self, busy: Any = lambda move: False) -> Move | str:
        return next_move(self.plan, len(self.asked), self.asked, self.records, is_free=lambda move: not busy(move))

    def take(self, accuracy: float | None = 0.5, kid: float | None = 0.5, *, end: bool = True, state: str = "complete") -> Move:
        move = self.next()
        assert isinstance(move, Move), move
        number = len(self.asked)
        params = dict(move.fixed) if move.whole else self.study.space.defaults(move.fixed)
        if move.kind == "explore" and not move.whole:
            params["generator.left.lr"] = 1e-4 * number
        self.asked[number] = Asked(
            trial=number, move=move.kind, reason=move.reason, parent=move.parent, params=params, recipe={}, epoch=1, time_s=0.0
        )
        if end:
            self.end(number, accuracy, kid, state)
        return move

    def end(self, number: int, accuracy: float | None = 0.5, kid: float | None = 0.5, state: str = "complete") -> None:
        generator = str([item for item in self.asked[number].params.items() if item[0].startswith("generator.")])
        stages = [{"stage": "inspector", "key": str(number), "seconds": 1.0}]
        stages += [{"stage": "generator", "key": generator, "seconds": 1.0}] if "baseline" not in self.asked[number].params else []
        scores = {"val_accuracy": accuracy, "val_kid_random": None if "baseline" in self.asked[number].params else kid}
        self.records[number] = Record(
            trial=number, state=state, scores=scores if state == "complete" else {}, stages=stages, started_s=0.0, ended_s=1.0, epoch=1
        )


def test_baselines_then_paper_settings_then_the_search() -> None:
    play = Play()
    kinds = [play.take().kind for _ in range(12)]
    assert kinds[:4] == ["baseline", "baseline", "explore", "explore"]
    assert [play.asked[number].params["inspector.kind"] for number in (0, 1)] == ["small", "large"]
    assert [play.asked[number].params["generator.family"] for number in (2, 3)] == ["left", "right"]
    assert {"explore", "reuse", "promote"} == set(kinds[4:])


def test_an_extended_study_goes_on_with_the_points_it_had_no_room_for() -> None:
    play = Play(trials=3)
    while isinstance(play.next(), Move):
        play.take()
    assert play.asked[2].params["generator.family"] == "left" and play.asked[3].move == "confirm"
    play.plan = replace(play.plan, study=replace(play.study, search=replace(play.study.search, trials=6)))
    move = play.take()
    assert "paper" in move.reason and move.fixed["generator.family"] == "right"
    assert "paper" not in play.take().reason


def test_everything_waits_for_the_first_baseline() -> None:
    play = Play()
    play.take(end=False)
    assert play.take().kind == "baseline", "other baselines do not need it"
    assert play.next() == "wait"
    play.end(0, state="failed")
    assert isinstance(play.next(), Move), "a first baseline that failed must not hold the study for ever"


def test_a_reuse_gives_the_generator_and_asks_for_the_rest() -> None:
    play = Play(cost=lambda stage: 9.0 if stage["stage"] == "generator" else 0.1)
    for _ in range(4):
        play.take()
    move = play.take()
    assert move.kind == "reuse" and not move.whole and move.parent in (2, 3)
    assert all(name.startswith("generator.") for name in move.fixed)
    assert move.fixed == {name: value for name, value in play.asked[move.parent].params.items() if name.startswith("generator.")}


@pytest.mark.parametrize(("generator_s", "often"), [(100.0, "reuse"), (0.01, "explore")])
def test_seconds_decide_between_new_generators_and_more_use_of_old_ones(generator_s: float, often: str) -> None:
    play = Play(cost=lambda stage: generator_s if stage["stage"] == "generator" else 1.0, trials=40, marks=(2.0,))
    kinds = [play.take().kind for _ in range(40)][4:]
    assert kinds.count(often) > 0.6 * len(kinds)
    rare = "explore" if often == "reuse" else "reuse"
    assert kinds.count(rare) >= len(kinds) // (MOST_REUSES + 2), "neither move dies out, however cheap the other"


def test_the_best_of_three_generators_is_promoted_once() -> None:
    play = Play(cost=lambda stage: 0.01 if stage["stage"] == "generator" else 1.0, trials=30)
    for number in range(5):
        play.take(accuracy=0.9 if number == 3 else 0.5, kid=0.1 if number == 3 else 0.5)
    move = play.take()
    assert move.kind == "promote" and move.parent == 3 and move.fixed["generator.kimg"] == 4.0
    assert play.take().kind != "promote"


def test_a_family_that_learns_nothing_is_never_promoted() -> None:
    kinds = {}
    for untrained in (frozenset[str](), frozenset({"left", "right"})):
        play = Play(trials=20)
        play.plan = replace(play.plan, untrained=untrained)
        kinds[bool(untrained)] = {play.take().kind for _ in range(16)}
    assert "promote" in kinds[False]
    assert kinds[True] == {"baseline", "explore", "reuse"}


def test_a_generator_that_is_reused_may_be_drawn_from_in_another_way() -> None:
    play = Play(cost=lambda stage: 9.0 if stage["stage"] == "generator" else 1.0, trials=30)
    play.plan = replace(play.plan, drawing=frozenset({"generator.left.lr"}))
    for _ in range(4):
        play.take()
    moves = [play.take() for _ in range(6)]
    reused = [move for move in moves if move.kind == "reuse"]
    assert reused and all("generator.left.lr" not in move.fixed and "generator.family" in move.fixed for move in reused)


def test_failed_generators_are_neither_reused_nor_promoted() -> None:
    play = Play()
    for number in range(8):
        play.take(state="failed" if number >= 2 else "complete")
    assert {play.asked[number].move for number in range(4, 8)} == {"explore"}


def test_confirmation_waits_for_all_and_takes_fresh_seeds() -> None:
    play = Play(trials=8, top=2)
    for number in range(7):
        play.take(accuracy=0.1 * number, kid=0.5)
    play.take(accuracy=0.95, kid=0.9, end=False)
    assert play.next() == "wait"
    play.end(7, 0.95, 0.9)
    moves = [play.take() for _ in range(6)]
    assert [move.kind for move in moves] == ["confirm"] * 6 and all(move.judge for move in moves)
    assert [move.parent for move in moves[:4]] == [0, 1, 7, 6], "the best baseline of each inspector, then the front by the first objective"
    assert all(unit.inspector > 0 for move in moves for unit in move.units)
    assert len({move.units for move in moves}) == 1, "units are paired"
    assert play.next() == "finished"


def test_a_leader_is_held_against_its_own_inspector_without_synthetic_images() -> None:
    play = Play(trials=8, top=2)
    for number in range(8):
        play.take(accuracy=0.1 * number, kid=0.5)
    play.asked[7] = replace(play.asked[7], params={**play.asked[7].params, "inspector.small.lr": 3e-3})
    moves = [play.take() for _ in range(4)] + [play.take(end=False)]
    assert [move.parent for move in moves] == [0, 1, 7, 6, 7]
    assert moves[4].fixed == {"baseline": "same inspector", "inspector.kind": "small", "inspector.small.lr": 3e-3}
    assert moves[4].judge and moves[4].units == moves[2].units
    assert play.take().parent == 6
    assert play.next() == "finished"


def test_two_that_are_one_inspector_are_not_trained_at_once() -> None:
    play = Play(trials=8, top=2)
    for number in range(8):
        play.take(accuracy=0.1 * number, kid=0.5)
    moves = [play.take() for _ in range(4)] + [play.take(end=False)]
    assert moves[4].fixed["inspector.kind"] == "small" and play.next() == "wait", "the other twin is the same inspector"
    play.end(len(play.asked) - 1)
    assert play.take().fixed == moves[4].fixed and play.next() == "finished"


def test_the_best_baseline_is_the_best_by_the_score_of_the_verdict() -> None:
    play = Play(trials=6, top=1)
    study = replace(play.study, objectives=(GOALS[1], GOALS[0]))
    play.plan = replace(play.plan, study=study, baselines=baseline_params(study.space, ("plain", "augment")))
    for number in range(6):
        play.take(accuracy=0.2 * number)
    moves = [play.take() for _ in range(2)]
    assert [move.parent for move in moves] == [2, 3], "a baseline has no distance, and the later ones are more accurate"


def test_only_confirmations_read_the_test_split() -> None:
    play = Play()
    moves = [play.take() for _ in range(18)]
    assert [move.judge for move in moves] == [False] * 12 + [True] * 6


def test_a_busy_confirmation_makes_way_for_another() -> None:
    play = Play(trials=8, top=2)
    for _ in range(8):
        play.take()
    move = play.next(busy=lambda move: move.parent == 0)
    assert isinstance(move, Move) and move.parent == 1
    assert play.next(busy=lambda move: True) == "wait"


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12))
def test_ranks_agree_with_their_definition(points: list[tuple[int, int]]) -> None:
    values = {number: (float(a), float(b)) for number, (a, b) in enumerate(points)}
    found = ranks(values, GOALS)
    assert set(found) == set(values)

    def beats(one: int, other: int) -> bool:
        (a, b), (c, d) = values[one], values[other]
        return a >= c and b <= d and (a, b) != (c, d)

    for number, level in found.items():
        better = [found[other] for other in values if beats(other, number)]
        assert level == (max(better) + 1 if better else 0)
