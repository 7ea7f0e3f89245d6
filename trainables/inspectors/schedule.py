"""Which images each step of an inspector's training shows, and its learning rate: from labels, settings and the seed alone. Called by `training`."""

import math

import numpy as np
import torch
from torch import Tensor

from trainables.datasets.augmentation import EPOCH_FOLD
from trainables.inspectors.base import Config
from trainables.seeds import child_seed

FINETUNE_LR = 0.1
"""Learning rate of the last phase, on real images alone, over that of the first: it mends, and should not undo."""


class Schedule:
    """The steps of a training: epochs over all images, then, where the settings ask for it, epochs over the real ones alone.

    Args:
        labels: (N,) of real images and of synthetic ones after them.
        config: of the inspector.
        seed: of the order.
        real: how many of the labels are real images'.
    """

    def __init__(self, labels: np.ndarray, config: Config, seed: int, *, real: int) -> None:
        self.config = config
        everything = _Epochs(labels, config, seed)
        passes = config.epochs * EPOCH_FOLD.get(config.augment, 1)
        self._steps_first = max(config.min_steps, math.ceil(passes * everything.size / everything.batch_size), 1)
        self._phases = [(self._steps_first, everything)]
        if config.finetune_epochs and real:
            again = _Epochs(labels[:real], config, child_seed(seed, "finetune"))
            self._phases.append((math.ceil(config.finetune_epochs * again.size / again.batch_size), again))
        self.steps = sum(steps for steps, _ in self._phases)
        self.ends = _ends(0, self._steps_first, config.epochs) | _ends(self._steps_first, self.steps, config.finetune_epochs)
        """Steps after which an epoch has ended, where each phase has as many as the settings say, however few images there are."""

    def share(self, step: int) -> float:
        """Says how far the first phase is, 0 to 1; 1 all through the second."""
        return min(1.0, step / self._steps_first)

    def lr(self, step: int) -> float:
        """Gives the learning rate of a step."""
        if step < self._steps_first:
            return self.config.lr_at(step, self._steps_first)
        return FINETUNE_LR * self.config.lr_at(step - self._steps_first, self.steps - self._steps_first)

    def batch(self, step: int) -> Tensor:
        """Gives the indices of one step's images."""
        if step < self._steps_first:
            return self._phases[0][1].batch(step)
        return self._phases[1][1].batch(step - self._steps_first)


def _ends(start: int, stop: int, epochs: int) -> frozenset[int]:
    return frozenset(start + math.ceil((stop - start) * (number + 1) / epochs) for number in range(epochs)) if stop > start else frozenset()


class _Epochs:
    """Endless epochs over some images, cut into batches."""

    def __init__(self, labels: np.ndarray, config: Config, seed: int) -> None:
        self.seed = seed
        self.by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        sizes = [len(members) for members in self.by_class]
        self.balance = config.balance
        self.each = {"none": None, "oversample": max(sizes), "undersample": min(sizes), "rotate": min(sizes)}[config.balance]
        self.size = len(labels) if self.each is None else self.each * len(sizes)
        # Batch norm cannot learn from a single image: the last phase then shows it twice.
        self.batch_size = max(min(config.batch, self.size), config.LEAST_BATCH)
        self._known: dict[int, Tensor] = {}

    def batch(self, step: int) -> Tensor:
        """Gives the indices of one step's images; batches run on across the ends of epochs, so that all are full."""
        start = step * self.batch_size
        first, offset = divmod(start, self.size)
        order = self._epoch(first)
        chosen = order[offset : offset + self.batch_size]
        if len(chosen) < self.batch_size:
            chosen = torch.cat([chosen, self._epoch(first + 1)[: self.batch_size - len(chosen)]])
        return chosen

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._known:
            rng = np.random.default_rng(child_seed(self.seed, "epoch", epoch))
            order = rng.permutation(np.concatenate(self._members(rng, epoch)))
            self._known = {key: value for key, value in self._known.items() if key == epoch - 1} | {epoch: torch.from_numpy(order)}
        return self._known[epoch]

    def _members(self, rng: np.random.Generator, epoch: int) -> list[np.ndarray]:
        """Takes an epoch's images of each class."""
        if self.each is None:
            return self.by_class
        if self.balance == "rotate":
            return [self._dealt(number, members, epoch * self.each, self.each) for number, members in enumerate(self.by_class)]
        return [_spread(rng, part, self.each) for part in self.by_class]

    def _dealt(self, number: int, members: np.ndarray, start: int, count: int) -> np.ndarray:
        """Deals `count` members from an endless row of shuffled decks: over the epochs each is shown as often as any other, give or take one."""
        first, last = start // len(members), (start + count - 1) // len(members)
        decks = [np.random.default_rng(child_seed(self.seed, "deck", number, deck)).permutation(members) for deck in range(first, last + 1)]
        offset = start - first * len(members)
        return np.concatenate(decks)[offset : offset + count]


def _spread(rng: np.random.Generator, members: np.ndarray, count: int) -> np.ndarray:
    """Draws `count` members, each as often as any other, give or take one."""
    rounds = math.ceil(count / len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)])[:count]
