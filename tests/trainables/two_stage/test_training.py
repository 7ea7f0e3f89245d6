"""The two-stage system of a zero-shot trial: trained stage by stage, assembled, measured, saved and loaded."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.datasets.packs import fingerprint, open_pack
from trainables.datasets.settings import DataSettings, ProceduralSettings, SurfaceSettings, Texture, TextureSettings
from trainables.datasets.splits import split
from trainables.errors import DatasetError, SettingsError
from trainables.inspectors.stage import read_predictions
from trainables.progress import Progress
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart
from trainables.scores.detection import choose_thresholds
from trainables.scores.system import Case
from trainables.store import Store
from trainables.two_stage.system import load_system
from trainables.two_stage.training import Built, build_system
from trainables.zero_shot.settings import ZeroShotPart

KINDS: tuple[Texture, ...] = ("brushed", "woven", "rayed", "perforated")
UNSEEN = ("perforated",)
DATA = DataSettings(
    dataset="textures", size_px=32, textures=TextureSettings(kinds=KINDS, good=10, defective=10), surfaces=SurfaceSettings(labels="surfaces")
)
FCN = InspectorPart(kind="fcn", settings={"width": 16, "min_steps": 80, "epochs": 1, "batch": 16, "lr": 3e-3})
DETECTOR = InspectorPart(kind="segdecnet", settings={"width": 0.05, "min_steps": 0, "epochs": 1, "dilate_px": 1})
TINY = {"hidden": 64, "latent_size": 8, "batch": 16, "critic_iter": 2, "lr": 1e-3}


def recipe(data: DataSettings = DATA, **changes: Any) -> Recipe:
    parts: dict[str, Any] = {
        "task": "zero_shot",
        "data": data,
        "fingerprint": fingerprint(data),
        "generator": GeneratorPart(family="vaegan_ce", kimg=5.12, settings=TINY),
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=40)),
        "inspector": FCN,
        "scores": ScorePart(extractor="inspector", inspector=FCN),
        "zero_shot": ZeroShotPart(unseen=UNSEEN, unseen_ce="dissimilarity_threshold"),
    }
    return Recipe(**{**parts, **changes})


def ended(items: Iterator[Progress | Built]) -> tuple[Built, list[str]]:
    """Gives the system and the stages that were at work."""
    stages: list[str] = []
    for item in items:
        if isinstance(item, Built):
            return item, list(dict.fromkeys(stages))
        stages.append(item.stage)
    raise AssertionError("no system")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def built(store: Store) -> Built:
    return ended(build_system(recipe(), DETECTOR, store, unseen=UNSEEN))[0]


def test_all_stages_become_one_system_that_is_measured_on_the_test_images(built: Built, store: Store) -> None:
    system, measured = built.system, built.measured
    seen = tuple(cls for cls in KINDS if cls not in UNSEEN)
    assert system.router.seen == seen and tuple(system.detectors) == seen and len(system.router.attributes) == 29
    pack = open_pack(DATA, fingerprint(DATA), store)
    rows = split(pack, DATA).test
    cases = [Case(pack.classes[pack.labels[row]], not pack.defect_free[row]) for row in rows]
    assert measured.whole == system.score(torch.from_numpy(pack.images[rows]), cases)
    assert sum(measured.images.values()) == len(rows) == measured.conditions["test_images"] and set(measured.by_surface) == set(KINDS)
    assert sum(scores.wrong_routing for scores in measured.by_surface.values()) == measured.whole.wrong_routing
    assert measured.by_surface[UNSEEN[0]].false_alarms_share is None, "no detector is asked about an unseen surface"
    assert measured.whole.false_unseen_share is not None and measured.whole.false_unseen_share < 0.3
    assert 0.0 < measured.latency.median_ms <= measured.latency.p95_ms and measured.size == system.size()
    alerts = [verdict for verdict in system.inspect(torch.from_numpy(pack.images[rows])) if verdict.alert != "none"]
    assert alerts and all(len(verdict.embedding) == 29 and verdict.nearest in seen for verdict in alerts)


def test_thresholds_come_from_the_validation_images_of_each_surface(built: Built, store: Store) -> None:
    entries = [entry for entry in store.entries() if entry.stage == "inspector" and entry.info["kind"] == "segdecnet"]
    assert len(entries) == len(KINDS) - len(UNSEEN)
    expected = []
    for entry in entries:
        said = read_predictions(entry)
        assert sorted(said["labels"].tolist()) == [0, 0, 1, 1], "a fifth of ten good and of ten defective images"
        expected.append(choose_thresholds(said["scores"], said["labels"] == 1).operating)
    assert sorted(expected) == sorted(stage.threshold for stage in built.system.detectors.values())


def test_a_system_that_was_built_is_found_and_its_detectors_serve_other_sets_of_unseen_classes(built: Built, store: Store) -> None:
    again, stages = ended(build_system(recipe(), DETECTOR, store, unseen=UNSEEN))
    assert again.measured.whole == built.measured.whole and stages == ["data", "scores", "system"]
    other, stages = ended(build_system(recipe(generator=None, synthesis=None), DETECTOR, store, unseen=("woven",)))
    assert [stage for stage in stages if stage.startswith("detector")] == ["detector of perforated"], "the others are in the store"
    assert other.system.router.attributes == () and "perforated" in other.system.detectors


def test_what_was_saved_answers_the_same(built: Built, store: Store, tmp_path: Path) -> None:
    built.system.save(tmp_path)
    back, images = load_system(tmp_path), torch.tensor(open_pack(DATA, fingerprint(DATA), store).images[::2])
    for ours, theirs in zip(built.system.inspect(images), back.inspect(images), strict=True):
        for name in ("surface", "alert", "nearest", "dissimilarity", "score", "embedding"):
            assert getattr(ours, name) == getattr(theirs, name), name
        assert (ours.where is None) == (theirs.where is None) and (ours.where is None or torch.equal(ours.where, theirs.where))  # type: ignore[arg-type]


def test_what_cannot_be_a_system_is_refused_with_all_reasons_before_anything_trains(store: Store) -> None:
    with pytest.raises(SettingsError, match="only a trial of task zero_shot has a router"):
        next(build_system(recipe(task="classify", zero_shot=None), DETECTOR, store, unseen=UNSEEN))
    with pytest.raises(SettingsError) as caught:
        ended(build_system(recipe(), FCN, store, unseen=("perforatd",)))
    assert "fcn: an inspector of task classify" in str(caught.value) and "segdecnet" in str(caught.value)
    assert "did you mean perforated?" in str(caught.value)
    with pytest.raises(SettingsError, match="widht: no such setting"):
        ended(build_system(recipe(), replace(DETECTOR, settings={"widht": 1}), store, unseen=UNSEEN))
    plain = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=10, defect_free=10))
    told = ZeroShotPart(unseen=("crazing",), unseen_ce="dissimilarity_threshold")
    with pytest.raises(DatasetError) as lacking:
        ended(build_system(recipe(plain, zero_shot=told), DETECTOR, store, unseen=("crazing",)))
    assert "class patches: no image of its training split is defect-free" in str(lacking.value)
    assert "surfaces.labels: surfaces" in str(lacking.value)
