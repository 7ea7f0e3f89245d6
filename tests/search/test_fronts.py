import numpy as np
import pytest
from optuna._hypervolume import compute_hypervolume

from search.fronts import gains, levels, non_dominated


def volume(points: np.ndarray) -> float:
    inside = points[(points < 1.0).all(axis=1)]
    return float(compute_hypervolume(inside, np.ones(points.shape[1]))) if len(inside) else 0.0


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_a_gain_is_the_difference_of_two_hypervolumes(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    for size in range(8):
        front = non_dominated(1.1 * rng.random((size, objectives)))
        points = 1.2 * rng.random((6, objectives))
        found = gains(points, front, np.ones(objectives))
        wanted = [volume(np.vstack([front, point])) - volume(front) for point in points]
        assert np.allclose(found, wanted, atol=1e-12)


def test_what_is_dominated_or_beyond_the_reference_gains_nothing() -> None:
    front = np.array([[0.2, 0.5], [0.5, 0.2]])
    found = gains(np.array([[0.5, 0.5], [0.2, 0.5], [0.1, 1.5], [1.5, 0.1], [0.1, 0.1]]), front, np.ones(2))
    assert (found[:4] == 0.0).all() and found[4] == pytest.approx(0.81 - (0.4 + 0.4 - 0.25))


def test_equal_points_stand_on_the_front_once() -> None:
    assert non_dominated(np.array([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0], [3.0, 1.0]])).tolist() == [[1.0, 2.0], [3.0, 1.0]]
    assert non_dominated(np.zeros((0, 2))).shape == (0, 2)
    assert levels([(1.0, 2.0), (1.0, 2.0), (2.0, 2.0), (3.0, 1.0)]) == [0, 0, 1, 0] and levels([]) == []
