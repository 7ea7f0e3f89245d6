"""Trains an inspector on images that stay on the device as uint8, and asks a trained one for logits and features. Called by `stage.py`.

Step s depends only on (settings, images, seed, s), never on what was drawn before: a training that goes on from its last checkpoint ends bit
for bit where an undisturbed one ends, on one device with the same number of threads.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainables.datasets.augmentation import augment, augment_with
from trainables.errors import DatasetError, TrialFailure
from trainables.inspectors import INSPECTORS
from trainables.inspectors.base import Config, InspectorNetwork, LabelledImages, SeededDropout, Shown
from trainables.inspectors.schedule import Schedule
from trainables.inspectors.selection import Selection
from trainables.progress import Progress
from trainables.recipe import InspectorPart
from trainables.registry import pick
from trainables.seeds import child_seed
from trainables.settings import from_plain

REPORT_EVERY_S = 2.0
EVALUATION_BATCH = 256
"""Most images that a trained inspector is shown at a time."""
EVALUATION_PIXELS = 2**20
"""Most pixels of these: 256 images at 64 px, 16 at 256 px, where 256 would take gigabytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspector:
    """A network with what is needed to use it."""

    kind: str
    network: InspectorNetwork
    config: Config
    size_px: int
    channels: int
    num_classes: int
    device: str

    @property
    def layout(self) -> torch.memory_format:
        """Order of weights and images in memory: channels last, unless the network is slower so on a CPU and runs on one."""
        first = torch.device(self.device).type == "cpu" and not self.network.channels_last_on_cpu
        return torch.contiguous_format if first else torch.channels_last


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
        network: InspectorNetwork = pick(INSPECTORS, kind, "inspector")(config, size_px=size_px, channels=channels, num_classes=num_classes)
    network.config = config
    inspector = Inspector(kind=kind, network=network, config=config, size_px=size_px, channels=channels, num_classes=num_classes, device=device)
    network.to(device=device).to(memory_format=inspector.layout).eval()
    return inspector


def to_input(images: Tensor, device: str, layout: torch.memory_format = torch.channels_last) -> Tensor:
    """Turns uint8 images (B, C, H, W) into floats in [-1, 1] on the device, in an order of memory."""
    return images.to(device).to(torch.float32).div_(127.5).sub_(1.0).contiguous(memory_format=layout)


def train(
    inspector: Inspector,
    *,
    real: LabelledImages,
    synthetic: LabelledImages | None = None,
    validation: LabelledImages | None = None,
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
        validation: the real validation split, for inspectors that keep their best epoch.
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
    shown = _joined(real, synthetic, inspector)
    network = inspector.network
    schedule = Schedule(shown.labels.cpu().numpy(), inspector.config, seed, real=len(real.labels))
    patience = network.patience if validation is not None and len(validation.labels) else None
    selection = None if patience is None else Selection(patience)
    optimizer = network.optimizer()
    step, seconds = 0, 0.0
    if resume is not None:
        network.load_state_dict(resume.state["network"])
        optimizer.load_state_dict(resume.state["optimizer"])
        _match_layout(optimizer)
        if selection is not None:
            selection.resume(resume.state["selection"])
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
        for group in optimizer.param_groups:
            group["lr"] = schedule.lr(step)
        losses.append(_step(inspector, optimizer, _taken(shown, schedule.batch(step)), schedule.share(step), generator, precision))
        step += 1
        now = time.monotonic()
        if now - reported >= REPORT_EVERY_S or step == schedule.steps:
            loss = _finite_mean(losses, step)
            losses.clear()
            yield Progress(stage="inspector", metrics={"loss": loss, "step": float(step), "share": step / schedule.steps})
            reported = time.monotonic()
        if selection is not None and validation is not None and step in schedule.ends:
            merit = _merit(inspector, validation)
            yield Progress(stage="inspector", metrics={"val_merit": merit, "step": float(step), "share": step / schedule.steps})
            if selection.offer(merit, step, network):
                break
        if save is not None and step < schedule.steps and now - saved >= save_every_s:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
            if selection is not None:
                state["selection"] = selection.state()
            save(Checkpoint(step=step, seconds=seconds + time.monotonic() - clock, state=state))
            saved = time.monotonic()
    network.eval()
    if selection is not None:
        selection.settle(network)
    if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
        raise TrialFailure("diverged", f"inspector {inspector.kind}: a weight is not finite after {step} steps")


def predict(inspector: Inspector, images: Tensor) -> dict[str, Tensor]:
    """Gives what an inspector says of uint8 images (N, C, H, W), on the CPU: the `predictions` of its network, one row an image."""

    def run(x: Tensor) -> dict[str, Tensor]:
        return inspector.network.predictions(inspector.network(x))

    parts = _evaluate(inspector, images, run)
    return {name: torch.cat([part[name].cpu() for part in parts]) for name in parts[0]}


def features(inspector: Inspector, images: Tensor) -> Tensor:
    """Gives what an inspector has found in uint8 images (N, C, H, W) just before it decides: (N, D) float32 on the CPU."""
    return torch.cat([part.float().cpu() for part in _evaluate(inspector, images, inspector.network.features)])


@torch.no_grad()
def _evaluate(inspector: Inspector, images: Tensor, run: Callable[[Tensor], Any]) -> list[Any]:
    assert not inspector.network.training
    some = max(1, min(EVALUATION_BATCH, EVALUATION_PIXELS // (images.shape[-2] * images.shape[-1])))
    return [run(to_input(chunk, inspector.device, inspector.layout)) for chunk in images.split(some)]


def _merit(inspector: Inspector, validation: LabelledImages) -> float:
    """Asks an inspector in training how good it is, and leaves it in training."""
    inspector.network.eval()
    merit = inspector.network.merit(predict(inspector, validation.images), validation)
    inspector.network.train()
    return merit


def _joined(real: LabelledImages, synthetic: LabelledImages | None, inspector: Inspector) -> Shown:
    """Puts all training images on the device, as uint8 and in one piece, real ones first."""
    parts = [real] if synthetic is None else [real, synthetic]
    images = torch.cat([part.images for part in parts]).to(inspector.device)
    labels = torch.cat([part.labels for part in parts]).to(inspector.device)
    if len(images) < 2:
        raise DatasetError(f"inspector: {len(images)} training images; at least 2 are needed")
    inspector.network.check(labels, inspector.num_classes)
    planes = marked = None
    if all(part.masks is not None and part.marked is not None for part in parts):
        marked = torch.cat([part.marked for part in parts if part.marked is not None])
        planes = inspector.network.planes(torch.cat([part.masks for part in parts if part.masks is not None]), labels.cpu(), marked)
    weight = inspector.config.synthetic_weight
    weights = None
    if synthetic is not None and weight != 1.0:
        weights = torch.cat([torch.full((len(part.labels),), 1.0 if part is real else weight) for part in parts]).to(inspector.device)
    return Shown(
        images=images,
        labels=labels,
        planes=planes.to(inspector.device) if planes is not None else None,
        marked=marked.to(inspector.device) if marked is not None else None,
        weights=weights,
    )


def _taken(shown: Shown, rows: Tensor) -> Shown:
    """Takes the rows of one step."""
    rows = rows.to(shown.images.device)
    others = {name: None if (value := getattr(shown, name)) is None else value[rows] for name in ("planes", "marked", "weights")}
    return Shown(images=shown.images[rows], labels=shown.labels[rows], **others)


def _match_layout(optimizer: torch.optim.Optimizer) -> None:
    """Gives the loaded moments the memory layout of their weights: the fused step reads both in the order of memory."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim > 0:
                state[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _step(inspector: Inspector, optimizer: torch.optim.Optimizer, taken: Shown, share: float, generator: torch.Generator, precision: str) -> Tensor:
    x, planes = to_input(taken.images, inspector.device, inspector.layout), taken.planes
    if planes is None:
        x = augment(x, inspector.config.augment, generator)
    else:
        x, planes = augment_with(x, planes, inspector.config.augment, generator)
    x = x.contiguous(memory_format=inspector.layout)
    kind = torch.device(inspector.device).type
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16" and (kind != "cpu" or inspector.network.bf16_on_cpu)):
        said = inspector.network(x)
    loss = inspector.network.loss(said, replace(taken, images=x, planes=planes), share)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def _finite_mean(losses: list[Tensor], step: int) -> float:
    loss = float(torch.stack(losses).mean())
    if not math.isfinite(loss):
        raise TrialFailure("diverged", f"inspector: the loss is not finite by step {step}")
    return loss
