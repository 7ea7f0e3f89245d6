import pytest
from small_table import BASELINE_S, small_table

from search.replay.simulation import Course, Rung, simulate
from search.replay.stock import Asha, Stock


def story(course: Course) -> list[object]:
    return [(end.job.number, end.job.params, end.state, end.compute_s) for end in course.ends]


def test_a_stock_trial_trains_to_the_top_mark_and_pays_everything() -> None:
    table = small_table()
    course = simulate(Stock(table, seed=1, trials=30), table, workers=1)
    assert len(course.ends) == 31 and course.compute_s == BASELINE_S + 30 * 65.0
    assert all(end.job.params["generator.kimg"] == 6.0 and frozenset(end.job.params.items()) in table.points for end in course.ends[1:])


def test_with_our_store_the_same_suggestions_cost_less() -> None:
    table = small_table()
    apart, shared = (simulate(Stock(table, seed=1, shares=shares, trials=30), table, workers=1) for shares in (False, True))
    assert [end.job.params for end in apart.ends] == [end.job.params for end in shared.ends]
    # Three generators at the top mark, four settings behind each: 3 x 60 s, 3 x 1 s of images, at most 12 x 4 s.
    different = len({frozenset(end.job.params.items()) for end in shared.ends[1:]})
    assert shared.compute_s == BASELINE_S + 3 * 61.0 + different * 4.0


def test_equal_seeds_give_equal_courses_and_others_do_not() -> None:
    table = small_table()
    one, again, other = (simulate(Stock(table, seed=seed, trials=15), table, workers=3) for seed in (4, 4, 5))
    assert story(one) == story(again) != story(other)
    chance = simulate(Stock(table, seed=4, sampler="random", trials=15), table, workers=3)
    assert story(chance) != story(one)


def test_asha_stops_what_is_worse_than_the_best_part_of_those_before_it() -> None:
    asha = Asha(marks=(2.0,), reduction=2.0)
    assert [asha.stops(Rung(kimg=2.0, score=score, stages=())) for score in (0.4, 0.5, 0.45, 0.3, 0.44)] == [False, True, False, False, True]
    assert not asha.stops(Rung(kimg=6.0, score=9.0, stages=())), "no rung at the top mark"


@pytest.mark.slow
def test_asha_as_ray_decides() -> None:
    # The cutoff is the percentile 1 - 1/reduction of what was recorded before, and what is stopped is recorded too.
    from ray.tune.schedulers.async_hyperband import _Bracket

    scores = [0.4, 0.9, 0.5, 0.35, 0.7, 0.3, 0.31, 0.29, 0.6, 0.3]
    bracket, asha = _Bracket(2, 7, 4.0, 0), Asha(marks=(2.0,))
    theirs = [bracket.on_result(_Named(str(i)), 2, -score) == "STOP" for i, score in enumerate(scores)]
    assert [asha.stops(Rung(kimg=2.0, score=score, stages=())) for score in scores] == theirs and 0 < sum(theirs) < len(scores)


class _Named:
    """A Tune trial, as far as a bracket looks at it."""

    def __init__(self, name: str) -> None:
        self.trial_id = name


def test_a_trial_that_asha_stopped_is_told_with_its_last_values_or_stays_running() -> None:
    table = small_table()
    for told, states in (("last", {"COMPLETE"}), ("nothing", {"COMPLETE", "RUNNING"})):
        stock = Stock(table, seed=2, asha=Asha(marks=table.marks[:-1], reduction=3.0), told=told, trials=20)  # type: ignore[arg-type]
        course = simulate(stock, table, workers=2)
        pruned = [end for end in course.ends if end.state == "pruned"]
        assert pruned and all(end.result.rungs.keys() == {2.0} for end in pruned)
        assert {trial.state.name for trial in stock.study.trials} == states
        worst = min(table.columns["val_accuracy"])
        values = {tuple(stock.study.trials[end.job.number].values or ()) for end in pruned}
        assert values == ({(worst, end.result.rungs[2.0]) for end in pruned} if told == "last" else {()})


def test_points_to_evaluate_come_first() -> None:
    table = small_table()
    start = {name: value for name, value in table.space.defaults().items() if name != "generator.kimg"}
    course = simulate(Stock(table, seed=3, starts=[start], trials=3), table, workers=1)
    assert course.ends[1].job.params == {**start, "generator.kimg": 6.0}
