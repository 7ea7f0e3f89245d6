"""A data set that has grown since an earlier run (`data.since`): which classes were added, and whether the others are what they were.

Called by `search.prepare` when a study begins. What it finds stands in `data.added` of the run's own study file, so that the earlier run may go.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reports.growth import PARTS, earlier_folder, find_names
from reports.run import Run, read_run
from search.studies.study import Study, StudyError
from trainables.contents import names_key
from trainables.datasets.listing import DEFECT_FREE, load_listing
from trainables.datasets.packs import Pack
from trainables.datasets.settings import DataSettings
from trainables.datasets.splits import split

DECIDING = ("dataset", "protocol", "val_fraction", "test_fraction", "split_seed", "folds", "defect_free", "val_from_budget")
"""Settings of the data that decide how classes are split."""


def with_added(study: Study) -> Study:
    """Names the classes that came into a study's data set since the earlier run that it names; a study that names none stays as it is.

    Raises:
        StudyError: there is no such run, it split its images under other settings, or nothing was added; all problems at once.
        DatasetError: the data set cannot be listed.
    """
    since = study.data.since
    if since is None:
        return study
    earlier = _earlier(study, since)
    before = list(earlier.environment["split_counts"])
    known = earlier.study["data"]
    listing = load_listing(study.data)
    there = [*listing.classes]
    if DEFECT_FREE not in there and study.data.defect_free == "class" and any(sample.cls == DEFECT_FREE for sample in listing.samples):
        there.append(DEFECT_FREE)
    new = [cls for cls in there if cls not in before]
    added = (*known.get("added", ()), *new)
    problems = _changed_settings(known, study.data)
    if gone := [cls for cls in before if cls not in there]:
        problems.append(f"its {_classes(gone)} not in the data set any more; put the folders back, or drop data.since")
    if not new:
        problems.append("it knew every class that is there; `tundish report RUN --against EARLIER` compares two runs of the same classes")
    if study.data.added and study.data.added != added:
        said, found = ", ".join(study.data.added), ", ".join(added)
        problems.append(f"data.added says {said}, but since then came {found}; drop data.added, which is found by itself")
    if problems:
        raise StudyError("\n".join(f"data.since: {earlier.folder}: {text}" for text in problems))
    # Under its folder, where it is found from everywhere else too.
    return replace(study, data=replace(study.data, since=str(earlier.folder), added=added))


def _earlier(study: Study, since: str) -> Run:
    """Reads the earlier run.

    Raises:
        StudyError: there is none, or it did not come so far that its images were split.
    """
    folder = earlier_folder(since, study.run_folder)
    if folder is None:
        raise StudyError(
            f"data.since: {since}: no such run, neither a folder nor a name in {study.storage.runs}{find_names(since, study.run_folder)}"
        )
    if folder.resolve() == study.run_folder.resolve():
        raise StudyError(f"data.since: {since} is this very run; name the one before it, or give this one a name of its own: --name NAME")
    run = read_run(folder)
    if not run.environment.get("split_counts") or not isinstance(run.study.get("data"), Mapping):
        raise StudyError(f"data.since: {folder}: it has not begun, so that nobody knows how its images were split")
    return run


def _changed_settings(known: Mapping[str, Any], now: DataSettings) -> list[str]:
    """Says which settings of the split are others than in the earlier run; those that its file leaves out have their defaults."""
    usual = DataSettings()
    pairs = {name: (known.get(name, getattr(usual, name)), getattr(now, name)) for name in DECIDING}
    changed = [f"data.{name} was {then}, and is {value}" for name, (then, value) in pairs.items() if then != value]
    return [f"{text}; classes keep their split only under the settings that they were split by" for text in changed]


def _classes(names: list[str]) -> str:
    return f"class {names[0]} is" if len(names) == 1 else f"classes {', '.join(names)} are"


def split_hashes(pack: Pack, data: DataSettings) -> dict[str, dict[str, str]]:
    """Names the images of each class in each part of a split, over all folds, by their content: class -> train, val, test -> hash."""
    folds = [split(pack, data, fold) for fold in range(max(1, data.folds))]
    return {
        cls: {part: names_key([[pack.hashes[row] for row in getattr(made, part) if pack.labels[row] == label] for made in folds]) for part in PARTS}
        for label, cls in enumerate(pack.classes)
    }


def growth_notes(study: Study, hashes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Says, for a study that names an earlier run, whether the classes of that run have the images that they had."""
    if study.data.since is None or (folder := earlier_folder(study.data.since, study.run_folder)) is None:
        return []
    known: Mapping[str, Mapping[str, str]] = read_run(folder).environment.get("split_hashes", {})
    old = [cls for cls in hashes if cls not in study.data.added]
    told = [f"Since {folder.name}, {', '.join(study.data.added)} came into the data set."]
    if not known:
        told.append("That run did not record which images it had, so that nobody can say whether those of its classes are the same.")
    elif other := [cls for cls in old if any(known.get(cls, {}).get(part) != hashes[cls][part] for part in PARTS)]:
        told.append(f"The images of {', '.join(other)} are not what they were, or not split as they were; what is learned of them is learned anew.")
    else:
        told.append(f"Its {len(old)} classes have the images that they had, split as they were.")
    return [" ".join(told)]
