"""Names of scores and costs, with their directions and units. Imports nothing heavy: a study file is checked against these without torch.

A full name is `<split>_<base>[_<extractor>][.<class>]`: `val_accuracy`, `val_recall.scratches`, `val_kid_inspector`, `test_fid`. The precision and
recall of images are called those of their manifold: `val_recall_inspector.scratches` would be taken for what the inspector found of the scratches.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize"]

SPLITS = ("val", "test")
EXTRACTORS = ("inception", "inspector", "random")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """One cost of a trial."""

    unit: str
    says: str
    """What it is, in a few words."""
    direction: Direction = "minimize"


COSTS = {
    "generator_params_m": Cost(unit="M", says="parameters of the generator that draws, in millions"),
    "generator_gmadds": Cost(unit="G", says="multiply-adds to draw one image, in thousands of millions"),
    "generator_ms_per_image": Cost(unit="ms", says="time to draw one image"),
    "generator_s": Cost(unit="s", says="time to train the generator up to its mark, by whoever did"),
    "generator_peak_memory_gib": Cost(unit="GiB", says="most memory held while the generator trained"),
    "inspector_params_m": Cost(unit="M", says="parameters of the inspector, in millions"),
    "inspector_gmadds": Cost(unit="G", says="multiply-adds to judge one image, in thousands of millions"),
    "inspector_ms_per_image": Cost(unit="ms", says="time to judge one image, images coming one by one"),
    "inspector_s": Cost(unit="s", says="time to train the inspector, by whoever did"),
    "inspector_peak_memory_gib": Cost(unit="GiB", says="most memory held while the inspector trained"),
    "trial_s": Cost(unit="s", says="time of all stages of the trial, those found ready too"),
    "acceptance_rate": Cost(unit="", says="share of drawn images that the filter let through", direction="maximize"),
}
"""What a trial cost. Each may be an objective."""

CLASSIFICATION: dict[str, Direction] = {"accuracy": "maximize", "macro_f1": "maximize"}
PER_CLASS: dict[str, Direction] = {"recall": "maximize"}


MMD = "mmd_inspector"
"""Kernel distance between synthetic and real features in the features of the trial's own inspector, where the generator makes those: the number that
KID is of images. Not of the study's extractor, whatever that is."""


def distance_names(extractor: str) -> tuple[str, str]:
    """Gives the names of KID and Frechet distance with an extractor's features; only the standard Inception features may be called FID.

    Raises:
        KeyError: no such extractor.
    """
    if extractor not in EXTRACTORS:
        raise KeyError(extractor)
    return (f"kid_{extractor}", "fid" if extractor == "inception" else f"frechet_{extractor}")


def overlap_names(extractor: str) -> tuple[str, str, str, str]:
    """Gives the names of precision, recall, density and coverage with an extractor's features, in the order of `scores.neighbours.Overlap`.

    Raises:
        KeyError: no such extractor.
    """
    if extractor not in EXTRACTORS:
        raise KeyError(extractor)
    return (f"manifold_precision_{extractor}", f"manifold_recall_{extractor}", f"density_{extractor}", f"coverage_{extractor}")


def image_score_names(extractor: str) -> dict[str, Direction]:
    """Gives what is measured on images, over all classes and class by class: distances and overlap."""
    directions: dict[str, Direction] = dict.fromkeys(distance_names(extractor), "minimize")
    directions.update(dict.fromkeys(overlap_names(extractor), "maximize"))
    return directions


def score_names(extractor: str, *, classes: Iterable[str] = (), split: str = "val") -> dict[str, Direction]:
    """Lists every score and cost that a trial of a study can have, with the direction that is better.

    Args:
        extractor: the resolved extractor.
        classes: names of the classes, for the scores per class.
        split: `val` for what a search may use, `test` for what is read once at its end. Costs are named for `val` only.
    """
    images = image_score_names(extractor)
    names: dict[str, Direction] = {f"{split}_{base}": direction for base, direction in CLASSIFICATION.items()}
    images = {**images, MMD: "minimize"}
    names |= {f"{split}_{base}": direction for base, direction in images.items()}
    for cls in classes:
        names |= {f"{split}_{base}.{cls}": direction for base, direction in (PER_CLASS | images).items()}
    if split == "val":
        names |= {name: cost.direction for name, cost in COSTS.items()}
    return names


def full_name(name: str, extractor: str) -> str:
    """Resolves an alias: `val_kid` and `val_frechet` mean those of the study's extractor; any other name is given back as it is."""
    kid, frechet = distance_names(extractor)
    aliases = {f"{split}_{base}": f"{split}_{full}" for split in SPLITS for base, full in (("kid", kid), ("frechet", frechet))}
    base, dot, cls = name.partition(".")
    return f"{aliases.get(base, base)}{dot}{cls}"


def unit_of(name: str) -> str:
    """Gives the unit of a score or cost; empty where it has none."""
    return COSTS[name].unit if name in COSTS else ""
