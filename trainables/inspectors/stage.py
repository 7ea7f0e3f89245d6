"""The inspector stages: train one, or find it ready under its key; read what it says of the validation split; and, once a study, of the test split.

The key of a trained inspector leaves out whether it will be judged: confirmation reads the test split as a stage of its own, `test_predictions`.
Called by `trainables.trial`.
"""

import json
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.datasets.packs import content_hash
from trainables.errors import SettingsError
from trainables.inspectors import FILES, INSPECTORS
from trainables.inspectors.base import TARGETS, InspectorNetwork, LabelledImages
from trainables.inspectors.earlier_classes import carry_over
from trainables.inspectors.local_weights import CLASSES, put, read_classes, read_weights
from trainables.inspectors.training import Checkpoint, Inspector, build, predict, read_config, train
from trainables.progress import Progress
from trainables.recipe import InspectorPart
from trainables.registry import pick
from trainables.scores.costs import PeakMemory, ms_per_image, multiply_adds_g, parameters_m
from trainables.seeds import child_seed
from trainables.settings import from_plain, to_plain
from trainables.store import Entry, Store, stage_key

VERSION = 1
"""Version of the training loop and of what is published; part of every key of these stages."""

STAGE = "inspector"
TEST_STAGE = "test_predictions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """A trained inspector in the store."""

    key: str
    entry: Entry
    reused: bool
    """True where it was found ready."""

    @property
    def costs(self) -> dict[str, float]:
        """Costs by their score names, as they were measured by whoever trained it."""
        return dict(self.entry.info["costs"])


def inspector_key(part: InspectorPart, *, inputs: Sequence[str], size_px: int, channels: int, num_classes: int, precision: str, seed: int) -> str:
    """Names a trained inspector by everything that decides it.

    Args:
        part: kind and settings.
        inputs: keys of the split, and of the synthetic images with their number where there are any.
        size_px: side of the images.
        channels: 1 or 3.
        num_classes: number of classes.
        precision: fp32 or bf16.
        seed: seed of this stage.
    """
    settings = {
        "kind": part.kind,
        "config": _deciding(to_plain(read_config(part))),
        "size_px": size_px,
        "channels": channels,
        "num_classes": num_classes,
        "precision": precision,
    }
    return stage_key(STAGE, version=1000 * VERSION + pick(INSPECTORS, part.kind, "inspector").VERSION, settings=settings, inputs=inputs, seed=seed)


def _deciding(config: dict[str, Any]) -> dict[str, Any]:
    """Keeps the settings that decide what is trained, with files of weights named by their content, wherever they lie.

    Raises:
        DatasetError: one cannot be read.
    """
    kept = {name: value for name, value in config.items() if name not in TARGETS}
    return {name: content_hash(Path(value).expanduser()) if name in FILES and value is not None else value for name, value in kept.items()}


def inspect(
    part: InspectorPart,
    *,
    real: LabelledImages,
    synthetic: LabelledImages | None,
    validation: LabelledImages,
    inputs: Sequence[str],
    num_classes: int,
    seed: int,
    precision: str,
    device: str,
    store: Store,
    classes: Sequence[str] = (),
    save_every_s: float = 120.0,
) -> Generator[Progress, None, Inspected]:
    """Trains an inspector and publishes it with what it says of the validation split, or finds it under its key.

    Args:
        part: kind and settings.
        real: the real training split; its images also tell size and channels.
        synthetic: accepted synthetic images, none for a baseline.
        validation: the real validation split.
        inputs: keys of what the images come from, as for `inspector_key`.
        num_classes: number of classes.
        seed: seed of this stage.
        precision: fp32 or bf16.
        device: where to train.
        store: where results are kept.
        classes: what the outputs stand for, kept with the weights; empty where an output stands for no class.
        save_every_s: seconds between rolling checkpoints.

    Yields:
        Progress of stage `inspector`; nothing where it is found ready.

    Returns:
        The entry; its `files` are weights.safetensors and val.safetensors.

    Raises:
        TrialFailure: the training diverged.
        DatasetError: labels outside of the classes, or no images.
    """
    channels, size_px = real.images.shape[1], real.images.shape[-1]
    key = inspector_key(part, inputs=inputs, size_px=size_px, channels=channels, num_classes=num_classes, precision=precision, seed=seed)
    if (entry := store.lookup(STAGE, key)) is not None:
        return Inspected(key=key, entry=entry, reused=True)
    started = time.monotonic()
    config = read_config(part)
    shape = {"size_px": size_px, "channels": channels, "num_classes": num_classes}
    inspector = build(part.kind, config, **shape, device=device, seed=child_seed(seed, "weights"))
    inspector.network.begin()
    if config.start_from is not None:
        _start(inspector.network, config.start_from, classes)
    scratch = f"{STAGE}-{key}.safetensors"
    resume = _read_checkpoint(store.read_scratch(scratch))
    memory = PeakMemory(device)

    def keep(checkpoint: Checkpoint) -> None:
        plain = {"step": checkpoint.step, "seconds": checkpoint.seconds, "state": checkpoint.state}
        store.write_scratch(scratch, state_to_bytes(plain))

    training = train(
        inspector,
        real=real,
        synthetic=synthetic,
        validation=validation,
        seed=child_seed(seed, "order"),
        precision=precision,
        resume=resume,
        save=keep,
        save_every_s=save_every_s,
    )
    for progress in training:
        memory.sample()
        yield progress
    seconds = (resume.seconds if resume is not None else 0.0) + time.monotonic() - started
    files = {"weights.safetensors": _pack(inspector.network.state_dict(), classes), "val.safetensors": _packed_predictions(inspector, validation)}
    memory.sample()
    costs = {
        "inspector_params_m": parameters_m(inspector.network),
        "inspector_gmadds": multiply_adds_g(inspector.network, (channels, size_px, size_px), device),
        "inspector_ms_per_image": ms_per_image(inspector.network, (channels, size_px, size_px), device),
        "inspector_s": seconds,
        "inspector_peak_memory_gib": memory.gib,
    }
    info = {
        "kind": part.kind,
        "config": to_plain(config),
        **shape,
        "precision": precision,
        "seconds": seconds,
        "device": device,
        "peak_memory_gib": memory.gib,
        "costs": costs,
    }
    entry = store.publish(STAGE, key, files, info)
    store.drop_scratch(scratch)
    return Inspected(key=key, entry=entry, reused=False)


def load_inspector(entry: Entry, device: str) -> Inspector:
    """Loads a trained inspector, ready to `predict` or to give `features`."""
    info = entry.info
    config = from_plain(pick(INSPECTORS, info["kind"], "inspector").Config, info["config"])
    shape = {name: info[name] for name in ("size_px", "channels", "num_classes")}
    inspector = build(info["kind"], config, **shape, device=device, seed=0)
    inspector.network.load_state_dict(load(entry.read("weights.safetensors")))
    return inspector


def read_predictions(entry: Entry) -> dict[str, Tensor]:
    """Reads what an inspector said, with what was known of the images, one row an image: what `predict` gives, `labels`, `masks` and `marked`."""
    (name,) = [name for name in entry.files if name in ("val.safetensors", "test.safetensors")]
    return load(entry.read(name))


def judge(inspector: Entry, *, test: LabelledImages, inputs: Sequence[str], device: str, store: Store, stage: str = TEST_STAGE) -> Inspected:
    """Lets a trained inspector see images that it was neither trained nor validated on, once: published as a stage of its own.

    Args:
        inspector: the published inspector.
        test: the real test split, or what a stage of another name asks about.
        inputs: keys of where the images come from.
        device: where to compute.
        store: where results are kept.
        stage: name of the stage.
    """
    key = stage_key(stage, version=VERSION, settings={}, inputs=[inspector.key, *inputs])
    if (entry := store.lookup(stage, key)) is not None:
        return Inspected(key=key, entry=entry, reused=True)
    started = time.monotonic()
    files = {"test.safetensors": _packed_predictions(load_inspector(inspector, device), test)}
    info = {"seconds": time.monotonic() - started, "device": device, "costs": {}}
    return Inspected(key=key, entry=store.publish(stage, key, files, info), reused=False)


def answer(inspector: Inspector, known: LabelledImages) -> dict[str, Tensor]:
    """Gives what an inspector says of images, with what is known of them: what `read_predictions` reads back."""
    found = predict(inspector, known.images) | {"labels": known.labels.cpu().to(torch.int64)}
    if known.masks is not None and known.marked is not None:
        found |= {"masks": known.masks, "marked": known.marked}
    return found


def _packed_predictions(inspector: Inspector, known: LabelledImages) -> bytes:
    return save({name: value.contiguous() for name, value in answer(inspector, known).items()})


def _start(network: InspectorNetwork, path: str, classes: Sequence[str]) -> None:
    """Begins with the weights of an earlier inspector.

    Raises:
        SettingsError: they cannot be read, do not fit, or are of other classes altogether.
    """
    where = f"start_from: {path}"
    try:
        weights = carry_over(read_weights(path), read_classes(path), network, classes)
    except SettingsError as error:
        raise SettingsError(str(error) if path in str(error) else f"{where}: {error}") from error
    put(network, weights, where)


def _pack(state: dict[str, Any], classes: Sequence[str]) -> bytes:
    """Writes weights, with the classes that the outputs stand for in the header."""
    tensors = {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in state.items()}
    return save(tensors, metadata={CLASSES: json.dumps(list(classes))} if classes else None)


def _read_checkpoint(data: bytes | None) -> Checkpoint | None:
    return None if data is None else Checkpoint(**state_from_bytes(data))
