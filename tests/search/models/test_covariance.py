from itertools import product

import numpy as np

from search.models.covariance import BLOCK, Among, Layout, Rows, Shape

LAYOUT = Layout(owner=np.array([0, 1, 1, 2, 3]), parts=((0, 3), (3, 5)), terms=((0,), (0, 1)), same=5)


def random_rows(count: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.column_stack([rng.random((count, 5)), rng.integers(0, 4, count)])


def matern(far: float) -> float:
    return (1.0 + np.sqrt(5.0) * far + 5.0 / 3.0 * far**2) * np.exp(-np.sqrt(5.0) * far)


def by_hand(left: np.ndarray, right: np.ndarray, shape: Shape) -> np.ndarray:
    weights = np.array(shape.weights)[LAYOUT.owner]

    def of(one: np.ndarray, other: np.ndarray) -> float:
        first, second = (matern(float(np.sqrt((weights[a:b] * (one[a:b] - other[a:b]) ** 2).sum()))) for a, b in LAYOUT.parts)
        return shape.shares[0] * first + shape.shares[1] * first * second + shape.shares[2] * (one[5] == other[5])

    return np.array([[of(one, other) for other in right] for one in left])


def test_a_covariance_among_rows_is_the_same_by_whatever_way_of_weights_it_was_come_to() -> None:
    rows, among = random_rows(12), Among(LAYOUT, random_rows(12))
    # One weight after the other, two at once, and all: corrected from what is known, or computed anew.
    for weights in [(0.4,) * 4, *product((0.0, 25.0), repeat=4), (0.1, 0.4, 1.6, 6.4)]:
        shape = Shape(weights=weights, shares=(1.0, 0.3, 0.1), noise=0.01)
        factor = among.factor(shape)
        assert np.allclose(factor @ factor.T, by_hand(rows, rows, shape) + 0.01 * np.eye(12), atol=1e-6), weights
        assert np.array_equal(factor, np.tril(factor))


def across(rows: Rows, told: np.ndarray, shape: Shape) -> np.ndarray:
    return np.vstack([block for _, block in rows.against(told, shape)])


def test_rows_are_held_against_others_in_pieces_and_of_them_some_may_be_taken() -> None:
    told, shape = random_rows(12), Shape(weights=(0.0, 1.6, 0.4, 6.4), shares=(1.0, 0.3, 0.1), noise=0.01)
    asked = np.vstack([told[[3, 3, 5]], 1.0 - np.tile(told, (BLOCK // 12, 1)), told])
    asked[4, 5] = np.nan  # A name that nobody else has.
    rows, wanted = Rows.of(LAYOUT, asked), by_hand(asked, told, shape)
    assert len(asked) > BLOCK and np.allclose(across(rows, told, shape), wanted)
    taken = rows.take(np.array([6, 0]))
    assert taken.count == 2 and np.allclose(across(taken, told, shape), wanted[[6, 0]])
