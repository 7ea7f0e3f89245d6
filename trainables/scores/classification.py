"""Scores of an inspector that names classes, from its logits. Called by `trainables.tasks`.

A class that a split lacks has no recall, no precision and no F1, and is left out of the macro means. A class that is there and is never named has a
precision of 0.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.scores.detection import auc


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """Counts images by true class (rows) and named class (columns): (C, C) int64.

    Args:
        logits: (N, C).
        labels: (N,) int64.
    """
    classes = logits.shape[1]
    return torch.bincount(labels * classes + logits.argmax(1), minlength=classes * classes).reshape(classes, classes)


def accuracy(matrix: Tensor) -> float:
    """Gives the share of images on the diagonal of a confusion matrix."""
    return float(matrix.diagonal().sum() / matrix.sum())


def recall(matrix: Tensor) -> list[float | None]:
    """Gives each class's share of images that are named right; null for a class without images."""
    rows = matrix.sum(1)
    return [float(right / row) if row > 0 else None for right, row in zip(matrix.diagonal(), rows, strict=True)]


def precision(matrix: Tensor) -> list[float | None]:
    """Gives for each class the share that is right of the images that are named so; null for a class without images."""
    counts = zip(matrix.diagonal(), matrix.sum(0), matrix.sum(1), strict=True)
    return [float(right / max(1, int(named))) if true > 0 else None for right, named, true in counts]


def f1(matrix: Tensor) -> list[float | None]:
    """Gives each class's F1 = 2 right / (true + named); null for a class without images."""
    counts = zip(matrix.diagonal(), matrix.sum(0), matrix.sum(1), strict=True)
    return [float(2.0 * right / (true + named)) if true > 0 else None for right, named, true in counts]


def macro(values: Sequence[float | None]) -> float | None:
    """Gives the mean over the classes that have a value; null where none has."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def defect_margin(logits: Tensor, defect_free: int) -> Tensor:
    """Ranks images by how defective a classifier finds them: (N,) log-odds of "any defect class" against defect-free.

    Args:
        logits: (N, C), C at least 2.
        defect_free: label of the defect-free class.
    """
    others = [cls for cls in range(logits.shape[1]) if cls != defect_free]
    return logits[:, others].logsumexp(1) - logits[:, defect_free]


def macro_f1(matrix: Tensor) -> float:
    """Gives the mean over classes of F1 = 2 right / (true + named)."""
    right, true, named = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
    present = true > 0
    return float((2.0 * right[present] / (true + named)[present]).mean())


def classification_scores(
    logits: Tensor, labels: Tensor, classes: Sequence[str], *, split: str = "val"
) -> tuple[dict[str, float | None], list[list[int]]]:
    """Gives all scores of one split by name, and the confusion matrix.

    Args:
        logits: (N, C), N at least 1.
        labels: (N,) int64.
        classes: names of the C classes.
        split: opens every name: `val_accuracy`.
    """
    matrix = confusion(logits, labels)
    per_class = {"recall": recall(matrix), "precision": precision(matrix), "f1": f1(matrix)}
    scores: dict[str, float | None] = {f"{split}_accuracy": accuracy(matrix), f"{split}_macro_f1": macro_f1(matrix)}
    scores |= {f"{split}_macro_{name}": macro(per_class[name]) for name in ("precision", "recall")}
    if len(classes) == 2:
        scores[f"{split}_auc"] = auc(logits[:, 1] - logits[:, 0], labels == 1)
    for name, values in per_class.items():
        scores |= {f"{split}_{name}.{cls}": value for cls, value in zip(classes, values, strict=True)}
    counts: list[list[int]] = matrix.tolist()
    return scores, counts
