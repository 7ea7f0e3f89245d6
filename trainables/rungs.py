"""The rung score: how far a generator is from real images at a mark, told before anything stands on it, from few images. Called by the units.

It is the kernel distance (KID), not the Frechet distance: its estimate from a few hundred images is right on average (Binkowski et al. 2018, section
3), so that generators of any stage compare. Whoever listens may close the trial there: what follows a rung is the rest of the training, or, at the
trial's own mark, the pool, the masks and the inspector. The images are the first of the pool's first blocks, which the trial goes on with.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from trainables.bench import UnitResult
from trainables.progress import Progress
from trainables.scores.distances import kid, kid_floor
from trainables.scores.names import MMD, distance_names
from trainables.synthesis.blocks import BLOCK, Source

IMAGES = 384
"""Synthetic images of all classes together."""
FEWEST_OF_A_CLASS = 32
"""However many classes there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RungScore:
    """What a generator comes to at a mark."""

    value: float | None
    """Mean over classes, lower is better; None where a class with enough real images has too few synthetic ones, or a number is not finite."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The value under the name of its distance, with those of each class, the floor that it is read against, and counts of images."""


Judge = Callable[[dict[str, Source]], RungScore]
"""Scores the generators of all classes as they stand."""


def images_of_a_class(classes: int) -> int:
    """Gives the number of synthetic images of each class that a rung score is taken of."""
    return min(BLOCK, max(FEWEST_OF_A_CLASS, IMAGES // classes))


def score_rung(real: Mapping[str, Tensor], synthetic: Mapping[str, Tensor], *, extractor: str, of_features: bool = False) -> RungScore:
    """Compares few synthetic images with the real validation images, class by class and on average.

    Args:
        real: (N, D) features by class; a class with fewer than 2 is left out.
        synthetic: (M, D) features by class.
        extractor: whose features these are.
        of_features: True where features are what the generator makes, so that the distance is called MMD.
    """
    name = f"val_{MMD if of_features else distance_names(extractor)[0]}"
    wanted = [cls for cls, features in real.items() if len(features) >= 2]
    found = {cls: kid(real[cls], synthetic[cls]) for cls in wanted if len(synthetic.get(cls, ())) >= 2}
    floors = [kid_floor(real[cls]) for cls in wanted if len(real[cls]) >= 4]
    value = sum(found.values()) / len(found) if found and len(found) == len(wanted) else None
    metrics = {f"{name}.{cls}": number for cls, number in found.items() if math.isfinite(number)}
    if value is None or not math.isfinite(value):
        value = None
    else:
        metrics[name] = value
    if floors:
        metrics[f"{name}_floor"] = sum(floors) / len(floors)
    counts = {"synthetic": sum(map(len, synthetic.values())), "real": sum(len(real[cls]) for cls in wanted)}
    return RungScore(value=value, metrics=metrics | {f"{kind}_images": float(count) for kind, count in counts.items()})


def tell_rung(kimg: float, found: RungScore, result: UnitResult) -> Generator[Progress, None, None]:
    """Tells a rung score, with the stages that were met on the way to it, and notes it."""
    result.rungs[f"{kimg:g}"] = found.value
    result.rung_counts = {f"rung_{name}": int(number) for name, number in found.metrics.items() if name.endswith("_images")}
    yield Progress(stage="rung", kimg=kimg, rung_score=found.value, metrics=found.metrics, stages=list(result.uses))
