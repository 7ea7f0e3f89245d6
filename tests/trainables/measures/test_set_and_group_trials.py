"""Scores of sets, of groups and of disturbed images as a trial gives them: which there are, what they hold for, and that nothing is done twice."""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.datasets.packs import fingerprint, open_pack
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import Inspected, inspect
from trainables.measures import robustness
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.scores.corruptions import gradient
from trainables.scores.names import SIZE_GROUPS, score_names
from trainables.scores.robustness import area_under_curve
from trainables.store import Store
from trainables.tasks.detect import Detect
from trainables.trial import run_trial

DATA = DataSettings(size_px=32, procedural=ProceduralSettings(per_class=20, defect_free=20))
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 4, "epochs": 1, "batch": 16})
DCGAN = GeneratorPart(family="dcgan", kimg=0.064, settings={"width": 8, "batch": 32, "class_mode": "conditional", "latent_dim": 16})


def recipe(**changes: Any) -> Recipe:
    """A small trial on real images alone; a generator among the changes makes it another."""
    parts: dict[str, Any] = {
        "data": DATA,
        "fingerprint": fingerprint(DATA),
        "inspector": FCN,
        "scores": ScorePart(extractor="inspector", inspector=FCN),
    }
    parts |= changes
    if "generator" in parts:
        parts["synthesis"] = SynthesisPart(amount=Amount(kind="per_class", value=6))
    return Recipe(**parts)


def run(trial: Iterator[Progress | Scores]) -> Scores:
    *_, last = trial
    assert isinstance(last, Scores)
    return last


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def made(store: Store) -> Scores:
    return run(run_trial(recipe(generator=DCGAN, judge=True), store))


def test_sets_are_measured_beside_what_they_are_read_against(made: Scores) -> None:
    values = made.values
    for name in ("val_texture_lbp", "test_texture_spectrum", "val_memorisation_inspector"):
        assert values[name] is not None and values[f"{name}_floor"] is not None
        assert any(own.startswith(f"{name}.") for own in values)
    assert 1.0 <= values["val_inception_score_inspector"] <= 7.0  # type: ignore[operator]
    assert 1.0 <= values["val_inception_score_inspector_real"] <= 7.0  # type: ignore[operator]
    assert not [name for name in values if name.startswith(("test_memorisation", "test_inception"))]
    assert made.conditions["textures_of_a_class_at_most"] == 64 and made.conditions["memorisation_of_a_class_at_most"] == 256


def test_every_name_of_a_study_is_measured(made: Scores) -> None:
    wanted = score_names("inspector", task="classify", classes=["scratches"], groups=SIZE_GROUPS)
    asked_for = ("val_robustness", "val_tstr", "val_trts", "val_auc", "val_patch_accuracy", "val_mmd")
    assert [name for name in wanted if name not in made.values and not name.startswith(asked_for)] == []


def test_groups_of_sizes_are_thirds_with_all_defect_free_images_in_each(made: Scores, store: Store) -> None:
    counts = [made.conditions[f"test_images@{size}"] for size in SIZE_GROUPS]
    free = sum(made.confusion["test"][-1])
    assert sum(int(count) - free for count in counts) == int(made.conditions["test_images"]) - free
    areas = [made.conditions[f"test_largest_defect@{size}"] for size in SIZE_GROUPS]
    assert areas == sorted(areas) and 0 < float(areas[0]) < float(areas[2]) < 1
    assert made.values["test_recall@small.defect_free"] == made.values["test_recall.defect_free"]


def test_a_search_reads_no_group_of_the_test_split(store: Store) -> None:
    closed = run(run_trial(recipe(), store))
    assert "val_accuracy@small" in closed.values
    assert not [name for name in (*closed.values, *closed.conditions) if name.startswith("test_")]


def test_thresholds_are_chosen_on_all_images(store: Store) -> None:
    task = Detect(open_pack(DATA, fingerprint(DATA), store))
    said = {"scores": torch.tensor([0.1, 0.2, 0.6, 0.9]), "labels": torch.tensor([0, 1, 0, 1])}
    some = {name: values[:2] for name, values in said.items()}
    config: Any = type("Config", (), {"target_sensitivity": None, "target_specificity": None})
    found = task.score(some, validated=said, config=config, split="test", partly=True).values
    assert found["test_fn"] == 0 and found["test_fp"] == 0 and not [name for name in found if "oracle" in name]
    alone = {name: values[:1] for name, values in said.items()}
    assert task.score(alone, validated=said, config=config, split="test", partly=True).values["test_ap"] is None


def test_robustness_is_a_stage_of_its_own(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = run(run_trial(recipe(), store))
    asked = recipe(scores=ScorePart(extractor="inspector", inspector=FCN, robustness=("brightness", "gradient")))
    first = run(run_trial(asked, store))
    assert {use.stage for use in first.stages if not use.reused} == {"robustness"}
    assert list(first.curves) == ["val_robustness.brightness", "val_robustness.gradient"]
    ((curve,), _) = first.curves.values()
    assert len(curve) == 6 and curve[0] == plain.values["val_accuracy"]
    assert first.values["val_robustness.brightness"] == area_under_curve(curve)
    assert {name: first.values[name] for name in plain.values if "_s" not in name[-3:]} == {
        name: value for name, value in plain.values.items() if "_s" not in name[-3:]
    }
    monkeypatch.setattr(robustness, "whole_inspector", lambda *args, **kwargs: pytest.fail("the curves are there already"))
    again = run(run_trial(asked, store))
    assert again.curves == first.curves and all(use.reused for use in again.stages)


def test_a_judged_trial_is_disturbed_on_test_alone(store: Store) -> None:
    asked = recipe(scores=ScorePart(extractor="inspector", inspector=FCN, robustness=("noise",)), judge=True, units=(Unit(), Unit(inspector=1)))
    found = run(run_trial(asked, store))
    assert list(found.curves) == ["test_robustness.noise"] and len(found.curves["test_robustness.noise"]) == 2


@pytest.mark.parametrize("family", ["smote"])
def test_a_retrained_head_is_disturbed_like_a_whole_inspector(family: str, store: Store) -> None:
    scores = ScorePart(extractor="inspector", inspector=FCN, robustness=("salt_and_pepper", "gradient"))
    found = run(run_trial(recipe(generator=GeneratorPart(family=family, kimg=0.1), scores=scores), store))
    assert found.curves["val_robustness.gradient"][0][0] == found.values["val_accuracy"]
    assert found.values["val_memorisation_inspector"] is not None and "val_texture_lbp" not in found.values


KINDS: dict[str, dict[str, Any]] = {
    "fcn": {"width": 8},
    "segdecnet": {"width": 0.05, "lr": 1e-3},
    "smp:unet": {"encoder": "tu-test_resnet"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_attack_raises_the_loss_that_the_inspector_was_trained_with(kind: str, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(60, 200, (8, 1, 64, 64), dtype=torch.uint8, generator=generator)
    masks = torch.zeros(8, 64, 64, dtype=torch.uint8)
    masks[::2, 16:40, 16:40] = 1
    known = LabelledImages(images=images, labels=(torch.arange(8) + 1) % 2, masks=masks, marked=torch.ones(8, dtype=torch.bool))
    if kind == "fcn":
        known = LabelledImages(images=images, labels=known.labels)
    work = inspect(
        InspectorPart(kind=kind, settings={"epochs": 1, "min_steps": 3, "batch": 4, **KINDS[kind]}),
        real=known,
        synthetic=None,
        validation=known,
        inputs=[kind],
        num_classes=2 if kind == "fcn" else 1,
        seed=1,
        precision="fp32",
        device="cpu",
        store=Store(tmp_path),
    )
    trained = finished(work)
    subject = robustness.whole_inspector(trained.entry, known, device="cpu")
    assert torch.equal(subject.answer(images)["labels"], known.labels)

    def loss(of: torch.Tensor) -> float:
        return float(subject.loss(of.float() / 127.5 - 1.0, torch.arange(8)).detach())

    assert loss(gradient(images, 1, torch.Generator(), loss=subject.loss)) > loss(images) + 1e-4


def finished(work: Generator[Progress, None, Inspected]) -> Inspected:
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: Inspected = end.value
            return found
