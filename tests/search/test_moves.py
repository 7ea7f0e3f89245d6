import math
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_study import fixed_cost, make_study
from hypothesis import given
from hypothesis import strategies as st

from reports.records import Asked, Record
from search.fronts import ranks
from search.models.expectations import Expectations
from search.models.model import MARK
from search.models.proposals import Proposals
from search.moves import DRAW_ONE_OF, KINDS, Move, Moves, Plan, starting_points
from search.studies.objectives import Limit, Objective
from search.studies.recipes import baseline_params

GOALS = (Objective(score="val_accuracy", direction="maximize"), Objective(score="val_kid_random", direction="minimize"))


def outcome(params: Mapping[str, Any]) -> tuple[float, float]:
    """Accuracy and distance in closed form: best for the left family at a rate of 1e-3, later marks, and fractions around 0.4."""
    family = params["generator.family"]
    miss = abs(math.log10(params[f"generator.{family}.lr"]) + 3.0) + (0.3 if family == "right" else 0.0)
    distance = (0.1 + miss) / params[MARK] ** 0.5
    fraction = params["synthesis.fraction"]
    return 0.6 + 0.2 * math.exp(-2.0 * distance) - 0.3 * (fraction - 0.4) ** 2 + (0.03 if params["inspector.kind"] == "small" else 0.0), distance


class Play:
    """A study played by hand: every trial ends as it is told to."""

    def __init__(self, cost: Any = fixed_cost, **changes: Any) -> None:
        self.study = make_study(Path(), **changes)
        self.plan = Plan(study=self.study, baselines=baseline_params(self.study.space, ("plain",)), starts=starting_points(self.study), cost=cost)
        self.asked: dict[int, Asked] = {}
        self.records: dict[int, Record] = {}
        self.now: Moves | None = None

    def moves(self) -> Moves:
        """What is known now, told anew: a choice follows from the records alone."""
        moves = Moves(self.plan)
        for asked in self.asked.values():
            moves.add(asked)
        for record in self.records.values():
            moves.tell(record)
        return moves

    def next(self, busy: Any = lambda move: False) -> Move | str:
        self.now = self.now or self.moves()
        return self.now.next(len(self.asked), is_free=lambda move: not busy(move))

    def take(self, accuracy: float | None = 0.5, kid: float | None = 0.5, *, end: bool = True, state: str = "complete") -> Move:
        move = self.next()
        assert isinstance(move, Move), move
        number = len(self.asked)
        self.asked[number] = Asked(
            trial=number, move=move.kind, reason=move.reason, parent=move.parent, params=move.fixed, recipe={}, epoch=1, time_s=0.0
        )
        if self.now is not None:
            self.now.add(self.asked[number])
        if end:
            self.end(number, accuracy, kid, state)
        return move

    def go(self, count: int) -> list[Move]:
        """Plays so many moves in the world of `outcome`."""
        made = []
        for _ in range(count):
            move = self.take(end=False)
            self.end(len(self.asked) - 1, *(outcome(move.fixed) if move.kind != "baseline" else (0.5, None)))
            made.append(move)
        return made

    def end(self, number: int, accuracy: float | None = 0.5, kid: float | None = 0.5, state: str = "complete") -> None:
        generator = str([item for item in self.asked[number].params.items() if item[0].startswith("generator.")])
        stages = [{"stage": "inspector", "key": str(number), "seconds": 1.0}]
        stages += [{"stage": "generator", "key": generator, "seconds": 1.0}] if "baseline" not in self.asked[number].params else []
        scores = {"val_accuracy": accuracy, "val_kid_random": None if "baseline" in self.asked[number].params else kid}
        self.records[number] = Record(
            trial=number, state=state, scores=scores if state == "complete" else {}, stages=stages, started_s=0.0, ended_s=1.0, epoch=1
        )
        if self.now is not None:
            self.now.tell(self.records[number])

    def give(self, number: int, *, lr: float) -> None:
        """Gives a trial another inspector than it was asked with."""
        params = {name: value for name, value in self.asked[number].params.items() if not name.startswith("inspector.")}
        self.asked[number] = replace(self.asked[number], params={**params, "inspector.kind": "small", "inspector.small.lr": lr})
        self.now = None

    def change(self, plan: Plan) -> None:
        """Goes on with another plan, as a driver does that was started again."""
        self.plan, self.now = plan, None


def test_baselines_then_paper_settings_then_the_search() -> None:
    play = Play()
    kinds = [play.take().kind for _ in range(12)]
    assert kinds[:4] == ["baseline", "baseline", "explore", "explore"]
    assert [play.asked[number].params["inspector.kind"] for number in (0, 1)] == ["small", "large"]
    assert [play.asked[number].params["generator.family"] for number in (2, 3)] == ["left", "right"]
    assert set(kinds[4:]) <= {"explore", "reuse", "promote"}


def test_an_extended_study_goes_on_with_the_points_it_had_no_room_for() -> None:
    play = Play(trials=3)
    while isinstance(play.next(), Move):
        play.take()
    assert play.asked[2].params["generator.family"] == "left" and play.asked[3].move == "confirm"
    play.change(replace(play.plan, study=replace(play.study, search=replace(play.study.search, trials=6))))
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


def test_a_reuse_is_of_a_trained_generator_with_other_settings_behind_it() -> None:
    play = Play(cost=lambda stage: 90.0 if stage["stage"] == "generator" else 0.1, trials=26)
    reused = [(number, move) for number, move in enumerate(play.go(24)) if move.kind == "reuse"]
    assert reused
    model = play.moves().model
    for number, move in reused:
        assert move.parent is not None and move.parent < number
        before, _, behind = model.parts(play.asked[move.parent].params)
        generator, mark, own = model.parts(move.fixed)
        assert generator == before and own != behind
        assert mark in {other.params[MARK] for at, other in play.asked.items() if at < number and model.parts(other.params)[0] == generator}


def test_seconds_decide_between_new_generators_and_more_use_of_old_ones() -> None:
    often = {}
    for generator_s in (0.01, 100.0):
        play = Play(cost=lambda stage, generator_s=generator_s: generator_s if stage["stage"] == "generator" else 1.0, trials=32, marks=(2.0,))
        kinds = [move.kind for move in play.go(32)][4:]
        often[generator_s] = kinds.count("explore")
        assert kinds.count("explore") >= len(kinds) // DRAW_ONE_OF, "new generators never die out"
    assert often[0.01] > 1.3 * often[100.0]


def test_a_generator_goes_on_to_the_next_mark_once() -> None:
    play = Play(trials=32)
    promoted = []
    for move in play.go(32):
        if move.kind == "promote":
            assert move.fixed[MARK] == 4.0 and move.parent is not None
            promoted.append(play.moves().model.parts(move.fixed)[0])
            assert promoted[-1] == play.moves().model.parts(play.asked[move.parent].params)[0]
    assert promoted and len(set(promoted)) == len(promoted)


@pytest.mark.parametrize(("generator_s", "marks"), [(0.01, {2.0, 4.0}), (100.0, {2.0})])
def test_a_mark_is_passed_where_going_on_takes_less_than_what_stands_behind_it(generator_s: float, marks: set[float]) -> None:
    play = Play(cost=lambda stage: generator_s if stage["stage"] == "generator" else 1.0, trials=32)
    assert {move.fixed[MARK] for move in play.go(32) if move.kind == "explore"} == marks


def test_a_generator_that_is_in_training_is_not_trained_further_meanwhile() -> None:
    play = Play(trials=60)
    play.go(20)
    for _ in range(10):
        play.take(end=False)
    model = play.moves().model
    in_training = [model.parts(play.asked[number].params)[0] for number in range(20, 30) if play.asked[number].move in ("explore", "promote")]
    assert in_training and len(set(in_training)) == len(in_training)


@pytest.mark.parametrize("kinds", [{"explore"}, {"explore", "reuse"}, {"explore", "promote"}])
def test_moves_that_are_not_allowed_are_not_made(kinds: set[str]) -> None:
    play = Play(trials=26)
    play.change(replace(play.plan, kinds=frozenset(kinds)))
    made = {move.kind for move in play.go(26)}
    assert made == kinds | {"baseline"}


def test_a_choice_depends_on_what_is_known_and_on_the_number_alone() -> None:
    play = Play(trials=60)
    play.go(22)
    for _ in range(3):
        play.take(end=False)
    moves = play.moves()
    first = moves.next(25, is_free=lambda move: True)
    assert first == moves.next(25, is_free=lambda move: True) == play.next()
    assert first != moves.next(26, is_free=lambda move: True)


def test_a_family_that_learns_nothing_is_never_promoted() -> None:
    play = Play(trials=32)
    play.change(replace(play.plan, untrained=frozenset({"right"})))
    moves = play.go(32)
    assert {move.fixed["generator.family"] for move in moves if move.kind == "promote"} == {"left"}
    assert {move.fixed[MARK] for move in moves if move.fixed.get("generator.family") == "right"} == {2.0}


def test_a_generator_that_is_reused_may_be_drawn_from_in_another_way() -> None:
    play = Play(cost=lambda stage: 9.0 if stage["stage"] == "generator" else 1.0, trials=32)
    play.change(replace(play.plan, drawing=frozenset({"generator.left.lr", "generator.right.lr"})))
    reused = [move for move in play.go(32) if move.kind == "reuse" and move.parent is not None]
    rates = [(name, move) for move in reused for name in move.fixed if name.startswith("generator.") and name.endswith(".lr")]
    assert any(move.fixed[name] != play.asked[move.parent or 0].params[name] for name, move in rates)


def test_failed_generators_are_neither_reused_nor_promoted() -> None:
    play = Play()
    for number in range(8):
        play.take(state="failed" if number >= 2 else "complete")
    assert {play.asked[number].move for number in range(4, 8)} == {"explore"}


def spoils(move: Move) -> bool:
    """Amounts above 0.4 cannot be had, as where a filter lets too little pass."""
    return move.kind != "baseline" and move.fixed["synthesis.fraction"] > 0.4


def play_where_much_spoils() -> tuple[Play, list[Move]]:
    play, made = Play(trials=48), []
    for number in range(48):
        made.append(move := play.take(end=False))
        if spoils(move):
            failed = Record(
                trial=number, state="failed", failure="collapsed", failed_in="pool", started_s=0.0, ended_s=1.0, epoch=1, rungs={"5": 0.1}
            )
            play.records[number] = failed
            assert play.now is not None
            play.now.tell(failed)
        else:
            play.end(number, *(outcome(move.fixed) if move.kind != "baseline" else (0.5, None)))
    return play, made


def test_what_fails_behind_a_generator_is_avoided_and_the_generator_kept() -> None:
    """The search learns to ask for less, of the same generators too."""
    play, made = play_where_much_spoils()
    chosen = [spoils(move) for move in made[16:] if "expected" in move.reason]
    assert len(chosen) > 20
    assert sum(chosen) / len(chosen) < 0.25
    spoiled = {number for number, record in play.records.items() if record.state == "failed"}
    assert any(move.kind == "reuse" and move.parent in spoiled for move in made), "its rung was measured, so the generator stands there"


def test_what_is_expected_of_a_trial_does_not_hang_on_the_others_that_are_weighed() -> None:
    """As it would if a generator that nothing stood behind so far could pass for one behind which a trial has failed."""
    play, _ = play_where_much_spoils()
    model = play.moves().model
    fitted = Expectations(model).fit()
    assert fitted is not None
    ladder = {family: play.study.ladder(family) for family in play.study.families}
    candidates = list(Proposals(play.study.space, model, ladder, random.Random(0), KINDS).candidates(fitted))
    one, other = fitted.expect(candidates), fitted.expect(candidates[::-1])
    assert len(candidates) > len(play.asked)
    for found, again in ((one.means, other.means), (one.spreads, other.spreads), (one.seconds, other.seconds)):
        assert np.allclose(found, again[::-1], rtol=1e-6, atol=1e-9)


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
    play.give(7, lr=3e-3)
    play.give(6, lr=1e-3)
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
    play.give(7, lr=1e-3)
    play.give(6, lr=1e-3)
    moves = [play.take() for _ in range(4)] + [play.take(end=False)]
    assert moves[4].fixed["inspector.kind"] == "small" and play.next() == "wait", "the other twin is the same inspector"
    play.end(len(play.asked) - 1)
    assert play.take().fixed == moves[4].fixed and play.next() == "finished"


def test_the_best_baseline_is_the_best_by_the_score_of_the_verdict() -> None:
    play = Play(trials=6, top=1)
    study = replace(play.study, objectives=(GOALS[1], GOALS[0]))
    play.change(replace(play.plan, study=study, baselines=baseline_params(study.space, ("plain", "augment"))))
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


def test_a_generator_whose_trial_was_stopped_at_a_rung_is_known_by_its_score_there() -> None:
    play = Play(trials=60)
    play.go(16)
    while (move := play.take(end=False)).kind != "explore":
        play.end(len(play.asked) - 1, *outcome(move.fixed))
    number = len(play.asked) - 1
    record = Record(trial=number, state="pruned", message="stopped", rungs={"2": 0.01}, started_s=0.0, ended_s=1.0, epoch=1)
    play.records[number] = record
    moves = play.moves()
    known = moves.model.known(move.fixed)
    assert known.distances[2.0] == 0.01 and known.latest == number and not known.trials and not known.running
    following = moves.next(number + 1, is_free=lambda move: True)
    assert isinstance(following, Move)
    assert following.kind != "explore" and following.parent == number, "a better generator than any other is worth an inspector"


def test_a_generator_all_of_whose_trials_break_a_limit_is_not_promoted() -> None:
    play = Play(trials=32)
    play.go(7)
    move = play.next()
    assert isinstance(move, Move) and move.kind == "promote" and move.parent is not None
    own = [number for trials in play.moves().model.known(move.fixed).trials.values() for number in trials]
    best = max(play.records[number].scores["val_accuracy"] or 0.0 for number in own)
    limit = Limit(score="val_accuracy", bound=best + 1e-6, direction="maximize")
    study = replace(play.study, limits=(limit,))
    for plan, marks in ((play.plan, {2.0, 4.0}), (replace(play.plan, study=study), {2.0})):
        play.change(plan)
        model = play.moves().model
        fitted = Expectations(model).fit()
        assert fitted is not None
        weighed = Proposals(study.space, model, dict.fromkeys(model.families, (2.0, 4.0)), random.Random(0), KINDS).candidates(fitted)
        assert {candidate.mark for candidate in weighed if candidate.generator.name == model.known(move.fixed).name} == marks
