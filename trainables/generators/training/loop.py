"""The training loop all generator families share: images resident on the device, batches drawn statelessly, losses read only to be told.

Called by `stage.train_to_mark`, and directly by tests and benchmarks.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from trainables.errors import SettingsError, TrialFailure
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Batch, TrainingData
from trainables.health import CRITIC_MARGIN, DIVERSITY
from trainables.progress import Progress
from trainables.seeds import child_seed

LOOP_VERSION = 2
"""Counts up when the same settings and seed would draw other batches."""
REPORT_EVERY_S = 2.0
CHECKPOINT_EVERY_S = 120.0
CHECK_EVERY_KIMG = 5.0
"""How often a training is looked at for collapse, and at its mark; counted in images, so that a trial ends the same way on any machine."""
CHECK_FROM_KIMG = 2.0
"""Before this a generator has hardly begun."""
COLLAPSED_BELOW = 0.01
"""Share of the real items' spread below which a class has collapsed."""
LOOKED_AT = 16
"""Items drawn of each class."""
SPREAD_OF = 256
"""Real items whose spread is measured."""


class Shuffle:
    """Endless shuffled epochs over `count` rows, as a pure function of seed and position."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._orders: dict[int, Tensor] = {}

    def rows(self, start: int, stop: int) -> Tensor:
        """Gives the rows at positions [start, stop) of the endless sequence, int64 on the CPU."""
        epochs = range(start // self.count, (stop - 1) // self.count + 1)
        self._orders = {epoch: self._orders[epoch] if epoch in self._orders else self._order(epoch) for epoch in epochs}
        first = epochs[0] * self.count
        return torch.cat([self._orders[epoch] for epoch in epochs])[start - first : stop - first]

    def _order(self, epoch: int) -> Tensor:
        return torch.randperm(self.count, generator=torch.Generator().manual_seed(child_seed(self.seed, "epoch", epoch)))


def steps_for(model: GeneratorModel, kimg: float) -> int:
    """Gives the steps of a mark: the fewest whole periods that show at least `kimg` thousand images; 0 for a family that does not learn.

    Raises:
        SettingsError: the mark is not above 0.
    """
    if not model.learns:
        return 0
    if not kimg > 0:
        raise SettingsError(f"generator.kimg: a mark of {kimg} is not above 0")
    per_period = model.images_per_step * model.steps_per_period
    # A hair is taken off so that 0.064 kimg in batches of 64 is one step, whatever the rounding of the product.
    return max(1, math.ceil(kimg * 1000 / per_period - 1e-9)) * model.steps_per_period


def train(
    model: GeneratorModel,
    data: TrainingData,
    *,
    start_step: int,
    stop_step: int,
    seed: int,
    checkpoint: Callable[[int], None] | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    report_every_s: float = REPORT_EVERY_S,
) -> Iterator[Progress]:
    """Trains from one step to another, telling how it goes.

    Args:
        model: a model whose state is that of `start_step`.
        data: what to train on.
        start_step: first step to do.
        stop_step: step to stop before.
        seed: decides the order of the images.
        checkpoint: called with the number of steps done, every `checkpoint_every_s` seconds and when the caller stops listening.
        checkpoint_every_s: seconds between checkpoints.
        report_every_s: seconds between reports.

    Raises:
        TrialFailure: `diverged`, when a loss or a weight is not finite; `collapsed`, when the items of a class are nearly all the same.
        SettingsError: the family needs backgrounds and there are none.
    """
    device = model.device
    labels = data.labels
    drawable = torch.arange(len(labels))
    if model.needs_backgrounds:
        if data.backgrounds is None or len(data.backgrounds) == 0:
            raise SettingsError(
                f"{type(model).__name__} turns defect-free images into defects and there are none: set data.backgrounds to folder or crops"
            )
        drawable = drawable[labels != data.background_label] if data.background_label is not None else drawable
    model.fit(data)
    items, labels = data.items[drawable].to(device), labels[drawable].to(device)
    masks = data.masks[drawable].to(device) if data.masks is not None and model.makes == "images and masks" else None
    spread = _spread(items[:SPREAD_OF])
    backgrounds = data.backgrounds.to(device) if model.needs_backgrounds and data.backgrounds is not None else None
    order = Shuffle(len(items), child_seed(seed, "images"))
    background_order = Shuffle(len(backgrounds), child_seed(seed, "backgrounds")) if backgrounds is not None else None
    model.generator.train()
    model.critic.train()
    batch, behind = model.batch_size, model.backgrounds_per_step

    told = saved = time.monotonic()
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for step in range(start_step, stop_step):
        rows = order.rows(step * batch, (step + 1) * batch).to(device)
        scene = None
        if backgrounds is not None and background_order is not None:
            scene = backgrounds[background_order.rows(step * behind, (step + 1) * behind).to(device)]
        shown = Batch(real=items[rows], labels=labels[rows], masks=masks[rows] if masks is not None else None, backgrounds=scene)
        told_now = model.train_step(shown, step)
        for name, value in told_now.items():
            sums[name] = sums[name] + value if name in sums else value
            counts[name] = counts.get(name, 0) + 1
        now = time.monotonic()
        last = step + 1 == stop_step
        health: dict[str, float] = {}
        if _is_due(model, step, last=last):
            health = _look(model, spread, data, told_now, (step + 1) * model.images_per_step / 1000)
        if not last and now - told < report_every_s:
            continue
        metrics = {name: float(total) / counts[name] for name, total in sums.items()}
        kimg = (step + 1) * model.images_per_step / 1000
        if not all(map(math.isfinite, metrics.values())) or (last and not model.is_finite()):
            raise TrialFailure("diverged", f"training reached a number that is not finite before {kimg:.3g} kimg: {metrics}")
        sums, counts = {}, {}
        if checkpoint is not None and not last and now - saved >= checkpoint_every_s:
            checkpoint(step + 1)
            saved = time.monotonic()
        try:
            yield Progress(stage="generator", kimg=kimg, metrics=metrics | health if last else metrics)
        except GeneratorExit:
            if checkpoint is not None and not last:
                checkpoint(step + 1)
            raise
        told = time.monotonic()


def _is_due(model: GeneratorModel, step: int, *, last: bool) -> bool:
    """Says whether a training is to be looked at after this step."""
    before, now = (shown * model.images_per_step / 1000 for shown in (step, step + 1))
    return now >= CHECK_FROM_KIMG and (last or now // CHECK_EVERY_KIMG > before // CHECK_EVERY_KIMG)


def _look(model: GeneratorModel, spread: float, data: TrainingData, told: Mapping[str, Tensor], kimg: float) -> dict[str, float]:
    """Ends the training where a class's items hardly differ from each other; gives what `health` reads of the others."""
    margin = model.critic_margin(told)
    found = {CRITIC_MARGIN: margin} if margin is not None else {}
    if data.backgrounds is not None and model.needs_backgrounds and len(data.backgrounds) < LOOKED_AT:
        return found  # images made from a few backgrounds may well look alike
    for label in range(data.num_classes):
        if label == data.background_label:
            continue
        drawn = model.look(label, LOOKED_AT, child_seed(model.seed, "look"), backgrounds=data.backgrounds)
        if not (share := _spread(drawn.items) / max(spread, 1e-12)) >= COLLAPSED_BELOW:
            raise TrialFailure("collapsed", f"after {kimg:.3g} kimg the images of class {label} vary {share:.1%} as much as real ones")
        found[DIVERSITY] = min(share, found.get(DIVERSITY, share))
    return found


def _spread(items: Tensor) -> float:
    """Averages, over pixels, how far items lie from their mean."""
    return float(items.float().std(dim=0, correction=0).mean())
