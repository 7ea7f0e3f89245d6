"""SMOTE (Chawla et al. 2002) in a space of features: new items between an item and a near one of its class, as imbalanced-learn draws them.

One of the alternatives to a generator that the LM-GAN paper names (section 1).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from imblearn.over_sampling import SMOTE
from numpy.typing import NDArray
from torch import Tensor

from trainables.generators.bases.features import HEAD_SETTINGS, FeatureConfig
from trainables.generators.bases.fitted import FittedModel
from trainables.generators.bases.model import check_limits
from trainables.generators.bases.subject import Drawn, TrainingData
from trainables.seeds import child_seed

OTHERS = -1
"""Label of what is not of the class that is drawn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SmoteConfig(FeatureConfig):
    """Settings of SMOTE."""

    k_neighbors: int = 5
    """Nearest items of its class that an item may be mixed with (Chawla et al. 2002); all others of the class, where it has no more than that."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["classifier_lr"], at_least_1=["classifier_epochs", "k_neighbors"])


class Smote(FittedModel):
    """Keeps the features of the training split, and mixes those of one class."""

    VERSION = 1
    Config = SmoteConfig
    makes = "features"
    sampling_settings = ("k_neighbors",)
    head_settings = HEAD_SETTINGS
    config: SmoteConfig

    def fit(self, data: TrainingData) -> None:
        """Keeps all features and their classes."""
        super().fit(data)
        self.kept = {"items": data.items.cpu(), "labels": data.labels.cpu()}

    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws features of one class; see `GeneratorModel.sample`."""
        own = self.kept["labels"] == label
        drawn = self.draw(self.kept["items"][own].numpy(), self.kept["items"][~own].numpy(), count, child_seed(seed, "sample", label) % 2**32)
        return Drawn(items=torch.from_numpy(drawn).to(torch.float32))

    def draw(self, own: NDArray[np.float32], others: NDArray[np.float32], count: int, seed: int) -> NDArray[np.float32]:
        """Draws items of a class.

        Args:
            own: (N, D) items of the class, N at least 2.
            others: (M, D) items of all other classes.
            count: how many.
            seed: below 2**32.

        Returns:
            (count, D).
        """
        # Only items of the class are looked at; the library asks for a second class all the same.
        items, labels = np.concatenate([own, own[:1]]), np.array([0] * len(own) + [OTHERS])
        sampler = SMOTE(sampling_strategy={0: len(own) + count}, k_neighbors=self.neighbors(own), random_state=seed)
        return oversampled(sampler, items, labels)

    def neighbors(self, own: NDArray[np.float32]) -> int:
        """Gives how many near items a class with items (N, D) can offer."""
        return min(self.most_neighbors, len(own) - 1)

    @property
    def most_neighbors(self) -> int:
        """How many near items are asked for, at most."""
        return self.config.k_neighbors

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives what mixing two items costs, as a function of both."""
        return lambda pair: torch.lerp(pair[:, 0], pair[:, 1], 0.5), (2, self.subject.shape[0])


def oversampled(sampler: Any, items: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Gives what an oversampler adds to the items."""
    resampled, _ = sampler.fit_resample(items, labels)
    added: NDArray[np.float32] = resampled[len(items) :]
    return added
