"""Means, intervals, tests and shares of variance, against scipy, closed forms and made-up repeats whose truth is known."""

import math

import numpy as np
import pytest
from scipy import stats

from reports.repeats import Seeds, cells, components, estimate, grid, holm, interval


def laid_out(table: list[list[float]]) -> dict[Seeds, float]:
    """Names the numbers of a table by their seeds."""
    return {(i, j, 0): value for i, row in enumerate(table, start=1) for j, value in enumerate(row, start=1)}


def independent(values: list[float]) -> dict[Seeds, float]:
    return {(0, place, 0): value for place, value in enumerate(values)}


@pytest.mark.parametrize("seed", range(4))
def test_repeats_one_after_another_are_tested_as_scipy_tests_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0.9, 0.02, 5), rng.normal(0.88, 0.02, 5)
    found, told = estimate(independent(list(one - other))), stats.ttest_rel(one, other)
    assert found is not None
    low, high = told.confidence_interval(0.95)
    assert (found.low, found.high, found.p) == pytest.approx((low, high, told.pvalue), rel=1e-9)
    assert found.p_above == pytest.approx(stats.ttest_rel(one, other, alternative="greater").pvalue, rel=1e-9)
    assert interval(list(one)) == pytest.approx(stats.t.interval(0.95, 4, loc=one.mean(), scale=stats.sem(one)), rel=1e-9)


def test_one_repeat_says_nothing_and_equal_repeats_have_no_spread() -> None:
    assert estimate(independent([0.5])) is None and estimate({}) is None and interval([0.5]) is None
    same, none = estimate(independent([0.1 + 0.2, 0.3, 0.3])), estimate(independent([0.0, 0.0]))
    assert same is not None and (same.low, same.high, same.error, same.p) == (same.mean, same.mean, 0.0, 0.0)
    assert none is not None and none.p == 1.0
    assert components(laid_out([[0.5, 0.5], [0.5, 0.5]])) is None


def test_variance_that_is_all_of_one_kind_of_seed_is_found_there() -> None:
    of_generators = components(laid_out([[0.7, 0.7, 0.7], [0.8, 0.8, 0.8]]))
    assert of_generators is not None and (of_generators.generator, of_generators.rest) == pytest.approx((1.0, 0.0)) and not of_generators.negative
    both = components(laid_out([[0.1, 0.3], [0.2, 0.4]]))
    # Means of rows differ by 0.1, those of columns by 0.2, and nothing is left: variances of 0.005 and 0.02.
    assert both is not None and (both.generator, both.inspector, both.rest) == pytest.approx((0.2, 0.8, 0.0))
    assert (both.generators, both.inspectors) == (2, 2)


def test_an_estimate_below_zero_stands_as_zero_and_is_said() -> None:
    crossing = components(laid_out([[0.1, 0.2], [0.2, 0.1]]))
    assert crossing is not None and (crossing.generator, crossing.inspector, crossing.rest) == (0.0, 0.0, 1.0)
    assert crossing.negative == ("generator", "inspector")


def test_shares_are_found_again_where_there_are_many_seeds() -> None:
    rng = np.random.default_rng(5)
    table = 0.8 + rng.normal(0, 0.03, (60, 1)) + rng.normal(0, 0.02, (1, 60)) + rng.normal(0, 0.01, (60, 60))
    found = components(laid_out(table.tolist()))
    assert found is not None
    assert (found.generator, found.inspector, found.rest) == pytest.approx((9 / 14, 4 / 14, 1 / 14), abs=0.1)


def test_where_inspectors_do_not_matter_the_generators_are_the_repeats() -> None:
    of_rows = [0.70, 0.74, 0.81]
    found = estimate(laid_out([[value] * 4 for value in of_rows]))
    assert found is not None and (found.low, found.high) == pytest.approx(interval(of_rows))
    assert found.p == pytest.approx(stats.ttest_1samp(of_rows, 0.0).pvalue, rel=1e-6)


def test_two_generators_with_five_inspectors_each_are_no_ten_repeats() -> None:
    rng = np.random.default_rng(1)
    table = 0.03 + rng.normal(0, 0.01, (2, 1)) + rng.normal(0, 0.01, (2, 5))
    crossed, naive = estimate(laid_out(table.tolist())), estimate(independent(table.ravel().tolist()))
    assert crossed is not None and naive is not None and crossed.mean == pytest.approx(naive.mean)
    assert crossed.high - crossed.low > 1.5 * (naive.high - naive.low) and crossed.p > naive.p


@pytest.mark.parametrize("sigmas", [(1.0, 0.0, 0.3), (0.0, 1.0, 0.3), (1.0, 1.0, 1.0), (0.2, 0.1, 1.0)])
@pytest.mark.parametrize("shape", [(2, 5), (3, 4)])
def test_the_interval_of_crossed_repeats_holds_the_truth_at_least_as_often_as_it_says(
    sigmas: tuple[float, float, float], shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(7)
    held, draws = 0, 1000
    for _ in range(draws):
        table = rng.normal(0, sigmas[0], (shape[0], 1)) + rng.normal(0, sigmas[1], (1, shape[1])) + rng.normal(0, sigmas[2], shape)
        found = estimate(laid_out(table.tolist()))
        assert found is not None
        held += found.low <= 0.0 <= found.high
        assert (found.p >= 0.05) == (found.low <= 0.0 <= found.high), "the test says what the interval says"
    # Three standard deviations of a share of 95 % in 1000 draws.
    assert held / draws >= 0.95 - 3 * math.sqrt(0.95 * 0.05 / draws)


def test_a_p_value_lies_between_those_of_both_degrees_of_freedom() -> None:
    found = estimate(laid_out([[0.02, 0.05, 0.04, 0.03], [0.03, 0.05, 0.06, 0.05]]))
    assert found is not None
    t = found.mean / found.error
    assert 2 * stats.t.sf(t, 3) < found.p < 2 * stats.t.sf(t, 1)
    far = estimate(laid_out([[1e5 + 1, 1e5], [1e5 - 1, 1e5 + 2]]))
    assert far is not None and far.p == pytest.approx(2 * stats.t.sf(far.mean / far.error, 1), rel=1e-6)


def test_folds_are_one_repeat_and_seeds_that_do_not_meet_are_not_crossed() -> None:
    folded = {(1, 1, 0): 0.5, (1, 1, 1): 0.7, (2, 1, 0): 0.4, (2, 1, 1): 0.4}
    assert cells(folded) == pytest.approx({(1, 1, 0): 0.6, (2, 1, 0): 0.4})
    assert grid(folded) is None, "one inspector crosses nothing"
    assert grid({(i, i, 0): 0.1 * i for i in range(1, 5)}) is None, "a generator of its own for each inspector"
    holed = laid_out([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    del holed[2, 2, 0]
    assert grid(holed) == [[0.1, 0.3], [0.4, 0.6]]


def test_several_tests_are_corrected_after_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []
