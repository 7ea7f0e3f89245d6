"""What a search improves and what it must keep to: which scores and costs may be asked for, in which task."""

from collections.abc import Sequence
from dataclasses import dataclass

from spaces.domains import nearest
from trainables.scores.names import (
    COSTS,
    EXTRACTORS,
    MMD,
    ROBUSTNESS,
    SIZE_GROUPS,
    TASK_SCORES,
    TASK_SCORES_PER_CLASS,
    Direction,
    class_set_names,
    group_label,
    image_score_names,
    parse_name,
    robustness_names,
    score_names,
    set_score_names,
)
from trainables.tasks import TASKS, TaskName


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """One number that the search improves."""

    score: str
    """Name of a validation score or of a cost; `val_kid` and `val_frechet` mean those of the study's extractor."""
    direction: Direction


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """A bound that a trial keeps or breaks; one that breaks it is on no front, is not confirmed and not promoted."""

    score: str
    """Name of a validation score or of a cost, as for an objective."""
    bound: float
    """Most that it may be, or least where more is better."""
    direction: Direction
    """Which way is better."""

    def excess(self, value: float) -> float:
        """Says by how much a value breaks the limit; 0 or less where it keeps it."""
        return value - self.bound if self.direction == "minimize" else self.bound - value


def objective_problem(score: str, direction: str | None, extractors: Sequence[str], task: TaskName, *, columns: Sequence[str] = ()) -> str | None:
    """Says what is wrong with an objective; None where nothing is.

    Args:
        score: the name as given; a score of one class ends in `.<class>`, and the classes are not known here.
        direction: the direction as given, or None to take the score's own.
        extractors: what the study may measure with.
        task: of the study.
        columns: by whose values the study groups scores; the values are not known here.
    """
    base, dot, _ = score.partition(".")
    if "@" in base:
        return _group_problem(score, task, columns) or objective_problem(_ungrouped(score), direction, extractors, task)
    if base.startswith("test_"):
        return f"{score}: the test split is read once, at the study's end; the search may use {base.replace('test_', 'val_', 1)}{dot} only"
    known: dict[str, Direction] = {"val_kid": "minimize", "val_frechet": "minimize"}
    for extractor in extractors:
        known |= score_names(extractor, classes=("*",), task=task)
    if base == f"val_{ROBUSTNESS}" and score not in known and task != "zero_shot":
        return f"{score}: no such corruption; {nearest(score, list(robustness_names()))}"
    known |= {score: known[score], base: known[score]} if score in known else {}
    known |= {name.removesuffix(".*"): way for name, way in known.items() if name.endswith(".*")} if dot else {}
    of_images = [name for extractor in extractors for name in (*image_score_names(extractor), *class_set_names(extractor, task=task))]
    if dot and score not in known and base not in {f"val_{name}" for name in (*TASK_SCORES_PER_CLASS[task], MMD, "kid", "frechet", *of_images)}:
        return f"{score}: {base} is not measured class by class"
    if base not in known:
        others = [(*image_score_names(extractor), *set_score_names(extractor, task=task)) for extractor in EXTRACTORS if task != "zero_shot"]
        measured = [f"val_{name}" for names in others for name in names]
        if base in measured:
            return f"{score}: measured only where scores.extractor is {base.rpartition('_')[2] if base != 'val_fid' else 'inception'}"
        for other in TASKS:
            if base in score_names(extractors[0], classes=("*",), task=other):
                return f"{score}: a score of task {other}, but this study's is {task}"
        return f"{score}: no such score; {nearest(base, [name for name in known if '*' not in name])}"
    if direction is not None and direction != known[base]:
        return f"{score}: {direction!r} is not its direction; expected {known[base]}"
    return None


def _ungrouped(score: str) -> str:
    """Takes the group out of a score's name."""
    name = parse_name(score)
    return f"{name.split}_{name.base}.{name.cls}" if name.cls else f"{name.split}_{name.base}"


def _group_problem(score: str, task: TaskName, columns: Sequence[str]) -> str | None:
    """Says why a score is not measured for the group that its name has."""
    name = parse_name(score)
    bases = TASK_SCORES_PER_CLASS[task] if name.cls else TASK_SCORES[task]
    if name.base not in bases or task == "zero_shot":
        text = f"{score}: {name.split}_{name.base}{'.<class>' if name.cls else ''} is not measured by group; {nearest(name.base, list(bases))}"
        return text + ("; in a column's value, write %2E for a point" if name.cls and "=" in name.group else "")
    column, equals, value = group_label(name.group).partition("=")
    if name.group in SIZE_GROUPS or (equals and value and column in columns):
        return None
    groups = [*SIZE_GROUPS, *(f"{known}=<value>" for known in columns)]
    cure = "" if columns else "; scores.columns names columns of data.groups"
    return f"{score}: no such group as {group_label(name.group)}; there are {', '.join(groups)}{cure}"


def mixed_problem(score: str, task: TaskName) -> str | None:
    """Says why an objective cannot weigh trials whose pictures are preprocessed differently; None where it can.

    Scores of an inspector are of whole pictures, whatever it is shown, and costs too; what is measured on images is measured on patches by one trial
    and on whole pictures by another.
    """
    base = score.partition(".")[0]
    comparable = {f"val_{name}" for name in (*TASK_SCORES[task], *TASK_SCORES_PER_CLASS[task])}
    if base in COSTS or base.partition("@")[0] in comparable:
        return None
    where = "measured on patches by some trials and on whole pictures by others, never to be compared"
    return f"{score}: {where}; take scores of the inspector, or costs"


def direction_of(score: str) -> Direction:
    """Gives the direction that is better for a score that `objective_problem` found nothing against."""
    base = score.partition(".")[0].partition("@")[0]
    names: dict[str, Direction] = {"val_kid": "minimize", "val_frechet": "minimize"}
    names |= {name: way for extractor in EXTRACTORS for task in TASKS for name, way in score_names(extractor, task=task).items()}
    return "minimize" if names.get(base) == "minimize" else "maximize"
