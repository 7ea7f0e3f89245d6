"""A trial of a small real study run again, beside what was recorded of it."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_study import Silent

from reports.records import Record, read_record, trial_folder
from search.cli import cli
from search.execution.driver import OK
from search.runner import run_study
from search.studies.study_file import parse_study

STUDY = """
study: again
data: {dataset: procedural, size_px: 16, procedural: {per_class: 12}}
space:
  generator: {family: [cutpaste]}
  synthesis: {fraction: 0.3, filter: none}
  inspector: {kind: [fcn], fcn: {width: 16, min_steps: 4, epochs: 3, batch: 16, augment: none, balance: none}}
objectives: {val_accuracy: maximize}
scores: {extractor: random}
search: {trials: 2, marks: [1], baselines: [plain], confirm: {top: 0}}
resources: {precision: fp32, cpus_per_trial: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("again")
    study = parse_study(STUDY, "again.yaml", [f"storage.runs={root}/runs", f"storage.store={root}/store"])
    assert run_study(study, inline=True, observer=Silent(), command="tundish run again.yaml") == OK
    return study.run_folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_is_in_the_store_is_found_and_the_run_stays_as_it_is(run: Path) -> None:
    before = files(run.parents[1])
    said = CliRunner().invoke(cli, ["rerun", str(run), "--trial", "1"], catch_exceptions=False)
    assert said.exit_code == 0 and " 0 made" in said.output and "as recorded, to the last bit" in said.output
    assert files(run.parents[1]) == before


def test_everything_made_anew_comes_out_the_same_and_leaves_nothing_behind(run: Path) -> None:
    before = files(run.parents[1])
    said = CliRunner().invoke(cli, ["rerun", str(run), "--trial", "1", "--anew"], catch_exceptions=False)
    assert said.exit_code == 0 and " 0 found" in said.output.replace("  ", " ") and "as recorded, to the last bit" in said.output
    assert files(run.parents[1]) == before


def test_a_score_that_comes_out_otherwise_is_shown_beside_the_recorded_one(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "again")
    path = trial_folder(copy, 1) / "record.json"
    plain = json.loads(path.read_text(encoding="utf-8"))
    plain["scores"]["val_accuracy"] = 0.125
    path.write_text(json.dumps(plain), encoding="utf-8")
    said = CliRunner().invoke(cli, ["rerun", str(copy), "--trial", "1"], catch_exceptions=False)
    record = read_record(trial_folder(run, 1), Record)
    assert record is not None
    shown = [line.split() for line in said.output.splitlines() if line.strip().startswith("val_accuracy")]
    assert shown == [["val_accuracy", "0.125", f"{record.scores['val_accuracy']:.6g}"]]
    assert "as recorded" not in said.output


def test_a_trial_that_there_is_not_is_refused(run: Path) -> None:
    said = CliRunner().invoke(cli, ["rerun", str(run), "--trial", "7"])
    assert "no trial 7; there are trials 0 to 1" in str(said.exception)
