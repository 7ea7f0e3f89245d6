"""The spaces of inspectors: open names, and settings that only a study may name."""

import random

import pytest

from spaces.domains import Categorical, SpaceError
from spaces.inspectors import INSPECTOR_SPACES, OPEN, inspector_spaces, open_names


def test_open_names_stand_for_what_a_study_names() -> None:
    plain = inspector_spaces()
    assert set(plain) == {name for name in INSPECTOR_SPACES if OPEN not in name}
    named = inspector_spaces(["timm:resnet10t", "other:net", "resnet18"])
    assert set(named) - set(plain) == {"timm:resnet10t"}
    assert named["timm:resnet10t"] == INSPECTOR_SPACES[f"timm:{OPEN}"]


def test_open_names_are_found_in_dotted_names() -> None:
    assert open_names("inspector.timm:resnet10t.lr") == open_names("timm:resnet10t") == ["timm:resnet10t"]
    assert open_names("/data/mytimm:x") == open_names("resnet18") == []


def test_values_beside_the_choices_are_taken_from_a_study_alone() -> None:
    domain = Categorical(choices=("none", "flips"), also=("saiz",), default="none")
    assert domain.grid(9) == ["none", "flips"] and {domain.sample(random.Random(i)) for i in range(50)} == {"none", "flips"}
    assert domain.check("saiz") == "saiz" and domain.narrow(["flips", "saiz"]).grid(9) == ["flips", "saiz"]
    assert "or saiz where a study says so" in domain.describe()
    with pytest.raises(SpaceError, match="did you mean saiz"):
        domain.check("siaz")
