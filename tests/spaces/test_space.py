"""Spaces: which settings apply, what is suggested, and how a study narrows them."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.domains import Categorical, Choice, Fixed, Float, Int, SpaceError
from spaces.inspectors import INSPECTOR_SPACES
from spaces.space import Space
from spaces.whole import whole_space

FAMILIES = {
    "dcgan": {"g_lr": Float(low=5e-5, high=1e-3, log=True, default=2e-4, source="paper"), "width": Categorical(choices=(8, 64), default=64)},
    "lm_gan": {
        "latent_dim": Int(low=2, high=128, log=True, default=50),
        "optimizer": Choice(options={"rmsprop": {}, "adam": {"beta1": Categorical(choices=(0.0, 0.5), default=0.5)}}, default="rmsprop"),
    },
}
SPACE = whole_space(FAMILIES, INSPECTOR_SPACES, (20.0, 5.0))


class Answers:
    """A trial that gives the first choice, the low end, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.asked[name] = (low, high, log)
        return low

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.asked[name] = (low, high, log)
        return low

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.asked[name] = tuple(choices)
        return choices[0]


def test_only_settings_that_apply_are_asked_for() -> None:
    trial = Answers()
    values = SPACE.suggest(trial)
    assert values["generator.family"] == "dcgan"
    assert trial.asked["generator.dcgan.g_lr"] == (5e-5, 1e-3, True)
    assert trial.asked["generator.kimg"] == (5.0, 20.0)
    assert values["synthesis.fraction"] == 0.0
    assert not [name for name in values if "lm_gan" in name or "fcn" in name or name in ("synthesis.per_class", "synthesis.min_confidence")]
    # What is fixed is part of the point, but nobody is asked for it.
    assert "inspector.resnet18.min_steps" in values
    assert "inspector.resnet18.min_steps" not in trial.asked


def test_given_settings_are_not_asked_for() -> None:
    trial = Answers()
    values = SPACE.suggest(trial, {"generator.family": "lm_gan", "generator.lm_gan.optimizer": "adam", "synthesis.filter": "confidence"})
    assert values["generator.lm_gan.beta1"] == 0.0
    assert values["synthesis.min_confidence"] == 0.0
    assert "generator.family" not in trial.asked


def test_given_settings_that_do_not_fit_are_named_all_at_once() -> None:
    with pytest.raises(SpaceError) as caught:
        SPACE.defaults({"generator.dcgan.g_lr": 1.0, "generator.dcgan.g_rl": 1e-4, "inspector.kind": "resnet"})
    assert dict(caught.value.problems) == {
        "generator.dcgan.g_lr": "1 is outside of 5e-05 to 0.001",
        "generator.dcgan.g_rl": "no such setting; did you mean generator.dcgan.g_lr?",
        "inspector.kind": f"'resnet' is not one of {', '.join(INSPECTOR_SPACES)}; did you mean resnet50?",
    }
    with pytest.raises(SpaceError, match=r"generator.lm_gan.latent_dim: does not apply beside the other settings"):
        SPACE.defaults({"generator.family": "dcgan", "generator.lm_gan.latent_dim": 5})


def test_defaults_are_the_papers() -> None:
    point = SPACE.defaults({"generator.family": "lm_gan"})
    assert point["generator.lm_gan.latent_dim"] == 50
    assert point["generator.lm_gan.optimizer"] == "rmsprop"
    assert point["generator.kimg"] == 5.0
    assert point["synthesis.truncation"] == 1.0
    assert point["synthesis.filter"] == "none"


@given(seed=st.integers(0, 1000))
def test_a_sampled_point_is_complete_and_valid(seed: int) -> None:
    point = SPACE.sample(random.Random(seed))
    assert SPACE.defaults(point) == point
    assert set(SPACE.active(point)) == set(point)


def test_the_grid_has_every_combination_once() -> None:
    small = Space(
        {
            "kind": Choice(options={"a": {"depth": Int(low=0, high=2, default=0)}, "b": {}}, default="a"),
            "rate": Float(low=0.0, high=1.0, default=0.0),
        }
    )
    points = list(small.grid(3))
    assert len(points) == (3 + 1) * 3
    assert {"kind": "a", "depth": 1, "rate": 0.5} in points
    assert {"kind": "b", "rate": 1.0} in points
    assert len({tuple(point.items()) for point in points}) == len(points)


def test_nested_and_dotted_names_narrow_alike() -> None:
    nested = SPACE.narrow({"generator": {"family": ["dcgan"], "dcgan": {"g_lr": {"low": 1e-4}, "width": 8}}})
    dotted = SPACE.narrow({"generator.family": "dcgan", "generator.dcgan.g_lr": {"low": 1e-4}, "generator.dcgan.width": 8})
    assert nested == dotted
    assert nested.names()["generator.dcgan.width"] == Fixed(default=8, source="study")
    assert "generator.lm_gan.latent_dim" not in nested.names()


def test_narrowing_reports_every_problem() -> None:
    with pytest.raises(SpaceError) as caught:
        dcgan = {"g_lr": [1.0], "width": {"low": 2}, "nope": 1}
        SPACE.narrow({"generator": {"familly": "dcgan", "dcgam": {"g_lr": 1}, "dcgan": dcgan}, "sythesis": 3})
    said = dict(caught.value.problems)
    assert said["generator.dcgan.nope"].startswith("no such setting; under generator.dcgan there are ")
    assert said["generator.familly"] == "no such setting; did you mean generator.family?"
    assert said["generator.dcgam"] == "no such setting; did you mean generator.dcgan?"
    assert said["generator.dcgan.g_lr"] == "1 is outside of 5e-05 to 0.001"
    assert "is a range, but this is a list" in said["generator.dcgan.width"]
    assert said["sythesis"] == "no such setting; did you mean synthesis?"


def test_plain_data_gives_the_space_again() -> None:
    narrowed = SPACE.narrow(
        {
            "generator.family": ["lm_gan"],
            "generator.lm_gan.latent_dim": {"low": 4, "high": 16},
            "synthesis.fraction": [0.2, 0.5],
            "synthesis.amount": ["fraction", "balance"],
            "inspector.fcn.width": [16, 32],
        }
    )
    plain = narrowed.to_plain()
    assert plain["generator.lm_gan.latent_dim"] == {"low": 4, "high": 16}
    assert plain["synthesis.amount"] == ["fraction", "balance"]
    again = SPACE.narrow(plain)
    assert again.to_plain() == plain
    rng = random.Random(0), random.Random(0)
    assert [narrowed.sample(rng[0]) for _ in range(20)] == [again.sample(rng[1]) for _ in range(20)]


def test_the_description_names_ranges_defaults_and_sources() -> None:
    text = SPACE.describe()
    assert "generator.dcgan.g_lr: 5e-05 to 0.001 (log); default 0.0002  [paper]" in text
    assert "generator.lm_gan.beta1: one of 0, 0.5; default 0.5" in text
    # Deeper choices stand deeper in the tree.
    lines = text.splitlines()
    indent = {line.split(":")[0].strip(): len(line) - len(line.lstrip()) for line in lines}
    assert indent["generator.family"] < indent["generator.lm_gan.optimizer"] < indent["generator.lm_gan.beta1"]
