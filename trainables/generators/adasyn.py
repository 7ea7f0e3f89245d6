"""ADASYN (He et al. 2008) in a space of features: SMOTE that draws most where other classes are near, as imbalanced-learn does it."""

from dataclasses import dataclass

import numpy as np
from imblearn.over_sampling import ADASYN
from numpy.typing import NDArray

from trainables.generators.bases.features import FeatureConfig
from trainables.generators.bases.model import check_limits
from trainables.generators.smote import OTHERS, Smote, oversampled


@dataclass(frozen=True, kw_only=True, slots=True)
class AdasynConfig(FeatureConfig):
    """Settings of ADASYN."""

    n_neighbors: int = 5
    """Nearest items, of any class, that say how hard an item is, and of its class that it may be mixed with (He et al. 2008); all others of the
    class, where it has no more than that."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["classifier_lr"], at_least_1=["classifier_epochs", "n_neighbors"])


class Adasyn(Smote):
    """Keeps the features of the training split, and mixes those of one class, the harder ones more often."""

    VERSION = 1
    Config = AdasynConfig  # type: ignore[assignment]
    sampling_settings = ("n_neighbors",)
    config: AdasynConfig  # type: ignore[assignment]

    def draw(self, own: NDArray[np.float32], others: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
        """Draws items of a class; a class that no other comes near is drawn from evenly, as SMOTE does. Arguments as `Smote.draw`'s."""
        if not len(others):
            return super().draw(own, others, count, seed)
        items, labels = np.concatenate([own, others]), np.array([0] * len(own) + [OTHERS] * len(others))
        neighbors = self.neighbors(own)
        # Numbers for each item are rounded on the way, by a half each at most: with this many more there are never too few.
        asked = {0: len(own) + count + len(own)}
        try:
            drawn = oversampled(ADASYN(sampling_strategy=asked, n_neighbors=neighbors, random_state=seed), items, labels)
        except RuntimeError:
            # So the library says that no item of another class is near.
            return super().draw(own, others, count, seed)
        # They come sorted by the item they began at.
        return drawn[np.random.default_rng(seed).permutation(len(drawn))[:count]]

    @property
    def most_neighbors(self) -> int:
        """How many near items are asked for, at most."""
        return self.config.n_neighbors
