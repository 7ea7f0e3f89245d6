"""Studies run from beginning to end, with trials that compute next to nothing: preparing, going on, refusing, stopping."""

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_study import Silent
from PIL import Image
from small_study import small_study

from reports.records import Asked, Record, RecordError, read_record, trial_folder, trial_numbers, write_json
from search.execution.driver import FAILED, INTERRUPTED, OK
from search.runner import run_study
from search.runs.lease import Lease, RunError
from search.runs.ledger import request_stop
from search.runs.status import summarize
from search.studies.study import StudyError
from search.studies.study_file import load_study, parse_study
from trainables.errors import DatasetError, StoreError
from trainables.scores.extractors import Resolved as Extractor

STUDY = small_study("trials: 4, marks: [2], confirm: {top: 1, seeds: 2}")

ALL = 4 + 1 + 1 + 1
"""Trials of the study: the search, and the confirmations of its baseline, of its leader, and of the leader's inspector without synthetic images."""

Running = Callable[..., int]


class Told(Silent):
    """Remembers what it was told; may act when a trial is handed out."""

    def __init__(self, act: Callable[[Asked], None] | None = None) -> None:
        self.header: Any = None
        self.reason = ""
        self._act = act

    def started(self, header: Any) -> None:
        self.header = header

    def asked(self, asked: Asked) -> None:
        if self._act is not None:
            self._act(asked)

    def stopped(self, reason: str) -> None:
        self.reason = reason


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Runs the small study in this process, with overrides."""
    monkeypatch.chdir(tmp_path)

    def run(*sets: str, observer: Any = None, function: str = "fake_study:run_fake", fresh: bool = False, extend: bool = False) -> int:
        study = parse_study(STUDY, "small.yaml", sets)
        return run_study(
            study, inline=True, fresh=fresh, extend=extend, observer=observer or Told(), command="tundish run small.yaml", function=function
        )

    return run


def records(run: Path = Path("runs/small")) -> list[tuple[Asked, Record | None]]:
    found = []
    for number in trial_numbers(run):
        asked = read_record(trial_folder(run, number), Asked)
        assert asked is not None
        found.append((asked, read_record(trial_folder(run, number), Record)))
    return found


def test_a_study_leaves_what_it_promises(running: Running) -> None:
    told = Told()
    assert running(observer=told) == OK
    run = Path("runs/small")
    assert all(
        (run / name).exists() for name in ("study.yaml", "environment.json", "report.html", "trials.parquet", "stages.parquet", "steps.parquet")
    )
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    assert environment["command"] == "tundish run small.yaml" and environment["extractor"] == "random"
    assert set(environment["split_counts"]["crazing"]) == {"train", "val", "test"}
    assert environment["device"] == "cpu" and environment["precision"] == "fp32" and environment["versions"]["torch"]
    assert environment["objectives"] == {"val_accuracy": "maximize", "val_kid_random": "minimize"}
    saved = load_study(run / "study.yaml")
    assert saved.resolved is not None and saved.resolved.fingerprint == environment["fingerprint"]
    assert [asked.move for asked, _ in records()] == ["baseline", "explore", "explore", "explore", "confirm", "confirm", "confirm"]
    assert told.reason.startswith("done.") and told.header.planned == ALL
    assert told.header.facts["data"] == "procedural, 32 px; images of a class: 4 to 8 training, 1 to 2 validation, 1 to 2 test"
    judged = [asked.trial for asked, record in records() if record is not None and record.scores["test_accuracy"] is not None]
    assert judged == [4, 5, 6], "the test split was read for confirmations alone"


def test_backgrounds_are_drawn_where_a_family_needs_them(running: Running) -> None:
    sets = ("space.generator.family=[pe_gan]", "data.backgrounds=folder", "search.trials=2", "search.confirm.top=0")
    assert running(*sets) == OK
    told = json.loads(Path("runs/small/environment.json").read_text(encoding="utf-8"))["backgrounds"]
    assert told["origin"] == "folder" and told["count"] > 0
    with Image.open("runs/small/backgrounds.webp") as sheet:
        assert sheet.width == told["columns"] * told["tile_px"] and np.asarray(sheet)[:32, :32].std() > 0


def test_running_again_continues_and_ends(running: Running) -> None:
    assert running() == OK
    before = {path: path.stat().st_mtime_ns for path in Path("runs/small/trials").rglob("record.json")}
    told = Told()
    assert running(observer=told) == OK
    assert {path: path.stat().st_mtime_ns for path in Path("runs/small/trials").rglob("record.json")} == before
    assert len(told.header.finished) == ALL


def test_a_changed_study_is_refused_by_name_and_may_only_grow(running: Running) -> None:
    assert running() == OK
    with pytest.raises(StudyError, match=r"data\.size_px: 32 -> 64"):
        running("data.size_px=64")
    with pytest.raises(StudyError, match=r"search\.trials: 4 -> 6(.|\n)*--extend"):
        running("search.trials=6")
    assert len(records()) == ALL
    told = Told()
    assert running("search.trials=6", extend=True, observer=told) == OK
    assert sum(asked.move != "confirm" for asked, _ in records()) == 6
    assert told.header.planned == ALL + 2 + 3 >= len(records()), "all three who are confirmed may be others now"
    told_of = Path("runs/small/report.html").read_text(encoding="utf-8")
    assert "The search went on after #4 had been judged on the test split; trials since then: 2" in told_of
    assert json.loads(Path("runs/small/environment.json").read_text(encoding="utf-8"))["trials"] == 6
    assert all(record is not None for _, record in records())


def test_weights_that_moved_are_read_where_they_are_now(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(wanted: str, path: str | None, **conditions: Any) -> Extractor:
        return Extractor("random", path, None)

    monkeypatch.setattr("trainables.scores.extractors.resolve_extractor", resolve)
    assert running("scores.inception_weights=here.pth") == OK
    assert running("scores.inception_weights=there.pth") == OK
    resolved = load_study(Path("runs/small/study.yaml")).resolved
    assert resolved is not None and resolved.inception_weights == "there.pth"


def test_fresh_sets_the_earlier_run_aside(running: Running) -> None:
    assert running() == OK
    assert running(fresh=True) == OK
    aside = [path for path in Path("runs").iterdir() if path.name != "small"]
    assert len(aside) == 1 and len(records(aside[0])) == len(records()) == ALL


def test_other_images_than_the_run_began_with_are_refused(running: Running) -> None:
    assert running() == OK
    study = load_study("runs/small/study.yaml").to_yaml()
    fingerprint = json.loads(Path("runs/small/environment.json").read_text(encoding="utf-8"))["fingerprint"]
    Path("runs/small/study.yaml").write_text(study.replace(fingerprint, "0" * len(fingerprint)), encoding="utf-8")
    with pytest.raises(StudyError, match="not those that this run began with"):
        running()


def test_a_second_driver_is_refused_and_disturbs_nothing(running: Running) -> None:
    held = Lease(Path("runs/small"))
    with pytest.raises(RunError, match=rf"process {os.getpid()} .*is driving this run already"):
        running()
    held.check()
    held.release()
    assert running() == OK
    held = Lease(Path("runs/small"))
    with pytest.raises(RunError, match="is driving this run already"):
        running(fresh=True)
    assert len(records()) == ALL
    held.release()


def test_an_overtaken_driver_stops_in_the_middle(running: Running) -> None:
    def overtake(asked: Asked) -> None:
        if asked.trial == 2:
            lease = json.loads(Path("runs/small/lease.json").read_text(encoding="utf-8"))
            write_json(Path("runs/small/lease.json"), lease | {"epoch": lease["epoch"] + 1, "token": "other", "released": True})

    with pytest.raises(RunError, match="taken over"):
        running(observer=Told(overtake))
    assert [record is not None for _, record in records()] == [True, True, False]
    assert running() == OK
    assert [record.state for _, record in records() if record] == ["complete"] * ALL


@pytest.mark.parametrize(
    "ask", [lambda: request_stop(Path("runs/small")), lambda: os.kill(os.getpid(), signal.SIGINT), lambda: os.kill(os.getpid(), signal.SIGTERM)]
)
def test_a_stopped_study_says_the_line_that_continues_it(running: Running, monkeypatch: pytest.MonkeyPatch, ask: Callable[[], None]) -> None:
    monkeypatch.setattr("search.execution.driver.LOOK_S", 0.0)
    before = signal.getsignal(signal.SIGINT)
    told = Told(lambda asked: ask() if asked.trial == 2 else None)
    assert running(observer=told) == INTERRUPTED
    assert told.reason.endswith("Continue with: tundish run small.yaml")
    assert [record is not None for _, record in records()] == [True, True, False]
    assert signal.getsignal(signal.SIGINT) is before
    assert running() == OK


def test_a_full_store_stops_the_study_and_loses_nothing(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from trainables.store import Store

    original = Store._write
    full = threading.Event()

    def write(self: Store, path: str, data: bytes, *, flush: bool = False) -> None:
        if full.is_set() and path.startswith("inspector"):
            raise StoreError(f"{self.root}/{path}: cannot be written ({os.strerror(errno.ENOSPC)}).\n  Free some space")
        original(self, path, data, flush=flush)

    monkeypatch.setattr(Store, "_write", write)
    told = Told(lambda asked: full.set() if asked.trial == 2 else None)
    with pytest.raises(StoreError, match=r"No space left(.|\n)*Free some space"):
        running(observer=told)
    assert "Continue with" in told.reason
    assert [record is not None for _, record in records()] == [True, True, False], "the trial is not failed, but run again"
    full.clear()
    assert running() == OK
    assert [record.state for _, record in records() if record] == ["complete"] * ALL


def test_a_study_that_is_refused_leaves_no_run(running: Running) -> None:
    with pytest.raises(DatasetError, match="images_per_class"):
        running("data.images_per_class=500")
    assert list(Path("runs").iterdir()) == []
    assert running() == OK
    with pytest.raises(DatasetError, match="images_per_class"):
        running("study=other", "data.images_per_class=500")
    assert len(records()) == ALL, "a run that was begun stays as it is"


def test_a_disk_too_full_for_the_report_keeps_the_trials(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("reports.page.write_whole", full)
    with pytest.raises(RecordError, match=r"report\.html: cannot be written \(No space left(.|\n)*tundish report runs/small"):
        running()
    assert [record.state for _, record in records() if record] == ["complete"] * ALL
    monkeypatch.undo()


def test_trials_that_diverge_do_not_stop_a_study(running: Running) -> None:
    assert running("search.trials=5", function="failing_trials:sometimes") == OK
    states = {asked.trial: (record.state, record.failure) for asked, record in records() if record}
    assert states[1] == ("failed", "diverged") and states[2] == ("complete", None)


def test_a_study_without_success_fails(running: Running) -> None:
    told = Told()
    assert running(observer=told, function="failing_trials:always") == FAILED
    assert "no trial with synthetic images succeeded" in told.reason
    assert {record.failure for asked, record in records() if record and asked.recipe["generator"]} == {"error"}


def test_a_report_is_refreshed_meanwhile(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("search.execution.driver.refresh", lambda ledger: seen.append(len(ledger.records)))
    monkeypatch.setattr("search.runs.refresh.PAUSE_S", 0.01)
    monkeypatch.setenv("FAKE_PAUSE_S", "0.2")
    assert running() == OK
    assert seen[-1] == ALL and len(set(seen)) > 1


def test_refreshing_takes_a_twentieth_of_the_time() -> None:
    from search.runs.refresh import Refresher

    calls: list[float] = []

    def slow() -> None:
        calls.append(time.monotonic())
        time.sleep(0.05)

    changes = iter(range(1, 10**6))
    refresher = Refresher(slow, changes=lambda: next(changes), pause_s=0.01)
    time.sleep(1.5)
    refresher.close()
    assert len(calls) <= 3, "0.05 s of work allow another after 0.95 s"


def test_a_run_that_its_budget_ended_says_so_everywhere_and_goes_on_with_more(running: Running) -> None:
    told = Told()
    assert running("search.trials=9", "search.budget.stops.plateau=1", observer=told) == OK
    assert told.reason.startswith("ended early. search.budget.stops.plateau: ") and "--set search.budget.stops.plateau=..." in told.reason
    moves = [asked.move for asked, _ in records()]
    assert len(moves) < 9 and moves[-3:] == ["confirm"] * 3
    found = summarize(Path("runs/small"))
    assert found["state"] == "ended early" and "plateau" in found["ended"] and found["left"]["trials"] == 0
    assert "The search ended before its trials were through" in Path("runs/small/report.html").read_text(encoding="utf-8")
    assert running("search.trials=9", "search.budget.stops.plateau=1", observer=told) == OK and len(records()) == len(moves)
    assert running("search.trials=9", "search.budget.hours=5", observer=told) == OK and told.reason.startswith("done.")
    assert sum(asked.move != "confirm" for asked, _ in records()) == 9
    assert summarize(Path("runs/small"))["state"] == "finished" and "ended before" not in Path("runs/small/report.html").read_text(encoding="utf-8")


def test_a_budget_that_nothing_here_would_use_is_refused_and_leaves_nothing(running: Running) -> None:
    with pytest.raises(StudyError, match="trials hold no GPU here"):
        running("search.budget.gpu_hours=1")
    assert not Path("runs/small").exists()
