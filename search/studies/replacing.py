"""Whether a study that shows its inspectors synthetic images in the place of real ones can do so: said at validation, by `checks`."""

from collections.abc import Mapping

from search.studies.study import Study
from spaces.conditioning import FROM_ATTRIBUTES
from spaces.domains import Domain
from trainables.datasets.listing import DEFECT_FREE
from trainables.generators import GENERATORS
from trainables.recipe import Amount
from trainables.registry import pick
from trainables.settings import from_plain

Problems = list[tuple[str, str]]
"""Dotted names of the study file, and what is wrong."""

NAME = "space.synthesis.replaces"


def replacement_problems(study: Study, split_counts: Mapping[str, Mapping[str, int]] | None = None) -> Problems:
    """Says why synthetic images cannot take the place of real ones as a study asks for it; nothing where they can, or need not. Imports torch.

    Args:
        study: checked by itself.
        split_counts: class -> train, val, test -> images, once the images are split; None before.
    """
    known = study.space.names()
    asked = [str(value) for value in known["synthesis.replaces"].grid(0) if value != "nothing"]
    if not asked:
        return []
    if study.task == "zero_shot":
        return [(NAME, f"{', '.join(asked)}: task zero_shot tells classes apart by the features of real images; expected nothing")]
    found = _of_families(study, asked)
    if "all" in asked and not found:
        found += _of_defect_free(study, known)
    return [*found, *_of_inspectors(study, known), *_of_amounts(known, asked, split_counts)]


def _of_families(study: Study, asked: list[str]) -> Problems:
    """Families that can make none of the images, or not the defect-free ones."""
    found = []
    for family in study.families:
        kind = pick(GENERATORS, family, "generator family")
        left_out = "leave it out of space.generator.family"
        if kind.makes == "features":
            text = f"{family} makes features of an inspector that learnt from real images, and cannot replace these; {left_out}, or take nothing"
            found.append((NAME, f"{', '.join(asked)}: {text}"))
        elif "all" in asked and (kind.needs_backgrounds or kind.makes == "images and masks"):
            text = f"{family} puts defects into real defect-free images, and makes none of these itself; {left_out}, or take defects"
            found.append((NAME, f"all: {text}"))
    return found


def _of_defect_free(study: Study, known: Mapping[str, Domain]) -> Problems:
    """What is known of real defect-free images alone."""
    found = []
    if study.task == "segment":
        found.append((NAME, "all: which pixels of a synthetic defect-free image are sound is not known; task segment can take defects"))
    for name, domain in known.items():
        if name.endswith(".conditioning") and (kinds := [str(kind) for kind in domain.grid(0) if kind in FROM_ATTRIBUTES]):
            text = f"{', '.join(kinds)}: {DEFECT_FREE}, which replaces: all makes too, has no attributes; take one_hot"
            found.append((f"space.{name}", text))
    return found


def _of_inspectors(study: Study, known: Mapping[str, Domain]) -> Problems:
    """Settings that want real images of all classes, or synthetic ones to count for something."""
    found = []
    for kind in study.inspectors:
        name = f"inspector.{kind}.finetune_epochs"
        if name in known and any(isinstance(value, int) and value > 0 for value in known[name].grid(2)):
            found.append((f"space.{name}", "the last passes are over real images of all classes, which synthesis.replaces leaves out; expected 0"))
        name = f"inspector.{kind}.synthetic_weight"
        if name in known and 0.0 in known[name].grid(2):
            found.append((f"space.{name}", "0 would teach nothing of the classes whose real images synthesis.replaces leaves out"))
    return found


def _of_amounts(known: Mapping[str, Domain], asked: list[str], split_counts: Mapping[str, Mapping[str, int]] | None) -> Problems:
    """Amounts that leave a class without any image."""
    # Before the images are counted only what is none of any number can be told.
    counts: Mapping[str, int] = {"a class": 1_000_000} if split_counts is None else {cls: count["train"] for cls, count in split_counts.items()}
    replaced = [label for label, cls in enumerate(counts) if cls != DEFECT_FREE or "all" in asked]
    found = []
    for kind in known["synthesis.amount"].grid(0):
        name = f"synthesis.{kind}"
        ends = [float(value) for value in known[name].grid(2) if isinstance(value, int | float)] if name in known else []
        least = min(ends, default=0.0)
        number = from_plain(Amount, {"kind": kind, "value": least}).counts(list(counts.values()), replaced)
        empty = [cls for label, cls in enumerate(counts) if label in replaced and number[label] == 0]
        if empty:
            text = f"{least:g} puts no synthetic image in the place of the real ones of {', '.join(empty)}; take more than that, or replaces: nothing"
            found.append((f"space.{name}", text))
    return found
