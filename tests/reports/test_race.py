"""The race: who is dropped, who is not, and how often chance drops the best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.race import LEVEL, Layout, Race, race
from reports.records import Asked, Record

Values = Sequence[float | None]


def repeat(of: int, pairs: Sequence[tuple[int, int]], values: Values | str | None, *, judge: bool = False) -> tuple[Asked, Record | None]:
    """Makes a confirmation that scored so in each unit, failed with a name, or has not ended."""
    units = [{"generator": generator, "inspector": inspector, "fold": 0} for generator, inspector in pairs]
    asked = Asked(trial=100 + of, move="confirm", reason="", parent=of, params={}, recipe={"units": units, "judge": judge}, epoch=1, time_s=0.0)
    common: dict[str, Any] = {"trial": 100 + of, "started_s": 0.0, "ended_s": 1.0, "epoch": 1}
    if values is None:
        return asked, None
    if isinstance(values, str):
        return asked, Record(state="failed", failure=values, **common)
    return asked, Record(state="complete", units=[{"val_accuracy": value} for value in values], **common)


def run(values: Mapping[int, Values | str | None], layout: Layout, *, direction: str = "maximize", judged: Sequence[int] = ()) -> Race:
    """Runs a race of candidates each of which has one confirmation, of as many seeds as it has values."""
    repeats = {}
    for of, own in values.items():
        count = layout.rounds[0] if own is None or isinstance(own, str) else len(own)
        repeats[of] = [repeat(of, layout.pairs(count), own, judge=of in judged)]
    return race(list(values), repeats, layout, score="val_accuracy", direction=direction, judged=judged)


FOUR = Layout(seeds=4)
FAR, NEAR, BEST = (0.70, 0.71, 0.72), (0.90, 0.88, 0.91), (0.91, 0.92, 0.915)


@pytest.mark.parametrize(
    ("seeds", "rounds"), [(1, ()), (2, ()), (3, ()), (4, (3,)), (5, (3,)), (6, (3, 5)), (10, (3, 5, 8)), (20, (3, 5, 8, 12, 18))]
)
def test_rounds_grow_and_end_before_the_judging(seeds: int, rounds: tuple[int, ...]) -> None:
    assert Layout(seeds=seeds).rounds == rounds and Layout(seeds=seeds, race=False).rounds == ()


def test_each_layout_has_its_seeds() -> None:
    assert Layout(seeds=3).pairs() == [(0, 1), (0, 2), (0, 3)]
    anew = Layout(seeds=3, retrain_generator=True)
    assert anew.pairs() == anew.pairs(real_only=True) == [(1, 1), (2, 2), (3, 3)]
    crossed = Layout(seeds=4, generators=2)
    assert crossed.pairs() == [(g, i) for i in range(1, 5) for g in (1, 2)] and crossed.pairs(real_only=True) == [(0, i) for i in range(1, 5)]
    assert set(crossed.pairs(3)) < set(crossed.pairs()), "a round trains what the judging needs"
    assert Layout(seeds=9, generators=5).pairs(3) == [(g, i) for i in (1, 2, 3) for g in (1, 2, 3)], "a round is crossed itself"


def test_a_clear_loser_is_dropped_with_its_reason_and_a_near_one_is_not() -> None:
    found = run({4: FAR, 7: BEST, 9: NEAR}, FOUR)
    assert (found.left, found.open) == ([7, 9], None)
    (dropped,) = found.dropped
    p = stats.ttest_rel(BEST, FAR, alternative="greater").pvalue
    assert (dropped.of, dropped.round) == (4, 1)
    assert dropped.why == f"after 3 seeds 20.5 points of validation accuracy behind #7 (one-sided p {p:.2g}, below 0.025)"


def test_the_level_is_shared_by_rounds_and_rivals() -> None:
    # Three differences of mean 1 and standard deviation s: t = sqrt(3) / s.
    t = stats.t.isf(LEVEL / 2, 2)
    for factor, dropped in ((1.01, True), (0.99, False)):
        spread = math.sqrt(3) / (t * factor)
        behind = tuple(-1.0 - spread * step for step in (-1.0, 0.0, 1.0))
        found = run({1: (0.0, 0.0, 0.0), 2: behind, 3: (-0.001, 0.002, -0.002)}, FOUR)
        assert [item.of for item in found.dropped] == ([2] if dropped else [])


def test_a_score_that_is_better_when_smaller_drops_the_largest() -> None:
    found = run({1: FAR, 2: BEST}, FOUR, direction="minimize")
    assert found.left == [1] and "20.5 points" in found.dropped[0].why


@pytest.mark.parametrize("same", [(0.9, 0.8, 0.85), (0.7, 0.6, 0.65), (0.1 + 0.2, 0.1 + 0.1, 0.25)])
def test_ties_and_differences_without_spread_drop_nobody(same: tuple[float, float, float]) -> None:
    assert run({1: (0.9, 0.8, 0.85), 2: same}, FOUR).left == [1, 2]


def test_a_round_is_open_until_all_have_ended_and_a_failed_repeat_is_out() -> None:
    assert run({1: BEST, 2: FAR, 3: None}, FOUR) == Race([1, 2, 3], [], 1)
    found = run({1: BEST, 2: NEAR, 3: "diverged"}, FOUR)
    assert found.left == [1, 2] and found.dropped[0].why == "a repeat of it failed: diverged"
    assert run({1: "diverged", 2: "collapsed"}, FOUR).left == []


def test_who_lacks_a_score_is_neither_leader_nor_dropped() -> None:
    found = run({1: BEST, 2: (0.1, None, 0.1), 3: FAR}, FOUR)
    assert found.left == [1, 2] and run({1: (None,) * 3, 2: (None,) * 3}, FOUR).left == [1, 2]


def test_who_is_judged_already_is_not_dropped() -> None:
    assert run({1: BEST, 2: (*FAR, 0.7)}, FOUR, judged=[2]).left == [1, 2]
    assert run({1: BEST, 2: (*FAR, 0.7)}, FOUR).left == [1], "its first repeats are those of the round"


def test_one_candidate_and_no_rounds_are_no_race() -> None:
    assert race([1], {}, FOUR, score="val_accuracy", direction="maximize") == Race([1], [], None)
    assert race([1, 2], {}, Layout(seeds=3), score="val_accuracy", direction="maximize") == Race([1, 2], [], None)


def test_a_second_round_is_only_for_who_is_left() -> None:
    layout, rng = Layout(seeds=6), np.random.default_rng(0)
    three = {of: list(mean + rng.normal(0, 0.002, 3)) for of, mean in ((1, 0.9), (2, 0.9), (3, 0.3))}
    found = run(three, layout)
    assert (found.left, found.open, [item.of for item in found.dropped]) == ([1, 2], 2, [3])
    repeats = {of: [repeat(of, layout.pairs(3), own)] for of, own in three.items()}
    for of in (1, 2):
        repeats[of].append(repeat(of, layout.pairs(5), [*three[of], 0.9, 0.9]))
    assert race([1, 2, 3], repeats, layout, score="val_accuracy", direction="maximize").open is None


def test_generators_that_differ_by_luck_drop_nobody_though_inspectors_agree() -> None:
    # Five inspectors each say the same of two generators, one of which had bad luck.
    layout = Layout(seeds=6, generators=2)
    leader = [0.90 + 0.001 * i for i in range(6)]
    other = [value - (0.001 if place % 2 else 0.05) for place, value in enumerate(leader)]
    noisy = [value + 0.0003 * (place % 4) for place, value in enumerate(other)]
    repeats = {1: [repeat(1, layout.pairs(3), leader)], 2: [repeat(2, layout.pairs(3), noisy)]}
    assert race([1, 2], repeats, layout, score="val_accuracy", direction="maximize") == Race([1, 2], [], 2)


@pytest.mark.parametrize("ahead", [0.0, 0.5])
def test_chance_drops_the_best_no_more_often_than_the_level_says(ahead: float) -> None:
    """Five candidates and three rounds; the best is no better than the others, or half a standard deviation."""
    layout, rng, draws = Layout(seeds=9), np.random.default_rng(3), 500
    wrong = 0
    for _ in range(draws):
        common = rng.normal(0, 1, 8)
        values = {of: list(common + rng.normal(ahead if of == 0 else 0.0, 1.0, 8)) for of in range(5)}
        wrong += any(item.of == 0 for item in run(values, layout).dropped)
    assert wrong / draws <= LEVEL


def test_a_worse_candidate_is_dropped_as_often_as_the_noncentral_t_says() -> None:
    rng, draws, gap = np.random.default_rng(4), 600, 4.0
    lost = 0
    for _ in range(draws):
        first, second = rng.normal(gap, 1.0, 3), rng.normal(0.0, 1.0, 3)
        lost += run({1: list(first), 2: list(second)}, FOUR).left == [1]
    # Differences of two have a standard deviation of the root of two.
    expected = stats.nct.sf(stats.t.isf(LEVEL, 2), 2, gap / math.sqrt(2) * math.sqrt(3))
    assert lost / draws == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / draws)) and 0.5 < expected < 0.99
