"""What must hold of a study that lived through chaos, and of each of its lives."""

import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import chaos_trials
import optuna
from lives import Folder
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from reports.records import Asked, Record
from search.moves import KINDS, Move, Moves, Plan, starting_points
from search.runs.index import JOURNAL, Index
from search.runs.status import summarize
from search.studies.recipes import baseline_params, drawing_settings, untrained_families
from search.studies.study_file import load_study
from trainables.cleaning import clean
from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores
from trainables.recipe import Recipe
from trainables.store import Store

KILLED = -signal.SIGKILL
REFUSED = 1
"""Exit code of a life that ended with one message."""
Trials = Mapping[int, tuple[Asked, Record]]


def story(trials: Trials) -> dict[int, Any]:
    """What must be equal of each trial: all but times, attempts and whether a stage was found ready."""
    told = {}
    for number, (asked, record) in trials.items():
        stages = [(stage["unit"], stage["stage"], stage["key"], stage["seconds"]) for stage in record.stages]
        suggested = (asked.move, asked.reason, asked.parent, dict(asked.params))
        told[number] = (suggested, record.state, record.failure, record.message, dict(record.scores), dict(record.rungs), stages)
    return told


def assert_ended_well(code: int, log: str) -> None:
    """A life was killed, or came to its end, or was ended by what failed, with a message that says where, why and how to go on."""
    assert code in (0, KILLED, REFUSED), (code, log)
    assert "Traceback" not in log, log
    if code == REFUSED:
        error = log[log.rindex("error: ") :]
        assert "cannot be " in error and os.sep in error and "again" in error, log


def assert_whole(folder: Folder) -> None:
    """Every trial has one end, Optuna agrees, nothing was published twice, and what is left over can be cleaned away."""
    trials = folder.records()
    assert sorted(trials) == list(range(len(trials)))
    summary = summarize(folder.run)
    assert summary["state"] == "finished"
    counted = summary["trials"]["complete"] + summary["trials"]["pruned"] + summary["trials"]["failed"]
    assert counted == sum(asked.move != "confirm" for asked, _ in trials.values()) == summary["planned"]
    study = load_study(folder.run / "study.yaml")
    index = Index(folder.run, name=study.name, goals=study.objectives, space=study.space, limits=study.limits)
    asked, records = {number: pair[0] for number, pair in trials.items()}, {number: pair[1] for number, pair in trials.items()}
    assert not index.sync(asked, records), "the journal is what the records say"
    journal = optuna.load_study(study_name="chaos", storage=JournalStorage(JournalFileBackend(str(folder.run / JOURNAL))))
    assert [trial.user_attrs["trial"] for trial in journal.trials] == list(trials) and all(trial.state.is_finished() for trial in journal.trials)
    _assert_published_once(folder, records)


def _assert_published_once(folder: Folder, records: Mapping[int, Record]) -> None:
    assert folder.told("twice.txt") == [], "a key was published twice"
    store = Store(folder.store)
    entries = {f"{entry.stage}/{entry.key}": entry for entry in store.entries()}
    assert {f"{stage['stage']}/{stage['key']}" for record in records.values() for stage in record.stages} <= set(entries)
    clean(store, young_s=0.0)
    for name, entry in entries.items():
        attempts = [path.name for path in (folder.store / name).iterdir() if path.is_dir()]
        assert entry.is_whole() and attempts == [entry.attempt], f"{name}: what nobody names was not cleaned away"
    assert clean(store, young_s=0.0).size_bytes == 0


def assert_scores_are_those_of_the_recipes(trials: Trials) -> None:
    """Runs every trial again, in a store of its own, where nothing fails and nobody dies."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for number, (asked, record) in trials.items():
            rungs: dict[str, float | None] = {}
            items = chaos_trials.run(Recipe.from_plain(asked.recipe), store, device="cpu", threads=1)
            try:
                for item in items:
                    if isinstance(item, Progress) and item.stage == "rung" and item.kimg is not None:
                        rungs[f"{item.kimg:g}"] = item.rung_score
                        if record.state == "pruned" and list(rungs) == list(record.rungs):
                            break
                    elif isinstance(item, Scores):
                        assert record.state == "complete" and dict(record.scores) == dict(item.values), number
            except TrialFailure as error:
                assert (record.state, record.failure) == ("failed", error.name), number
            assert rungs == dict(record.rungs), number


def assert_suggestions_follow_from_records(run: Path, trials: Trials) -> None:
    """Asks again for every move of the search, of a study that knows what was known at that moment: the suggestion must be the one that was made."""
    study = load_study(run / "study.yaml")
    plan = Plan(
        study=study,
        baselines=baseline_params(study.space, study.search.baselines),
        starts=starting_points(study),
        untrained=untrained_families(study),
        drawing=drawing_settings(study),
    )
    for number, (asked, _) in trials.items():
        if asked.move not in KINDS:
            continue
        moves = Moves(plan)
        for before in range(number):
            moves.add(trials[before][0])
        known = [record for _, record in trials.values() if record.ended_s <= asked.time_s]
        for record in sorted(known, key=lambda record: (record.ended_s, record.trial)):
            moves.tell(record)
        move = moves.next(number, is_free=lambda move: True)
        assert isinstance(move, Move), number
        assert (move.kind, move.reason, move.parent, dict(move.fixed)) == (asked.move, asked.reason, asked.parent, dict(asked.params)), number
