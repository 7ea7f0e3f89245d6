"""One unit of a zero-shot trial: a router that knows seen classes by their images and unseen ones by what is said of them.

inspector on seen classes -> its features -> class vectors -> generator -> features of unseen classes -> classifier -> scores

Search on validation, judge on test, and no image of an unseen class in the search: a search cannot be told how well it does on classes that nobody
may look at. So each unit runs a course on validation in which some of the *seen* classes are pretended to be unseen (`zero_shot.val_unseen`, or drawn
by the study's seed for each set of unseen classes, as many as these): everything is trained on the remaining classes, and scored on the validation
images of these and of the pretended ones. `zero_shot.val_draws` such courses pretend so of other classes each, and scores are their means. No image
of a truly unseen class is read, in no part of the split. Only the judge runs another course, in which all seen classes are trained on, and reads the
test images of seen and of truly unseen classes, once: `test_seen`, `test_unseen`, ... The classifier's pass and the threshold are chosen on
validation images of seen classes in all of them. A study over all pairs chooses one setting for all of them, so that it has met each class as a seen
one; no course has met its own.

A baseline on real images alone has no generator: its classifier knows the seen classes, and an image whose scaled features lie beyond the threshold
from all class means is unseen. Called by `trial`.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from trainables.bench import Bench, UnitResult
from trainables.conditioning.attributes import study_attributes
from trainables.datasets.splits import Indices
from trainables.errors import SettingsError
from trainables.generators.bases.features import FeatureConfig
from trainables.generators.training.stage import resolve
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.head import LabelledFeatures
from trainables.inspectors.stage import Inspected
from trainables.measures.throughput import picture_costs
from trainables.progress import Progress, StageUse
from trainables.recipe import Amount, Recipe, Unit
from trainables.rungs import RungScore, images_of_a_class, score_rung
from trainables.scores.distances import image_distances
from trainables.scores.extractors import Extractor, Features, make_extractor, stored_features
from trainables.scores.names import MMD, distance_names
from trainables.scores.zero_shot import reading_error
from trainables.seeds import child_seed
from trainables.steps import condition, train_generators, train_inspector
from trainables.store import Entry
from trainables.synthesis.blocks import Chosen, Source
from trainables.synthesis.pools import draw_pool, first_items
from trainables.zero_shot.answers import ask, router_scores
from trainables.zero_shot.classifier import STAGE, Names, Routed, train_classifier
from trainables.zero_shot.draws import mean_of_draws
from trainables.zero_shot.router import EmbeddingReader, plain_reader, reader_of_mark
from trainables.zero_shot.settings import ZeroShotPart, pretended_unseen, zero_shot_folds, zero_shot_problems
from trainables.zero_shot.sources import generator_problems, mark_of, told_unseen, unseen_count, unseen_sources, uses_of
from trainables.zero_shot.split import ZeroShot, ZeroShotSplit, seen_bench, zero_shot_split


def run_zero_shot_unit(bench: Bench, position: int, unit: Unit, part: ZeroShotPart, *, fold: int = 0) -> Generator[Progress, None, UnitResult]:
    """Runs one replicate: a course on validation for each draw of classes, and for the judge one on test.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        unit: whose seeds count.
        part: which classes are unseen, and how they are known.
        fold: which of `zero_shot_folds`.

    Raises:
        SettingsError: the classes or the generator cannot serve; all problems at once.
    """
    _check(bench.recipe, part, bench.pack.classes)
    recipe, classes = bench.recipe, bench.pack.classes
    unseen = zero_shot_folds(part, classes)[fold]
    drawn = pretended_unseen(part, classes, unseen, seed=recipe.seed)
    courses: list[UnitResult] = []
    for pretended in drawn:
        split = zero_shot_split(bench.pack, bench.parts, unseen=pretended, absent=unseen, scored="val")
        course = UnitResult(conditions={"train_images": len(split.train), "val_images": len(split.seen) + len(split.unseen)})
        yield from _Course(bench, position, unit, part, split, course, tells=position == 0 and not courses).run()
        courses.append(course)
    result = mean_of_draws(courses, drawn)
    result.conditions = {"unseen": list(unseen), **result.conditions}
    result.sum_costs()
    if recipe.judge:
        judged = UnitResult()
        made = yield from run_judged_course(bench, position, unit, part, unseen=unseen, result=judged)
        # Costs stay those of the courses that every trial of the search has.
        result.values |= {name: value for name, value in judged.values.items() if name.startswith("test_")}
        result.confusion |= judged.confusion
        result.files |= judged.files
        result.uses += judged.uses
        result.conditions |= {"judged_train_images": len(made.split.train), "test_images": len(made.split.seen) + len(made.split.unseen)}
    return result


def run_judged_course(
    bench: Bench, position: int, unit: Unit, part: ZeroShotPart, *, unseen: Sequence[str], result: UnitResult
) -> Generator[Progress, None, "Routing"]:
    """Trains on all seen classes, and reads the test images of seen and of truly unseen ones. Only for the judge, and for the two-stage system.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        unit: whose seeds count.
        part: how unseen classes are known.
        unseen: the truly unseen classes.
        result: scores, stages and costs are noted here.

    Raises:
        SettingsError: the classes or the generator cannot serve; all problems at once.
    """
    _check(bench.recipe, part, bench.pack.classes)
    split = zero_shot_split(bench.pack, bench.parts, unseen=unseen, scored="test")
    return (yield from _Course(bench, position, unit, part, split, result).run())


def _check(recipe: Recipe, part: ZeroShotPart, classes: Sequence[str]) -> None:
    """Refuses classes and generators that cannot serve."""
    problems = zero_shot_problems(part, classes)
    if recipe.generator is not None and recipe.synthesis is not None:
        problems += generator_problems(part, recipe.generator, recipe.synthesis)
    if problems:
        raise SettingsError("\n".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """What a course leaves in the store."""

    split: ZeroShotSplit
    backbone: Entry
    """The inspector of seen classes, whose features the router takes."""
    routed: Routed


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What a course knows beside the real features."""

    reader: EmbeddingReader
    key: str
    """Names the reader, where it comes from a generator."""
    attributes: tuple[str, ...]
    chosen: dict[str, Chosen]
    """Synthetic features by unseen class; none where a threshold decides."""


class _Course:
    """One chain of stages over one choice of seen and unseen classes."""

    def __init__(
        self, bench: Bench, position: int, unit: Unit, part: ZeroShotPart, split: ZeroShotSplit, result: UnitResult, *, tells: bool = False
    ) -> None:
        """Takes what a unit shares; `tells` is true of the one course that tells how its generator stands at the rungs of the trial."""
        self.whole, self.bench, self.position, self.unit = bench, seen_bench(bench, split), position, unit
        self.part, self.split, self.result, self.tells = part, split, result, tells

    def run(self) -> Generator[Progress, None, Routing]:
        """Runs the chain, and notes scores, stages and costs."""
        bench, split, recipe = self.bench, self.split, self.bench.recipe
        real, validation = bench.images(split.train), bench.images(split.val)
        seed = child_seed(recipe.seed, "inspector", self.unit.inspector)
        own = yield from train_inspector(bench, self.position, recipe.inspector, real, None, validation, [split.key], seed, self.result)
        self.result.values |= own.costs | picture_costs(self.bench, own)
        extractor = make_extractor(replace(recipe.scores, extractor="inspector"), device=bench.device, inspector=own.entry)
        features = stored_features(extractor, real.images, name="train", inputs=[split.key], store=bench.store)
        told = yield from self._tell(real, features, own, extractor)
        routed = yield from self._answer(real, features, told, extractor, seed)
        return Routing(split=split, backbone=own.entry, routed=routed)

    def _tell(self, real: LabelledImages, features: Features, own: Inspected, extractor: Extractor) -> Generator[Progress, None, _Told]:
        """Trains the generator on seen classes, and draws features of unseen ones."""
        bench, split, recipe = self.bench, self.split, self.bench.recipe
        if recipe.generator is None or recipe.synthesis is None:
            return _Told(reader=plain_reader(features.values, real.labels), key=features.key, attributes=(), chosen={})
        told = yield from condition(bench, self.position, self.unit, real, own, self.result)
        assert told.vectors is not None
        inputs = [features.key, *told.inputs]
        length = float(told.vectors.float().norm(dim=1).mean())
        vectors = told_unseen(self.part, told, study_attributes(recipe.data), split.unseen_classes)
        unseen = vectors / length if vectors is not None else None

        def judge(sources: dict[str, Source]) -> RungScore:
            return self._score_rung(sources, unseen, extractor)

        heard = judge if self.tells and recipe.rungs else None
        sources = yield from train_generators(bench, self.position, self.unit, features.values, real.labels, told, inputs, self.result, judge=heard)
        source = next(iter(sources.values()))
        mark = mark_of(source, bench.store)
        reader = reader_of_mark(mark, length=length)
        chosen: dict[str, Chosen] = {}
        if unseen is not None:
            chosen = yield from self._draw(real, unseen_sources(source, mark, unseen, split.unseen_classes, device=bench.device))
        return _Told(reader=reader, key=source.key, attributes=told.table["real"].attributes, chosen=chosen)

    def _draw(self, real: LabelledImages, sources: dict[str, Source]) -> Generator[Progress, None, dict[str, Chosen]]:
        """Draws the synthetic features of each unseen class, through the pool that every trial draws from."""
        recipe = self.bench.recipe
        assert recipe.synthesis is not None
        count = unseen_count(recipe.synthesis.amount, torch.bincount(real.labels, minlength=len(self.split.seen_classes)).tolist())
        # They have no real image that an amount could count.
        nothing = self.bench.images(self.split.train[:0])
        return (yield from draw_pool(self._unseen_bench(count), self.position, self.unit, nothing, sources, None, self.result))

    def _unseen_bench(self, count: int) -> Bench:
        """Gives a bench of the unseen classes alone, of each of which `count` items are wanted."""
        recipe = self.bench.recipe
        assert recipe.synthesis is not None
        synthesis = replace(recipe.synthesis, amount=Amount(kind="per_class", value=float(count)))
        pack = replace(self.bench.pack, classes=self.split.unseen_classes)
        return replace(self.bench, pack=pack, task=ZeroShot(pack), recipe=replace(recipe, synthesis=synthesis))

    def _score_rung(self, sources: dict[str, Source], unseen: Tensor | None, extractor: Extractor) -> RungScore:
        """Measures the first synthetic features of the unseen classes, or of the seen ones where no vector stands for these, against validation."""
        split, bench, labels = self.split, self.bench, self.whole.pack.labels
        if unseen is not None:
            source = next(iter(sources.values()))
            drawn = unseen_sources(source, mark_of(source, bench.store), unseen, split.unseen_classes, device=bench.device)
            bench, rows = self._unseen_bench(0), split.unseen
            real = self._features(extractor, f"{split.scored} of {', '.join(split.unseen_classes)}", rows).features
        else:
            drawn, rows = sources, split.seen
            real = self._features(extractor, split.scored, rows).features
        firsts = first_items(bench, self.position, self.unit, drawn, None, self.result, most=images_of_a_class(len(bench.made)))
        of = torch.from_numpy(labels[rows])
        by_class = {cls: real[of == self.whole.pack.classes.index(cls)] for cls in firsts}
        return score_rung(by_class, {cls: first.items for cls, first in firsts.items()}, extractor="inspector", of_features=True)

    def _answer(self, real: LabelledImages, features: Features, told: _Told, extractor: Extractor, seed: int) -> Generator[Progress, None, Routed]:
        """Trains the classifier, asks it for the part that is scored, and scores what it says."""
        split, recipe, store = self.split, self.bench.recipe, self.bench.store
        config = FeatureConfig() if recipe.generator is None else resolve(recipe.generator)[1]
        by_threshold = recipe.generator is None or self.part.unseen_ce == "dissimilarity_threshold"
        first = len(split.seen_classes)
        synthetic, inputs = None, [features.key, told.key]
        if told.chosen:
            behind = [torch.full((len(items.training),), first + k, dtype=torch.int64) for k, items in enumerate(told.chosen.values())]
            synthetic = LabelledFeatures(features=torch.cat([items.training for items in told.chosen.values()]), labels=torch.cat(behind))
            inputs += [f"{items.scored_key}:{len(items.training)}" for items in told.chosen.values()]
        routed = yield from train_classifier(
            reader=told.reader,
            names=Names(seen=split.seen_classes, unseen=() if by_threshold else split.unseen_classes, attributes=told.attributes),
            uses=uses_of(self.part, recipe.generator),
            percentile=self.part.percentile if by_threshold or self.part.calibrate else None,
            lr=config.classifier_lr,
            epochs=config.classifier_epochs,
            real=LabelledFeatures(features=features.values, labels=real.labels),
            synthetic=synthetic,
            validation=self._features(extractor, "val", split.val),
            inputs=inputs,
            seed=child_seed(seed, "classifier"),
            store=store,
        )
        use = StageUse(unit=self.position, stage=STAGE, key=routed.key, reused=routed.reused, seconds=routed.seconds, device="cpu")
        self.result.uses.append(use)
        self.result.values["inspector_s"] = (self.result.values["inspector_s"] or 0.0) + routed.seconds
        yield Progress(stage="scores")
        name = split.scored
        strange = self._features(extractor, f"{name} of {', '.join(split.unseen_classes)}", split.unseen)
        seen = self._features(extractor, name, split.seen)
        # Labels are the data set's again, of which both kinds of class have one.
        labels, rows = self.whole.pack.labels, np.concatenate([split.seen, split.unseen])
        asked = LabelledFeatures(features=torch.cat([seen.features, strange.features]), labels=torch.from_numpy(labels[rows]))
        said = ask(routed, asked, classes=self.whole.pack.classes, split=name, inputs=[split.key, *split.unseen_classes], store=store)
        unseen = [self.whole.pack.classes.index(cls) for cls in split.unseen_classes]
        values, confused = router_scores(said, unseen, by_threshold=by_threshold, split=name)
        self.result.values |= values | self._distances(strange.features, torch.from_numpy(labels[split.unseen]), told.chosen)
        self.result.values[f"{name}_reading_error"] = _reading_error(told.reader, seen)
        if confused is not None:
            self.result.confusion[name] = confused
        if name == "test":
            self.result.files |= {file: {"stage": STAGE, "key": routed.key, "file": file} for file in ("router.safetensors", "router.json")}
        return routed

    def _features(self, extractor: Extractor, name: str, rows: Indices) -> LabelledFeatures:
        """Takes the features of images."""
        images = self.bench.images(rows)
        found = stored_features(extractor, images.images, name=name, inputs=[self.split.key], store=self.bench.store)
        return LabelledFeatures(features=found.values, labels=images.labels)

    def _distances(self, real: Tensor, labels: Tensor, chosen: dict[str, Chosen]) -> dict[str, float | None]:
        """Measures how far synthetic features of unseen classes lie from real ones, in the inspector's space: MMD, also class by class."""
        if not chosen:
            return {}
        kid, _ = distance_names("inspector")
        opening = f"{self.split.scored}_{kid}"
        by_class = {cls: real[labels == self.whole.pack.classes.index(cls)] for cls in chosen}
        found = image_distances(by_class, {cls: items.scored for cls, items in chosen.items()}, extractor="inspector", split=self.split.scored)
        self.result.scored_counts = {cls: len(items.scored) for cls, items in chosen.items()}
        return {f"{self.split.scored}_{MMD}{name.removeprefix(opening)}": value for name, value in found.items() if name.startswith(opening)}


def _reading_error(reader: EmbeddingReader, seen: LabelledFeatures) -> float | None:
    """Says how well class vectors are read from images of seen classes; null for a baseline, whose means of features nobody has to learn to read."""
    return reading_error(reader(seen.features).embedded, seen.labels, reader.vectors) if reader.hidden else None
