"""Rungs: a trial tells how its generator stands at each mark of its ladder before it goes on, and is the same trial for it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.datasets.packs import fingerprint
from trainables.datasets.settings import DataSettings, ProceduralSettings
from trainables.errors import SettingsError
from trainables.progress import Progress, Scores
from trainables.recipe import Amount, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.rungs import images_of_a_class, score_rung
from trainables.scores.distances import floors, kid
from trainables.store import Store
from trainables.trial import run_trial

DATA = DataSettings(size_px=16, procedural=ProceduralSettings(per_class=20, defect_free=12), defect_free="background")
FCN = InspectorPart(kind="fcn", settings={"width": 8, "min_steps": 4, "epochs": 1, "batch": 16})
DCGAN = GeneratorPart(family="dcgan", kimg=0.128, settings={"width": 8, "batch": 32, "class_mode": "conditional", "latent_dim": 16})
MARKS = (0.064, 0.128)


def recipe(**changes: Any) -> Recipe:
    parts: dict[str, Any] = {
        "data": DATA,
        "fingerprint": fingerprint(DATA),
        "generator": DCGAN,
        "synthesis": SynthesisPart(amount=Amount(kind="per_class", value=6)),
        "inspector": FCN,
        "scores": ScorePart(extractor="random"),
        "rungs": MARKS,
    }
    return Recipe(**(parts | changes))


def play(wanted: Recipe, store: Store) -> tuple[list[Progress], Scores]:
    items = list(run_trial(wanted, store))
    last = items[-1]
    assert isinstance(last, Scores)
    return [item for item in items if isinstance(item, Progress)], last


def told(items: list[Progress]) -> list[Progress]:
    return [item for item in items if item.stage == "rung"]


def until(trial: Iterator[Progress | Scores], mark: float) -> Progress:
    """Pulls up to a rung, and closes the trial there."""
    item = next(item for item in trial if isinstance(item, Progress) and item.stage == "rung" and item.kimg == mark)
    trial.close()  # type: ignore[attr-defined]
    return item


def test_rungs_are_told_in_order_and_change_nothing_of_the_trial(tmp_path: Path) -> None:
    plain = play(recipe(rungs=()), Store(tmp_path / "plain"))
    items, scores = play(recipe(), Store(tmp_path / "store"))
    assert not told(plain[0]) and plain[1].rungs == {}
    rungs = told(items)
    assert [item.kimg for item in rungs] == list(MARKS) and all(item.rung_score is not None for item in rungs)
    assert scores.rungs == {"0.064": rungs[0].rung_score, "0.128": rungs[1].rung_score}
    own, numbers = scores.values, [name for name in scores.values if name.startswith("val_")]
    assert len(numbers) > 10 and {name: own[name] for name in numbers} == {name: plain[1].values[name] for name in numbers}
    assert scores.conditions["rung_synthetic_images"] == 6 * 64
    after = items[items.index(rungs[1]) + 1 :]
    assert {"pool", "scores"} <= {item.stage for item in after} and "pool" not in {item.stage for item in items[: items.index(rungs[1])]}
    # What a trial that is stopped there has cost: both trainings and the first blocks, which the pool then goes on with.
    assert [use.stage for use in rungs[1].stages].count("generator") == 2 and not any(use.reused for use in rungs[1].stages)
    drawn = {use.key for use in scores.stages if use.stage == "pool"}
    assert len(drawn) == 2 * 6 and drawn == {use.key for use in rungs[1].stages if use.stage == "pool"}


def test_a_trial_that_is_closed_at_a_rung_leaves_its_mark_and_tells_the_same_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = until(run_trial(recipe(), store), 0.064)
    (generator,) = [path.name for path in (tmp_path / "generator").iterdir()]
    assert store.keys(f"generator/{generator}") == ["00000002"] and not store.keys("inspector")
    items, scores = play(recipe(), store)
    again = told(items)[0]
    assert (again.rung_score, again.metrics) == (first.rung_score, first.metrics)
    assert all(use.reused for use in again.stages), "nothing is trained or drawn twice"
    # A later mark, as a promotion asks for it, begins where this one ended, and finds its rungs.
    higher, _ = play(recipe(generator=replace(DCGAN, kimg=0.192), rungs=(*MARKS, 0.192)), store)
    assert [item.rung_score for item in told(higher)][:2] == list(scores.rungs.values())


def test_a_model_for_each_class_is_trained_rung_by_rung(tmp_path: Path) -> None:
    store = Store(tmp_path)
    each = GeneratorPart(family="dcgan", kimg=0.032, settings={"width": 8, "batch": 16, "class_mode": "per_class", "latent_dim": 16})
    until(run_trial(recipe(generator=each, rungs=(0.016, 0.032)), store), 0.016)
    folders = [path.name for path in (tmp_path / "generator").iterdir()]
    assert len(folders) == 6 and all(store.keys(f"generator/{name}") == ["00000001"] for name in folders)


def test_one_model_of_all_classes_is_scored_on_what_is_taken_for_each(tmp_path: Path) -> None:
    pooled = replace(DCGAN, settings={**DCGAN.settings, "class_mode": "pooled"})
    wanted = recipe(generator=pooled, rungs=(0.128,), scores=ScorePart(extractor="inspector", inspector=FCN))
    rung = until(run_trial(wanted, Store(tmp_path)), 0.128)
    blocks = [use for use in rung.stages if use.stage == "pool"]
    assert len({use.key for use in blocks}) == len(blocks) == 6, "its blocks are shared"
    assert 0 < rung.metrics["synthetic_images"] <= 6 * 64


def test_a_family_that_learns_nothing_has_one_rung_and_only_the_first_unit_tells(tmp_path: Path) -> None:
    paste = recipe(generator=GeneratorPart(family="cutpaste", kimg=0.128), units=(Unit(), Unit(inspector=1)))
    items, scores = play(paste, Store(tmp_path))
    assert [(item.kimg, item.unit) for item in told(items)] == [(0.128, 0)] and list(scores.rungs) == ["0.128"]


def test_features_are_compared_where_they_are_made(tmp_path: Path) -> None:
    wanted = recipe(generator=GeneratorPart(family="smote", kimg=0.064), rungs=(0.064,), scores=ScorePart(extractor="inspector", inspector=FCN))
    items, scores = play(wanted, Store(tmp_path))
    (rung,) = told(items)
    assert rung.metrics["val_mmd_inspector"] == rung.rung_score == scores.rungs["0.064"]


def test_a_score_is_the_mean_over_classes_beside_its_floor() -> None:
    random = torch.Generator().manual_seed(1)
    real = {cls: torch.randn(12, 5, generator=random) for cls in "ab"} | {"one image": torch.randn(1, 5, generator=random)}
    made = {cls: torch.randn(9, 5, generator=random) for cls in real}
    found = score_rung(real, made, extractor="random")
    assert found.value == pytest.approx((kid(real["a"], made["a"]) + kid(real["b"], made["b"])) / 2)
    assert found.metrics["val_kid_random.b"] == pytest.approx(kid(real["b"], made["b"]))
    assert found.metrics["val_kid_random_floor"] == pytest.approx((floors(real["a"])[0] + floors(real["b"])[0]) / 2)
    assert (found.metrics["synthetic_images"], found.metrics["real_images"]) == (27, 24)


@pytest.mark.parametrize("made", [{}, {"a": torch.ones(1, 5)}, {"a": torch.full((4, 5), torch.nan)}])
def test_what_cannot_be_measured_has_no_score(made: dict[str, torch.Tensor]) -> None:
    found = score_rung({"a": torch.eye(5)}, made, extractor="random")
    assert found.value is None and "val_kid_random" not in found.metrics


def test_many_classes_get_few_images_each() -> None:
    assert [images_of_a_class(classes) for classes in (1, 6, 100)] == [256, 64, 32]


@pytest.mark.parametrize(("rungs", "says"), [((0.2,), "beyond"), ((0.1, 0.1), "not increasing"), ((0.0, 0.1), "not increasing")])
def test_rungs_are_increasing_marks_of_the_trial(rungs: tuple[float, ...], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        recipe(rungs=rungs)
    with pytest.raises(SettingsError, match="not increasing marks of a generator"):
        recipe(generator=None, synthesis=None, rungs=(0.1,))


def test_recipes_of_before_there_were_rungs_are_still_read() -> None:
    plain = recipe(rungs=()).to_plain()
    del plain["rungs"]
    assert Recipe.from_plain(plain) == recipe(rungs=())
    assert Recipe.from_plain(recipe().to_plain()) == recipe()
