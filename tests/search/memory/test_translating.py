"""Trials of earlier runs in other spaces, and what of a run keeps its numbers from being compared: out of plain data, nothing is run."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.memory.code import code_versions
from search.memory.earlier import EarlierRun, alike
from search.memory.meaning import differences, refusals
from search.memory.translating import Dropped, Translator
from search.studies.recipes import baseline_params
from search.studies.settings import Resolved
from search.studies.study import Study
from search.studies.study_file import known_settings, parse_study

TEXT = """\
study: second
data: {size_px: 32}
space:
  generator.family: [dcgan, wgan_gp]
  generator.dcgan.g_lr: {low: 1e-4, high: 4e-4}
  inspector.kind: [fcn, mobilenet_v2]
scores: {extractor: inspector}
search: {trials: 20, marks: [5, 20]}
"""
RESOLVED = Resolved(extractor="inspector", precision="fp32", fingerprint="f" * 32)


def read(*sets: str) -> Study:
    return parse_study(TEXT, "s.yaml", sets).resolve(RESOLVED)


def earlier(study: Study, *, row: Mapping[str, Any] | None = None, **changes: Any) -> EarlierRun:
    """A run of a study, as its files would say it."""
    plain = study.to_plain()
    first = {f"params.{name}": value for name, value in baseline_params(study.space, ("plain",))[0].items() if value is not None}
    trials = [{"trial": 0, "move": "baseline", "state": "complete", "ended_s": 1.0, **first}]
    trials += [{"trial": 1, "move": "explore", "state": "complete", "ended_s": 2.0, **row}] if row else []
    environment = {"device": "cpu", "code": code_versions(study)}
    given = {"study": plain, "environment": environment, "trials": trials, "stages": {}}
    return EarlierRun(name="runs/first", folder=Path("runs/first"), **{**given, **changes})


def row_of(study: Study, **fixed: Any) -> dict[str, Any]:
    """A trial's row: what is null does not stand in it."""
    point = study.space.defaults({"generator.family": "dcgan", **fixed})
    return {f"params.{name}": value for name, value in point.items() if value is not None}


def translated(there: Study, here: Study, row: Mapping[str, Any]) -> dict[str, Any]:
    return Translator(here, earlier(there), known_settings(here)).params(row)


def test_equal_spaces_give_equal_settings() -> None:
    study = read()
    point = study.space.defaults({"generator.family": "dcgan", "inspector.kind": "mobilenet_v2"})
    assert translated(study, study, row_of(study, **{"inspector.kind": "mobilenet_v2"})) == point


def test_numbers_come_back_in_their_own_types() -> None:
    study = read()
    point = study.space.defaults({"generator.family": "dcgan"})
    whole = [name for name, value in point.items() if isinstance(value, int) and not isinstance(value, bool)]
    assert whole
    found = translated(study, study, {**row_of(study), **{f"params.{name}": float(point[name]) for name in whole}})  # type: ignore[arg-type]
    assert found == point and all(isinstance(found[name], int) for name in whole)
    mixed = translated(study, study, {**row_of(study), "params.generator.dcgan.g_lr": "0.0002"})
    assert mixed["generator.dcgan.g_lr"] == 0.0002, "a column of several kinds is text"


def test_what_lies_outside_is_dropped_by_its_first_reason() -> None:
    wide, narrow = read("space.generator.dcgan.g_lr={low: 5e-5, high: 1e-3}"), read()
    with pytest.raises(Dropped, match=r"generator\.dcgan\.g_lr is outside of this study's space"):
        translated(wide, narrow, row_of(wide, **{"generator.dcgan.g_lr": 9e-4}))
    with pytest.raises(Dropped, match=r"generator\.family is outside"):
        translated(narrow, read("space.generator={family: [wgan_gp]}", "space.generator.family=[wgan_gp]"), row_of(narrow))


def test_a_setting_that_was_fixed_there_has_its_value_and_one_that_varied_must_be_said() -> None:
    fixed = read("space.generator.dcgan.g_lr=3e-4")
    bare = {name: value for name, value in row_of(fixed).items() if not name.endswith("g_lr")}
    assert translated(fixed, read(), bare)["generator.dcgan.g_lr"] == 3e-4
    with pytest.raises(Dropped, match=r"generator\.dcgan\.g_lr is not said"):
        translated(read(), read(), bare)
    with pytest.raises(Dropped, match=r"generator\.kimg is not said"):
        translated(read(), read(), {name: value for name, value in row_of(read()).items() if not name.endswith("kimg")})


def test_whole_pictures_are_what_a_run_without_patches_had_and_patches_are_not_varied_here() -> None:
    patches = read("space.preprocess.kind=[whole, patches]", "objectives={val_accuracy: maximize}")
    plain = read("objectives={val_accuracy: maximize}")
    assert translated(plain, patches, row_of(plain))["preprocess.kind"] == "whole"
    cut = row_of(patches, **{"preprocess.kind": "patches"})
    with pytest.raises(Dropped, match=r"preprocess\.\w+ is not varied here"):
        translated(patches, plain, cut)
    assert translated(patches, plain, row_of(patches)) == plain.space.defaults({"generator.family": "dcgan"})


def test_equal_runs_differ_in_nothing_that_matters() -> None:
    study = read()
    there = earlier(study, row=row_of(study))
    code = code_versions(study)
    assert refusals(study, there, known_settings(study), code) == [] == differences(study, there, code)
    moved = replace(study, data=replace(study.data, path="elsewhere", since="runs/before"))
    assert differences(moved, there, code) == [], "where the images lie does not matter"


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("data.size_px=64",), "data.size_px 32, here 64"),
        (("data.val_fraction=0.3",), "data.val_fraction 0.2, here 0.3"),
        (("data.procedural.seed=3",), "data.procedural"),
        (("data.added=[dent]",), "data.added none, here dent"),
        (("seed=4",), "distances in features of an inspector of seed 0, here 4"),
        (("space.inspector.kind=[mobilenet_v2, fcn]",), "distances in features of another inspector"),
    ],
)
def test_what_makes_numbers_incomparable_is_said(sets: tuple[str, ...], said: str) -> None:
    study = read(*sets)
    found = differences(study, earlier(read()), code_versions(study))
    assert len(found) == 1 and said in found[0], found


def test_another_extractor_other_images_and_other_code_are_said() -> None:
    there = read()
    random = parse_study(TEXT, "s.yaml", ["scores.extractor=random"]).resolve(replace(RESOLVED, extractor="random", fingerprint="0" * 32))
    code = {**code_versions(random), "datasets.splits": 99}
    found = differences(random, earlier(there), code)
    assert found[0] == "other images" and "distances in features of inspector, here of random" in found
    assert found[-1].startswith("datasets.splits: VERSION ") and found[-1].endswith(" of the code, here 99")
    assert refusals(random, earlier(there), known_settings(random), code) == [], "the objectives mean the same, in other features"
    assert alike("val_kid_random.dent") == alike("val_kid.dent") == "val_kid.dent" and alike("val_fid") == alike("val_frechet_inspector")
