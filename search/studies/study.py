"""The study file: what is searched, in what data, for which scores, with which means. Typed, strict, every complaint with its line.

`study_file` reads it, `checks` looks at what it asks for; `recipes` turns a study and a suggestion into the recipe of one trial.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from reports.race import Layout
from search.studies.budgets import BudgetSettings
from spaces.domains import Choice, nearest
from spaces.space import Space
from trainables.datasets.settings import DataSettings
from trainables.errors import SettingsError
from trainables.scores.names import (
    CORRUPTIONS,
    COSTS,
    EXTRACTORS,
    MMD,
    ROBUSTNESS,
    SIZE_GROUPS,
    TASK_SCORES,
    TASK_SCORES_PER_CLASS,
    Direction,
    class_set_names,
    full_name,
    group_label,
    image_score_names,
    parse_name,
    robustness_names,
    score_names,
    set_score_names,
)
from trainables.settings import to_plain
from trainables.tasks import TASKS, TaskName
from trainables.zero_shot.settings import ZeroShotPart


class StudyError(Exception):
    """A study file that cannot be run, or not any more: every problem with its file:line and its cure."""


Baseline = Literal["plain", "oversample", "undersample", "augment"]

DEFAULT_LADDER = "default"
"""Names the ladder of marks of families that have none of their own."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings:
    """Which features the distances between image sets are measured in."""

    extractor: Literal["auto", "inception", "inspector", "random"] = "auto"
    """auto takes inception where its weights can be had, otherwise inspector; resolved once, when the study starts."""
    inception_weights: str | None = None
    """Path of the standard Inception weights (weights-inception-2015-12-05-6726825d.pth)."""
    diagnostics: Literal["confirmed", "always", "never"] = "confirmed"
    """When to train on synthetic images and test on real ones (`val_tstr_accuracy`, ...), and the reverse (`val_trts_accuracy`, ...), which takes two
    more inspectors: of the trials that are confirmed, of every trial, or of none. Where one of them is an objective, of every trial."""
    columns: tuple[str, ...] = ()
    """Columns of the CSV of `data.groups`, by whose values every score of the task is given too: `val_accuracy@line=3`. By size of the defects
    (`val_iou@small`) they are given wherever masks or boxes tell it."""
    robustness: bool | Literal["all"] | tuple[str, ...] = ()
    """What the images of the test split are disturbed by for the trials that are confirmed: true or all, or a list of blur, noise, salt_and_pepper,
    brightness, scratches, gradient. Each costs five more passes over the split. Where `val_robustness.<corruption>` is an objective, validation
    images are disturbed in every trial."""

    def __post_init__(self) -> None:
        wrong = [name for name in self.corruptions if name not in CORRUPTIONS]
        problems = [f"robustness: {name!r} is no corruption; {nearest(name, list(CORRUPTIONS))}" for name in wrong]
        if len(set(self.group_columns)) != len(self.columns) or not all(self.group_columns):
            problems.append("columns: expected names of different columns")
        if problems:
            raise SettingsError("\n".join(problems))

    @property
    def corruptions(self) -> tuple[str, ...]:
        """What the robustness of confirmed trials is measured against."""
        if isinstance(self.robustness, tuple):
            return self.robustness
        return CORRUPTIONS if self.robustness else ()

    @property
    def group_columns(self) -> tuple[str, ...]:
        """The columns as a table's header is read: in small letters."""
        return tuple(column.strip().lower() for column in self.columns)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfirmSettings:
    """The end of a study: the best trials and the baselines again, with fresh seeds, on the test split."""

    top: int = 3
    """Trials of the front that are confirmed, each with its own inspector on real images alone, beside the best baselines; 0 confirms none."""
    seeds: int = 3
    """Replicates of each."""
    retrain_generator: bool = False
    """True trains the generator anew for every replicate; False changes the inspector's seed alone."""
    generators: int = 0
    """So many generators are trained anew for each leader, and each meets every seed of the inspector (generators x seeds replicates), which tells
    what the generator's seed changes from what the inspector's does. Two say little of it, three or more are worth their cost. 0 crosses nothing."""
    race: bool = True
    """Whether leaders are first repeated on validation, in rounds of 3, 5, 8, ... seeds, and clear losers are not judged on test; from 4 seeds and 2
    leaders on. The repeats are those that the judging needs, so that a race in which nobody loses costs nothing."""

    def __post_init__(self) -> None:
        problems = ["top must be 0 or more, seeds 1 or more"] if self.top < 0 or self.seeds < 1 else []
        if self.generators and not 2 <= self.generators <= self.seeds:
            wanted = f"0, or 2 to {self.seeds} as there are seeds" if self.seeds >= 2 else "0, or 2 and more with at least as many seeds"
            problems.append(f"generators: {self.generators}; expected {wanted}")
        if self.generators and self.retrain_generator:
            problems.append("retrain_generator: generators trains them anew already; give one of both")
        if problems:
            raise SettingsError("\n".join(problems))

    @property
    def layout(self) -> Layout:
        """The seeds of each repeat."""
        return Layout(seeds=self.seeds, retrain_generator=self.retrain_generator, generators=self.generators, race=self.race and self.top > 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingSettings:
    """Whether trials end at a rung, before their generator is trained on or an inspector is trained behind it."""

    enabled: bool | Literal["auto"] = "auto"
    """auto: for families whose ladder has several marks. These were given to spend less on what looks bad early; a study with a single mark says
    that every generator is to be seen to its end."""
    reduction_factor: float = 3.0
    """On the way to its mark a trial goes on that is among the best 1/reduction_factor at a rung; at its own mark the worst
    1/reduction_factor end."""
    among: Literal["family", "all"] = "family"
    """Generators of which a trial is held against: those of its family, or all."""
    least_results: int = 6
    """Scores at a rung, and generators with a final score, before anything is stopped."""
    pass_share: float = 0.1
    """Share of trials that go on regardless, drawn by the trial's number: what the trust in rung scores rests on."""
    least_correlation: float = 0.3
    """Least rank correlation between rung score and final score for a family to be stopped by it."""
    least_low: float = 0.0
    """The lower end of its 80 % interval must lie above this."""

    def __post_init__(self) -> None:
        problems = [f"reduction_factor: {self.reduction_factor} is not above 1"] if not 1 < self.reduction_factor < math.inf else []
        problems += [f"least_results: {self.least_results} is fewer than 2"] if self.least_results < 2 else []
        problems += [f"pass_share: {self.pass_share} is not between 0 and 1"] if not 0 <= self.pass_share <= 1 else []
        for name in ("least_correlation", "least_low"):
            problems += [f"{name}: {value} is not between -1 and 1"] if not -1 <= (value := getattr(self, name)) <= 1 else []
        if problems:
            raise SettingsError("\n".join(problems))


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """How much is tried, and in which order."""

    trials: int = 40
    """Trials in all, baselines included, the confirmations at the end not."""
    marks: tuple[float, ...] | Mapping[str, tuple[float, ...]] = (20.0,)
    """Ladder of budgets of a generator in kimg (thousands of real training images shown), increasing; new configurations start at the lowest. A list
    for all families, or a list for each, `{default: [5, 20], stylegan2: [20, 80]}`, where default is that of families not named."""
    sampler: Literal["linked", "tpe", "random", "grid", "qmc", "nsga2", "gp"] = "linked"
    """Who suggests once baselines, paper settings and `try` are through. linked: two models, of generators and of what stands behind them, that weigh
    every move by what it adds a second. The others suggest whole points, and never use a generator again."""
    baselines: tuple[Baseline, ...] = ("plain", "oversample", "undersample", "augment")
    """Trials on real images alone that come first, for every inspector; `plain` is always among them."""
    paper_settings: bool = True
    """Whether each family's paper settings are tried before anything else is suggested."""
    tries: tuple[Mapping[str, Any], ...] = ()
    """The user's own points, tried next; `search.try` in the file. Settings that are left out take their defaults."""
    warm_start: tuple[str, ...] = ()
    """Earlier runs, their folders or their trials.parquet, that the search learns from before its first trial. Of equal images and distances scores
    count as they are; of others, the best settings are tried first. None of their trials counts as one of this study."""
    stopping: StoppingSettings = field(default_factory=StoppingSettings)
    confirm: ConfirmSettings = field(default_factory=ConfirmSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)

    def __post_init__(self) -> None:
        problems = []
        if self.trials < 1:
            problems.append(f"trials: {self.trials} is fewer than 1")
        if isinstance(self.marks, Mapping):
            problems += [f"marks: {name}: {text}" for name, marks in self.marks.items() if (text := _ladder_problem(marks))]
            problems += [] if self.marks else ["marks: expected a list for each family, for example {default: [5, 20]}"]
        elif text := _ladder_problem(self.marks):
            problems.append(f"marks: {text}")
        if len(set(self.baselines)) != len(self.baselines) or self.baselines[:1] != ("plain",):
            problems.append("baselines: expected plain first, then any of oversample, undersample, augment, each once")
        problems += [f"warm_start: {run} is given twice" for run in dict.fromkeys(self.warm_start) if self.warm_start.count(run) > 1]
        if problems:
            raise SettingsError("\n".join(problems))

    def ladder(self, family: str) -> tuple[float, ...]:
        """Gives the marks of a family, lowest first; none where neither it nor default has a ladder."""
        return self.marks.get(family, self.marks.get(DEFAULT_LADDER, ())) if isinstance(self.marks, Mapping) else self.marks

    @property
    def every_mark(self) -> tuple[float, ...]:
        """All marks of all ladders, lowest first."""
        ladders = self.marks.values() if isinstance(self.marks, Mapping) else [self.marks]
        return tuple(sorted({mark for ladder in ladders for mark in ladder}))


def _ladder_problem(marks: Sequence[float]) -> str | None:
    """Says what is wrong with the marks of a ladder; None where nothing is."""
    if not marks or not all(0 < mark < math.inf for mark in marks) or len(set(marks)) != len(marks):
        return "expected different numbers above 0, in kimg, for example [5, 20]"
    if list(marks) != sorted(marks):
        said, wanted = ([", ".join(f"{mark:g}" for mark in order)] for order in (marks, sorted(marks)))
        return f"[{said[0]}] does not increase; expected [{wanted[0]}]"
    return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """With what it runs. Of these only precision changes a number."""

    workers: int | Literal["auto"] = "auto"
    """Trials at a time."""
    cpus_per_trial: int | Literal["auto"] = "auto"
    """Processors, and threads, of each trial."""
    gpus_per_trial: float | Literal["auto"] = "auto"
    """Share of a GPU for each trial."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto takes bf16 where the device is good at it; resolved once, when the study starts."""

    def __post_init__(self) -> None:
        for name in ("workers", "cpus_per_trial"):
            if (count := getattr(self, name)) != "auto" and count < 1:
                raise SettingsError(f"{name}: {count} is fewer than 1")
        if self.gpus_per_trial != "auto" and not 0 <= self.gpus_per_trial < math.inf:
            raise SettingsError(f"gpus_per_trial: {self.gpus_per_trial} is not a number, 0 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class Storage:
    """Where things are kept."""

    runs: str = "runs"
    """Folder of the runs, each in a folder named like its study."""
    store: str = "store"
    """Results of stages, shared between studies: a folder, or a URI of any pyarrow file system."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What was decided once, when the study started."""

    extractor: Literal["inception", "inspector", "random"]
    precision: Literal["fp32", "bf16"]
    fingerprint: str
    """Content hash of the data set."""
    inception_weights: str | None = None
    """Path of the weights, with `inception`."""
    weights_hash: str | None = None
    """SHA-256 of those weights."""
    attributes: str | None = None
    """Content hash of the classes' attribute vectors, where a generator may be told the class by them."""
    columns: str | None = None
    """Content hash of the columns by which scores are grouped."""
    folds: int = 1
    """How many folds each trial has: those of the data, or the sets of unseen classes of task zero_shot."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Content hash of each file of weights that an inspector begins with, by the path that the run began with."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Where those of them are now that were moved since."""
    extended: Mapping[str, float | None] = field(default_factory=dict)
    """What the study file said of each number that `run --extend` has changed since: trials, hours, gpu_hours, money, disk_gib."""
    warm_start: str | None = None
    """SHA-256 of `warm_start.parquet`, what the run has learned from earlier ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A study, checked."""

    name: str
    """Name of the run's folder."""
    seed: int = 0
    """Every random number of the study descends from it."""
    task: TaskName = "classify"
    """What inspectors are to do."""
    data: DataSettings
    space: Space
    """What may vary, narrowed."""
    objectives: tuple[Objective, ...]
    limits: tuple[Limit, ...] = ()
    """What a trial must keep to: `{inspector_ms_p95: 80}` is at most 80, `{val_recall: 0.9}` at least 0.9, because more of it is better."""
    scores: ScoreSettings = field(default_factory=ScoreSettings)
    zero_shot: ZeroShotPart | None = None
    """Which classes are unseen, in task zero_shot; what stands for them is `space.zero_shot.unseen_ce`."""
    search: SearchSettings = field(default_factory=SearchSettings)
    resources: Resources = field(default_factory=Resources)
    storage: Storage = field(default_factory=Storage)
    resolved: Resolved | None = None
    """None until the study starts."""

    @property
    def run_folder(self) -> Path:
        """Folder of the study's run."""
        return Path(self.storage.runs) / self.name

    @property
    def families(self) -> tuple[str, ...]:
        """Names of the generator families in the study."""
        return _options(self.space, "generator.family")

    @property
    def inspectors(self) -> tuple[str, ...]:
        """Names of the inspectors in the study, the first being the one whose features and confidences are used."""
        return _options(self.space, "inspector.kind")

    def ladder(self, family: str) -> tuple[float, ...]:
        """Gives the marks that a family may be trained to, lowest first: its ladder, as far as `space.generator.kimg` leaves it."""
        left = self.space.tree["generator.kimg"].grid(0)
        return tuple(mark for mark in self.search.ladder(family) if mark in left) or self.search.ladder(family)

    def rungs(self, family: str, kimg: float) -> tuple[float, ...]:
        """Gives the marks at which a trial of a family tells how its generator stands; none where it is not to be stopped."""
        ladder, enabled = self.ladder(family), self.search.stopping.enabled
        return tuple(mark for mark in ladder if mark <= kimg) if enabled is True or (enabled == "auto" and len(ladder) > 1) else ()

    def resolve(self, resolved: Resolved) -> "Study":
        """Gives the study with what was decided at its start, its objectives under their full names.

        Raises:
            StudyError: an objective is measured with another extractor than the resolved one.
        """
        extractor = resolved.extractor
        objectives = tuple(replace(item, score=full_name(item.score, extractor)) for item in self.objectives)
        limits = tuple(replace(item, score=full_name(item.score, extractor)) for item in self.limits)
        stops = self.search.budget.stops
        stops = replace(stops, target={full_name(score, extractor): value for score, value in stops.target.items()})
        named = [("objectives", item.score) for item in objectives] + [("limits", item.score) for item in limits]
        named += [("search.budget.stops.target", score) for score in stops.target]
        problems = [(place, objective_problem(score, None, (extractor,), self.task, columns=self.scores.group_columns)) for place, score in named]
        if told := [f"{place}: {text}" for place, text in problems if text]:
            raise StudyError("\n".join(told))
        search = replace(self.search, budget=replace(self.search.budget, stops=stops))
        return replace(self, objectives=objectives, limits=limits, search=search, resolved=resolved)

    def to_plain(self) -> dict[str, Any]:
        """Writes the study as the plain data of a study file, complete."""
        search = to_plain(self.search)
        search["try"] = search.pop("tries")
        return {
            "study": self.name,
            "seed": self.seed,
            "task": self.task,
            "data": to_plain(self.data),
            "space": self.space.to_plain(),
            "objectives": {item.score: item.direction for item in self.objectives},
            "limits": {item.score: item.bound for item in self.limits},
            "scores": to_plain(self.scores),
            "zero_shot": _without_embedding(self.zero_shot),
            "search": search,
            "resources": to_plain(self.resources),
            "storage": to_plain(self.storage),
            "resolved": to_plain(self.resolved),
        }

    def to_yaml(self) -> str:
        """Writes the study as a study file: the resolved copy that lies beside a run, which can be run itself."""
        return yaml.safe_dump(self.to_plain(), sort_keys=False, allow_unicode=True, width=120)


def _without_embedding(part: ZeroShotPart | None) -> Any:
    """Writes the section of unseen classes; what stands for them is in the space."""
    return None if part is None else {name: value for name, value in to_plain(part).items() if name != "unseen_ce"}


def possible_extractors(scores: ScoreSettings) -> tuple[str, ...]:
    """Lists the extractors that a study may end up with."""
    return EXTRACTORS if scores.extractor == "auto" else (scores.extractor,)


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


def _options(space: Space, name: str) -> tuple[str, ...]:
    domain = space.tree[name]
    assert isinstance(domain, Choice)
    return tuple(str(option) for option in domain.options)
