"""From a study and a suggestion to the recipe of one trial; and the points that are tried first."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from search.studies.measured import corruptions
from search.studies.study import Study
from search.studies.weight_files import located
from spaces.conditioning import SETTINGS
from spaces.domains import Categorical
from spaces.space import Space, flatten
from trainables.datasets.preprocessing import PreprocessPart
from trainables.generators import GENERATORS
from trainables.recipe import Amount, ConditioningPart, GeneratorPart, InspectorPart, MaskPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.registry import pick
from trainables.scores.names import diagnostic_names
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
    # A confirmation, which has fresh seeds, is seen to its end, whatever its generators look like on the way.
    confirms = judge or tuple(units) != (Unit(),)
    rungs = () if real_only or confirms else study.rungs(params["generator.family"], float(params["generator.kimg"]))
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
        rungs=rungs,
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
    """Lists each family's paper settings, as far as the study's space allows them, at the lowest mark of its ladder."""
    return [at_lowest_mark(study, study.space.defaults({"generator.family": family})) for family in study.families]


def at_lowest_mark(study: Study, params: Mapping[str, Any]) -> dict[str, Any]:
    """Puts a point with a generator at the lowest mark of its family's ladder."""
    return {**params, "generator.kimg": study.ladder(params["generator.family"])[0]}


def untrained_families(study: Study) -> frozenset[str]:
    """Lists the study's families that learn nothing. Imports torch."""
    return frozenset(family for family in study.families if family in GENERATORS and not pick(GENERATORS, family, "generator family").learns)


def drawing_settings(study: Study) -> frozenset[str]:
    """Lists the settings that decide only how images are drawn from a trained generator, by dotted name. Imports torch."""
    kinds = {family: pick(GENERATORS, family, "generator family") for family in study.families if family in GENERATORS}
    return frozenset(f"generator.{family}.{name}" for family, kind in kinds.items() for name in kind.sampling_settings)


def try_params(study: Study) -> list[dict[str, Any]]:
    """Lists the user's own points, completed by defaults; a point that names no mark stands at the lowest of its family's ladder."""
    given = [dict(flatten(point, study.space.names())) for point in study.search.tries]
    whole = [study.space.defaults(point) for point in given]
    return [dict(made) if "generator.kimg" in point else at_lowest_mark(study, made) for point, made in zip(given, whole, strict=True)]


def _below(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
