import math
from collections.abc import Mapping
from typing import Any

import pytest
from small_table import BASELINE_S, small_table

from search.replay.measure import Yardstick
from search.replay.simulation import Course, Job, Result, Rung, simulate
from search.replay.table import TableError

LEFT = {"generator.family": "left", "generator.left.lr": 0.1}
OTHER = {"generator.family": "left", "generator.left.lr": 0.2}


def point(generator: Mapping[str, Any], kimg: float, fraction: float = 0.2, augment: str = "none") -> dict[str, Any]:
    behind = {"synthesis.amount": "fraction", "synthesis.fraction": fraction, "inspector.kind": "fcn", "inspector.fcn.augment": augment}
    return {**generator, "generator.kimg": kimg, **behind}


class Script:
    """Plays a list of trials; stops those that are told to stop at a mark."""

    def __init__(
        self, *points: dict[str, Any], shares: bool = True, stop: Mapping[int, float] | None = None, told: tuple[float, ...] = (2.0, 6.0)
    ) -> None:
        self.shares, self.now_s = shares, 0.0
        self.left = [Job(number=number, move="explore", params=params) for number, params in enumerate(points)]
        self.stop, self.told = stop or {}, told
        self.heard: list[tuple[float, int, float]] = []

    def ask(self) -> Job | None:
        return self.left.pop(0) if self.left else None

    def rungs(self, job: Job) -> tuple[float, ...]:
        return self.told

    def rung(self, job: Job, rung: Rung) -> str | None:
        self.heard.append((self.now_s, job.number, rung.kimg))
        return "told to" if self.stop.get(job.number) == rung.kimg else None

    def stopped(self, job: Job, reason: str, result: Result) -> None:
        assert reason == "told to"

    def finished(self, job: Job, result: Result) -> None:
        assert result.rungs.keys() == {mark for mark in self.told if mark <= job.params.get("generator.kimg", 0.0)}


def seconds(course: Course) -> list[float]:
    return [end.time_s for end in course.ends]


def test_a_stage_is_paid_once() -> None:
    points = [point(LEFT, 2.0), point(LEFT, 2.0), point(LEFT, 2.0, augment="flips"), point(LEFT, 2.0, fraction=0.6)]
    course = simulate(Script(*points), small_table(), workers=1)
    # 20 s of training, 1 s of drawing, 4 s of inspecting; then nothing; then one more inspector each, on the same images.
    assert seconds(course) == [25.0, 25.0, 29.0, 33.0] and course.compute_s == 33.0
    reused = [[stage.reused for stage in end.result.stages] for end in course.ends]
    assert reused == [[False] * 3, [True] * 3, [True, True, False], [True, True, False]]
    apart = simulate(Script(*points, shares=False), small_table(), workers=1)
    assert seconds(apart) == [25.0, 50.0, 75.0, 100.0]


def test_a_later_mark_costs_the_difference_to_the_latest_earlier_one() -> None:
    course = simulate(Script(point(LEFT, 2.0), point(LEFT, 6.0), point(OTHER, 6.0), point(OTHER, 2.0)), small_table(), workers=1)
    assert [end.compute_s for end in course.ends] == [25.0, 25.0 + 40.0 + 5.0, 70.0 + 65.0, 135.0 + 5.0]
    made = {(stage.stage, stage.key): stage.seconds for end in course.ends for stage in end.result.stages if not stage.reused}
    assert math.fsum(made.values()) == course.compute_s


def test_without_a_rung_no_mark_is_left_on_the_way() -> None:
    course = simulate(Script(point(LEFT, 6.0), point(LEFT, 2.0), told=()), small_table(), workers=1)
    assert [end.compute_s for end in course.ends] == [65.0, 65.0 + 25.0]


def test_the_images_of_a_rung_are_paid_where_it_is_told_and_at_the_own_mark() -> None:
    table = small_table(rung_s=[0.5] * 24)
    courses = [simulate(Script(point(LEFT, 6.0), told=told), table, workers=1) for told in ((2.0, 6.0), ())]
    assert [course.compute_s for course in courses] == [66.0, 65.5]


def test_rungs_are_told_in_the_order_of_time_and_stop_a_trial() -> None:
    script = Script(point(LEFT, 6.0), point(OTHER, 6.0), point(OTHER, 2.0), stop={1: 2.0})
    course = simulate(script, small_table(), workers=2)
    assert script.heard == sorted(script.heard, key=lambda told: told[0])
    assert script.heard == [(20.0, 0, 2.0), (20.0, 1, 2.0), (20.0, 2, 2.0), (60.0, 0, 6.0)]
    assert [(end.job.number, end.state, end.time_s) for end in course.ends] == [(1, "pruned", 20.0), (2, "complete", 25.0), (0, "complete", 65.0)]
    assert course.ends[0].result.scores == {} and course.ends[0].result.rungs == {2.0: 0.6}
    assert course.compute_s == 20.0 + 5.0 + 65.0 and course.elapsed_s == 65.0


def test_trials_at_the_same_time_that_lack_the_same_stage_both_pay() -> None:
    course = simulate(Script(point(LEFT, 2.0), point(LEFT, 2.0)), small_table(), workers=2)
    assert seconds(course) == [25.0, 25.0] and course.compute_s == 50.0


def test_a_budget_cuts_off_what_is_under_way() -> None:
    course = simulate(Script(point(LEFT, 6.0), point(OTHER, 2.0)), small_table(), workers=2, budget_s=60.0)
    assert [end.job.number for end in course.ends] == [1]
    assert course.compute_s == 60.0 and course.elapsed_s == 35.0


def test_the_trial_on_real_images_alone_costs_what_the_table_says() -> None:
    course = simulate(Script({"baseline": "plain", "inspector.kind": "fcn"}), small_table(), workers=1)
    assert course.compute_s == BASELINE_S and course.ends[0].result.scores["val_accuracy"] is None


def test_shares_grow_to_one_with_the_whole_table() -> None:
    table = small_table()
    course = simulate(Script(*(dict(own.params) for own in table.points.values())), table, workers=3)
    measure = Yardstick(table)
    shares = [share for _, share in measure.shares(course)]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    assert measure.share_at(course, 0.0) == 0.0 and measure.share_at(course) == shares[-1]
    first = simulate(Script(point(LEFT, 6.0, fraction=0.6, augment="flips")), table, workers=1)
    # The best generator at its best: nothing dominates it.
    assert measure.seconds_to(first, 1.0 - 1e-9) == 65.0 and measure.seconds_to(first, 1.1) == math.inf


def test_an_objective_that_never_changes_cannot_be_measured() -> None:
    table = small_table(val_accuracy=[0.5] * 24)
    with pytest.raises(TableError, match="val_accuracy: the same in all rows"):
        Yardstick(table)
