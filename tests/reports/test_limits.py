"""What the report makes of a study's limits."""

import json
from collections.abc import Callable
from pathlib import Path

from reports.figures import hypervolume, pareto_front
from reports.page import notes, render
from reports.run import Run, read_run
from reports.verdict import verdict
from search.runs.status import summarize


def limited(fake_run: Callable[..., Path], folder: Path, limits: dict[str, dict[str, float]], **changes: bool) -> Run:
    """Makes a run whose environment names limits."""
    made = fake_run(folder / "steel", pictures=False, **changes)
    path = made / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "limits": limits}), encoding="utf-8")
    return read_run(made)


def test_trials_that_break_a_limit_are_drawn_apart_with_the_reason(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    free = limited(fake_run, tmp_path / "free", {})
    before = pareto_front.info(free)
    assert before is not None and before.broken == [] and len(before.front) > 1
    best = max(before.front, key=lambda number: free.trials[number].score("val_accuracy") or 0.0)
    bound = free.trials[best].score("val_recall.patches") or 0.0
    run = limited(fake_run, tmp_path / "bound", {"val_recall.patches": {"at_least": bound + 1e-6}, "trial_s": {"at_most": 40.0}})
    info = pareto_front.info(run)
    assert info is not None and best in info.broken and not set(info.front) & set(info.broken)
    assert len(info.points) == len(before.points), "they are still drawn"
    hover = next(point.hover for point in info.points if point.trial == best)
    assert "breaks a limit: validation recall, patches" in hover and "is below" in hover
    assert "breaks a limit" in [trace.name for trace in pareto_front.figure(info).data]
    assert run.broken(run.trials[best]) and not any("time of all stages" in text for text in run.broken(run.trials[best]))
    page = render(run)
    assert "On no front, because a limit is broken" in page and "On no front" not in render(free)
    assert any("break a limit of the study" in note for note in notes(run, verdict(run)))
    volumes = hypervolume.info(run)
    assert volumes is not None and not set(volumes.trials) & set(info.broken)


def test_neither_best_nor_verdict_is_one_that_breaks_a_limit(fake_run: Callable[..., Path], tmp_path: Path) -> None:
    run = limited(fake_run, tmp_path, {"generator_s": {"at_most": 1.0}})
    found = verdict(run)
    assert found.best is None and found.baseline is not None and found.kind == "unconfirmed"
    told = summarize(run.folder)
    assert told["best"] is None and told["baseline"] is not None
