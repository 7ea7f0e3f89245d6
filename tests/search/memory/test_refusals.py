"""Earlier runs that nothing may be learned from: each is refused at validation, naming what, where, and both meanings."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from fake_study import Silent

from search.runner import run_study
from search.studies.study import StudyError
from search.studies.study_file import parse_study

STUDY = """\
study: first
seed: 1
data: {size_px: 32, procedural: {per_class: 12, defect_free: 6}}
space: {generator.family: [dcgan, wgan_gp], inspector.kind: [mobilenet_v2]}
objectives: {val_accuracy: maximize, val_kid: minimize}
scores: {extractor: random}
search:
  trials: 5
  marks: [2]
  baselines: [plain]
  confirm: {top: 0}
"""
RUN = Path("runs/first")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refusals")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_study(parse_study(STUDY, "s.yaml"), inline=True, observer=Silent(), command="tundish run s.yaml", function="fake_study:run_fake")
    return folder


@pytest.fixture(autouse=True)
def here(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(first / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)


def refused(*sets: str, given: str = "runs/first") -> str:
    """What is said of a study that is to learn from a run."""
    with pytest.raises(StudyError) as caught:
        parse_study(STUDY, "s.yaml", ("study=second", f"search.warm_start=[{given}]", *sets), thorough=True)
    return str(caught.value)


def change_study(change: Callable[[dict[str, Any]], Any]) -> None:
    plain = yaml.safe_load((RUN / "study.yaml").read_text(encoding="utf-8"))
    change(plain)
    (RUN / "study.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")


def change_table(name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    pq.write_table(change(pq.read_table(RUN / name)), RUN / name)


def test_what_is_not_changed_is_taken() -> None:
    parse_study(STUDY, "s.yaml", ("study=second", "search.warm_start=[runs/first]"), thorough=True)
    parse_study(STUDY, "s.yaml", ("study=second", "search.warm_start=[runs/first/trials.parquet]"), thorough=True)


def test_a_path_without_a_run() -> None:
    said = refused(given="runs/frist")
    assert said == "--set search.warm_start=[runs/frist]: search.warm_start[0]: runs/frist: there is no such run; did you mean runs/first?"
    Path("pictures").mkdir()
    assert "pictures: no run: there is no pictures/study.yaml" in refused(given="pictures")


def test_the_study_s_own_run_and_one_run_twice() -> None:
    (RUN / "study.yaml").rename(RUN / "kept.yaml")
    assert "this is the study's own run" in refused("study=first")
    assert "search.warm_start: runs/first is given twice" in refused(given="runs/first, runs/first")


def test_a_run_without_its_tables_or_with_nothing_in_them() -> None:
    (RUN / "stages.parquet").unlink()
    assert "runs/first/stages.parquet: missing; `tundish report runs/first` writes it anew" in refused()
    (RUN / "stages.parquet").write_bytes(b"no Parquet")
    assert "runs/first/stages.parquet: cannot be read as Parquet" in refused()


def test_a_table_without_a_needed_column() -> None:
    change_table("trials.parquet", lambda table: table.drop_columns(["state", "params.generator.kimg"]))
    said = refused()
    assert "runs/first/trials.parquet: no column state, " in said and "no column params.generator.kimg, " in said


def test_a_run_whose_search_has_not_ended_a_trial() -> None:
    change_table("trials.parquet", lambda table: table.slice(0, 1))
    assert "runs/first: no trial of its search has ended" in refused()


def test_another_task_and_other_objectives() -> None:
    segmenting = ("task=segment", "objectives={val_iou: maximize}", "space.inspector.kind=[deeplabv3plus]")
    assert "task: classify in runs/first/study.yaml, segment here" in refused(*segmenting)
    said = refused("objectives={val_macro_f1: maximize}")
    assert "objectives: val_accuracy, val_kid in runs/first/study.yaml, val_macro_f1 here: it searched for something else" in said
    change_study(lambda plain: plain["objectives"].update(val_accuracy="minimize"))
    assert "objectives.val_accuracy: minimize in runs/first/study.yaml, maximize here" in refused()


def test_a_renamed_unit() -> None:
    def rename(plain: dict[str, Any]) -> None:
        plain["space"]["synthesis.mask_closing_mm"] = {"low": 0.1, "high": 0.5}
        plain["space"]["inspector.mobilenet_v2.learning_speed"] = 3

    change_study(rename)
    said = refused()
    assert "synthesis.mask_closing_mm: 0.1 to 0.5 in runs/first/study.yaml; " in said
    assert "inspector.mobilenet_v2.learning_speed: 3 in runs/first/study.yaml; " in said and len(said.splitlines()) == 2


def test_values_of_another_kind() -> None:
    change_study(lambda plain: plain["space"].update({"generator.dcgan.g_lr": ["slow", "fast"]}))
    said = refused()
    assert said.startswith(
        "--set search.warm_start=[runs/first]: search.warm_start[0]: generator.dcgan.g_lr: one of slow, fast in runs/first/study.yaml,"
    )
    assert "(log); default 0.0002: values of another kind" in said
    change_study(lambda plain: plain["space"].update({"generator.dcgan.g_lr": 2e-4, "generator.dcgan.class_mode": {"low": 0.1, "high": 0.9}}))
    assert "generator.dcgan.class_mode: 0.1 to 0.9 in runs/first/study.yaml, here one of" in refused()
    assert "generator.dcgan.class_mode" not in accepted_or_refused("space.generator.family=[wgan_gp]"), "a family that is not here matters to nobody"


def accepted_or_refused(*sets: str) -> str:
    try:
        parse_study(STUDY, "s.yaml", ("study=second", "search.warm_start=[runs/first]", *sets), thorough=True)
    except StudyError as error:
        return str(error)
    return ""


def test_another_version_of_a_family_or_an_inspector() -> None:
    path = RUN / "environment.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    here = dict(plain["code"])
    plain["code"] |= {"generators.wgan_gp": 1, "inspectors.mobilenet_v2": 7, "synthesis.blocks": 1}
    path.write_text(json.dumps(plain), encoding="utf-8")
    said = refused()
    expected = f"generator.family: wgan_gp: VERSION 1 of its code in runs/first/environment.json, {here['generators.wgan_gp']} here: equal settings"
    assert expected in said and "inspector.kind: mobilenet_v2: VERSION 7 " in said
    assert "synthesis.blocks" not in said, "a shared stage changes levels, not what settings mean"
    assert "wgan_gp" not in refused("space.generator.family=[dcgan]")


def test_a_run_that_has_begun_is_not_refused_for_what_became_of_the_other() -> None:
    study = parse_study(STUDY, "s.yaml", ("study=second", "search.warm_start=[runs/first]"), thorough=True)
    run_study(study, inline=True, observer=Silent(), command="again", function="fake_study:run_fake")
    change_study(lambda plain: plain.update(task="segment"))
    parse_study(STUDY, "s.yaml", ("study=second", "search.warm_start=[runs/first]"), thorough=True)
