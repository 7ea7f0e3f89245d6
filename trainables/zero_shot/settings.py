"""What a zero-shot trial varies: which classes are unseen, which are pretended to be while searching, and what stands for a class without images.

Imports no torch: studies are checked with it.
"""

import difflib
import itertools
import math
from collections.abc import Iterator, Sequence
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
    val_draws: int = 1
    """How many sets of the other classes are drawn and pretended to be unseen in turn, a course of stages each; validation scores are their means.
    One set, trained on once, says little: the best of a search over a single pair stood at a harmonic mean of 0.96, and at 0 with other seeds."""
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
        if self.val_draws < 1:
            problems.append(f"val_draws: {self.val_draws} sets of classes; expected 1 or more")
        elif self.val_draws > 1 and self.val_unseen:
            problems.append(f"val_draws: {self.val_draws} sets are to be drawn, but val_unseen names the one there is; leave out either")
        if not 0.0 < self.percentile <= 100.0:
            problems.append(f"percentile: {self.percentile} is not above 0 and at most 100")
        if problems:
            raise SettingsError("\n".join(problems))


def zero_shot_folds(part: ZeroShotPart, classes: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Lists the sets of unseen classes, each a fold: one, or every pair in the order of the classes."""
    return tuple(itertools.combinations(classes, 2)) if part.unseen == "pairs" else (tuple(part.unseen),)


def pretended_unseen(part: ZeroShotPart, classes: Sequence[str], unseen: Sequence[str], *, seed: int) -> tuple[tuple[str, ...], ...]:
    """Gives the sets of classes that are pretended to be unseen on validation, one for each draw, each in the order of the classes.

    More draws begin with the same sets as fewer do.

    Args:
        part: the settings.
        classes: all classes of the data set.
        unseen: the truly unseen ones of this fold.
        seed: the study's.
    """
    if part.val_unseen:
        return (tuple(cls for cls in classes if cls in part.val_unseen),)
    others = [cls for cls in classes if cls not in unseen]
    drawn = _draws(len(others), len(unseen), seed=child_seed(seed, "val_unseen", *sorted(unseen)))
    return tuple(tuple(others[i] for i in places) for places in itertools.islice(drawn, part.val_draws))


def _draws(count: int, size: int, *, seed: int) -> Iterator[tuple[int, ...]]:
    """Draws sets of `size` places below `count`, each sorted and none twice, until there is no other.

    After the first one, places that were drawn least often come first: few draws then say something of as many classes as they can.
    """
    random = np.random.default_rng(seed)
    first = tuple(sorted(random.permutation(count)[:size].tolist()))
    drawn, slack = {first}, 1.0
    yield first
    while len(drawn) < math.comb(count, size):
        often = np.bincount([place for places in drawn for place in places], minlength=count)
        # Up to 1, chance decides among places that were drawn equally often; beyond it, also against those that make a set which was drawn before.
        places = tuple(sorted(np.argsort(often + slack * random.random(count))[:size].tolist()))
        slack = slack + 1.0 if places in drawn else 1.0
        if places not in drawn:
            drawn.add(places)
            yield places


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
    others = len(classes) - held
    if 1 <= (sets := math.comb(max(0, others), held)) < part.val_draws:
        said.append(
            f"zero_shot.val_draws: {part.val_draws} sets of classes are to be pretended unseen, and there are {sets}: {held} of the {others} others "
            f"each; expected at most {sets}"
        )
    held += len(part.val_unseen) or held
    if len(classes) - held < FEWEST_SEEN:
        said.append(
            f"zero_shot.unseen: of {len(classes)} classes {held} are held out, those for validation included, and {max(0, len(classes) - held)} "
            f"are left to train on; at least {FEWEST_SEEN} are needed. Hold out fewer, or name fewer in zero_shot.val_unseen."
        )
    return said
