"""The images of a zero-shot trial: those of seen classes to train and validate on, and those of classes held out, which only scores read.

Called by `zero_shot.unit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trainables.bench import Bench
from trainables.datasets.packs import Pack
from trainables.datasets.splits import Indices, Split
from trainables.errors import SettingsError
from trainables.store import stage_key
from trainables.tasks.classify import Classify
from trainables.zero_shot.settings import FEWEST_SEEN

VERSION = 1
"""Counts up when the same split and classes would give other images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ZeroShotSplit:
    """Which images serve what; index arrays into the pack, sorted. No array but `unseen` holds an image of an unseen or absent class."""

    key: str
    """Names the images and classes that training and validation know: the same wherever these are the same, whatever is scored."""
    seen_classes: tuple[str, ...]
    """In the pack's order; their labels here are their positions."""
    unseen_classes: tuple[str, ...]
    """In the pack's order; their labels go on behind the seen ones."""
    scored: Literal["val", "test"]
    """The part of the split that the scores are taken on."""
    train: Indices
    val: Indices
    test: Indices
    """Of seen classes; empty unless scores are taken on test."""
    unseen: Indices
    """Of unseen classes, in the part that is scored."""

    @property
    def seen(self) -> Indices:
        """Images of seen classes in the part that is scored."""
        return self.val if self.scored == "val" else self.test


def zero_shot_split(
    pack: Pack, parts: Split, *, unseen: Sequence[str], absent: Sequence[str] = (), scored: Literal["val", "test"] = "test"
) -> ZeroShotSplit:
    """Takes the classes that are unseen or absent out of a split; a pure function of its arguments.

    Where one image of a group is of a class held out, all of the group are: near-copies of a picture that shows an unseen class are not trained on
    under another label.

    Args:
        pack: the data set.
        parts: its split.
        unseen: classes that only scores may read.
        absent: classes that nothing may read at all: the truly unseen ones, while others are pretended to be.
        scored: the part that scores are taken on.

    Raises:
        SettingsError: fewer than two classes are left, or a class is unknown.
    """
    held = [cls for cls in pack.classes if cls in {*unseen, *absent}]
    if unknown := sorted({*unseen, *absent} - set(pack.classes)):
        raise SettingsError(f"zero_shot: no class is called {', '.join(unknown)}; there are {', '.join(pack.classes)}")
    seen = tuple(cls for cls in pack.classes if cls not in held)
    if len(seen) < FEWEST_SEEN:
        raise SettingsError(f"zero_shot: {len(seen)} of {len(pack.classes)} classes are left to train on; at least {FEWEST_SEEN} are needed")
    strange = np.isin(pack.labels, [pack.classes.index(cls) for cls in held])
    strange |= np.isin(pack.groups, np.unique(pack.groups[strange]))
    wanted = np.isin(pack.labels, [pack.classes.index(cls) for cls in unseen])
    # A picture of an absent class is not to be read under the label of an unseen one either.
    gone = np.isin(pack.labels, [pack.classes.index(cls) for cls in absent])
    wanted &= ~np.isin(pack.groups, np.unique(pack.groups[gone]))
    part = parts.val if scored == "val" else parts.test
    return ZeroShotSplit(
        key=stage_key("zero_shot_split", version=VERSION, settings={"seen": list(seen), "held_out": held}, inputs=[parts.key]),
        seen_classes=seen,
        unseen_classes=tuple(cls for cls in pack.classes if cls in unseen),
        scored=scored,
        train=parts.train[~strange[parts.train]],
        val=parts.val[~strange[parts.val]],
        test=parts.test[~strange[parts.test]] if scored == "test" else parts.test[:0],
        unseen=part[wanted[part]],
    )


class ZeroShot(Classify):
    """Names classes; features are made of all of them, since here a defect-free surface is a class like any other."""

    @property
    def defects(self) -> dict[int, str]:
        """Labels and names of all classes."""
        return dict(enumerate(self.pack.classes))


def seen_bench(bench: Bench, split: ZeroShotSplit) -> Bench:
    """Takes the view of a bench that training and validation have: of seen classes, relabelled, under a key of their own.

    Images of other classes have no label in it, and stand in no part.
    """
    place = {bench.pack.classes.index(cls): label for label, cls in enumerate(split.seen_classes)}
    labels = np.array([place.get(int(label), -1) for label in bench.pack.labels], dtype=np.int64)
    pack = replace(bench.pack, key=split.key, classes=split.seen_classes, labels=labels)
    rows = {"train": split.train, "val": split.val, "test": split.test}
    counts = {cls: {name: int((labels[own] == label).sum()) for name, own in rows.items()} for label, cls in enumerate(split.seen_classes)}
    free = bench.parts.backgrounds[np.isin(bench.parts.backgrounds, split.train)]
    parts = replace(bench.parts, key=split.key, train=split.train, val=split.val, test=split.test, backgrounds=free, counts=counts)
    return replace(bench, pack=pack, parts=parts, task=ZeroShot(pack))
