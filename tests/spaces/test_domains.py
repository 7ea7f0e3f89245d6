"""Domains: what they accept, how they narrow, and what they say when they do not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.domains import Categorical, Choice, Fixed, Float, Int, SpaceError, Text

RATE = Float(low=1e-5, high=1e-3, log=True, default=1e-4, source="paper")
DEPTH = Int(low=0, high=8, default=8)
BATCH = Categorical(choices=(16, 32, 64), default=64, source="paper")


@given(seed=st.integers(0, 10_000))
def test_samples_are_members(seed: int) -> None:
    rng = random.Random(seed)
    for domain in (RATE, DEPTH, BATCH, Int(low=2, high=128, log=True, default=50)):
        value = domain.sample(rng)
        assert domain.check(value) == value


def test_logarithmic_whole_numbers_reach_both_ends() -> None:
    domain, rng = Int(low=2, high=5, log=True, default=2), random.Random(0)
    assert {domain.sample(rng) for _ in range(300)} == {2, 3, 4, 5}


def test_grid_runs_from_end_to_end() -> None:
    assert RATE.grid(3) == pytest.approx([1e-5, 1e-4, 1e-3])
    assert DEPTH.grid(3) == [0, 4, 8]
    assert BATCH.grid(2) == [16, 32, 64]


def test_a_number_is_read_in_the_domains_own_type() -> None:
    assert type(Float(low=0, high=2, default=1).check(1)) is float


def test_a_study_may_name_what_lies_beside_a_range() -> None:
    weight = Float(low=1.0, high=50.0, log=True, default=10.0, also=(0.0,))
    assert weight.narrow(0) == Fixed(default=0.0, source="study")
    assert weight.narrow([0, 10]).grid(2) == [0.0, 10.0]
    assert min(weight.grid(5)) == 1.0
    assert weight.describe() == "1 to 50 (log), or 0; default 10"
    for wanted in ({"low": 0}, 0.5):
        with pytest.raises(SpaceError, match="outside of 1 to 50"):
            weight.narrow(wanted)
    assert type(BATCH.check(16.0)) is int


def test_a_study_may_name_any_text_beside_a_list_that_says_so() -> None:
    encoder = Categorical(choices=("resnet18", "resnet34"), also=Text(says="another encoder"), default="resnet34")
    assert encoder.narrow("vgg11") == Fixed(default="vgg11", source="study")
    assert encoder.narrow(["resnet34", "vgg11"]).grid(2) == ["resnet34", "vgg11"]
    assert encoder.grid(5) == ["resnet18", "resnet34"]
    assert encoder.describe() == "one of resnet18, resnet34, or another encoder where a study says so; default resnet34"
    with pytest.raises(SpaceError, match="18 is not one of"):
        encoder.narrow(18)


@pytest.mark.parametrize(
    ("domain", "value", "message"),
    [
        (RATE, 0.1, "0.1 is outside of 1e-05 to 0.001"),
        (RATE, "fast", "'fast' is not a number"),
        (RATE, True, "True is not a number"),
        (RATE, float("nan"), "nan is not a number"),
        (DEPTH, 9, "9 is outside of 0 to 8"),
        (DEPTH, 2.0, "2.0 is not a whole number"),
        (BATCH, 48, "48 is not one of 16, 32, 64"),
        (Categorical(choices=(0, 1), default=0), True, "True is not one of 0, 1"),
        (Categorical(choices=("flips", "none"), default="none"), "flip", "did you mean flips?"),
        (Fixed(default=16), 4, "4 is not one of 16"),
    ],
)
def test_foreign_values_are_refused_with_the_range(domain: Float | Int | Categorical | Fixed, value: object, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        domain.check(value)


def test_narrowing_to_a_range_moves_the_default_to_its_nearest_end() -> None:
    narrowed = RATE.narrow({"low": 2e-4})
    assert isinstance(narrowed, Float)
    assert (narrowed.low, narrowed.high, narrowed.default, narrowed.log) == (2e-4, 1e-3, 2e-4, True)
    assert RATE.narrow({"low": 2e-4, "high": 2e-4}) == Fixed(default=2e-4, source="study")


def test_narrowing_to_values_keeps_the_papers_default_where_it_is_left() -> None:
    assert DEPTH.narrow([0, 8]).default == 8
    assert DEPTH.narrow([0, 2]).default == 2
    assert BATCH.narrow([32, 16]).default == 32
    assert BATCH.narrow(64) == Fixed(default=64, source="paper")


@pytest.mark.parametrize(
    ("domain", "wanted", "message"),
    [
        (RATE, {"low": 1e-6}, "1e-06 is outside of 1e-05 to 0.001"),
        (RATE, {"low": 1e-3, "high": 1e-4}, "low 0.001 is above high 0.0001"),
        (RATE, {"min": 1e-4}, "min: a range has low and high"),
        (DEPTH, [], "leaves nothing to choose"),
        (BATCH, {"low": 16}, "is a range, but this is a list: one of 16, 32, 64"),
        (BATCH, [16, 17], "17 is not one of 16, 32, 64"),
        (Choice(options={"a": {}, "b": {}}, default="a"), ["c"], "'c' is not one of a, b"),
        (Choice(options={"a": {}, "b": {}}, default="a"), [], "leaves nothing to choose"),
    ],
)
def test_a_study_cannot_invent(domain: Float | Int | Categorical | Choice, wanted: object, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        domain.narrow(wanted)


def test_a_fixed_value_moves_only_where_it_may() -> None:
    steps = Fixed(default=400, within=Int(low=0, high=1000, default=400))
    assert steps.narrow(20) == Fixed(default=20, source="study")
    assert isinstance(steps.narrow({"low": 10, "high": 50}), Int)
    assert "0 to 1000" in steps.describe()
    with pytest.raises(SpaceError, match="2000 is outside"):
        steps.narrow(2000)
    assert Fixed(default=5).narrow([5]) == Fixed(default=5)


def test_choices_keep_their_settings_and_move_their_default() -> None:
    choice = Choice(options={"rmsprop": {}, "adam": {"beta1": RATE}}, default="rmsprop")
    narrowed = choice.narrow("adam")
    assert isinstance(narrowed, Choice)
    assert narrowed.default == "adam"
    assert narrowed.options == {"adam": {"beta1": RATE}}


@pytest.mark.parametrize(
    "build",
    [
        lambda: Float(low=0, high=1, default=2),
        lambda: Float(low=0, high=1, log=True, default=0.5),
        lambda: Int(low=3, high=1, default=2),
        lambda: Categorical(choices=(), default=None),
        lambda: Categorical(choices=(1, 2), default=3),
        lambda: Choice(options={"a": {}}, default="b"),
    ],
)
def test_a_domain_that_makes_no_sense_cannot_be_built(build: object) -> None:
    with pytest.raises(SpaceError):
        build()  # type: ignore[operator]
