"""Any score by group of images: by the size of their defects, and by a column that the user gave. Called by `trainables.measures.grouping`.

A group is a mask over the images of a split. `by_group` takes any function that gives scores of some images, and names what it gives for each group
as `names.grouped` says: `val_iou@small`, `val_recall@line=3.scratches`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.layouts.boxes import Box
from trainables.scores.names import SIZE_GROUPS, column_group, grouped


def mask_areas(masks: Tensor) -> Tensor:
    """Gives the share of each image that defects cover: (N,) float64.

    Args:
        masks: (N, H, W), 0 for the background, anything else for a defect.
    """
    return (masks != 0).flatten(1).double().mean(1).cpu()


def box_areas(boxes: Sequence[Sequence[Box]]) -> Tensor:
    """Gives the share of each image that its boxes cover together, for images without masks: (N,) float64.

    Args:
        boxes: of each image; left, top, right, bottom in shares of its width and height.
    """
    return torch.tensor([_covered(np.asarray(found, dtype=float)) if len(found) else 0.0 for found in boxes], dtype=torch.float64)


def _covered(boxes: np.ndarray) -> float:
    """Measures the union of (M, 4) boxes exactly, on the grid of their own edges."""
    across, down = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    columns = (boxes[:, [0]] <= across[:-1]) & (boxes[:, [2]] >= across[1:])
    rows = (boxes[:, [1]] <= down[:-1]) & (boxes[:, [3]] >= down[1:])
    covered = np.einsum("mi,mj->ij", rows.astype(float), columns.astype(float)) > 0
    return float(np.diff(down) @ covered @ np.diff(across))


def size_groups(areas: Tensor, *, defect_free: bool = False) -> dict[str, Tensor]:
    """Sorts the defective images of a split into thirds by the area of their defects.

    The bounds are areas that occur, so that images of equal area stay together, and the thirds may then differ in number.

    Args:
        areas: (N,); 0 for defect-free images, NaN for those whose pixels and boxes are unknown, which are in no group.
        defect_free: whether the defect-free images join every group. Scores that weigh defective images against others, such as AP, need them.

    Returns:
        For each of `SIZE_GROUPS` a mask (N,), empty where no image has a defect of known area.
    """
    areas = areas.double().cpu()
    known = areas[areas > 0].sort().values
    if not len(known):
        return {name: torch.zeros(len(areas), dtype=torch.bool) for name in SIZE_GROUPS}
    bounds = [0.0, *(float(known[-(-len(known) * third // 3) - 1]) for third in (1, 2, 3))]
    members = {name: (areas > low) & (areas <= high) for name, low, high in zip(SIZE_GROUPS, bounds, bounds[1:], strict=False)}
    return {name: mask | (areas == 0) for name, mask in members.items()} if defect_free else members


def column_groups(column: str, values: Sequence[str | None]) -> dict[str, Tensor]:
    """Groups images by a user's column.

    Args:
        column: its name.
        values: of each image; images without a value are in no group.

    Returns:
        For each value, in alphabetical order, its group's name and a mask (N,).
    """
    found = sorted({value for value in values if value is not None})
    return {column_group(column, value): torch.tensor([other == value for other in values]) for value in found}


def by_group(
    score: Callable[..., Mapping[str, float | None]], groups: Mapping[str, Tensor], *per_image: Tensor | Sequence[object]
) -> dict[str, float | None]:
    """Computes scores of each group of images.

    Args:
        score: takes what `per_image` holds of some images and gives scores by full name: `{"val_iou": 0.7, "val_iou.scratches": 0.6}`. Thresholds are
            its own matter, and chosen on all images.
        groups: masks (N,) by name.
        per_image: what the scores are computed from, N long each.

    Returns:
        The scores by their names for the group; a group without images has none.
    """
    found: dict[str, float | None] = {}
    for group, mask in groups.items():
        if bool(mask.any()):
            rows = mask.nonzero().flatten().tolist()
            parts = [part[torch.tensor(rows, device=part.device)] if isinstance(part, Tensor) else [part[i] for i in rows] for part in per_image]
            found |= {grouped(name, group): value for name, value in score(*parts).items()}
    return found
