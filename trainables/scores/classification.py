"""Scores of an inspector that names classes, from its logits. Called by `trainables.trial`.

A class that a split lacks has no recall and no F1, and is left out of the macro mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


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
    scores: dict[str, float | None] = {f"{split}_accuracy": accuracy(matrix), f"{split}_macro_f1": macro_f1(matrix)}
    scores |= {f"{split}_recall.{cls}": value for cls, value in zip(classes, recall(matrix), strict=True)}
    counts: list[list[int]] = matrix.tolist()
    return scores, counts
