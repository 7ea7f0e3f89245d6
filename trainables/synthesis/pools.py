"""The step that draws the synthetic images of a unit: blocks, sorted, filtered and marked by the reference inspector. Called by the units."""

import statistics
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch

from trainables.bench import Bench, UnitResult
from trainables.errors import TrialFailure
from trainables.generators.training.stage import resolve
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.head import predict_features
from trainables.inspectors.stage import Inspected, load_inspector
from trainables.inspectors.training import predict
from trainables.progress import Progress, StageUse
from trainables.recipe import SynthesisPart, Unit
from trainables.scores.extractors import Extractor, stored_features
from trainables.seeds import child_seed
from trainables.synthesis.blocks import BLOCK, Block, Chosen, Marked, Sieve, Source, choose, draw_block
from trainables.synthesis.pseudo_masks import masks_key, stored_masks


@dataclass(frozen=True, kw_only=True, slots=True)
class First:
    """The first items of a class, as they are drawn: no filter has judged them."""

    items: torch.Tensor
    """Images (n, C, H, W) uint8, or features (n, D)."""
    keys: list[str]
    """Name what they came from."""


def draw_pool(
    bench: Bench, position: int, unit: Unit, real: LabelledImages, sources: dict[str, Source], reference: Inspected | None, result: UnitResult
) -> Generator[Progress, None, dict[str, Chosen]]:
    """Draws and filters the synthetic images of each class that is made.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        unit: whose seeds count.
        real: the real training split, beside which amounts are counted.
        sources: where each class's images come from.
        reference: the inspector that learnt from real images alone, where one is asked.
        result: stages and counts are noted here.
    """
    recipe = bench.recipe
    assert recipe.generator is not None and recipe.synthesis is not None
    part = _drawn_by(bench)
    counts = part.amount.counts([int((real.labels == label).sum()) for label in range(len(bench.pack.classes))], bench.replaced)
    if missing := [cls for label, cls in bench.replaced.items() if counts[label] == 0]:
        cure = "raise the amount, or take synthesis.replaces: nothing"
        raise TrialFailure("bad_data", f"no synthetic image takes the place of the real ones of {', '.join(missing)}; {cure}")
    judged = _judged(bench, reference) if asks(bench) and reference is not None else None
    seed = child_seed(recipe.seed, "pool", unit.generator)
    chosen: dict[str, Chosen] = {}
    for label, cls in bench.made.items():
        chosen[cls] = yield from choose(
            sources[cls],
            cls,
            counts[label],
            part,
            _sieve(bench, position, label, cls, part, reference, judged, result),
            seed=seed,
            unit=position,
            device=bench.device,
            store=bench.store,
            uses=result.uses,
        )
    result.synthetic_counts = {cls: len(images.training) for cls, images in chosen.items()}
    result.values["acceptance_rate"] = statistics.fmean(images.acceptance for images in chosen.values())
    return chosen


def first_items(
    bench: Bench, position: int, unit: Unit, sources: dict[str, Source], reference: Inspected | None, result: UnitResult, *, most: int
) -> dict[str, First]:
    """Draws, or finds, the first blocks of each class, which the pool begins with, and gives the first items that are of it.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        unit: whose seeds count.
        sources: where each class's items come from.
        reference: the inspector that learnt from real images alone, where classes share the blocks of a model that is not told them.
        result: stages are noted here.
        most: items of each class.
    """
    part, seed = _drawn_by(bench), child_seed(bench.recipe.seed, "pool", unit.generator)
    judged = _judged(bench, reference) if is_sorted(bench) and reference is not None else None
    found: dict[str, First] = {}
    for label, cls in bench.made.items():
        blocks = [
            draw_block(sources[cls], cls, number, part, seed=seed, unit=position, device=bench.device, store=bench.store)
            for number in range(sources[cls].shared_by)
        ]
        noted = {use.key for use in result.uses}
        result.uses += [block.use for block in blocks if block.key not in noted]
        keys = [block.key for block in blocks]
        items = [block.images for block in blocks]
        if judged is not None and reference is not None:
            sort = _taken_for(bench, judged, label, 0.0)
            items, keys = [block.images[sort(block)] for block in blocks], [*keys, reference.key, cls]
        found[cls] = First(items=torch.cat(items)[:most], keys=keys)
    return found


def _drawn_by(bench: Bench) -> SynthesisPart:
    """Says how images are drawn. What changes no image must change no key: the pool, and all that follows from it, is then found."""
    recipe = bench.recipe
    assert recipe.generator is not None and recipe.synthesis is not None
    return recipe.synthesis if resolve(recipe.generator)[0].truncates else replace(recipe.synthesis, truncation=1.0)


def is_sorted(bench: Bench) -> bool:
    """Says whether the classes share the images of one model that is not told them, each taking what the reference inspector takes for it."""
    assert bench.recipe.generator is not None
    return bench.task.sorts and len(bench.made) > 1 and resolve(bench.recipe.generator)[1].class_mode == "pooled"


def asks(bench: Bench) -> bool:
    """Says whether the reference inspector is asked what it takes synthetic images for."""
    assert bench.recipe.synthesis is not None
    return is_sorted(bench) or bench.recipe.synthesis.filter == "confidence"


def is_marked(bench: Bench) -> bool:
    """Says whether the reference inspector, a segmenter, makes the masks of synthetic images."""
    assert bench.recipe.generator is not None
    return bench.recipe.task == "segment" and resolve(bench.recipe.generator)[0].makes == "images"


def _sieve(
    bench: Bench,
    position: int,
    label: int,
    cls: str,
    part: SynthesisPart,
    reference: Inspected | None,
    judged: Extractor | None,
    result: UnitResult,
) -> Sieve:
    """Puts together what decides which images a class gets."""
    sieve = Sieve()
    if reference is not None and judged is not None:
        sort = _taken_for(bench, judged, label, 0.0) if is_sorted(bench) else None
        accept = _taken_for(bench, judged, label, part.min_confidence) if part.filter == "confidence" else None
        least = part.min_confidence if accept else 0.0
        # Shared blocks are the same for every class, so that what is taken of them has to be named.
        sieve = Sieve(sort=sort, accept=accept, key=f"{reference.key}:{least}" + (f":{cls}" if sort else ""))
    if is_marked(bench):
        assert reference is not None
        key = masks_key(reference.key, part.masks, label=label, count=BLOCK, inputs=[])
        mark = _marked_by(bench, position, label, part, reference, result)
        sieve = replace(sieve, mark=mark, key=f"{sieve.key}:{key}:{part.masks.min_sureness}")
    return sieve


def _judged(bench: Bench, reference: Inspected) -> Extractor:
    """Gives the reference inspector's opinion of images, or of features, as something that is stored like features."""
    assert bench.recipe.generator is not None
    of_features = resolve(bench.recipe.generator)[0].makes == "features"
    trained = load_inspector(reference.entry, bench.device)

    def ask(items: torch.Tensor) -> torch.Tensor:
        return predict_features(trained, items) if of_features else bench.task.opinion(predict(trained, items))

    return Extractor(name="inspector", identity=f"opinion/{reference.key}", run=ask)


def _taken_for(bench: Bench, judged: Extractor, label: int, least: float) -> Callable[[Block], torch.Tensor]:
    """Finds a block's images that the reference inspector takes for a class, with at least this probability: sorting, and the confidence filter."""

    def accept(block: Block) -> torch.Tensor:
        opinion = stored_features(judged, block.images, name="synthetic", inputs=[block.key], store=bench.store).values
        return bench.task.taken_for(opinion, label, least)

    return accept


def _marked_by(bench: Bench, position: int, label: int, part: SynthesisPart, segmenter: Inspected, result: UnitResult) -> Callable[[Block], Marked]:
    """Has a block's masks made by the reference segmenter, and notes the stage."""
    noted: set[str] = set()

    def mark(block: Block) -> Marked:
        made = stored_masks(block.images, label, part.masks, segmenter=segmenter.entry, inputs=[block.key], device=bench.device, store=bench.store)
        if made.key not in noted:
            noted.add(made.key)
            use = StageUse(
                unit=position, stage="masks", cls=block.use.cls, key=made.key, reused=made.reused, seconds=made.seconds, device=bench.device
            )
            result.uses.append(use)
        return Marked(masks=made.masks, usable=made.usable(part.masks))

    return mark
