"""Trials that end at a rung, through the asker and both runners: what is recorded, told to Optuna, and said again after a restart."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from driving import drive as drive_program
from fake_study import Silent, fixed_cost
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from rung_trials import make_rung_study

from reports.records import Asked, Record, read_record, trial_folder, trial_numbers
from search.asker import Asker
from search.execution.driver import Means, drive, recipe_builder
from search.moves import Plan, starting_points
from search.runs.index import JOURNAL
from search.runs.ledger import Ledger
from search.runs.status import summarize
from search.studies.recipes import baseline_params
from search.studies.study import Study
from trainables.progress import Progress, Scores, StageUse
from trainables.store import Store

MEANS = Means(workers=1, threads=1, gpus_per_trial=0.0, device="cpu", function="rung_trials:run")


def plan_of(study: Study) -> Plan:
    return Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), cost=fixed_cost)


def run(study: Study, observer: Any = None) -> dict[int, tuple[Asked, Record | None]]:
    ledger = Ledger(study.run_folder)
    try:
        drive(
            study,
            Store(study.storage.store),
            ledger,
            MEANS,
            observer=observer or Silent(),
            command="again",
            where="here",
            inline=True,
            plan=plan_of(study),
            write=lambda _: None,
        )
    finally:
        ledger.close()
    return read(study.run_folder)


def read(folder: Path) -> dict[int, tuple[Asked, Record | None]]:
    found = {}
    for number in trial_numbers(folder):
        asked = read_record(trial_folder(folder, number), Asked)
        assert asked is not None
        found[number] = (asked, read_record(trial_folder(folder, number), Record))
    return found


def story(found: dict[int, tuple[Asked, Record | None]]) -> dict[int, Any]:
    return {
        number: (asked.move, dict(asked.params), record and (record.state, record.message, dict(record.rungs), dict(record.scores)))
        for number, (asked, record) in found.items()
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[int, tuple[Asked, Record | None]]]:
    study = make_rung_study(tmp_path_factory.mktemp("undisturbed"))
    return study, run(study)


def test_a_stopped_trial_leaves_why_what_it_told_and_what_it_cost(undisturbed: Any) -> None:
    study, found = undisturbed
    pruned = [record for _, record in found.values() if record is not None and record.state == "pruned"]
    assert len(found) == 18 and 2 <= len(pruned) <= 10
    assert {max(map(float, record.rungs)) for record in pruned} == {2.0}, "the bad ones show early"
    for record in pruned:
        assert str(record.message).startswith("stopped at ") and record.rungs and not record.scores
        assert {stage["stage"] for stage in record.stages} == {"generator"}, "no inspector was trained"
        assert record.conditions == {"rung_synthetic_images": 64}
    complete = [record for asked, record in found.values() if record is not None and record.state == "complete" and asked.move != "baseline"]
    assert all(record.rungs for record in complete)
    worst = [max(record.rungs.values()) for record in pruned if record.rungs]
    assert sum(worst) / len(worst) > sum(max(record.rungs.values()) for record in complete) / len(complete)
    assert len((Path(study.storage.store) / "inspectors.txt").read_text().splitlines()) == len(found) - len(pruned)
    assert summarize(study.run_folder)["trials"]["pruned"] == len(pruned)


def test_optuna_knows_what_was_stopped_and_why(undisturbed: Any) -> None:
    study, found = undisturbed
    storage = JournalStorage(JournalFileBackend(str(study.run_folder / JOURNAL)))
    for trial in optuna.load_study(study_name="fake", storage=storage).trials:
        record = found[trial.user_attrs["trial"]][1]
        assert trial.intermediate_values == {round(1000 * float(mark)): score for mark, score in record.rungs.items()}
        assert trial.user_attrs.get("rungs", {}) == record.rungs
        if record.state == "pruned":
            assert trial.state is TrialState.PRUNED and trial.user_attrs["why"] == record.message and trial.params


def test_a_study_that_is_interrupted_at_rungs_ends_as_if_it_had_not_been(undisturbed: Any, tmp_path: Path) -> None:
    study = make_rung_study(tmp_path)

    class Dying(Silent):
        def __init__(self, rung: int) -> None:
            self.left = rung

        def progress(self, number: int, progress: Any) -> None:
            self.left -= progress.stage == "rung"
            if self.left == 0:
                raise RuntimeError("the driver dies")

    for rung in (1, 9, 4, 7):
        with pytest.raises(RuntimeError, match="the driver dies"):
            run(study, Dying(rung))
    assert story(run(study)) == story(undisturbed[1])


Opening = Callable[..., Asker]


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    """Opens the run as a driver does; a later opening closes the earlier one first."""
    held: list[Ledger] = []

    def open_again() -> Asker:
        for ledger in held:
            ledger.close()
        study = make_rung_study(tmp_path)
        held.append(Ledger(study.run_folder))
        return Asker(held[-1], plan=plan_of(study), build=recipe_builder(study), store=Store(study.storage.store))

    yield open_again
    for ledger in held:
        ledger.close()


def rung(score: float, mark: float = 2.0) -> Progress:
    stages = [StageUse(unit=0, stage="generator", key="k", reused=False, seconds=1.0, device="cpu")]
    return Progress(stage="rung", kimg=mark, rung_score=score, metrics={"synthetic_images": 64.0}, stages=stages)


def test_what_a_trial_was_told_at_a_rung_it_is_told_again(opening: Opening, tmp_path: Path) -> None:
    asker = opening()
    for number in range(8):
        asked = asker.ask()
        assert isinstance(asked, Asked)
        values: dict[str, float | None] = {"val_accuracy": 0.9 - 0.01 * number, "val_kid_random": 0.1}
        if number >= 2:
            assert asker.progress(number, rung(float(number))) is None or number > 4
        asker.finish(number, Scores(values=values, units=[values], confusion={}, classes=[], conditions={}, stages=[]))
    good, bad = asker.ask(), asker.ask()
    assert isinstance(good, Asked) and isinstance(bad, Asked)
    said = [asker.progress(good.trial, rung(0.5)), asker.progress(bad.trial, rung(99.0))]
    assert said[0] is None and said[1] is not None
    lines = [json.loads(line) for line in (trial_folder(make_rung_study(tmp_path).run_folder, bad.trial) / "steps.jsonl").read_text().splitlines()]
    assert lines[-1]["stopped"] == said[1] and "stages" not in lines[-1]
    asker = opening()
    assert [asked.trial for asked in (asker.ask(), asker.ask()) if isinstance(asked, Asked)] == [good.trial, bad.trial]
    for score in (0.1, 0.2, 0.3, 0.4):
        other = asker.ask()
        assert isinstance(other, Asked)
        asker.progress(other.trial, rung(score))
    # By now the first would not be among the best; what was said stands.
    assert [asker.progress(good.trial, rung(0.5)), asker.progress(bad.trial, rung(99.0))] == said
    record = asker.prune(bad.trial, str(said[1]))
    assert (record.state, record.message, record.rungs) == ("pruned", said[1], {"2": 99.0})
    assert record.stages[0]["stage"] == "generator"


@pytest.mark.ray
def test_workers_on_ray_are_used_again_after_a_stop(tmp_path: Path, ray_folder: Path) -> None:
    options = ("--ray", "--workers", "2", "--trials", "18", "--study", "rung_trials:make_rung_study", "--function", "rung_trials:run")
    end = drive_program(tmp_path, *options, ray_folder=ray_folder)
    assert end.returncode == 0, end.stderr
    found = read(make_rung_study(tmp_path).run_folder)
    states = [record.state for _, record in found.values() if record is not None]
    assert len(states) == len(found) and states.count("pruned") >= 1 and set(states) == {"complete", "pruned"}
    stopped = [record for _, record in found.values() if record is not None and record.state == "pruned"]
    assert all(record.rungs and record.stages and record.attempts == 1 for record in stopped)
    pids = (tmp_path / "store" / "inspectors.txt").read_text().split()
    assert len(set(pids)) <= 2 and len(pids) == states.count("complete")
