"""Scores of an inspector that says which pixels are defective, all of them from one small table of pixel counts per image.

A map of class numbers holds 0 for the background and k + 1 for defect class k. A stage stores the tables (`pixel_confusions`), from which every score
of any group of images follows without the maps. Called by `trainables.tasks`.

Where nothing is there to find: an image without defect that is left empty has an IoU of 1, and one in which something is found has 0 (systems.md
2.3). A defect class without a pixel in the whole split has no IoU, and is left out of the mean over classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.errors import DatasetError

CHUNK_PIXELS = 2**22
"""Pixels that are counted at a time: their indices take eight bytes each."""


def pixel_confusions(predicted: Tensor, true: Tensor, defect_classes: int) -> Tensor:
    """Counts each image's pixels by true class (rows) and named class (columns), background first.

    Args:
        predicted: (N, H, W) uint8 of 0 to `defect_classes`.
        true: the same, of what is there.
        defect_classes: K.

    Returns:
        (N, K + 1, K + 1) int64, on the processor.

    Raises:
        DatasetError: a map holds a number that no class has, or the maps differ in shape.
    """
    if predicted.shape != true.shape:
        raise DatasetError(f"masks of shape {tuple(true.shape)} cannot be compared with predictions of shape {tuple(predicted.shape)}")
    kinds = defect_classes + 1
    for name, maps in (("predicted", predicted), ("true", true)):
        if maps.numel() and int(maps.max()) >= kinds:
            raise DatasetError(f"the {name} maps hold the number {int(maps.max())}; expected 0 for background and 1 to {defect_classes} for classes")
    tables = []
    for some, truth in zip(_chunks(predicted), _chunks(true), strict=True):
        cells = truth.flatten(1).long() * kinds + some.flatten(1)
        cells += torch.arange(len(cells), device=cells.device)[:, None] * kinds**2
        tables.append(torch.bincount(cells.flatten(), minlength=len(cells) * kinds**2).reshape(-1, kinds, kinds).cpu())
    return torch.cat(tables)


def _chunks(maps: Tensor) -> tuple[Tensor, ...]:
    return maps.split(max(1, CHUNK_PIXELS // max(1, maps.shape[1] * maps.shape[2])))


def iou_per_image(confusions: Tensor) -> Tensor:
    """Gives each image's IoU of "any defect" against background: (N,) float64; 1 where neither truth nor prediction holds a defect.

    Args:
        confusions: (N, K + 1, K + 1) int64, as all functions of this file take them.
    """
    shared = confusions[:, 1:, 1:].sum((1, 2)).double()
    either = confusions.sum((1, 2)) - confusions[:, 0, 0]
    return torch.where(either > 0, shared / either.clamp(min=1), 1.0)


def iou(confusions: Tensor) -> float:
    """Gives the mean over images of the defect IoU, the number of Saiz et al. (2021)."""
    return float(iou_per_image(confusions).mean())


def iou_pooled(confusions: Tensor) -> float:
    """Gives the defect IoU of all pixels of all images together; 1 where there is no defect and none is found."""
    return float(iou_per_image(confusions.sum(0, keepdim=True)))


def iou_per_class(confusions: Tensor) -> list[float | None]:
    """Gives the IoU of background and of each defect class, pixels of all images together: K + 1 numbers.

    A class's mean over images would say little: every image without the class in which none is found would count as 1.

    Returns:
        Null for a class without a true pixel.
    """
    matrix = confusions.sum(0).double()
    right, true = matrix.diagonal(), matrix.sum(1)
    either = true + matrix.sum(0) - right
    return [float(shared / joined) if there > 0 else None for shared, joined, there in zip(right, either, true, strict=True)]


def iou_classes(confusions: Tensor) -> float:
    """Gives the mean of the IoUs of background and defect classes, those without a true pixel left out."""
    known = [value for value in iou_per_class(confusions) if value is not None]
    return sum(known) / len(known)


def pixel_accuracy(confusions: Tensor) -> float:
    """Gives the share of all pixels that are named right."""
    matrix = confusions.sum(0).double()
    return float(matrix.diagonal().sum() / matrix.sum())


def segmentation_scores(confusions: Tensor, defects: Sequence[str], *, split: str = "val") -> tuple[dict[str, float | None], list[list[int]]]:
    """Gives all scores of one split by name, and the pixel confusion of all its images.

    Args:
        confusions: (N, K + 1, K + 1) int64 of the images whose pixels are known, N at least 1.
        defects: names of the K defect classes.
        split: opens every name: `val_iou`.
    """
    scores: dict[str, float | None] = {
        f"{split}_iou": iou(confusions),
        f"{split}_iou_pooled": iou_pooled(confusions),
        f"{split}_iou_classes": iou_classes(confusions),
        f"{split}_pixel_accuracy": pixel_accuracy(confusions),
    }
    scores |= {f"{split}_iou.{cls}": value for cls, value in zip(defects, iou_per_class(confusions)[1:], strict=True)}
    counts: list[list[int]] = confusions.sum(0).tolist()
    return scores, counts
