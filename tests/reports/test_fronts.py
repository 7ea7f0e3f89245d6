"""Fronts and hypervolume against closed forms and counting."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from reports.fronts import dominates, front, hypervolume

GRID = 4
points_in_3d = st.lists(st.tuples(*[st.integers(0, GRID)] * 3), max_size=6)


def test_the_front_keeps_what_nothing_beats() -> None:
    assert front([(1, 3), (2, 2), (3, 1), (3, 3), (2, 2)]) == [0, 1, 2, 4]
    assert front([]) == []


def test_domination_needs_one_strict_gain() -> None:
    assert dominates((1, 2), (1, 3)) and not dominates((1, 2), (1, 2)) and not dominates((0, 3), (1, 2))


def test_volumes_in_closed_form() -> None:
    assert hypervolume([(0.25,), (0.5,)], (1.0,)) == 0.75
    assert hypervolume([(0.0, 0.5), (0.5, 0.0)], (1.0, 1.0)) == 0.75
    assert hypervolume([(1.0, 0.0)], (1.0, 1.0)) == 0.0
    assert hypervolume([], (1.0, 1.0)) == 0.0


@settings(max_examples=60, deadline=None)
@given(points_in_3d)
def test_volume_in_three_dimensions_counts_cells(points: list[tuple[int, int, int]]) -> None:
    cells = sum(any(all(a <= c for a, c in zip(point, cell, strict=True)) for point in points) for cell in itertools.product(range(GRID), repeat=3))
    assert hypervolume(points, (GRID,) * 3) == cells
