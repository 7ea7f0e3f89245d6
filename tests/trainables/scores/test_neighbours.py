"""Precision, recall, density and coverage against closed forms and against loops that follow the definitions."""

import statistics

import pytest
import torch
from torch import Tensor

from trainables.scores.neighbours import FEWEST, Overlap, expected_coverage, neighbours, overlap


def gaussian(n: int, d: int, seed: int, shift: float = 0.0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift


def by_definition(real: Tensor, synthetic: Tensor, k: int) -> Overlap:
    """Counts ball by ball."""

    def reach(items: Tensor, i: int) -> float:
        return sorted(float((items[i] - other).norm()) for j, other in enumerate(items) if j != i)[k - 1]

    def balls(items: Tensor, point: Tensor) -> list[bool]:
        return [float((centre - point).norm()) <= reach(items, i) for i, centre in enumerate(items)]

    in_real = [balls(real, point) for point in synthetic]
    return Overlap(
        precision=statistics.fmean(any(hits) for hits in in_real),
        recall=statistics.fmean(any(balls(synthetic, point)) for point in real),
        density=statistics.fmean(sum(hits) for hits in in_real) / k,
        coverage=statistics.fmean(any(hits[i] for hits in in_real) for i in range(len(real))),
    )


@pytest.mark.parametrize(("shift", "d"), [(0.0, 5), (1.6, 2), (0.6, 5)])
def test_all_four_equal_a_count_of_every_ball(shift: float, d: int) -> None:
    real, synthetic = gaussian(17, d, 1), gaussian(17, d, 2, shift)
    found = overlap(real, synthetic)
    assert found == pytest.approx(by_definition(real, synthetic, 3))
    assert 0 < found.coverage < 1, "a case in which something is covered and something is not"


def test_a_set_covers_itself_and_lies_in_as_many_balls_as_reach_to_it() -> None:
    # Around each of eight equally far points lie all eight: itself and its seven third-nearest neighbours.
    corners = torch.eye(8)
    assert overlap(corners, corners) == Overlap(precision=1.0, recall=1.0, density=8 / 3, coverage=1.0)


def test_sets_far_apart_share_nothing() -> None:
    assert overlap(gaussian(20, 3, 1), gaussian(20, 3, 2, shift=100.0)) == Overlap(precision=0.0, recall=0.0, density=0.0, coverage=0.0)


def test_a_collapsed_set_is_precise_and_covers_little() -> None:
    # On a line of 20 points one unit apart, a ball reaches 2 to each side in the middle, and further at the ends.
    line = torch.arange(20.0)[:, None]
    found = overlap(line, torch.full((20, 1), 10.0))
    assert found.precision == 1.0
    assert found.coverage == 5 / 20 and found.density == 5 / 3
    assert found.recall == 1 / 20, "its own balls have no extent"


def test_few_items_take_fewer_neighbours() -> None:
    assert [neighbours(count) for count in (FEWEST, 99, 100)] == [3, 3, 5]
    line = torch.arange(120.0)[:, None]
    # With five neighbours a ball in the middle reaches 3 to each side.
    assert overlap(line, torch.full((120, 1), 60.0)).coverage == 7 / 120


def test_as_many_of_the_larger_set_are_taken_and_always_the_same() -> None:
    real, synthetic = gaussian(300, 3, 1), gaussian(40, 3, 2)
    first = overlap(real, synthetic)
    assert overlap(real, synthetic) == first
    assert overlap(synthetic, real).precision == pytest.approx(first.recall)
    assert first.coverage * 40 == pytest.approx(round(first.coverage * 40))


def test_equal_distributions_have_the_coverage_and_density_that_theory_gives() -> None:
    found = [overlap(gaussian(40, 4, 2 * s), gaussian(40, 4, 2 * s + 1)) for s in range(60)]
    for values, expected in (([one.coverage for one in found], expected_coverage(40)), ([one.density for one in found], 1.0)):
        error = statistics.stdev(values) / len(values) ** 0.5
        assert abs(statistics.fmean(values) - expected) < 4 * error
    assert expected_coverage(10**6) == pytest.approx(1 - 2**-5, rel=1e-4)
