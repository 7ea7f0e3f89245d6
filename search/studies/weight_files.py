"""Files of weights that a study's inspectors begin with: known by their content, so that a run goes on where they were moved.

Called by `search.prepare` when a study starts, by `study_file` when it goes on, and by `recipes` wherever an inspector is made.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from search.studies.study import Resolved, Study
from spaces.space import flatten
from trainables.inspectors import FILES
from trainables.recipe import InspectorPart


def weight_files(study: Study) -> dict[str, str | None]:
    """Lists the files that a study names, in its space and in the user's own points, with their content hashes; None for one that cannot be read."""
    given: list[Any] = [value for name, domain in study.space.names().items() if _names_file(name) for value in domain.grid(0)]
    for point in study.search.tries:
        given += [value for name, value in flatten(point, study.space.names()) if _names_file(name)]
    return {path: _hash(path) for path in dict.fromkeys(given) if isinstance(path, str)}


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


def _names_file(name: str) -> bool:
    return name.rpartition(".")[2] in FILES


def _hash(path: str) -> str | None:
    from trainables.datasets.packs import content_hash

    place = Path(path).expanduser()
    return content_hash(place) if place.is_file() else None
