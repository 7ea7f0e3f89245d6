"""Where a run stands, from its files alone: counts, the best so far, the real-only baseline. For the console, `status` and `runs`."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from reports.records import Asked
from reports.run import Run, Trial, better, read_run
from reports.verdict import weighed_score
from search.runs.lease import holder, is_alive
from search.spending.budget import used_before
from search.spending.ending import read_ended
from search.spending.forecast import forecast
from search.spending.took import parallelism, todo, took
from search.studies.study import StudyError
from search.studies.study_file import load_study


class Standing(NamedTuple):
    """The best trial with synthetic images beside the best on real images alone, by one objective on validation."""

    score: str
    direction: str
    weighed: str
    """The score that both sides can be held to: `score`, but of the alarm where baselines can name no unseen class (`reports.verdict`)."""
    best: Trial | None
    """By `score`."""
    baseline: Trial | None
    """By `weighed`."""

    @property
    def gain(self) -> float | None:
        """By how much the best is better than the baseline in what both can be held to, positive where it is; null until there are both."""
        values = [trial.score(self.weighed) for trial in (self.best, self.baseline) if trial is not None]
        if len(values) < 2 or values[0] is None or values[1] is None:
            return None
        return better(values[0], self.direction) - better(values[1], self.direction)


def standing(trials: Iterable[Trial], score: str, direction: str) -> Standing:
    """Compares the finished trials of a run by one objective.

    Trials of the confirmation enter neither side: they repeat settings under other seeds, so that luck would count twice.
    """
    searched = [trial for trial in trials if trial.searched]
    weighed = weighed_score(score, (trial.record.scores for trial in searched if trial.record is not None))
    best = _leading([trial for trial in searched if trial.family is not None], score, direction)
    baseline = _leading([trial for trial in searched if trial.family is None], weighed, direction)
    return Standing(score=score, direction=direction, weighed=weighed, best=best, baseline=baseline)


def _leading(trials: Sequence[Trial], score: str, direction: str) -> Trial | None:
    """Finds the first of the best; None where none has the score."""
    valued = [(trial, value) for trial in trials if (value := trial.score(score)) is not None]
    return max(valued, key=lambda pair: better(pair[1], direction), default=(None, 0.0))[0]


def describe(asked: Asked) -> str:
    """Says in a few words what a trial tries: its baseline, or generator, amount and inspector."""
    inspector = asked.recipe["inspector"]["kind"]
    if (preprocess := asked.recipe.get("preprocess") or {}).get("kind") == "patches":
        inspector = f"{inspector}, patches {preprocess['grid']}"
    if (generator := asked.recipe.get("generator")) is None:
        return f"real only ({asked.params.get('baseline', 'plain')}) + {inspector}"
    amount = asked.recipe["synthesis"]["amount"]
    how_many = {
        "fraction": f"{100 * amount['value']:.0f} % synthetic",
        "per_class": f"{amount['value']:.0f} a class",
        "multiple": f"{amount['value']:g} x real",
        "top_up_to": f"up to {amount['value']:.0f} a class",
        "balance": "balanced",
    }[amount["kind"]]
    return f"{generator['family']} {generator['kimg']:g} kimg, {how_many}, {inspector}"


def summarize(folder: Path) -> dict[str, Any]:
    """Says where a run stands as plain data, the shape of `status --json`.

    Raises:
        RecordError: the folder is no run, or a file in it is damaged.
        RunError: its lease is damaged.
    """
    run = read_run(folder)
    driver = holder(folder)
    alive = driver is not None and is_alive(driver, time.time())
    states = [trial.state for trial in run.trials if trial.searched]
    score, direction = next(iter(run.objectives.items()))
    now = standing(run.keeping(run.trials), score, direction)
    ended = read_ended(folder)
    return {
        "run": str(folder),
        "study": run.name,
        "state": "running" if alive else _ended(run, ended is not None),
        "ended": ended["reason"] if ended is not None else None,
        "left": _left(run, closed=ended is not None),
        "driver": {"pid": driver.pid, "host": driver.host} if driver is not None and alive else None,
        "planned": run.wanted,
        "trials": {
            **{state: states.count(state) for state in ("complete", "pruned", "failed")},
            "running": states.count("running") if alive else 0,
            # Nobody is at work on these; they are run again when the study continues.
            "unfinished": 0 if alive else states.count("running"),
        },
        "confirmations": sum(trial.state == "complete" for trial in run.trials if not trial.searched),
        "objectives": dict(run.objectives),
        "best": _leader(now.best, score),
        "baseline": _leader(now.baseline, now.weighed),
        "gain": now.gain,
        "gain_in": now.weighed,
        "failures": [_failure(trial) for trial in run.trials if trial.record is not None and trial.record.state == "failed"],
        "report": str(folder / "report.html") if (folder / "report.html").exists() else None,
    }


def _left(run: Run, *, closed: bool) -> dict[str, Any] | None:
    """Foresees what is left, as the console does; None where nothing is known of it, or the study cannot be read here."""
    try:
        study = load_study(run.folder / "study.yaml")
    except StudyError:
        return None
    records = [trial.record for trial in run.trials if trial.record is not None]
    own = [took(trial.asked, trial.record) for trial in run.trials if trial.record is not None]
    gpus = max((record.gpus for record in records), default=0.0)
    found = forecast(study, todo(study, own, closed=closed), own, workers=parallelism(records), gpus=gpus)
    if found is None:
        return None
    hours, gpu_hours = used_before(records)
    ranges = {"hours": found.hours, "gpu_hours": found.gpu_hours, "disk_gib": found.disk_gib}
    left = {name: list(value) if value is not None else None for name, value in ranges.items()}
    return {"trials": found.trials, **left, "used": {"hours": hours, "gpu_hours": gpu_hours}}


def _ended(run: Run, early: bool) -> str:
    """Tells a run that has done what it was asked, or what its budget allowed, from one that was interrupted."""
    if early and not run.running:
        return "ended early"
    finished = [trial for trial in run.trials if trial.record is not None]
    searched = sum(trial.searched for trial in finished)
    return "finished" if len(finished) == len(run.trials) and run.wanted is not None and searched >= run.wanted else "interrupted"


def _leader(trial: Trial | None, score: str) -> dict[str, Any] | None:
    return None if trial is None else {"trial": trial.number, "what": describe(trial.asked), "score": score, "value": trial.score(score)}


def _failure(trial: Trial) -> str:
    assert trial.record is not None
    return f"#{trial.number} {trial.record.failure}" + (f": {trial.record.message}" if trial.record.message else "")
