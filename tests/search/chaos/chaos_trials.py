"""Trials that use a store as real ones do, marks, checkpoints, rungs and all, and compute next to nothing: content is a function of its key."""

import json
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import faulty

from search.runs.lease import process_birth
from trainables.errors import TrialFailure
from trainables.progress import Progress, Scores, StageUse
from trainables.recipe import Recipe
from trainables.seeds import child_seed
from trainables.store import Entry, Store, stage_key

if "CHAOS_NOTES" in os.environ:  # In a life of the study, and not where a test asks what a trial gives.
    faulty.install()

STEPS = 3
"""Steps of a training, each with a checkpoint."""
REPEATS = 600
"""Length of what is published, in keys."""


def run(recipe: Recipe, store: Store, *, device: str, threads: int) -> Iterator[Progress | Scores]:
    """Trains generators and inspectors in name, and scores them by a formula."""
    _report_for_work()
    yield Progress(stage="data")
    plain = recipe.to_plain()
    units: list[dict[str, float | None]] = []
    stages: list[StageUse] = []
    rungs: dict[str, float | None] = {}
    for position, unit in enumerate(recipe.units):
        quality, weights = 0.0, b""
        if recipe.generator is not None:
            part = plain["generator"]
            key = stage_key("generator", version=1, settings=part["settings"] | {"family": part["family"]}, seed=child_seed(unit.generator, "g"))
            if _number(key) > 0.85:
                raise TrialFailure("diverged", "the loss is not a finite number")
            for mark in sorted({*recipe.rungs, recipe.generator.kimg}):
                entry, use = yield from _stage(store, f"generator/{key}", f"{round(1000 * mark):08d}", position, "generator", mark)
                stages.append(use)
                quality = _number(key) * (1.0 - 0.4 / (1.0 + mark))
                if mark in recipe.rungs:
                    rungs[f"{mark:g}"] = 1.0 - quality
                    yield Progress(
                        unit=position, stage="rung", kimg=mark, rung_score=1.0 - quality, metrics={"synthetic_images": 8.0}, stages=[*stages]
                    )
            weights = entry.read("weights.bin")
            assert weights == _weights(entry.key) and store.keys(entry.stage)[-1] >= entry.key
        settings = {"inspector": plain["inspector"], "synthesis": plain["synthesis"], "weights": weights[:64].hex(), "baseline": plain.get("balance")}
        key = stage_key("inspector", version=1, settings=settings, inputs=[use.key for use in stages], seed=child_seed(unit.inspector, "i"))
        entry, use = yield from _stage(store, "inspector", key, position, "inspector", None)
        assert entry.local_path("weights.bin").read_bytes() == _weights(key)
        stages.append(use)
        accuracy = 0.4 + 0.2 * _number(key) + 0.3 * quality
        kid = None if recipe.generator is None else 1.0 - quality
        units.append({"val_accuracy": accuracy, "val_kid_random": kid, "test_accuracy": accuracy - 0.01 if recipe.judge else None})
    means = {name: _mean([unit[name] for unit in units]) for name in units[0]}
    files = {"note.bin": {"stage": "inspector", "key": stages[-1].key, "file": "weights.bin"}}
    yield Scores(
        values=means,
        units=units,
        confusion={},
        classes=["a", "b"],
        conditions={"extractor": "random"},
        stages=stages,
        rungs=rungs,
        files=files,
    )


def _stage(store: Store, stage: str, key: str, unit: int, name: str, kimg: float | None) -> Generator[Progress, None, tuple[Entry, StageUse]]:
    """Finds a result, or makes it step by step from the latest checkpoint and publishes it."""
    entry = store.lookup(stage, key)
    reused = entry is not None
    if entry is None:
        scratch = f"{stage}-{key}".replace("/", "-")
        before = store.read_scratch(scratch)
        state = json.loads(before) if before is not None else {"key": key, "step": 0}
        assert state["key"] == key, "a checkpoint is that of its stage"
        for step in range(state["step"], STEPS):
            time.sleep(float(os.environ.get("CHAOS_PAUSE_S", "0")))
            store.write_scratch(scratch, json.dumps({"key": key, "step": step + 1}).encode())
            yield Progress(unit=unit, stage=name, kimg=kimg, metrics={"step": float(step)})
        entry = store.publish(stage, key, {"weights.bin": _weights(key), "told.json": b"{}"}, {"seconds": 1.0 + 3.0 * _number(key)})
        store.drop_scratch(scratch)
    full = f"{stage.removeprefix('generator/')}/{key}" if name == "generator" else key
    return entry, StageUse(unit=unit, stage=name, key=full, reused=reused, seconds=float(entry.info["seconds"]), device="cpu")


def _weights(key: str) -> bytes:
    return key.encode() * REPEATS


def _number(key: str) -> float:
    return int(stage_key("number", version=1, settings={"key": key})[:8], 16) / 2**32


def _mean(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _report_for_work() -> None:
    """Says which process this is, and when it was born, so that it can be killed by its own number and no other process is."""
    folder = Path(os.environ["CHAOS_NOTES"]) / "workers"
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).write_text(process_birth(os.getpid()) or "", encoding="utf-8")
