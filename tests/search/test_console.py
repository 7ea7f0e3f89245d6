import io
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from reports.records import Asked, Record
from reports.run import Trial
from search.console import Console, Header, clock
from search.runs.status import describe, standing
from search.spending.forecast import Forecast, Range
from trainables.progress import Progress


def _asked(trial: int, move: str = "explore", family: str | None = "dcgan", **rest: Any) -> Asked:
    recipe: dict[str, Any] = {"inspector": {"kind": "fcn"}, "generator": None, "synthesis": None}
    if family:
        recipe["generator"] = {"family": family, "kimg": 2.0}
        recipe["synthesis"] = {"amount": {"kind": "fraction", "value": 0.25}}
    return Asked(trial=trial, move=move, reason="a test", params={"baseline": "plain"}, recipe=recipe, epoch=1, time_s=0.0, **rest)


def _record(trial: int, state: str = "complete", **rest: Any) -> Record:
    return Record(trial=trial, state=state, started_s=0.0, ended_s=60.0, epoch=1, **rest)  # type: ignore[arg-type]


HEADER = Header(study="welds", run="runs/welds", objectives=[("val_accuracy", "maximize")], planned=10, workers=2, facts={"data": "6 classes"})


def _pair(trial: int, value: float | None, move: str = "explore", family: str | None = "dcgan") -> Trial:
    return Trial(_asked(trial, move, family), _record(trial, scores={"val_accuracy": value}))


def test_best_and_baseline_are_finished_searched_trials_alone() -> None:
    trials = [
        _pair(0, 0.6, "baseline", None),
        _pair(1, 0.7, "baseline", None),
        _pair(2, 0.8),
        _pair(3, 0.75),
        _pair(4, None),
        _pair(5, 0.99, "confirm"),
        Trial(_asked(6), _record(6, "pruned", scores={"val_accuracy": 0.95})),
        Trial(_asked(7), None),
    ]
    now = standing(trials, "val_accuracy", "maximize")
    assert now.best is not None and now.best.number == 2
    assert now.baseline is not None and now.baseline.number == 1
    assert now.gain == pytest.approx(0.1)
    worse = standing(trials, "val_accuracy", "minimize")
    assert worse.best is not None and worse.best.number == 3 and worse.gain == pytest.approx(-0.15)


def test_an_alarm_is_held_against_an_alarm() -> None:
    """A baseline names no unseen class: its harmonic mean counts an alarm as a name, so that only alarms compare."""

    def scored(trial: int, names: float, alarms: float, **rest: Any) -> Trial:
        return Trial(_asked(trial, **rest), _record(trial, scores={"val_harmonic_mean": names, "val_alarm_harmonic_mean": alarms}))

    now = standing([scored(0, 0.95, 0.95, move="baseline", family=None), scored(1, 0.7, 0.9), scored(2, 0.6, 0.99)], "val_harmonic_mean", "maximize")
    assert now.best is not None and now.best.number == 1 and now.weighed == "val_alarm_harmonic_mean"
    assert now.gain == pytest.approx(-0.05)


def test_a_standing_without_either_side_has_no_gain() -> None:
    assert standing([_pair(0, 0.6, "baseline", None)], "val_accuracy", "maximize").gain is None
    assert standing([], "val_accuracy", "maximize").gain is None


def test_a_trial_is_described_in_a_few_words() -> None:
    assert describe(_asked(1)) == "dcgan 2 kimg, 25 % synthetic, fcn"
    assert describe(_asked(1, "baseline", None)) == "real only (plain) + fcn"


def test_a_log_gets_header_failures_and_a_summary_but_no_control_characters() -> None:
    out = io.StringIO()
    console = Console(file=out)
    console.started(HEADER)
    console.asked(_asked(0, "baseline", None))
    console.progress(0, Progress(stage="inspector"))
    console.finished(_asked(0, "baseline", None), _record(0, scores={"val_accuracy": 0.6}))
    console.asked(_asked(1))
    console.finished(_asked(1), _record(1, "failed", failure="diverged", message="loss is nan [/bold]"))
    console.finished(_asked(2), _record(2, scores={"val_accuracy": 0.65}))
    console.stopped("Continue with: tundish run welds.yaml")
    text = out.getvalue()
    assert "welds" in text and "val_accuracy up" in text and "6 classes" in text
    assert "#1 failed: diverged (loss is nan [/bold]) -> runs/welds/trials/00001" in text
    assert "[  3/10]" in text and "done 2" in text and "failed 1" in text
    assert "best 0.650 (#2 dcgan 2 kimg, 25 % synthetic, fcn)" in text and "real only 0.600 (#0)" in text and "+0.050" in text
    assert text.rstrip().endswith("Continue with: tundish run welds.yaml")
    assert "\x1b" not in text


def test_a_terminal_gets_a_live_table_of_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    out = Terminal()
    console = Console(file=out)
    console.started(HEADER)
    console.asked(_asked(3, "reuse", parent=2))
    console.progress(3, Progress(stage="generator", kimg=1.25))
    deadline = time.monotonic() + 10
    while "generator 1.2 kimg" not in out.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    console.stopped("done")
    assert "reuse of #2" in out.getvalue() and "dcgan 2 kimg" in out.getvalue()


def test_a_log_gets_a_line_a_period_while_nothing_happens() -> None:
    out = io.StringIO()
    console = Console(file=out, quiet_period_s=0.05)
    console.started(HEADER)
    console.asked(_asked(0))
    console.progress(0, Progress(stage="generator", kimg=1.25))
    deadline = time.monotonic() + 10
    while out.getvalue().count("running 1 (generator 1)") < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    console.stopped("done")
    assert out.getvalue().count("running 1 (generator 1)") >= 2


def _foreseen(finished: Sequence[tuple[Asked, Record]]) -> Forecast | None:
    """As many hours as trials have ended, and twice as many; nothing before the first."""
    hours = Range(len(finished), 1.5 * len(finished), 2.0 * len(finished))
    return Forecast(trials=6, hours=hours, gpu_hours=hours, disk_gib=None, from_trials=len(finished)) if finished else None


def test_what_is_left_is_foreseen_from_the_trials_of_all_starts() -> None:
    out = io.StringIO()
    console = Console(file=out)
    earlier = [(_asked(trial), _record(trial, scores={"val_accuracy": 0.5})) for trial in range(3)]
    console.started(replace(HEADER, finished=earlier, left=_foreseen, used=lambda: "2.0 h of 8.0 h"))
    console.finished(_asked(3), _record(3, scores={"val_accuracy": 0.5}))
    console.stopped("done")
    assert "continues after 3 finished trials" in out.getvalue()
    assert "[  4/10]" in out.getvalue() and "left 4.0 h to 8.0 h" in out.getvalue() and "used 2.0 h of 8.0 h" in out.getvalue()


def test_nothing_is_said_of_what_cannot_be_foreseen() -> None:
    out = io.StringIO()
    console = Console(file=out)
    console.started(replace(HEADER, left=_foreseen))
    console.stopped("done")
    assert "left" not in out.getvalue() and "used" not in out.getvalue()


def test_what_was_stopped_what_looks_wrong_and_whom_rungs_mislead_is_said() -> None:
    out = io.StringIO()
    console = Console(file=out, quiet_period_s=60)
    console.started(replace(HEADER, workers=1))
    for trial in range(8):
        asked = replace(_asked(trial), params={"generator.family": "dcgan", "generator.kimg": 2.0, "generator.dcgan.lr": trial})
        console.asked(asked)
        console.finished(asked, _record(trial, scores={"val_accuracy": 0.1 * trial}, rungs={"2": 0.1 * trial}))
    console.finished(_asked(8), _record(8, "pruned", message="stopped at 2 kimg: 5 of 7 stand better", rungs={"2": 9.0}))
    console.finished(_asked(9), _record(9, health={"memorised": "90% of the synthetic images are copies"}))
    console.finished(_asked(10), _record(10, health={"memorised": "91% of the synthetic images are copies"}))
    console.finished(_asked(11, family="gan"), _record(11, health={"memorised": "92% of the synthetic images are copies"}))
    console.stopped("done.")
    said = out.getvalue()
    assert "#8 stopped at 2 kimg: 5 of 7 stand better" in said and "#9 90% of the synthetic images are copies" in said
    assert "#10" not in said and "#11 92% of" in said, "once for a family"
    assert "trials that look wrong: dcgan memorised 2, gan memorised 1; the report lists them" in said
    assert "rung scores: dcgan weak, so that none is stopped by it (rank correlation -1.00" in said


def test_a_trial_that_breaks_a_limit_is_never_the_best() -> None:
    out = io.StringIO()
    console = Console(file=out)
    console.started(replace(HEADER, keeps=lambda record: record.trial != 1))
    for trial, value in enumerate((0.6, 0.9)):
        console.finished(_asked(trial), _record(trial, scores={"val_accuracy": value}))
    console.stopped("done")
    assert "best 0.600 (#0" in out.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (75, "1:15"), (3725, "1:02:05")])
def test_seconds_become_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_lost_worker_is_told_in_a_line() -> None:
    out = io.StringIO()
    console = Console(file=out)
    console.started(HEADER)
    console.asked(_asked(3))
    console.lost(_asked(3), "its worker process died (1 of 3)")
    console.stopped("done.")
    said = out.getvalue()
    assert "#3 its worker process died (1 of 3); the trial is run again and goes on from what is stored" in said and "running 1" not in said
