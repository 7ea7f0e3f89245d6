"""The steps that both kinds of unit are made of, each found in the store where it was done before: inspector, class vectors, generators, pool.

Called by `unit` and `feature_unit`. Every step notes its stages and costs in the unit's result.
"""

import statistics
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from trainables.bench import Bench, UnitResult
from trainables.conditioning.attributes import study_attributes
from trainables.conditioning.stage import Conditioned, class_vectors
from trainables.datasets.backgrounds import backgrounds as find_backgrounds
from trainables.generators.bases.subject import TrainingData
from trainables.generators.training.stage import MarkEntry, load_sampler, resolve, told_by, train_to_mark
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.head import predict_features
from trainables.inspectors.stage import Inspected, inspect, load_inspector
from trainables.inspectors.training import predict, read_config
from trainables.progress import Progress, StageUse
from trainables.pseudo_masks import masks_key, stored_masks
from trainables.recipe import InspectorPart, MaskPart, Unit
from trainables.scores.extractors import Extractor, make_extractor, stored_features
from trainables.seeds import child_seed
from trainables.synthesis import BLOCK, Block, Chosen, Marked, Sampler, Source, choose


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
) -> Generator[Progress, None, Inspected]:
    """Trains or finds an inspector, and notes the stage."""
    found = yield from inspect(
        part,
        real=real,
        synthetic=synthetic,
        validation=validation,
        inputs=inputs,
        num_classes=bench.task.outputs,
        seed=seed,
        precision=bench.recipe.precision,
        device=bench.device,
        store=bench.store,
    )
    costs = found.costs
    result.uses.append(
        StageUse(
            unit=position,
            stage="inspector",
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
        classes=list(bench.defects.values()),
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
) -> Generator[Progress, None, dict[str, Source]]:
    """Trains or finds the generator, or one for each class, up to the mark; gives where each class's items come from.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        unit: whose seeds count.
        items: the real training split: images, or features.
        labels: the class of each, among all classes.
        told: what stands for each class.
        inputs: keys of what items and class vectors came from.
        result: stages and costs are noted here.
    """
    recipe = bench.recipe
    assert recipe.generator is not None
    family, config = resolve(recipe.generator)
    scene, scene_key = None, ""
    if family.needs_backgrounds or (family.uses_backgrounds and recipe.data.backgrounds != "none"):
        found = find_backgrounds(bench.pack, bench.parts, recipe.data, bench.store)
        scene, scene_key = torch.from_numpy(np.array(found.images)), found.key
        inputs = [*inputs, found.key]
    rows = torch.isin(labels, torch.tensor(list(bench.defects)))
    masks = bench.pack.defect_masks(bench.parts.train[rows.numpy()]) if family.makes == "images and masks" else None
    data = TrainingData(
        items=items[rows],
        labels=labels[rows],
        masks=torch.from_numpy(masks) if masks is not None else None,
        backgrounds=scene,
        num_classes=len(bench.defects),
        class_vectors=told.vectors,
    )
    marks = yield from _marks(bench, position, data, inputs, child_seed(recipe.seed, "generator", unit.generator), result)
    result.values |= _generator_costs([mark.costs for mark in marks.values()])
    drawing = {name: getattr(config, name) for name in family.sampling_settings}
    samplers = {cls: _late_sampler(mark, drawing, bench.device) for cls, mark in marks.items()}
    sources = {}
    for label, cls in bench.defects.items():
        own = cls if cls in marks else ""
        sources[cls] = Source(
            key=marks[own].key,
            label=label if config.class_mode == "conditional" else 0,
            sampler=samplers[own],
            settings=drawing,
            shared_by=len(bench.defects) if is_sorted(bench) else 1,
            backgrounds=scene,
            backgrounds_key=scene_key,
        )
    return sources


def _marks(
    bench: Bench, position: int, data: TrainingData, inputs: list[str], seed: int, result: UnitResult
) -> Generator[Progress, None, dict[str, MarkEntry]]:
    """Trains or finds one model for each class, by its name; or the one model of all of them, under an empty name."""
    part = bench.recipe.generator
    assert part is not None
    mode = resolve(part)[1].class_mode
    shown = {"": data.pooled() if mode == "pooled" else data}
    if mode == "per_class":
        shown = {cls: data.only(label) for label, cls in bench.defects.items()}
    marks: dict[str, MarkEntry] = {}
    for cls, own in shown.items():
        marks[cls] = mark = yield from train_to_mark(
            part,
            data=own,
            inputs=inputs,
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


def draw_pool(
    bench: Bench, position: int, unit: Unit, real: LabelledImages, sources: dict[str, Source], reference: Inspected | None, result: UnitResult
) -> Generator[Progress, None, dict[str, Chosen]]:
    """Draws and filters the synthetic images of each defect class."""
    recipe = bench.recipe
    assert recipe.generator is not None and recipe.synthesis is not None
    family, _ = resolve(recipe.generator)
    # What changes no image must change no key: the pool, and all that follows from it, is then found.
    part = recipe.synthesis if family.truncates else replace(recipe.synthesis, truncation=1.0)
    counts = part.amount.counts([int((real.labels == label).sum()) for label in range(len(bench.pack.classes))])
    sorts = is_sorted(bench)
    judged = None
    if sorts or part.filter == "confidence":
        assert reference is not None
        trained = load_inspector(reference.entry, bench.device)

        def ask(items: torch.Tensor) -> torch.Tensor:
            return predict_features(trained, items) if family.makes == "features" else bench.task.opinion(predict(trained, items))

        judged = Extractor(name="inspector", identity=f"opinion/{reference.key}", run=ask)
    marks = recipe.task == "segment" and family.makes == "images"
    seed = child_seed(recipe.seed, "pool", unit.generator)
    chosen: dict[str, Chosen] = {}
    for label, cls in bench.defects.items():
        accept = sort = mark = None
        filter_key = ""
        if judged is not None and reference is not None:
            sort = _taken_for(bench, judged, label, 0.0) if sorts else None
            accept = _taken_for(bench, judged, label, part.min_confidence) if part.filter == "confidence" else None
            least = part.min_confidence if accept else 0.0
            # Shared blocks are the same for every class, so that what is taken of them has to be named.
            filter_key = f"{reference.key}:{least}" + (f":{cls}" if sorts else "")
        if marks:
            assert reference is not None
            mark = _marked_by(bench, position, reference, label, part.masks, result)
            filter_key += f":{masks_key(reference.key, part.masks, label=label, count=BLOCK, inputs=[])}:{part.masks.min_sureness}"
        chosen[cls] = yield from choose(
            sources[cls],
            cls,
            counts[label],
            part,
            accept,
            sort=sort,
            mark=mark,
            filter_key=filter_key,
            seed=seed,
            unit=position,
            device=bench.device,
            store=bench.store,
            uses=result.uses,
        )
    result.synthetic_counts = {cls: len(images.training) for cls, images in chosen.items()}
    result.values["acceptance_rate"] = statistics.fmean(images.acceptance for images in chosen.values())
    return chosen


def is_sorted(bench: Bench) -> bool:
    """Says whether the classes share the images of one model that is not told them, each taking what the reference inspector takes for it."""
    assert bench.recipe.generator is not None
    return bench.task.sorts and len(bench.defects) > 1 and resolve(bench.recipe.generator)[1].class_mode == "pooled"


def _marked_by(bench: Bench, position: int, segmenter: Inspected, label: int, part: MaskPart, result: UnitResult) -> Callable[[Block], Marked]:
    """Has a block's masks made by the reference segmenter, and notes the stage."""
    noted: set[str] = set()

    def mark(block: Block) -> Marked:
        made = stored_masks(block.images, label, part, segmenter=segmenter.entry, inputs=[block.key], device=bench.device, store=bench.store)
        if made.key not in noted:
            noted.add(made.key)
            use = StageUse(
                unit=position, stage="masks", cls=block.use.cls, key=made.key, reused=made.reused, seconds=made.seconds, device=bench.device
            )
            result.uses.append(use)
        return Marked(masks=made.masks, usable=made.usable(part))

    return mark


def _taken_for(bench: Bench, judged: Extractor, label: int, least: float) -> Callable[[Block], torch.Tensor]:
    """Finds a block's images that the reference inspector takes for a class, with at least this probability: sorting, and the confidence filter."""

    def accept(block: Block) -> torch.Tensor:
        opinion = stored_features(judged, block.images, name="synthetic", inputs=[block.key], store=bench.store).values
        return bench.task.taken_for(opinion, label, least)

    return accept


def score_splits(bench: Bench, said: Mapping[str, Mapping[str, torch.Tensor]], result: UnitResult) -> None:
    """Scores what the trial's inspector said of each split that was read; thresholds come from validation."""
    config = read_config(bench.recipe.inspector)
    for name, own in said.items():
        scored = bench.task.score(own, validated=said["val"], config=config, split=name)
        result.values |= scored.values
        if scored.confusion is not None:
            result.confusion[name] = scored.confusion
