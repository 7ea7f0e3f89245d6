import numpy as np
import pytest

from search.models.covariance import Layout, Rows
from search.models.encoding import Encoder
from search.models.surrogate import Surrogate, choose
from spaces.domains import Categorical, Choice, Domain, Fixed, Float, Int


def layout(columns: int, *, same: bool = False) -> Layout:
    """Every column a setting, all of them one part."""
    return Layout(owner=np.arange(columns), parts=((0, columns),), terms=((0,),), same=columns if same else None)


def test_what_was_told_is_expected_there_and_little_is_known_far_away() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((30, 2))
    values = np.sin(3 * rows[:, 0]) + rows[:, 1] ** 2
    process = Surrogate(layout(2), rows, values, choose(layout(2), rows, values))
    mean, spread = process.predict(Rows.of(process.layout, np.vstack([rows, [[9.0, 9.0]]])))
    assert np.abs(mean[:-1] - values).max() < 0.02
    assert spread[-1] > 5 * spread[:-1].max()
    assert mean[-1] == pytest.approx(values.mean(), abs=0.2)


def test_spreads_hold_what_they_promise() -> None:
    rng = np.random.default_rng(1)
    rows = rng.random((80, 3))
    values = np.sin(4 * rows[:, 0]) + 0.5 * rows[:, 1] + 0.1 * rng.standard_normal(80)
    shape = choose(layout(3), rows[:50], values[:50])
    mean, spread = Surrogate(layout(3), rows[:50], values[:50], shape).predict(Rows.of(layout(3), rows[50:]))
    inside = np.abs(mean - values[50:]) < 2 * np.sqrt(spread**2 + 0.1**2)
    assert 0.8 <= inside.mean()
    assert np.abs(mean - values[50:]).mean() < 0.5 * np.abs(values[:50].mean() - values[50:]).mean()


def test_settings_that_decide_nothing_get_no_weight() -> None:
    rng = np.random.default_rng(2)
    rows = rng.random((60, 6))
    values = np.cos(5 * rows[:, 2])
    weights = choose(layout(6), rows, values).weights
    assert weights[2] > 0 and all(weight == 0 for at, weight in enumerate(weights) if at != 2)


def test_rows_of_one_name_share_what_is_their_own() -> None:
    rng = np.random.default_rng(3)
    names = np.repeat(np.arange(8.0), 4)
    own = rng.standard_normal(8)
    rows = np.column_stack([rng.random(32), names])
    values = own[names.astype(int)] + 0.05 * rng.standard_normal(32)
    process = Surrogate(layout(1, same=True), rows, values, choose(layout(1, same=True), rows, values))
    mean, spread = process.predict(Rows.of(process.layout, np.column_stack([np.full(9, 0.5), np.arange(9.0)])))
    assert np.abs(mean[:8] - own).max() < 0.15
    assert spread[8] > 3 * spread[:8].max(), "of another one nothing is known"


def test_an_encoder_orders_numbers_and_keeps_names_apart() -> None:
    domains: dict[str, Domain] = {
        "rate": Float(low=1e-4, high=1e-2, log=True, default=1e-3),
        "count": Int(low=1, high=5, default=2),
        "listed": Categorical(choices=(0.1, 0.5, 4.0), default=0.5),
        "name": Categorical(choices=("a", "b", "c"), default="a"),
        "kind": Choice(options={"x": {}, "y": {}}, default="x"),
        "fixed": Fixed(default=3),
        "only": Categorical(choices=("one",), default="one"),
    }
    encoder = Encoder(domains)
    assert encoder.settings == ("rate", "count", "listed", "name", "kind")
    row = encoder.encode({"rate": 1e-3, "count": 5, "listed": 0.5, "name": "b", "kind": "y", "another": 7})
    assert row[:3] == pytest.approx([0.5, 1.0, 0.5])
    other = encoder.encode({"rate": 1e-3, "count": 5, "listed": 0.5, "name": "c", "kind": "y"})
    assert ((row - other) ** 2).sum() == pytest.approx(1.0)
    missing = encoder.encode({"kind": "x"})
    assert missing[:3].tolist() == [0.5, 0.5, 0.5] and not missing[3:6].any()
    assert encoder.owner.tolist() == [0, 1, 2, 3, 3, 3, 4, 4]
