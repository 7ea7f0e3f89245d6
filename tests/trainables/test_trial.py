"""The whole story of a trial: stages are met again by key, interrupted work continues, the test split stays closed."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import load

from trainables.datasets.packs import fingerprint
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import DatasetError, SettingsError
from trainables.generators.training.stage import load_sampler
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, MaskPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.store import Store
from trainables.trial import run_trial

DATA = DataSettings(size_px=32, procedural=ProceduralSettings(per_class=20, defect_free=12), defect_free="background", backgrounds="folder")
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 4, "epochs": 1, "batch": 16})
DCGAN = GeneratorPart(family="dcgan", kimg=0.128, settings={"width": 8, "batch": 32, "class_mode": "conditional", "latent_dim": 16})


def recipe(**changes: Any) -> Recipe:
    """A small trial; `generator=None` makes it a baseline."""
    parts: dict[str, Any] = {
        "data": DATA,
        "fingerprint": fingerprint(DATA),
        "generator": DCGAN,
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=6)),
        "inspector": FCN,
        "scores": ScorePart(extractor="inspector", inspector=FCN),
    }
    parts |= changes
    if parts["generator"] is None:
        parts["synthesis"] = None
    return Recipe(**parts)


def run(trial: Iterator[Progress | Scores]) -> Scores:
    *_, last = trial
    assert isinstance(last, Scores)
    return last


def test_a_trial_ends_with_scores_and_a_second_run_finds_everything(tmp_path: Path) -> None:
    first = run(run_trial(recipe(), Store(tmp_path)))
    again = run(run_trial(recipe(), Store(tmp_path)))
    assert again.values == first.values and again.confusion == first.confusion
    assert not any(use.reused for use in first.stages) and all(use.reused for use in again.stages)
    assert {use.stage for use in first.stages} == {"inspector", "generator", "pool"}
    assert 0.0 <= first.values["val_accuracy"] <= 1.0  # type: ignore[operator]
    assert first.values["val_kid_inspector"] is not None and first.values["acceptance_rate"] == 1.0
    assert first.conditions["synthetic_images"] == 36 and first.conditions["scored_synthetic_images"] == 6 * 256
    assert first.samples is not None and Store(tmp_path).lookup("samples", str(first.samples["key"])) is not None


def test_another_amount_reuses_the_generator_and_its_distance(tmp_path: Path) -> None:
    first = run(run_trial(recipe(), Store(tmp_path)))
    more = run(run_trial(recipe(synthesis=SynthesisPart(amount=Amount(kind="per_class", value=9))), Store(tmp_path)))
    assert {use.stage for use in more.stages if not use.reused} == {"inspector"}
    assert more.values["val_kid_inspector"] == first.values["val_kid_inspector"]


def test_a_generator_that_went_on_from_a_mark_costs_what_all_its_steps_took(tmp_path: Path) -> None:
    early = run(run_trial(recipe(), Store(tmp_path)))
    late = run(run_trial(recipe(generator=replace(DCGAN, kimg=0.192)), Store(tmp_path)))
    stages = {use.key: use.seconds for use in [*early.stages, *late.stages] if use.stage == "generator"}
    assert len(stages) == 2 and late.values["generator_s"] == pytest.approx(sum(stages.values()))
    others = {use.key: use.seconds for use in late.stages if use.stage != "generator"}
    assert late.values["trial_s"] == pytest.approx(sum(stages.values()) + sum(others.values()))


def test_the_test_split_is_read_only_where_the_recipe_says_so(tmp_path: Path) -> None:
    closed = run(run_trial(recipe(), Store(tmp_path)))
    judged = run(run_trial(recipe(judge=True, units=(Unit(), Unit(inspector=1))), Store(tmp_path)))
    assert not [name for name in closed.values if name.startswith("test_")] and "test_images" not in closed.conditions
    assert judged.values["test_accuracy"] is not None and judged.values["test_kid_inspector"] is not None
    assert judged.units[0]["val_accuracy"] == closed.values["val_accuracy"], "judging changes nothing before it"
    assert len(judged.units) == 2 and judged.units[0] != judged.units[1]
    assert all(use.reused for use in judged.stages if use.unit == 0), "what a race has trained is not trained again"
    assert all(use.reused for use in judged.stages if use.unit == 0), "what a race has trained is not trained again"
    assert sum(map(sum, judged.confusion["test"])) == 2 * int(judged.conditions["test_images"])


def test_a_baseline_makes_the_stage_that_others_measure_with(tmp_path: Path) -> None:
    baseline = run(run_trial(recipe(generator=None), Store(tmp_path)))
    assert [use.stage for use in baseline.stages] == ["inspector"] and baseline.samples is None
    assert not [name for name in baseline.values if "kid" in name]
    other = run(run_trial(recipe(), Store(tmp_path)))
    assert [use.reused for use in other.stages if use.key == baseline.stages[0].key] == [True]


def test_a_model_for_each_class_is_a_stage_for_each_class(tmp_path: Path) -> None:
    each = GeneratorPart(family="dcgan", kimg=0.064, settings={"width": 8, "batch": 16, "class_mode": "per_class", "latent_dim": 16})
    scores = run(run_trial(recipe(generator=each), Store(tmp_path)))
    stages = [use for use in scores.stages if use.stage == "generator"]
    assert len(stages) == 6 and len({use.key for use in stages}) == 6 and {use.cls for use in stages} == set(scores.classes)


def test_image_to_image_families_start_from_defect_free_images(tmp_path: Path) -> None:
    part = GeneratorPart(family="pe_gan", kimg=0.032, settings={"base_width": 4, "batch": 8, "n_res_blocks": 3})
    scores = run(run_trial(recipe(generator=part), Store(tmp_path)))
    assert scores.values["val_kid_inspector"] is not None
    assert scores.values["background_kid_inspector"] is not None and scores.values["background_kid_inspector_floor"] is not None
    shown = scores.files["elimination.webp"]
    entry = Store(tmp_path).lookup(shown["stage"], shown["key"])
    assert entry is not None and Image.open(io.BytesIO(entry.read(shown["file"]))).size == (2 + 8 * 34, 2 + 3 * 34)
    without_latent = recipe(generator=part, synthesis=SynthesisPart(amount=Amount(kind="per_class", value=6), truncation=0.7))
    assert all(use.reused for use in run(run_trial(without_latent, Store(tmp_path))).stages), "there is no latent to truncate"
    with pytest.raises(DatasetError, match="backgrounds"):
        data = DataSettings(**{name: getattr(DATA, name) for name in ("size_px", "procedural", "defect_free")})
        run(run_trial(recipe(generator=part, data=data), Store(tmp_path)))


def test_a_family_that_learns_nothing_is_fitted_once_for_all_settings_and_marks(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = run(run_trial(recipe(generator=GeneratorPart(family="cutpaste", kimg=5)), store))
    (fitted,) = [use for use in first.stages if use.stage == "generator"]
    assert fitted.key.endswith("/00000000") and not fitted.reused
    assert first.values["generator_params_m"] == first.values["generator_gmadds"] == 0.0
    assert first.values["generator_ms_per_image"] > 0 and first.values["generator_s"] >= 0  # type: ignore[operator]
    assert first.samples is not None and first.samples["rows"] == ["real", "synthetic", "mask", "nearest"]
    other = run(run_trial(recipe(generator=GeneratorPart(family="cutpaste", kimg=20, settings={"jitter": 0.3})), store))
    (again,) = [use for use in other.stages if use.stage == "generator"]
    assert again.key == fitted.key and again.reused
    assert not any(use.reused for use in other.stages if use.stage == "pool")
    entry = store.lookup(f"generator/{fitted.key.split('/')[0]}", "00000000")
    assert entry is not None and entry.info["steps"] == entry.info["kimg"] == 0
    # It saw the masks of the pack and, because the study has some, its backgrounds.
    kept = load_sampler(entry).sampler_state()
    assert set(kept) == {"items", "labels", "masks", "backgrounds"}
    pool = store.lookup("pool", next(use.key for use in first.stages if use.stage == "pool"))
    assert pool is not None and set(load(pool.read("images.safetensors"))) == {"images", "masks"}


def test_the_confidence_filter_lets_through_what_is_taken_for_its_class(tmp_path: Path) -> None:
    filtered = SynthesisPart(amount=Amount(kind="per_class", value=0), filter="confidence", min_confidence=0.1)
    scores = run(run_trial(recipe(synthesis=filtered), Store(tmp_path)))
    assert scores.values["acceptance_rate"] is not None and 0.0 < scores.values["acceptance_rate"] < 1.0


def test_a_trial_that_was_stopped_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole = run(run_trial(recipe(), Store(tmp_path / "whole")))
    for stage in ("inspector", "generator", "pool", "scores"):
        trial = run_trial(recipe(), Store(tmp_path / "stopped"))
        for item in trial:
            if item.stage == stage:  # type: ignore[union-attr]
                break
        trial.close()  # type: ignore[attr-defined]
    resumed = run(run_trial(recipe(), Store(tmp_path / "stopped")))
    timed = {name for name in whole.values if name.endswith("_s") or "_ms_" in name or "per_second" in name or "memory" in name}
    assert {name: value for name, value in resumed.values.items() if name not in timed} == {
        name: value for name, value in whole.values.items() if name not in timed
    }


def test_settings_that_no_family_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean width"):
        run(run_trial(recipe(generator=GeneratorPart(family="dcgan", kimg=1, settings={"widht": 8})), Store(tmp_path)))


SEGMENTER = InspectorPart(kind="deeplabv3plus", settings={"encoder": "tu-test_resnet", "min_steps": 2, "epochs": 1, "batch": 16, "augment": "flips"})
DETECTOR = InspectorPart(kind="segdecnet", settings={"width": 0.05, "min_steps": 2, "epochs": 1, "batch": 4})
WITH_FREE = replace(DATA, defect_free="class")


def test_segmentation_with_masks_from_the_generator_and_made_for_it(tmp_path: Path) -> None:
    common: dict[str, Any] = {"task": "segment", "data": WITH_FREE, "inspector": SEGMENTER, "scores": ScorePart(inspector=SEGMENTER)}
    common["fingerprint"] = fingerprint(WITH_FREE)
    pasted = run(run_trial(recipe(**common, generator=GeneratorPart(family="cutpaste", kimg=1.0)), Store(tmp_path)))
    assert "masks" not in {use.stage for use in pasted.stages}
    assert 0.0 <= pasted.values["val_iou"] <= 1.0 and pasted.values["val_kid_inspector"] is not None  # type: ignore[operator]
    assert pasted.classes[0] == "background" and len(pasted.confusion["val"]) == 7
    # A segmenter that learnt for two steps marks next to anything, so that every image has a mask that is sure enough.
    masks = MaskPart(threshold=0.01, min_area_px=1)
    synthesis = SynthesisPart(amount=Amount(kind="per_class", value=6), masks=masks)
    first = run(run_trial(recipe(**common, synthesis=synthesis), Store(tmp_path)))
    made = [use for use in first.stages if use.stage == "masks"]
    assert {use.cls for use in made} == set(first.classes[1:]) and not any(use.reused for use in made)
    other = replace(synthesis, masks=replace(masks, closing_px=0))
    again = run(run_trial(recipe(**common, synthesis=other), Store(tmp_path)))
    assert {use.stage for use in again.stages if not use.reused} == {"masks", "inspector"}, "other masks teach another inspector"


def test_detection_counts_all_defects_as_one(tmp_path: Path) -> None:
    common: dict[str, Any] = {"task": "detect", "data": WITH_FREE, "inspector": DETECTOR, "scores": ScorePart(inspector=DETECTOR)}
    common["fingerprint"] = fingerprint(WITH_FREE)
    synthesis = SynthesisPart(amount=Amount(kind="per_class", value=6), filter="confidence", min_confidence=0.0)
    pooled = replace(DCGAN, settings={**DCGAN.settings, "class_mode": "pooled"})
    found = run(run_trial(recipe(**common, generator=pooled, synthesis=synthesis, judge=True), Store(tmp_path)))
    assert found.values["test_ap"] is not None and found.values["test_f_oracle"] is not None and found.values["val_auc"] is not None
    assert len({use.key for use in found.stages if use.stage == "pool"}) == 6, "nobody sorts, so each class draws its own images"
    assert found.conditions["task"] == "detect"


def test_each_fold_is_a_unit_with_a_split_of_its_own(tmp_path: Path) -> None:
    data = replace(DATA, folds=3)
    units = tuple(Unit(fold=fold) for fold in range(3))
    scores = run(run_trial(recipe(data=data, fingerprint=fingerprint(data), generator=None, units=units, judge=True), Store(tmp_path)))
    assert len({use.key for use in scores.stages}) == 3 and scores.conditions["folds"] == 3
    (matrix,) = [scores.confusion["test"]]
    assert sum(map(sum, matrix)) == 6 * 20, "every image is tested once"
