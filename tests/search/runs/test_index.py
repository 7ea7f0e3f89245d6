import contextlib
import resource
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_study import make_study
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from reports.records import Asked, Record
from search.runs.index import JOURNAL, Index


def asked(number: int, move: str = "explore") -> Asked:
    params = {} if move == "baseline" else make_study(Path()).space.defaults({"generator.family": "right"})
    return Asked(trial=number, move=move, reason="a test", params=params, recipe={}, epoch=1, time_s=0.0)


def record(number: int, accuracy: float | None = 0.5, kid: float | None = 0.1, **changes: Any) -> Record:
    scores = {"val_accuracy": accuracy, "val_kid_random": kid}
    return Record(**{"trial": number, "state": "complete", "scores": scores, "started_s": 0.0, "ended_s": 1.0, "epoch": 1} | changes)


def index(run: Path) -> Index:
    study = make_study(run)
    return Index(run, name="fake", goals=study.objectives, space=study.space)


def trials(run: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="fake", storage=JournalStorage(JournalFileBackend(str(run / JOURNAL)))).trials


ASKED = {0: asked(0, "baseline"), 1: asked(1), 2: asked(2), 3: asked(3, "confirm"), 4: asked(4)}
RECORDS = {
    0: record(0, kid=None),
    1: record(1),
    2: record(2, state="failed", failure="diverged", message="loss is not a finite number", scores={}),
    3: record(3),
}


def test_states_are_told_as_they_are(tmp_path: Path) -> None:
    assert index(tmp_path).sync(ASKED, RECORDS)
    found = trials(tmp_path)
    assert [trial.state for trial in found] == [TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED, TrialState.RUNNING]
    assert found[0].user_attrs["why"] == "an objective has no meaning here" and found[3].user_attrs["why"] == "a confirmation"
    assert found[1].values == [0.5, 0.1] and found[1].params["generator.family"] == "right"
    assert found[2].user_attrs["failure"] == "diverged"
    assert found[0].params == found[3].params == {}, "what the search did not draw biases no model"


def test_objectives_have_their_names_and_a_journal_that_is_written_anew_the_times_of_its_trials(tmp_path: Path) -> None:
    then = 1_700_000_000.0
    told = index(tmp_path)
    told.sync({1: replace(asked(1), time_s=then - 1.0), 2: replace(asked(2), time_s=then)}, {1: record(1, started_s=then, ended_s=then + 90.0)})
    found = optuna.load_study(study_name="fake", storage=JournalStorage(JournalFileBackend(str(tmp_path / JOURNAL))))
    assert found.metric_names == ["val_accuracy", "val_kid_random"]
    ended, running = found.trials
    assert ended.duration == timedelta(seconds=90) and ended.datetime_start == datetime.fromtimestamp(then)
    assert running.datetime_start == datetime.fromtimestamp(then) and running.datetime_complete is None


def test_asking_and_telling_agree_with_writing_anew(tmp_path: Path) -> None:
    told = index(tmp_path)
    told.sync({}, {})
    for number in ASKED:
        told.ask(ASKED[number])
        if number in RECORDS:
            told.tell(ASKED[number], RECORDS[number])
    before = (tmp_path / JOURNAL).read_bytes()
    assert not index(tmp_path).sync(ASKED, RECORDS), "a journal in agreement is left alone"
    assert (tmp_path / JOURNAL).read_bytes() == before


def test_a_journal_cut_anywhere_in_its_last_line_is_rebuilt(tmp_path: Path) -> None:
    told = index(tmp_path)
    told.sync({}, {})
    told.ask(ASKED[0])
    told.tell(ASKED[0], RECORDS[0])
    whole = (tmp_path / JOURNAL).read_bytes()
    wanted = [(trial.state, trial.values, trial.params, trial.user_attrs) for trial in trials(tmp_path)]
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    assert 20 < len(whole) - last < 200
    for length in range(last, len(whole)):
        (tmp_path / JOURNAL).write_bytes(whole[:length])
        assert index(tmp_path).sync({0: ASKED[0]}, {0: RECORDS[0]}), length
        assert [(trial.state, trial.values, trial.params, trial.user_attrs) for trial in trials(tmp_path)] == wanted


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x00\xff" * 50 + b"\n"),
        lambda path: path.write_bytes(path.read_bytes().replace(b"0.5", b"0.6")),
        lambda path: path.write_bytes(path.read_bytes() * 2),
    ],
    ids=["missing", "empty", "rubbish", "another value", "twice"],
)
def test_a_journal_that_disagrees_is_rebuilt(tmp_path: Path, damage: Any) -> None:
    index(tmp_path).sync(ASKED, RECORDS)
    damage(tmp_path / JOURNAL)
    told = index(tmp_path)
    assert told.sync(ASKED, RECORDS)
    told.tell(ASKED[4], record(4, 0.9))
    assert trials(tmp_path)[4].values == [0.9, 0.1]


def test_a_journal_without_room_is_left_whole_and_written_on_later(tmp_path: Path) -> None:
    told = index(tmp_path)
    told.sync({}, {})
    told.ask(ASKED[1])
    before = (tmp_path / JOURNAL).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(0, 700, 50):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + room, limits[1]))
        try:
            with contextlib.suppress(OSError):
                told.tell(ASKED[1], RECORDS[1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (tmp_path / JOURNAL).read_bytes().endswith(b"\n")
        if trials(tmp_path)[0].state == TrialState.COMPLETE:
            break
    assert room > 0 and not index(tmp_path).sync({1: ASKED[1]}, {1: RECORDS[1]})
