"""Splits of a pack into training, validation and test images: by class, by group, and the same for the same settings on any machine.

Folds of a cross-validation are splits too (`folds`), and every split says what leaks from it (`leaks`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainables.datasets.copies.leaks import count_leaks, say_leaks
from trainables.datasets.folds import fold_parts
from trainables.datasets.listing import DEFECT_FREE
from trainables.datasets.packs import Pack
from trainables.datasets.settings import DataSettings
from trainables.errors import DatasetError, SettingsError
from trainables.seeds import child_seed
from trainables.store import stage_key

VERSION = 2
PARTS = ("train", "val", "test")

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Which images of a pack serve what; index arrays, sorted."""

    key: str
    train: Indices
    """What generators and inspectors are trained on, after `images_per_class`."""
    val: Indices
    test: Indices
    backgrounds: Indices
    """Defect-free images on the training side: part of `train` where they are a class, beside it where they are not."""
    counts: Mapping[str, Mapping[str, int]]
    """Class -> train, val, test -> number of images."""
    leaked: Mapping[str, int] = field(default_factory=dict)
    """`val`, `test`: images there that show a picture of the training side; `val_exact`, `test_exact`: those that equal one. All 0 under `strict`."""

    @property
    def leak(self) -> str:
        """What leaks, in one sentence for reports; empty where nothing does."""
        return say_leaks(self.leaked, {"val": len(self.val), "test": len(self.test)})


def split(pack: Pack, settings: DataSettings, fold: int | None = None) -> Split:
    """Splits a pack; a pure function of its arguments.

    Under `strict` a group (near-copies of one picture) lies in one part as a whole; under `paper` the published split is taken as it is.
    Equal seeds give equal validation and test images whatever `images_per_class` is, and a smaller number is a subset of a larger one. Classes that
    were added to a pack leave the others where they were; copies of these, among what was added, go where these are.

    Args:
        pack: the images.
        settings: the data section of a study.
        fold: which of `settings.folds`, from 0; None is the first one. Without folds there is only 0.

    Raises:
        DatasetError: fewer than two classes, a class with too few images or groups, a fold without a class, or no published split to follow.
        SettingsError: no such fold.
    """
    fold = fold or 0
    if not 0 <= fold < max(1, settings.folds):
        raise SettingsError(f"fold {fold}: data.folds is {settings.folds}; expected " + (f"0 to {settings.folds - 1}" if settings.folds else "0"))
    parts = _published(pack, settings) if settings.protocol == "paper" else _strict(pack, settings, fold)
    kept = _budget(pack, settings, parts)
    chosen = {part: np.flatnonzero(kept & (parts == number) & (pack.labels >= 0)) for number, part in enumerate(PARTS)}
    free = np.flatnonzero(kept & (parts == 0) & pack.defect_free)
    counts = {name: {part: int((pack.labels[chosen[part]] == label).sum()) for part in PARTS} for label, name in enumerate(pack.classes)}
    own = {
        "protocol": settings.protocol,
        "images_per_class": settings.images_per_class,
        "val_fraction": settings.val_fraction,
        "test_fraction": settings.test_fraction,
        "val_from_budget": settings.val_from_budget,
        "split_seed": settings.split_seed,
        "folds": settings.folds,
        "fold": fold,
    }
    key = stage_key("split", version=VERSION, settings=own, inputs=[pack.key])
    leaked = count_leaks(pack.groups, pack.hashes, np.union1d(chosen["train"], free), {part: chosen[part] for part in ("val", "test")})
    return Split(key=key, train=chosen["train"], val=chosen["val"], test=chosen["test"], backgrounds=free, counts=counts, leaked=leaked)


def _strata(pack: Pack) -> tuple[Indices, dict[int, str]]:
    """Gives what is split evenly, with names: classes, and within a class that holds both, good and defective images.

    Background images stand under -1, good ones of class k under -2 - k: of both, any part may have none.
    """
    strata = pack.labels.copy()
    named = dict(enumerate(pack.classes))
    if (pack.labels < 0).any():
        named[-1] = DEFECT_FREE
    for label, name in enumerate(pack.classes):
        good = (pack.labels == label) & pack.defect_free
        if 0 < good.sum() < (pack.labels == label).sum():
            strata[good] = -2 - label
            named[-2 - label] = f"{name}/{DEFECT_FREE}"
    return strata, named


def _strict(pack: Pack, settings: DataSettings, fold: int) -> npt.NDArray[np.int8]:
    """Gives the part (0 train, 1 val, 2 test) of each image, whole groups at a time, class by class."""
    if len(pack.classes) < 2:
        raise DatasetError(
            f"one class only ({', '.join(pack.classes) or 'none'}); an inspector needs at least two to tell apart.\n"
            "  Add a folder of another class; defect-free images count as one with data.defect_free: class."
        )
    strata, names = _strata(pack)
    generations = pack.generations if pack.generations is not None else np.zeros(len(pack.labels), dtype=np.int64)
    came = {label: int(generations[strata == label].min()) if (strata == label).any() else 0 for label in names}
    parts = np.full(len(pack.labels), -1, dtype=np.int8)
    problems: list[str] = []
    for generation in range(int(generations.max(initial=0)) + 1):
        rows = generations == generation
        named = {label: name for label, name in names.items() if came[label] == generation}
        # A copy of a picture that was there goes where that went: it moves nothing of the earlier split, and does not straddle.
        known = dict(zip(pack.groups[parts >= 0].tolist(), parts[parts >= 0].tolist(), strict=True))
        for row in np.flatnonzero(rows & np.isin(pack.groups, list(known))):
            parts[row] = known[int(pack.groups[row])]
        rows &= parts < 0
        if settings.folds:
            parts[rows] = fold_parts(pack.groups[rows], strata[rows], named, _owners(pack.groups[rows], strata[rows]), settings, fold)
        else:
            parts[rows] = _deal_classes(pack.groups[rows], strata[rows], named, settings, problems)
    if problems:
        raise DatasetError(
            "classes with too few different pictures:\n" + "\n".join(problems) + "\n  Add images of these classes, or remove their folders."
        )
    return parts


def _deal_classes(groups: Indices, strata: Indices, names: Mapping[int, str], settings: DataSettings, problems: list[str]) -> npt.NDArray[np.int8]:
    """Gives the part of each image, class by class; classes with too few pictures of their own are told."""
    owner = _owners(groups, strata)
    parts = np.zeros(len(groups), dtype=np.int8)
    for label, name in names.items():
        pictures = np.array([group for group, own in owner.items() if own == label], dtype=np.int64)
        sizes = np.array([(groups == group).sum() for group in pictures], dtype=np.int64)
        if label >= 0 and len(pictures) < 3:
            images = int((strata == label).sum())
            found = f"{images} image{'s' if images != 1 else ''}" + (
                f", which show only {len(pictures)} different pictures" if images > len(pictures) else ""
            )
            problems.append(f"  {name}: {found}; at least 3 are needed, one each to train, validate and test")
            continue
        rng = np.random.default_rng(child_seed(settings.split_seed, "split", name))
        for group, part in zip(pictures, _deal(sizes, settings, rng), strict=True):
            parts[groups == group] = part
    return parts


def _owners(groups: Indices, strata: Indices) -> dict[int, int]:
    """Gives each group the stratum that most of its images have; the lowest of equals."""
    owner: dict[int, int] = {}
    for group in np.unique(groups):
        labels, counts = np.unique(strata[groups == group], return_counts=True)
        owner[int(group)] = int(labels[np.argmax(counts)])
    return owner


def _deal(sizes: Indices, settings: DataSettings, rng: np.random.Generator) -> list[int]:
    """Deals groups to the parts; each goes where most is missing, big ones first so that they do not burst a small part."""
    total = int(sizes.sum())
    val, test = (max(1, round(total * share)) for share in (settings.val_fraction, settings.test_fraction))
    wanted = np.array([max(1, total - val - test), val, test], dtype=np.float64)
    big = sizes > wanted[1:].min() / 2
    order = rng.permutation(len(sizes))
    order = np.concatenate([sorted(order[big[order]], key=lambda i: -sizes[i]), order[~big[order]]]).astype(np.int64)
    missing = wanted.copy()
    dealt = np.zeros(len(sizes), dtype=np.int64)
    for place, i in enumerate(order):
        empty = [part for part in range(3) if missing[part] == wanted[part]]
        # The last groups go to parts that have none yet, so that no part of a class stays empty.
        open_parts = empty if len(order) - place <= len(empty) else range(3)
        part = max(open_parts, key=lambda part: (missing[part] / wanted[part], -part))
        missing[part] -= sizes[i]
        dealt[i] = part
    return [int(part) for part in dealt]


def _published(pack: Pack, settings: DataSettings) -> npt.NDArray[np.int8]:
    """Takes the publisher's parts; validation comes out of training where the publisher made none."""
    known = set(np.unique(pack.published).tolist())
    if not {"train", "test"} <= known or "" in known:
        raise DatasetError(
            f"data.protocol: paper follows a published split, but this data set has {', '.join(sorted(known - {''})) or 'none'}"
            f"{' and images outside of it' if '' in known and len(known) > 1 else ''}.\n"
            "  Expected train and test (and val). Use protocol: strict."
        )
    parts = np.select([pack.published == "val", pack.published == "test"], [1, 2], 0).astype(np.int8)
    if "val" not in known:
        strata, names = _strata(pack)
        for label, name in names.items():
            here = np.flatnonzero((strata == label) & (parts == 0))
            rng = np.random.default_rng(child_seed(settings.split_seed, "published", name))
            parts[rng.permutation(here)[: max(1, round(len(here) * settings.val_fraction))]] = 1
    return parts


def _budget(pack: Pack, settings: DataSettings, parts: npt.NDArray[np.int8]) -> npt.NDArray[np.bool_]:
    """Keeps `images_per_class` of the training images; with `val_from_budget` training and validation together keep that many."""
    kept = np.ones(len(parts), dtype=bool)
    if settings.images_per_class == "all":
        return kept
    pools = {label: [_shuffled(pack, settings, parts, label, part) for part in (0, 1)] for label in range(len(pack.classes))}
    inside = settings.val_from_budget
    room = {label: len(train) + (len(val) if inside else 0) for label, (train, val) in pools.items()}
    number = min(room.values()) if settings.images_per_class == "fewest" else settings.images_per_class
    short = {pack.classes[label]: have for label, have in room.items() if have < number}
    if short:
        raise DatasetError(
            f"data.images_per_class: {number} wanted, but there are fewer {'to train and validate on' if inside else 'to train on'}: "
            + ", ".join(f"{name} {have}" for name, have in short.items())
            + f".\n  At most {min(room.values())} with these fractions; `fewest` takes as many as the rarest class has, `all` takes every one."
        )
    for train, val in pools.values():
        held_out = min(len(val), max(1, round(number * settings.val_fraction)), number - 1) if inside else 0
        held_out = max(held_out, number - len(train)) if inside else 0
        kept[train[number - held_out :]] = False
        if inside:
            kept[val[held_out:]] = False
    return kept


def _shuffled(pack: Pack, settings: DataSettings, parts: npt.NDArray[np.int8], label: int, part: int) -> Indices:
    here = np.flatnonzero((pack.labels == label) & (parts == part))
    rng = np.random.default_rng(child_seed(settings.split_seed, "budget", pack.classes[label], part))
    return rng.permutation(here)
