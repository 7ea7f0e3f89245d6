"""Trains the whole two-stage system of a zero-shot trial, stage by stage from the store, and measures it on the test images.

backbone and router of the trial -> a detector for each seen surface -> thresholds on validation -> one `TwoStage` -> its scores on test

The router is that of the judge's course: it knows all seen classes. Detectors are inspector stages like any other, each on the images of one surface;
their keys name those images, so that all studies of one data set share them. Called by `search.system`.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from trainables.bench import Bench, UnitResult, lay_out
from trainables.datasets.packs import open_pack
from trainables.datasets.splits import Indices
from trainables.errors import DatasetError, SettingsError
from trainables.inspectors import INSPECTORS
from trainables.inspectors.base import LabelledImages
from trainables.inspectors.stage import inspect, read_predictions
from trainables.inspectors.training import read_config
from trainables.progress import Progress, stamped
from trainables.recipe import InspectorPart, Recipe, Unit
from trainables.registry import pick
from trainables.scores.detection import choose_thresholds
from trainables.scores.system import Case, Latency, Reaction, Size, SystemScores, system_scores
from trainables.seeds import child_seed
from trainables.store import Entry, Store, stage_key
from trainables.two_stage.system import TwoStage, assemble
from trainables.zero_shot.settings import zero_shot_problems
from trainables.zero_shot.split import ZeroShotSplit, zero_shot_split
from trainables.zero_shot.unit import run_judged_course

VERSION = 1
"""Counts up when a detector of the same images and settings would be taught something else of them."""
TIMED = 200
"""Images that the latency is measured on, at most."""
CHUNK = 256
"""Images that are looked at together where nobody measures time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What the system did with the test images."""

    whole: SystemScores
    by_surface: Mapping[str, SystemScores]
    """Of the images of each surface alone, seen and unseen."""
    images: Mapping[str, int]
    """Test images of each surface."""
    latency: Latency
    size: Size
    conditions: Mapping[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Turns everything into plain JSON data."""
        whole = {**self.whole._asdict(), **self.latency._asdict(), **self.size._asdict()}
        surfaces = {name: {"images": self.images[name], **scores._asdict()} for name, scores in self.by_surface.items()}
        return {"scores": whole, "surfaces": surfaces, "conditions": dict(self.conditions)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A system that is ready, and how good it is."""

    system: TwoStage
    measured: Measured


def build_system(
    recipe: Recipe, detector: InspectorPart, store: Store, *, unseen: Sequence[str], unit: Unit | None = None, device: str = "cpu", threads: int = 1
) -> Iterator[Progress | Built]:
    """Trains what the store has not, puts the system together and measures it on test: yields `Progress`, and `Built` as the last item.

    Args:
        recipe: of a zero-shot trial.
        detector: kind and settings of the detectors.
        store: where stages are looked up and published.
        unseen: the truly unseen classes; all others get a detector.
        unit: whose seeds count; the recipe's first one where None.
        device: a torch device name.
        threads: processor threads that torch may use.

    Raises:
        TrialFailure: a training ended with a name.
        BadInput: the recipe, the detector or the data set cannot serve; all problems at once.
    """
    torch.set_num_threads(threads)
    part = recipe.zero_shot
    if part is None:
        raise SettingsError(f"task {recipe.task}: only a trial of task zero_shot has a router, which a two-stage system begins with")
    problems = detector_problems(detector, recipe)
    yield Progress(stage="data")
    pack = open_pack(recipe.data, recipe.fingerprint, store)
    bench = lay_out(recipe, pack, store, device=device)
    part = replace(part, unseen=tuple(unseen), val_unseen=tuple(cls for cls in part.val_unseen if cls not in unseen))
    problems += zero_shot_problems(part, pack.classes)
    if problems:
        raise SettingsError("\n".join(problems))
    held = zero_shot_split(pack, bench.parts, unseen=unseen, scored="test")
    if missing := kind_problems(bench, held):
        raise DatasetError("\n".join(missing))
    routing = yield from run_judged_course(bench, 0, unit or recipe.units[0], part, unseen=unseen, result=UnitResult())
    detectors = yield from train_detectors(bench, held, detector)
    yield Progress(stage="system")
    system = assemble(routing.backbone, routing.routed, detectors, device=device)
    yield Built(system=system, measured=measure(system, bench, held))


def detector_problems(detector: InspectorPart, recipe: Recipe) -> list[str]:
    """Says why an inspector cannot be the detector of a surface; nothing where it can."""
    try:
        kind, config = pick(INSPECTORS, detector.kind, "inspector"), read_config(detector)
    except SettingsError as error:
        return [str(error)]
    if kind.task != "detect":
        able = ", ".join(name for name in INSPECTORS if "<" not in name and pick(INSPECTORS, name, "inspector").task == "detect")
        return [f"{detector.kind}: an inspector of task {kind.task}; a detector says whether an image is defective, and where: {able}"]
    told = kind.problems(config, size_px=recipe.data.size_px, channels=recipe.data.channels)
    return [f"inspector.{detector.kind}: {text}" for text in told]


def kind_problems(bench: Bench, held: ZeroShotSplit) -> list[str]:
    """Says which seen surfaces lack defective or defect-free images to teach and to choose a threshold on; nothing where all have both."""
    said = []
    for cls in held.seen_classes:
        for split_name, rows in (("training", held.train), ("validation", held.val)):
            clean = bench.pack.defect_free[_of(bench, rows, cls)]
            lacking = [kind for kind, count in (("defective", int((~clean).sum())), ("defect-free", int(clean.sum()))) if not count]
            said += [f"class {cls}: no image of its {split_name} split is {kind}" for kind in lacking]
    if said:
        said.append(
            "A two-stage system needs classes that are surfaces, each with defective and defect-free images: dagm2007, mvtec_ad or textures, with "
            "data.surfaces.labels: surfaces."
        )
    return said


def train_detectors(bench: Bench, held: ZeroShotSplit, detector: InspectorPart) -> Generator[Progress, None, dict[str, tuple[Entry, float]]]:
    """Trains or finds the detector of each seen surface, and chooses its threshold on validation.

    Args:
        bench: data set, seeds and store.
        held: which surfaces are seen, and their images.
        detector: kind and settings.

    Yields:
        Progress of stages `detector of <surface>`.

    Returns:
        Surface -> trained inspector, and the least score of what it calls defective.
    """
    config = read_config(detector)
    found = {}
    for cls in held.seen_classes:
        rows = {"train": _of(bench, held.train, cls), "val": _of(bench, held.val, cls)}
        lists = {name: own.tolist() for name, own in rows.items()}
        training = inspect(
            detector,
            real=_known(bench, rows["train"]),
            synthetic=None,
            validation=_known(bench, rows["val"]),
            inputs=[stage_key("surface", version=VERSION, settings=lists, inputs=[bench.pack.key])],
            num_classes=1,
            seed=child_seed(bench.recipe.seed, "detector", cls),
            precision=bench.recipe.precision,
            device=bench.device,
            store=bench.store,
        )
        trained = yield from stamped(training, stage=f"detector of {cls}")
        said = read_predictions(trained.entry)
        targets = {"target_sensitivity": config.target_sensitivity, "target_specificity": config.target_specificity}
        found[cls] = trained.entry, choose_thresholds(said["scores"], said["labels"] == 1, **targets).operating
    return found


def measure(system: TwoStage, bench: Bench, held: ZeroShotSplit) -> Measured:
    """Lets a system look at the test images of seen and unseen surfaces, and counts what goes wrong."""
    pack, rows = bench.pack, np.concatenate([held.seen, held.unseen])
    cases = [Case(surface=pack.classes[pack.labels[row]], defective=not pack.defect_free[row]) for row in rows]
    reactions = []
    for some in np.array_split(rows, max(1, -(-len(rows) // CHUNK))):
        reactions += [Reaction(surface=verdict.surface, alert=verdict.alert) for verdict in system.inspect(bench.images(some).images)]
    surfaces = [cls for cls in pack.classes if cls in {case.surface for case in cases}]
    of = {cls: [k for k, case in enumerate(cases) if case.surface == cls] for cls in surfaces}
    known = held.seen_classes
    timed = np.random.default_rng(child_seed(bench.recipe.seed, "latency")).permutation(rows)[:TIMED]
    return Measured(
        whole=system_scores(cases, reactions, known),
        by_surface={cls: system_scores([cases[k] for k in own], [reactions[k] for k in own], known) for cls, own in of.items()},
        images={cls: len(own) for cls, own in of.items()},
        latency=system.latency(bench.images(timed).images),
        size=system.size(),
        conditions={
            "split": "test",
            "thresholds": "chosen on validation",
            "protocol": bench.recipe.data.protocol,
            "seen": list(known),
            "unseen": list(held.unseen_classes),
            "train_images": len(held.train),
            "val_images": len(held.val),
            "test_images": len(rows),
            "size_px": bench.recipe.data.size_px,
            "seed": bench.recipe.seed,
            "device": bench.device,
            "threads": torch.get_num_threads(),
            "latency_images": len(timed),
            **({"leak": bench.parts.leak} if bench.parts.leak else {}),
        },
    )


def _of(bench: Bench, rows: Indices, cls: str) -> Indices:
    """Picks a class's images."""
    return rows[bench.pack.labels[rows] == bench.pack.classes.index(cls)]


def _known(bench: Bench, rows: Indices) -> LabelledImages:
    """Takes images of one surface with 1 for defective, and with their masks where these are known."""
    pack = bench.pack
    images, marked = torch.from_numpy(pack.images[rows]), torch.from_numpy(pack.has_mask[rows])
    masks = torch.from_numpy(pack.masks[rows]) if pack.masks is not None else torch.zeros(len(rows), *images.shape[2:], dtype=torch.uint8)
    return LabelledImages(images=images, labels=torch.from_numpy(~pack.defect_free[rows]).long(), masks=masks, marked=marked)
