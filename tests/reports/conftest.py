"""A run that never was: records, sheets and tables as a real study writes them, from a seed, in a second."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reports.records import Asked, Record, trial_folder, write_json, write_record

CLASSES = ["crazing", "inclusion", "patches", "pitted", "rolled-in", "scratches"]
FAMILIES = ["dcgan", "lm_gan", "pe_gan", "wgan_gp"]
INSPECTORS = ["mobilenet_v2", "resnet18"]
START_S = 1_700_000_000.0
TILE_PX, GAP_PX, COLUMNS = 64, 2, 8
ROWS = ["real", "synthetic", "nearest"]


def make_run(
    folder: Path, *, trials: int = 36, gain: float = 0.03, seeds: int = 3, confirm: bool = True, seed: int = 0, pictures: bool = True
) -> Path:
    """Writes a run with baselines, explored and reused trials, failures, one that is running, and confirmations.

    Args:
        folder: where it goes; its name is the study's.
        trials: searched trials.
        gain: what the best amount of synthetic data truly adds to accuracy.
        seeds: replicates of each confirmation.
        confirm: whether the study came to its end.
        seed: of everything random here.
        pictures: whether trials have contact sheets.
    """
    random = np.random.default_rng(seed)
    _write_study(folder, trials)
    explored: dict[int, dict[str, Any]] = {}
    number = 0
    for inspector in INSPECTORS:
        for baseline in ("plain", "oversample"):
            _write_trial(folder, random, number, "baseline", {"baseline": baseline, "inspector.kind": inspector}, gain)
            number += 1
    while number < trials:
        reuse = len(explored) > 4 and random.random() < 0.4
        parent = int(random.choice(list(explored))) if reuse else None
        family = explored[parent]["generator.family"] if parent is not None else str(random.choice(FAMILIES))
        params = {
            "generator.family": family,
            f"generator.{family}.g_lr": float(10 ** random.uniform(-4, -3)),
            f"generator.{family}.batch": int(random.choice([32, 64])),
            "generator.kimg": 20.0,
            "synthesis.amount": "fraction",
            "synthesis.fraction": float(random.uniform(0.05, 0.9)),
            "synthesis.filter": str(random.choice(["none", "confidence"])),
            "inspector.kind": str(random.choice(INSPECTORS)),
        }
        if parent is not None:
            params |= {name: value for name, value in explored[parent].items() if name.startswith("generator.")}
        _write_trial(folder, random, number, "reuse" if reuse else "explore", params, gain, parent=parent, pictures=pictures)
        if not reuse and _failure(number) is None:
            explored[number] = params
        number += 1
    if confirm:
        best = sorted(explored)[:2]
        for parent, params in [
            (0, {"baseline": "plain", "inspector.kind": INSPECTORS[0]}),
            (2, {"baseline": "plain", "inspector.kind": INSPECTORS[1]}),
        ]:
            _write_trial(folder, random, number, "confirm", params, gain, parent=parent, seeds=seeds)
            number += 1
        for parent in best:
            _write_trial(
                folder, random, number, "confirm", explored[parent] | {"synthesis.fraction": 0.4}, gain, parent=parent, seeds=seeds, pictures=pictures
            )
            number += 1
    else:
        params = {"generator.family": "dcgan", "generator.kimg": 20.0, "inspector.kind": "resnet18"}
        write_record(trial_folder(folder, number), _asked(number, "explore", params, None, 1))
        steps = [{"time_s": START_S + i, "unit": 0, "stage": "generator", "kimg": 0.5 * i, "metrics": {"d_loss": 1.0 / (i + 1)}} for i in range(5)]
        text = "".join(json.dumps(step) + "\n" for step in steps) + '{"time_s": 17'
        (trial_folder(folder, number) / "steps.jsonl").write_text(text, encoding="utf-8")
    return folder


def _write_study(folder: Path, trials: int) -> None:
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(
        f"study: {folder.name}\nseed: 7\ndata: {{dataset: procedural, size_px: 64}}\nobjectives: {{val_accuracy: maximize, val_kid: minimize}}\n"
        f"search: {{trials: {trials}}}\n",
        encoding="utf-8",
    )
    environment = {
        "command": f"tundish run {folder.name}.yaml",
        "objectives": {"val_accuracy": "maximize", "val_kid_inspector": "minimize"},
        "trials": trials,
        "seed": 7,
        "fingerprint": "9f2c51d0a7e84be2",
        "dataset": "procedural",
        "protocol": "strict",
        "split_counts": {cls: {"train": 20, "val": 20, "test": 60 + 3 * i} for i, cls in enumerate(CLASSES)},
        "extractor": "inspector",
        "floor": {"val_kid_inspector": 0.004},
        "precision": "bf16",
        "device": "cpu, 2 cores",
        "versions": {"tundish": "0.1.0", "python": "3.11.9", "torch": "2.14.0"},
        "git": "4ff77ce",
        "backgrounds": {"origin": "crops:texture", "count": 12, "columns": 12, "tile_px": 64},
    }
    write_json(folder / "environment.json", environment)
    sheet = np.concatenate([_surface(np.random.default_rng(i), 0, 0.0) for i in range(12)], axis=1)
    Image.fromarray(sheet).save(folder / "backgrounds.webp")


def _asked(number: int, move: str, params: dict[str, Any], parent: int | None, seeds: int) -> Asked:
    reasons = {
        "baseline": "real images alone come first",
        "explore": "a new generator configuration",
        "reuse": "a finished generator, new settings downstream",
    }
    recipe: dict[str, Any] = {
        "seed": 7,
        "generator": None,
        "synthesis": None,
        "inspector": {"kind": params["inspector.kind"], "settings": {}},
        "units": [{"generator": 0, "inspector": i} for i in range(seeds)],
    }
    if "generator.family" in params:
        recipe["generator"] = {"family": params["generator.family"], "settings": {}, "kimg": params["generator.kimg"]}
        recipe["synthesis"] = {"amount": {"kind": "fraction", "value": params.get("synthesis.fraction", 0.5)}}
    return Asked(
        trial=number,
        move=move,
        reason=reasons.get(move, "among the best on validation"),
        parent=parent,
        params=params,
        recipe=recipe,
        epoch=1,
        time_s=START_S + 40 * number,
    )


def _failure(number: int) -> str | None:
    return {13: "diverged", 21: "diverged", 27: "out_of_memory"}.get(number)


def _write_trial(
    folder: Path,
    random: np.random.Generator,
    number: int,
    move: str,
    params: dict[str, Any],
    gain: float,
    *,
    parent: int | None = None,
    seeds: int = 1,
    pictures: bool = False,
) -> None:
    place = trial_folder(folder, number)
    write_record(place, _asked(number, move, params, parent, seeds))
    family = params.get("generator.family")
    times = {"started_s": START_S + 40 * number, "ended_s": START_S + 40 * number + 35.0, "epoch": 1}
    if (failure := _failure(number)) is not None and move != "confirm":
        (place / "error.txt").write_text("Traceback (most recent call last):\n  ...\nTrialFailure: not finite\n", encoding="utf-8")
        write_record(place, Record(trial=number, state="failed", failure=failure, message=f"{family}: critic loss is not finite", **times))
        return
    share = params.get("synthesis.fraction", 0.5) if family else 0.0
    skill = 0.84 + (0.02 if params["inspector.kind"] == "resnet18" else 0.0)
    quality = {"dcgan": 0.5, "lm_gan": 0.4, "pe_gan": 0.9, "wgan_gp": 0.7, None: 0.0}[family]
    truth = skill + (gain * quality * 1.1 * (1 - ((share - 0.4) / 0.4) ** 2) if family else 0.0)
    units: list[dict[str, float | None]] = []
    for replicate in range(seeds):
        luck = 0.006 * np.random.default_rng(1000 + replicate).standard_normal() + 0.004 * random.standard_normal()
        unit: dict[str, float | None] = {"val_accuracy": round(truth + luck + 0.01, 4), "val_macro_f1": round(truth + luck, 4), "trial_s": 35.0}
        unit |= {f"val_recall.{cls}": round(min(1.0, truth + 0.05 * random.standard_normal()), 3) for cls in CLASSES}
        unit["test_accuracy"] = round(truth + luck, 4) if move == "confirm" else None
        unit["val_kid_inspector"] = round(0.01 + 0.08 * (1 - quality) + 0.01 * random.random(), 5) if family else None
        unit["generator_s"] = 22.0 if family else None
        for split in ("val", "test"):
            for group, ease in (("small", -0.06), ("medium", 0.0), ("large", 0.04), ("line=A", 0.01), ("line=B%2E5", -0.01)):
                whole = unit[f"{split}_accuracy"]
                unit[f"{split}_accuracy@{group}"] = None if whole is None else round(min(1.0, whole + ease + 0.01 * random.standard_normal()), 4)
        if family:
            sets = {
                "texture_spectrum": 1.4,
                "texture_lbp": 0.09,
                "texture_glcm": 0.3,
                "memorisation_inspector": 0.52,
                "inception_score_inspector": 4.2,
            }
            unit |= {f"val_{name}": round(value * (1.3 - 0.3 * quality), 4) for name, value in sets.items()}
            unit |= {f"val_{name}_floor": round(value / 3, 4) for name, value in sets.items() if "inception" not in name}
            unit["val_inception_score_inspector_real"] = 5.1
        units.append(unit)
    names = units[0]
    scores = {name: None if names[name] is None else float(np.mean([unit[name] for unit in units])) for name in names}
    stages = [
        {
            "unit": 0,
            "stage": "inspector",
            "cls": None,
            "key": f"i{number:031x}",
            "reused": False,
            "seconds": 12.0,
            "device": "cpu",
            "peak_memory_gib": 0.6,
        }
    ]
    if family:
        made = number if parent is None else parent
        stages.insert(
            0,
            stages[0] | {"stage": "generator", "key": f"g{made:031x}", "reused": parent is not None, "seconds": 22.0},
        )
    confusion = {
        split: (np.eye(6, dtype=int) * 17 + random.integers(0, 2, (6, 6))).tolist()
        for split in ("val", "test")
        if split == "val" or move == "confirm"
    }
    curves: dict[str, list[list[float | None]]] = {}
    if move == "confirm":
        for corruption, fall in (("blur", 0.03), ("noise", 0.06), ("salt_and_pepper", 0.1), ("gradient", 0.15)):
            curves[f"test_robustness.{corruption}"] = [
                [round(max(0.0, (unit["test_accuracy"] or 0.0) - (fall - (0.01 if family else 0.0)) * severity), 4) for severity in range(6)]
                for unit in units
            ]
    samples = {"classes": CLASSES, "columns": COLUMNS, "tile_px": TILE_PX, "gap_px": GAP_PX, "rows": ROWS} if family and pictures else None
    if samples:
        _write_sheet(place / "samples.webp", number, quality)
    (place / "steps.jsonl").write_text(
        "".join(
            json.dumps({"time_s": START_S + i, "unit": 0, "stage": "inspector", "kimg": None, "metrics": {"loss": 1.0 / (i + 1)}}) + "\n"
            for i in range(4)
        ),
        encoding="utf-8",
    )
    conditions: dict[str, Any] = {"task": "classify", "extractor": "inspector", "precision": "bf16", "protocol": "strict", "val_images": 120}
    for split, images in (("val", 120), ("test", 405)):
        conditions[f"{split}_images"] = images
        conditions |= {f"{split}_images@{size}": images // 3 for size in ("small", "medium", "large")}
        conditions |= {f"{split}_largest_defect@{size}": share for size, share in (("small", 0.012), ("medium", 0.05), ("large", 0.31))}
        conditions |= {f"{split}_images@line=A": images - 21, f"{split}_images@line=B%2E5": 21}
    conditions |= {"textures_of_a_class_at_most": 64, "memorisation_of_a_class_at_most": 256} if family else {}
    write_record(
        place,
        Record(
            trial=number,
            state="complete",
            scores=scores,
            units=units,
            confusion=confusion,
            curves=curves,
            classes=CLASSES,
            conditions=conditions,
            stages=stages,
            samples=samples,
            **times,
        ),
    )


def _write_sheet(path: Path, number: int, quality: float) -> None:
    random = np.random.default_rng(number)
    step = TILE_PX + GAP_PX
    sheet = np.full((GAP_PX + step * len(ROWS) * len(CLASSES), GAP_PX + step * COLUMNS), 128, np.uint8)
    for i, (cls, kind) in enumerate((cls, kind) for cls in range(len(CLASSES)) for kind in ROWS):
        for k in range(COLUMNS):
            top, left = GAP_PX + i * step, GAP_PX + k * step
            sheet[top : top + TILE_PX, left : left + TILE_PX] = _drawn(cls, 1.0 - quality if kind == "synthetic" else 0.0)[random.integers(12)]
    Image.fromarray(sheet).save(path, "WEBP", quality=80, method=0)


@functools.cache
def _drawn(cls: int, blur: float) -> list[np.ndarray]:
    random = np.random.default_rng(cls)
    return [_surface(random, cls, blur) for _ in range(12)]


def _surface(random: np.random.Generator, cls: int, blur: float) -> np.ndarray:
    """Draws streaks with a class-dependent wave, so that lines of a sheet can be told apart by eye."""
    y, x = np.mgrid[0:TILE_PX, 0:TILE_PX] / TILE_PX
    streaks = np.repeat(random.normal(0, 12, (TILE_PX, 1)), TILE_PX, axis=1)
    angle = cls * np.pi / 6 + random.normal(0, 0.1)
    wave = 40 * (1 - blur) * np.sin(2 * np.pi * (2 + cls) * (x * np.cos(angle) + y * np.sin(angle)) + random.uniform(0, 6)) * (cls > 0)
    return np.clip(135 + streaks + wave + random.normal(0, 8 + 20 * blur, (TILE_PX, TILE_PX)), 0, 255).astype(np.uint8)


@pytest.fixture
def fake_run() -> Callable[..., Path]:
    """Gives the maker of runs."""
    return make_run


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that came to its end; tests only read it."""
    return make_run(tmp_path_factory.mktemp("runs") / "steel")
