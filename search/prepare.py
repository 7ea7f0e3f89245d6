"""What happens before the first trial: the study is checked or continued, data packed and split, extractor and precision decided, once.

Leaves `study.yaml`, the resolved study, and `environment.json`, what the run stands on (its keys: `reports.records`), in the run's folder. Called by
the runner.
"""

import hashlib
import importlib.metadata
import io
import json
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from PIL import Image

from reports.records import write_json, write_whole
from search.memory.carrying import with_memory
from search.memory.code import code_versions
from search.runs.lease import Lease
from search.runs.ledger import Ledger
from search.studies.checks import uses_attributes, validate
from search.studies.continuing import continue_study
from search.studies.extending import Extension, refuse_without_run
from search.studies.growth import growth_notes, split_hashes, with_added
from search.studies.measured import group_problems, read_groups
from search.studies.recipes import preprocess_part, preprocess_points
from search.studies.settings import Resolved
from search.studies.study import Study, StudyError
from search.studies.study_file import load_study
from search.studies.weight_files import changed_files, start_notes, weight_files
from trainables.conditioning.attributes import attribute_file, content, study_attributes
from trainables.datasets.listing import DEFECT_FREE
from trainables.errors import DatasetError
from trainables.generators import GENERATORS
from trainables.registry import pick
from trainables.registry import resolve as resolve_name
from trainables.store import Store
from trainables.tasks import TASKS
from trainables.zero_shot.conditions import conditions
from trainables.zero_shot.settings import zero_shot_folds, zero_shot_problems

SHEET_TILES, SHEET_COLUMNS = 24, 8
PACKAGES = ("tundish", "torch", "torchvision", "ray", "optuna", "numpy", "scikit-learn", "pyarrow")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """On what trials run."""

    device: str
    """Name of a torch device."""
    bf16: bool
    """Whether bf16 is fast there."""


def begun(study: Study, *, fresh: bool, extend: bool | Extension) -> Study | None:
    """Reads the study that a run was begun with, as it goes on; None where the run begins now.

    With `fresh`, an earlier run is set aside, its records untouched.

    Raises:
        StudyError: the study file was changed in a way that the run cannot take.
        RunError: a run that is to be set aside is being driven.
    """
    run = study.run_folder
    goes_on = (run / "study.yaml").exists() and not fresh
    if not goes_on:
        refuse_without_run(extend, run, fresh=fresh)
    if not (run / "study.yaml").exists():
        return None
    if fresh:
        Lease(run).release()
        run.rename(run.with_name(f"{run.name}.{time.strftime('%Y%m%dT%H%M%S')}"))
        return None
    return continue_study(load_study(run / "study.yaml"), study, extend=extend)


def resolve(study: Study, store: Store, place: Place, ledger: Ledger, *, command: str) -> Study:
    """Decides what is decided once, and writes it down.

    Raises:
        BadInput: the data set has errors, or a named extractor cannot be had.
        StudyError: the study does not fit what is installed, or the data set is not the one that the run began with.
    """
    import trainables.datasets.packs as packs
    from trainables.datasets.splits import split
    from trainables.scores.extractors import resolve_extractor

    validate(study)
    before = study.resolved
    study = study if before is not None else with_added(study)
    fingerprint, pack = packs.pack_dataset(study.data, store)
    if before is not None:
        if fingerprint != before.fingerprint:
            raise StudyError(
                f"{study.run_folder}: the images are not those that this run began with ({study.data.path or study.data.dataset}).\n"
                "  Put them back as they were, or start another run: --name NAME keeps both, --fresh begins this one anew."
            )
        counts = split(pack, study.data).counts
        validate(study, counts)
        attributes = _attributes(study, counts)
        if attributes != before.attributes and before.attributes is not None:
            where = attribute_file(study.data) or "there are none"
            raise StudyError(
                f"{study.run_folder}: the attribute vectors are not those that this run began with ({where}).\n"
                "  Put them back as they were, or start another run: --name NAME keeps both, --fresh begins this one anew."
            )
        columns = read_groups(study, pack)
        if columns is not None and columns.content_hash != before.columns:
            raise StudyError(
                f"{study.run_folder}: the columns {', '.join(study.scores.columns)} are not those that this run began with ({study.data.groups}).\n"
                "  Put them back as they were, or start another run: --name NAME keeps both, --fresh begins this one anew."
            )
        if changed := changed_files(study):
            raise StudyError(
                f"{study.run_folder}: weights are not those that this run began with, or gone: {', '.join(changed)}.\n"
                "  Put them back as they were, or name where they lie now; another run: --name NAME keeps both, --fresh begins this one anew."
            )
        weights = study.scores.inception_weights or before.inception_weights
        found = resolve_extractor(before.extractor, weights, expected_hash=before.weights_hash)
        study = replace(study, resolved=replace(before, inception_weights=found.weights_path))
        _note_growth(study, ledger)
        ledger.keep(lambda: _write(study))
        return study
    parts = split(pack, study.data)
    counts = parts.counts
    validate(study, counts)
    found = resolve_name(TASKS[study.task])(pack).problems({"training": parts.train, "validation": parts.val, "test": parts.test})
    if study.zero_shot is not None:
        found += zero_shot_problems(study.zero_shot, pack.classes)
    found += _preprocess_problems(study, pack, parts, store)
    columns = read_groups(study, pack)
    found += group_problems(study, pack, parts, columns)
    notes, misfits = start_notes(study, resolve_name(TASKS[study.task])(pack).names)
    found += misfits
    if found:
        raise StudyError("\n".join(found))
    extractor = resolve_extractor(study.scores.extractor, study.scores.inception_weights)
    wanted = study.resources.precision
    resolved = study.resolve(
        Resolved(
            extractor=cast(Literal["inception", "inspector", "random"], extractor.name),
            precision=("bf16" if place.bf16 else "fp32") if wanted == "auto" else wanted,
            fingerprint=fingerprint,
            inception_weights=extractor.weights_path,
            weights_hash=extractor.weights_hash,
            attributes=_attributes(study, counts),
            columns=columns.content_hash if columns is not None else None,
            folds=_folds(study, pack.classes),
            files={path: content for path, content in weight_files(study).items() if content is not None},
        )
    )
    # What an objective may be depends on the extractor, which `auto` has only now.
    validate(resolved, counts)
    resolved, learned = with_memory(resolved, store, ledger, device=place.device)
    environment = {**_facts(resolved, place, command), **_data_facts(resolved, pack, store, ledger)}
    environment["notes"] += [f"Warm start. {line}" for line in learned]
    environment["notes"] += [*(columns.notes if columns is not None else []), *notes]
    ledger.keep(lambda: write_json(study.run_folder / "environment.json", environment))
    # Last, because it is what makes a run one that was begun.
    ledger.keep(lambda: _write(resolved))
    return resolved


def _preprocess_problems(study: Study, pack: Any, parts: Any, store: Store) -> list[str]:
    """Preprocesses the pictures in every way that the study has, and says why it cannot be done."""
    from trainables.datasets.patches import open_preprocessed, preprocessed_split

    found = []
    for part in map(preprocess_part, preprocess_points(study.space)):
        try:
            cut = open_preprocessed(study.data, part, pack, store)
        except DatasetError as error:
            found.append(str(error))
            continue
        counts = preprocessed_split(parts, part, cut).counts
        bare = [f"{cls} ({where})" for cls, own in counts.items() for where in ("train", "val") if own[where] == 0]
        if bare:
            text = "the masks of its pictures show other classes alone"
            found.append(f"space.preprocess: {part}: no patch of {', '.join(bare)}; {text}: correct them, or leave patches out")
    return list(dict.fromkeys(found))


def _folds(study: Study, classes: Sequence[str]) -> int:
    """Counts the folds of each trial: of the images, or of the sets of unseen classes."""
    return len(zero_shot_folds(study.zero_shot, classes)) if study.zero_shot is not None else max(1, study.data.folds)


def _attributes(study: Study, counts: Mapping[str, Any]) -> str | None:
    """Hashes the attribute vectors of the defect classes; None where no generator is told the class by them."""
    table = study_attributes(study.data) if uses_attributes(study) else None
    if table is None:
        return None
    own = content(table.only([cls for cls in counts if cls != DEFECT_FREE]))
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:32]


def _note_growth(study: Study, ledger: Ledger) -> None:
    """Keeps `environment.json` true where `search.trials` has grown."""
    path = study.run_folder / "environment.json"
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if isinstance(known, dict) and known.get("trials") != study.search.trials:
        ledger.keep(lambda: write_json(path, {**known, "trials": study.search.trials}))


def _write(study: Study) -> None:
    write_whole(study.run_folder / "study.yaml", study.to_yaml().encode())


def _data_facts(study: Study, pack: Any, store: Store, ledger: Ledger) -> dict[str, Any]:
    """Says how the images are split, and draws the backgrounds where a family of the study starts from them."""
    from trainables.datasets.backgrounds import backgrounds
    from trainables.datasets.splits import split

    parts = split(pack, study.data)
    hashes = split_hashes(pack, study.data)
    facts: dict[str, Any] = {"split_counts": {name: dict(counts) for name, counts in parts.counts.items()}, "split_hashes": hashes}
    facts["notes"] = growth_notes(study, hashes)
    if study.zero_shot is not None:
        facts["zero_shot"] = conditions(study.zero_shot, pack, parts, seed=study.seed)
    if study.data.protocol == "paper":
        told = parts.leak or "no near-copy was found to lie on both sides of it."
        facts["notes"].append(f"The published split was taken as it is (protocol paper): {told}")
    if any(pick(GENERATORS, family, "generator family").needs_backgrounds for family in study.families):
        found = backgrounds(pack, parts, study.data, store)
        sheet = _sheet(found.images[:SHEET_TILES])
        ledger.keep(lambda: write_whole(study.run_folder / "backgrounds.webp", sheet))
        facts["backgrounds"] = {"origin": found.origin, "count": len(found.images), "columns": SHEET_COLUMNS, "tile_px": study.data.size_px}
    return facts


def _sheet(images: Any) -> bytes:
    """Lays images (M, C, S, S) uint8 out in rows of `SHEET_COLUMNS`, as WebP."""
    count, channels, side, _ = images.shape
    rows = -(-count // SHEET_COLUMNS)
    canvas = np.zeros((rows * SHEET_COLUMNS, channels, side, side), np.uint8)
    canvas[:count] = images
    tiled = canvas.reshape(rows, SHEET_COLUMNS, channels, side, side).transpose(0, 3, 1, 4, 2).reshape(rows * side, SHEET_COLUMNS * side, channels)
    picture = Image.fromarray(tiled[..., 0] if channels == 1 else tiled)
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=90)
    return out.getvalue()


def _facts(study: Study, place: Place, command: str) -> dict[str, Any]:
    settled = study.resolved
    assert settled is not None
    return {
        "command": command,
        "objectives": {item.score: item.direction for item in study.objectives},
        "limits": {item.score: {"at_most" if item.direction == "minimize" else "at_least": item.bound} for item in study.limits},
        "trials": study.search.trials,
        "seed": study.seed,
        "fingerprint": settled.fingerprint,
        "dataset": study.data.dataset,
        "protocol": study.data.protocol,
        "extractor": settled.extractor,
        "extractor_hash": settled.weights_hash,
        "precision": settled.precision,
        "device": place.device,
        "code": code_versions(study),
        "versions": {"python": platform.python_version(), **{name: version for name in PACKAGES if (version := _version(name))}},
        "git": _commit(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Gives the commit of this code, where it is a checkout."""
    root = Path(sys.modules[__name__].__file__ or ".").resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        said = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()
