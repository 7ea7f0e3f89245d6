"""What the classes are in data sets of several surfaces, each good or defective: shared by `dagm2007`, `mvtec_ad` and `textures`.

DAGM_MIX, the two-stage paper's set (vaegan2023, section 3.2), is `surfaces: {labels: surfaces, good_per_defective: 1}` of `dagm2007`: benign and
defective images of a texture are one class, and benign ones are sampled down, so that both halves of a class are equal. The paper keeps 300 benign
images and stores a changed copy beside each of the 150 defects of classes 1 to 6, and splits only then: copies of one defect lie on both sides. Here
nothing is stored twice. One to one comes from sampling down alone, in the listing, where it looks at nothing but names; the changes are those of the
inspector's `augment`, drawn anew at every step from training images only. `good_per_defective: 2` keeps the paper's 300 benign images, at two to
one: `balance` counts classes, which here are surfaces, and does not see defects.
"""

import hashlib
from collections.abc import Iterable

from trainables.datasets.listing import DEFECT_FREE, Sample
from trainables.datasets.settings import SurfaceSettings

DEFECT = "defect"
"""Class name of every defect under `labels: defective`, and of defects that have no kind."""


def class_of(surface: str, defect: str | None, settings: SurfaceSettings, *, several: bool) -> tuple[str, bool]:
    """Names the class of an image.

    Args:
        surface: what it shows.
        defect: kind of its defect; None where it is good.
        settings: what the classes are.
        several: whether the data set has more surfaces than this one, so that a kind of defect alone is ambiguous.

    Returns:
        The class, and whether the image is clean: good, though its class is not `defect_free`.
    """
    if settings.labels == "surfaces":
        return surface, defect is None
    if defect is None:
        return DEFECT_FREE, False
    if settings.labels == "defective":
        return DEFECT, False
    return (f"{surface}_{defect}" if several else defect), False


def thin_good(found: Iterable[tuple[str, Sample]], settings: SurfaceSettings) -> list[Sample]:
    """Takes `good_per_defective` good images of each surface for each defective one, in the order that they came in.

    Which ones depends on their names alone, so a smaller share is part of a larger one. A surface without a defective image keeps all.

    Args:
        found: surface and sample of each image.
        settings: with the share; none keeps every image.
    """
    pairs = list(found)
    if settings.good_per_defective is None:
        return [sample for _, sample in pairs]
    dropped: set[str] = set()
    for surface in {surface for surface, _ in pairs}:
        own = [sample for name, sample in pairs if name == surface]
        good = sorted((sample.name for sample in own if sample.free), key=lambda name: hashlib.sha256(name.encode()).digest())
        defective = len(own) - len(good)
        if defective:
            dropped |= set(good[round(defective * settings.good_per_defective) :])
    return [sample for _, sample in pairs if sample.name not in dropped]


def classes_of(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Lists the classes that occur, without `defect_free`, in the order of first appearance."""
    return tuple(dict.fromkeys(sample.cls for sample in samples if sample.cls != DEFECT_FREE))
