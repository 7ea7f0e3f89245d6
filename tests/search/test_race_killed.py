"""A race in a whole study, killed in the middle and gone on with: the same trials, nothing trained twice, and a report that lists who was dropped."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from driving import KILLED, drive
from fake_study import Silent, fixed_cost
from race_trials import make_race_study

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers
from reports.run import read_run
from reports.verdict import verdict
from search.execution.driver import Means
from search.execution.driver import drive as drive_study
from search.moves import Plan, starting_points
from search.runs.ledger import Ledger
from search.studies.recipes import baseline_params
from trainables.store import Store

PROGRAM = ("--study", "race_trials:make_race_study", "--function", "race_trials:run", "--trials", "5")


def told(folder: Path) -> list[Any]:
    """What must be equal, however often the study was killed."""
    run = make_race_study(folder).run_folder
    found = []
    for number in trial_numbers(run):
        asked, record = read_record(trial_folder(run, number), Asked), read_record(trial_folder(run, number), Record)
        assert asked is not None and record is not None
        found.append((asked.move, asked.parent, asked.recipe["judge"], len(asked.recipe["units"]), record.state, dict(record.scores)))
    return found


def drive_here(folder: Path) -> None:
    """Runs the study to its end in this process."""
    study = make_race_study(folder)
    plan = Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), cost=fixed_cost)
    means = Means(workers=1, threads=1, gpus_per_trial=0.0, device="cpu", function="race_trials:run")
    ledger = Ledger(study.run_folder)
    common: Any = {"observer": Silent(), "command": "again", "where": "here", "inline": True, "plan": plan, "write": lambda _: None}
    try:
        assert drive_study(study, Store(study.storage.store), ledger, means, **common) == 0
    finally:
        ledger.close()


def test_a_study_killed_in_its_race_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    drive_here(whole)
    story = told(whole)
    rounds, judged = [item for item in story if item[3] == 3], [item for item in story if item[2]]
    assert Counter(item[1] for item in rounds) == {2: 1, 3: 1, 4: 1} and not any(item[2] for item in rounds)
    assert [item[1] for item in judged if item[1] not in (0, 1)].count(4) == 0 and len(judged) == 2 + 2 * 2
    assert len(story) == 5 + 3 + 6
    assert drive(killed, *PROGRAM, "--kill", "after record.json:6").returncode == KILLED
    drive_here(killed)
    assert told(killed) == story
    for folder in (whole, killed):
        published = Counter((folder / "store" / "published.txt").read_text(encoding="utf-8").split())
        assert set(published.values()) == {1}, "what a round has trained is not trained again"
    # The program writes no study.yaml.
    found = verdict(replace(read_run(make_race_study(whole).run_folder), study={"search": {"confirm": {"seeds": 4}}}))
    assert [item.of for item in found.left] == [4] and found.left[0].round == 1 and "of validation accuracy behind #" in found.left[0].why
    assert len(found.confirmed) == 6 and len(found.ranking) == 4, "both twins are the first baseline"
    assert all(len(row.confirmed.test) == 4 for row in found.ranking)
