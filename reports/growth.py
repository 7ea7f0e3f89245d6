"""What has become of the classes that an earlier run knew, once others came into the data set: the winner then and the winner now, class by class.

Pure; used by the page, the figure and the command line. The earlier run is named by `data.since` of the study, or by `report --against`. The two
winners learned from different data, with different outputs, so that no repeat of one is the twin of a repeat of the other: the interval of a
difference is that of two independent means. Numbers of a class are compared only where both runs scored it on the same images.
"""

import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from reports.records import RecordError
from reports.repeats import Estimate, Seeds, estimate
from reports.run import SCORE_WORDS, SPLIT_WORDS, Run, Trial, better, read_run
from reports.verdict import comparable_score, headline_score, points, verdict

PARTS = ("train", "val", "test")
SCORES = {"classify": ("f1", "recall"), "segment": ("iou",)}
"""Task -> its scores of a single class that both runs have; the first is the headline."""
WORDS = {"f1": "F1", "recall": "recall", **SCORE_WORDS}


class Level(NamedTuple):
    """A number of one winner."""

    value: float
    low: float | None
    """Lower end of the 95 % interval over repeats; none with a single one."""
    high: float | None
    repeats: int


class Difference(NamedTuple):
    """What a number has changed by."""

    value: float
    low: float | None
    """Lower end of the 95 % interval; none where one of the two has a single repeat."""
    high: float | None


class Row(NamedTuple):
    """One class under one score; or the mean of all that are compared, whose class is empty."""

    cls: str
    before: Level | None
    after: Level | None
    change: Difference | None
    """None for a class that was added, and for one that was scored on other images then."""
    same_images: bool | None
    """Whether both runs scored it on the same images; none where that was not recorded, or it was added."""


class Table(NamedTuple):
    """All classes under one score."""

    score: str
    """As people write it: F1, recall, IoU."""
    old: list[Row]
    new: list[Row]
    mean: Row | None
    """Over the old classes whose images are the same, or were not recorded; none where there are none."""


class Growth(NamedTuple):
    """The change, with what it holds for."""

    earlier: str
    """Name of the earlier run."""
    split: str
    """test where both winners were confirmed, else val."""
    before: str
    """Title of the winner then: `#12 dcgan + resnet18`."""
    after: str
    before_trial: int
    after_trial: int
    tables: list[Table]
    """By score, the headline first; empty where the task has no scores of single classes."""
    sentence: str
    caveats: list[str]


class Winner(NamedTuple):
    """The trial that a run would hand over."""

    trial: Trial
    """Whose repeats count."""
    title: str
    confirmed: bool


def earlier_folder(named: str | Path, run: Path) -> Path | None:
    """Finds a run by its folder, or by its name beside another run; None where there is none."""
    places = [Path(named).expanduser(), run.parent / named, run.parent / Path(named).name]
    return next((place for place in places if (place / "study.yaml").is_file() or (place / "trials").is_dir()), None)


def find_names(named: str, run: Path) -> str:
    """Offers the nearest names of runs beside a run, as the end of a message."""
    there = sorted(path.parent.name for path in run.parent.glob("*/study.yaml") if path.parent.name != run.name)
    near = difflib.get_close_matches(named, there, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(there)}" if there else "; there is none yet"


def earlier_run(run: Run, against: str | Path | None = None) -> Run | None:
    """Reads the run that a run is compared with: `against`, or else what `data.since` of its study names and is still there.

    Raises:
        RecordError: `against` is no run, or the run itself; or a file of the earlier run is damaged.
    """
    data = run.study.get("data")
    since = data.get("since") if isinstance(data, Mapping) else None
    named = against if against is not None else since
    folder = earlier_folder(named, run.folder) if named else None
    if against is not None and folder is None:
        raise RecordError(f"{against}: no such run{find_names(str(against), run.folder)}.")
    if folder is None or folder.resolve() == run.folder.resolve():
        if against is not None:
            raise RecordError(f"{against}: a run cannot be compared with itself; name an earlier one.")
        return None
    try:
        return read_run(folder)
    except RecordError:
        # Of a run that only the study names, damage is no reason to have no report of this one.
        if against is not None:
            raise
        return None


def winner(run: Run, *, confirmed: bool = True) -> Winner | None:
    """Finds the best trial on validation, be it on real images alone: among those confirmed on test, or among all where none was.

    Args:
        run: the run.
        confirmed: False passes over confirmations.
    """
    score = comparable_score(run, headline_score(run.objectives))
    direction, trials = run.objectives.get(score, "maximize"), {trial.number: trial for trial in run.trials}
    if confirmed:
        found = verdict(run)
        judged = [(better(item.val, direction), item) for item in (found.baseline, found.best) if item is not None and item.val is not None]
        if judged:
            item = max(judged, key=lambda pair: pair[0])[1]
            return Winner(trials[item.trial], item.title, confirmed=True)
    rated = [(better(value, direction), trial) for trial in run.keeping(run.complete()) if (value := trial.score(score)) is not None]
    best = max(rated, key=lambda pair: pair[0])[1] if rated else None
    return Winner(best, best.title(), confirmed=False) if best is not None else None


def growth(run: Run, earlier: Run) -> Growth | None:
    """Compares the winners of two runs class by class; none while one of them has no finished trial.

    Args:
        run: the later run.
        earlier: the one before it.
    """
    sides = [winner(side) for side in (earlier, run)]
    if not all(side is not None and side.confirmed for side in sides):
        sides = [winner(side, confirmed=False) for side in (earlier, run)]
    before, after = sides
    if before is None or after is None:
        return None
    split = "test" if before.confirmed else "val"
    tasks = [str(side.study.get("task", "classify")) for side in (earlier, run)]
    scores = SCORES.get(tasks[1], ()) if tasks[0] == tasks[1] else ()
    made = [_table(run, earlier, before.trial, after.trial, split, score) for score in scores]
    tables = [table for table in made if table.old or table.new]
    caveats = _caveats(tables, tasks, confirmed=before.confirmed)
    sentence = _sentence(tables[0], earlier.name) if tables else f"The classes of {earlier.name} cannot be compared one by one."
    titles = before.title, after.title
    return Growth(earlier.name, split, *titles, before.trial.number, after.trial.number, tables, sentence, caveats)


def difference(before: Estimate, after: Estimate) -> Difference:
    """Gives the difference of two independent means with its interval.

    Squared errors add; the t quantile lies between those of both, weighted by what each contributes, as `repeats` does for crossed seeds (W. Cochran,
    G. Cox, "Experimental designs", 1957, section 4.14).
    """
    value = after.mean - before.mean
    error = math.hypot(before.error, after.error)
    # A half width is t times the error, so that error times half width over the common error is the weighted mean of both t, times that error.
    half = (before.error * (before.high - before.mean) + after.error * (after.high - after.mean)) / error if error > 0 else 0.0
    return Difference(value, value - half, value + half)


def _table(run: Run, earlier: Run, before: Trial, after: Trial, split: str, score: str) -> Table:
    """Compares all classes under one score."""
    names = {side: _classes(trial, f"{split}_{score}.") for side, trial in (("before", before), ("after", after))}
    old = [cls for cls in names["after"] if cls in names["before"]]
    new = [cls for cls in names["after"] if cls not in names["before"]]
    same = {cls: _same_images(run, earlier, cls, split) for cls in old}
    rows = [_row(cls, [cls], before, after, f"{split}_{score}", same[cls]) for cls in old]
    compared = [row.cls for row in rows if row.change is not None]
    mean = _row("", compared, before, after, f"{split}_{score}", None) if compared else None
    added = [Row(cls, None, _level(_means(after, [f"{split}_{score}.{cls}"])), None, None) for cls in new]
    return Table(WORDS[score], rows, added, mean)


def _row(cls: str, classes: Sequence[str], before: Trial, after: Trial, score: str, same: bool | None) -> Row:
    """Compares the mean of some classes."""
    sides = [_means(trial, [f"{score}.{name}" for name in classes]) for trial in (before, after)]
    levels = [_level(side) for side in sides]
    if same is False or levels[0] is None or levels[1] is None:
        return Row(cls, levels[0], levels[1], None, same)
    found = [estimate(side) for side in sides]
    change = difference(found[0], found[1]) if found[0] and found[1] else Difference(levels[1].value - levels[0].value, None, None)
    return Row(cls, levels[0], levels[1], change, same)


def _classes(trial: Trial, prefix: str) -> list[str]:
    """Lists the classes that a trial has a score of, in the order of its labels."""
    record = trial.record
    scored = [name.removeprefix(prefix) for name, value in (record.scores if record else {}).items() if name.startswith(prefix) and value is not None]
    order = record.classes if record else []
    return sorted(scored, key=lambda cls: (order.index(cls) if cls in order else len(order), cls))


def _means(trial: Trial, scores: Sequence[str]) -> dict[Seeds, float]:
    """Takes the mean of some scores in each repeat that has all of them, by the repeat's seeds."""
    units = trial.record.units if trial.record else []
    told = trial.asked.recipe.get("units") or []
    found: dict[Seeds, float] = {}
    for place, unit in enumerate(units):
        values = [value for name in scores if (value := unit.get(name)) is not None]
        if len(values) < len(scores) or not values:
            continue
        own = told[place] if len(told) == len(units) else {"inspector": place}
        found[own.get("generator", 0), own.get("inspector", 0), own.get("fold", 0)] = sum(values) / len(values)
    return found


def _level(repeats: Mapping[Seeds, float]) -> Level | None:
    if not repeats:
        return None
    found = estimate(repeats)
    if found is None:
        return Level(next(iter(repeats.values())), None, None, 1)
    return Level(found.mean, found.low, found.high, len(repeats))


def _same_images(run: Run, earlier: Run, cls: str, split: str) -> bool | None:
    """Says whether both runs have the same images of a class in a split; none where one of them did not record that."""
    hashes = [side.environment.get("split_hashes", {}).get(cls, {}).get(split) for side in (earlier, run)]
    return None if None in hashes else hashes[0] == hashes[1]


def _sentence(table: Table, earlier: str) -> str:
    """Says it in a line."""
    mean = table.mean
    if mean is None or mean.before is None or mean.after is None or mean.change is None:
        return f"No class of {earlier} can be compared: none is scored on the images that it was scored on then."
    count, every = sum(row.change is not None for row in table.old), len(table.old)
    who = f"{count} of {every} old classes" if count < every else "The one old class" if every == 1 else f"The {every} old classes"
    what = f"mean {table.score}" if count > 1 else table.score
    told = f"{who}: {what} {mean.before.value:.3f} -> {mean.after.value:.3f} ({points(mean.change.value)}"
    if mean.change.low is None or mean.change.high is None:
        told += "; one of the two has a single seed, so that nobody knows how sure that is)"
    else:
        sure = "" if mean.change.low > 0 or mean.change.high < 0 else ", which includes zero"
        told += f", 95% interval {points(mean.change.low)} to {points(mean.change.high)}{sure})"
    added = [f"{row.cls} {row.after.value:.3f}" for row in table.new if row.after is not None]
    return f"{told}. New: {', '.join(added)}." if added else f"{told}."


def _caveats(tables: Sequence[Table], tasks: Sequence[str], *, confirmed: bool) -> list[str]:
    """Says what the numbers do not say."""
    if tasks[0] != tasks[1]:
        return [f"The earlier run's task is {tasks[0]}, this one's {tasks[1]}: they have no score in common."]
    if not tables:
        return [f"Task {tasks[1]} has no scores of single classes, and those of all classes together are of other images than before."]
    told = []
    rows = tables[0].old
    if not rows:
        told.append("The two runs have no class in common.")
    if other := [row.cls for row in rows if row.same_images is False]:
        told.append(f"Not compared: {', '.join(other)}, scored on other {SPLIT_WORDS['test' if confirmed else 'val']} images than then.")
    if unknown := [row.cls for row in rows if row.same_images is None]:
        told.append(f"It was not recorded which images the earlier run scored {', '.join(unknown)} on: where they were others, so may be the change.")
    if not confirmed:
        told.append("Not both winners were confirmed on test; the best of many trials on validation looks better than it is, in either run.")
    if any(row.after is not None for row in tables[0].new) and len(tables) > 1:
        told.append("F1 of an old class also counts images of a new one that are taken for it; its recall is of its own images alone.")
    told.append("The interval covers what seeds change, not which images were scored.")
    return told
