"""Scores with a number each: the limits of a study, and the targets it may stop at. Read for `study_file`, checked like objectives."""

import math
from collections.abc import Mapping
from typing import Any

from search.studies.objectives import Limit, direction_of, mixed_problem, objective_problem
from search.studies.settings import ScoreSettings, possible_extractors
from trainables.scores.names import full_name
from trainables.tasks import TaskName

Problems = list[tuple[str, str]]
"""Dotted names of the study file, and what is wrong."""


def read_limits(given: Any, scores: ScoreSettings, task: TaskName, problems: Problems, *, mixed: bool) -> tuple[Limit, ...]:
    """Reads the section `limits`, `{score: bound}`.

    Args:
        given: what the study file has there.
        scores: settings of the study's scores.
        task: of the study.
        problems: what is wrong is added here.
        mixed: whether pictures are preprocessed in several ways.
    """
    if given is not None and not isinstance(given, Mapping):
        problems.append(("limits", f"expected scores with their bounds, such as inspector_ms_p95: 80, found {given!r}"))
        return ()
    extractors = possible_extractors(scores)
    kept = []
    for score, bound in (given or {}).items():
        if text := bound_problem(score, bound, scores, task, mixed=mixed):
            problems.append((f"limits.{score}", text))
        else:
            full = full_name(score, extractors[0]) if len(extractors) == 1 else score
            kept.append(Limit(score=full, bound=float(bound), direction=direction_of(score)))
    names = [item.score for item in kept]
    problems += [("limits", f"{name} is given twice") for name in dict.fromkeys(names) if names.count(name) > 1]
    return tuple(kept)


def target_problems(target: Mapping[str, float], scores: ScoreSettings, task: TaskName, *, mixed: bool) -> Problems:
    """Says what is wrong with the scores that a search may stop at, `search.budget.stops.target`."""
    found = {score: bound_problem(score, value, scores, task, mixed=mixed) for score, value in target.items()}
    return [(f"search.budget.stops.target.{score}", text) for score, text in found.items() if text]


def bound_problem(score: str, bound: Any, scores: ScoreSettings, task: TaskName, *, mixed: bool) -> str | None:
    """Says what is wrong with a score and its number; None where nothing is."""
    if text := objective_problem(score, None, possible_extractors(scores), task, columns=scores.group_columns):
        return text
    if mixed and (text := mixed_problem(score, task)):
        return text
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
        return f"{bound!r} is not a number"
    return None
