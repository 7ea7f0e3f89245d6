"""Whether a generator can be trained at all on what a study gives it: one function, asked before the images are packed and again once they are split.

Called by `search.studies.checks`, which says it with the places of the study file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainables.conditioning.attributes import TEMPLATE
from trainables.errors import SettingsError
from trainables.generators import GENERATORS
from trainables.generators.bases.model import GeneratorModel
from trainables.generators.training.stage import mark_problem, told_by
from trainables.recipe import GeneratorPart
from trainables.registry import pick
from trainables.settings import from_plain


class Problem(NamedTuple):
    """One thing that keeps a generator from being trained."""

    name: str
    """Dotted name of the setting to change: `data.size_px`, `generator.kimg`, `generator.<family>`, `generator.<family>.class_mode`, ..."""
    text: str
    """What is wrong, and the nearest thing that would work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What a study gives its generators to work with."""

    size_px: int
    """Side of the images."""
    backgrounds: bool
    """Whether there are defect-free images to start from."""
    attributes: bool
    """Whether the classes have attribute vectors."""
    physical: bool = False
    """Whether channels are physical quantities, not colours."""
    counts: Mapping[str, int] | None = None
    """Training images of each defect class; None before the images are split."""


def problems(part: GeneratorPart, given: Given) -> list[Problem]:
    """Lists everything that keeps a generator from being trained; empty where nothing does.

    Args:
        part: family, settings, mark, and how the class is told.
        given: what there is to train on.
    """
    try:
        family: type[GeneratorModel] = pick(GENERATORS, part.family, "generator family")
    except SettingsError as error:
        return [Problem("generator.family", str(error))]
    found = _of_family(part, family, given)
    try:
        config: Any = from_plain(family.Config, part.settings)
    except SettingsError as error:
        return [*found, Problem(f"generator.{part.family}", str(error))]
    if (text := mark_problem(part, config)) is not None:
        found.append(Problem("generator.kimg", text))
    return [*found, *_of_channels(part, config, given), *_of_conditioning(part, family, given), *_of_counts(part, family, config, given)]


def _of_family(part: GeneratorPart, family: type[GeneratorModel], given: Given) -> list[Problem]:
    """Sizes and backgrounds, whatever the settings."""
    found = []
    if family.needs_backgrounds and not given.backgrounds:
        cure = "set data.backgrounds to crops (mined from training images) or folder, or leave the family out of space.generator.family"
        found.append(Problem("data.backgrounds", f"{part.family} turns defect-free images into defects and there are none; {cure}"))
    if family.makes != "features" and given.size_px not in family.sizes_px:
        near = min(family.sizes_px, key=lambda size: abs(size - given.size_px))
        can = ", ".join(map(str, family.sizes_px))
        found.append(
            Problem("data.size_px", f"{part.family} cannot be built for {given.size_px} px; it can for {can}: take {near}, or leave the family out")
        )
    return found


def _of_channels(part: GeneratorPart, config: Any, given: Given) -> list[Problem]:
    """Changes of colour, where channels have none."""
    if not given.physical:
        return []
    found = []
    mode, policy = getattr(config, "aug_mode", "diffaug"), getattr(config, "diffaug", "none")
    if mode in ("ada", "both"):
        text = f"{mode} changes colours, and the channels here are physical quantities; take diffaug, with diffaug: translation,cutout, or none"
        found.append(Problem(f"generator.{part.family}.aug_mode", text))
    if mode in ("diffaug", "both") and "color" in policy:
        near = ",".join(change for change in policy.split(",") if change != "color") or "none"
        text = f"{policy} changes colours, and the channels here are physical quantities; take {near}"
        found.append(Problem(f"generator.{part.family}.diffaug", text))
    return found


def _of_conditioning(part: GeneratorPart, family: type[GeneratorModel], given: Given) -> list[Problem]:
    """A way of telling the class that the family has not, or that needs attributes."""
    name = f"generator.{part.family}.conditioning"
    asked = part.conditioning.kind if part.conditioning is not None else family.conditioning
    if asked != "one_hot" and not family.takes_vectors:
        return [Problem(name, f"{part.family} cannot be told the class by vectors, so not by {asked}; leave the setting out, or take one_hot")]
    kind = told_by(part).kind
    if kind != "one_hot" and not given.attributes:
        cure = f"copy {TEMPLATE}, fill a row for each class and name it in data.attributes, or take one_hot"
        return [Problem(name, f"{kind} is made from attribute vectors of the classes and the study has none; {cure}")]
    return []


def _of_counts(part: GeneratorPart, family: type[GeneratorModel], config: Any, given: Given) -> list[Problem]:
    """Too few training images of a class, or of all classes together where one model is not told which is which."""
    if given.counts is None:
        return []
    least, every = family.fewest_images, sum(given.counts.values())
    name = f"generator.{part.family}.class_mode"
    if config.class_mode == "pooled":
        if every >= least:
            return []
        return [Problem(name, f"{part.family} needs at least {least} training images and there are {every}; raise data.images_per_class")]
    few = ", ".join(f"{cls} has {count}" for cls, count in given.counts.items() if count < least)
    if not few:
        return []
    what = "a model for each class" if config.class_mode == "per_class" else "the family"
    pooled = f", or take {name}: pooled, for which the {every} images of all classes do" if "pooled" in family.class_modes and every >= least else ""
    return [
        Problem(
            name,
            f"{part.family}: {what} needs at least {least} training images of each class, and {few}; "
            f"raise data.images_per_class or lower val_fraction and test_fraction{pooled}, or leave the family out",
        )
    ]
