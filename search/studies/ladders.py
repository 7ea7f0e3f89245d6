"""Whether the ladders of marks fit the generators of a study. Called by `study_file`."""

from collections.abc import Mapping, Sequence

from search.studies.settings import DEFAULT_LADDER, SearchSettings
from spaces.domains import nearest
from spaces.space import Space, flatten


def ladder_problems(search: SearchSettings, space: Space) -> list[tuple[str, str]]:
    """Says which families have no ladder, which ladders no family, and which of the user's points stand on no mark: (dotted name, text)."""
    families = [str(option) for option in space.tree["generator.family"].grid(0)]
    found = [*_unmatched(search, families)]
    for i, point in enumerate(search.tries):
        given = dict(flatten(point, space.names()))
        family, mark = str(given.get("generator.family", families[0])), given.get("generator.kimg")
        ladder = search.ladder(family)
        if mark in search.every_mark and ladder and mark not in ladder:
            marks = ", ".join(f"{other:g}" for other in ladder)
            found.append((f"search.try[{i}].generator.kimg", f"{mark:g} is no mark of {family}, whose ladder is {marks}"))
    return found


def _unmatched(search: SearchSettings, families: Sequence[str]) -> list[tuple[str, str]]:
    """Says which families have no ladder, and which ladders no family."""
    if not isinstance(search.marks, Mapping):
        return []
    strange = [name for name in search.marks if name not in (*families, DEFAULT_LADDER)]
    found = [(f"search.marks.{name}", f"no generator family of this study; {nearest(name, [*families, DEFAULT_LADDER])}") for name in strange]
    bare = [family for family in families if not search.ladder(family)]
    if bare:
        found.append(("search.marks", f"no ladder for {', '.join(bare)}; name {'it' if len(bare) == 1 else 'them'} too, or {DEFAULT_LADDER}"))
    return found
