"""By which VERSION of the code the numbers of a run were made. Written into `environment.json`, and compared by a study that learns from the run."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from search.studies.study import Study
from trainables.generators import GENERATORS
from trainables.inspectors import INSPECTORS
from trainables.registry import pick, resolve

SHARED = {
    name: f"trainables.{name}:VERSION"
    for name in (
        "datasets.packs",
        "datasets.patches",
        "datasets.splits",
        "datasets.backgrounds",
        "conditioning.stage",
        "synthesis.blocks",
        "synthesis.pseudo_masks",
        "inspectors.stage",
        "inspectors.head",
        "scores.extractors",
        "scores.textures",
        "scores.samples",
        "measures.throughput",
        "measures.robustness",
    )
} | {"generators.training.loop": "trainables.generators.training.loop:LOOP_VERSION"}
"""Stages that a number may rest on, whatever the generator and the inspector."""
ZERO_SHOT = {name: f"trainables.{name}:VERSION" for name in ("zero_shot.split", "zero_shot.sources", "zero_shot.classifier", "zero_shot.answers")}
"""The same, in task zero_shot only."""
RANDOM_FEATURES = "scores.extractors.RandomNetwork"


def code_versions(study: Study) -> dict[str, int]:
    """Lists the versions that a study's numbers rest on: shared stages, its families as `generators.<family>`, its inspectors as
    `inspectors.<kind>`. Imports torch."""
    places = SHARED | (ZERO_SHOT if study.task == "zero_shot" else {})
    found: dict[str, int] = {name: int(resolve(place)) for name, place in places.items()}
    found[RANDOM_FEATURES] = int(attrgetter("VERSION")(resolve("trainables.scores.extractors:RandomNetwork")))
    found |= {f"generators.{family}": int(pick(GENERATORS, family, "generator family").VERSION) for family in study.families}
    return found | {f"inspectors.{kind}": int(pick(INSPECTORS, kind, "inspector").VERSION) for kind in study.inspectors}


def is_shared(name: str) -> bool:
    """Says whether a version belongs to no single family and no single inspector."""
    return name in SHARED or name in ZERO_SHOT or name == RANDOM_FEATURES


def other_versions(there: Mapping[str, Any], here: Mapping[str, int]) -> list[tuple[str, Any, int]]:
    """Lists what both know under another version: name, version there, version here."""
    return [(name, there[name], version) for name, version in here.items() if name in there and there[name] != version]
