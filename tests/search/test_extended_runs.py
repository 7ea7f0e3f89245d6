"""Runs that are extended from the command line, and go on as they then stand."""

import json
from pathlib import Path

import pytest
from fake_study import Silent

from reports.records import Asked, read_record, trial_folder, trial_numbers
from search.execution.driver import OK
from search.runner import dry_run, run_study
from search.studies.extending import read_extension
from search.studies.study import Study, StudyError
from search.studies.study_file import load_study, parse_study

STUDY = """
study: small
data: {size_px: 32, procedural: {per_class: 12, defect_free: 6}}
space: {generator.family: [dcgan], inspector.kind: [mobilenet_v2]}
objectives: {val_accuracy: maximize, val_kid: minimize}
scores: {extractor: random}
search: {trials: 4, marks: [2], baselines: [plain], confirm: {top: 0}}
resources: {precision: fp32}
"""
RUN = Path("runs/small")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def study() -> Study:
    return parse_study(STUDY, "small.yaml")


def run(*extend: str, fresh: bool = False) -> int:
    wanted = read_extension(extend)
    return run_study(
        study(), inline=True, fresh=fresh, extend=wanted, observer=Silent(), command="tundish run small.yaml", function="fake_study:run_fake"
    )


def searched() -> int:
    found = [read_record(trial_folder(RUN, number), Asked) for number in trial_numbers(RUN)]
    return sum(item is not None and item.move != "confirm" for item in found)


def test_a_run_that_was_extended_goes_on_as_it_stands() -> None:
    assert run() == OK and searched() == 4
    told = "\n".join(dry_run(study(), inline=True, extend=read_extension(("trials=+3",)), say=lambda line: None, function="fake_study:run_fake"))
    assert "3 trials to come" in told and searched() == 4
    assert run("trials=+3") == OK and searched() == 7
    assert json.loads((RUN / "environment.json").read_text(encoding="utf-8"))["trials"] == 7
    assert run() == OK and searched() == 7, "without --extend it is simply through"
    assert run("trials=8") == OK and searched() == 8
    saved = load_study(RUN / "study.yaml")
    assert saved.search.trials == 8 and saved.resolved is not None and saved.resolved.extended == {"trials": 4.0}


def test_what_cannot_be_extended_is_left_as_it_was() -> None:
    with pytest.raises(StudyError, match="has not begun, so that there is nothing to extend"):
        run("trials=+3")
    with pytest.raises(StudyError, match="has not begun, so that there is nothing to extend"):
        dry_run(study(), inline=True, extend=read_extension(("trials=+3",)), say=lambda line: None)
    assert not RUN.exists()
    assert run() == OK
    with pytest.raises(StudyError, match="--fresh begins this run anew"):
        run("trials=+3", fresh=True)
    with pytest.raises(StudyError, match="stands at 4 already, and can only grow"):
        run("trials=2")
    assert searched() == 4 and len(list(Path("runs").iterdir())) == 1
