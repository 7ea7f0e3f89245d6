"""Whole studies whose generators are told the class by vectors: the table beside the trial, and attributes that must stay what they were."""

import csv
import json
from pathlib import Path

import pytest
from fake_study import Silent

from reports.records import Asked, Record, read_record, trial_folder
from search.execution.driver import OK, TRIAL_FUNCTION
from search.runner import run_study
from search.studies.study import StudyError
from search.studies.study_file import load_study, parse_study
from trainables.conditioning.attributes import OWN_TABLES
from trainables.conditioning.stage import TABLE

STUDY = """
study: told
data: {size_px: 16, procedural: {per_class: 10, defect_free: 6}}
space:
  generator.family: [dcgan]
  generator.dcgan: {width: 16, batch: 16, latent_dim: 16, class_mode: [per_class, conditional]}
  synthesis: {fraction: 0.2, filter: none}
  inspector: {kind: fcn, fcn: {width: 16, min_steps: 1, epochs: 3, augment: none, balance: none}}
objectives: {val_accuracy: maximize}
scores: {extractor: random}
search:
  trials: 2
  marks: [0.032]
  baselines: [plain]
  paper_settings: false
  try: [{generator.dcgan.class_mode: conditional, generator.dcgan.conditioning: blend, generator.dcgan.ce_blend: 0.25}]
  confirm: {top: 0}
resources: {precision: fp32, cpus_per_trial: 1}
"""


def run(*sets: str, function: str = "fake_study:run_fake") -> int:
    return run_study(parse_study(STUDY, "told.yaml", sets), inline=True, observer=Silent(), command="tundish run told.yaml", function=function)


def test_the_table_of_embeddings_lies_beside_the_trial_s_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(function=TRIAL_FUNCTION) == OK
    folder = trial_folder(Path("runs/told"), 1)
    asked, record = read_record(folder, Asked), read_record(folder, Record)
    assert asked is not None and record is not None and record.state == "complete", record
    assert asked.recipe["generator"]["conditioning"] == {"kind": "blend", "ce_blend": 0.25, "ce_rec_weight": 0.5, "ce_kl_weight": 1.0}
    assert "conditioning" in {stage["stage"] for stage in record.stages}
    rows = list(csv.DictReader((folder / TABLE).read_text(encoding="utf-8").splitlines()))
    assert [row["embedding"] for row in rows] == ["real"] * 6 + ["learned"] * 6 + ["blend"] * 6
    assert {row["class"] for row in rows} == set(record.classes) - {"defect_free"}
    real, learned, blended = (float(rows[i]["Surface texture: grainy"]) for i in (0, 6, 12))
    assert blended == pytest.approx(0.25 * learned + 0.75 * real, abs=1e-4)
    assert not (trial_folder(Path("runs/told"), 0) / TABLE).exists()
    assert (Path("runs/told") / "report.html").exists()


def test_a_run_goes_on_only_with_the_attributes_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = OWN_TABLES["procedural"].read_text(encoding="utf-8")
    Path("own.csv").write_text(own, encoding="utf-8")
    assert run("data.attributes=own.csv") == OK
    resolved = load_study("runs/told/study.yaml").resolved
    assert resolved is not None and resolved.attributes is not None
    # Elsewhere, commented and with a class more, they are still the same.
    Path("moved.csv").write_text(f"# mine\n{own}rust,{','.join('1' * 28)},0\n", encoding="utf-8")
    assert run("data.attributes=moved.csv") == OK
    Path("own.csv").write_text(own.replace("scratches,1", "scratches,0.9"), encoding="utf-8")
    with pytest.raises(StudyError, match=r"the attribute vectors are not those that this run began with \(own.csv\)"):
        run("data.attributes=own.csv")


def test_a_class_without_a_row_is_named_before_anything_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = OWN_TABLES["procedural"].read_text(encoding="utf-8").replace("\npatches,", "\npatchs,")
    Path("own.csv").write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=r"data\.attributes: no row for class patches; did you mean it by patchs\?"):
        run("data.attributes=own.csv")
    assert not Path("runs/told").exists()


def test_a_study_without_attributes_resolves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("space.generator.dcgan.class_mode=per_class", "search.try=[]") == OK
    asked = json.loads((trial_folder(Path("runs/told"), 1) / "asked.json").read_text(encoding="utf-8"))
    assert asked["recipe"]["generator"]["conditioning"] is None
    resolved = load_study("runs/told/study.yaml").resolved
    assert resolved is not None and resolved.attributes is None
