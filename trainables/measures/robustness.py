"""The robustness stage: how a trained inspector's first score falls as the images of a split get worse, corruption by corruption.

A stage of its own under the inspector's key, so that a study that asks for it later trains nothing again, and one that leaves it out pays nothing:
each corruption asks the inspector about all images of the split five times more. Called by both kinds of unit.

Where an inspector sees patches, it is these that are disturbed, each for itself, and pictures that are scored.
"""

import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.bench import Bench, UnitResult
from trainables.inspectors.base import LabelledImages, Shown
from trainables.inspectors.head import read_head
from trainables.inspectors.stage import answer, load_inspector
from trainables.inspectors.training import features, read_config
from trainables.progress import Progress, StageUse
from trainables.scores.corruptions import Loss, corruptions
from trainables.scores.names import FIRST_SCORES, ROBUSTNESS
from trainables.scores.robustness import area_under_curve, robustness_curve
from trainables.seeds import child_seed
from trainables.store import Entry, stage_key

VERSION = 1
"""Counts up when the same inspector, images and seed would give another curve."""

STAGE = "robustness"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A trained inspector, ready to be asked about images and to say where its loss rises."""

    answer: Callable[[Tensor], Mapping[str, Tensor]]
    """Takes the images of a split (N, C, H, W) uint8, disturbed, in their order; gives what `Task.score` takes."""
    loss: Loss


def whole_inspector(entry: Entry, known: LabelledImages, *, device: str) -> Subject:
    """Loads an inspector.

    Args:
        entry: of its stage.
        known: the images of the split with what its task knows of them.
        device: where to compute.
    """
    inspector = load_inspector(entry, device)
    network, planes, marked = inspector.network, None, known.marked
    # A detector is attacked where it decides, as at the end of its training: with pixel labels at hand it would stop that gradient on its way back.
    if known.masks is not None and marked is not None and network.task == "segment":
        planes = network.planes(known.masks, known.labels.cpu(), marked)

    def loss(inputs: Tensor, rows: Tensor) -> Tensor:
        rows = rows.cpu()
        own = {name: None if value is None else value[rows].to(device) for name, value in {"planes": planes, "marked": marked}.items()}
        shown = Shown(images=inputs, labels=known.labels[rows].to(device), weights=None, **own)
        return network.loss(network(inputs.to(device)), shown, 1.0)

    return Subject(answer=lambda images: answer(inspector, replace(known, images=images)), loss=loss)


def retrained_inspector(own: Entry, head: Entry, known: LabelledImages, *, device: str) -> Subject:
    """Loads an inspector with the head that was learned anew.

    Args:
        own: of the inspector's stage.
        head: of the head's.
        known: the images of the split with their classes.
        device: where to compute.
    """
    inspector, layer = load_inspector(own, device), read_head(head)
    on_device = read_head(head).to(device)

    def loss(inputs: Tensor, rows: Tensor) -> Tensor:
        said = on_device(inspector.network.features(inputs.to(device)).float())
        return F.cross_entropy(said, known.labels[rows.cpu()].to(device))

    @torch.no_grad()
    def said(images: Tensor) -> Mapping[str, Tensor]:
        return {"logits": layer(features(inspector, images)), "labels": known.labels}

    return Subject(answer=said, loss=loss)


def measure_robustness(
    bench: Bench,
    position: int,
    load: Callable[[LabelledImages], Subject],
    key: str,
    undisturbed: Mapping[str, Tensor],
    result: UnitResult,
) -> Generator[Progress, None, None]:
    """Takes the curves that the recipe asks for, or finds them, and notes areas, curves and stages.

    Args:
        bench: what all units share.
        position: of the unit, for records.
        load: makes the subject, once, where a curve is not there yet.
        key: of the trained inspector.
        undisturbed: what it said of the images as they are; the first point of every curve.
        result: the unit's.
    """
    recipe, split = bench.recipe, disturbed_split(bench)
    seed = child_seed(recipe.seed, ROBUSTNESS)
    subject: Subject | None = None
    rows = bench.readable[split]
    known = bench.task.known(bench.images(rows), rows)
    for name in recipe.scores.robustness:
        stage = stage_key(
            STAGE,
            version=VERSION,
            settings={"corruption": name, "split": split, "task": recipe.task},
            inputs=[key, bench.parts.key],
            seed=seed,
        )
        entry = bench.store.lookup(STAGE, stage)
        reused = entry is not None
        if entry is None:
            yield Progress(stage=STAGE)
            subject = subject or load(known)
            begun = time.monotonic()
            asked = subject

            def measure(images: Tensor, asked: Subject = asked) -> float | None:
                return _first_score(bench, undisturbed if images is known.images else asked.answer(images), split)

            curve = robustness_curve(measure, known.images, corruptions(asked.loss)[name], seed=child_seed(seed, name))
            info = {"seconds": time.monotonic() - begun, "device": bench.device}
            entry = bench.store.publish(STAGE, stage, {"curve.json": json.dumps(curve).encode()}, info)
        found: list[float | None] = json.loads(entry.read("curve.json"))
        full = f"{split}_{ROBUSTNESS}.{name}"
        result.values[full] = area_under_curve(found)
        result.curves[full] = found
        use = StageUse(unit=position, stage=STAGE, key=stage, reused=reused, seconds=entry.info["seconds"], device=entry.info["device"])
        result.uses.append(use)


def disturbed_split(bench: Bench) -> str:
    """Names the split that is disturbed: test where the trial is judged, and then only that."""
    return "test" if bench.recipe.judge else "val"


def _first_score(bench: Bench, said: Mapping[str, Tensor], split: str) -> float | None:
    """Gives the first score of the task, which no threshold enters."""
    of_pictures = bench.of_pictures(said, split)
    config = read_config(bench.recipe.inspector)
    scored = bench.pictures.task.score(of_pictures, validated=of_pictures, config=config, split=split, partly=True)
    return scored.values[f"{split}_{FIRST_SCORES[bench.recipe.task]}"]
