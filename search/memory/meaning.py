"""Whether the settings, scores and code of an earlier run mean what they mean here; else nothing of it may be learned from, and each difference is
said. And whether its numbers, too, can be held beside those of this study."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from search.memory.code import is_shared, other_versions
from search.memory.earlier import EarlierRun, alike
from search.studies.recipes import baseline_params
from search.studies.study import Study
from spaces.domains import Categorical, Choice, Domain, Fixed, Float, Int
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.settings import from_plain, to_plain

UNITS = ("px", "um", "mm", "ms", "s", "kimg", "steps", "epochs", "gib", "mib", "m", "percent", "fraction", "share")
"""Last words of names that are units."""
ELSEWHERE = ("path", "attributes", "groups", "boxes_path", "masks_path", "since")
"""Settings of the data section that say where something lies: what lies there is in the fingerprint."""


def refusals(study: Study, earlier: EarlierRun, known: Mapping[str, Domain], code: Mapping[str, int]) -> list[str]:
    """Says what meant something else in an earlier run: the setting, the file, both meanings.

    Args:
        study: the one that is to learn from it.
        earlier: the run.
        known: every setting that a study of this task can have, by dotted name.
        code: versions of this study's code.
    """
    file = earlier.folder / "study.yaml"
    task = earlier.study.get("task", "classify")
    if task != study.task:
        return [f"task: {task} in {file}, {study.task} here: their trials are of different kinds"]
    found = list(_other_objectives(study, earlier))
    found += _other_settings(study, earlier, known)
    place = earlier.folder / "environment.json"
    for name, there, here in other_versions(_versions(earlier), code):
        if not is_shared(name):
            setting, _, option = name.partition(".")
            what = f"{'generator.family' if setting == 'generators' else 'inspector.kind'}: {option}"
            found.append(f"{what}: VERSION {there} of its code in {place}, {here} here: equal settings give other numbers now; run it anew")
    return found


def differences(study: Study, earlier: EarlierRun, code: Mapping[str, int]) -> list[str]:
    """Says why the numbers of an earlier run cannot be held beside this study's; nothing where they can.

    Args:
        study: resolved.
        earlier: the run, that `refusals` has nothing against.
        code: versions of this study's code.
    """
    here, there = study.resolved, earlier.resolved
    assert here is not None, "what is equal is known once a study has started"
    found = []
    if there.get("fingerprint") != here.fingerprint:
        found.append("other images")
    found += _other_data(study, earlier)
    # A run in which nothing is told by attributes names none.
    if None not in (there.get("attributes"), here.attributes) and there.get("attributes") != here.attributes:
        found.append("other attribute vectors")
    if (there.get("extractor"), there.get("weights_hash")) != (here.extractor, here.weights_hash):
        found.append(f"distances in features of {there.get('extractor')}, here of {here.extractor}")
    elif here.extractor == "inspector" and earlier.study.get("seed") != study.seed:
        found.append(f"distances in features of an inspector of seed {earlier.study.get('seed')}, here {study.seed}")
    elif here.extractor == "inspector" and _reference(earlier) != _own_reference(study):
        found.append("distances in features of another inspector")
    if there.get("folds", 1) != here.folds or earlier.section("zero_shot") != (study.to_plain()["zero_shot"] or {}):
        found.append("other folds, or other unseen classes")
    versions = _versions(earlier)
    if not versions:
        found.append("it does not say by which versions of the code it was made")
    found += [f"{name}: VERSION {old} of the code, here {new}" for name, old, new in other_versions(versions, code)]
    return found


def _other_objectives(study: Study, earlier: EarlierRun) -> Iterator[str]:
    there = {alike(name): way for name, way in earlier.objectives.items()}
    here = {alike(goal.score): goal.direction for goal in study.objectives}
    file = earlier.folder / "study.yaml"
    if there.keys() != here.keys():
        yield f"objectives: {', '.join(there) or 'none'} in {file}, {', '.join(here)} here: it searched for something else"
    for name in here:
        if name in there and there[name] != here[name]:
            yield f"objectives.{name}: {there[name]} in {file}, {here[name]} here"


def _other_settings(study: Study, earlier: EarlierRun, known: Mapping[str, Domain]) -> Iterator[str]:
    """Finds settings that are gone or renamed, or whose values are of another kind."""
    file, own = earlier.folder / "study.yaml", study.space.names()
    space = earlier.space(known)
    for name, plain in space.items():
        if not _is_in_both(name, study, space):
            continue
        if name not in known:
            near = _renamed(name, known)
            here = f"here it is {near}, {known[near].describe()}" if near else "there is none of this name here"
            yield f"{name}: {say(plain)} in {file}; {here}"
            continue
        domain = own.get(name, known[name])
        there, here_kinds = _kinds(plain), _kinds_of(domain) | _kinds_of(known[name])
        if there and here_kinds and not any(_fits(kind, here_kinds) for kind in there):
            yield f"{name}: {say(plain)} in {file}, here {domain.describe()}: values of another kind"


def _is_in_both(name: str, study: Study, space: Mapping[str, Any]) -> bool:
    """Says whether a setting belongs to a family or an inspector that both runs have, or to none."""
    for prefix, own, chooser in (("generator.", study.families, "generator.family"), ("inspector.", study.inspectors, "inspector.kind")):
        rest = name.removeprefix(prefix)
        if rest != name and name != chooser and "." in rest:
            there = space.get(chooser, [])
            both = [option for option in own if option in (there if isinstance(there, list) else [there])]
            return any(rest.startswith(f"{option}.") for option in both)
    return True


def _renamed(name: str, known: Mapping[str, Domain]) -> str | None:
    """Finds what a setting may be called now: the same in another unit, or the most similar one beside it."""
    room, _, last = name.rpartition(".")
    beside = [other for other in known if other.rpartition(".")[0] == room]
    same = [other for other in beside if _stem(other.rpartition(".")[2]) == _stem(last)]
    return next(iter(same or difflib.get_close_matches(name, beside, n=1)), None)


def _stem(name: str) -> str:
    """Takes the unit off a name."""
    head, _, unit = name.rpartition("_")
    return head if head and unit in UNITS else name


def _kinds(plain: Any) -> set[str]:
    """Says of what kinds the values of a setting are, out of a study file: text, truth, whole, number."""
    values = plain.values() if isinstance(plain, Mapping) else plain if isinstance(plain, list | tuple) else [plain]
    return {_kind(value) for value in values if value is not None}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, int | float):
        return "whole" if float(value).is_integer() else "number"
    return "text"


def _kinds_of(domain: Domain) -> set[str]:
    """Says of what kinds the values of a domain are; nothing where any will do."""
    match domain:
        case Float():
            return {"number", "whole"}
        case Int():
            return {"whole"}
        case Categorical() | Choice():
            return {_kind(value) for value in domain.choices if value is not None}
        case Fixed():
            inner = domain.within
            wider = _kinds_of(inner) if isinstance(inner, Float | Int | Categorical) else set()
            return wider | ({_kind(domain.default)} if domain.default is not None else set())


def _fits(kind: str, kinds: set[str]) -> bool:
    """Says whether a value of some kind can be one of these; a whole number is a number."""
    return kind in kinds or (kind == "whole" and "number" in kinds)


def _other_data(study: Study, earlier: EarlierRun) -> list[str]:
    """Lists the settings by which images are taken, sized and split that differ."""
    try:
        there = to_plain(from_plain(DataSettings, earlier.section("data"), where="data"))
    except SettingsError:
        return ["its data section cannot be read any more"]
    here = to_plain(study.data)
    return [f"data.{name} {_value(there[name])}, here {_value(here[name])}" for name in here if name not in ELSEWHERE and there[name] != here[name]]


def _reference(earlier: EarlierRun) -> dict[str, Any]:
    """Gives the inspector in whose features an earlier run measured: that of its first trial."""
    first = next((row for row in earlier.trials if row["trial"] == 0), {})
    return _inspector(first, "params.inspector.")


def _own_reference(study: Study) -> dict[str, Any]:
    return _inspector(baseline_params(study.space, ("plain",))[0], "inspector.")


def _inspector(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Gives the settings of an inspector that are not null."""
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix) and value is not None}


def _versions(earlier: EarlierRun) -> Mapping[str, Any]:
    found = earlier.environment.get("code")
    return found if isinstance(found, Mapping) else {}


def _value(plain: Any) -> str:
    """Writes what a setting of the data is; a list there is no choice."""
    return (", ".join(map(str, plain)) or "none") if isinstance(plain, list | tuple) else say(plain)


def say(plain: Any) -> str:
    """Writes a value, a list or a range of a study file for people."""
    if isinstance(plain, Mapping):
        return f"{plain.get('low')} to {plain.get('high')}" if set(plain) == {"low", "high"} else str(dict(plain))
    return f"one of {', '.join(map(str, plain))}" if isinstance(plain, list | tuple) else str(plain)
