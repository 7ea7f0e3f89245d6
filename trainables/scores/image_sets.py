"""What is measured on a trial's synthetic images as a set, beside distances in features: texture, memorisation, the Inception Score.

Called by `trainables.unit` and `trainables.feature_unit`. What is costly is kept: the textures of a set are described once per store, and features
are there already. Caps keep the rest cheap: no more than `TEXTURED` images of a class are described, or `COMPARED` looked up for copies.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainables.scores.distances import over_classes
from trainables.scores.inception_score import inception_score
from trainables.scores.memorisation import memorisation
from trainables.scores.names import TEXTURES
from trainables.scores.textures import TextureStatistics, texture_distances, texture_floors

TEXTURED = 64
"""Most images of a class, on either side, whose texture is described: 3 ms each at 64 px, 45 ms at 256 px."""
COMPARED = 256
"""Most images of a class that are looked up among the training images, of which none is left out."""
FEWEST = 2
"""Least number of images of a class on either side; a floor takes twice as many."""


def evenly(items: Tensor, most: int) -> Tensor:
    """Takes at most so many rows, evenly spread over all: neighbours in a data set often show one part."""
    return items if len(items) <= most else items[torch.linspace(0, len(items) - 1, most).round().long()]


def texture_scores(
    real: Mapping[str, TextureStatistics], synthetic: Mapping[str, TextureStatistics], *, split: str = "val"
) -> dict[str, float | None]:
    """Compares the textures of synthetic and real images, class by class and on average.

    Args:
        real: of the real images of a split by class.
        synthetic: of the synthetic images; a class may be missing.
        split: the split of the real images; it opens every name.

    Returns:
        By name: `val_texture_lbp`, `val_texture_lbp.<class>`, each also with `_floor` before the class: the distance between halves of the real
        images. Null and averaged as `distances.image_distances` has it.
    """
    names = [f"{split}_{base}" for base in TEXTURES]
    per_class: dict[str, dict[str, float | None]] = {name: {} for name in (*names, *(f"{name}_floor" for name in names))}
    for cls, own in real.items():
        others = synthetic.get(cls)
        if len(own.spectra) >= FEWEST:
            enough = others is not None and len(others.spectra) >= FEWEST
            found: tuple[float | None, ...] = texture_distances(own, others) if enough and others is not None else (None,) * len(names)
            for name, value in zip(names, found, strict=True):
                per_class[name][cls] = value
        if len(own.spectra) >= 2 * FEWEST:
            for name, floor in zip(names, texture_floors(own), strict=True):
                per_class[f"{name}_floor"][cls] = floor
    return over_classes(per_class, real)


def memorisation_scores(
    training: Mapping[str, Tensor], synthetic: Mapping[str, Tensor], held_out: Mapping[str, Tensor], *, extractor: str
) -> dict[str, float | None]:
    """Gives the share of synthetic images that lie closer to a training image of their class than other real ones do, by class and on average.

    Args:
        training: (N, D) features of the real training images by class; all of them are searched.
        synthetic: the same of the synthetic images, of which `COMPARED` are looked up; a class may be missing.
        held_out: the same of the real validation images.
        extractor: whose features these are.

    Returns:
        By name: `val_memorisation_<extractor>`, `val_memorisation_<extractor>.<class>`, each also with `_floor` before the class: the share of the
        held-out images, which nobody can have learnt by heart. Null and averaged as `distances.image_distances` has it.
    """
    name = f"val_memorisation_{extractor}"
    per_class: dict[str, dict[str, float | None]] = {name: {}, f"{name}_floor": {}}
    for cls, own in training.items():
        if len(own) < FEWEST:
            continue
        others, unseen = synthetic.get(cls), held_out.get(cls)
        per_class[name][cls] = memorisation(own, evenly(others, COMPARED)) if others is not None and len(others) else None
        if unseen is not None and len(unseen):
            per_class[f"{name}_floor"][cls] = memorisation(own, evenly(unseen, COMPARED))
    return over_classes(per_class, training)


def inception_scores(synthetic: Mapping[str, Tensor], real: Mapping[str, Tensor], *, extractor: str) -> dict[str, float | None]:
    """Gives the Inception Score of the synthetic images and, to read it against, that of the real validation images.

    Each set holds as many images of one class as of another, so that the number says how images look and not how many there are of each class.

    Args:
        synthetic: (N, K) probabilities of the synthetic images by class.
        real: the same of the real validation images.
        extractor: who says them.

    Returns:
        `val_inception_score_<extractor>`, null where a class of the real images has no synthetic one; and with `_real` behind it, of fewer images
        than the former as a rule, for which it is a little too high.
    """
    name = f"val_inception_score_{extractor}"
    wanted = [cls for cls, images in real.items() if len(images)]
    return {name: _balanced({cls: synthetic.get(cls) for cls in wanted}), f"{name}_real": _balanced({cls: real[cls] for cls in wanted})}


def _balanced(by_class: Mapping[str, Tensor | None]) -> float | None:
    """Gives the score of as many images of each class as the rarest has."""
    sets = [images for images in by_class.values() if images is not None and len(images)]
    if not sets or len(sets) < len(by_class):
        return None
    count = min(len(images) for images in sets)
    return inception_score(torch.cat([evenly(images, count) for images in sets]))
