"""The conditioning stage: the vector that stands for each class, made from attributes and features of the training split, or found in the store.

Called by `trainables.steps`. The key of a stage goes into the inputs of the generator that is told by its vectors. A
one-hot vector needs no stage: its key is empty, and whatever is made from it has the key that it would have without this file.
"""

import csv
import io
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from trainables.conditioning.attributes import TEMPLATE, AttributeTable, content
from trainables.conditioning.learned import learn
from trainables.errors import SettingsError
from trainables.progress import Progress, StageUse
from trainables.recipe import ConditioningPart
from trainables.scores.extractors import Features
from trainables.store import Entry, Store, stage_key

VERSION = 1
"""Counts up when the same attributes, features and seed would give other vectors."""
STAGE = "conditioning"
TABLE = "class_embeddings.csv"
"""The class x attribute table, in the stage's entry and in the trial's folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditioned:
    """What stands for each class."""

    key: str = ""
    """Names the vectors and all that decides them; empty for one-hot vectors."""
    vectors: Tensor | None = None
    """float32 (num_classes, V), in the order of the classes; None says the class by a one-hot vector. What `TrainingData.class_vectors` takes."""
    table: Mapping[str, AttributeTable] = field(default_factory=dict)
    """By the embedding's name: `real`, the attributes as given; `learned` and `blend` where they were made."""
    reused: bool = False
    """True where they were found, False where this call made them."""
    seconds: float = 0.0
    """What making them took, here or by whoever made them first."""

    @property
    def inputs(self) -> list[str]:
        """What goes into the inputs of a generator: the key, where there is one."""
        return [self.key] if self.key else []

    @property
    def files(self) -> dict[str, dict[str, str]]:
        """What `Scores.files` carries: the table, by its name in the trial's folder."""
        return {TABLE: {"stage": STAGE, "key": self.key, "file": TABLE}} if self.key else {}

    def use(self, unit: int) -> StageUse:
        """Gives the row of this stage in a trial's records; only where there is a key."""
        return StageUse(unit=unit, stage=STAGE, key=self.key, reused=self.reused, seconds=self.seconds, device="cpu")


def class_vectors(
    part: ConditioningPart,
    *,
    classes: Sequence[str],
    attributes: AttributeTable | None = None,
    features: Features | None = None,
    labels: Tensor | None = None,
    seed: int,
    store: Store,
) -> Generator[Progress, None, Conditioned]:
    """Makes the vector that stands for each class, or finds it under its key.

    Args:
        part: how a class is told.
        classes: names of the classes that the model serves; a label is the position here. A single class has nothing to be told.
        attributes: the attribute vectors of at least these classes; needed by all kinds but one_hot.
        features: features (N, D) of the whole real training split by the reference inspector; needed by learned and blend.
        labels: class of each, int64 (N,); rows of a class that is not served (defect-free images) only help to scale the features.
        seed: the stage's seed.
        store: where results are kept.

    Yields:
        Progress of stage `conditioning` about every two seconds.

    Raises:
        SettingsError: there are no attributes, or a class has none.
        TrialFailure: `diverged`, where learning reached a number that is not finite.
    """
    if part.kind == "one_hot" or len(classes) < 2:
        return Conditioned()
    if attributes is None:
        raise SettingsError(f"data.attributes: {part.kind} needs attribute vectors of the classes and there are none; {TEMPLATE} shows their form")
    real = attributes.only(classes)
    settings: dict[str, Any] = {"kind": part.kind, **content(real)}
    inputs: list[str] = []
    found = {"real": torch.from_numpy(real.values)}
    seconds = 0.0
    if part.kind == "blend":
        # A stage of its own upon the learned vectors, so that all shares of a blend learn them once.
        only_learned = replace(part, kind="learned")
        below = yield from class_vectors(only_learned, classes=classes, attributes=real, features=features, labels=labels, seed=seed, store=store)
        assert below.vectors is not None
        found |= {"learned": below.vectors, "blend": blend(below.vectors, found["real"], part.ce_blend)}
        settings, inputs, seconds = {"kind": "blend", "blend": part.ce_blend}, [below.key], below.seconds
    elif part.kind == "learned":
        assert features is not None and labels is not None, "learned vectors need the features of the training split"
        settings |= {"rec_weight": part.ce_rec_weight, "kl_weight": part.ce_kl_weight}
        inputs = [features.key]
    key = stage_key(STAGE, version=VERSION, settings=settings, inputs=inputs, seed=seed if part.kind == "learned" else None)
    if (entry := store.lookup(STAGE, key)) is not None:
        return _read(entry, real, reused=True)
    begun = time.monotonic()
    if part.kind == "learned" and features is not None and labels is not None:
        found["learned"] = yield from learn(
            features.values, labels, found["real"], rec_weight=part.ce_rec_weight, kl_weight=part.ce_kl_weight, seed=seed
        )
    files = {
        "vectors.safetensors": save({name: value.contiguous() for name, value in found.items()}),
        TABLE: to_csv({name: real.with_values(value.numpy()) for name, value in found.items()}).encode(),
    }
    info = {"seconds": seconds + time.monotonic() - begun, "device": "cpu", "kind": part.kind}
    return _read(store.publish(STAGE, key, files, info), real, reused=False)


def blend(learned: Tensor, real: Tensor, share: float) -> Tensor:
    """Mixes learned and real vectors (num_classes, V): `share` of the learned, the rest of the real."""
    return share * learned + (1.0 - share) * real


def to_csv(table: Mapping[str, AttributeTable]) -> str:
    """Writes embeddings as one table: `embedding`, `class`, then a column for each attribute."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for i, (name, part) in enumerate(table.items()):
        if i == 0:
            writer.writerow(["embedding", "class", *part.attributes])
        for cls, row in zip(part.classes, part.values, strict=True):
            writer.writerow([name, cls, *(f"{value:.6g}" for value in row)])
    return out.getvalue()


def _read(entry: Entry, real: AttributeTable, *, reused: bool) -> Conditioned:
    """Takes the vectors out of an entry: those of the kind that it was made for."""
    found = load(entry.read("vectors.safetensors"))
    used = "real" if entry.info["kind"] == "attributes" else str(entry.info["kind"])
    return Conditioned(
        key=entry.key,
        vectors=found[used],
        table={name: real.with_values(found[name].numpy()) for name in ("real", "learned", "blend") if name in found},
        reused=reused,
        seconds=float(entry.info["seconds"]),
    )
