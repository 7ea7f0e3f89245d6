"""Stopping at rungs, case by case."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_study import make_study

from reports.records import Asked, Record
from search.schedulers import Rungs
from search.studies.objectives import Objective
from search.studies.recipes import build_recipe
from search.studies.settings import StoppingSettings
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study


def study_of(*, marks: tuple[float, ...] = (2.0, 4.0), objectives: tuple[Objective, ...] = (), **changes: Any) -> Study:
    study = make_study(Path(), marks=marks)
    stopping = StoppingSettings(**({"pass_share": 0.0, "least_results": 3} | changes))
    return replace(study, search=replace(study.search, stopping=stopping), objectives=objectives or study.objectives)


class Ladder:
    """Rungs that are told trials by hand."""

    def __init__(self, study: Study | None = None) -> None:
        self.study = study or study_of()
        self.rungs = Rungs(self.study)
        self.asked: list[Asked] = []
        self.records: list[Record] = []

    def ask(self, family: str = "left", mark: float = 4.0, move: str = "explore", parent: int | None = None, lr: float | None = None) -> int:
        number = len(self.asked)
        params = {"generator.family": family, "generator.kimg": mark, f"generator.{family}.lr": 1e-5 * (number + 1) if lr is None else lr}
        self.asked.append(Asked(trial=number, move=move, reason="", parent=parent, params=params, recipe={}, epoch=1, time_s=0.0))
        self.rungs.add(self.asked[-1])
        return number

    def reach(self, number: int, mark: float, score: float | None, **metrics: float) -> str | None:
        self.rungs.note(number, mark, score, metrics)
        return self.rungs.decide(number, mark)

    def end(self, number: int, accuracy: float) -> None:
        scores = {"val_accuracy": accuracy, "val_kid_random": 0.5}
        told = self.rungs.told(number)
        beside = self.rungs.told_beside(number)
        self.records.append(
            Record(trial=number, state="complete", scores=scores, rungs=told, rung_scores=beside, started_s=0.0, ended_s=1.0, epoch=1)
        )
        self.rungs.tell(self.records[-1])

    def prove(self, family: str = "left", *, better: float = -1.0, mark: float = 4.0, rungs: Sequence[float] = (2.0, 4.0)) -> None:
        """Lets five generators end as their rung scores say, or, with `better` above 0, the other way round."""
        for i in range(1, 6):
            number = self.ask(family, mark)
            for rung in rungs:
                self.rungs.note(number, rung, float(10 * i))
            self.end(number, 0.5 + 0.05 * better * i)


def test_a_score_that_is_told_again_replaces_the_first() -> None:
    """As by a trial that lost its worker: its generator stands there once."""
    ladder = Ladder()
    ladder.prove()
    number = ladder.ask()
    ladder.rungs.note(number, 4.0, 5.0)
    reason = ladder.reach(number, 4.0, 45.0)
    assert reason is not None and "4 of 5 other" in reason
    ladder.rungs.note(number, 4.0, None)
    later = ladder.reach(ladder.ask(), 4.0, 55.0)
    assert later is not None and "5 of 5 other" in later


@pytest.mark.parametrize(
    ("mark", "rung", "score", "goes_on"),
    [
        (4.0, 2.0, 5.0, True),  # best of six on its way: two go on
        (4.0, 2.0, 15.0, True),
        (4.0, 2.0, 25.0, False),
        (4.0, 2.0, 20.0, True),  # as good as the second
        (4.0, 4.0, 25.0, True),  # at its own mark four of six go on
        (4.0, 4.0, 35.0, True),
        (4.0, 4.0, 45.0, False),
        (2.0, 2.0, 35.0, True),  # the lower mark is its own
        (2.0, 2.0, 45.0, False),
        (4.0, 2.0, None, True),  # nothing to go by
        (4.0, 2.0, float("nan"), True),
    ],
)
def test_who_goes_on(mark: float, rung: float, score: float | None, goes_on: bool) -> None:
    ladder = Ladder()
    ladder.prove()
    reason = ladder.reach(ladder.ask(mark=mark), rung, score)
    assert (reason is None) == goes_on, reason
    if reason is not None:
        assert reason.startswith(f"stopped at {rung:g} kimg: ") and "of 5 other left generators stand better there" in reason


def test_nothing_is_stopped_before_there_are_enough_results_at_the_rung() -> None:
    ladder = Ladder(study_of(least_results=5))
    ladder.prove(rungs=(4.0,))
    for i in range(4):
        assert ladder.reach(ladder.ask(), 2.0, float(i)) is None
    assert ladder.reach(ladder.ask(), 2.0, 9.0) is not None, "the fifth"


def test_scores_that_are_all_the_same_stop_nothing() -> None:
    ladder = Ladder()
    ladder.prove(rungs=(4.0,))
    assert [ladder.reach(ladder.ask(), 2.0, 0.25) for _ in range(12)] == [None] * 12


@pytest.mark.parametrize(("better", "stopped"), [(-1.0, True), (1.0, False), (0.0, False)])
def test_a_family_is_stopped_only_where_rung_scores_say_what_comes_of_it(better: float, stopped: bool) -> None:
    """0 lets all end alike, 1 ends the worst best."""
    ladder = Ladder()
    ladder.prove(better=better)
    assert (ladder.reach(ladder.ask(), 2.0, 99.0) is not None) == stopped
    assert ladder.rungs.trust("left").holds(ladder.rungs.bounds) == stopped


def test_families_are_trusted_apart() -> None:
    ladder = Ladder()
    ladder.prove("left", better=1.0)
    ladder.prove("right")
    assert ladder.reach(ladder.ask("left"), 2.0, 99.0) is None
    assert ladder.reach(ladder.ask("right"), 2.0, 99.0) is not None


@pytest.mark.parametrize(("among", "stopped"), [("family", False), ("all", True)])
def test_generators_are_held_against_their_family_or_against_all(among: Any, stopped: bool) -> None:
    ladder = Ladder(study_of(among=among))
    ladder.prove("left")
    # Few of its own to be held against, and its trust is that of all.
    assert (ladder.reach(ladder.ask("right"), 2.0, 99.0) is not None) == stopped


def test_some_go_on_regardless_and_always_the_same() -> None:
    def passing(share: float) -> list[int]:
        ladder = Ladder(study_of(pass_share=share))
        ladder.prove()
        return [number for number in (ladder.ask() for _ in range(120)) if ladder.reach(number, 2.0, 99.0 + number) is None]

    some = passing(0.1)
    assert some == passing(0.1) and 4 <= len(some) <= 25
    assert passing(0.0) == [] and set(some) < set(passing(0.3))


def test_only_new_generators_are_stopped_and_held_against_each_other() -> None:
    ladder = Ladder()
    ladder.prove()
    for move in ("reuse", "confirm"):
        assert ladder.reach(ladder.ask(move=move, parent=4), 2.0, 99.0) is None
    for _ in range(20):
        ladder.reach(ladder.ask(move="reuse", parent=0), 2.0, 1.0)
    assert ladder.reach(ladder.ask(), 2.0, 15.0) is None, "twenty uses of the best are one generator"


def test_a_promoted_trial_has_the_marks_up_to_its_parents_behind_it() -> None:
    study = study_of(marks=(1.0, 2.0, 4.0))
    ladder = Ladder(study)
    ladder.prove(rungs=(1.0, 2.0, 4.0))
    parent = ladder.ask(mark=1.0)
    ladder.reach(parent, 1.0, 99.0)
    promoted = ladder.ask(mark=4.0, move="promote", parent=parent)
    assert ladder.reach(promoted, 1.0, 99.0) is None
    assert ladder.reach(promoted, 2.0, 99.0) is not None


def test_several_distances_are_weighed_by_fronts() -> None:
    names = ("val_kid_random.a", "val_kid_random.b")
    goals = (Objective(score="val_accuracy", direction="maximize"), *(Objective(score=name, direction="minimize") for name in names))
    ladder = Ladder(study_of(objectives=goals))
    ladder.prove(rungs=(4.0,))
    for number in range(5, 8):
        one = ladder.ask()
        ladder.reach(one, 4.0, 1.0, **{names[0]: float(number), names[1]: float(20 - number)})
    # All of these lie on one front, so that the worst mean of them is behind nobody; what they dominate is.
    for a, b, goes_on in ((1.0, 40.0, True), (30.0, 30.0, False)):
        reason = ladder.reach(ladder.ask(), 4.0, 1.0, **{names[0]: a, names[1]: b})
        assert (reason is None) == goes_on
    assert ladder.reach(ladder.ask(), 4.0, 99.0, **{names[0]: 99.0}) is None, "a distance is missing"


def test_a_decision_stands_and_is_rebuilt_from_records_and_steps() -> None:
    ladder = Ladder()
    ladder.prove()
    first, stopped = ladder.ask(), ladder.ask()
    assert ladder.reach(first, 2.0, 15.0) is None
    reason = ladder.reach(stopped, 2.0, 45.0)
    later = [ladder.ask() for _ in range(3)]
    assert [ladder.reach(number, 2.0, 1.0) for number in later] == [None] * 3
    assert ladder.rungs.decide(first, 2.0) is None, "by now it would be stopped"
    again = Rungs(ladder.study)
    for asked in ladder.asked:
        again.add(asked)
    for record in reversed(ladder.records):
        again.tell(record)
    for number, score, said in ((first, 15.0, None), (stopped, 45.0, reason), *((number, 1.0, None) for number in later)):
        again.recall(number, [{"stage": "generator", "kimg": 1.0}, {"stage": "rung", "kimg": 2.0, "rung_score": score, "stopped": said}])
    assert (again.decide(first, 2.0), again.decide(stopped, 2.0)) == (None, reason)
    assert [again.told(number) for number in range(len(ladder.asked))] == [ladder.rungs.told(number) for number in range(len(ladder.asked))]
    one, other = ladder.ask(), ladder.asked[-1]
    again.add(other)
    again.note(one, 2.0, 12.0)
    assert again.decide(one, 2.0) == ladder.reach(one, 2.0, 12.0) is not None


@pytest.mark.parametrize(
    ("marks", "enabled", "rungs"),
    [((2.0, 4.0), "auto", (2.0, 4.0)), ((2.0,), "auto", ()), ((2.0,), True, (2.0,)), ((2.0, 4.0), False, ()), ((2.0, 4.0, 8.0), "auto", (2.0, 4.0))],
)
def test_a_trial_has_the_rungs_of_its_ladder_up_to_its_mark(marks: tuple[float, ...], enabled: Any, rungs: tuple[float, ...]) -> None:
    study = study_of(marks=marks, enabled=enabled)
    params = study.space.defaults({"generator.kimg": min(marks[-1], 4.0)})
    assert build_recipe(study, params).rungs == rungs
    assert build_recipe(study, params, judge=True).rungs == ()
    assert build_recipe(study, {"baseline": "plain", **params}).rungs == ()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("reduction_factor: 1", "reduction_factor: 1.0 is not above 1"),
        ("least_results: 1", "least_results: 1 is fewer than 2"),
        ("pass_share: 2", "pass_share: 2.0 is not between 0 and 1"),
        ("least_low: -3", "least_low: -3.0 is not between -1 and 1"),
        ("enabled: sometimes", "'sometimes' is not"),
        ("factor: 4", "no such setting"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: str, text: str) -> None:
    with pytest.raises(StudyError, match=r"search\.stopping") as caught:
        parse_study(f"study: s\ndata: {{backgrounds: folder}}\nsearch: {{stopping: {{{given}}}}}\n", "s.yaml")
    assert text in str(caught.value)
