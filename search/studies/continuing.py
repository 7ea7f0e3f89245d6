"""How a run that was begun goes on with a study file that has been changed since: what may change, and what is refused. Called by `prepare`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from search.studies.extending import Extension, as_it_stands
from search.studies.settings import possible_extractors
from search.studies.study import Study, StudyError
from search.studies.weight_files import moved_files, with_places

FREE = (
    "data.path",
    "data.since",
    "data.attributes",
    "resources.workers",
    "resources.cpus_per_trial",
    "resources.gpus_per_trial",
    "storage.runs",
    "storage.store",
    "scores.inception_weights",
)
FREE_SECTIONS = ("resolved", "search.budget", "search.sampler")


def continue_study(saved: Study, now: Study, *, extend: bool | Extension = False) -> Study:
    """Checks that a study file is still the one its run was begun with, and gives the study to go on with.

    Workers, processors, GPUs and folders, that of the images too, may change freely, and so may budget and sampler; files of weights may lie
    elsewhere; `search.trials` may grow where `extend` says so; all else is refused, because numbers of one study must be comparable.

    Args:
        saved: read from `study.yaml` in the run's folder.
        now: read from the study file.
        extend: True lets `search.trials` grow; or by how much the run is extended, whatever the study file says.

    Raises:
        StudyError: something else changed, or it shrank; names each change.
    """
    now, extended = as_it_stands(saved, now, extend)
    may_grow = "trials" in extend.steps if isinstance(extend, Extension) else extend
    if now.data.since is not None and not now.data.added:
        # What has come since was found when the run began, and stays that, whatever has become of the earlier run.
        now = replace(now, data=replace(now.data, added=saved.data.added))
    was = moved_files(saved, now)
    settled = _settled(saved, now)
    before, after = _flat(saved.to_plain()), _flat(with_places(settled.to_plain(), was))
    compared = [name for name in dict.fromkeys([*before, *after]) if name not in FREE and not name.startswith(FREE_SECTIONS)]
    changes = [name for name in compared if before.get(name) != after.get(name)]
    grown = now.search.trials > saved.search.trials
    lines = [f"  {name}: {_say(before, name)} -> {_say(after, name)}" for name in changes if not (name == "search.trials" and grown and may_grow)]
    if lines:
        only_growth = changes == ["search.trials"] and grown
        cure = (
            "Give --extend to go on with more trials."
            if only_growth
            else f"Undo the change to continue ({saved.run_folder / 'study.yaml'} is the study as it was begun, with what --set said), "
            "or start another run: --name NAME keeps both, --fresh begins this one anew."
        )
        raise StudyError(f"{saved.run_folder}: the study file was changed since this run began:\n" + "\n".join(lines) + f"\n{cure}")
    resources = replace(now.resources, precision=saved.resources.precision)
    scores = replace(saved.scores, inception_weights=now.scores.inception_weights)
    search = replace(saved.search, trials=now.search.trials, budget=settled.search.budget, sampler=now.search.sampler)
    resolved = saved.resolved and replace(saved.resolved, moved={before: here for here, before in was.items()}, extended=extended)
    return replace(saved, data=now.data, scores=scores, search=search, resources=resources, storage=now.storage, resolved=resolved)


def _settled(saved: Study, now: Study) -> Study:
    """Gives the study as it would stand had it been resolved as the saved one was; one that asks for another extractor shows as a change."""
    if saved.resolved is None or saved.resolved.extractor not in possible_extractors(now.scores):
        return now
    return now.resolve(saved.resolved)


def _flat(plain: Any, prefix: str = "") -> dict[str, Any]:
    """Lists plain data by dotted name."""
    if isinstance(plain, Mapping) and plain:
        return {name: value for key, item in plain.items() for name, value in _flat(item, f"{prefix}.{key}" if prefix else str(key)).items()}
    return {prefix: plain}


def _say(plain: Mapping[str, Any], name: str) -> str:
    return str(plain[name]) if name in plain else "absent"
