"""What a zero-shot study's numbers hold for: which classes are pretended unseen or unseen, and how many images serve what. Called by `search`."""

from typing import Any

from trainables.datasets.packs import Pack
from trainables.datasets.splits import Split
from trainables.zero_shot.settings import ZeroShotPart, pretended_unseen, zero_shot_folds
from trainables.zero_shot.split import zero_shot_split


def conditions(part: ZeroShotPart, pack: Pack, parts: Split, *, seed: int) -> dict[str, Any]:
    """Says it as plain data.

    Args:
        part: which classes are unseen.
        pack: the data set.
        parts: its split.
        seed: the study's.

    Returns:
        `folds`, a list with one item for each set of unseen classes: `unseen` and `pretended_unseen`, lists of classes, and `images`: `val` and
        `test`, each with the number of images `trained` on and `scored`.
    """
    folds = []
    for unseen in zero_shot_folds(part, pack.classes):
        pretended = pretended_unseen(part, pack.classes, unseen, seed=seed)
        courses = {
            "val": zero_shot_split(pack, parts, unseen=pretended, absent=unseen, scored="val"),
            "test": zero_shot_split(pack, parts, unseen=unseen, scored="test"),
        }
        images = {name: {"trained": len(course.train), "scored": len(course.seen) + len(course.unseen)} for name, course in courses.items()}
        folds.append({"unseen": list(unseen), "pretended_unseen": list(pretended), "images": images})
    return {"folds": folds}
