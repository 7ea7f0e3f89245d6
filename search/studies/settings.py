"""The sections of a study file beside its data and its space, and what is settled when a study starts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from reports.race import Layout
from search.studies.budgets import BudgetSettings
from spaces.domains import nearest
from trainables.errors import SettingsError
from trainables.scores.names import (
    CORRUPTIONS,
    EXTRACTORS,
)

Baseline = Literal["plain", "oversample", "undersample", "augment"]


DEFAULT_LADDER = "default"
"""Names the ladder of marks of families that have none of their own."""


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


def possible_extractors(scores: ScoreSettings) -> tuple[str, ...]:
    """Lists the extractors that a study may end up with."""
    return EXTRACTORS if scores.extractor == "auto" else (scores.extractor,)
