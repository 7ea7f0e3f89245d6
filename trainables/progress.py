"""What a running trial says: `Progress` while it works, `Scores` at its end. Plain data, so that any process may carry it."""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

DIAGNOSTICS = "diagnostics"
"""Stage of what is trained to look at synthetic images, and not for the trial's scores: it counts for no cost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A sign of life from a stage."""

    unit: int = 0
    """Position of the unit in the recipe."""
    stage: str
    """Stage at work: data, conditioning, generator, rung, pool, inspector, scores."""
    kimg: float | None = None
    """Thousands of images shown so far, where the stage counts them."""
    rung_score: float | None = None
    """Score at a rung, lower is better; null between rungs."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Losses and other numbers of this moment."""
    stages: "list[StageUse]" = field(default_factory=list)
    """At a rung, all stages that the trial has met so far: what it has cost, should it be stopped there."""


T = TypeVar("T")


def stamped(work: Generator[Progress, None, T], **changes: Any) -> Generator[Progress, None, T]:
    """Does the work, and tells its progress with some fields changed: whose it is."""
    try:
        while True:
            try:
                progress = next(work)
            except StopIteration as end:
                result: T = end.value
                return result
            yield replace(progress, **changes)
    finally:
        work.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class StageUse:
    """One stage as one trial met it: a row of `stages.parquet`."""

    unit: int
    stage: str
    cls: str | None = None
    """Class of a per-class child stage."""
    key: str
    reused: bool
    """True where the result was found under its key, False where this trial made it."""
    seconds: float
    """What making it took, here or by whoever made it first."""
    device: str
    peak_memory_gib: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The end of a trial."""

    values: dict[str, float | None]
    """Mean over units by score name (`val_accuracy`, `val_kid_inspector`, `generator_params_m`, ...); null where it has no meaning."""
    units: list[dict[str, float | None]]
    """The same for each unit."""
    confusion: dict[str, list[list[int]]]
    """Split name -> confusion matrix, rows are true classes, summed over units."""
    classes: list[str]
    curves: dict[str, list[list[float | None]]] = field(default_factory=dict)
    """Robustness score -> for each unit, the task's first score at severities 0 (images as they are) to 5."""
    rungs: dict[str, float | None] = field(default_factory=dict)
    """Mark in kimg, as text -> the first unit's rung score there, lower is better; null where it has none."""
    health: dict[str, str] = field(default_factory=dict)
    """What looks wrong about the trial, though it has ended well: low_diversity, saturated or memorised, each in a sentence."""
    conditions: dict[str, str | int | float]
    """What the numbers hold for: extractor, its hash, sample counts, protocol, precision."""
    stages: list[StageUse]
    unit_conditions: list[dict[str, Any]] = field(default_factory=list)
    """What each unit's numbers hold for beside `conditions`: in task zero_shot, its unseen classes and the images that it was trained on."""
    stored_bytes: int | None = None
    """What the attempt published in the store; set by whoever runs it."""
    samples: dict[str, str | int | list[str]] | None = None
    """Where the contact sheet lies (stage, key, file) and how it is laid out; null for a trial without synthetic images."""
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """What else belongs into the trial's folder: file name -> where it lies in the store (stage, key, file)."""
