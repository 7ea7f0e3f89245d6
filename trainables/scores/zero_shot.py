"""Scores of an inspector that knows classes which it never saw: seen and unseen accuracy, their harmonic mean, and the alarm for unseen classes.

Accuracies are means over classes, so that a large class does not speak for a small one. A class without images in the split is left out of the mean,
and a mean over no class is null. Called by `trainables.zero_shot`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.errors import SettingsError
from trainables.scores.classification import confusion, macro, recall
from trainables.scores.detection import auc


def per_class_accuracy(logits: Tensor, labels: Tensor, classes: Sequence[int]) -> float | None:
    """Gives the mean over some classes of the share of their images that are named right.

    Args:
        logits: (N, C).
        labels: (N,) int64.
        classes: labels of the classes that are meant.
    """
    found = recall(confusion(logits, labels))
    return macro([found[cls] for cls in classes])


def harmonic_mean(seen: float | None, unseen: float | None) -> float | None:
    """Gives 2 s u / (s + u): 0 where both are, null where one is."""
    if seen is None or unseen is None:
        return None
    return 2.0 * seen * unseen / (seen + unseen) if seen + unseen > 0 else 0.0


def zsl_accuracy(logits: Tensor, labels: Tensor, unseen: Sequence[int]) -> float | None:
    """Gives the per-class accuracy on the images of unseen classes when only unseen classes may be named.

    Args:
        logits: (N, C).
        labels: (N,) int64; images of seen classes are passed over.
        unseen: labels of the unseen classes.
    """
    chosen = torch.tensor(sorted(unseen), device=labels.device, dtype=torch.int64)
    among = torch.isin(labels, chosen)
    if not bool(among.any()):
        return None
    return per_class_accuracy(logits[among][:, chosen], torch.searchsorted(chosen, labels[among]), range(len(chosen)))


def unseen_threshold(dissimilarity: Tensor, percentile: float) -> float:
    """Gives the dissimilarity above which an image is taken for one of an unseen class.

    Args:
        dissimilarity: (N,) of validation images of seen classes: how far the predicted embedding lies from the nearest known class.
        percentile: 0..100; that many hundredths of these images lie below, so that the rest would raise a false alarm.

    Raises:
        SettingsError: the percentile is out of range.
    """
    if not 0.0 <= percentile <= 100.0:
        raise SettingsError(f"percentile: {percentile} is not in 0 to 100")
    return float(torch.quantile(dissimilarity.double().cpu(), percentile / 100.0))


def reading_error(embedded: Tensor, labels: Tensor, vectors: Tensor) -> float | None:
    """Gives how far images of seen classes are read from the vectors of their own classes, beside how far these are apart.

    Below 0.5, half of the images lie nearer to their own class's vector than to any other. Far above, nothing has been learned that an embedding
    could be read by, and a distance to the nearest vector means nothing. Null without images, or where two classes have one vector.

    Args:
        embedded: (N, V), as read.
        labels: (N,) int64, the class of each among the seen ones.
        vectors: (C, V) of the seen classes, C at least 2.

    Returns:
        The median distance to an image's own class, in units of the smallest distance between two classes.
    """
    apart = float(torch.pdist(vectors.double()).min())
    if not len(labels) or apart == 0.0:
        return None
    return float(torch.quantile((embedded.double() - vectors[labels].double()).norm(dim=1), 0.5)) / apart


def zero_shot_scores(
    logits: Tensor, labels: Tensor, unseen: Sequence[int], *, dissimilarity: Tensor | None = None, split: str = "val"
) -> dict[str, float | None]:
    """Gives all scores of one split by name.

    Args:
        logits: (N, C) over seen and unseen classes together, N at least 1.
        labels: (N,) int64.
        unseen: labels of the unseen classes.
        dissimilarity: (N,), higher for images that look like no known class; without it the alarm has no score.
        split: opens every name: `val_harmonic_mean`.
    """
    others = [cls for cls in range(logits.shape[1]) if cls not in set(unseen)]
    known, unknown = per_class_accuracy(logits, labels, others), per_class_accuracy(logits, labels, sorted(unseen))
    strange = torch.isin(labels, torch.tensor(sorted(unseen), device=labels.device, dtype=torch.int64))
    return {
        f"{split}_seen": known,
        f"{split}_unseen": unknown,
        f"{split}_harmonic_mean": harmonic_mean(known, unknown),
        f"{split}_zsl_accuracy": zsl_accuracy(logits, labels, unseen),
        f"{split}_auc_unseen": auc(dissimilarity, strange) if dissimilarity is not None else None,
    }
