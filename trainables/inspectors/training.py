"""Trains an inspector on images that stay on the device as uint8, and asks a trained one for logits and features. Called by `stage.py`.

Step s depends only on (settings, images, seed, s), never on what was drawn before: a training that goes on from its last checkpoint ends bit
for bit where an undisturbed one ends, on one device with the same number of threads.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.datasets.augmentation import augment
from trainables.errors import DatasetError, TrialFailure
from trainables.inspectors import INSPECTORS
from trainables.inspectors.classifiers import Classifier, Config, SeededDropout
from trainables.progress import Progress
from trainables.recipe import InspectorPart
from trainables.registry import pick
from trainables.seeds import child_seed
from trainables.settings import from_plain

REPORT_EVERY_S = 2.0
EVALUATION_BATCH = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledImages:
    """Images with the class of each."""

    images: Tensor
    """(N, C, H, W) uint8."""
    labels: Tensor
    """(N,) int64, 0 to classes - 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspector:
    """A network with what is needed to use it."""

    kind: str
    network: Classifier
    config: Config
    size_px: int
    channels: int
    num_classes: int
    device: str


@dataclass(kw_only=True, slots=True)
class Checkpoint:
    """Where a training stands; `state` holds everything that going on needs."""

    step: int
    seconds: float
    state: Mapping[str, Any]


def read_config(part: InspectorPart) -> Config:
    """Gives the whole Config of an inspector of the recipe.

    Raises:
        SettingsError: no such inspector, or a setting that it does not have or cannot take.
    """
    config: Config = from_plain(pick(INSPECTORS, part.kind, "inspector").Config, part.settings, where=f"inspector.{part.kind}")
    return config


def build(kind: str, config: Config, *, size_px: int, channels: int, num_classes: int, device: str, seed: int) -> Inspector:
    """Builds an untrained inspector whose first weights follow from the seed alone; no random state outside is touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = pick(INSPECTORS, kind, "inspector")(config, size_px=size_px, channels=channels, num_classes=num_classes)
    network = network.to(device=device, memory_format=torch.channels_last).eval()
    return Inspector(kind=kind, network=network, config=config, size_px=size_px, channels=channels, num_classes=num_classes, device=device)


def to_input(images: Tensor, device: str) -> Tensor:
    """Turns uint8 images (B, C, H, W) into floats in [-1, 1] on the device, channels last."""
    return images.to(device).to(torch.float32).div_(127.5).sub_(1.0).contiguous(memory_format=torch.channels_last)


def train(
    inspector: Inspector,
    *,
    real: LabelledImages,
    synthetic: LabelledImages | None = None,
    seed: int,
    precision: str = "fp32",
    resume: Checkpoint | None = None,
    save: Callable[[Checkpoint], None] | None = None,
    save_every_s: float = 120.0,
) -> Iterator[Progress]:
    """Trains an inspector in place, and leaves it in evaluation mode.

    Args:
        inspector: untrained, from `build`.
        real: the real training split.
        synthetic: images of a generator that stand beside it.
        seed: decides order, augmentation and dropout.
        precision: `bf16` runs convolutions in bfloat16; weights, loss and optimizer stay in float32.
        resume: a checkpoint that `save` was given earlier.
        save: called with a checkpoint about every `save_every_s` seconds.
        save_every_s: seconds between checkpoints.

    Yields:
        A sign of life about every two seconds, with the mean loss since the last.

    Raises:
        DatasetError: no images, or labels outside of the classes.
        TrialFailure: `diverged`, where a loss or a weight is not finite.
    """
    images, labels = _joined(real, synthetic, inspector)
    config, network = inspector.config, inspector.network
    schedule = _Schedule(labels.cpu().numpy(), config, seed)
    optimizer = torch.optim.AdamW(_weight_groups(network, config.weight_decay), lr=config.lr, fused=True)
    step, seconds = 0, 0.0
    if resume is not None:
        network.load_state_dict(resume.state["network"])
        optimizer.load_state_dict(resume.state["optimizer"])
        _match_layout(optimizer)
        step, seconds = resume.step, resume.seconds
    generator = torch.Generator(device=inspector.device)
    dropouts = [module for module in network.modules() if isinstance(module, SeededDropout)]
    for dropout in dropouts:
        dropout.generator = generator
    network.train()
    losses: list[Tensor] = []
    clock = reported = saved = time.monotonic()
    while step < schedule.steps:
        generator.manual_seed(child_seed(seed, "step", step))
        chosen = schedule.batch(step).to(images.device)
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr(step)
        losses.append(_step(inspector, optimizer, images[chosen], labels[chosen], generator, precision))
        step += 1
        now = time.monotonic()
        if now - reported >= REPORT_EVERY_S or step == schedule.steps:
            loss = _finite_mean(losses, step)
            losses.clear()
            yield Progress(stage="inspector", metrics={"loss": loss, "step": float(step), "share": step / schedule.steps})
            reported = time.monotonic()
        if save is not None and step < schedule.steps and now - saved >= save_every_s:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            save(Checkpoint(step=step, seconds=seconds + time.monotonic() - clock, state=state))
            saved = time.monotonic()
    network.eval()
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise TrialFailure("diverged", f"inspector {inspector.kind}: a weight is not finite after {step} steps")


def predict(inspector: Inspector, images: Tensor) -> Tensor:
    """Gives logits of uint8 images (N, C, H, W): (N, classes) float32 on the CPU."""
    return _evaluate(inspector, images, inspector.network)


def features(inspector: Inspector, images: Tensor) -> Tensor:
    """Gives the features before the last layer of uint8 images (N, C, H, W): (N, D) float32 on the CPU."""
    return _evaluate(inspector, images, inspector.network.features)


@torch.no_grad()
def _evaluate(inspector: Inspector, images: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
    assert not inspector.network.training
    parts = [run(to_input(chunk, inspector.device)).float().cpu() for chunk in images.split(EVALUATION_BATCH)]
    return torch.cat(parts)


def _joined(real: LabelledImages, synthetic: LabelledImages | None, inspector: Inspector) -> tuple[Tensor, Tensor]:
    parts = [real] if synthetic is None else [real, synthetic]
    images = torch.cat([part.images for part in parts]).to(inspector.device)
    labels = torch.cat([part.labels for part in parts]).to(inspector.device)
    if len(images) < 2:
        raise DatasetError(f"inspector: {len(images)} training images; at least 2 are needed")
    if not 0 <= int(labels.min()) <= int(labels.max()) < inspector.num_classes:
        raise DatasetError(f"inspector: labels from {int(labels.min())} to {int(labels.max())}, expected 0 to {inspector.num_classes - 1}")
    return images, labels


def _weight_groups(network: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Decays convolutions and linear layers, leaves biases and norms alone."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    rest = [p for p in network.parameters() if p.ndim <= 1]
    return [{"params": weights, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]


def _match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Gives the loaded moments the memory layout of their weights: the fused step reads both in the order of memory."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim > 0:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _step(
    inspector: Inspector, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, generator: torch.Generator, precision: str
) -> Tensor:
    x = to_input(images, inspector.device)
    x = augment(x, inspector.config.augment, generator).contiguous(memory_format=torch.channels_last)
    kind = torch.device(inspector.device).type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16" and (kind != "cpu" or inspector.network.bf16_on_cpu)):
        logits = inspector.network(x)
    loss = F.cross_entropy(logits.float(), labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def _finite_mean(losses: list[Tensor], step: int) -> float:
    loss = float(torch.stack(losses).mean())
    if not math.isfinite(loss):
        raise TrialFailure("diverged", f"inspector: the loss is not finite by step {step}")
    return loss


class _Schedule:
    """Which images and which learning rate each step has, from the labels and the seed alone."""

    def __init__(self, labels: np.ndarray, config: Config, seed: int) -> None:
        self.config = config
        self.seed = seed
        self.by_class = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        sizes = [len(members) for members in self.by_class]
        self.each = {"none": None, "oversample": max(sizes), "undersample": min(sizes)}[config.balance]
        self.epoch_size = len(labels) if self.each is None else self.each * len(sizes)
        self.batch_size = min(config.batch, self.epoch_size)
        self.steps = max(config.min_steps, math.ceil(config.epochs * self.epoch_size / self.batch_size), 1)
        self._known: dict[int, Tensor] = {}

    def lr(self, step: int) -> float:
        """Falls from `lr` to nothing along half a cosine: the last weights are the ones that are used."""
        return self.config.lr * 0.5 * (1.0 + math.cos(math.pi * step / self.steps))

    def batch(self, step: int) -> Tensor:
        """Gives the indices of one step's images; batches run on across the ends of epochs, so that all are full."""
        start = step * self.batch_size
        first, offset = divmod(start, self.epoch_size)
        order = self._epoch(first)
        chosen = order[offset : offset + self.batch_size]
        if len(chosen) < self.batch_size:
            chosen = torch.cat([chosen, self._epoch(first + 1)[: self.batch_size - len(chosen)]])
        return chosen

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._known:
            rng = np.random.default_rng(child_seed(self.seed, "epoch", epoch))
            members = self.by_class if self.each is None else [_spread(rng, part, self.each) for part in self.by_class]
            order = rng.permutation(np.concatenate(members))
            self._known = {key: value for key, value in self._known.items() if key == epoch - 1} | {epoch: torch.from_numpy(order)}
        return self._known[epoch]


def _spread(rng: np.random.Generator, members: np.ndarray, count: int) -> np.ndarray:
    """Draws `count` members, each as often as any other, give or take one."""
    rounds = math.ceil(count / len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)])[:count]
