"""Files of weights that a study's inspectors begin with: known by their content, so that a run goes on where they were moved.

Called by `search.prepare` when a study starts, by `study_file` when it goes on, and by `recipes` wherever an inspector is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.studies.settings import Resolved
from search.studies.study import Study
from spaces.space import flatten
from trainables.inspectors import FILES
from trainables.recipe import InspectorPart
from trainables.zero_shot.settings import zero_shot_folds


def weight_files(study: Study) -> dict[str, str | None]:
    """Lists the files that a study names, in its space and in the user's own points, with their content hashes; None for one that cannot be read."""
    return {path: _hash(path) for path in _given(study, FILES)}


def start_notes(study: Study, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Says what becomes of the outputs of earlier inspectors that a study's begin with, and why one cannot serve: notes, and problems.

    Args:
        study: whose files can be read.
        names: the classes that the outputs of its inspectors stand for; empty where they stand for none.
    """
    from trainables.inspectors.earlier_classes import change_of
    from trainables.inspectors.local_weights import read_classes

    notes, problems = [], []
    hidden = {cls for fold in zero_shot_folds(study.zero_shot, names) for cls in fold} if study.zero_shot is not None else set()
    for path in _given(study, ("start_from",)):
        then = read_classes(path)
        if then is None or not names:
            continue
        change = change_of(then, names)
        if known := [cls for cls in then if cls in hidden]:
            problems.append(f"start_from: {path} has learned from images of {', '.join(known)}, which this study calls unseen; take another, or none")
        elif not change.kept:
            problems.append(f"start_from: {path} tells {', '.join(then)} apart, of which none is among the classes here: {', '.join(names)}")
        elif change.new or change.dropped:
            told = [f"of {', '.join(change.kept)} go on"]
            told += [f"of {', '.join(change.new)} begin anew"] if change.new else []
            told += [f"of {', '.join(change.dropped)} are dropped, which are no classes here"] if change.dropped else []
            notes.append(f"Inspectors that begin with {path}: its outputs {'; those '.join(told)}.")
    return notes, problems


def _given(study: Study, settings: Sequence[str]) -> list[str]:
    """Lists the files that a study names under some settings, in its space and in the user's own points."""
    given: list[Any] = [value for name, domain in study.space.names().items() if _ends(name, settings) for value in domain.grid(0)]
    for point in study.search.tries:
        given += [value for name, value in flatten(point, study.space.names()) if _ends(name, settings)]
    return [path for path in dict.fromkeys(given) if isinstance(path, str)]


def moved_files(saved: Study, now: Study) -> dict[str, str]:
    """Finds files that were moved since a run began: where each is now -> where it was, by equal content."""
    known = saved.resolved.files if saved.resolved is not None else {}
    was = {content: path for path, content in known.items()}
    return {path: was[content] for path, content in weight_files(now).items() if path not in known and content is not None and content in was}


def with_places(plain: Any, places: Mapping[str, str]) -> Any:
    """Gives plain data with some texts in the place of others."""
    if isinstance(plain, Mapping):
        return {key: with_places(value, places) for key, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [with_places(value, places) for value in plain]
    return places.get(plain, plain) if isinstance(plain, str) else plain


def located(part: InspectorPart, resolved: Resolved | None) -> InspectorPart:
    """Gives an inspector with its files where they are now."""
    if resolved is None or not resolved.moved:
        return part
    here = {name: resolved.moved.get(value, value) for name, value in part.settings.items() if name in FILES and isinstance(value, str)}
    return replace(part, settings={**part.settings, **here})


def changed_files(study: Study) -> list[str]:
    """Lists the files of a run that goes on whose content is another than when it began, by where they are now; also those that are gone."""
    settled = study.resolved
    if settled is None:
        return []
    here = {settled.moved.get(path, path): content for path, content in settled.files.items()}
    return [path for path, content in here.items() if _hash(path) != content]


def _ends(name: str, settings: Sequence[str]) -> bool:
    return name.rpartition(".")[2] in settings


def _hash(path: str) -> str | None:
    from trainables.datasets.packs import content_hash

    place = Path(path).expanduser()
    return content_hash(place) if place.is_file() else None
