"""From a study and a suggestion to the recipe of one trial; the points that are tried first; and whether a study fits what is installed."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.measured import corruptions, measured_problems
from search.replacing import replacement_problems
from search.study import Study, StudyError
from search.weight_files import located
from spaces.conditioning import FROM_ATTRIBUTES, SETTINGS
from spaces.domains import Categorical
from spaces.space import Space, flatten
from trainables.conditioning.attributes import attribute_file, missing_classes, study_attributes
from trainables.datasets import DATASETS, DRAWN, PHYSICAL
from trainables.datasets.preprocessing import PreprocessPart
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.inspectors import INSPECTORS
from trainables.recipe import Amount, ConditioningPart, GeneratorPart, InspectorPart, MaskPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.registry import pick
from trainables.scores.names import MMD, TEXTURES, diagnostic_names, full_name, image_score_names
from trainables.settings import from_plain
from trainables.zero_shot.settings import ZeroShotPart

BASELINES: dict[str, dict[str, str]] = {
    "plain": {},
    "oversample": {"balance": "oversample"},
    "undersample": {"balance": "undersample"},
    "augment": {"augment": "classical"},
}
"""Baseline -> the inspector's settings that it changes."""


def build_recipe(study: Study, params: Mapping[str, Any], *, units: Sequence[Unit] = (Unit(),), judge: bool = False) -> Recipe:
    """Builds the recipe of one trial.

    Args:
        study: resolved.
        params: every setting that applies, by dotted name; a `baseline` among them means real images alone.
        units: replicates.
        judge: True reads the test split.
    """
    settled = study.resolved
    assert settled is not None, "a study is resolved before its first trial"
    real_only = "baseline" in params
    return Recipe(
        task=study.task,
        preprocess=preprocess_part(params),
        data=study.data,
        fingerprint=settled.fingerprint,
        generator=None if real_only else generator_part(params),
        synthesis=None if real_only else synthesis_part(params),
        inspector=located(inspector_part(params), settled),
        scores=ScorePart(
            extractor=settled.extractor,
            inception_weights=settled.inception_weights,
            weights_hash=settled.weights_hash,
            inspector=located(reference_inspector(study), settled),
            diagnostics=not real_only and _is_diagnosed(study, confirmed=judge),
            columns=study.scores.group_columns,
            columns_hash=settled.columns,
            robustness=corruptions(study, judge=judge),
        ),
        zero_shot=zero_shot_part(study, params),
        seed=study.seed,
        units=tuple(replace(unit, fold=fold) for unit in units for fold in range(settled.folds)),
        judge=judge,
        precision=settled.precision,
    )


def _is_diagnosed(study: Study, *, confirmed: bool) -> bool:
    """Says whether a trial with synthetic images trains on these alone, and the reverse, to look at them."""
    wanted = {"confirmed": confirmed, "always": True, "never": False}[study.scores.diagnostics]
    return study.task != "zero_shot" and (wanted or any(item.score in diagnostic_names(study.task) for item in study.objectives))


def preprocess_part(params: Mapping[str, Any]) -> PreprocessPart:
    """Reads what is done to pictures at a point; where it says nothing they stay whole."""
    return PreprocessPart(**_below(params, "preprocess."))


def preprocess_points(space: Space) -> list[dict[str, Any]]:
    """Lists the ways in which a study preprocesses its pictures, the first one first: everything that is a list, beside the defaults of ranges."""
    if "preprocess.kind" not in space.tree:
        return [{}]
    points = []
    for kind in space.tree["preprocess.kind"].grid(0):
        usual = {name: value for name, value in space.defaults({"preprocess.kind": kind}).items() if name.startswith("preprocess.")}
        domains = {name: domain for name, domain in space.active(usual).items() if name in usual}
        lists = [domain.grid(0) if isinstance(domain, Categorical) else [usual[name]] for name, domain in domains.items()]
        points += [dict(zip(domains, values, strict=True)) for values in itertools.product(*lists)]
    return points


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


def generator_part(params: Mapping[str, Any]) -> GeneratorPart:
    """Reads the generator's part of a point."""
    family = params["generator.family"]
    settings = _below(params, f"generator.{family}.")
    told = {name: settings.pop(name) for name in SETTINGS if name in settings}
    return GeneratorPart(
        family=family,
        settings=settings,
        kimg=float(params["generator.kimg"]),
        # A mode that is not told the class has no such settings, and a family that is told by one-hot vectors alone neither.
        conditioning=ConditioningPart(kind=told.pop("conditioning"), **told) if told else None,
    )


def synthesis_part(params: Mapping[str, Any]) -> SynthesisPart:
    """Reads the synthesis part of a point."""
    kind = params["synthesis.amount"]
    given = {name: params[f"synthesis.{name}"] for name in ("replaces", "truncation", "filter", "min_confidence") if f"synthesis.{name}" in params}
    masks = MaskPart(**_below(params, "synthesis.mask_"))
    return SynthesisPart(amount=Amount(kind=kind, value=float(params.get(f"synthesis.{kind}", 0.0))), masks=masks, **given)


def inspector_part(params: Mapping[str, Any]) -> InspectorPart:
    """Reads the inspector's part of a point."""
    kind = params["inspector.kind"]
    return InspectorPart(kind=kind, settings=_below(params, f"inspector.{kind}."))


def zero_shot_part(study: Study, params: Mapping[str, Any]) -> ZeroShotPart | None:
    """Reads what stands for unseen classes at a point, where a study has any; a baseline has no use for it."""
    if study.zero_shot is None:
        return None
    return replace(study.zero_shot, unseen_ce=params.get("zero_shot.unseen_ce", study.zero_shot.unseen_ce))


def reference_inspector(study: Study) -> InspectorPart:
    """Gives the inspector whose features and confidences are used: the one that the study's first trial trains on real images alone."""
    return inspector_part(baseline_params(study.space, ("plain",))[0])


def baseline_params(space: Space, baselines: Sequence[str]) -> list[dict[str, Any]]:
    """Lists the points of the baselines: each for every inspector and every way of preprocessing, `plain` of the first at the head; none twice."""
    points: list[dict[str, Any]] = []
    seen: list[tuple[PreprocessPart, InspectorPart]] = []
    for baseline in baselines:
        for kind, given in itertools.product(space.tree["inspector.kind"].grid(0), preprocess_points(space)):
            point = {name: value for name, value in space.defaults({"inspector.kind": kind}).items() if name.startswith("inspector.")}
            point |= {f"inspector.{kind}.{name}": value for name, value in BASELINES[baseline].items()}
            # A study that augments everywhere has its augmented baseline already.
            if (part := (preprocess_part(given), inspector_part(point))) not in seen:
                seen.append(part)
                points.append({"baseline": baseline, **given, **point})
    return points


def paper_params(study: Study) -> list[dict[str, Any]]:
    """Lists each family's paper settings, as far as the study's space allows them."""
    return [dict(study.space.defaults({"generator.family": family})) for family in study.families]


def untrained_families(study: Study) -> frozenset[str]:
    """Lists the study's families that learn nothing. Imports torch."""
    return frozenset(family for family in study.families if family in GENERATORS and not pick(GENERATORS, family, "generator family").learns)


def drawing_settings(study: Study) -> frozenset[str]:
    """Lists the settings that decide only how images are drawn from a trained generator, by dotted name. Imports torch."""
    kinds = {family: pick(GENERATORS, family, "generator family") for family in study.families if family in GENERATORS}
    return frozenset(f"generator.{family}.{name}" for family, kind in kinds.items() for name in kind.sampling_settings)


def try_params(study: Study) -> list[dict[str, Any]]:
    """Lists the user's own points, completed by defaults."""
    return [dict(study.space.defaults(dict(flatten(point, study.space.names())))) for point in study.search.tries]


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
        part = replace(generator_part(params), kimg=max(study.search.marks))
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
    """Says which objectives a family of the study can give no number for, once the extractor is known: (dotted name, text)."""
    makes = {family: pick(GENERATORS, family, "generator family").makes for family in study.families if family in GENERATORS}
    of_features = [family for family, kind in makes.items() if kind == "features"]
    of_images = [family for family in makes if family not in of_features]
    extractor = study.resolved.extractor if study.resolved is not None else study.scores.extractor
    found = []
    for item in study.objectives:
        base = item.score.partition(".")[0]
        if base == f"val_{MMD}" and of_images:
            text = f"{base}: {', '.join(of_images)} makes images, and only features are measured so"
            found.append(("objectives", f"{text}; take val_kid, or leave it out of space.generator.family"))
        elif base in diagnostic_names(study.task) and of_features:
            text = f"{base}: {', '.join(of_features)} makes features of an inspector that learnt from real images, and none learns without"
            found.append(("objectives", f"{text}; leave it out of space.generator.family"))
        elif of_features and base.removeprefix("val_").startswith((*TEXTURES, "inception_score")):
            text = f"{base}: {', '.join(of_features)} makes features, and only images have such a score"
            found.append(("objectives", f"{text}; leave it out of space.generator.family"))
        elif extractor in ("inception", "random") and of_features and full_name(base, extractor).removeprefix("val_") in of_extractor(extractor):
            text = f"{base}: {', '.join(of_features)} makes features of the inspector, which {extractor} cannot look at"
            found.append(("objectives", f"{text}; set scores.extractor: inspector, or leave it out of space.generator.family"))
    return found


def of_extractor(extractor: str) -> list[str]:
    """Lists the bases of scores that an extractor's features give of images and features alike."""
    return [*image_score_names(extractor), f"memorisation_{extractor}"]


def validate(study: Study, split_counts: Mapping[str, Mapping[str, int]] | None = None) -> None:
    """Refuses a study that does not fit the families, inspectors and data sets there are, or its images. Imports torch.

    Raises:
        StudyError: every problem.
    """
    if found := problems(study, split_counts):
        raise StudyError("\n".join(f"{name}: {text}" for name, text in found))


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


def _below(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
