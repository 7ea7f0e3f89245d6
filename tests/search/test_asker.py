import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_study import fixed_cost, make_study

from reports.records import Asked, Record, read_record, trial_folder
from search.asker import FINISHED, WAIT, Asker, Failure
from search.execution.driver import recipe_builder
from search.moves import Plan, starting_points
from search.runs.ledger import LOST_WORKERS, Ledger
from search.studies.recipes import baseline_params
from trainables.progress import Progress, Scores, StageUse
from trainables.store import Store

Opening = Callable[..., Asker]


@pytest.fixture
def opening(tmp_path: Path) -> Iterator[Opening]:
    """Opens the run as a driver does; a later opening closes the earlier one first."""
    held: list[Ledger] = []

    def open_again(**changes: Any) -> Asker:
        for ledger in held:
            ledger.close()
        study = make_study(tmp_path, **changes)
        held.append(Ledger(study.run_folder))
        plan = Plan(study=study, baselines=baseline_params(study.space, ("plain",)), starts=starting_points(study), cost=fixed_cost)
        return Asker(held[-1], plan=plan, build=recipe_builder(study), store=Store(study.storage.store))

    yield open_again
    for ledger in held:
        ledger.close()


def scores(asked: Asked, **changes: Any) -> Scores:
    real_only = asked.recipe["generator"] is None
    values = {"val_accuracy": 0.5 + 0.01 * asked.trial, "val_kid_random": None if real_only else 1.0 / (1 + asked.trial)} | changes
    stages = [StageUse(unit=0, stage="inspector", key=str(asked.trial), reused=False, seconds=1.0, device="cpu")]
    return Scores(values=values, units=[values], confusion={}, classes=["a"], conditions={}, stages=stages)


def take(asker: Asker) -> Asked:
    asked = asker.ask()
    assert isinstance(asked, Asked), asked
    return asked


def play(asker: Asker, trials: int) -> list[Asked]:
    played = []
    for _ in range(trials):
        asked = take(asker)
        asker.finish(asked.trial, scores(asked))
        played.append(asked)
    return played


def story(played: list[Asked]) -> list[tuple[str, Any]]:
    return [(asked.move, dict(asked.params)) for asked in played]


def test_suggestions_do_not_depend_on_who_makes_them(tmp_path: Path, opening: Opening) -> None:
    once = play(opening(trials=20), 20)
    make_study(tmp_path).run_folder.rename(tmp_path / "away")
    again = [asked for _ in range(20) for asked in play(opening(trials=20), 1)]
    assert story(again) == story(once)
    assert len({json.dumps(dict(asked.params), sort_keys=True) for asked in once}) == 20


def test_an_interrupted_trial_comes_first_and_unchanged(opening: Opening) -> None:
    play(asker := opening(), 5)
    before = take(asker)
    after = take(opening())
    assert (after.trial, after.params, after.epoch) == (before.trial, before.params, before.epoch)


def test_nothing_is_handed_out_twice(opening: Opening) -> None:
    play(asker := opening(), 2)
    handed = [take(asker).trial for _ in range(2)]
    assert len(set(handed)) == 2 and asker.running == handed


def test_a_score_that_is_not_finite_fails_the_trial_by_name(opening: Opening, tmp_path: Path) -> None:
    asker = opening()
    play(asker, 2)
    asked = take(asker)
    record = asker.finish(asked.trial, scores(asked, val_kid_random=float("nan")))
    assert (record.state, record.failure) == ("failed", "diverged") and "val_kid_random" in str(record.message)
    assert play(asker, 1), "the study goes on"


def test_a_failure_keeps_its_traceback_beside_the_record(opening: Opening, tmp_path: Path) -> None:
    asker = opening()
    asker.finish(take(asker).trial, Failure(name="error", message="KeyError: 'x'\nmore", traceback="Traceback ..."))
    folder = trial_folder(make_study(tmp_path).run_folder, 0)
    record = read_record(folder, Record)
    assert record is not None and record.message == "KeyError: 'x'"
    assert (folder / "error.txt").read_text(encoding="utf-8") == "Traceback ..."


def test_a_trial_that_keeps_losing_its_worker_is_failed(opening: Opening) -> None:
    asker = opening()
    for _ in range(LOST_WORKERS - 1):
        asked = take(asker)
        assert asked.trial == 0 and asker.lost(0, node_lost=False) is None
    # The count outlives the driver; a lost machine does not add to it.
    asker = opening()
    assert take(asker).trial == 0 and asker.lost(0, node_lost=True) is None
    assert take(asker).trial == 0
    record = asker.lost(0, node_lost=False)
    assert record is not None and (record.failure, record.attempts) == ("lost_worker", LOST_WORKERS + 1)
    assert take(asker).trial == 1


def test_the_end_waits_for_running_trials(opening: Opening) -> None:
    asker = opening(trials=4, top=2)
    play(asker, 4)
    running = [take(asker), take(asker), take(asker), take(asker)]
    assert all(asked.move == "confirm" for asked in running)
    assert asker.ask() == WAIT, "what is left would train the inspectors that are being trained"
    for asked in running:
        asker.finish(asked.trial, scores(asked))
    last = take(asker)
    asker.finish(last.trial, scores(last))
    last = take(asker)
    assert asker.ask() == WAIT, "nothing is left, but a running trial may yet lose its worker"
    asker.finish(last.trial, scores(last))
    assert asker.ask() == FINISHED


def test_a_suggestion_that_would_train_what_is_being_trained_is_held_back(tmp_path: Path) -> None:
    study = make_study(tmp_path, marks=(2.0,))
    narrow = study.space.narrow({"generator.family": "left", "generator.left.lr": 1e-3, "generator.left.width": 16})
    study = dataclasses.replace(study, space=narrow)
    ledger = Ledger(study.run_folder)
    plan = Plan(study=study, baselines=baseline_params(narrow, ("plain",)), starts=[], cost=fixed_cost)
    asker = Asker(ledger, plan=plan, build=recipe_builder(study), store=Store(study.storage.store))
    play(asker, 2)
    first = take(asker)
    assert asker.ask() == WAIT and asker.ask() == WAIT
    asker.finish(first.trial, scores(first))
    assert [take(asker).trial, take(asker).trial] == [3, 4], "once trained, it can be used by any number at once"
    ledger.close()


def test_signs_of_life_become_steps(opening: Opening, tmp_path: Path) -> None:
    asker = opening()
    asked = take(asker)
    asker.progress(asked.trial, Progress(stage="generator", kimg=1.5, metrics={"loss": 0.25}))
    asker.progress(99, Progress(stage="generator"))
    (line,) = (trial_folder(make_study(tmp_path).run_folder, 0) / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    step = json.loads(line)
    assert (step["stage"], step["kimg"], step["metrics"], step["unit"]) == ("generator", 1.5, {"loss": 0.25}, 0)


def test_the_contact_sheet_comes_along(opening: Opening, tmp_path: Path) -> None:
    asker = opening()
    Store(make_study(tmp_path).storage.store).publish("samples", "k", {"samples.webp": b"webp"})
    asked = take(asker)
    where = {"stage": "samples", "key": "k", "file": "samples.webp", "columns": 3, "classes": ["a"]}
    plain = scores(asked)
    end = Scores(values=plain.values, units=plain.units, confusion={}, classes=["a"], conditions={}, stages=[], samples=where)  # type: ignore[arg-type]
    record = asker.finish(asked.trial, end)
    assert record.samples == {"columns": 3, "classes": ["a"]}
    assert (trial_folder(make_study(tmp_path).run_folder, 0) / "samples.webp").read_bytes() == b"webp"


def test_other_files_of_a_trial_come_along_where_the_store_still_has_them(opening: Opening, tmp_path: Path) -> None:
    asker = opening()
    Store(make_study(tmp_path).storage.store).publish("particulars", "k", {"elimination.webp": b"webp"})
    asked = take(asker)
    plain = scores(asked)
    where = {name: {"stage": "particulars", "key": key, "file": name} for name, key in (("elimination.webp", "k"), ("gone.webp", "l"))}
    end = Scores(values=plain.values, units=plain.units, confusion={}, classes=["a"], conditions={}, stages=[], files=where)
    assert asker.finish(asked.trial, end).state == "complete"
    folder = trial_folder(make_study(tmp_path).run_folder, 0)
    assert (folder / "elimination.webp").read_bytes() == b"webp"
    assert not (folder / "gone.webp").exists()
