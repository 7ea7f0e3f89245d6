"""Whether a distance between image sets notices what it should: its values as real images get blurred or sprinkled, as LM-GAN's Fig. 6 shows for FID.

Called by tests, and by whoever draws the curves: what is given back is plain data.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.scores.corruptions import SEVERITIES, Corruption, blur, salt_and_pepper
from trainables.scores.distances import frechet, kid
from trainables.scores.names import TEXTURES, distance_names
from trainables.scores.textures import texture_distances, texture_statistics
from trainables.seeds import child_seed

FIGURE_6: Mapping[str, Corruption] = {"blur": blur, "salt_and_pepper": salt_and_pepper}
"""What LM-GAN's Fig. 6 disturbs images by."""

Measure = Callable[[Tensor, Tensor], Mapping[str, float]]
"""Takes two sets of images (N, C, S, S) uint8 and gives their distances by name."""


class Response(NamedTuple):
    """How one distance answers to one corruption."""

    distance: str
    corruption: str
    severities: tuple[int, ...]
    values: tuple[float, ...]
    """At each severity, of the disturbed images from the same images undisturbed."""
    floor: float
    """Between two halves of the undisturbed images: what the values must pass to be noticed between sets of different images."""

    @property
    def rises(self) -> bool:
        """Whether every severity has a greater distance than the one before."""
        return all(later > earlier for earlier, later in pairwise(self.values))


def image_measure(run: Callable[[Tensor], Tensor], extractor: str) -> Measure:
    """Gives the measure of KID, Frechet distance and texture distances.

    Args:
        run: (N, C, S, S) uint8 to (N, D) features: an extractor's `run`.
        extractor: its name, which names KID and the Frechet distance.
    """
    kid_name, frechet_name = distance_names(extractor)

    def measure(real: Tensor, other: Tensor) -> dict[str, float]:
        a, b = run(real), run(other)
        textures = texture_distances(texture_statistics(real), texture_statistics(other))
        return {kid_name: kid(a, b), frechet_name: frechet(a, b), **dict(zip(TEXTURES, textures, strict=True))}

    return measure


def responses(images: Tensor, measure: Measure, *, corruptions: Mapping[str, Corruption] = FIGURE_6, seed: int = 0) -> list[Response]:
    """Disturbs real images ever more, and measures them against themselves, as Heusel et al. (2017) and LM-GAN do.

    Args:
        images: (N, C, S, S) uint8, N at least 4.
        measure: the distances.
        corruptions: what the images are disturbed by.
        seed: of what the corruptions draw, and of the halves of the floor.

    Returns:
        One response for each distance and corruption.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(child_seed(seed, "halves")))
    floors = measure(images[order[: len(images) // 2]], images[order[len(images) // 2 :]])
    found = []
    for name, corrupt in corruptions.items():
        draws = child_seed(seed, "sensitivity", name)
        measured = [measure(images, corrupt(images, severity, torch.Generator().manual_seed(draws))) for severity in SEVERITIES]
        found += [Response(distance, name, SEVERITIES, tuple(values[distance] for values in measured), floor) for distance, floor in floors.items()]
    return found
