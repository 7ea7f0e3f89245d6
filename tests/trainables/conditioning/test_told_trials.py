"""Whole trials whose generator is told the class in each way, or not at all: keys, tables, shared blocks, sorted images."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.conditioning.stage import STAGE, TABLE
from trainables.datasets.packs import fingerprint
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, ConditioningPart, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart
from trainables.store import Store
from trainables.trial import run_trial

DATA = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=16, defect_free=8), defect_free="background")
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 4, "epochs": 1, "batch": 16})
SETTINGS = {"width": 8, "batch": 16, "latent_dim": 8}


def trial(store: Store, mode: str, told: ConditioningPart | None = None, **changes: Any) -> Scores:
    parts: dict[str, Any] = {
        "data": DATA,
        "fingerprint": fingerprint(DATA),
        "generator": GeneratorPart(family="dcgan", kimg=0.032, settings={**SETTINGS, "class_mode": mode}, conditioning=told),
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=4)),
        "inspector": FCN,
        "scores": ScorePart(extractor="random", inspector=FCN),
    }
    return run(run_trial(Recipe(**{**parts, **changes}), store))


def run(items: Iterator[Progress | Scores]) -> Scores:
    *_, last = items
    assert isinstance(last, Scores)
    return last


def generator_keys(scores: Scores) -> set[str]:
    return {use.key for use in scores.stages if use.stage == "generator"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def test_every_way_of_telling_is_another_generator_with_its_table(store: Store) -> None:
    plain = trial(store, "conditional")
    assert plain.files == {} and not [use for use in plain.stages if use.stage == STAGE]
    keys = generator_keys(plain)
    for kind, embeddings in (("attributes", ["real"]), ("learned", ["real", "learned"]), ("blend", ["real", "learned", "blend"])):
        scores = trial(store, "conditional", ConditioningPart(kind=kind))  # type: ignore[arg-type]
        assert generator_keys(scores).isdisjoint(keys)
        keys |= generator_keys(scores)
        where = scores.files[TABLE]
        entry = store.lookup(where["stage"], where["key"])
        assert entry is not None and [use.key for use in scores.stages if use.stage == STAGE] == [entry.key]
        lines = entry.read(where["file"]).decode().splitlines()
        assert lines[0].startswith("embedding,class,Color D: white,")
        assert [line.split(",")[:2] for line in lines[1:]] == [[name, cls] for name in embeddings for cls in scores.classes]
        assert scores.values["val_accuracy"] is not None and scores.conditions["synthetic_images"] == 24


def test_the_second_trial_finds_what_the_first_learned(store: Store) -> None:
    first = trial(store, "conditional", ConditioningPart(kind="learned"))
    again = trial(store, "conditional", ConditioningPart(kind="learned"))
    assert all(use.reused for use in again.stages) and again.values == first.values
    # Learning takes the features of an inspector that saw the real training images alone, whatever distances are measured in.
    assert [use.stage for use in again.stages[:2]] == ["inspector", STAGE]


def test_one_hot_by_name_is_the_family_s_own_way(store: Store) -> None:
    assert generator_keys(trial(store, "conditional")) == generator_keys(trial(store, "conditional", ConditioningPart(kind="one_hot", ce_blend=0.1)))


def test_settings_without_effect_change_no_key(store: Store) -> None:
    one, other = (trial(store, "per_class", part) for part in (None, ConditioningPart(kind="blend", ce_blend=0.3)))
    assert generator_keys(one) == generator_keys(other) and other.files == {}


def bright_and_dark(folder: Path) -> DataSettings:
    """A data set of two classes that anybody can tell apart."""
    rng = np.random.default_rng(0)
    for cls, level in (("bright", 190), ("dark", 60)):
        (folder / cls).mkdir(parents=True)
        for i in range(16):
            pixels = np.clip(rng.normal(level + rng.uniform(-25, 25), 20, (16, 16)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / cls / f"{i}.png")
    return DataSettings(dataset="image_folder", path=str(folder), size_px=16)


def test_a_pooled_model_is_one_whose_blocks_all_classes_share(tmp_path: Path) -> None:
    store, data = Store(tmp_path / "store"), bright_and_dark(tmp_path / "data")
    part = GeneratorPart(family="dcgan", kimg=1.5, settings={**SETTINGS, "class_mode": "pooled", "g_lr": 2e-3})
    told = replace(part, conditioning=ConditioningPart(kind="learned"))
    inspector = InspectorPart(kind="fcn", settings={**FCN.settings, "min_steps": 40, "lr": 3e-3})
    given = {"data": data, "fingerprint": fingerprint(data), "scores": ScorePart(extractor="random", inspector=inspector)}
    scores = trial(store, "pooled", **given, generator=part)
    assert scores.classes == ["bright", "dark"] and len(generator_keys(scores)) == 1 and scores.conditions["synthetic_images"] == 8
    blocks = [use for use in scores.stages if use.stage == "pool"]
    assert len(blocks) == 2 == len({use.key for use in blocks}) and {use.cls for use in blocks} == {None}
    assert int(scores.conditions["scored_synthetic_images"]) == 2 * 256, "each image belongs to one class"
    assert scores.values["acceptance_rate"] == 1.0
    # A pooled model is told nothing, so that nothing changes with how it would be told.
    assert all(use.reused for use in trial(store, "pooled", **given, generator=told).stages)
    kept = SynthesisPart(amount=Amount(kind="per_class", value=0), filter="confidence", min_confidence=0.94)
    filtered = trial(store, "pooled", **given, generator=part, synthesis=kept)
    assert filtered.values["acceptance_rate"] is not None and filtered.values["acceptance_rate"] < 1.0, "filtered beyond being sorted"


def test_a_class_that_gets_no_image_of_a_pooled_model_is_named(store: Store) -> None:
    with pytest.raises(TrialFailure, match=r"class \S+: only \d of 1536 images of the one model of all classes are taken for it") as caught:
        trial(store, "pooled")
    assert caught.value.name == "collapsed"
