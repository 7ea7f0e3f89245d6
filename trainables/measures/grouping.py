"""Which images of a split make a group, and the scores of the task for each group: by thirds of defect size, and by the user's columns.

The inspector is asked once, about all images: groups only decide which of its answers are counted. Thresholds are those of the whole validation
split. Called by `steps.score_splits`.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from trainables.bench import Bench
from trainables.datasets.copies.group_columns import stored_group_columns
from trainables.datasets.packs import Pack
from trainables.datasets.splits import Indices
from trainables.inspectors.base import Config
from trainables.recipe import ScorePart
from trainables.scores.groups import by_group, column_groups, size_groups
from trainables.tasks.base import Task


def split_groups(bench: Bench, split: str) -> tuple[dict[str, Tensor], dict[str, int | float]]:
    """Sorts the pictures of a split into groups.

    Args:
        bench: whose recipe names columns; what is sorted are its `pictures`, also where an inspector sees patches of them.
        split: val or test.

    Returns:
        By name (`small`, `line=3`) a mask over the pictures of the split in their order, and what is to be known of each group: its number of images
        (`val_images@small`), and, of sizes, the largest share of an image that a defect covers (`val_largest_defect@small`).
    """
    pictures, recipe = bench.pictures, bench.recipe
    rows: Indices = getattr(pictures.parts, split)
    groups, facts = sizes(pictures.task, rows, split)
    if recipe.scores.columns:
        groups |= columns(bench, recipe.scores, pictures.pack, rows)
    return groups, {f"{split}_images@{name}": int(mask.sum()) for name, mask in groups.items()} | facts


def sizes(task: Task, rows: Indices, split: str) -> tuple[dict[str, Tensor], dict[str, int | float]]:
    """Sorts pictures into thirds by the size of their defects; none where nobody knows a size."""
    areas = task.areas(rows)
    thirds = {name: mask for name, mask in size_groups(areas, defect_free=task.weighs_sound).items() if bool((mask & (areas > 0)).any())}
    return thirds, {f"{split}_largest_defect@{name}": round(float(areas[mask].nan_to_num().max()), 5) for name, mask in thirds.items()}


def columns(bench: Bench, part: ScorePart, pack: Pack, rows: Indices) -> dict[str, Tensor]:
    """Sorts pictures by the user's columns."""
    assert part.columns_hash is not None, "a study that names columns has read them"
    found = stored_group_columns(bench.recipe.data, part.columns, part.columns_hash, pack, bench.store)
    groups: dict[str, Tensor] = {}
    for column in part.columns:
        values = found.values[column]
        groups |= column_groups(column, [values[row] for row in np.asarray(rows).tolist()])
    return groups


def group_scores(
    task: Task, groups: Mapping[str, Tensor], said: Mapping[str, Tensor], *, validated: Mapping[str, Tensor], config: Config, split: str
) -> dict[str, float | None]:
    """Scores what an inspector said, group by group.

    Args:
        task: of the pictures.
        groups: as `split_groups` gives them.
        said: of all pictures of the split, one row each, in the order of the split: of inspectors that see patches, what became of these.
        validated: the same of the validation split.
        config: the inspector's settings.
        split: opens every name.
    """

    def score(rows: Tensor) -> dict[str, float | None]:
        own = {name: values[rows] for name, values in said.items()}
        return task.score(own, validated=validated, config=config, split=split, partly=True).values

    count = len(next(iter(said.values())))
    return by_group(score, groups, torch.arange(count))
