"""One unit of a trial whose generator makes features: it works in front of the last layer of the trial's own inspector, and retrains that layer.

inspector on real images -> its features -> generator -> synthetic features -> the inspector's head, learned anew -> scores

The inspector is the one that the real-only baseline trains with the same seed, so that both are compared with nothing else changed. There are no
pictures to show, and synthetic features are compared with real ones in no other inspector's space. Called by `trial`.
"""

from collections.abc import Generator
from dataclasses import replace

import torch

from trainables.bench import Bench, UnitResult
from trainables.generators.training.stage import resolve
from trainables.health import memorisation_note
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.head import LabelledFeatures, judge_head, retrain_head
from trainables.inspectors.stage import Inspected, read_predictions
from trainables.measures.robustness import Subject, disturbed_split, measure_robustness, retrained_inspector
from trainables.measures.throughput import picture_costs
from trainables.progress import Progress, StageUse
from trainables.recipe import Unit
from trainables.rungs import RungScore, images_of_a_class, score_rung
from trainables.scores.distances import image_distances
from trainables.scores.extractors import Extractor, Features, make_extractor, stored_features
from trainables.scores.image_sets import COMPARED, memorisation_scores
from trainables.scores.names import MMD, distance_names
from trainables.seeds import child_seed
from trainables.steps import condition, score_splits, train_generators, train_inspector
from trainables.synthesis.blocks import Chosen, Source
from trainables.synthesis.pools import draw_pool, first_items


def run_feature_unit(bench: Bench, position: int, unit: Unit) -> Generator[Progress, None, UnitResult]:
    """Runs one replicate: inspector, generator, pool, head, scores."""
    recipe, result = bench.recipe, UnitResult()
    assert recipe.generator is not None
    real, validation = bench.images(bench.parts.train), bench.images(bench.parts.val)
    seed, split = child_seed(recipe.seed, "inspector", unit.inspector), [bench.parts.key]
    own = yield from train_inspector(bench, position, recipe.inspector, real, None, validation, split, seed, result)
    extractor = make_extractor(replace(recipe.scores, extractor="inspector"), device=bench.device, inspector=own.entry)
    features = stored_features(extractor, real.images, name="train", inputs=split, store=bench.store)
    told = yield from condition(bench, position, unit, real, own, result)
    inputs = [features.key, *told.inputs]

    def judge(sources: dict[str, Source]) -> RungScore:
        return _score_rung(bench, position, unit, sources, extractor, own, result)

    heard = judge if position == 0 and recipe.rungs else None
    sources = yield from train_generators(bench, position, unit, features.values, real.labels, told, inputs, result, judge=heard)
    chosen = yield from draw_pool(bench, position, unit, real, sources, own, result)
    yield Progress(stage="scores")
    _score_features(bench, chosen, extractor, result)
    result.health |= memorisation_note(result.values, "inspector")
    shown = LabelledFeatures(features=features.values, labels=real.labels)
    yield from _retrain(bench, position, shown, features, chosen, extractor, own, seed, result)
    result.sum_costs()
    return result


def _score_rung(
    bench: Bench, position: int, unit: Unit, sources: dict[str, Source], extractor: Extractor, own: Inspected, result: UnitResult
) -> RungScore:
    """Measures the first synthetic features of each class against those of the real validation images."""
    firsts = first_items(bench, position, unit, sources, own, result, most=images_of_a_class(len(bench.made)))
    split = _labelled(bench, extractor, "val")
    real = {cls: split.features[split.labels == label] for label, cls in bench.defects.items()}
    return score_rung(real, {cls: first.items for cls, first in firsts.items()}, extractor="inspector", of_features=True)


def _retrain(
    bench: Bench,
    position: int,
    real: LabelledFeatures,
    features: Features,
    chosen: dict[str, Chosen],
    extractor: Extractor,
    own: Inspected,
    seed: int,
    result: UnitResult,
) -> Generator[Progress, None, None]:
    """Learns the inspector's head on real and synthetic features, and scores what it says to every split that may be read."""
    recipe, synthetic, inputs = bench.recipe, None, [features.key]
    assert recipe.generator is not None
    config = resolve(recipe.generator)[1]
    if any(len(items.training) for items in chosen.values()):
        # Defect classes come first, so that their order is their label.
        labels = [torch.full((len(items.training),), label, dtype=torch.int64) for label, items in enumerate(chosen.values())]
        synthetic = LabelledFeatures(features=torch.cat([items.training for items in chosen.values()]), labels=torch.cat(labels))
        inputs += [f"{items.scored_key}:{len(items.training)}" for items in chosen.values()]
    head = yield from retrain_head(
        lr=config.classifier_lr,
        epochs=config.classifier_epochs,
        real=real,
        synthetic=synthetic,
        validation=_labelled(bench, extractor, "val"),
        inputs=inputs,
        num_classes=len(bench.pack.classes),
        seed=child_seed(seed, "head"),
        store=bench.store,
    )
    result.uses.append(StageUse(unit=position, stage="head", key=head.key, reused=head.reused, seconds=head.seconds, device="cpu"))
    result.values |= {**own.costs, **picture_costs(bench, own), "inspector_s": own.costs["inspector_s"] + head.seconds}
    entries = {"val": head.entry}
    if recipe.judge:
        entries["test"] = judge_head(head.entry, test=_labelled(bench, extractor, "test"), inputs=[bench.parts.key], store=bench.store).entry
    said = {name: read_predictions(entry) for name, entry in entries.items()}
    score_splits(bench, said, result)
    if recipe.scores.robustness:

        def load(known: LabelledImages) -> Subject:
            return retrained_inspector(own.entry, head.entry, known, device=bench.device)

        yield from measure_robustness(bench, position, load, head.key, said[disturbed_split(bench)], result)


def _labelled(bench: Bench, extractor: Extractor, name: str) -> LabelledFeatures:
    """Takes the features of a split's real images."""
    images = bench.images(bench.parts.train if name == "train" else bench.readable[name])
    found = stored_features(extractor, images.images, name=name, inputs=[bench.parts.key], store=bench.store)
    return LabelledFeatures(features=found.values, labels=images.labels)


def _score_features(bench: Bench, chosen: dict[str, Chosen], extractor: Extractor, result: UnitResult) -> None:
    """Measures synthetic features against real ones of every split that may be read, in the space that they were made in.

    The kernel distance is always given as MMD. Under the names that images are measured by, all scores are given only where a study measures its
    images in an inspector's features: they are then the same numbers, taken in the features of the trial's own inspector.
    """
    kid, _ = distance_names("inspector")
    synthetic = {cls: items.scored for cls, items in chosen.items() if len(items.scored)}
    for name in bench.readable:
        split = _labelled(bench, extractor, name)
        real = {cls: split.features[split.labels == label] for label, cls in bench.defects.items()}
        found = image_distances(real, synthetic, extractor="inspector", split=name)
        opening = f"{name}_{kid}"
        result.values |= {f"{name}_{MMD}{key.removeprefix(opening)}": value for key, value in found.items() if key.startswith(opening)}
        if bench.recipe.scores.extractor == "inspector":
            result.values |= found
            if name == "val":
                training = _labelled(bench, extractor, "train")
                known = {cls: training.features[training.labels == label] for label, cls in bench.defects.items()}
                result.values |= memorisation_scores(known, synthetic, real, extractor="inspector")
                result.conditions["memorisation_of_a_class_at_most"] = COMPARED
    result.scored_counts = {cls: len(items) for cls, items in synthetic.items()}
