"""Whether a study fits the families, inspectors and data sets there are, and its images: said at validation, all problems at once.

Called by `study_file`, thoroughly, and by `search.prepare` once the images are split. What synthetic images replace, and what is measured beside the
task's scores, is checked in `replacing` and `measured`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.studies.measured import measured_problems
from search.studies.recipes import (
    generator_part,
    inspector_part,
    preprocess_part,
    preprocess_points,
    synthesis_part,
    try_params,
    zero_shot_part,
)
from search.studies.replacing import replacement_problems
from search.studies.study import Study, StudyError
from search.studies.weight_files import located
from spaces.conditioning import FROM_ATTRIBUTES
from spaces.space import Space
from trainables.conditioning.attributes import attribute_file, missing_classes, study_attributes
from trainables.datasets import DATASETS, DRAWN, PHYSICAL
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.inspectors import INSPECTORS
from trainables.recipe import InspectorPart
from trainables.registry import pick
from trainables.scores.names import MMD, TEXTURES, diagnostic_names, full_name, image_score_names
from trainables.settings import from_plain


def validate(study: Study, split_counts: Mapping[str, Mapping[str, int]] | None = None) -> None:
    """Refuses a study that does not fit the families, inspectors and data sets there are, or its images. Imports torch.

    Raises:
        StudyError: every problem.
    """
    if found := problems(study, split_counts):
        raise StudyError("\n".join(f"{name}: {text}" for name, text in found))


def problems(study: Study, split_counts: Mapping[str, Mapping[str, int]] | None = None) -> list[tuple[str, str]]:
    """Says what in a study does not fit the families, inspectors and data sets there are, or its images: (dotted name, text). Imports torch.

    Args:
        study: checked by itself.
        split_counts: class -> train, val, test -> images, once the images are split; None before.
    """
    from trainables.datasets.listing import DEFECT_FREE
    from trainables.generators.training.check import Given
    from trainables.generators.training.check import problems as generator_problems
    from trainables.zero_shot.sources import generator_problems as unseen_problems

    found = data_problems(study.data) + patch_problems(study) + objective_problems(study) + measured_problems(study)
    counts = {cls: count["train"] for cls, count in split_counts.items() if cls != DEFECT_FREE} if split_counts is not None else None
    found += attribute_problems(study, list(counts) if counts is not None else None)
    if split_counts is not None and "all" in study.space.names()["synthesis.replaces"].grid(0):
        counts = {cls: count["train"] for cls, count in split_counts.items()}
    given = Given(
        size_px=study.data.size_px,
        backgrounds=study.data.backgrounds != "none",
        attributes=attribute_file(study.data) is not None,
        physical=study.data.dataset in PHYSICAL,
        counts=counts,
    )
    outputs = outputs_of(study, split_counts)
    said: set[tuple[str, str]] = set()
    for place, params in _points(study):
        part = replace(generator_part(params), kimg=study.ladder(params["generator.family"])[-1])
        for name, text in generator_problems(part, given):
            found.append(_placed(place, name, text))
            # Points differ in where a schedule ends; the shortest comes first and says it for all.
            if name == "generator.kimg" and (name, part.family) in said:
                found.pop()
            said.add((name, part.family))
        inspector = located(inspector_part(params), study.resolved)
        found += [_at_inspector(place, inspector.kind, text, study) for text in inspector_problems(inspector, study, outputs)]
        if (unseen := zero_shot_part(study, params)) is not None:
            told = [text.partition(": ") for text in unseen_problems(unseen, part, synthesis_part(params))]
            found += [(f"space.{name}", text) for name, _, text in told]
    # What is wrong at a setting's default is wrong at every point that varies another.
    usual = {text for place, text in found if place == "space.inspector.kind"}
    found = [(place, text) for place, text in found if place == "space.inspector.kind" or text not in usual]
    return list(dict.fromkeys([*found, *task_problems(study), *replacement_problems(study, split_counts)]))


def preprocess_problems(space: Space) -> list[tuple[str, str]]:
    """Says what is wrong with the ways in which a study preprocesses its pictures: (dotted name, text)."""
    found: list[tuple[str, str]] = []
    for point in preprocess_points(space):
        try:
            preprocess_part(point)
        except SettingsError as error:
            found += [(f"space.preprocess.{name}", text) for name, _, text in (line.partition(": ") for line in str(error).splitlines())]
    return list(dict.fromkeys(found))


def patch_problems(study: Study) -> list[tuple[str, str]]:
    """Says what of a study's data cannot be had in patches: (dotted name, text)."""
    if all(preprocess_part(point).kind == "whole" for point in preprocess_points(study.space)):
        return []
    found = []
    if study.data.defect_free != "class":
        found.append(("data.defect_free", "space.preprocess.kind: patches needs a class for patches without a defect; expected class"))
    if study.data.backgrounds == "crops" or study.data.backgrounds_path is not None:
        text = "space.preprocess.kind: patches starts from defect-free patches, not from squares of other scales; expected folder, or none"
        found.append(("data.backgrounds", f"{text}, and no data.backgrounds_path"))
    return found


def outputs_of(study: Study, split_counts: Mapping[str, Mapping[str, int]] | None) -> int | None:
    """Counts what a study's inspectors tell apart; None before the images are split, and where some classes are held out."""
    from trainables.datasets.listing import DEFECT_FREE

    if split_counts is None or study.task == "zero_shot":
        return None
    return {"classify": len(split_counts), "segment": sum(cls != DEFECT_FREE for cls in split_counts), "detect": 1}[study.task]


def inspector_problems(part: InspectorPart, study: Study, num_classes: int | None = None) -> list[str]:
    """Says why an inspector cannot be built or started with its settings for a study's images; the classes count once they are known."""
    try:
        kind = pick(INSPECTORS, part.kind, "inspector")
        config = from_plain(kind.Config, part.settings)
    except SettingsError as error:
        return [f"inspector.{part.kind}: {error}"]
    shape = {"size_px": study.data.size_px, "channels": study.data.channels, "num_classes": num_classes}
    return [f"inspector.{part.kind}: {text}" for text in kind.problems(config, **shape)]


def task_problems(study: Study) -> list[tuple[str, str]]:
    """Says which families can do nothing for a study's task: (dotted name, text)."""
    if study.task == "zero_shot" and "confidence" in study.space.names()["synthesis.filter"].grid(0):
        return [("space.synthesis.filter", "no inspector knows classes without images, so that none can filter them; expected none")]
    if study.task in ("classify", "zero_shot"):
        return []
    of_features = [family for family in study.families if family in GENERATORS and pick(GENERATORS, family, "generator family").makes == "features"]
    text = f"{', '.join(of_features)} makes features of a classifier, not images; leave it out, or set task: classify (it is {study.task})"
    return [("space.generator.family", text)] if of_features else []


def _placed(place: str, name: str, text: str) -> tuple[str, str]:
    """Gives a generator's problem the name that the study file has for it."""
    if name == "generator.kimg":
        return "search.marks", text
    if name.startswith("data."):
        return name, text
    # Bad settings are told where the point comes from that has them; what names one setting, at that setting.
    return (place, f"{name}: {text}") if name.count(".") == 1 or place.startswith("search.") else (f"space.{name}", text)


def _at_inspector(place: str, kind: str, text: str, study: Study) -> tuple[str, str]:
    """Gives an inspector's problem the place of the setting that it names, or of the inspector's own name, so that it is told once."""
    name = f"inspector.{kind}.{text.removeprefix(f'inspector.{kind}: ').partition(': ')[0]}"
    if place.startswith("search."):
        return place, text
    if name in study.space.names():
        return f"space.{name}", text.removeprefix(f"inspector.{kind}: ").partition(": ")[2]
    return ("space.inspector.kind" if place in ("space", f"space.inspector.{kind}") else place), text


def uses_attributes(study: Study) -> bool:
    """Says whether a generator of the study may be told the class by something that is made from attribute vectors."""
    told = [domain.grid(0) for name, domain in study.space.names().items() if name.endswith(".conditioning")]
    return any(set(kinds) & set(FROM_ATTRIBUTES) for kinds in told)


def attribute_problems(study: Study, classes: Sequence[str] | None) -> list[tuple[str, str]]:
    """Says what is wrong with the attributes of a study, where it names a CSV or a generator may be told the class by them.

    Args:
        study: checked by itself.
        classes: the defect classes, once they are known; without them the file is only read.
    """
    if study.data.attributes is None and not uses_attributes(study):
        return []
    try:
        table = study_attributes(study.data)
    except SettingsError as error:
        return [("data.attributes", line.removeprefix("data.attributes: ")) for line in str(error).splitlines()]
    return [] if table is None or classes is None else [("data.attributes", text) for text in missing_classes(table, classes)]


def objective_problems(study: Study) -> list[tuple[str, str]]:
    """Says which objectives and limits a family of the study can give no number for, once the extractor is known: (dotted name, text)."""
    makes = {family: pick(GENERATORS, family, "generator family").makes for family in study.families if family in GENERATORS}
    of_features = [family for family, kind in makes.items() if kind == "features"]
    of_images = [family for family in makes if family not in of_features]
    extractor = study.resolved.extractor if study.resolved is not None else study.scores.extractor
    found = []
    targets = [("search.budget.stops.target", score) for score in study.search.budget.stops.target]
    for place, score in [*(("objectives", item.score) for item in study.objectives), *(("limits", item.score) for item in study.limits), *targets]:
        base = score.partition(".")[0]
        if base == f"val_{MMD}" and of_images:
            text = f"{base}: {', '.join(of_images)} makes images, and only features are measured so"
            found.append((place, f"{text}; take val_kid, or leave it out of space.generator.family"))
        elif base in diagnostic_names(study.task) and of_features:
            text = f"{base}: {', '.join(of_features)} makes features of an inspector that learnt from real images, and none learns without"
            found.append((place, f"{text}; leave it out of space.generator.family"))
        elif of_features and base.removeprefix("val_").startswith((*TEXTURES, "inception_score")):
            text = f"{base}: {', '.join(of_features)} makes features, and only images have such a score"
            found.append((place, f"{text}; leave it out of space.generator.family"))
        elif extractor in ("inception", "random") and of_features and full_name(base, extractor).removeprefix("val_") in of_extractor(extractor):
            text = f"{base}: {', '.join(of_features)} makes features of the inspector, which {extractor} cannot look at"
            found.append((place, f"{text}; set scores.extractor: inspector, or leave it out of space.generator.family"))
    return found


def of_extractor(extractor: str) -> list[str]:
    """Lists the bases of scores that an extractor's features give of images and features alike."""
    return [*image_score_names(extractor), f"memorisation_{extractor}"]


def data_problems(data: DataSettings) -> list[tuple[str, str]]:
    """Says what in the data section does not fit the data sets there are: (dotted name, text)."""
    if data.dataset not in DATASETS:
        try:
            pick(DATASETS, data.dataset, "data set")
        except SettingsError as error:
            return [("data.dataset", str(error))]
    if data.dataset not in DRAWN and data.path is None:
        return [("data.path", f"missing: the folder of the images; only {', '.join(DRAWN)} need none (data.dataset is {data.dataset})")]
    if data.backgrounds_path is not None and data.backgrounds != "folder":
        return [("data.backgrounds_path", f"given, but data.backgrounds is {data.backgrounds}; set it to folder")]
    return []


def _points(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walks over points that show whether settings are accepted: the defaults, each setting at its ends in turn, and the user's own."""
    for choice, options in (("generator.family", study.families), ("inspector.kind", study.inspectors)):
        for option in options:
            yield from _ends(study.space, {choice: option}, f"{choice.partition('.')[0]}.{option}.", frozenset())
    for i, point in enumerate(try_params(study)):
        yield f"search.try[{i}]", point


def _ends(space: Space, fixed: Mapping[str, Any], prefix: str, known: frozenset[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walks over each setting's ends under what is fixed, and over those of the settings that an option brings."""
    usual = _shortest(space, space.defaults(fixed), prefix)
    yield "space", usual
    names = [name for name in usual if name.startswith(prefix) and name not in fixed and name not in known]
    for name in names:
        domain = space.active(usual)[name]
        for value in domain.grid(2):
            point = space.defaults({**fixed, name: value})
            yield f"space.{name}", _shortest(space, point, prefix)
            if set(point) - set(usual):
                yield from _ends(space, {**fixed, name: value}, prefix, known | set(usual))


def _shortest(space: Space, point: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Takes a schedule at the shortest that it may be."""
    schedule = f"{prefix}horizon_kimg"
    return {**point, schedule: space.active(point)[schedule].grid(2)[0]} if schedule in point else dict(point)
