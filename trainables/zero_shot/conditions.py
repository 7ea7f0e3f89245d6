"""What a zero-shot study's numbers hold for: which classes are pretended unseen or unseen, and how many images serve what. Called by `search`."""

import statistics
from collections.abc import Sequence
from typing import Any

from trainables.datasets.packs import Pack
from trainables.datasets.splits import Split
from trainables.zero_shot.settings import ZeroShotPart, pretended_unseen, zero_shot_folds
from trainables.zero_shot.split import ZeroShotSplit, zero_shot_split


def conditions(part: ZeroShotPart, pack: Pack, parts: Split, *, seed: int) -> dict[str, Any]:
    """Says it as plain data.

    Args:
        part: which classes are unseen.
        pack: the data set.
        parts: its split.
        seed: the study's.

    Returns:
        `folds`, a list with one item for each set of unseen classes: `unseen`, a list of classes, `pretended_unseen`, such a list for each draw, and
        `images`: `val` and `test`, each with the number of images `trained` on and `scored`, on `val` the mean over draws.
    """
    folds = []
    for unseen in zero_shot_folds(part, pack.classes):
        draws = pretended_unseen(part, pack.classes, unseen, seed=seed)
        courses = {
            "val": [zero_shot_split(pack, parts, unseen=pretended, absent=unseen, scored="val") for pretended in draws],
            "test": [zero_shot_split(pack, parts, unseen=unseen, scored="test")],
        }
        images = {name: _counts(splits) for name, splits in courses.items()}
        folds.append({"unseen": list(unseen), "pretended_unseen": [list(pretended) for pretended in draws], "images": images})
    return {"folds": folds}


def _counts(splits: Sequence[ZeroShotSplit]) -> dict[str, int]:
    """Counts the images of courses, as means."""
    trained, scored = [len(split.train) for split in splits], [len(split.seen) + len(split.unseen) for split in splits]
    return {"trained": round(statistics.fmean(trained)), "scored": round(statistics.fmean(scored))}
