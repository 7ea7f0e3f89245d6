"""Train on synthetic, test on real, and the reverse: how far synthetic images can stand for real ones. Called by `unit` where a recipe asks for it.

TSTR: the trial's inspector is trained with synthetic images in the place of the real training images of every class that the generator makes, and
tested on the validation split. TRTS: it is trained on the real training split, and tested with synthetic images in the place of the validation
images of these classes. Classes that are not made, such as defect-free images, keep their real ones on both sides.

Of each class stand as many synthetic images as there are real training images, but no more than the first block gives: whatever a trial's amount is,
so that trials compare (C. Esteban, S. Hyland, G. Rätsch, "Real-valued (medical) time series generation with recurrent conditional GANs", 2017).
Both inspectors take the trial's settings but the last passes over real images, and seeds; their stages are named `diagnostics`, and no cost of the
trial.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace

import torch

from trainables.bench import Bench, UnitResult
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import judge, read_predictions
from trainables.inspectors.training import read_config
from trainables.progress import DIAGNOSTICS, Progress, StageUse
from trainables.recipe import InspectorPart
from trainables.scores.names import diagnosed_score
from trainables.steps import train_inspector
from trainables.synthesis.blocks import Chosen

SYNTHETIC_STAGE = "synthetic_predictions"
"""What an inspector that learnt from real images says of synthetic ones."""


def diagnose(
    bench: Bench,
    position: int,
    taught: LabelledImages,
    validation: LabelledImages,
    chosen: Mapping[str, Chosen],
    seed: int,
    result: UnitResult,
) -> Generator[Progress, None, None]:
    """Measures both, and notes scores, stages and conditions in the unit's result; a class without a synthetic image leaves both without a number.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        taught: the real training split, with what the task knows of it.
        validation: the real validation split, likewise.
        chosen: synthetic images of each class that is made.
        seed: of the trial's inspector.
        result: where everything is noted.
    """
    score = diagnosed_score(bench.recipe.task)
    names = {kind: f"val_{kind}_{score}" for kind in ("tstr", "trts")}
    result.values |= dict.fromkeys(names.values())
    taken = {cls: _taken(chosen[cls], int((bench.pack.labels[bench.parts.train] == label).sum())) for label, cls in bench.made.items()}
    if any(len(images.training) == 0 for images in taken.values()):
        return
    synthetic = bench.task.synthetic(taken)
    keys = [f"{images.scored_key}:{len(images.training)}" for images in taken.values()]
    without = f"without:{','.join(bench.made.values())}"
    real = [bench.parts.key]
    part = _trained_once(bench.recipe.inspector)
    config = read_config(part)

    shown = bench.without(taught, bench.made, bench.parts.train)
    own = yield from train_inspector(bench, position, part, shown, synthetic, validation, [*real, without, *keys], seed, result, stage=DIAGNOSTICS)
    said = read_predictions(own.entry)
    result.values[names["tstr"]] = bench.task.score(said, validated=said, config=config, split="val").values[f"val_{score}"]

    other = yield from train_inspector(bench, position, part, taught, None, validation, real, seed, result, stage=DIAGNOSTICS)
    asked = _joined(synthetic, bench.without(validation, bench.made, bench.parts.val))
    judged = judge(other.entry, test=asked, inputs=[*real, without, *keys], device=bench.device, store=bench.store, stage=SYNTHETIC_STAGE)
    seconds = float(judged.entry.info["seconds"])
    use = StageUse(unit=position, stage=DIAGNOSTICS, key=judged.key, reused=judged.reused, seconds=seconds, device=bench.device)
    result.uses.append(use)
    scored = bench.task.score(read_predictions(judged.entry), validated=read_predictions(other.entry), config=config, split="val")
    result.values[names["trts"]] = scored.values[f"val_{score}"]
    result.conditions |= {"diagnostics_images": len(synthetic.labels)}


def _taken(chosen: Chosen, count: int) -> Chosen:
    """Takes the first accepted images of the first block, whatever the trial's amount."""
    masks = None if chosen.scored_masks is None else chosen.scored_masks[:count]
    return replace(chosen, training=chosen.scored[:count], masks=masks)


def _trained_once(part: InspectorPart) -> InspectorPart:
    """Leaves out the last passes over real images, which would teach what synthetic ones are to teach."""
    return replace(part, settings={name: value for name, value in part.settings.items() if name != "finetune_epochs"})


def _joined(one: LabelledImages, other: LabelledImages) -> LabelledImages:
    """Puts images of two kinds together, with masks where both have them."""
    masks = marked = None
    if one.masks is not None and other.masks is not None and one.marked is not None and other.marked is not None:
        masks, marked = torch.cat([one.masks, other.masks]), torch.cat([one.marked, other.marked])
    return LabelledImages(images=torch.cat([one.images, other.images]), labels=torch.cat([one.labels, other.labels]), masks=masks, marked=marked)
