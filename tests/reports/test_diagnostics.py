"""The table of what synthetic images can stand for: confirmed trials alone, with their conditions."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reports.diagnostics import diagnosed
from reports.page import render
from reports.run import Run, Trial, read_run


def looked_at(run: Run) -> Run:
    """Gives every trial with synthetic images the two numbers, and one of them another protocol."""

    def told(trial: Trial) -> Trial:
        if trial.family is None or trial.record is None or trial.record.state != "complete":
            return trial
        scores = {**trial.record.scores, "val_tstr_accuracy": 0.5 + trial.number / 1000, "val_trts_accuracy": None}
        conditions = {**trial.record.conditions, "diagnostics_images": 120, **({"replaces": "defects"} if trial.number % 2 else {})}
        return trial._replace(record=replace(trial.record, scores=scores, conditions=conditions))

    return replace(run, trials=tuple(told(trial) for trial in run.trials))


def test_confirmed_trials_are_listed_with_their_conditions(tmp_path: Path, fake_run: Callable[..., Path]) -> None:
    run = read_run(fake_run(tmp_path / "run", trials=8))
    assert diagnosed(run) == [] and "stand for real ones" not in render(run)
    seen = looked_at(run)
    rows = diagnosed(seen)
    confirmed = [trial.number for trial in run.complete(searched=False) if trial.family]
    assert [row.trial.number for row in rows] == sorted(confirmed, reverse=True)
    assert {row.images for row in rows} == {"120"} and {row.replaces for row in rows} == {"nothing", "defects"}
    first = rows[0]
    assert (first.tstr, first.trts, first.own) == (0.5 + first.trial.number / 1000, None, first.trial.score("val_accuracy"))
    assert "strict protocol" in first.conditions
    page = render(seen)
    assert "Can synthetic images stand for real ones?" in page and f"{first.tstr:.3f}" in page
