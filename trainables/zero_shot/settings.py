"""What a zero-shot trial varies: which classes are unseen, which are pretended to be while searching, and what stands for a class without images.

Imports no torch: studies are checked with it.
"""

import difflib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainables.errors import SettingsError
from trainables.seeds import child_seed

UnseenCe = Literal["real", "ridge_mapped", "dissimilarity_threshold"]
FEWEST_SEEN = 2
"""Classes that have to be left to train on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroShotPart:
    """Which classes are unseen, and how they are known without an image."""

    unseen: tuple[str, ...] | Literal["pairs"]
    """Classes that no image of is trained or validated on; or `pairs`: every pair of classes in turn, a fold each (all 45 of ten)."""
    val_unseen: tuple[str, ...] = ()
    """Classes among the others that are pretended to be unseen on validation; an empty list draws as many as are unseen, by the study's seed."""
    unseen_ce: UnseenCe = "ridge_mapped"
    """What stands for an unseen class: its attributes; these, mapped to where the seen classes' vectors lie; or nothing: an image that is too
    dissimilar to every seen class is then unseen, whichever class it is of. The paper states none; the map is the preset (systems.md 2.4)."""
    percentile: float = 95.0
    """Where the dissimilarity's threshold lies: so many hundredths of the seen classes' validation images are below. The same with `calibrate`."""
    calibrate: bool = True
    """Whether the classifier's unseen logits are raised or lowered together, so that it calls just `percentile` hundredths of the seen classes'
    validation images seen (calibrated stacking, Chao et al. 2016). No paper here does; TF-VAEGAN's authors take the pass that is best on test, which
    nobody may. On the drawn textures, pairs of seen classes pretended unseen, it raised the harmonic mean of all generators that were tried
    but one, which had none (README, What we measured), so that it is the default. Without effect where a threshold decides anyway."""
    classify: Literal["family", "features", "embedded"] = "family"
    """What the classifier is shown: features; these with the hidden layer of the attribute decoder and what it reads (TF-VAEGAN); or the family's own
    way: features for vaegan_ce, embedded for tf_vaegan."""

    def __post_init__(self) -> None:
        problems = []
        unseen = () if self.unseen == "pairs" else self.unseen
        if not self.unseen:
            problems.append("unseen: no class; name at least one, or pairs for every pair in turn")
        for name, classes in (("unseen", unseen), ("val_unseen", self.val_unseen)):
            twice = sorted({cls for cls in classes if classes.count(cls) > 1})
            problems += [f"{name}: {cls} is named twice" for cls in twice]
        problems += [f"val_unseen: {cls} is unseen; only another class can be pretended to be" for cls in self.val_unseen if cls in unseen]
        if self.unseen == "pairs" and self.val_unseen:
            problems.append("val_unseen: every class is unseen in some pair; leave it empty, and each pair draws its own")
        if not 0.0 < self.percentile <= 100.0:
            problems.append(f"percentile: {self.percentile} is not above 0 and at most 100")
        if problems:
            raise SettingsError("\n".join(problems))


def zero_shot_folds(part: ZeroShotPart, classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Lists the sets of unseen classes, each a fold: one, or every pair in the order of the classes."""
    return tuple(itertools.combinations(classes, 2)) if part.unseen == "pairs" else (tuple(part.unseen),)


def pretended_unseen(part: ZeroShotPart, classes: Sequence[str], unseen: Sequence[str], *, seed: int) -> tuple[str, ...]:
    """Gives the classes that are pretended to be unseen on validation, in the order of the classes.

    Args:
        part: the settings.
        classes: all classes of the data set.
        unseen: the truly unseen ones of this fold.
        seed: the study's.
    """
    if part.val_unseen:
        return tuple(cls for cls in classes if cls in part.val_unseen)
    others = [cls for cls in classes if cls not in unseen]
    drawn = np.random.default_rng(child_seed(seed, "val_unseen", *sorted(unseen))).permutation(len(others))[: len(unseen)]
    return tuple(others[i] for i in sorted(drawn))


def zero_shot_problems(part: ZeroShotPart, classes: Sequence[str]) -> list[str]:
    """Says why a data set of these classes cannot be split so, each with the nearest thing that would work; nothing where it can."""
    said = []
    named = [("unseen", cls) for cls in (() if part.unseen == "pairs" else part.unseen)] + [("val_unseen", cls) for cls in part.val_unseen]
    for setting, cls in named:
        if cls not in classes:
            near = difflib.get_close_matches(cls, classes, n=1)
            said.append(
                f"zero_shot.{setting}: no class is called {cls}; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(classes)}")
            )
    held = 2 if part.unseen == "pairs" else len(part.unseen)
    held += len(part.val_unseen) or held
    if len(classes) - held < FEWEST_SEEN:
        said.append(
            f"zero_shot.unseen: of {len(classes)} classes {held} are held out, those for validation included, and {max(0, len(classes) - held)} "
            f"are left to train on; at least {FEWEST_SEEN} are needed. Hold out fewer, or name fewer in zero_shot.val_unseen."
        )
    return said
