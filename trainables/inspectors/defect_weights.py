"""What SegDecNet's map is to become: masks, how much each of their pixels counts, and which images' masks are used. Called by `segdecnet`.

From Božič, Tabernik and Skočaj (2021), with what their paper leaves open as in systems.md 1.1.
"""

import math

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from trainables.seeds import child_seed

STRIDE, REACH = 8, 17
"""Pixels from one mean to the next, and side of the square that each is taken over."""


def with_pixel_labels(masks: Tensor, labels: Tensor, marked: Tensor, share: float) -> Tensor:
    """Says of which defective images the pixel labels are used: the images of a smaller share are among those of a larger one.

    Args:
        masks: (N, H, W), above 0 where a defect is.
        labels: (N,), above 0 for defective images.
        marked: (N,) bool, false where a mask means nothing.
        share: 0 to 1, of the defective images that are marked; any share above 0 is one image at least.

    Returns:
        (N,) bool.
    """
    known = (labels > 0) & marked & (masks > 0).flatten(1).any(1)
    places = known.nonzero().squeeze(1)
    # All shares take from the front of one order, which is the same in every study.
    order = np.random.default_rng(child_seed(0, "pixel_labels")).random(len(labels))[places.numpy()].argsort()
    # The product of a share and a number may lie a rounding error above a whole number.
    count = math.ceil(share * len(places) - 1e-9)
    used = torch.zeros(len(labels), dtype=torch.bool)
    used[places[torch.from_numpy(order)[:count]]] = True
    return used


def pixel_targets(masks: Tensor, labels: Tensor, used: Tensor, *, dilate_px: int, highest: float, power: float) -> Tensor:
    """Makes what each pixel is to become, and how much it counts.

    Args:
        masks: (N, H, W) uint8, above 0 where a defect is.
        labels: (N,), above 0 for defective images.
        used: (N,) bool, the defective images whose masks are used.
        dilate_px: odd side of the square that masks are dilated by.
        highest: weight of the pixel deepest inside its defect.
        power: of the depth.

    Returns:
        (N, 2, H, W) float16: mask of 0 and 1; weight. All of good images is 0, with weight 1; of defective ones that are not used, with weight 0.
    """
    targets = torch.zeros((len(masks), 2, *masks.shape[1:]), dtype=torch.float16)
    targets[labels == 0, 1] = 1.0
    square = np.ones((dilate_px, dilate_px), dtype=bool)
    for row in used.nonzero().squeeze(1).tolist():
        mask = ndimage.binary_dilation(masks[row].numpy() > 0, square)
        targets[row, 0] = torch.from_numpy(mask)
        targets[row, 1] = torch.from_numpy(depth_weights(mask, highest=highest, power=power))
    return targets


def depth_weights(mask: np.ndarray, *, highest: float, power: float) -> np.ndarray:
    """Weighs pixels by how deep in their defect they lie: highest * (distance / largest distance) ^ power inside, 1 outside.

    The distance is that to the nearest pixel outside; the largest is taken over each defect (pixels that touch, corners included), so that a small
    defect counts as much as a large one at its middle. The border of the image is no edge of a defect.

    Args:
        mask: (H, W) bool.
        highest: weight at the deepest pixel.
        power: of the depth.

    Returns:
        (H, W) float32.
    """
    if mask.all():
        return np.full(mask.shape, highest, dtype=np.float32)
    distance = ndimage.distance_transform_edt(mask)
    defects, count = ndimage.label(mask, np.ones((3, 3)))
    deepest = np.concatenate([[1.0], ndimage.maximum(distance, defects, np.arange(1, count + 1))])
    weights: np.ndarray = np.where(mask, highest * (distance / deepest[defects]) ** power, 1.0).astype(np.float32)
    return weights


def shrink(planes: Tensor) -> Tensor:
    """Brings planes to the size of the map by means that overlap: (B, P, H, W) of any type to (B, P, H/8, W/8) float32; sides are above 8."""
    return F.avg_pool2d(F.pad(planes.float(), (STRIDE,) * 4, mode="reflect"), REACH, stride=STRIDE)
