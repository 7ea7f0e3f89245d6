"""Cross-validation: every picture is tested on once, with all of its copies, and each fold has its share of every class. Called by `splits`."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError
from trainables.seeds import child_seed

Indices = npt.NDArray[np.int64]
Parts = npt.NDArray[np.int8]


def fold_parts(groups: Indices, strata: Indices, names: Mapping[int, str], owner: Mapping[int, int], settings: DataSettings, fold: int) -> Parts:
    """Gives the part (0 train, 1 val, 2 test) of each image in one fold: the fold is tested on, validation comes out of the rest.

    Which fold a group lies in depends on neither `fold` nor the fractions. Groups go whole, those of one stratum after another, each where most of
    the stratum is missing.

    Args:
        groups: (N,) picture that each image shows.
        strata: (N,) class of each image; negative ones are backgrounds, which may be missing anywhere.
        names: class -> name.
        owner: group -> class that it counts for.
        settings: `folds`, `val_fraction` and `split_seed` are read.
        fold: from 0 to `settings.folds - 1`.

    Raises:
        DatasetError: some part of some fold has no image of a class; names all of them.
    """
    numbers, sizes = np.unique(groups, return_counts=True)
    size = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    held: dict[int, int] = {}
    loads = np.zeros(settings.folds)
    parts_of: dict[int, int] = {}
    for stratum, name in names.items():
        own = [group for group, label in owner.items() if label == stratum]
        rng = np.random.default_rng(child_seed(settings.split_seed, "folds", name))
        dealt = _deal(own, size, loads, rng)
        held |= dealt
        rest = [group for group in own if dealt[group] != fold]
        wanted = settings.val_fraction * sum(size[group] for group in own)
        rng = np.random.default_rng(child_seed(settings.split_seed, "fold validation", fold, name))
        chosen = _take(rest, size, wanted, rng)
        parts_of |= {group: 2 if dealt[group] == fold else 1 if group in chosen else 0 for group in own}
    places = np.searchsorted(numbers, groups)
    of_fold = np.array([held[group] for group in numbers.tolist()])[places]
    parts = np.array([parts_of[group] for group in numbers.tolist()], dtype=np.int8)[places]
    _refuse_empty(strata, names, owner, of_fold, parts, fold, settings.folds)
    return parts


def _deal(own: list[int], size: Mapping[int, int], loads: npt.NDArray[np.float64], rng: np.random.Generator) -> dict[int, int]:
    """Deals groups to folds, big ones first; where a class is even, to the fold that has the fewest images of all classes so far."""
    order = sorted((own[i] for i in rng.permutation(len(own))), key=lambda group: -size[group])
    here = np.zeros(len(loads))
    dealt = {}
    for group in order:
        fold = int(np.lexsort((np.arange(len(loads)), loads, here))[0])
        here[fold] += size[group]
        loads[fold] += size[group]
        dealt[group] = fold
    return dealt


def _take(rest: list[int], size: Mapping[int, int], wanted: float, rng: np.random.Generator) -> set[int]:
    """Takes groups at random until about `wanted` images are together; at least one group is taken and at least one is left, where there are two."""
    order = [rest[i] for i in rng.permutation(len(rest))]
    taken: set[int] = set()
    images = 0
    for group in order:
        # A group that would burst the share by more than is missing without it is left.
        if len(taken) < len(order) - 1 and abs(images + size[group] - wanted) < abs(images - wanted):
            taken.add(group)
            images += size[group]
    if not taken and len(order) > 1:
        taken.add(min(order, key=lambda group: size[group]))
    return taken


def _refuse_empty(strata: Indices, names: Mapping[int, str], owner: Mapping[int, int], of_fold: Indices, parts: Parts, fold: int, folds: int) -> None:
    """Refuses folds to test on without a class, whichever fold is asked for, and a fold with no class to train or validate on."""
    problems: list[str] = []
    cure = "choose more folds: data.folds"
    for stratum, name in names.items():
        here = strata == stratum
        if stratum < 0:
            continue
        pictures = sum(label == stratum for label in owner.values())
        said = f"({_count(int(here.sum()), 'image')} of {_count(pictures, 'different picture')})"
        empty = [str(number) for number in range(folds) if not (here & (of_fold == number)).any()]
        without = [what for part, what in enumerate(("train", "validate")) if not (here & (parts == part)).any()]
        if empty:
            problems.append(f"  {name}: none in fold {', '.join(empty)} {said}")
            cure = "choose fewer folds (data.folds), or remove their folders"
        elif without:
            problems.append(f"  {name}: none to {' and '.join(without)} on in fold {fold} {said}")
    if problems:
        raise DatasetError("folds without a class:\n" + "\n".join(problems) + f"\n  Add images of these classes, or {cure}.")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
