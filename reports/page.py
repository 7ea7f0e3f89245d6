"""The report: one self-contained HTML file with everything a run has shown so far. Called by `search` at the end and now and then during a run.

Nothing is fetched when it is read: plotly.js, pictures and data are inside. The order of the sections is that of the reader's questions: does
it help, what is the trade-off, what do the pictures look like, how did the search come along, what mattered, what failed, how to repeat it.
"""

import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import plotly.io
import plotly.offline
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reports import zero_shot
from reports.compared import compared
from reports.diagnostics import diagnosed
from reports.figures import FIGURES
from reports.figures.amount import fraction
from reports.figures.pareto_front import front_trials
from reports.figures.style import Plot, looks
from reports.gallery import backgrounds, sheets, thumbnails
from reports.growth import earlier_run, growth
from reports.image_sets import set_table
from reports.records import derived, trial_folder, write_whole
from reports.run import EXTRACTOR_WORDS, Run, Trial, is_distance, label, read_run, show
from reports.stopping import signs, stopping_rows
from reports.verdict import Verdict, headline_score, points, verdict

TEMPLATES = Path(__file__).parent / "templates"
ERROR_LINES = 40
"""Last lines of a traceback that the report shows."""


class Drawn(NamedTuple):
    """A plot that has something to show."""

    name: str
    plot: Plot


class Failure(NamedTuple):
    """Failed trials with one name."""

    name: str
    trials: list[Trial]
    message: str
    error: str
    """End of the first one's traceback."""


def write_report(run: Path | Run, *, against: str | Path | None = None) -> Path:
    """Writes `report.html` into a run's folder and gives its path; readers see all of a report or the one before.

    Args:
        run: the run, or its folder.
        against: an earlier run to compare it with; None takes the one that the study's `data.since` names.

    Raises:
        RecordError: a folder is no run, or a file in it is damaged.
    """
    read = run if isinstance(run, Run) else read_run(run)
    read = replace(read, earlier=earlier_run(read, against))
    path = read.folder / "report.html"
    page = render(read).encode()
    with derived(path):
        write_whole(path, page)
    return path


def render(run: Run) -> str:
    """Gives the whole page."""
    drawn, figures = draw(run)
    front = [trial.number for trial in front_trials(run)]
    found = verdict(run)
    gallery = sheets(run)
    thumbs = thumbnails(run, [*front, *(sheet.trial for sheet in gallery)])
    payload = {
        "figures": figures,
        "trials": {trial.number: trial_data(run, trial) for trial in run.trials},
        "thumbs": thumbs,
        "objectives": run.objectives,
        "labels": {name: label(name) for name in score_columns(run)},
        "distances": [name for name in score_columns(run) if is_distance(name)],
    }
    return _template().render(
        run=run,
        verdict=found,
        headline=headline_score(run.objectives),
        tiles=tiles(run),
        plots={item.name: item for item in drawn},
        front=front,
        broken=[(trial, run.broken(trial)) for trial in run.complete() if run.broken(trial)],
        sheets=gallery,
        backgrounds=backgrounds(run),
        failures=failures(run),
        stopping=stopping_rows(run),
        signs=signs(run),
        diagnosed=diagnosed(run),
        compared=compared(run),
        growth=growth(run, run.earlier) if run.earlier is not None else None,
        image_sets=set_table(run, front),
        columns=table_columns(run, found),
        shades=looks(run).shades,
        amounts={trial.number: fraction(run, trial) for trial in run.trials},
        environment=environment_rows(run),
        zero_shot=zero_shot.tables(run),
        zero_shot_columns=list(zero_shot.SCORES.values()),
        extractor=EXTRACTOR_WORDS.get(str(run.environment.get("extractor")), "not recorded"),
        notes=notes(run, found),
        study_text=_text(run.folder / "study.yaml"),
        written=time.strftime("%Y-%m-%d %H:%M:%S"),
        style=_text(TEMPLATES / "report.css"),
        script=_text(TEMPLATES / "report.js"),
        plotly_js=_plotly_js(),
        # "<" would let a name in the data end the script element that carries it.
        payload=json.dumps(payload, allow_nan=False).replace("<", "\\u003c"),
    )


def draw(run: Run) -> tuple[list[Drawn], dict[str, Any]]:
    """Draws every plot that has something to show: those, and their plotly data by name."""
    drawn, figures = [], {}
    for name, target in FIGURES.items():
        module, _, attribute = target.partition(":")
        plot: Plot = getattr(import_module(module), attribute)
        if (info := plot.info(run)) is not None:
            drawn.append(Drawn(name, plot))
            figures[name] = json.loads(plotly.io.to_json(plot.figure(info), validate=False))
    return drawn, figures


def tiles(run: Run) -> list[tuple[str, str]]:
    """Gives the numbers below the verdict, each with what it counts."""
    states = Counter(trial.state for trial in run.trials)
    wanted = f" of {run.wanted}" if run.wanted else ""
    searched = sum(trial.searched and trial.record is not None for trial in run.trials)
    stages = [stage for trial in run.trials if trial.record for stage in trial.record.stages]
    spent = sum(float(stage["seconds"]) for stage in stages if not stage["reused"])
    saved = sum(float(stage["seconds"]) for stage in stages if stage["reused"])
    reusing = sum(any(stage["reused"] and stage["stage"] == "generator" for stage in trial.record.stages) for trial in run.trials if trial.record)
    found = [
        (f"{searched}{wanted}", "trials finished" if not states["running"] else f"trials finished, {states['running']} running"),
        (str(sum(trial.record is not None and not trial.searched and not trial.raced for trial in run.trials)), "confirmed on test"),
        (str(reusing), "trials reused a generator"),
        (duration(spent), "spent in stages"),
        (duration(saved), "saved by reuse"),
    ]
    if states["pruned"]:
        found.insert(1, (str(states["pruned"]), "pruned"))
    if states["failed"]:
        found.insert(1, (str(states["failed"]), "failed"))
    return found


def notes(run: Run, found: Verdict) -> list[str]:
    """Collects what every reader must see before trusting a number."""
    told = [str(note) for note in run.environment.get("notes", [])] + zero_shot.notes(run)
    if run.earlier is None and isinstance(data := run.study.get("data"), Mapping) and data.get("since"):
        told.append(f"The run {data['since']}, which data.since names, is not there or cannot be read: nothing is compared with it.")
    if run.ended is not None:
        told.append(f"The search ended before its trials were through. {run.ended}.")
    judged = min((trial.number for trial in run.complete(searched=False)), default=None)
    if judged is not None and (later := sum(trial.searched and trial.number > judged for trial in run.trials)):
        told.append(
            f"The search went on after #{judged} had been judged on the test split; trials since then: {later}. Nothing read there has chosen a "
            "trial; but who goes on until a verdict pleases will find one that does, which only fresh test images can hold up."
        )
    if found.seeds and found.seeds < 5:
        seeds = f"{found.seeds} seeds of the generator" if "generator" in found.paired else f"{found.seeds} seeds"
        told.append(f"{seeds} make a wide and rough interval; it covers what the seeds change, not which images were tested.")
    rated = sum(trial.family is not None for trial in run.complete())
    if 0 < rated < 30:
        told.append(f"Importance and trends rest on {rated} trials with synthetic images; under 30 they are hints.")
    rated_all = run.complete()
    if rated_all and (broken := len(rated_all) - len(run.keeping(rated_all))):
        told.append(f"{broken} of {len(rated_all)} finished trials break a limit of the study; they are on no front and were not confirmed.")
    for name in run.objectives:
        if is_distance(name) and run.floor(name) is None:
            told.append(f"No floor was recorded for {label(name)}: its values can be compared with each other only.")
    return told


def failures(run: Run) -> list[Failure]:
    """Groups the failed trials by the name of their failure, most frequent first."""
    groups: dict[str, list[Trial]] = {}
    for trial in run.trials:
        if trial.record and trial.record.state == "failed":
            groups.setdefault(trial.record.failure or "error", []).append(trial)
    found = []
    for name, trials in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        first = trials[0]
        error = _text(trial_folder(run.folder, first.number) / "error.txt")
        message = (first.record.message if first.record else None) or ""
        found.append(Failure(name, trials, message, "\n".join(error.splitlines()[-ERROR_LINES:])))
    return found


def score_columns(run: Run) -> list[str]:
    """Lists every score and cost that a trial of the run has: objectives, other scores, costs."""
    found = {name for trial in run.trials if trial.record for name in trial.record.scores}
    names = sorted(found, key=lambda name: (not name.startswith(("val_", "test_")), name))
    return list(dict.fromkeys([*run.objectives, *names]))


def table_columns(run: Run, found: Verdict) -> list[str]:
    """Chooses the scores of the table of trials: the objectives, accuracy and macro-F1, the test score, the time."""
    names = set(score_columns(run))
    wanted = [*run.objectives, "val_accuracy", "val_macro_f1", "val_seen", "val_unseen", "val_unseen_found", "val_auc_unseen", found.score, "trial_s"]
    return [name for name in dict.fromkeys(wanted) if name in names]


def trial_data(run: Run, trial: Trial) -> dict[str, Any]:
    """Gives what the page's script shows of a trial when it is opened."""
    record = trial.record
    data: dict[str, Any] = {
        "title": trial.title(),
        "state": trial.state,
        "move": trial.asked.move,
        "reason": trial.asked.reason,
        "parent": trial.asked.parent,
        "params": trial.asked.params,
        "seeds": trial.seeds,
        "seed": trial.asked.recipe.get("seed"),
    }
    if record is not None:
        data |= {
            "scores": {name: value for name, value in record.scores.items() if value is not None},
            "floors": {name: floor for name in record.scores if is_distance(name) and (floor := run.floor(name)) is not None},
            "confusion": record.confusion,
            "classes": record.classes,
            "conditions": record.conditions,
            "stages": record.stages,
            "failure": record.failure,
            "message": record.message,
            "attempts": record.attempts,
            "rungs": record.rungs,
            "health": record.health,
        }
    return data


def environment_rows(run: Run) -> list[tuple[str, str]]:
    """Lists what is needed to repeat the run."""
    told = run.environment
    versions = told.get("versions")
    rows = {
        "Study seed": told.get("seed", run.study.get("seed")),
        "Data set": told.get("dataset"),
        "Data fingerprint": told.get("fingerprint"),
        "Protocol": told.get("protocol"),
        "Extractor": told.get("extractor"),
        "Extractor weights, SHA-256": told.get("extractor_hash"),
        "Precision": told.get("precision"),
        "Device": told.get("device"),
        "Code": told.get("git"),
        "Versions": ", ".join(f"{name} {version}" for name, version in versions.items()) if isinstance(versions, Mapping) else None,
    }
    return [(name, "not recorded" if value is None else str(value)) for name, value in rows.items() if value is not None or "weights" not in name]


def chance(p: float | None) -> str:
    """Writes a p value."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def duration(seconds: float) -> str:
    """Writes a time the way people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


@functools.cache
def _template() -> Any:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    filters: dict[str, Callable[..., str]] = {
        "label": label,
        "show": show,
        "points": points,
        "percent": lambda share: f"{share:.0%}",
        "chance": chance,
    }
    environment.filters.update(filters)
    return environment.get_template("report.html.j2")


@functools.cache
def _plotly_js() -> str:
    script = str(plotly.offline.get_plotlyjs())
    return script.replace("</script", "<\\/script")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
