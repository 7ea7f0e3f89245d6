"""What a study asks to be measured beside the scores of its task: by groups of images, and of disturbed images. Checks it, against the images too."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.studies.study import Study
from spaces.domains import nearest
from trainables.errors import BadInput
from trainables.scores.names import ROBUSTNESS, SIZE_GROUPS, group_label, parse_name

if TYPE_CHECKING:
    from trainables.datasets.copies.group_columns import GroupColumns
    from trainables.datasets.packs import Pack
    from trainables.datasets.splits import Split


def corruptions(study: Study, *, judge: bool) -> tuple[str, ...]:
    """Lists what a trial's images are disturbed by: what an objective is about, always; all that the study asks for, where it is judged on test."""
    aimed = [name.cls for item in study.objectives if (name := parse_name(item.score)).base == ROBUSTNESS]
    return tuple(dict.fromkeys([*(study.scores.corruptions if judge else ()), *aimed]))


def measured_problems(study: Study) -> list[tuple[str, str]]:
    """Says what cannot be measured in a study, before its images are read: (dotted name, text). Reads the header of the table of groups."""
    from trainables.datasets.copies.group_table import read_columns

    found = []
    if study.task == "zero_shot":
        text = "a router of seen and unseen classes is scored as a whole; expected nothing with task zero_shot"
        found += [(f"scores.{name}", text) for name in ("columns", "robustness") if getattr(study.scores, name)]
    columns = study.scores.group_columns
    if columns and study.data.groups is None:
        found.append(("scores.columns", f"{', '.join(columns)}: columns of the table that data.groups names, and that is not given"))
    elif columns and study.data.groups is not None:
        try:
            read_columns(study.data.groups, [], columns)
        except BadInput as error:
            found += [("scores.columns", line) for line in str(error).splitlines() if not line.startswith("  ")]
    return found


def read_groups(study: Study, pack: "Pack") -> "GroupColumns | None":
    """Reads the columns that scores are grouped by; None where the study names none.

    Raises:
        DatasetError: they cannot be read, or make no groups.
    """
    from trainables.datasets.copies.group_columns import read_group_columns

    return read_group_columns(study.data, study.scores.group_columns, pack) if study.scores.columns else None


def group_problems(study: Study, pack: "Pack", parts: "Split", columns: "GroupColumns | None") -> list[str]:
    """Says which objectives are about groups that no validation image is in."""
    from trainables.measures.grouping import sizes
    from trainables.registry import resolve
    from trainables.tasks import TASKS

    names = {item.score: group for item in study.objectives if (group := parse_name(item.score).group)}
    if not names:
        return []
    known, _ = sizes(resolve(TASKS[study.task])(pack), parts.val, "val")
    found = []
    for score, group in names.items():
        if group in SIZE_GROUPS:
            if group not in known:
                found.append(f"objectives: {score}: no validation image of that size; sizes are known by masks or boxes, which few images here have")
            continue
        column, _, value = group_label(group).partition("=")
        values = _values(columns, column, parts.val.tolist())
        if value not in values:
            found.append(f"objectives: {score}: no validation image has {column} {value}; {nearest(value, values)}")
    return found


def _values(columns: "GroupColumns | None", column: str, rows: Sequence[int]) -> list[str]:
    """Lists the values of a column that some images have."""
    if columns is None:
        return []
    return sorted({value for row in rows if (value := columns.values[column][row]) is not None})
