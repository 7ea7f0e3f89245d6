"""Scores of telling defective images from others by one number each: areas under curves, thresholds, and what they bring.

An image is called defective where its score is at least the threshold. A threshold is chosen on validation (`choose_thresholds`) and then used on any
split; one chosen on the split that it is used on gives an oracle's scores, which say so in their names. Called by `trainables.tasks`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.errors import DatasetError, SettingsError
from trainables.scores.names import ORACLE


class Outcome(NamedTuple):
    """What a threshold brings."""

    f: float | None
    """F1 = 2 tp / (2 tp + fp + fn); null where no image is defective."""
    fp: int
    """Sound images that are called defective."""
    fn: int
    """Defective images that are not."""
    sensitivity: float | None
    """Share of the defective images that are called so; null where there is none."""
    specificity: float | None
    """Share of the sound images that are not called defective; null where there is none."""


class Thresholds(NamedTuple):
    """The thresholds of one inspector."""

    best_f: float
    """Where F is greatest."""
    operating: float
    """Where the study's target of sensitivity or specificity is reached; that of the best F where there is no target."""


class _Counts(NamedTuple):
    """What each distinct score brings as a threshold, from the highest score down."""

    thresholds: Tensor
    """(T,) float64."""
    tp: Tensor
    """(T,) float64."""
    called: Tensor
    """(T,) float64: images that are called defective."""
    positives: int
    negatives: int


def _count(scores: Tensor, truth: Tensor) -> _Counts:
    """Counts at every threshold; images of equal score are called together."""
    assert len(scores) == len(truth) > 0 and bool(scores.isfinite().all()), "one finite score for each image"
    ordered, order = scores.double().cpu().sort(descending=True)
    truth = truth.cpu()
    hits = truth[order].double().cumsum(0)
    last = torch.ones(len(ordered), dtype=torch.bool)
    last[:-1] = ordered[1:] != ordered[:-1]
    positives = int(truth.sum())
    called = torch.arange(1, len(ordered) + 1, dtype=torch.float64)
    return _Counts(ordered[last], hits[last], called[last], positives, len(truth) - positives)


def _precision_recall(counts: _Counts) -> tuple[Tensor, Tensor]:
    """Gives precision and recall from the highest threshold down, opened by precision 1 at recall 0."""
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    return torch.cat([one, counts.tp / counts.called]), torch.cat([zero, counts.tp / counts.positives])


def trapezoid_ap(scores: Tensor, truth: Tensor) -> float | None:
    """Gives the area under the recall-precision curve by trapezoids, as the SegDecNet papers do (systems.md 1.1).

    Straight lines between the points promise more than any threshold keeps, so that it is mostly above `average_precision`.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.

    Returns:
        0..1; null where no image is defective.
    """
    counts = _count(scores, truth)
    precision, recall = _precision_recall(counts)
    return float(torch.trapezoid(precision, recall)) if counts.positives else None


def average_precision(scores: Tensor, truth: Tensor) -> float | None:
    """Gives scikit-learn's average precision: the sum over thresholds of precision times the recall that the threshold adds.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.

    Returns:
        0..1; null where no image is defective.
    """
    counts = _count(scores, truth)
    precision, recall = _precision_recall(counts)
    return float((precision[1:] * recall.diff()).sum()) if counts.positives else None


def auc(scores: Tensor, truth: Tensor) -> float | None:
    """Gives the area under the ROC curve: how often a defective image scores above a sound one, equal scores counting half.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.

    Returns:
        0..1; null where one of the two kinds is missing.
    """
    counts = _count(scores, truth)
    if not (counts.positives and counts.negatives):
        return None
    zero = torch.zeros(1, dtype=torch.float64)
    found, false = torch.cat([zero, counts.tp]), torch.cat([zero, counts.called - counts.tp])
    return float(torch.trapezoid(found, false)) / (counts.positives * counts.negatives)


def outcome(scores: Tensor, truth: Tensor, threshold: float) -> Outcome:
    """Counts what a threshold brings.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.
        threshold: the least score that is called defective.
    """
    called, truth = scores.double().cpu() >= threshold, truth.cpu()
    tp, fp = int((called & truth).sum()), int((called & ~truth).sum())
    positives, negatives = int(truth.sum()), int((~truth).sum())
    return Outcome(
        f=2 * tp / (tp + fp + positives) if positives else None,
        fp=fp,
        fn=positives - tp,
        sensitivity=tp / positives if positives else None,
        specificity=(negatives - fp) / negatives if negatives else None,
    )


def best_f_threshold(scores: Tensor, truth: Tensor) -> float:
    """Finds the score that gives the greatest F as a threshold; the lowest of several, which misses the fewest defects.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.

    Raises:
        DatasetError: no image is defective.
    """
    counts = _count(scores, truth)
    if not counts.positives:
        raise DatasetError("no image of the split is defective, so no threshold can be chosen on it; expected one at least")
    f = 2.0 * counts.tp / (counts.called + counts.positives)
    return float(counts.thresholds[f == f.max()][-1])


def operating_threshold(scores: Tensor, truth: Tensor, *, target_sensitivity: float | None = None, target_specificity: float | None = None) -> float:
    """Finds the threshold that reaches a target at the least cost to the other of sensitivity and specificity.

    That is the highest threshold with the sensitivity wanted, or the lowest one with the specificity wanted, among the scores that occur; where even
    the highest score belongs to too many sound images, the next number above it, which calls none defective.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.
        target_sensitivity: above 0, at most 1; this or the next.
        target_specificity: above 0, at most 1.

    Raises:
        SettingsError: both targets or none are given, or one out of range.
        DatasetError: the split has no image of the kind that the target is about.
    """
    targets = {"target_sensitivity": target_sensitivity, "target_specificity": target_specificity}
    given = {name: target for name, target in targets.items() if target is not None}
    if len(given) != 1:
        raise SettingsError("target_sensitivity, target_specificity: expected one of the two")
    name, target = next(iter(given.items()))
    if not 0.0 < target <= 1.0:
        raise SettingsError(f"{name}: {target} is not above 0 and at most 1")
    counts = _count(scores, truth)
    if not (counts.positives if name == "target_sensitivity" else counts.negatives):
        kind = "defective" if name == "target_sensitivity" else "sound"
        raise DatasetError(f"{name}: no image of the split is {kind}, so no threshold can be chosen on it; expected one at least")
    if name == "target_sensitivity":
        return float(counts.thresholds[counts.tp / counts.positives >= target][0])
    passed = counts.negatives - (counts.called - counts.tp)
    reached = counts.thresholds[passed / counts.negatives >= target]
    return float(reached[-1]) if len(reached) else math.nextafter(float(counts.thresholds[0]), math.inf)


def choose_thresholds(
    scores: Tensor, truth: Tensor, *, target_sensitivity: float | None = None, target_specificity: float | None = None
) -> Thresholds:
    """Chooses the thresholds of an inspector, on validation.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.
        target_sensitivity: as for `operating_threshold`; none of the two is allowed too.
        target_specificity: as for `operating_threshold`.

    Raises:
        SettingsError: as `operating_threshold`, where a target is given.
        DatasetError: as `operating_threshold`, or no image is defective.
    """
    best = best_f_threshold(scores, truth)
    if target_sensitivity is None and target_specificity is None:
        return Thresholds(best, best)
    return Thresholds(best, operating_threshold(scores, truth, target_sensitivity=target_sensitivity, target_specificity=target_specificity))


def operating_scores(scores: Tensor, truth: Tensor, threshold: float, *, split: str = "val") -> dict[str, float | None]:
    """Gives sensitivity and specificity at the operating point by name, for inspectors of any task that rank images.

    Args:
        scores: (N,) floats, higher for defective.
        truth: (N,) bool.
        threshold: chosen on validation.
        split: opens every name.
    """
    found = outcome(scores, truth, threshold)
    return {f"{split}_sensitivity": found.sensitivity, f"{split}_specificity": found.specificity}


def detection_scores(
    scores: Tensor, truth: Tensor, thresholds: Thresholds, *, oracle: Thresholds | None = None, split: str = "val"
) -> dict[str, float | None]:
    """Gives all scores of one split by name.

    Args:
        scores: (N,) floats, higher for defective, N at least 1.
        truth: (N,) bool.
        thresholds: chosen on validation.
        oracle: those chosen on this split, where it is not validation: their scores are added, named `*_oracle`.
        split: opens every name: `val_ap`.
    """
    areas = {"ap": trapezoid_ap(scores, truth), "average_precision": average_precision(scores, truth), "auc": auc(scores, truth)}
    found: dict[str, float | None] = {f"{split}_{name}": value for name, value in areas.items()}
    for chosen, ending in ((thresholds, ""), (oracle, ORACLE)):
        if chosen is not None:
            best, operating = outcome(scores, truth, chosen.best_f), outcome(scores, truth, chosen.operating)
            values = {"f": best.f, "fp": best.fp, "fn": best.fn, "sensitivity": operating.sensitivity, "specificity": operating.specificity}
            found |= {f"{split}_{name}{ending}": value for name, value in values.items()}
    return found
