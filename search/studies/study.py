"""The study file: what is searched, in what data, for which scores, with which means. Typed, strict, every complaint with its line.

`study_file` reads it, `checks` looks at what it asks for; `recipes` turns a study and a suggestion into the recipe of one trial.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from search.studies.objectives import Limit, Objective, objective_problem
from search.studies.settings import Resolved, Resources, ScoreSettings, SearchSettings, Storage
from spaces.domains import Choice
from spaces.space import Space
from trainables.datasets.settings import DataSettings
from trainables.scores.names import (
    full_name,
)
from trainables.settings import to_plain
from trainables.tasks import TaskName
from trainables.zero_shot.settings import ZeroShotPart


class StudyError(Exception):
    """A study file that cannot be run, or not any more: every problem with its file:line and its cure."""


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


def _options(space: Space, name: str) -> tuple[str, ...]:
    domain = space.tree[name]
    assert isinstance(domain, Choice)
    return tuple(str(option) for option in domain.options)
