"""What a router says of a split, kept as a stage of its own, and how that is scored. Called by `zero_shot.unit`."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from safetensors.torch import load, save
from torch import Tensor

from trainables.inspectors.head import LabelledFeatures
from trainables.scores.classification import confusion, macro
from trainables.scores.detection import auc
from trainables.scores.zero_shot import harmonic_mean, per_class_accuracy, zero_shot_scores
from trainables.store import Store, stage_key
from trainables.zero_shot.classifier import Routed

VERSION = 1
"""Counts up when the same router would say something else of the same features."""
STAGE = "zero_shot_predictions"


def ask(
    routed: Routed, shown: LabelledFeatures, *, classes: Sequence[str], split: Literal["val", "test"], inputs: Sequence[str], store: Store
) -> dict[str, Tensor]:
    """Asks a router for the class of each of a split's images, and publishes what it says, or finds that.

    Args:
        routed: the router.
        shown: features of seen and unseen classes, labelled by their place in `classes`.
        classes: all classes of the data set.
        split: which split this is.
        inputs: keys that decide the features.
        store: where results are kept.

    Returns:
        `logits` (N, classes), -inf for classes that the router does not know; `labels`, `dissimilarity` and `is_unseen`, (N,) each.
    """
    key = stage_key(STAGE, version=VERSION, settings={"classes": list(classes), "split": split}, inputs=[routed.key, *inputs])
    if (entry := store.lookup(STAGE, key)) is None:
        begun = time.monotonic()
        router = routed.router()
        said = router.answer(shown.features)
        logits = torch.full((len(shown.labels), len(classes)), -torch.inf)
        logits[:, [classes.index(cls) for cls in (*router.seen, *router.unseen)]] = said.logits
        found = {"logits": logits, "labels": shown.labels, "dissimilarity": said.dissimilarity, "is_unseen": said.is_unseen}
        entry = store.publish(STAGE, key, {f"{split}.safetensors": save(found)}, {"seconds": time.monotonic() - begun, "device": "cpu"})
    return load(entry.read(f"{split}.safetensors"))


def router_scores(
    said: Mapping[str, Tensor], unseen: Sequence[int], *, by_threshold: bool, split: str
) -> tuple[dict[str, float | None], list[list[int]] | None]:
    """Scores what a router said: all that is measured by name, and the confusion of classes.

    Where a threshold decides, an alarm is right for an image of any unseen class and wrong for one of a seen class. Nothing then tells unseen classes
    from each other: the accuracy among them alone is null, and there is no table of confusion, since an alarm is no class. Both kinds can be held to
    `unseen_found`, the share of unseen classes' images that are called unseen under whichever name, and to its harmonic mean with the seen accuracy,
    `alarm_harmonic_mean`.

    Args:
        said: what `ask` gave.
        unseen: labels of the unseen classes.
        by_threshold: whether the threshold decides, or the classifier.
        split: opens every name.
    """
    logits, labels = said["logits"], said["labels"]
    if not by_threshold:
        values = zero_shot_scores(logits, labels, unseen, dissimilarity=said["dissimilarity"], split=split)
        return values | _alarm(said, unseen, values[f"{split}_seen"], split=split), confusion(logits, labels).tolist()
    alarm = logits.shape[1]
    named = torch.cat([logits, torch.where(said["is_unseen"], torch.inf, -torch.inf)[:, None]], dim=1)
    known = per_class_accuracy(named, labels, [cls for cls in range(alarm) if cls not in set(unseen)])
    alarms = _alarm(said, unseen, known, split=split)
    unknown = alarms[f"{split}_unseen_found"]
    strange = torch.isin(labels, torch.tensor(sorted(unseen), dtype=torch.int64))
    values = {
        f"{split}_seen": known,
        f"{split}_unseen": unknown,
        f"{split}_harmonic_mean": harmonic_mean(known, unknown),
        f"{split}_zsl_accuracy": None,
        f"{split}_auc_unseen": auc(said["dissimilarity"], strange),
        **alarms,
    }
    return values, None


def _alarm(said: Mapping[str, Tensor], unseen: Sequence[int], known: float | None, *, split: str) -> dict[str, float | None]:
    """Scores the word "unseen" alone, whichever class it goes with."""
    rows = [said["labels"] == cls for cls in sorted(unseen)]
    found = macro([float(said["is_unseen"][mine].double().mean()) if bool(mine.any()) else None for mine in rows])
    return {f"{split}_unseen_found": found, f"{split}_alarm_harmonic_mean": harmonic_mean(known, found)}
