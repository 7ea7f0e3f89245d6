"""What segmenters make smaller: Dice, binary cross-entropy, both, Tversky and focal loss over the pixels that somebody knows.

Every class has a sigmoid of its own, so that one class is the binary case of Saiz et al. (2021). Each pixel counts as much as its image weighs, and
not at all where nobody knows it: such pixels, and images of weight 0, change neither the loss nor a gradient. Called by `segmenters`.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

PixelLoss = Literal["dice_bce", "dice", "bce", "tversky", "focal"]

UNKNOWN = 255
"""Class number of a pixel that nobody knows."""

SMALLEST = 1e-7
"""Least denominator: where there is nothing to divide by, there is nothing above it either."""


class Wanted(NamedTuple):
    """What each pixel is to become."""

    truth: Tensor
    """(B, K, H, W) float32: 1 where a pixel is of class k, else 0."""
    counted: Tensor
    """(B, 1, H, W) float32: how much a pixel counts, 0 where nobody knows it."""


def wanted(planes: Tensor, weights: Tensor | None, classes: int) -> Wanted:
    """Reads class numbers.

    Args:
        planes: (B, 1, H, W) uint8: 0 is background, k + 1 class k, 255 unknown.
        weights: (B,) of the images; None where all weigh alike.
        classes: K.
    """
    numbers = torch.arange(1, classes + 1, dtype=planes.dtype, device=planes.device).view(1, -1, 1, 1)
    counted = (planes != UNKNOWN).float()
    return Wanted((planes == numbers).float(), counted if weights is None else counted * weights.view(-1, 1, 1, 1))


def tversky(logits: Tensor, wanted: Wanted, missed: float) -> Tensor:
    """Gives 1 - TP / (TP + (1 - missed) FP + missed FN), pixels of the whole batch together, as the mean over classes (Salehi et al. 2017).

    A class without a pixel in the batch gives 0 and no gradient: there is no overlap to better.

    Args:
        logits: (B, K, H, W).
        wanted: what they are to become.
        missed: weight of missed pixels, 0 to 1; of false ones it is the rest. A half of each makes it the Dice loss.
    """
    chances = logits.float().sigmoid() * wanted.counted
    true = (wanted.truth * wanted.counted).sum((0, 2, 3))
    hits = (chances * wanted.truth).sum((0, 2, 3))
    false = chances.sum((0, 2, 3)) - hits
    score = hits / (hits + (1.0 - missed) * false + missed * (true - hits)).clamp_min(SMALLEST)
    return torch.where(true > 0, 1.0 - score, 0.0).mean()


def dice(logits: Tensor, wanted: Wanted) -> Tensor:
    """Gives 1 - 2 TP / (2 TP + FP + FN), as `tversky` does (Milletari et al. 2016, without squares)."""
    return tversky(logits, wanted, 0.5)


def bce(logits: Tensor, wanted: Wanted) -> Tensor:
    """Gives the mean binary cross-entropy over pixels and classes; 0 where no pixel counts."""
    return _mean(F.binary_cross_entropy_with_logits(logits.float(), wanted.truth, reduction="none"), wanted)


def focal(logits: Tensor, wanted: Wanted, *, gamma: float, alpha: float) -> Tensor:
    """Gives the mean of alpha_t (1 - p_t)^gamma (-log p_t) over pixels and classes (Lin et al. 2017, equation 5).

    Args:
        logits: (B, K, H, W).
        wanted: what they are to become.
        gamma: how little counts what is already right; 0 makes it a weighted cross-entropy.
        alpha: weight of a defect's pixels; of all others it is 1 - alpha.
    """
    surprise = F.binary_cross_entropy_with_logits(logits.float(), wanted.truth, reduction="none")
    weight = alpha * wanted.truth + (1.0 - alpha) * (1.0 - wanted.truth)
    # 1 - p_t as -expm1(log p_t), and never below a tiny number: the slope of a power of less than one has no value at nothing.
    doubt = (-torch.expm1(-surprise)).clamp_min(SMALLEST)
    return _mean(weight * doubt**gamma * surprise, wanted)


def _mean(each: Tensor, wanted: Wanted) -> Tensor:
    """Averages (B, K, H, W) over classes and over the pixels that count."""
    return (each * wanted.counted).sum() / (wanted.counted.sum() * each.shape[1]).clamp_min(SMALLEST)
