"""What keeps a generator from being trained, all at once, each with the nearest thing that would work."""

from typing import Any

import pytest

from trainables.generators import GENERATORS
from trainables.generators.training.check import Given, problems
from trainables.recipe import ConditioningPart, GeneratorPart
from trainables.registry import resolve

GIVEN: dict[str, Any] = {"size_px": 64, "backgrounds": True, "attributes": True}


def said(family: str, settings: dict[str, Any] | None = None, *, kimg: float = 1.0, told: str | None = None, **given: Any) -> dict[str, str]:
    conditioning = ConditioningPart(kind=told) if told else None  # type: ignore[arg-type]
    part = GeneratorPart(family=family, kimg=kimg, settings=settings or {}, conditioning=conditioning)
    return dict(problems(part, Given(**{**GIVEN, **given})))


@pytest.mark.parametrize("family", GENERATORS)
def test_every_family_can_be_trained_on_enough(family: str) -> None:
    size_px = 64 if 64 in resolve(GENERATORS[family]).sizes_px else 32
    assert said(family, size_px=size_px, counts={"a": 100, "b": 100}) == {}


def test_everything_is_said_at_once() -> None:
    found = said("pe_gan", size_px=16, backgrounds=False, kimg=0.0, counts={"a": 1, "b": 9})
    assert list(found) == ["data.backgrounds", "data.size_px", "generator.kimg", "generator.pe_gan.class_mode"]
    assert found["data.size_px"].endswith("it can for 32, 64, 128, 256: take 32, or leave the family out")
    assert found["data.backgrounds"].startswith("pe_gan turns defect-free images into defects and there are none; set data.backgrounds to crops")
    assert found["generator.kimg"] == "a mark of 0 is not above 0"


def test_names_and_settings_that_there_are_not() -> None:
    assert "did you mean 'dcgan'" in said("dcgann")["generator.family"]
    assert "did you mean g_lr" in said("dcgan", {"g_lrr": 1.0})["generator.dcgan"]
    assert "'mixed' is not one of per_class, conditional, pooled" in said("dcgan", {"class_mode": "mixed"})["generator.dcgan"]


def test_marks_end_where_the_schedule_does() -> None:
    settings = {"lr_decay": "linear", "horizon_kimg": 2.0}
    assert said("pe_gan", settings, kimg=2.0) == {}
    assert "2.5 kimg lies beyond the learning rate's horizon" in said("pe_gan", settings, kimg=2.5)["generator.kimg"]


def test_attributes_are_needed_only_where_a_class_is_told_by_them() -> None:
    conditional = {"class_mode": "conditional"}
    for kind in ("attributes", "learned", "blend"):
        assert said("dcgan", conditional, told=kind) == {}
        assert "data.attributes" in said("dcgan", conditional, told=kind, attributes=False)["generator.dcgan.conditioning"]
        assert said("dcgan", {"class_mode": "per_class"}, told=kind, attributes=False) == {}
        assert "cannot be told the class by vectors" in said("cutpaste", told=kind)["generator.cutpaste.conditioning"]
    assert said("dcgan", conditional, attributes=False) == said("cutpaste", told="one_hot") == {}


def test_a_class_needs_its_images() -> None:
    few = {"scratches": 1, "patches": 20}
    (text,) = said("dcgan", {"class_mode": "per_class"}, counts=few).values()
    assert "a model for each class needs at least 2 training images of each class, and scratches has 1;" in text
    assert "generator.dcgan.class_mode: pooled, for which the 21 images of all classes do" in text
    assert list(said("dcgan", {"class_mode": "conditional"}, counts=few)) == ["generator.dcgan.class_mode"]
    assert said("dcgan", {"class_mode": "pooled"}, counts=few) == {}
    assert "there are 1" in said("dcgan", {"class_mode": "pooled"}, counts={"a": 1})["generator.dcgan.class_mode"]


def test_channels_without_colour_are_not_recoloured() -> None:
    assert said("dcgan", {"diffaug": "color,cutout"}, physical=True) == {
        "generator.dcgan.diffaug": "color,cutout changes colours, and the channels here are physical quantities; take cutout"
    }
    assert said("dcgan", {"diffaug": "color"}, physical=True)["generator.dcgan.diffaug"].endswith("take none")
    assert said("dcgan", {"diffaug": "translation,cutout"}, physical=True) == said("dcgan", {"diffaug": "color"}) == {}
    assert list(said("stylegan2", physical=True)) == ["generator.stylegan2.diffaug"], "its default is DiffAugment with colour"
    assert list(said("stylegan2", {"aug_mode": "ada"}, physical=True)) == ["generator.stylegan2.aug_mode"]
    assert said("stylegan2", {"aug_mode": "none"}, physical=True) == {}
