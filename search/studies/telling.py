"""How a study's generators are told the class: what goes without saying where it has no attributes, and what cannot be asked for.

Called by `search.studies.study_file` while it narrows the space. Imports no torch.
"""

from collections.abc import Mapping
from typing import Any

from spaces.conditioning import FROM_ATTRIBUTES, SETTINGS
from spaces.domains import Domain
from spaces.space import Space
from trainables.conditioning.attributes import TEMPLATE, attribute_file
from trainables.datasets.settings import DataSettings

Problems = list[tuple[str, str]]
"""Dotted names of the study file, and what is wrong."""


def without_saying(wanted: Mapping[str, Any], known: Mapping[str, Domain], data: DataSettings | None) -> tuple[dict[str, Any], Problems]:
    """Narrows what a study without attributes leaves open to one-hot vectors, and refuses what it cannot have.

    Args:
        wanted: what the study narrows, by dotted name.
        known: every setting there is.
        data: the study's data section; None where it cannot be read.

    Returns:
        What is to be narrowed, without what was refused; and the problems, under `space.`.
    """
    kept, problems = dict(wanted), []
    bare = data is not None and attribute_file(data) is None
    for family in _families(known):
        names = {setting: f"generator.{family}.{setting}" for setting in SETTINGS}
        if names["conditioning"] not in known:
            for name in (name for name in names.values() if name in kept):
                del kept[name]
                problems.append((f"space.{name}", f"{family} cannot be told the class by vectors; drop this line"))
        elif bare:
            asked = {setting: kept.pop(name) for setting, name in names.items() if name in kept}
            for setting, value in asked.items():
                kinds = [kind for kind in _listed(value) if kind != "one_hot"] if setting == "conditioning" else [setting]
                if kinds:
                    problems.append((f"space.{names[setting]}", _needs_attributes(kinds)))
            kept[names["conditioning"]] = "one_hot"
    return kept, problems


def without_effect(wanted: Mapping[str, Any], space: Space) -> Problems:
    """Finds settings of the conditioning that the narrowed space has no place for, though their family is in it."""
    left = space.names()
    problems = []
    for name in wanted:
        family, _, setting = name.removeprefix("generator.").partition(".")
        if setting not in SETTINGS or name in left or f"generator.{family}.class_mode" not in left:
            continue
        chooser, option = f"generator.{family}.class_mode", "conditional"
        if f"generator.{family}.conditioning" in left:
            chooser, option = f"generator.{family}.conditioning", "blend" if setting == "ce_blend" else "learned"
        problems.append((f"space.{name}", f"has no effect: {chooser} leaves {option} out; add it there, or drop this line"))
    return problems


def of_point(point: Mapping[str, Any], data: DataSettings | None) -> Problems:
    """Says what of a point of `search.try` needs attributes that the study has not."""
    if data is None or attribute_file(data) is not None:
        return []
    told = {name: value for name, value in point.items() if name.endswith(".conditioning") and value in FROM_ATTRIBUTES}
    return [(name, _needs_attributes([value])) for name, value in told.items()]


def _needs_attributes(kinds: list[Any]) -> str:
    return (
        f"{', '.join(map(str, kinds))}: made from attribute vectors of the classes, and the study has none; "
        f"copy {TEMPLATE}, fill a row for each class and name it in data.attributes, or take one_hot"
    )


def _families(known: Mapping[str, Domain]) -> list[str]:
    return list(dict.fromkeys(name.split(".")[1] for name in known if name.startswith("generator.") and name.count(".") > 1))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
