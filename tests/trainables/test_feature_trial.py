"""Trials of families that make features: the inspector's head is learned anew on them, and there are no pictures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.datasets.packs import fingerprint
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import TrialFailure
from trainables.inspectors.head import LabelledFeatures, judge_head, retrain_head
from trainables.inspectors.stage import read_predictions
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, ConditioningPart, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.store import Store
from trainables.trial import run_trial

DATA = DataSettings(size_px=32, procedural=ProceduralSettings(per_class=20))
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 20, "epochs": 1, "batch": 16})
TINY = {"hidden": 16, "latent_size": 4, "batch": 16, "critic_iter": 2, "lr": 1e-3}
ONE_HOT = ConditioningPart(kind="one_hot")
FAMILIES = {
    "vaegan_ce": GeneratorPart(family="vaegan_ce", kimg=0.256, settings=TINY, conditioning=ONE_HOT),
    "tf_vaegan": GeneratorPart(family="tf_vaegan", kimg=0.256, settings=TINY, conditioning=ONE_HOT),
    "smote": GeneratorPart(family="smote", kimg=1.0),
    "adasyn": GeneratorPart(family="adasyn", kimg=1.0, settings={"n_neighbors": 3}),
}


def recipe(family: str = "smote", **changes: Any) -> Recipe:
    parts: dict[str, Any] = {
        "data": DATA,
        "fingerprint": fingerprint(DATA),
        "generator": FAMILIES[family],
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=6)),
        "inspector": FCN,
        "scores": ScorePart(extractor="inspector", inspector=FCN),
    }
    return Recipe(**{**parts, **changes})


def run(trial: Iterator[Progress | Scores]) -> Scores:
    *_, last = trial
    assert isinstance(last, Scores)
    return last


@pytest.mark.parametrize("family", FAMILIES)
def test_a_trial_ends_with_scores_without_pictures_and_a_second_run_finds_everything(family: str, tmp_path: Path) -> None:
    first = run(run_trial(recipe(family), Store(tmp_path)))
    again = run(run_trial(recipe(family), Store(tmp_path)))
    assert again.values == first.values and again.confusion == first.confusion
    assert not any(use.reused for use in first.stages) and all(use.reused for use in again.stages)
    assert [use.stage for use in first.stages] == ["inspector", "generator", *["pool"] * 6, "head"]
    assert first.samples is None
    assert first.conditions["synthetic"] == "features of the trial's own inspector"
    assert first.conditions["synthetic_images"] == 36 and first.conditions["scored_synthetic_images"] == 6 * 256
    values = first.values
    assert 0.0 <= values["val_accuracy"] <= 1.0 and values["acceptance_rate"] == 1.0  # type: ignore[operator]
    assert values["val_mmd_inspector"] == values["val_kid_inspector"] and values["val_mmd_inspector"] is not None
    assert values["val_mmd_inspector_floor"] is not None and f"val_mmd_inspector.{first.classes[0]}" in values
    assert not [name for name in values if name.startswith("test_")]
    assert sum(map(sum, first.confusion["val"])) == first.conditions["val_images"]
    costs = {"generator_params_m", "generator_s", "inspector_params_m", "inspector_s", "inspector_ms_per_image", "trial_s"}
    assert costs <= {name for name, value in values.items() if value is not None}
    seconds = {use.stage: use.seconds for use in first.stages}
    assert values["inspector_s"] == pytest.approx(seconds["inspector"] + seconds["head"])


def test_the_inspector_is_the_baseline_s_with_the_same_seed(tmp_path: Path) -> None:
    units = (Unit(), Unit(inspector=1))
    plain = run(run_trial(recipe(generator=None, synthesis=None, units=units), Store(tmp_path)))
    made = run(run_trial(recipe(units=units), Store(tmp_path)))
    found = [use for use in made.stages if use.stage == "inspector"]
    assert [use.key for use in found] == [use.key for use in plain.stages] and all(use.reused for use in found)
    assert len({use.key for use in made.stages if use.stage == "generator"}) == 2, "another inspector has other features"


def test_head_settings_and_amounts_make_a_head_and_no_generator(tmp_path: Path) -> None:
    run(run_trial(recipe(), Store(tmp_path)))
    for changes in (
        {"generator": replace(FAMILIES["smote"], settings={"classifier_lr": 3e-3})},
        {"synthesis": SynthesisPart(amount=Amount(kind="per_class", value=9))},
    ):
        other = run(run_trial(recipe(**changes), Store(tmp_path)))
        assert {use.stage for use in other.stages if not use.reused} == {"head"}
    nearer = run(run_trial(recipe(generator=replace(FAMILIES["smote"], settings={"k_neighbors": 2})), Store(tmp_path)))
    assert {use.stage for use in nearer.stages if not use.reused} == {"pool", "head"}


def test_the_test_split_is_read_only_where_the_recipe_says_so(tmp_path: Path) -> None:
    closed = run(run_trial(recipe(), Store(tmp_path)))
    assert Store(tmp_path).keys("head_test_predictions") == []
    judged = run(run_trial(recipe(judge=True), Store(tmp_path)))
    assert judged.values["test_accuracy"] is not None and judged.values["test_mmd_inspector"] is not None
    assert judged.values["val_accuracy"] == closed.values["val_accuracy"] and all(use.reused for use in judged.stages)
    assert sum(map(sum, judged.confusion["test"])) == judged.conditions["test_images"]


def test_another_extractor_leaves_the_names_of_images_to_images(tmp_path: Path) -> None:
    scores = run(run_trial(recipe(scores=ScorePart(extractor="random", inspector=FCN)), Store(tmp_path)))
    assert scores.values["val_mmd_inspector"] is not None
    assert not [name for name in scores.values if "kid" in name or "frechet" in name or "fid" in name]


def test_the_confidence_filter_asks_the_inspector_s_own_head(tmp_path: Path) -> None:
    strict = SynthesisPart(amount=Amount(kind="per_class", value=0), filter="confidence", min_confidence=0.17)
    scores = run(run_trial(recipe(synthesis=strict), Store(tmp_path)))
    assert scores.values["acceptance_rate"] is not None and 0.0 < scores.values["acceptance_rate"] < 1.0
    impossible = SynthesisPart(amount=Amount(kind="per_class", value=6), filter="confidence", min_confidence=0.99)
    with pytest.raises(TrialFailure, match="confidence filter"):
        run(run_trial(recipe(synthesis=impossible), Store(tmp_path)))


def features(count: int, *, seed: int, shift: float = 0.0) -> LabelledFeatures:
    """Two classes that lie on both sides of a line, far from the origin and in features of very different size."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    values = torch.randn(count, 3, generator=random) * torch.tensor([1.0, 100.0, 0.0])
    values[:, 0] += 4.0 * labels + 50.0 + shift
    return LabelledFeatures(features=values, labels=labels)


def retrained(store: Store, synthetic: LabelledFeatures | None = None, *, inputs: str = "a", seed: int = 1, lr: float = 1e-2) -> Any:
    steps = retrain_head(
        lr=lr,
        epochs=2,
        real=features(40, seed=1),
        synthetic=synthetic,
        validation=features(60, seed=2),
        inputs=[inputs],
        num_classes=2,
        seed=seed,
        store=store,
    )
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def accuracy(entry: Any) -> float:
    said = read_predictions(entry)
    return float((said["logits"].argmax(1) == said["labels"]).float().mean())


def test_a_head_tells_classes_apart_in_features_of_any_scale(tmp_path: Path) -> None:
    store = Store(tmp_path)
    head = retrained(store)
    assert accuracy(head.entry) > 0.9
    judged = judge_head(head.entry, test=features(60, seed=3), inputs=["a"], store=store)
    assert accuracy(judged.entry) > 0.9
    assert retrained(store).reused and not retrained(store, inputs="b").reused and not retrained(store, seed=2).reused


def test_synthetic_features_of_wrong_labels_harm_the_head_and_good_ones_do_not(tmp_path: Path) -> None:
    store, more = Store(tmp_path), features(200, seed=4)
    good = retrained(store, more, inputs="good")
    wrong = retrained(store, replace(more, labels=1 - more.labels), inputs="wrong")
    assert accuracy(good.entry) > 0.9 > 0.5 > accuracy(wrong.entry)


def test_a_head_s_loss_that_is_not_finite_ends_the_trial_by_name(tmp_path: Path) -> None:
    broken = features(40, seed=1)
    broken.features[0, 0] = float("nan")
    with pytest.raises(TrialFailure) as caught:
        retrained(Store(tmp_path), broken)
    assert caught.value.name == "diverged"


@pytest.mark.parametrize(("family", "reused"), [("vaegan_ce", False), ("tf_vaegan", True)])
def test_a_class_is_told_by_the_family_s_own_vectors_out_of_the_trial_s_own_features(family: str, reused: bool, tmp_path: Path) -> None:
    part = replace(FAMILIES[family], conditioning=None)
    scores = run(run_trial(recipe(generator=part), Store(tmp_path)))
    assert [use.stage for use in scores.stages][:3] == ["inspector", "conditioning", "generator"] and scores.files
    other = InspectorPart(kind="fcn", settings={**FCN.settings, "width": 12})
    wider = run(run_trial(recipe(generator=part, inspector=other), Store(tmp_path)))
    assert [use.reused for use in wider.stages[:3]] == [False, reused, False], "attributes are the same for every inspector, learned vectors are not"
