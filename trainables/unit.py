"""One unit of a trial, a replicate with its own seeds: generator, pool, inspector, scores. Called by `trial`, which says what a trial is.

Families that make features have a unit of their own, `feature_unit`, made of the same steps.
"""

import functools
from collections.abc import Generator

import torch

from trainables.bench import Bench, UnitResult
from trainables.contents import content_key
from trainables.datasets.splits import Indices
from trainables.generators.training.stage import resolve, told_by
from trainables.health import memorisation_note
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import Inspected, judge, read_predictions
from trainables.measures.diagnostics import diagnose
from trainables.measures.particulars import particulars
from trainables.measures.robustness import Subject, disturbed_split, measure_robustness, whole_inspector
from trainables.measures.throughput import picture_costs
from trainables.progress import Progress
from trainables.recipe import Unit
from trainables.rungs import RungScore, images_of_a_class, score_rung
from trainables.scores.distances import image_distances
from trainables.scores.extractors import Extractor, Features, make_extractor, stored_features
from trainables.scores.image_sets import COMPARED, TEXTURED, evenly, inception_scores, memorisation_scores, texture_scores
from trainables.scores.samples import ClassImages, stored_sheet
from trainables.scores.textures import TextureStatistics, stored_textures
from trainables.seeds import child_seed
from trainables.steps import condition, score_splits, train_generators, train_inspector
from trainables.synthesis.blocks import Chosen, Source
from trainables.synthesis.pools import asks, draw_pool, first_items, is_marked


def run_unit(bench: Bench, position: int, unit: Unit) -> Generator[Progress, None, UnitResult]:
    """Runs one replicate: generator, pool, inspector, scores."""
    recipe, result = bench.recipe, UnitResult()
    real = bench.images(bench.parts.train)
    taught = bench.task.known(real, bench.parts.train)
    validation = bench.task.known(bench.images(bench.parts.val), bench.parts.val)
    synthetic, chosen, inputs = None, {}, [bench.parts.key]
    if recipe.generator is not None and recipe.synthesis is not None:
        reference = yield from _reference(bench, position, taught, validation, result)
        told = yield from condition(bench, position, unit, real, reference, result)
        # Made when it is first used, at a rung or behind the pool: it holds memory.
        entry = reference.entry if reference is not None else None
        late = functools.cache(lambda: make_extractor(recipe.scores, device=bench.device, inspector=entry))

        def judge(sources: dict[str, Source]) -> RungScore:
            return _score_rung(bench, position, unit, sources, reference, late(), result)

        heard = judge if position == 0 and recipe.rungs else None
        made_from = [*inputs, *told.inputs]
        sources = yield from train_generators(bench, position, unit, real.images, real.labels, told, made_from, result, judge=heard)
        chosen = yield from draw_pool(bench, position, unit, real, sources, reference, result)
        yield Progress(stage="scores")
        extractor = late()
        _score_images(bench, chosen, extractor, result)
        result.health |= memorisation_note(result.values, extractor.name)
        _note_particulars(bench, sources, real, extractor, result)
        count = sum(len(images.training) for images in chosen.values())
        if count:
            synthetic = bench.task.synthetic(chosen)
            inputs += [f"{images.scored_key}:{len(images.training)}" for images in chosen.values()]
    seed = child_seed(recipe.seed, "inspector", unit.inspector)
    shown = taught
    if recipe.synthesis is not None and bench.replaced:
        shown = bench.without(taught, bench.replaced, bench.parts.train)
        inputs.append(f"without:{','.join(bench.replaced.values())}")
        result.conditions |= {"replaces": recipe.synthesis.replaces, "replaced_images": len(taught.labels) - len(shown.labels)}
    if recipe.scores.diagnostics and recipe.generator is not None:
        yield from diagnose(bench, position, taught, validation, chosen, seed, result)
    trained = yield from train_inspector(bench, position, recipe.inspector, shown, synthetic, validation, inputs, seed, result)
    result.values |= trained.costs | picture_costs(bench, trained)
    yield from _score_predictions(bench, position, trained, result)
    result.sum_costs()
    return result


def _reference(
    bench: Bench, position: int, taught: LabelledImages, validation: LabelledImages, result: UnitResult
) -> Generator[Progress, None, Inspected | None]:
    """Trains, or finds, the inspector on real images alone whose features or opinions this trial uses; None where it uses neither."""
    recipe = bench.recipe
    assert recipe.generator is not None and recipe.synthesis is not None
    several = len(bench.made) > 1
    learns = several and told_by(recipe.generator).kind in ("learned", "blend")
    if not (recipe.scores.extractor == "inspector" or learns or asks(bench) or is_marked(bench)):
        return None
    part = recipe.scores.inspector or recipe.inspector
    seed = child_seed(recipe.seed, "inspector", 0)
    return (yield from train_inspector(bench, position, part, taught, None, validation, [bench.parts.key], seed, result))


def _score_rung(
    bench: Bench, position: int, unit: Unit, sources: dict[str, Source], reference: Inspected | None, extractor: Extractor, result: UnitResult
) -> RungScore:
    """Measures the first images of each class against the real validation images."""
    firsts = first_items(bench, position, unit, sources, reference, result, most=images_of_a_class(len(bench.made)))
    synthetic = {
        cls: stored_features(extractor, first.items, name="rung", inputs=first.keys, store=bench.store).values
        for cls, first in firsts.items()
        if len(first.items)
    }
    real, _ = _real_features(bench, extractor, "val", bench.parts.val)
    return score_rung({cls: part.features for cls, part in real.items()}, synthetic, extractor=extractor.name)


def _score_images(bench: Bench, chosen: dict[str, Chosen], extractor: Extractor, result: UnitResult) -> None:
    """Measures synthetic images against real ones of every split that may be read, and draws the contact sheet."""
    store = bench.store
    drawn = {
        cls: stored_features(extractor, images.scored, name="synthetic", inputs=[images.scored_key], store=store)
        for cls, images in chosen.items()
        if len(images.scored)
    }
    for name, rows in bench.readable.items():
        by_class, _ = _real_features(bench, extractor, name, rows)
        synthetic = {cls: features.values for cls, features in drawn.items()}
        result.values |= image_distances({cls: part.features for cls, part in by_class.items()}, synthetic, extractor=extractor.name, split=name)
        _score_sets(bench, name, by_class, chosen, synthetic, extractor, result)
    result.scored_counts = {cls: len(features.values) for cls, features in drawn.items()}
    if drawn:
        train, features = _real_features(bench, extractor, "train", bench.parts.train)
        shown = {
            cls: ClassImages(images=chosen[cls].scored, features=features.values, masks=chosen[cls].scored_masks) for cls, features in drawn.items()
        }
        keys = [features.key, *(found.key for found in drawn.values())]
        _, result.samples = stored_sheet(train, shown, inputs=keys, store=store)


def _score_sets(
    bench: Bench,
    split: str,
    real: dict[str, ClassImages],
    chosen: dict[str, Chosen],
    synthetic: dict[str, torch.Tensor],
    extractor: Extractor,
    result: UnitResult,
) -> None:
    """Measures synthetic images as sets: textures against each split, and, once, what was learnt by heart and how surely they are named."""
    store = bench.store
    described = {
        cls: stored_textures(evenly(images.scored, TEXTURED), name="synthetic", inputs=[images.scored_key], store=store)
        for cls, images in chosen.items()
        if len(images.scored)
    }
    known = {cls: _real_textures(bench, evenly(part.images, TEXTURED), f"{split}.{cls}") for cls, part in real.items() if len(part.images)}
    result.values |= texture_scores(known, described, split=split)
    if split == "val":
        training = _real_features(bench, extractor, "train", bench.parts.train)[0]
        features = {name: {cls: part.features for cls, part in by_class.items()} for name, by_class in (("train", training), ("val", real))}
        result.values |= memorisation_scores(features["train"], synthetic, features["val"], extractor=extractor.name)
        if (probabilities := extractor.probabilities) is not None:
            named = [{cls: probabilities(own) for cls, own in by_class.items() if len(own)} for by_class in (synthetic, features["val"])]
            result.values |= inception_scores(*named, extractor=extractor.name)
    result.conditions |= {"textures_of_a_class_at_most": TEXTURED, "memorisation_of_a_class_at_most": COMPARED}


def _real_textures(bench: Bench, images: torch.Tensor, name: str) -> TextureStatistics:
    """Describes a class's real images, which are known by their content: another class in the data set leaves them as they are."""
    return stored_textures(images, name=name, inputs=[content_key({"images": images})], formerly=[bench.parts.key], store=bench.store)


def _note_particulars(bench: Bench, sources: dict[str, Source], real: LabelledImages, extractor: Extractor, result: UnitResult) -> None:
    """Takes what is particular to the family: numbers among the scores, sheets among the files."""
    recipe = bench.recipe
    assert recipe.generator is not None
    found = particulars(
        resolve(recipe.generator)[0],
        sources,
        real,
        extractor,
        inputs=[bench.parts.key],
        seed=child_seed(recipe.seed, "particulars"),
        device=bench.device,
        store=bench.store,
    )
    result.values |= found.scores
    result.files |= found.files


def _real_features(bench: Bench, extractor: Extractor, name: str, rows: Indices) -> tuple[dict[str, ClassImages], Features]:
    """Takes the features of a split's real images, by class of those that are made."""
    images = bench.images(rows)
    features = stored_features(extractor, images.images, name=name, inputs=[bench.parts.key], store=bench.store)
    of = {cls: images.labels == label for label, cls in bench.made.items()}
    return {cls: ClassImages(images=images.images[mask], features=features.values[mask]) for cls, mask in of.items()}, features


def _score_predictions(bench: Bench, position: int, trained: Inspected, result: UnitResult) -> Generator[Progress, None, None]:
    """Scores what the inspector said to every split that may be read, and to disturbed images where the recipe asks for that."""
    said = {"val": read_predictions(trained.entry)}
    if bench.recipe.judge:
        test = bench.task.known(bench.images(bench.parts.test), bench.parts.test)
        said["test"] = read_predictions(judge(trained.entry, test=test, inputs=[bench.parts.key], device=bench.device, store=bench.store).entry)
    score_splits(bench, said, result)
    if bench.recipe.scores.robustness:

        def load(known: LabelledImages) -> Subject:
            return whole_inspector(trained.entry, known, device=bench.device)

        yield from measure_robustness(bench, position, load, trained.key, said[disturbed_split(bench)], result)
