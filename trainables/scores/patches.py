"""From patches to a whole image: Algorithm 1 of Mustafaev et al. (2023), the SDG-GAN paper. Called by `bench`, for images that were cut."""

from collections.abc import Mapping
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


def patch_accuracy(logits: Tensor, labels: Tensor) -> float:
    """Gives the share of patches that are named right, each for itself; the class of a patch is what its own pixels show.

    Args:
        logits: (N * P, C).
        labels: (N * P,) int64.
    """
    return float((logits.argmax(1) == labels).double().mean())


def of_pictures(said: Mapping[str, Tensor], patches: int, defect_free: int) -> dict[str, Tensor]:
    """Turns what an inspector said of patches into what it says of the pictures they were cut from, in the same terms.

    A classifier's word on a picture is its word on the patch that decides by Algorithm 1, so that the picture's first class is the algorithm's, and
    its margin that of the deciding patch; where every patch is defect-free, on the one that is least surely so. A detector's score of a picture is
    the highest of its patches'.

    Args:
        said: `logits` (N * P, C), or `scores` (N * P,); all else that was said of patches is left out.
        patches: P; those of a picture follow each other, row by row.
        defect_free: label of defect-free patches.

    Returns:
        `logits` (N, C) or `scores` (N,).
    """
    found = {}
    if "logits" in said:
        logits = said["logits"].reshape(-1, patches, said["logits"].shape[1])
        probabilities = logits.double().softmax(2)
        decided = decide_images(probabilities, defect_free).patches
        least_free = probabilities[:, :, defect_free].argmin(1)
        found["logits"] = logits[torch.arange(len(logits)), torch.where(decided < 0, least_free, decided)]
    if "scores" in said:
        found["scores"] = said["scores"].reshape(-1, patches).amax(1)
    return found
