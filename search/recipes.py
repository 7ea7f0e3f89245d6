"""From a study and a suggestion to the recipe of one trial; the points that are tried first; and whether a study fits what is installed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from search.study import Study, StudyError
from spaces.conditioning import SETTINGS
from spaces.space import Space, flatten
from trainables.datasets import DATASETS
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.inspectors import INSPECTORS
from trainables.recipe import Amount, ConditioningPart, GeneratorPart, InspectorPart, Recipe, ScorePart, SynthesisPart, Unit
from trainables.registry import pick
from trainables.settings import from_plain

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
        data=study.data,
        fingerprint=settled.fingerprint,
        generator=None if real_only else generator_part(params),
        synthesis=None if real_only else synthesis_part(params),
        inspector=inspector_part(params),
        scores=ScorePart(
            extractor=settled.extractor,
            inception_weights=settled.inception_weights,
            weights_hash=settled.weights_hash,
            inspector=reference_inspector(study),
        ),
        seed=study.seed,
        units=tuple(units),
        judge=judge,
        precision=settled.precision,
    )


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
    given = {name: params[f"synthesis.{name}"] for name in ("truncation", "filter", "min_confidence") if f"synthesis.{name}" in params}
    return SynthesisPart(amount=Amount(kind=kind, value=float(params.get(f"synthesis.{kind}", 0.0))), **given)


def inspector_part(params: Mapping[str, Any]) -> InspectorPart:
    """Reads the inspector's part of a point."""
    kind = params["inspector.kind"]
    return InspectorPart(kind=kind, settings=_below(params, f"inspector.{kind}."))


def reference_inspector(study: Study) -> InspectorPart:
    """Gives the inspector whose features and confidences are used: the one that the study's first trial trains on real images alone."""
    return inspector_part(baseline_params(study.space, ("plain",))[0])


def baseline_params(space: Space, baselines: Sequence[str]) -> list[dict[str, Any]]:
    """Lists the points of the baselines: each for every inspector, `plain` of the first inspector at the head; none twice."""
    points: list[dict[str, Any]] = []
    seen: list[InspectorPart] = []
    for baseline in baselines:
        for kind in space.tree["inspector.kind"].grid(0):
            point = {name: value for name, value in space.defaults({"inspector.kind": kind}).items() if name.startswith("inspector.")}
            point |= {f"inspector.{kind}.{name}": value for name, value in BASELINES[baseline].items()}
            # A study that augments everywhere has its augmented baseline already.
            if (part := inspector_part(point)) not in seen:
                seen.append(part)
                points.append({"baseline": baseline, **point})
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


def problems(study: Study) -> list[tuple[str, str]]:
    """Says what in a study does not fit the families, inspectors and data sets there are: (dotted name, text). Imports torch."""
    found = data_problems(study.data)
    for family in study.families:
        model = pick(GENERATORS, family, "generator family")
        if model.needs_backgrounds and study.data.backgrounds == "none":
            cure = "set data.backgrounds to crops (mined from training images) or folder, or leave the family out of space.generator.family"
            found.append(("data.backgrounds", f"{family} turns defect-free images into defects and there are none; {cure}"))
        if study.data.size_px not in model.sizes_px:
            found.append(("data.size_px", f"{family} cannot be built for {study.data.size_px} px; it can for {', '.join(map(str, model.sizes_px))}"))
    horizons: dict[str, float] = {}
    for place, params in _points(study):
        family, kind = params["generator.family"], params["inspector.kind"]
        parts = (
            (f"generator.{family}", pick(GENERATORS, family, "generator family").Config, generator_part(params).settings),
            (f"inspector.{kind}", pick(INSPECTORS, kind, "inspector").Config, inspector_part(params).settings),
        )
        for name, config, settings in parts:
            try:
                horizon = getattr(from_plain(config, settings), "horizon", None)
            except SettingsError as error:
                found.append((place, f"{name}: {error}"))
                continue
            if horizon is not None:
                horizons[name] = min(horizon, horizons.get(name, horizon))
    mark = max(study.search.marks)
    for name, horizon in horizons.items():
        if horizon < mark:
            cure = f"lower the mark, or narrow {name}.horizon_kimg to at least that"
            found.append(("search.marks", f"{mark:g} kimg lies beyond {name}'s schedule, which may end at {horizon:g}; {cure}"))
    return list(dict.fromkeys(found))


def validate(study: Study) -> None:
    """Refuses a study that does not fit the families, inspectors and data sets there are. Imports torch.

    Raises:
        StudyError: every problem.
    """
    if found := problems(study):
        raise StudyError("\n".join(f"{name}: {text}" for name, text in found))


def data_problems(data: DataSettings) -> list[tuple[str, str]]:
    """Says what in the data section does not fit the data sets there are: (dotted name, text)."""
    if data.dataset not in DATASETS:
        try:
            pick(DATASETS, data.dataset, "data set")
        except SettingsError as error:
            return [("data.dataset", str(error))]
    if data.dataset != "procedural" and data.path is None:
        return [("data.path", f"missing: the folder of the images; only procedural surfaces need none (data.dataset is {data.dataset})")]
    if data.backgrounds_path is not None and data.backgrounds != "folder":
        return [("data.backgrounds_path", f"given, but data.backgrounds is {data.backgrounds}; set it to folder")]
    return []


def _points(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walks over points that show whether settings are accepted: the defaults, each setting at its ends in turn, and the user's own."""
    for choice, options in (("generator.family", study.families), ("inspector.kind", study.inspectors)):
        for option in options:
            usual = study.space.defaults({choice: option})
            yield "space", dict(usual)
            for name, domain in study.space.active(usual).items():
                if not name.startswith(f"{choice.partition('.')[0]}.{option}."):
                    continue
                for value in domain.grid(2):
                    point = study.space.defaults({choice: option, name: value})
                    # A schedule is tried at the shortest it may be.
                    schedule = f"generator.{option}.horizon_kimg"
                    if schedule in point:
                        point[schedule] = study.space.active(point)[schedule].grid(2)[0]
                    yield f"space.{name}", dict(point)
    for i, point in enumerate(try_params(study)):
        yield f"search.try[{i}]", point


def _below(params: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
