"""From patches to a whole image: Algorithm 1 of Mustafaev et al. (2023), the SDG-GAN paper. No trial calls it."""

from typing import NamedTuple

import torch
from torch import Tensor


class Decision(NamedTuple):
    """What is said about each image."""

    labels: Tensor
    """(N,) int64: a defect class, or that of defect-free images."""
    patches: Tensor
    """(N,) int64: the patch that decided; -1 where every patch is defect-free."""
    confidences: Tensor
    """(N,): the deciding patch's probability of its class; of a defect-free image, the least of its patches' probabilities of being so."""


def decide_images(probabilities: Tensor, defect_free: int) -> Decision:
    """Decides images by Algorithm 1: among the patches that are named defective, the most certain one decides alone; nothing is averaged.

    An image is defect-free where all its patches are (the printed `if y_i == 0` must read so, systems.md 2.6). The first of equally certain patches
    decides, and the first of a patch's equally probable classes is its class.

    Args:
        probabilities: (N, P, C), P patches an image in the paper's order, row by row.
        defect_free: label of defect-free patches; 0 in the paper.
    """
    certain, named = probabilities.max(2)
    defective = named != defect_free
    patches = certain.masked_fill(~defective, -1.0).argmax(1)
    rows = torch.arange(len(probabilities), device=probabilities.device)
    free = ~defective.any(1)
    return Decision(
        labels=named[rows, patches].masked_fill(free, defect_free),
        patches=patches.masked_fill(free, -1),
        confidences=torch.where(free, probabilities[:, :, defect_free].amin(1), certain[rows, patches]),
    )
