"""The generator stage: trains a family to a mark, or finds that mark in the store. Called by `trainables.trial`.

What is stored is marks: `generator/<generator key>/<steps>`, where the generator key leaves the mark out, so that a later mark continues from the
latest earlier one. A mark holds `state.safetensors` (everything that continues the training) and `ema.safetensors` (what draws images).
"""

import dataclasses
import json
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.generators.loop import CHECKPOINT_EVERY_S, LOOP_VERSION, REPORT_EVERY_S, TrainingImages, steps_for, train
from trainables.generators.model import GeneratorModel
from trainables.progress import Progress
from trainables.recipe import GeneratorPart
from trainables.registry import pick
from trainables.scores.costs import PeakMemory, ms_per_image, multiply_adds_g
from trainables.settings import from_plain, to_plain
from trainables.store import Entry, Store, stage_key


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MarkEntry:
    """A mark, as one trial met it."""

    key: str
    """Names the mark and all that decides it: `<generator key>/<steps>`. The key of whatever is made from it."""
    entry: Entry
    """The published result."""
    reused: bool
    """True where it was found, False where this call trained it."""
    seconds: float
    """What training from the mark before it took, here or by whoever made it first."""
    peak_memory_gib: float | None
    """Highest use of memory while it was made."""

    @property
    def costs(self) -> dict[str, float]:
        """Costs by their score names, as they were measured by whoever trained it; `generator_s` counts from the first step, over all marks."""
        return dict(self.entry.info["costs"])


def resolve(part: GeneratorPart) -> tuple[type[GeneratorModel], Any]:
    """Gives the family's class and its complete settings.

    Raises:
        SettingsError: no such family or setting, a value out of range, a mark that is not above 0 or lies beyond the schedule's horizon.
    """
    family, config = _family(part)
    if not part.kimg > 0:
        raise SettingsError(f"generator.kimg: a mark of {part.kimg} is not above 0")
    horizon = getattr(config, "horizon", None)
    if horizon is not None and part.kimg > horizon:
        raise SettingsError(
            f"generator.kimg: the mark {part.kimg:g} lies beyond the learning rate's horizon of {horizon:g} kimg.\n"
            f"  Raise generator.{part.family}.horizon_kimg, or lower the mark."
        )
    return family, config


def _family(part: GeneratorPart) -> tuple[type[GeneratorModel], Any]:
    """As `resolve`, whatever the mark: a mark that was reached lies on a whole period, a little beyond the one that was asked for."""
    family: type[GeneratorModel] = pick(GENERATORS, part.family, "generator family")
    config: Any = from_plain(family.Config, part.settings, where=f"generator.{part.family}")
    return family, config


def check(part: GeneratorPart, *, size_px: int, backgrounds: bool) -> None:
    """Refuses a generator that the data cannot serve, before anything is trained.

    Args:
        part: family, settings and mark.
        size_px: side of the images.
        backgrounds: whether the study has defect-free images to start from.

    Raises:
        SettingsError: what `resolve` raises, a size the family cannot be built for, or missing backgrounds.
    """
    family, _ = resolve(part)
    if size_px not in family.sizes_px:
        raise SettingsError(f"data.size_px: {part.family} cannot be built for {size_px} px; it can for {', '.join(map(str, family.sizes_px))}")
    if family.needs_backgrounds and not backgrounds:
        raise SettingsError(
            f"generator.family: {part.family} turns defect-free images into defects and the study has none.\n"
            "  Set data.backgrounds to folder or crops, or leave the family out."
        )


def build(
    part: GeneratorPart,
    *,
    size_px: int,
    channels: int,
    num_classes: int,
    device: str = "cpu",
    precision: str = "fp32",
    seed: int = 0,
    background_label: int | None = None,
) -> GeneratorModel:
    """Builds the untrained model of a generator part; arguments as `GeneratorModel` takes them.

    Raises:
        SettingsError: no such family or setting, or a size the family cannot be built for.
    """
    family, config = _family(part)
    return family(
        config,
        size_px=size_px,
        channels=channels,
        num_classes=num_classes,
        device=device,
        precision=precision,
        seed=seed,
        background_label=background_label,
    )


def generator_key(
    part: GeneratorPart,
    *,
    inputs: Sequence[str],
    cls: str | None,
    size_px: int,
    channels: int,
    num_classes: int,
    precision: str,
    seed: int,
    background_label: int | None = None,
) -> str:
    """Names a training, whatever its mark."""
    family, config = resolve(part)
    settings = {
        "family": part.family,
        "settings": to_plain(config),
        "class": cls,
        "size_px": size_px,
        "channels": channels,
        "num_classes": num_classes,
        "precision": precision,
        "background_label": background_label if family.needs_backgrounds else None,
    }
    return stage_key("generator", version=1000 * LOOP_VERSION + family.VERSION, settings=settings, inputs=inputs, seed=seed)


def train_to_mark(
    part: GeneratorPart,
    *,
    data: TrainingImages,
    inputs: Sequence[str],
    cls: str | None,
    size_px: int,
    channels: int,
    seed: int,
    precision: str,
    device: str,
    store: Store,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    report_every_s: float = REPORT_EVERY_S,
) -> Generator[Progress, None, MarkEntry]:
    """Finds a mark, or trains to it from the latest earlier one or from the checkpoint of an interrupted training.

    Args:
        part: family, settings and mark.
        data: what to train on; `TrainingImages.only(label)` for a model of one class.
        inputs: keys of what the data came from: pack, split, backgrounds.
        cls: name of the one class, where there is a model for each.
        size_px: side of the images.
        channels: 1 or 3.
        seed: the stage's seed.
        precision: fp32 or bf16.
        device: where to train.
        store: where marks and checkpoints lie.
        checkpoint_every_s: seconds between checkpoints.
        report_every_s: seconds between reports.

    Yields:
        Progress, about every `report_every_s` seconds.

    Returns:
        The mark.

    Raises:
        SettingsError: settings that cannot be used.
        TrialFailure: the training diverged.
        StoreError: the store cannot be read or written.
    """
    key = generator_key(
        part,
        inputs=inputs,
        cls=cls,
        size_px=size_px,
        channels=channels,
        num_classes=data.num_classes,
        precision=precision,
        seed=seed,
        background_label=data.background_label,
    )
    model = build(
        part,
        size_px=size_px,
        channels=channels,
        num_classes=data.num_classes,
        device=device,
        precision=precision,
        seed=seed,
        background_label=data.background_label,
    )
    stage, stop_step = f"generator/{key}", steps_for(model, part.kimg)
    mark = f"{stop_step:08d}"
    if (entry := store.lookup(stage, mark)) is not None:
        return _mark(entry, reused=True)
    scratch = f"generator-{key}-{mark}"
    restored = _restore(model, store, stage, mark, scratch)
    memory = PeakMemory(device)
    begun = time.monotonic()

    def checkpoint(step: int) -> None:
        state = {"step": step, "seconds": restored.seconds + time.monotonic() - begun, "model": model.state()}
        store.write_scratch(scratch, state_to_bytes(state))

    for progress in train(
        model,
        data,
        start_step=restored.step,
        stop_step=stop_step,
        seed=seed,
        checkpoint=checkpoint,
        checkpoint_every_s=checkpoint_every_s,
        report_every_s=report_every_s,
    ):
        memory.sample()
        yield progress
    seconds = restored.seconds + time.monotonic() - begun
    costs = {
        "generator_params_m": model.parameters_m(),
        "generator_gmadds": multiply_adds_g(*model.probe(), device),
        "generator_ms_per_image": ms_per_image(*model.probe(), device),
        "generator_s": restored.seconds_before + seconds,
        "generator_peak_memory_gib": memory.gib,
    }
    built = {"size_px": size_px, "channels": channels, "num_classes": data.num_classes, "background_label": data.background_label}
    info = {
        "seconds": seconds,
        "device": device,
        "peak_memory_gib": memory.gib,
        "costs": costs,
        "steps": stop_step,
        "kimg": stop_step * model.images_per_step / 1000,
        "family": part.family,
        "settings": to_plain(model.config),
        "class": cls,
        "precision": precision,
        "seed": seed,
        **built,
    }
    files = {"ema.safetensors": state_to_bytes(model.sampler_state()), "state.safetensors": state_to_bytes(model.state())}
    entry = store.publish(stage, mark, files, json.loads(json.dumps(info)))
    store.drop_scratch(scratch)
    return _mark(entry, reused=False)


def load_sampler(entry: Entry, *, device: str = "cpu") -> GeneratorModel:
    """Loads a mark to draw images from: `sample` works, training does not continue from it.

    Raises:
        StoreError: the mark is damaged.
        SettingsError: the mark is of a family that is not there.
    """
    info: Mapping[str, Any] = entry.info
    part = GeneratorPart(family=info["family"], settings=info["settings"], kimg=info["kimg"])
    names = ("size_px", "channels", "num_classes", "background_label", "precision", "seed")
    model = build(part, device=device, **{name: info[name] for name in names})
    model.load_sampler(state_from_bytes(entry.read("ema.safetensors")))
    return model


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Restored:
    """Where a training goes on."""

    step: int
    seconds: float
    """Already spent since the mark before."""
    seconds_before: float
    """Spent up to the mark before."""


def _restore(model: GeneratorModel, store: Store, stage: str, mark: str, scratch: str) -> Restored:
    """Loads the furthest state before a mark into the model."""
    earlier = [key for key in store.keys(stage) if key < mark]
    entry = store.lookup(stage, earlier[-1]) if earlier else None
    step = entry.info["steps"] if entry is not None else 0
    seconds_before = entry.info["costs"]["generator_s"] if entry is not None else 0.0
    if (data := store.read_scratch(scratch)) is not None:
        state = state_from_bytes(data)
        if state["step"] > step:
            model.load(state["model"])
            return Restored(step=state["step"], seconds=state["seconds"], seconds_before=seconds_before)
    if entry is not None:
        model.load(state_from_bytes(entry.read("state.safetensors")))
    return Restored(step=step, seconds=0.0, seconds_before=seconds_before)


def _mark(entry: Entry, *, reused: bool) -> MarkEntry:
    generator = entry.stage.removeprefix("generator/")
    return MarkEntry(
        key=f"{generator}/{entry.key}", entry=entry, reused=reused, seconds=entry.info["seconds"], peak_memory_gib=entry.info["peak_memory_gib"]
    )
