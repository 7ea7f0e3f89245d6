"""From a run of task zero_shot to the two-stage system of one of its trials, as files: `tundish system RUN --out FOLDER`. Imports torch."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cluster.resources import detect
from reports.records import write_whole
from reports.run import Run, Trial, read_run
from reports.verdict import headline_score, verdict
from search.runs.status import standing
from search.studies.document import read_document
from search.studies.study import Study, StudyError
from search.studies.study_file import load_study
from trainables.errors import SettingsError
from trainables.progress import Progress
from trainables.recipe import InspectorPart, Recipe, Unit
from trainables.settings import from_plain, to_plain
from trainables.store import Store
from trainables.two_stage.training import Built, build_system
from trainables.zero_shot.settings import zero_shot_folds

SCORES = "scores.json"
"""Beside the system's own files: how good it is, and what it was made of."""
DETECTOR = "segdecnet"
"""Kind of the detectors, unless `--set inspector.kind=...` names another: the two-stage paper's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The trial that a system is made of."""

    trial: Trial
    unit: Unit
    """Whose seeds count: the first of its confirmation, where it has one, since its stages are in the store."""
    why: str


def make_system(
    folder: Path, out: Path, *, trial: int | None = None, unseen: Sequence[str] = (), sets: Sequence[str] = (), say: Callable[[str], None]
) -> Built:
    """Trains what the store has not, and writes the system with its scores into a folder.

    Args:
        folder: of the run.
        out: where the system goes: weights.safetensors, system.json, scores.json.
        trial: number of the trial; None takes the winner, chosen on validation.
        unseen: the unseen pair, where the study takes every pair in turn.
        sets: settings of the detectors, `inspector.segdecnet.width=0.25`.
        say: told what goes on, a line at a time.

    Raises:
        StudyError: the run is of another task, has no such trial, or a setting is wrong.
        BadInput: the data set or a setting cannot serve.
    """
    study = load_study(folder / "study.yaml")
    if study.task != "zero_shot" or study.zero_shot is None:
        raise StudyError(
            f"{folder}: its task is {study.task}; a two-stage system begins with a router, which only task: zero_shot makes.\n"
            "  `tundish preset show textures-zero-shot` shows such a study."
        )
    detector = detector_part(sets)
    chosen = choose(read_run(folder), trial)
    # A data set or a store that was moved since is where the run's study file says now.
    recipe = from_plain(Recipe, chosen.trial.asked.recipe)
    recipe = replace(recipe, data=replace(recipe.data, path=study.data.path, attributes=study.data.attributes), judge=True)
    held = unseen_classes(study, recipe, unseen)
    say(f"trial {chosen.trial.title()}: {chosen.why}; unseen: {', '.join(held)}")
    machine, at = detect(), ""
    wanted = study.resources.cpus_per_trial
    device, threads = ("cuda" if machine.gpus else "cpu"), max(1, machine.cpus) if wanted == "auto" else wanted
    for item in build_system(recipe, detector, Store(study.storage.store), unseen=held, unit=chosen.unit, device=device, threads=threads):
        if isinstance(item, Built):
            built = item
        elif isinstance(item, Progress) and (doing := _doing(item)) != at:
            at = doing
            say(doing)
    built.system.save(out)
    story = {"run": str(folder), "trial": chosen.trial.number, "unit": to_plain(chosen.unit), "detector": to_plain(detector)}
    write_whole(out / SCORES, json.dumps(built.measured.to_plain() | {"made_of": story}, indent=2, allow_nan=False).encode())
    return built


def detector_part(sets: Sequence[str]) -> InspectorPart:
    """Reads the detectors' settings from overrides `inspector.<kind>.<name>=value`.

    Raises:
        StudyError: a name is none of an inspector's settings.
    """
    plain = read_document("", "--set", sets).plain
    part = plain.pop("inspector", {})
    kind = part.pop("kind", DETECTOR) if isinstance(part, dict) else None
    settings = part.pop(kind, {}) if isinstance(part, dict) else None
    if plain or part or not isinstance(settings, dict):
        wrong = ", ".join([*plain, *(f"inspector.{name}" for name in part)] if isinstance(part, dict) else ["inspector"])
        raise StudyError(f"--set {wrong}: expected settings of the detectors, for example --set inspector.{DETECTOR}.width=0.25")
    return InspectorPart(kind=str(kind), settings=settings)


def choose(run: Run, number: int | None) -> Chosen:
    """Finds the trial: the one that is named, or the best with a generator, confirmed before not, on validation.

    Raises:
        StudyError: there is no such trial, or it has not come to its end.
    """
    complete = [trial for trial in run.trials if trial.state == "complete"]
    if number is not None:
        named = {trial.number: trial for trial in run.trials}
        if number not in named:
            raise StudyError(f"{run.folder}: there is no trial {number}; finished are {_numbers(complete)}")
        if named[number].state != "complete":
            raise StudyError(f"{run.folder}: trial {number} is {named[number].state}; finished are {_numbers(complete)}")
        return _with_unit(named[number], complete, "as asked for")
    if (best := verdict(run).best) is not None:
        found = next(trial for trial in complete if trial.number == best.trial)
        return Chosen(trial=found, unit=_first_unit(found), why="the winner, confirmed, best on validation")
    score = headline_score(run.objectives)
    leader = standing(complete, score, run.objectives.get(score, "maximize")).best
    if leader is None:
        raise StudyError(f"{run.folder}: no trial with a generator has finished yet.\n  Let the study run on, or name a baseline: --trial 0")
    return _with_unit(leader, complete, "best on validation; not confirmed")


def unseen_classes(study: Study, recipe: Recipe, named: Sequence[str]) -> tuple[str, ...]:
    """Says which classes are unseen: the study's, or one of its pairs.

    Raises:
        StudyError: a study of all pairs, and no pair is named; or classes are named where the study has its own.
    """
    part = study.zero_shot
    assert part is not None and recipe.zero_shot is not None
    if part.unseen == "pairs":
        if len(named) != 2:
            raise StudyError("this study takes every pair of classes in turn, and a system has one: name it, --unseen CLASS --unseen CLASS")
        return tuple(named)
    if named and set(named) != set(part.unseen):
        raise StudyError(
            f"--unseen {', '.join(named)}: the study's unseen classes are {', '.join(part.unseen)}; its router knows all others by images"
        )
    return zero_shot_folds(part, ())[0]


def score_rows(built: Built) -> tuple[list[list[str]], list[list[str]]]:
    """Gives what is printed: a row for each score of the whole, and one for each surface."""
    whole, speed, size = built.measured.whole, built.measured.latency, built.measured.size
    counted = [
        ("wrong routing", whole.wrong_routing, whole.wrong_routing_share, "of all images"),
        ("  unseen surface sent to a detector", whole.missed_unseen, whole.missed_unseen_share, "of images of unseen surfaces"),
        ("  known surface called unseen", whole.false_unseen, whole.false_unseen_share, "of images of known surfaces"),
        ("false alarms", whole.false_alarms, whole.false_alarms_share, "of sound images of known surfaces"),
        ("missed defects", whole.missed_defects, whole.missed_defects_share, "of defective images of known surfaces"),
    ]
    rows = [[name, str(count), _percent(share), of] for name, count, share, of in counted]
    times = f"{speed.median_ms:.1f} ms", f"{speed.p95_ms:.1f} ms"
    rows += [["latency, median and 95th percentile", *times, "one image at a time"]]
    rows += [["size", f"{size.parameters / 1e6:.2f} M", f"{size.bytes / 2**20:.1f} MiB", "numbers that were learned"]]
    surfaces = []
    for name, scores in built.measured.by_surface.items():
        known = name in built.system.router.seen
        counts = [scores.false_alarms, scores.missed_defects] if known else ["-", "-"]
        kind = "known" if known else "unseen"
        surfaces.append([name, kind, str(built.measured.images[name]), str(scores.wrong_routing), *map(str, counts)])
    return rows, surfaces


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _numbers(trials: Sequence[Trial]) -> str:
    return ", ".join(str(trial.number) for trial in trials) or "none"


def _first_unit(trial: Trial) -> Unit:
    try:
        return from_plain(Unit, trial.asked.recipe["units"][0])
    except (KeyError, IndexError, SettingsError) as error:
        raise StudyError(f"trial {trial.number}: its recipe names no unit ({error})") from error


def _with_unit(trial: Trial, complete: Sequence[Trial], why: str) -> Chosen:
    """Takes the seeds of the trial's confirmation, if there is one of these very settings."""
    repeats = [other for other in complete if other.asked.move == "confirm" and other.asked.parent == trial.number]
    same = [other for other in repeats if dict(other.asked.params) == dict(trial.asked.params)]
    return Chosen(trial=trial, unit=_first_unit(same[0] if same else trial), why=why)


def _doing(progress: Progress) -> str:
    """Says in a few words what is going on."""
    words: dict[str, Any] = {"data": "reading the images", "inspector": "training backbone and router", "scores": "asking the router"}
    words |= {
        "system": "looking at the test images",
        "generator": "training the generator",
        "conditioning": "learning class embeddings",
        "pool": "drawing features of unseen classes",
    }
    return str(words.get(progress.stage, f"training the {progress.stage}"))
