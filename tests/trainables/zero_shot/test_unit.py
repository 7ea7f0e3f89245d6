"""Units of zero-shot trials on small procedural surfaces: what is scored, what is found again, and that unseen classes stay unseen."""

from collections.abc import Generator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trainables.bench import Bench, UnitResult
from trainables.datasets.packs import Pack, fingerprint, open_pack
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.datasets.splits import split
from trainables.errors import SettingsError
from trainables.progress import Progress
from trainables.recipe import Amount, ConditioningPart, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.registry import resolve
from trainables.store import Store
from trainables.tasks import TASKS
from trainables.zero_shot.classifier import STAGE
from trainables.zero_shot.settings import ZeroShotPart, pretended_unseen
from trainables.zero_shot.unit import run_zero_shot_unit

DATA = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=10, defect_free=10))
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 20, "epochs": 1, "batch": 16})
TINY = {"hidden": 16, "latent_size": 4, "batch": 16, "critic_iter": 2, "lr": 1e-3}
GENERATOR = GeneratorPart(family="vaegan_ce", kimg=0.256, settings=TINY)
UNSEEN = ("crazing", "scratches")
PART = ZeroShotPart(unseen=UNSEEN, val_unseen=("patches",), unseen_ce="real")


def recipe(**changes: Any) -> Recipe:
    parts: dict[str, Any] = {
        "data": DATA,
        "fingerprint": fingerprint(DATA),
        "generator": GENERATOR,
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=40)),
        "inspector": FCN,
        "scores": ScorePart(extractor="inspector", inspector=FCN),
    }
    return Recipe(**{**parts, **changes})


@cache
def whole(root: Path) -> Pack:
    return open_pack(DATA, fingerprint(DATA), Store(root))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    return whole(tmp_path_factory.mktemp("pack"))


def run(own: Recipe, store: Path, pack: Pack, part: ZeroShotPart = PART, *, fold: int = 0) -> UnitResult:
    bench = Bench(recipe=own, store=Store(store), device="cpu", pack=pack, parts=split(pack, DATA), task=resolve(TASKS["classify"])(pack))
    steps: Generator[Progress, None, UnitResult] = run_zero_shot_unit(bench, 0, Unit(), part, fold=fold)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: UnitResult = end.value
            return result


def stages(result: UnitResult, *, made: bool = False) -> list[str]:
    return [use.stage for use in result.uses if not (made and use.reused)]


def test_one_generator_serves_every_reading_of_what_stands_for_an_unseen_class(pack: Pack, tmp_path: Path) -> None:
    first = run(recipe(), tmp_path, pack)
    assert stages(first) == ["inspector", "conditioning", "generator", "pool", STAGE]
    names = {"val_seen", "val_unseen", "val_harmonic_mean", "val_zsl_accuracy", "val_auc_unseen", "val_mmd_inspector", "val_mmd_inspector.patches"}
    assert names <= {name for name, value in first.values.items() if value is not None}
    assert first.values["val_zsl_accuracy"] == 1.0, "patches is the one class that is pretended to be unseen"
    assert first.synthetic_counts == {"patches": 40} and not [name for name in first.values if name.startswith("test_")]
    confusion = np.array(first.confusion["val"])
    assert confusion.shape == (7, 7) and confusion.sum() == sum(split(pack, DATA).counts[cls]["val"] for cls in pack.classes if cls not in UNSEEN)
    assert not any(confusion[:, pack.classes.index(cls)].any() for cls in UNSEEN), "nothing knows of the truly unseen classes"
    again = run(recipe(), tmp_path, pack)
    assert again.values == first.values and stages(again, made=True) == []
    mapped = run(recipe(), tmp_path, pack, replace(PART, unseen_ce="ridge_mapped"))
    assert stages(mapped, made=True) == ["pool", STAGE]
    alarm = run(recipe(), tmp_path, pack, replace(PART, unseen_ce="dissimilarity_threshold"))
    assert stages(alarm) == ["inspector", "conditioning", "generator", STAGE] and stages(alarm, made=True) == [STAGE]
    assert alarm.values["val_zsl_accuracy"] is None and alarm.confusion == {} and alarm.synthetic_counts == {}
    assert alarm.values["val_reading_error"] == mapped.values["val_reading_error"] == first.values["val_reading_error"]
    assert alarm.values["val_auc_unseen"] == mapped.values["val_auc_unseen"] == first.values["val_auc_unseen"], "all read the same embedding"
    even = run(recipe(), tmp_path, pack, replace(PART, calibrate=True, percentile=50.0))
    assert stages(even, made=True) == [STAGE] and even.values["val_zsl_accuracy"] == 1.0
    assert even.values["val_seen"] <= 0.5, "half of the seen images are called unseen"  # type: ignore[operator]
    keen = run(recipe(), tmp_path, pack, replace(PART, unseen_ce="dissimilarity_threshold", percentile=10.0))
    assert keen.values["val_seen"] < alarm.values["val_seen"] or keen.values["val_unseen"] > alarm.values["val_unseen"]  # type: ignore[operator]


def test_several_draws_are_courses_of_their_own_and_their_scores_are_means(pack: Pack, tmp_path: Path) -> None:
    part = ZeroShotPart(unseen=UNSEEN, unseen_ce="real")
    sets = [list(pair) for pair in pretended_unseen(replace(part, val_draws=2), pack.classes, UNSEEN, seed=0)]
    one = run(recipe(), tmp_path, pack, part)
    two = run(recipe(), tmp_path, pack, replace(part, val_draws=2))
    assert one.conditions["pretended_unseen"] == sets[:1] and two.conditions["pretended_unseen"] == sets and len(set(map(tuple, sets))) == 2
    assert [use.reused for use in two.uses] == [True] * len(one.uses) + [False] * len(one.uses), "the first course is that of a single draw"
    first, second = two.conditions["draw_scores"]
    assert first == {name: value for name, value in one.values.items() if name.startswith("val_")} and "draw_scores" not in one.conditions
    whole = {"val_seen", "val_unseen", "val_harmonic_mean", "val_zsl_accuracy", "val_auc_unseen", "val_mmd_inspector"}
    assert first != second and whole <= set(first) & set(second)
    for name in set(first) & set(second):
        known = [value for value in (first[name], second[name]) if value is not None]
        assert two.values[name] == (pytest.approx(sum(known) / 2) if len(known) == 2 else None), name
    # What is told of one class is of the draws that pretended it to be unseen.
    assert {f"val_mmd_inspector.{cls}" for cls in sets[1]} <= set(second)
    assert not {f"val_mmd_inspector.{cls}" for cls in set(sets[0]) ^ set(sets[1])} & set(two.values)
    for cost in ("generator_s", "inspector_s", "trial_s"):
        assert two.values[cost] > one.values[cost], "both courses were trained"  # type: ignore[operator]
    assert two.values["generator_params_m"] == one.values["generator_params_m"] and two.synthetic_counts == one.synthetic_counts
    assert two.values["trial_s"] == pytest.approx(sum(use.seconds for use in two.uses))
    confusion = np.array(two.confusion["val"])
    assert confusion.sum() == 2 * np.array(one.confusion["val"]).sum()
    judged = run(recipe(judge=True), tmp_path, pack, replace(part, val_draws=2))
    assert stages(judged)[len(two.uses) :] == stages(one), "the judge's course is run once"
    assert {name: value for name, value in judged.values.items() if not name.startswith("test_")} == two.values


def test_no_pixel_of_an_unseen_class_reaches_anything_but_the_judge_s_scores(pack: Pack, tmp_path: Path) -> None:
    part, parts = replace(PART, unseen_ce="ridge_mapped"), split(pack, DATA)
    expected = run(recipe(judge=True), tmp_path / "whole", pack, part)
    noise = np.random.default_rng(0).integers(0, 256, pack.images.shape, dtype=np.uint8)

    def with_noise(places: Any) -> Pack:
        return replace(pack, images=np.where(places[:, None, None, None], noise, pack.images))

    def measured(result: UnitResult, *openings: str) -> dict[str, float | None]:
        return {name: value for name, value in result.values.items() if name.startswith(openings)}

    places = np.arange(len(pack.labels))
    unseen, tested = np.isin(pack.labels, [pack.classes.index(cls) for cls in UNSEEN]), np.isin(places, parts.test)
    found = run(recipe(judge=True), tmp_path / "unseen", with_noise(unseen & ~tested), part)
    assert measured(found, "val_", "test_") == measured(expected, "val_", "test_"), "training and validation images of unseen classes serve nothing"
    pretended = (pack.labels == pack.classes.index("patches")) & np.isin(places, parts.train)
    found = run(recipe(), tmp_path / "search", with_noise(unseen | tested | pretended), part)
    assert measured(found, "val_") == measured(expected, "val_"), "a search reads no test image, and trains on no pretended class"


def test_the_judge_trains_on_all_seen_classes_and_leaves_the_search_s_numbers_alone(pack: Pack, tmp_path: Path) -> None:
    told = replace(GENERATOR, conditioning=ConditioningPart(kind="attributes"))
    closed = run(recipe(generator=told), tmp_path, pack)
    judged = run(recipe(generator=told, judge=True), tmp_path, pack)
    assert {name: value for name, value in judged.values.items() if not name.startswith("test_")} == closed.values
    assert {"test_seen", "test_unseen", "test_harmonic_mean", "test_zsl_accuracy", "test_auc_unseen"} <= set(judged.values)
    assert judged.values["test_reading_error"] is not None and closed.values["val_reading_error"] is not None
    assert stages(judged, made=True) == ["inspector", "conditioning", "generator", "pool", "pool", STAGE]
    confusion = np.array(judged.confusion["test"])
    assert confusion.sum() == sum(count["test"] for count in split(pack, DATA).counts.values())
    assert set(judged.files) >= {"router.safetensors", "router.json"} and not set(closed.files) & {"router.safetensors", "router.json"}


def test_tf_vaegan_s_classifier_sees_hidden_layer_and_embedding(pack: Pack, tmp_path: Path) -> None:
    tf = replace(GENERATOR, family="tf_vaegan")
    result = run(recipe(generator=tf), tmp_path, pack, ZeroShotPart(unseen="pairs", unseen_ce="real"), fold=3)
    entry = Store(tmp_path).lookup(STAGE, next(use.key for use in result.uses if use.stage == STAGE))
    assert entry is not None
    outline = entry.json("router.json")
    assert outline["uses"] == "embedded" and len(outline["seen"]) == 3 and len(outline["unseen"]) == 2 and len(outline["attributes"]) == 29
    assert not {*outline["seen"], *outline["unseen"]} & {"crazing", "rolled-in_scale"}, "the fourth pair"
    assert result.values["val_harmonic_mean"] is not None


def test_a_decoder_that_learns_reads_seen_classes_better_than_one_that_hardly_does(pack: Pack, tmp_path: Path) -> None:
    def error(dec_lr: float) -> float:
        settings = {**TINY, "hidden": 64, "dec_lr": dec_lr}
        told = replace(GENERATOR, kimg=1.024, settings=settings, conditioning=ConditioningPart(kind="attributes"))
        found = run(recipe(generator=told), tmp_path, pack).values["val_reading_error"]
        assert found is not None
        return found

    # At 16 px, after so short a training of the backbone, seen classes overlap: none is read well, and much better than before there was learning.
    assert 3.0 * error(1e-2) < error(1e-6)


def test_a_baseline_knows_classes_by_their_means_alone(pack: Pack, tmp_path: Path) -> None:
    own = recipe(generator=None, synthesis=None)
    result = run(own, tmp_path, pack)
    assert stages(result) == ["inspector", STAGE] and result.values["val_zsl_accuracy"] is None
    assert result.values["val_reading_error"] is None, "nobody has to learn to read means of features"
    assert 0.0 <= result.values["val_seen"] <= 1.0 and result.values["val_auc_unseen"] is not None  # type: ignore[operator]


def test_generators_that_cannot_be_told_of_a_class_are_refused_all_at_once(pack: Pack, tmp_path: Path) -> None:
    smote = recipe(generator=GeneratorPart(family="smote", kimg=1.0), synthesis=SynthesisPart(amount=Amount(value=0.0), filter="confidence"))
    with pytest.raises(SettingsError) as caught:
        run(smote, tmp_path, pack, replace(PART, unseen=("crazings",)))
    said = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in said] == ["zero_shot.unseen", "generator.family", "synthesis.filter", "synthesis.amount"]
    with pytest.raises(SettingsError, match="one_hot says nothing of unseen classes"):
        run(recipe(generator=replace(GENERATOR, conditioning=ConditioningPart(kind="one_hot"))), tmp_path, pack)


@pytest.mark.parametrize("unseen_ce", ["real", "dissimilarity_threshold"])
def test_rungs_are_told_by_the_first_course_alone(unseen_ce: Any, tmp_path: Path, pack: Pack) -> None:
    """On features of the classes that are pretended to be unseen; of seen ones, where no vector stands for these."""
    part = replace(PART, unseen_ce=unseen_ce, val_unseen=(), val_draws=2)
    own = recipe(zero_shot=part, task="zero_shot", rungs=(0.128, 0.256))
    bench = Bench(recipe=own, store=Store(tmp_path), device="cpu", pack=pack, parts=split(pack, DATA), task=resolve(TASKS["classify"])(pack))
    told = [item for item in run_zero_shot_unit(bench, 0, Unit(), part) if item.stage == "rung"]
    assert [item.kimg for item in told] == [0.128, 0.256] and all(item.rung_score is not None for item in told)
    classes = {name.partition(".")[2] for name in told[1].metrics if "." in name}
    assert not classes & set(UNSEEN) and len(classes) == (2 if unseen_ce == "real" else len(pack.classes) - 4)
    assert not [item for item in run_zero_shot_unit(bench, 1, Unit(), part) if item.stage == "rung"], "another unit"
