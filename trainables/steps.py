"""The steps that all kinds of unit are made of, each found in the store where it was done before: inspector, class vectors, generators, scores.

The synthetic images are drawn by `synthesis.pools`. Called by `unit`, `feature_unit` and `zero_shot.unit`. Every step notes its stages and costs in
the unit's result.
"""

import statistics
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from trainables.bench import Bench, UnitResult
from trainables.conditioning.attributes import study_attributes
from trainables.conditioning.stage import Conditioned, class_vectors
from trainables.contents import content_key
from trainables.datasets.backgrounds import backgrounds as find_backgrounds
from trainables.generators.bases.subject import TrainingData
from trainables.generators.training.stage import MarkEntry, load_sampler, resolve, told_by, train_to_mark
from trainables.health import training_notes
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import Inspected, inspect
from trainables.inspectors.training import read_config
from trainables.measures.grouping import group_scores, split_groups
from trainables.progress import Progress, StageUse
from trainables.recipe import GeneratorPart, InspectorPart, Unit
from trainables.rungs import Judge, tell_rung
from trainables.scores.extractors import make_extractor, stored_features
from trainables.seeds import child_seed
from trainables.synthesis.blocks import Sampler, Source
from trainables.synthesis.pools import is_sorted


def train_inspector(
    bench: Bench,
    position: int,
    part: InspectorPart,
    real: LabelledImages,
    synthetic: LabelledImages | None,
    validation: LabelledImages,
    inputs: list[str],
    seed: int,
    result: UnitResult,
    *,
    stage: str = "inspector",
) -> Generator[Progress, None, Inspected]:
    """Trains or finds an inspector, and notes the stage under the name of what it is for."""
    found = yield from inspect(
        part,
        real=real,
        synthetic=synthetic,
        validation=validation,
        inputs=inputs,
        num_classes=bench.task.outputs,
        classes=bench.task.names,
        seed=seed,
        precision=bench.recipe.precision,
        device=bench.device,
        store=bench.store,
    )
    costs = found.costs
    result.uses.append(
        StageUse(
            unit=position,
            stage=stage,
            key=found.key,
            reused=found.reused,
            seconds=costs["inspector_s"],
            device=found.entry.info["device"],
            peak_memory_gib=costs["inspector_peak_memory_gib"],
        )
    )
    return found


def condition(
    bench: Bench, position: int, unit: Unit, real: LabelledImages, reference: Inspected | None, result: UnitResult
) -> Generator[Progress, None, Conditioned]:
    """Makes or finds the vectors that a model of several classes is told them by, out of attributes and the training split alone."""
    recipe = bench.recipe
    assert recipe.generator is not None
    told = told_by(recipe.generator)
    features = None
    if told.kind in ("learned", "blend") and reference is not None:
        extractor = make_extractor(replace(recipe.scores, extractor="inspector"), device=bench.device, inspector=reference.entry)
        features = stored_features(extractor, real.images, name="train", inputs=[bench.parts.key], store=bench.store)
    made = yield from class_vectors(
        told,
        classes=list(bench.made.values()),
        attributes=study_attributes(recipe.data) if told.kind != "one_hot" else None,
        features=features,
        labels=real.labels,
        seed=child_seed(recipe.seed, "conditioning", unit.generator),
        store=bench.store,
    )
    if made.key:
        result.uses.append(made.use(position))
        result.files |= made.files
    return made


def train_generators(
    bench: Bench,
    position: int,
    unit: Unit,
    items: torch.Tensor,
    labels: torch.Tensor,
    told: Conditioned,
    inputs: list[str],
    result: UnitResult,
    *,
    judge: Judge | None = None,
) -> Generator[Progress, None, dict[str, Source]]:
    """Trains or finds the generator, or one for each class, up to the mark; gives where each class's items come from.

    Where there is a judge, all models are trained to each rung of the recipe before any goes on, and the score there is told.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        unit: whose seeds count.
        items: the real training split: images, or features.
        labels: the class of each, among all classes.
        told: what stands for each class.
        inputs: keys of what items and class vectors came from.
        result: stages and costs are noted here.
        judge: scores the generators at a rung.
    """
    recipe = bench.recipe
    assert recipe.generator is not None
    family = resolve(recipe.generator)[0]
    scene, scene_key = None, ""
    if family.needs_backgrounds or (family.uses_backgrounds and recipe.data.backgrounds != "none"):
        found = find_backgrounds(bench.pack, bench.parts, recipe.data, bench.store)
        scene, scene_key = torch.from_numpy(np.array(found.images)), found.key
        inputs = [*inputs, found.key]
    rows = torch.isin(labels, torch.tensor(list(bench.made)))
    masks = bench.pack.defect_masks(bench.parts.train[rows.numpy()]) if family.makes == "images and masks" else None
    data = TrainingData(
        items=items[rows],
        labels=labels[rows],
        masks=torch.from_numpy(masks) if masks is not None else None,
        backgrounds=scene,
        num_classes=len(bench.made),
        class_vectors=told.vectors,
    )
    backgrounds, shown = (scene, scene_key), _shown(bench, data, inputs)
    # What learns nothing stands at its one rung, the last, from the beginning.
    rungs = [] if judge is None else recipe.rungs if family.learns else recipe.rungs[-1:]
    sources: dict[str, Source] = {}
    for kimg in sorted({*rungs, recipe.generator.kimg}):
        part = replace(recipe.generator, kimg=kimg)
        marks = yield from _marks(bench, position, part, shown, child_seed(recipe.seed, "generator", unit.generator), result)
        result.values |= _generator_costs([mark.costs for mark in marks.values()])
        sources = _sources(bench, marks, backgrounds)
        result.health = training_notes({cls: mark.health for cls, mark in marks.items()}, kimg)
        if judge is not None and kimg in rungs:
            yield from tell_rung(kimg, judge(sources), result)
    return sources


def _sources(bench: Bench, marks: Mapping[str, MarkEntry], backgrounds: tuple[torch.Tensor | None, str]) -> dict[str, Source]:
    """Says where each class's items come from, once the models stand at a mark."""
    assert bench.recipe.generator is not None
    family, config = resolve(bench.recipe.generator)
    scene, scene_key = backgrounds
    drawing = {name: getattr(config, name) for name in family.sampling_settings}
    samplers = {cls: _late_sampler(mark, drawing, bench.device) for cls, mark in marks.items()}
    sources = {}
    for label, cls in bench.made.items():
        own = cls if cls in marks else ""
        sources[cls] = Source(
            key=marks[own].key,
            label=label if config.class_mode == "conditional" else 0,
            sampler=samplers[own],
            settings=drawing,
            shared_by=len(bench.made) if is_sorted(bench) else 1,
            backgrounds=scene,
            # A model that is named by the content of its data is so by that of the backgrounds, which are the same when it draws.
            backgrounds_key=scene_key if scene_key in marks[own].inputs else "",
        )
    return sources


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What one model learns from."""

    data: TrainingData
    inputs: list[str]
    """Keys that name it."""
    formerly: list[str] | None = None
    """Keys that name it too, and the rest of the data set with it; older stores know it by these."""


def _shown(bench: Bench, data: TrainingData, inputs: list[str]) -> dict[str, Shown]:
    """Says what each class's model learns from, by the class's name; or the one model of all of them, under an empty name.

    A model of one class is named by the content of its own data, so that it is found again when another class is added to the data set. One that
    learns from all classes is another with every class; and features are those of an inspector of all classes.
    """
    assert bench.recipe.generator is not None
    family, config = resolve(bench.recipe.generator)
    if config.class_mode != "per_class":
        return {"": Shown(data=data.pooled() if config.class_mode == "pooled" else data, inputs=inputs)}
    own = {cls: data.only(label) for label, cls in bench.made.items()}
    if family.makes == "features":
        return {cls: Shown(data=part, inputs=inputs) for cls, part in own.items()}
    return {cls: Shown(data=part, inputs=[_content(part)], formerly=inputs) for cls, part in own.items()}


def _content(data: TrainingData) -> str:
    return content_key({"items": data.items, "masks": data.masks, "backgrounds": data.backgrounds})


def _marks(
    bench: Bench, position: int, part: GeneratorPart, shown: Mapping[str, Shown], seed: int, result: UnitResult
) -> Generator[Progress, None, dict[str, MarkEntry]]:
    """Trains or finds the model of each class, or of all of them."""
    marks: dict[str, MarkEntry] = {}
    for cls, own in shown.items():
        marks[cls] = mark = yield from train_to_mark(
            part,
            data=own.data,
            inputs=own.inputs,
            formerly=own.formerly,
            cls=cls or None,
            seed=child_seed(seed, cls) if cls else seed,
            precision=bench.recipe.precision,
            device=bench.device,
            store=bench.store,
        )
        result.uses.append(
            StageUse(
                unit=position,
                stage="generator",
                cls=cls or None,
                key=mark.key,
                reused=mark.reused,
                seconds=mark.seconds,
                device=mark.entry.info["device"],
                peak_memory_gib=mark.peak_memory_gib,
            )
        )
    return marks


def _late_sampler(mark: MarkEntry, drawing: Mapping[str, Any], device: str) -> Callable[[], Sampler]:
    """Loads a mark when the first block has to be drawn, and keeps it for the others."""
    loaded: list[Sampler] = []

    def load() -> Sampler:
        if not loaded:
            loaded.append(load_sampler(mark.entry, settings=drawing, device=device))
        return loaded[0]

    return load


def _generator_costs(costs: list[dict[str, float]]) -> dict[str, float]:
    """Sums what several models cost together; an image is drawn by one of them, and memory is held by one at a time."""
    rules: dict[str, Callable[[list[float]], float]] = {
        "generator_params_m": sum,
        "generator_gmadds": statistics.fmean,
        "generator_ms_per_image": statistics.fmean,
        "generator_s": sum,
        "generator_peak_memory_gib": max,
    }
    return {name: float(rule([cost[name] for cost in costs])) for name, rule in rules.items()}


def score_splits(bench: Bench, said: Mapping[str, Mapping[str, torch.Tensor]], result: UnitResult) -> None:
    """Scores what the trial's inspector said of each split that was read, in whole pictures; thresholds come from validation."""
    config = read_config(bench.recipe.inspector)
    if bench.recipe.preprocess.patches > 1:
        for name, own in said.items():
            result.values |= bench.task.score_patches(own, split=name)
        said = {name: bench.of_pictures(own, name) for name, own in said.items()}
    for name, own in said.items():
        scored = bench.pictures.task.score(own, validated=said["val"], config=config, split=name)
        groups, facts = split_groups(bench, name)
        result.values |= scored.values | group_scores(bench.pictures.task, groups, own, validated=said["val"], config=config, split=name)
        result.conditions |= facts
        if scored.confusion is not None:
            result.confusion[name] = scored.confusion
