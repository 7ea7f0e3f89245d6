"""Trials on patches: trained on patches, decided and scored in whole pictures, the same ones as a trial on whole pictures."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainables.bench import Bench, UnitResult, lay_out
from trainables.datasets.packs import fingerprint, open_pack
from trainables.datasets.preprocessing import PreprocessPart
from trainables.datasets.settings import DataSettings, StripSettings
from trainables.errors import SettingsError
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.steps import score_splits
from trainables.store import Store
from trainables.trial import run_trial

DATA = DataSettings(dataset="strips", size_px=16, strips=StripSettings(per_class=5, defect_free=5, height_px=256), backgrounds="folder")
FCN = InspectorPart(kind="fcn", settings={"width": 4, "min_steps": 2, "epochs": 1, "batch": 16})
DCGAN = GeneratorPart(family="dcgan", kimg=0.032, settings={"width": 4, "batch": 16, "class_mode": "conditional", "latent_dim": 8})
FOUR = PreprocessPart(kind="patches", grid="4x1")
TIMES = {"inspector_images_per_second", "inspector_ms_p50", "inspector_ms_p95"}


def recipe(**changes: Any) -> Recipe:
    parts: dict[str, Any] = {"data": DATA, "fingerprint": fingerprint(DATA), "inspector": FCN, "scores": ScorePart(inspector=FCN)}
    return Recipe(**(parts | {"preprocess": FOUR} | changes))


def run(trial: Iterator[Progress | Scores]) -> Scores:
    *_, last = trial
    assert isinstance(last, Scores)
    return last


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(tmp_path_factory.mktemp("store"))


def bench_of(asked: Recipe, store: Store, fold: int | None = None) -> Bench:
    return lay_out(asked, open_pack(asked.data, asked.fingerprint, store), store, device="cpu", fold=fold)


def test_pictures_are_scored_by_algorithm_1_and_patches_each_for_itself(store: Store) -> None:
    bench = bench_of(recipe(), store)
    labels = torch.from_numpy(bench.pack.labels[bench.parts.val])
    truth = bench.pictures.pack.labels[bench.pictures.parts.val]
    assert len(labels) == 4 * len(truth) == 20
    # All patches are said to be what they are, but one of the defect-free picture, and of the first picture none is said to be defective.
    free = bench.pack.classes.index("defect_free")
    said = torch.nn.functional.one_hot(labels, 5).double() * 4.0
    wrong, missed = int(np.flatnonzero(truth == free)[0]), int(np.flatnonzero(truth != free)[0])
    said[4 * wrong + 2] = torch.tensor([0.0, 9.0, 0.0, 0.0, 0.0])
    said[4 * missed : 4 * missed + 4] = torch.nn.functional.one_hot(torch.full((4,), free), 5).double()
    wrong_patches = 1 + int((labels[4 * missed : 4 * missed + 4] != free).sum())
    result = UnitResult()
    score_splits(bench, {"val": {"logits": said, "labels": labels}}, result)
    assert result.values["val_accuracy"] == pytest.approx(3 / 5)
    assert result.values["val_patch_accuracy"] == pytest.approx(1 - wrong_patches / 20)
    table = np.array(result.confusion["val"])
    assert table.sum() == 5 and table[free, 1] == 1 and table[truth[missed], free] == 1


def test_a_trial_on_patches_is_scored_on_the_pictures_of_one_on_whole_pictures(store: Store) -> None:
    whole, patches = (run(run_trial(recipe(preprocess=part, judge=True), store)) for part in (PreprocessPart(), FOUR))
    for split in ("val", "test"):
        assert np.sum(whole.confusion[split], axis=1).tolist() == np.sum(patches.confusion[split], axis=1).tolist() == [1] * 5
    assert whole.classes == patches.classes
    assert "val_patch_accuracy" in patches.values and "val_patch_accuracy" not in whole.values
    assert whole.conditions["preprocess"] == "whole" and patches.conditions["preprocess"] == "patches 4x1, borders removed"
    told = {name: patches.conditions[name] for name in ("val_images", "test_images", "val_patches", "train_pictures", "patches_per_picture")}
    assert told == {"val_images": 5, "test_images": 5, "val_patches": 20, "train_pictures": 15, "patches_per_picture": 4}
    assert patches.conditions["train_images"] > 15 == whole.conditions["train_images"]  # type: ignore[operator]
    for scores in (whole, patches):
        assert all((scores.values[name] or 0.0) > 0.0 for name in TIMES)


def test_generators_learn_from_patches_and_what_they_make_joins_them(store: Store) -> None:
    asked = recipe(generator=DCGAN, synthesis=SynthesisPart(amount=Amount(kind="per_class", value=3)))
    first = run(run_trial(asked, store))
    assert first.conditions["synthetic_images"] == 12 and first.conditions["scored_synthetic_images"] == 4 * 256
    again = run(run_trial(Recipe.from_plain(asked.to_plain()), store))
    assert again.values == first.values and all(use.reused for use in again.stages)
    other = run(run_trial(replace(asked, preprocess=replace(FOUR, grid="2x1")), store))
    assert not any(use.reused for use in other.stages)


def test_folds_cut_the_pictures_of_each_fold(store: Store) -> None:
    data = replace(DATA, folds=2)
    asked = recipe(data=data, units=(Unit(fold=0), Unit(fold=1)))
    tested = [bench_of(asked, store, fold).parts.test // 4 for fold in (0, 1)]
    pictures = [bench_of(asked, store, fold).pictures.parts.test for fold in (0, 1)]
    assert [np.unique(own).tolist() for own in tested] == [own.tolist() for own in pictures]
    assert sorted(np.concatenate(pictures).tolist()) == list(range(25))
    assert len(run(run_trial(asked, store)).units) == 2


def test_a_detector_finds_a_picture_as_defective_as_its_worst_patch(store: Store) -> None:
    segdecnet = InspectorPart(kind="segdecnet", settings={"width": 0.05, "min_steps": 2, "epochs": 1, "batch": 4})
    asked = recipe(task="detect", inspector=segdecnet, scores=ScorePart(inspector=segdecnet))
    scores = run(run_trial(asked, store))
    assert {"val_ap", "val_patch_ap"} <= set(scores.values) and scores.conditions["val_images"] == 5
    bench, result = bench_of(asked, store), UnitResult()
    labels = torch.from_numpy(~bench.pack.defect_free[bench.parts.val]).long()
    score_splits(bench, {"val": {"scores": labels.double(), "labels": labels}}, result)
    assert result.values["val_ap"] == result.values["val_patch_ap"] == 1.0


def test_whole_pictures_may_lose_their_borders(store: Store) -> None:
    scores = run(run_trial(recipe(preprocess=PreprocessPart(borders="remove")), store))
    assert scores.conditions["preprocess"] == "whole, borders removed" and "patches_per_picture" not in scores.conditions
    assert scores.conditions["train_images"] == 15 and TIMES <= set(scores.values)


def test_an_inspector_is_timed_once_even_if_its_store_is_older_than_the_scores(tmp_path: Path) -> None:
    store, asked = Store(tmp_path), recipe()
    first = run(run_trial(asked, store))
    assert {name: run(run_trial(asked, store)).values[name] for name in TIMES} == {name: first.values[name] for name in TIMES}
    (entry,) = (tmp_path / "throughput").iterdir()
    for file in sorted(entry.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    again = run(run_trial(asked, store))
    assert TIMES <= set(again.values) and all(use.reused for use in again.stages)


def test_speed_is_that_of_the_network_however_it_was_trained(tmp_path: Path) -> None:
    store = Store(tmp_path)
    times = []
    for changed in ({}, {"lr": 1e-3, "augment": "flips"}, {"width": 8}):
        scores = run(run_trial(recipe(inspector=replace(FCN, settings={**FCN.settings, **changed})), store))
        times.append({name: scores.values[name] for name in TIMES})
    assert times[0] == times[1] != times[2]
    assert len(list((tmp_path / "throughput").iterdir())) == 2


def test_recipes_without_the_part_are_of_whole_pictures() -> None:
    plain = recipe(preprocess=PreprocessPart()).to_plain()
    del plain["preprocess"]
    assert Recipe.from_plain(plain) == recipe(preprocess=PreprocessPart())


@pytest.mark.parametrize("task", ["segment"])
def test_tasks_that_patches_decide_nothing_in_are_refused(task: str) -> None:
    with pytest.raises(SettingsError, match="classify and detect, not in segment"):
        recipe(task=task)
