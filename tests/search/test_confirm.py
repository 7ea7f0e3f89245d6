"""Confirmation: what is asked in a race and behind it, on made-up records."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_study import fixed_cost, make_study

from reports.race import Layout
from reports.records import Asked, Record
from search.confirm import TWIN, Due, due, fresh_units, left, most
from search.moves import Move, Moves, Plan, starting_points
from search.spending.took import todo, took
from search.studies.recipes import baseline_params, build_recipe
from search.studies.settings import ConfirmSettings
from search.studies.study import Study
from trainables.errors import SettingsError
from trainables.recipe import Unit

ACCURACIES = {2: 0.80, 3: 0.95, 4: 0.70, 5: 0.60}
"""What the trials of the search behind the two baselines scored once; of all but the last, the first objective decides."""


class Ended:
    """A study whose search has ended: two baselines and four generators. What follows is asked and ended by hand."""

    def __init__(self, **settings: Any) -> None:
        study = make_study(Path(), trials=6)
        self.study: Study = replace(study, search=replace(study.search, confirm=ConfirmSettings(**{"top": 3, "seeds": 4, **settings})))
        self.asked: dict[int, Asked] = {}
        self.records: dict[int, Record] = {}
        for point in baseline_params(study.space, ("plain",)):
            self._search("baseline", point, 0.75, None)
        for number, accuracy in ACCURACIES.items():
            point = study.space.defaults({"generator.family": "left"}) | {"generator.left.lr": 1e-3 / number, "inspector.small.lr": 1e-4 * number}
            self._search("explore", point, accuracy, 0.5)

    def _search(self, move: str, params: Mapping[str, Any], accuracy: float, kid: float | None) -> None:
        number = len(self.asked)
        recipe = build_recipe(self.study, params).to_plain()
        self.asked[number] = Asked(trial=number, move=move, reason="", params=params, recipe=recipe, epoch=1, time_s=0.0)
        scores = {"val_accuracy": accuracy, "val_kid_random": kid}
        self.records[number] = Record(trial=number, state="complete", scores=scores, units=[scores], started_s=0.0, ended_s=1.0, epoch=1)

    def due(self) -> Due:
        return due(self.study, self.asked, self.records)

    def ask(self, found: Due | None = None) -> list[int]:
        """Asks all that is due, in order."""
        numbers = []
        for item in (found or self.due()).now:
            number = len(self.asked)
            recipe = build_recipe(self.study, item.repeat.params, units=item.units, judge=item.judge).to_plain()
            self.asked[number] = Asked(
                trial=number,
                move="confirm",
                reason=item.reason,
                parent=item.repeat.parent,
                params=item.repeat.params,
                recipe=recipe,
                epoch=1,
                time_s=0.0,
            )
            numbers.append(number)
        return numbers

    def end(self, number: int, values: Sequence[float] = (), failure: str | None = None) -> None:
        """Ends a confirmation with so much in its units, the last number in all that follow."""
        common: dict[str, Any] = {"trial": number, "started_s": 0.0, "ended_s": 1.0, "epoch": 1}
        if failure is not None:
            self.records[number] = Record(state="failed", failure=failure, **common)
            return
        many = [values[min(i, len(values) - 1)] for i in range(len(self.asked[number].recipe["units"]))]
        self.records[number] = Record(state="complete", scores={}, units=[{"val_accuracy": value} for value in many], **common)

    def parents(self, numbers: Sequence[int]) -> list[int | None]:
        return [self.asked[number].parent for number in numbers]

    def run_race(self, values: Mapping[int, Sequence[float]]) -> None:
        """Asks and ends one round."""
        for number in self.ask():
            parent = self.asked[number].parent
            assert parent is not None
            self.end(number, values[parent])


CLEAR = {3: (0.90, 0.91, 0.92, 0.90, 0.91, 0.92), 2: (0.905, 0.90, 0.915, 0.91, 0.90, 0.92), 4: (0.70, 0.705, 0.725, 0.7, 0.7, 0.7)}
"""Validation scores of the three leaders' repeats: two are alike, and one has clearly lost."""


def test_a_round_is_asked_side_by_side_and_nothing_is_judged_before_it_ended() -> None:
    play = Ended()
    found = play.due()
    assert [item.repeat.parent for item in found.now] == [3, 2, 4] and found.later
    assert {item.units for item in found.now} == {tuple(Unit(generator=0, inspector=i) for i in (1, 2, 3))}, "units are paired"
    assert not any(item.judge for item in found.now) and all("round 1 of the race" in item.reason for item in found.now)
    numbers = play.ask()
    assert play.due() == Due([], later=True)
    for number in numbers[:2]:
        play.end(number, CLEAR[play.asked[number].parent or 0])
    assert play.due() == Due([], later=True), "the last one may yet be the leader"


def test_survivors_their_twins_and_the_baselines_are_judged_with_all_seeds() -> None:
    play = Ended()
    play.run_race(CLEAR)
    found = play.due()
    assert [(item.repeat.parent, item.repeat.params.get("baseline")) for item in found.now] == [
        (0, "plain"),
        (1, "plain"),
        (3, None),
        (2, None),
        (3, TWIN),
        (2, TWIN),
    ]
    assert all(item.judge and len(item.units) == 4 for item in found.now) and not found.later
    assert "2 of 3 leaders came through the race" in found.now[2].reason
    for number in play.ask(found):
        play.end(number, (0.9,))
    assert play.due() == Due([], later=False)


def test_the_recipe_of_a_round_is_that_of_the_judging_but_for_what_is_judged() -> None:
    play = Ended()
    (race_number, *_) = play.ask()
    for number in (race_number, race_number + 1, race_number + 2):
        play.end(number, (0.9, 0.8, 0.85))
    judged_number = next(number for number in play.ask() if play.asked[number].parent == 3 and "baseline" not in play.asked[number].params)
    before, after = (dict(play.asked[number].recipe) for number in (race_number, judged_number))
    assert before.pop("units") == after.pop("units")[:3] and (before.pop("judge"), after.pop("judge")) == (False, True)
    diagnostics = [dict(one.pop("scores")) for one in (before, after)]
    assert [one.pop("diagnostics") for one in diagnostics] == [False, True] and diagnostics[0] == diagnostics[1]
    assert before == after and before["rungs"] == [], "a repeat is seen to its end"


def test_a_second_round_asks_who_is_left_for_more_seeds() -> None:
    play = Ended(seeds=6)
    play.run_race(CLEAR)
    found = play.due()
    assert [item.repeat.parent for item in found.now] == [3, 2] and all(len(item.units) == 5 and not item.judge for item in found.now)
    assert "round 2 of the race" in found.now[0].reason
    play.run_race(CLEAR)
    assert all(item.judge and len(item.units) == 6 for item in play.due().now)


def test_seeds_that_cross_have_generators_for_leaders_alone() -> None:
    play = Ended(generators=2)
    found = play.due()
    assert {item.units for item in found.now} == {tuple(Unit(generator=g, inspector=i) for i in (1, 2, 3) for g in (1, 2))}
    play.run_race(dict.fromkeys(CLEAR, (0.9, 0.8, 0.7, 0.75, 0.85, 0.6)))
    judged = {bool(item.repeat.is_leader): item.units for item in play.due().now}
    assert judged[False] == tuple(Unit(inspector=i) for i in (1, 2, 3, 4)) and len(judged[True]) == 8
    assert fresh_units(Layout(seeds=2, retrain_generator=True)) == (Unit(generator=1, inspector=1), Unit(generator=2, inspector=2))


@pytest.mark.parametrize("settings", [{"seeds": 3}, {"seeds": 1}, {"race": False}, {"top": 1}])
def test_without_a_race_everything_is_judged_at_once(settings: dict[str, Any]) -> None:
    play = Ended(**settings)
    found = play.due()
    assert all(item.judge for item in found.now) and not found.later
    assert len(found.now) == 2 + 2 * settings.get("top", 3) and "race" not in found.now[0].reason


def test_leaders_that_are_all_worse_than_a_baseline_are_judged_all_the_same() -> None:
    play = Ended()
    play.run_race(dict.fromkeys(CLEAR, (0.1, 0.2, 0.15)))
    assert [item.repeat.parent for item in play.due().now if item.repeat.is_leader] == [3, 2, 4]


def test_a_leader_whose_repeat_failed_is_out_with_its_twin() -> None:
    play = Ended()
    numbers = play.ask()
    for number in numbers:
        parent = play.asked[number].parent or 0
        play.end(number, CLEAR[parent], failure="diverged" if parent == 3 else None)
    assert 3 not in [item.repeat.parent for item in play.due().now]


def test_who_was_judged_by_an_earlier_version_is_not_judged_or_raced_again() -> None:
    play = Ended(race=False)
    for number in play.ask():
        play.end(number, CLEAR.get(play.asked[number].parent or 0, (0.8,)))
    play.study = replace(play.study, search=replace(play.study.search, confirm=ConfirmSettings(top=3, seeds=4)))
    assert play.due() == Due([], later=False), "the loser has been judged already"


def test_a_new_leader_of_an_extended_study_runs_against_those_that_were_judged() -> None:
    play = Ended(top=2)
    play.run_race(CLEAR)
    for number in play.ask():
        play.end(number, CLEAR.get(play.asked[number].parent or 0, (0.8,)))
    assert play.due() == Due([], later=False)
    better = play.study.space.defaults({"generator.family": "left"}) | {"generator.left.lr": 2e-3}
    play._search("explore", better, 0.99, 0.4)
    newest = len(play.asked) - 1
    found = play.due()
    assert [item.repeat.parent for item in found.now] == [newest] and not found.now[0].judge, "the others have their repeats"
    play.run_race({newest: (0.2, 0.21, 0.19)})
    assert play.due() == Due([], later=False), "it has clearly lost"
    play.end(len(play.asked) - 1, (0.93, 0.90, 0.94))
    assert {item.repeat.parent for item in play.due().now} == {newest} and all(item.judge for item in play.due().now)


def test_what_is_left_is_counted_at_most_and_in_the_end_is_nothing() -> None:
    play = Ended(seeds=6)

    def ahead() -> tuple[int, int, int, int]:
        ended = [took(play.asked[number], record) for number, record in play.records.items()]
        found = todo(play.study, ended)
        assert found.trials == found.confirm_real + found.confirm_leaders + found.confirm_twins + found.confirm_race
        return found.confirm_real, found.confirm_leaders, found.confirm_twins, found.confirm_race

    assert most(play.study)[:4] == ahead() == (2, 3, 3, 6)
    first, *others = play.ask()
    assert ahead() == (2, 3, 3, 6), "what runs has not ended"
    play.end(first, CLEAR[3])
    assert ahead() == (2, 3, 3, 5)
    for number in others:
        play.end(number, CLEAR[play.asked[number].parent or 0])
    assert ahead() == (2, 2, 2, 2), "one was dropped"
    play.run_race(CLEAR)
    assert ahead() == (2, 2, 2, 0)
    for count, number in enumerate(play.ask(), start=1):
        play.end(number, (0.9,))
        assert sum(ahead()) == 6 - count
    assert left(play.study, play.asked, play.records)[:4] == (0, 0, 0, 0)


def test_before_the_end_of_a_search_confirmations_are_those_that_there_are_at_most() -> None:
    play = Ended()
    ended = [took(play.asked[number], play.records[number]) for number in range(5)]
    assert todo(play.study, ended).confirm_race == 3 and todo(play.study, ended).search == 1
    nothing = replace(play.study, search=replace(play.study.search, confirm=ConfirmSettings(top=0, seeds=5)))
    assert todo(nothing, ended).trials == 1 and most(nothing)[:4] == (0, 0, 0, 0)


def test_the_moves_of_a_race_follow_from_the_records_alone() -> None:
    play = Ended()
    plan = Plan(study=play.study, baselines=baseline_params(play.study.space, ("plain",)), starts=starting_points(play.study), cost=fixed_cost)

    def following(busy: Callable[[Move], bool] = lambda move: False) -> Move | str:
        moves = Moves(plan)
        for asked in play.asked.values():
            moves.add(asked)
        for record in play.records.values():
            moves.tell(record)
        return moves.next(len(play.asked), is_free=lambda move: not busy(move))

    def kind(move: Move | str) -> tuple[str, bool, int | None]:
        assert isinstance(move, Move)
        return move.kind, move.judge, move.parent

    assert kind(following()) == ("confirm", False, 3)
    assert kind(following(busy=lambda move: move.parent == 3)) == ("confirm", False, 2), "a busy one makes way"
    assert following(busy=lambda move: True) == "wait"
    play.run_race(CLEAR)
    assert kind(following()) == ("confirm", True, 0)
    assert following() == following()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": 0}, "seeds 1 or more"),
        ({"top": -1}, "top must be 0 or more"),
        ({"generators": 4}, "generators: 4; expected 0, or 2 to 3 as there are seeds"),
        ({"generators": 1}, "generators: 1; expected 0, or 2 to 3 as there are seeds"),
        ({"generators": -2}, "generators: -2; expected"),
        ({"seeds": 1, "generators": 2}, "expected 0, or 2 and more with at least as many seeds"),
        ({"generators": 2, "retrain_generator": True}, "give one of both"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        ConfirmSettings(**settings)
    assert ConfirmSettings(seeds=3, generators=3).layout.generators == 3
