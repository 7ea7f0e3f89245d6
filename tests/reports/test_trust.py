"""Trust in rung scores: rank correlation with the final score, among trials of one rung and mark."""

import random
from typing import Any

import pytest

from reports.records import Asked, Record
from reports.trust import Bounds, Pair, Pairs, bounds_of, describe, family_trust, trust

GOALS = {"val_accuracy": "maximize", "val_kid_random": "minimize"}
BOUNDS = Bounds()


def pair(generator: int, score: float, value: float, *, family: str = "dcgan", rung: float = 5.0, mark: float = 5.0) -> Pair:
    return Pair(family, frozenset({("generator.lr", generator)}), rung, mark, score, value)


def trial(number: int, rungs: dict[str, float | None], accuracy: float | None, *, move: str = "explore", **params: Any) -> tuple[Asked, Record]:
    known = {"generator.family": "dcgan", "generator.kimg": 5.0, "generator.dcgan.lr": 1e-4 * number, **params}
    asked = Asked(trial=number, move=move, reason="", params=known, recipe={}, epoch=1, time_s=0.0)
    return asked, Record(trial=number, state="complete", scores={"val_accuracy": accuracy}, rungs=rungs, started_s=0.0, ended_s=1.0, epoch=1)


def test_scores_that_order_as_the_ends_do_are_trusted_and_the_reverse_is_not() -> None:
    order = trust([pair(i, score=i, value=-i) for i in range(8)], "dcgan")
    assert (order.correlation, order.low, order.generators) == (pytest.approx(1.0), pytest.approx(1.0), 8) and order.holds(BOUNDS)
    reverse = trust([pair(i, score=i, value=i) for i in range(8)], "dcgan")
    assert reverse.correlation == pytest.approx(-1.0) and reverse.is_weak(BOUNDS)


def test_chance_is_weak_and_its_interval_says_so() -> None:
    rng = random.Random(3)
    found = [trust([pair(i, rng.random(), rng.random()) for i in range(30)], "dcgan") for _ in range(20)]
    assert sum(item.holds(BOUNDS) for item in found) <= 3
    assert all(item.low is not None and item.high is not None and item.low < item.correlation < item.high for item in found)  # type: ignore[operator]


@pytest.mark.parametrize("known", [[], [pair(1, 0.1, 0.5)], [pair(i, 0.5, 0.1 * i) for i in range(9)], [pair(i, 0.1 * i, 0.5) for i in range(9)]])
def test_what_does_not_vary_is_not_trusted(known: list[Pair]) -> None:
    assert not trust(known).holds(BOUNDS) and trust(known).correlation is None


def test_training_longer_is_no_evidence() -> None:
    """Both numbers are better at the later mark, but within a mark they say the opposite."""
    early = [pair(i, score=10 + i, value=i) for i in range(6)]
    late = [pair(10 + i, score=i, value=20 + i, rung=20.0, mark=20.0) for i in range(6)]
    assert trust([*early, *late]).correlation == pytest.approx(-1.0)


def test_a_family_of_few_generators_is_judged_with_all_others_each_ranked_by_itself() -> None:
    others = [pair(i, score=i, value=-i) for i in range(8)]
    few = [pair(20 + i, score=100 + i, value=50 - i, family="pe_gan") for i in range(3)]
    assert family_trust([*others, *few], "pe_gan", BOUNDS).family is None
    assert family_trust([*others, *few], "pe_gan", BOUNDS).correlation == pytest.approx(1.0)
    assert family_trust([*others, *few], "dcgan", BOUNDS).family == "dcgan"


def test_pairs_are_the_best_of_each_generator_and_mark_and_only_of_the_search() -> None:
    again = {"generator.dcgan.lr": 1e-4}
    known = [
        trial(1, {"5": 0.2}, 0.6),
        trial(2, {"5": 0.2}, 0.7, move="reuse", **again),
        trial(3, {"5": 0.2, "20": 0.1}, 0.8, move="promote", **again, **{"generator.kimg": 20.0}),
        trial(4, {"5": None}, 0.9),
        trial(5, {"5": 0.4}, None),
        trial(6, {"5": 0.4}, 0.9, move="confirm"),
    ]
    found = [(item.rung, item.mark, item.score, item.value) for item in Pairs(GOALS, known).known()]
    assert found == [(5.0, 5.0, 0.2, 0.7), (5.0, 20.0, 0.2, 0.8), (20.0, 20.0, 0.1, 0.8)]


def test_bounds_come_from_the_study_file() -> None:
    assert bounds_of({}) == BOUNDS == bounds_of({"search": {"stopping": {}}})
    given = {"search": {"stopping": {"least_results": 4, "least_correlation": 0.5, "least_low": 0.1}}}
    assert bounds_of(given) == Bounds(4, 0.5, 0.1)


def test_it_is_said_in_a_phrase() -> None:
    assert describe(trust([pair(1, 0.1, 0.5)], "dcgan"), BOUNDS) == "too early to say (1 of 6 generators)"
    assert describe(trust([pair(i, i, i) for i in range(7)], "dcgan"), BOUNDS).startswith(
        "weak, so that none is stopped by it (rank correlation -1.00"
    )
    assert describe(trust([pair(i, i, -i) for i in range(7)], "dcgan"), BOUNDS).startswith("trusted (rank correlation 1.00")
