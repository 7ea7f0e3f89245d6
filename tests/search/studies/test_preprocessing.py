"""Studies that search over what is done to pictures: the settings, the baselines of each, what may be compared, and what is refused."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reports.records import Asked
from search.confirm import inspector_of
from search.models.model import UPSTREAM
from search.prepare import Place, resolve
from search.runs.ledger import Ledger
from search.runs.status import describe
from search.studies.checks import patch_problems
from search.studies.recipes import baseline_params, build_recipe, paper_params, reference_inspector
from search.studies.schema import json_schema
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import parse_study
from spaces.preprocessing import PREPROCESS
from spaces.space import Space
from trainables.datasets.preprocessing import PreprocessPart
from trainables.recipe import Recipe
from trainables.store import Store

RESOLVED = Resolved(extractor="inspector", precision="fp32", fingerprint="f" * 32)
TEXT = """\
study: s
data: {dataset: strips, size_px: 16, backgrounds: folder, strips: {per_class: 5, defect_free: 5, height_px: 256}}
space:
  preprocess: {kind: [patches, whole], grid: [4x1, 8x2]}
  generator: {family: dcgan}
  inspector: {kind: [fcn, cnn_sca]}
search: {trials: 60}
objectives: {val_macro_f1: maximize, inspector_images_per_second: maximize}
"""


def study(*sets: str) -> Study:
    return parse_study(TEXT, "s.yaml", sets)


def complaints(*sets: str, text: str = TEXT) -> str:
    with pytest.raises(StudyError) as caught:
        parse_study(text, "s.yaml", sets)
    return str(caught.value)


def test_defaults_are_those_of_the_recipe() -> None:
    defaults = Space({f"preprocess.{name}": domain for name, domain in PREPROCESS.items()}).defaults({"preprocess.kind": "patches"})
    assert PreprocessPart(**{name.removeprefix("preprocess."): value for name, value in defaults.items()}) == PreprocessPart(kind="patches")  # type: ignore[arg-type]


def test_a_study_that_does_not_name_it_has_no_such_settings_and_whole_pictures() -> None:
    bare = parse_study("study: bare\ndata: {backgrounds: folder}\n", "s.yaml").resolve(RESOLVED)
    assert not [name for name in bare.space.names() if name.startswith("preprocess")]
    (point, *_) = paper_params(bare)
    assert build_recipe(bare, point).preprocess == PreprocessPart()
    assert not any(name.startswith("preprocess") for point in baseline_params(bare.space, ("plain",)) for name in point)


@pytest.mark.parametrize("seed", range(20))
def test_every_point_becomes_a_recipe_that_can_be_read_back(seed: int) -> None:
    resolved = study("space.preprocess.min_area_px={low: 4, high: 64}", "space.preprocess.borders=[keep, remove]").resolve(RESOLVED)
    params = resolved.space.sample(random.Random(seed))
    recipe = build_recipe(resolved, params)
    assert Recipe.from_plain(json.loads(json.dumps(recipe.to_plain()))) == recipe
    assert recipe.preprocess.kind == params["preprocess.kind"] and recipe.preprocess.borders == params["preprocess.borders"]
    assert ("preprocess.grid" in params) == (recipe.preprocess.kind == "patches")
    if recipe.preprocess.kind == "patches":
        assert recipe.preprocess.grid in ("4x1", "8x2") and 4 <= recipe.preprocess.min_area_px <= 64


def test_a_study_is_written_and_read_again() -> None:
    once = study("space.preprocess.min_area_px={low: 4, high: 64}")
    assert parse_study(once.to_yaml(), "study.yaml").to_plain() == once.to_plain()
    assert study("space.preprocess.grid=6x3").space.names()["preprocess.grid"].grid(0) == ["6x3"]


def test_every_way_has_baselines_for_every_inspector_the_first_at_the_head() -> None:
    points = baseline_params(study().space, ("plain", "augment"))
    ways = [(point["baseline"], point["inspector.kind"], point["preprocess.kind"], point.get("preprocess.grid")) for point in points]
    wanted = [("patches", "4x1"), ("patches", "8x2"), ("whole", None)]
    assert ways == [(name, kind, *way) for name in ("plain", "augment") for kind in ("fcn", "cnn_sca") for way in wanted]
    resolved = study().resolve(RESOLVED)
    assert build_recipe(resolved, points[0]).preprocess == PreprocessPart(kind="patches", grid="4x1")
    assert reference_inspector(resolved) == build_recipe(resolved, points[2]).scores.inspector
    assert "leaves nothing to search: the baselines alone are 24" in complaints("search.trials=24")


def test_a_generator_is_used_again_only_for_pictures_preprocessed_alike() -> None:
    point = study().space.defaults({"preprocess.kind": "patches", "preprocess.grid": "8x2"})
    kept = {name for name in point if name.startswith(UPSTREAM)}
    assert {"preprocess.kind", "preprocess.grid", "preprocess.borders", "generator.family"} <= kept
    twin = inspector_of(point)
    assert twin["preprocess.grid"] == "8x2" and twin["inspector.kind"] == "fcn" and "generator.family" not in twin


@pytest.mark.parametrize("score", ["val_kid", "val_kid.scratches", "val_patch_accuracy", "val_texture_lbp"])
def test_what_is_measured_on_patches_here_and_on_pictures_there_is_no_objective(score: str) -> None:
    assert "never to be compared" in complaints(f"objectives={{{score}: {'maximize' if 'accuracy' in score else 'minimize'}}}")
    direction = "maximize" if "accuracy" in score else "minimize"
    one = study("space.preprocess={kind: patches, grid: 4x1}", f"objectives={{{score}: {direction}}}")
    assert one.objectives[0].score.startswith(score.partition(".")[0])


@pytest.mark.parametrize("score", ["val_accuracy", "val_recall.scratches", "inspector_ms_p95", "inspector_images_per_second", "generator_s"])
def test_scores_of_pictures_and_costs_are_objectives(score: str) -> None:
    assert study(f"objectives=[{score}]").objectives[0].score == score


def test_the_usual_objectives_leave_distances_out_where_ways_differ() -> None:
    assert [item.score for item in parse_study(TEXT.rsplit("objectives", 1)[0], "s.yaml").objectives] == ["val_macro_f1"]
    one = parse_study(TEXT.rsplit("objectives", 1)[0], "s.yaml", ["space.preprocess={kind: patches}"])
    assert [item.score for item in one.objectives] == ["val_macro_f1", "val_kid"]


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (["space.preprocess.kind=whole"], "s.yaml:4: space.preprocess.grid: has no effect: preprocess.kind leaves patches out"),
        (["space.preprocess.grid=[4x1, 1x1]"], "space.preprocess.grid: 1x1 cuts a picture into 1; expected 2 to 256"),
        (["space.preprocess.grid=tall"], "space.preprocess.grid: 'tall' is not rows x columns"),
        (["space.preprocess.knd=whole"], "space.preprocess.knd: no such setting; did you mean preprocess.kind?"),
        (["space.preprocess.kind=patch"], "did you mean patches?"),
    ],
)
def test_mistakes_are_told_with_their_place(sets: list[str], said: str) -> None:
    assert said in complaints(*sets)


@pytest.mark.parametrize(("task", "why"), [("segment", "their IoU cannot be compared"), ("zero_shot", "no patches that could decide")])
def test_other_tasks_are_refused_with_the_reason(task: str, why: str) -> None:
    text = f"study: s\ntask: {task}\ndata: {{backgrounds: folder}}\nspace: {{preprocess.kind: patches}}\n"
    said = complaints(text=text)
    assert "space.preprocess.kind: whole pictures are decided by their patches in tasks classify and detect" in said and why in said


def test_data_that_patches_cannot_be_made_of_are_refused() -> None:
    assert patch_problems(study()) == []
    names = [name for name, _ in patch_problems(study("data.defect_free=background", "data.backgrounds=crops"))]
    assert names == ["data.defect_free", "data.backgrounds"]
    assert patch_problems(study("data.backgrounds=crops", "space.preprocess={kind: whole, borders: remove}")) == []


def test_the_schema_covers_the_settings() -> None:
    schema = json_schema()
    section = schema["properties"]["space"]["properties"]["preprocess"]["properties"]
    assert set(section) == {"kind", "grid", "min_area_px", "free_from", "borders"}
    assert section["kind"]["anyOf"][0] == {"enum": ["whole", "patches"]}
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator(schema).validate(study().to_plain() | {"resolved": None})


def test_a_trial_says_how_pictures_are_preprocessed() -> None:
    resolved = study().resolve(RESOLVED)
    points = baseline_params(resolved.space, ("plain",))
    said = [describe(_asked(build_recipe(resolved, points[i]).to_plain(), points[i])) for i in (0, 2)]
    assert said == ["real only (plain) + fcn, patches 4x1", "real only (plain) + fcn"]


def _asked(recipe: dict[str, Any], params: dict[str, Any]) -> Asked:
    return Asked(trial=0, move="baseline", reason="", parent=None, params=params, recipe=recipe, epoch=1, time_s=0.0)


def test_pictures_that_cannot_be_cut_are_named_before_anything_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    strange = replace(study("space.preprocess.grid=[4x1, 2x8, 40x6]"), objectives=study().objectives)
    place = Place(device="cpu", bf16=False)
    with pytest.raises(StudyError) as caught:
        resolve(strange, Store(tmp_path / "store"), place, Ledger.__new__(Ledger), command="run")
    assert "2x8 makes patches of" in str(caught.value) and "40x6 makes patches of" in str(caught.value)
    assert not (tmp_path / "store" / "inspector").exists()
