"""Recipes and settings: strict in, the same out."""

import pytest

from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.seeds import child_seed
from trainables.settings import from_plain


def recipe(**changes: object) -> Recipe:
    parts: dict[str, object] = {
        "data": DataSettings(size_px=32),
        "fingerprint": "f",
        "generator": GeneratorPart(family="dcgan", settings={"width": 32}, kimg=2),
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=10)),
        "inspector": InspectorPart(kind="fcn"),
        "scores": ScorePart(extractor="random"),
    }
    return Recipe(**{**parts, **changes})  # type: ignore[arg-type]


def test_plain_and_back() -> None:
    first = recipe(units=(Unit(), Unit(generator=1, inspector=2)))
    assert Recipe.from_plain(first.to_plain()) == first


def test_all_problems_come_at_once_with_the_nearest_name() -> None:
    plain = recipe().to_plain()
    plain["data"]["sise_px"] = 64
    plain["inspector"] = {"kind": 3}
    with pytest.raises(SettingsError) as caught:
        Recipe.from_plain(plain)
    assert "data.sise_px: no such setting; did you mean size_px?" in str(caught.value)
    assert "inspector.kind: 3 is not a text" in str(caught.value)


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ({"size_px": 48}, "48 is not 16, 32"),
        ({"channels": 2}, "2 is not one of 1, 3"),
        ({"size_px": True}, "True is not a whole number"),
        ({"val_fraction": 1.0}, "not between 0 and 0.9"),
    ],
)
def test_wrong_types_and_ranges_are_refused(plain: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        from_plain(DataSettings, plain, where="data")


def test_generator_and_synthesis_go_together() -> None:
    with pytest.raises(SettingsError, match="both or neither"):
        recipe(synthesis=None)


@pytest.mark.parametrize(
    ("kind", "value", "counts"),
    [
        ("fraction", 0.5, [10, 40]),
        ("fraction", 0.0, [0, 0]),
        ("fraction", 0.8, [40, 160]),
        ("per_class", 7, [7, 7]),
        ("multiple", 2, [20, 80]),
        ("top_up_to", 25, [15, 0]),
        ("balance", 0, [30, 0]),
    ],
)
def test_amounts(kind: str, value: float, counts: list[int]) -> None:
    assert Amount(kind=kind, value=value).counts([10, 40]) == counts  # type: ignore[arg-type]


def test_child_seeds_differ_by_name_and_stay() -> None:
    seeds = {child_seed(7, "generator", 0), child_seed(7, "generator", 1), child_seed(7, "inspector", 0), child_seed(8, "generator", 0)}
    assert len(seeds) == 4
    assert child_seed(7, "generator", 0) == 9152697002278671091, "the same on every machine"
    assert all(0 <= seed < 2**63 for seed in seeds)
