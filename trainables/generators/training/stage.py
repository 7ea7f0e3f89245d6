"""The generator stage: trains a family to a mark, or finds that mark in the store. Called by `trainables.trial`.

What is stored is marks: `generator/<generator key>/<steps>`, where the generator key leaves the mark out, so that a later mark continues from the
latest earlier one. A mark holds `state.safetensors` (everything that continues the training) and `ema.safetensors` (what draws images).
"""

import dataclasses
import json
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

import torch

from trainables.checkpoints import state_from_bytes, state_to_bytes
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Subject, TrainingData
from trainables.generators.training.loop import CHECKPOINT_EVERY_S, LOOP_VERSION, REPORT_EVERY_S, steps_for, train
from trainables.health import CRITIC_MARGIN, DIVERSITY
from trainables.progress import Progress
from trainables.recipe import ConditioningPart, GeneratorPart
from trainables.registry import pick
from trainables.scores.costs import PeakMemory
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
    health: Mapping[str, float]
    """What its last step told that `health` reads."""
    drawing_runs: int
    """As the model says it, under this trial's `sampling_settings`; whoever trained it may have had others."""
    inputs: tuple[str, ...] = ()
    """Keys of what its data came from, as they went into its own."""

    @property
    def costs(self) -> dict[str, float]:
        """Costs by their score names, as they were measured by whoever trained it; `generator_s` counts from the first step, over all marks."""
        drawn = {name: self.drawing_runs * self.entry.info["costs"][name] for name in ("generator_gmadds", "generator_ms_per_image")}
        return {**self.entry.info["costs"], **drawn}


def resolve(part: GeneratorPart) -> tuple[type[GeneratorModel], Any]:
    """Gives the family's class and its complete settings.

    Raises:
        SettingsError: no such family or setting, a value out of range, a mark that is not above 0 or lies beyond the schedule's horizon.
    """
    family, config = _family(part)
    if (text := mark_problem(part, config)) is not None:
        raise SettingsError(f"generator.kimg: {text}")
    return family, config


def mark_problem(part: GeneratorPart, config: Any) -> str | None:
    """Says what is wrong with a mark under the family's complete settings; None where nothing is."""
    if not part.kimg > 0:
        return f"a mark of {part.kimg:g} is not above 0"
    horizon = getattr(config, "horizon", None)
    if horizon is None or part.kimg <= horizon:
        return None
    name = f"generator.{part.family}"
    cure = f"lower the mark to that, or raise {name}.horizon_kimg to at least {part.kimg:g}"
    return f"{part.kimg:g} kimg lies beyond the learning rate's horizon: {name}'s schedule may end at {horizon:g}; {cure}"


def _family(part: GeneratorPart) -> tuple[type[GeneratorModel], Any]:
    """As `resolve`, whatever the mark: a mark that was reached lies on a whole period, a little beyond the one that was asked for."""
    family: type[GeneratorModel] = pick(GENERATORS, part.family, "generator family")
    config: Any = from_plain(family.Config, part.settings, where=f"generator.{part.family}")
    return family, config


def makes_features(part: GeneratorPart | None) -> bool:
    """Says whether a generator makes features rather than images.

    Raises:
        SettingsError: no such family.
    """
    return part is not None and pick(GENERATORS, part.family, "generator family").makes == "features"


def told_by(part: GeneratorPart) -> ConditioningPart:
    """Says how a generator is told the class: as its part says, else as its family does; by one-hot vectors wherever that has no meaning.

    Raises:
        SettingsError: no such family or setting.
    """
    family, config = _family(part)
    if config.class_mode != "conditional" or not family.takes_vectors:
        return ConditioningPart()
    return part.conditioning or ConditioningPart(kind=family.conditioning)


def build(part: GeneratorPart, subject: Subject, *, device: str = "cpu", precision: str = "fp32", seed: int = 0) -> GeneratorModel:
    """Builds the untrained model of a generator part; arguments as `GeneratorModel` takes them.

    Raises:
        SettingsError: no such family or setting, or a size the family cannot be built for.
    """
    family, config = _family(part)
    return family(config, subject, device=device, precision=precision, seed=seed)


def generator_key(part: GeneratorPart, subject: Subject, *, inputs: Sequence[str], cls: str | None, precision: str, seed: int) -> str:
    """Names a training, whatever its mark and however images are drawn from it.

    Args:
        part: family and settings.
        subject: what it makes; its class vectors are named by the key of what made them, among the inputs.
        inputs: keys of what the data came from.
        cls: name of the one class, where there is a model for each.
        precision: fp32 or bf16.
        seed: the stage's seed.
    """
    family, config = resolve(part)
    settings = {
        "family": part.family,
        "settings": {name: value for name, value in to_plain(config).items() if name not in (*family.sampling_settings, *family.head_settings)},
        "class": cls,
        "shape": list(subject.shape),
        "num_classes": subject.num_classes,
        "precision": precision,
        "background_label": subject.background_label if family.needs_backgrounds or family.uses_backgrounds else None,
    }
    return stage_key("generator", version=1000 * LOOP_VERSION + family.VERSION, settings=settings, inputs=inputs, seed=seed)


def train_to_mark(
    part: GeneratorPart,
    *,
    data: TrainingData,
    inputs: Sequence[str],
    cls: str | None,
    seed: int,
    precision: str,
    device: str,
    store: Store,
    formerly: Sequence[str] | None = None,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
    report_every_s: float = REPORT_EVERY_S,
) -> Generator[Progress, None, MarkEntry]:
    """Finds a mark, or trains to it from the latest earlier one or from the checkpoint of an interrupted training.

    Args:
        part: family, settings and mark.
        data: what to train on; `TrainingData.only(label)` for a model of one class.
        inputs: keys of what the data came from: pack, split, backgrounds, class vectors.
        cls: name of the one class, where there is a model for each.
        seed: the stage's seed.
        precision: fp32 or bf16.
        device: where to train.
        store: where marks and checkpoints lie.
        formerly: other keys of the very same data, by which an older store may know the training: where it has a mark under them, that training is
            found, or continued.
        checkpoint_every_s: seconds between checkpoints.
        report_every_s: seconds between reports.

    Yields:
        Progress, about every `report_every_s` seconds.

    Returns:
        The mark.

    Raises:
        SettingsError: settings that cannot be used.
        TrialFailure: the training diverged or collapsed.
        StoreError: the store cannot be read or written.
    """
    subject = data.subject
    key = generator_key(part, subject, inputs=inputs, cls=cls, precision=precision, seed=seed)
    if formerly is not None:
        older = generator_key(part, subject, inputs=formerly, cls=cls, precision=precision, seed=seed)
        if store.keys(f"generator/{older}"):
            key, inputs = older, formerly
    model = build(part, subject, device=device, precision=precision, seed=seed)
    stage, stop_step = f"generator/{key}", steps_for(model, part.kimg)
    mark = f"{stop_step:08d}"
    if (entry := store.lookup(stage, mark)) is not None:
        return _mark(entry, model, inputs, reused=True)
    scratch = f"generator-{key}-{mark}"
    restored = _restore(model, store, stage, mark, scratch)
    memory = PeakMemory(device)
    begun = time.monotonic()
    health: dict[str, float] = {}

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
        health = {name: progress.metrics[name] for name in (DIVERSITY, CRITIC_MARGIN) if name in progress.metrics}
        yield progress
    seconds = restored.seconds + time.monotonic() - begun
    costs = {
        "generator_params_m": model.parameters_m(),
        **model.drawing_costs(),
        "generator_s": restored.seconds_before + seconds,
        "generator_peak_memory_gib": memory.gib,
    }
    info = {
        "seconds": seconds,
        "device": device,
        "peak_memory_gib": memory.gib,
        "costs": costs,
        "health": health,
        "steps": stop_step,
        "kimg": stop_step * model.images_per_step / 1000,
        "family": part.family,
        "settings": to_plain(model.config),
        "class": cls,
        "precision": precision,
        "seed": seed,
        "shape": list(subject.shape),
        "num_classes": subject.num_classes,
        "background_label": subject.background_label,
        "class_vector_length": None if subject.class_vectors is None else subject.class_vectors.shape[1],
    }
    files = {"ema.safetensors": state_to_bytes(model.sampler_state()), "state.safetensors": state_to_bytes(model.state())}
    entry = store.publish(stage, mark, files, json.loads(json.dumps(info)))
    store.drop_scratch(scratch)
    return _mark(entry, model, inputs, reused=False)


def load_sampler(entry: Entry, *, settings: Mapping[str, Any] | None = None, device: str = "cpu") -> GeneratorModel:
    """Loads a mark to draw images from: `sample` works, training does not continue from it.

    Args:
        entry: the mark.
        settings: settings that decide how images are drawn, where they are not those that the mark was trained under.
        device: where to draw.

    Raises:
        StoreError: the mark is damaged.
        SettingsError: the mark is of a family that is not there.
    """
    info: Mapping[str, Any] = entry.info
    part = GeneratorPart(family=info["family"], settings={**info["settings"], **(settings or {})}, kimg=info["kimg"])
    length = info["class_vector_length"]
    subject = Subject(
        shape=tuple(info["shape"]),
        num_classes=info["num_classes"],
        background_label=info["background_label"],
        # Their values are in the state; only how many there are decides how the networks are built.
        class_vectors=torch.ones(info["num_classes"], length) if length is not None else None,
    )
    model = build(part, subject, device=device, precision=info["precision"], seed=info["seed"])
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


def _mark(entry: Entry, model: GeneratorModel, inputs: Sequence[str], *, reused: bool) -> MarkEntry:
    generator = entry.stage.removeprefix("generator/")
    return MarkEntry(
        key=f"{generator}/{entry.key}",
        entry=entry,
        reused=reused,
        seconds=entry.info["seconds"],
        peak_memory_gib=entry.info["peak_memory_gib"],
        health=entry.info.get("health", {}),
        drawing_runs=model.drawing_runs,
        inputs=tuple(inputs),
    )
