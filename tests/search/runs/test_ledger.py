import errno
import json
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from reports.records import Asked, Record, RecordError, trial_folder, write_whole
from search.runs import ledger as ledger_module
from search.runs.lease import RunError
from search.runs.ledger import Attempts, Ledger, request_stop
from trainables import retries


def asked(number: int) -> Asked:
    return Asked(trial=number, move="explore", reason="a test", params={}, recipe={}, epoch=1, time_s=0.0)


def record(number: int, **changes: Any) -> Record:
    return Record(**{"trial": number, "state": "complete", "started_s": 0.0, "ended_s": 1.0, "epoch": 1} | changes)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "run")
    yield opened
    opened.close()


def reopened(ledger: Ledger) -> Ledger:
    ledger.close()
    return Ledger(ledger.run)


def test_what_was_written_is_found_again(ledger: Ledger) -> None:
    for number in range(3):
        ledger.ask(asked(number))
    ledger.finish(record(1, scores={"val_accuracy": 0.5}))
    again = reopened(ledger)
    assert (again.unfinished(), again.next_number) == ([0, 2], 3)
    assert again.records[1].scores == {"val_accuracy": 0.5}
    assert again.lease.epoch == ledger.lease.epoch + 1
    again.close()


def test_a_run_that_never_began_leaves_nothing(ledger: Ledger) -> None:
    write_whole(ledger.run / "environment.json", b"{}")
    ledger.withdraw()
    assert not ledger.run.exists()
    begun = Ledger(ledger.run)
    begun.ask(asked(0))
    begun.withdraw()
    assert trial_folder(ledger.run, 0).is_dir() and (ledger.run / "lease.json").exists()


def test_a_folder_that_was_moved_away_is_asked_again(ledger: Ledger) -> None:
    for number in range(3):
        ledger.ask(asked(number))
    trial_folder(ledger.run, 1).rename(ledger.run / "away")
    again = reopened(ledger)
    assert again.next_number == 1
    again.close()


def test_a_damaged_record_names_its_cure_and_frees_the_run(ledger: Ledger) -> None:
    ledger.ask(asked(0))
    (trial_folder(ledger.run, 0) / "record.json").write_text("{", encoding="utf-8")
    ledger.close()
    for _ in range(2):
        with pytest.raises(RecordError, match=r"record\.json(.|\n)*Move the folder"):
            Ledger(ledger.run)


def test_the_first_end_of_a_trial_stands(ledger: Ledger) -> None:
    ledger.ask(asked(0))
    ledger.finish(record(0))
    later = ledger.finish(record(0, state="failed", failure="error"))
    assert later.state == "complete"
    again = reopened(ledger)
    assert again.records[0].state == "complete"
    again.close()


def test_attempts_are_counted_on_disk(ledger: Ledger) -> None:
    ledger.ask(asked(0))
    ledger.begin(0)
    ledger.lose(0)
    again = reopened(ledger)
    again.begin(0)
    assert again.attempts(0) == Attempts(begun=2, lost=1)
    again.close()


def test_a_torn_step_goes_when_the_trial_begins_again(ledger: Ledger) -> None:
    ledger.ask(asked(0))
    ledger.step(0, {"stage": "data", "kimg": None})
    path = trial_folder(ledger.run, 0) / "steps.jsonl"
    with path.open("a", encoding="utf-8") as file:
        file.write('{"stage": "gen')
    ledger.begin(0)
    ledger.step(0, {"stage": "scores", "kimg": 1.0})
    assert [json.loads(line)["stage"] for line in path.read_text(encoding="utf-8").splitlines()] == ["data", "scores"]


def test_a_full_disk_is_one_clear_message(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "/runs/x/record.json")

    ledger.ask(asked(0))
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "write_record", full)
        with pytest.raises(RunError, match=r"/runs/x/record\.json: cannot be written \(No space left(.|\n)*Free some space(.|\n)*it continues"):
            ledger.finish(record(0))
    again = reopened(ledger)
    assert again.unfinished() == [0], "a trial whose end could not be written is run again"
    again.close()


def test_an_overtaken_driver_writes_nothing(ledger: Ledger) -> None:
    ledger.ask(asked(0))
    lease = json.loads((ledger.run / "lease.json").read_text(encoding="utf-8"))
    (ledger.run / "lease.json").write_text(json.dumps(lease | {"epoch": 9, "token": "other"}), encoding="utf-8")
    for write in (lambda: ledger.ask(asked(1)), lambda: ledger.finish(record(0)), lambda: ledger.step(0, {}), lambda: ledger.begin(0)):
        with pytest.raises(RunError, match="taken over"):
            write()
    assert not trial_folder(ledger.run, 1).exists()
    assert sorted(path.name for path in trial_folder(ledger.run, 0).iterdir()) == ["asked.json"]


def test_a_run_can_be_asked_to_stop(ledger: Ledger) -> None:
    assert not ledger.stop_wanted()
    request_stop(ledger.run)
    assert ledger.stop_wanted()
    again = reopened(ledger)
    assert not again.stop_wanted(), "what was asked of an earlier driver is not asked of the next"
    again.close()


def failing(times: int, act: Callable[..., Any], code: int = errno.EIO) -> Callable[..., Any]:
    """Fails some times before it acts."""
    left = [times]

    def failed(*given: Any, **more: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise OSError(code, os.strerror(code), "/runs/x")
        return act(*given, **more)

    return failed


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "WAITS_S", (0.0,) * 4)


@pytest.mark.usefixtures("impatient")
def test_a_disk_that_fails_for_a_moment_is_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, act in (
        ("write_record", lambda: ledger.ask(asked(0))),
        ("append_whole", lambda: ledger.step(0, {"stage": "data"})),
        ("_count", lambda: ledger.begin(0)),
        ("read_record", lambda: ledger.finish(record(0))),
    ):
        monkeypatch.setattr(ledger_module, name, failing(4, getattr(ledger_module, name)))
        act()
    monkeypatch.setattr(Path, "read_text", failing(4, Path.read_text))
    ledger.lease.check()
    assert ledger.steps(0) == [{"stage": "data"}] and ledger.attempts(0).begun == 1
    monkeypatch.setattr(ledger_module, "trial_numbers", failing(4, ledger_module.trial_numbers))
    again = reopened(ledger)
    assert again.unfinished() == [] and again.records[0].state == "complete"
    again.close()


@pytest.mark.usefixtures("impatient")
def test_a_disk_that_goes_on_failing_is_one_clear_message(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.ask(asked(0))
    monkeypatch.setattr(ledger_module, "write_record", failing(99, ledger_module.write_record))
    said = r"/runs/x: cannot be written \(Input/output error\). Every finished trial is kept(.|\n)*See to the disk(.|\n)*it continues"
    with pytest.raises(RunError, match=said):
        ledger.finish(record(0))
    monkeypatch.setattr(Path, "read_text", failing(99, Path.read_text))
    with pytest.raises(RunError, match=r"lease\.json: cannot be read \(Input/output error\)(.|\n)*it continues"):
        ledger.lease.check()
    assert not ledger.stop_wanted()
    ledger.close()


@pytest.mark.usefixtures("impatient")
def test_a_lasting_refusal_is_not_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries.time, "sleep", lambda _: pytest.fail("waiting makes no room"))
    monkeypatch.setattr(ledger_module, "write_record", failing(99, ledger_module.write_record, errno.EROFS))
    with pytest.raises(RunError, match=r"Read-only file system(.|\n)*Make it readable and writable"):
        ledger.ask(asked(0))
    assert ledger.asked == {}


def test_a_step_that_found_no_room_leaves_no_half_line(ledger: Ledger) -> None:
    """A limit on the size of files cuts a write off in its middle, as a full disk does."""
    ledger.ask(asked(0))
    ledger.step(0, {"stage": "data"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(RunError, match=r"File too large(.|\n)*ulimit -f"):
            ledger.step(0, {"stage": "x" * 600})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    ledger.step(0, {"stage": "scores"})
    assert [step["stage"] for step in ledger.steps(0)] == ["data", "scores"]


def test_what_a_killed_driver_left_is_cleared_when_the_trial_begins_again(ledger: Ledger) -> None:
    ledger.ask(asked(0))
    folder = trial_folder(ledger.run, 0)
    (folder / "record.json.0123.part").write_bytes(b"{")
    (folder / "attempts.json").write_bytes(b"\0\0")
    (folder / "steps.jsonl").write_bytes(b'{"stage": "data"}\n\0\0\0\n{"stage": "gen')
    assert ledger.steps(0) == [{"stage": "data"}]
    assert ledger.begin(0) == Attempts(begun=1)
    assert sorted(path.name for path in folder.iterdir()) == ["asked.json", "attempts.json", "steps.jsonl"]
