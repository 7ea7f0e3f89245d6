"""A study of ours, replayed: the very code that drives a real one, `search.asker.Asker`, with its ledger in memory and its clock simulated.

table = read_table(path)
course = replay(table_study(table, seed=3), table, workers=4)
Yardstick(table).seconds_to(course, 0.95)
"""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reports.records import Asked, Record
from search.asker import Asker
from search.execution.driver import recipe_builder
from search.moves import Plan, starting_points
from search.replay.simulation import Course, Job, Result, Rung, simulate
from search.replay.table import Table, TableError
from search.runs.ledger import Attempts, Ledger
from search.studies.recipes import baseline_params
from search.studies.settings import ConfirmSettings, Resolved, SearchSettings
from search.studies.study import Study
from spaces.domains import SpaceError
from trainables.datasets.settings import DataSettings
from trainables.progress import Progress, Scores
from trainables.store import Entry, Store


def table_study(table: Table, *, seed: int = 0, trials: int = 1000, **search: Any) -> Study:
    """Makes the study that searches all of a table, and nothing else.

    Args:
        table: its settings, marks and objectives.
        seed: of the study.
        trials: how many it has at most; by default more than any budget allows.
        search: other settings of the section `search`.
    """
    settings = {"baselines": ("plain",), "paper_settings": False, "confirm": ConfirmSettings(top=0), "marks": table.marks, "trials": trials}
    return Study(
        name="replay",
        seed=seed,
        data=DataSettings(),
        space=table.space,
        objectives=table.objectives,
        search=SearchSettings(**{**settings, **search}),
        resolved=Resolved(extractor="inspector", precision="fp32", fingerprint="0" * 32),
    )


def study_plan(study: Study, table: Table, **changes: Any) -> Plan:
    """Makes the plan of a study as its driver would, with one baseline: a table has no other. What is the same at every mark has learned nothing."""
    baselines = baseline_params(study.space, ("plain",))[:1]
    return Plan(**{"study": study, "baselines": baselines, "starts": starting_points(study), "untrained": table.untrained(), **changes})


def replay(study: Study | Plan, table: Table, *, workers: int = 4, budget_s: float = math.inf) -> Course:
    """Runs a study against a table.

    Args:
        study: the study, as `table_study` makes it, or a plan of it; a narrower space than the table's is fine.
        table: what comes out.
        workers: trials at a time.
        budget_s: seconds that all workers may work, together.

    Raises:
        TableError: the study asks for what the table does not have.
    """
    plan = study if isinstance(study, Plan) else study_plan(study, table)
    _check(plan, table)
    return simulate(Search(plan), table, workers=workers, budget_s=budget_s)


class Search:
    """The search of this project, as a player."""

    shares = True

    def __init__(self, plan: Plan) -> None:
        self.now_s = 0.0
        self.ledger = MemoryLedger()
        self._asker = Asker(self.ledger, plan=plan, build=recipe_builder(plan.study), store=_Nothing(), clock=lambda: self.now_s)

    def ask(self) -> Job | None:
        """Hands out the next trial."""
        asked = self._asker.ask()
        return None if isinstance(asked, str) else Job(number=asked.trial, move=asked.move, params=asked.params)

    def rungs(self, job: Job) -> Collection[float]:
        """Gives the rungs of the trial's recipe."""
        found: Collection[float] = self.ledger.asked[job.number].recipe["rungs"]
        return found

    def rung(self, job: Job, rung: Rung) -> str | None:
        """Tells a rung score."""
        return self._asker.progress(job.number, Progress(stage="rung", kimg=rung.kimg, rung_score=rung.score, stages=list(rung.stages)))

    def stopped(self, job: Job, reason: str, result: Result) -> None:
        """Ends a trial that was stopped."""
        self._asker.prune(job.number, reason)

    def finished(self, job: Job, result: Result) -> None:
        """Ends a trial."""
        values, told = dict(result.scores), {f"{kimg:g}": score for kimg, score in result.rungs.items()}
        end = Scores(values=values, units=[values], confusion={}, classes=[], conditions={}, stages=list(result.stages), rungs=dict(told))
        self._asker.finish(job.number, end)


class MemoryLedger(Ledger):
    """A ledger without a folder: what is derived from the records is not written at all."""

    def __init__(self) -> None:
        self.run = Path("replay")
        self.lease = SimpleNamespace(epoch=1)  # type: ignore[assignment]
        self.asked: dict[int, Asked] = {}
        self.records: dict[int, Record] = {}
        self._steps: dict[int, list[dict[str, Any]]] = {}

    def attempts(self, number: int) -> Attempts:
        """Says that every trial was begun once."""
        return Attempts(begun=1)

    def ask(self, asked: Asked) -> None:
        """Keeps a suggestion."""
        self.asked[asked.trial] = asked

    def begin(self, number: int) -> Attempts:
        """Counts nothing: no simulated trial begins twice."""
        return self.attempts(number)

    def step(self, number: int, step: dict[str, Any]) -> None:
        """Keeps a step."""
        self._steps.setdefault(number, []).append(step)

    def steps(self, number: int) -> list[dict[str, Any]]:
        """Gives the steps of a trial."""
        return self._steps.get(number, [])

    def finish(self, record: Record, *, samples: bytes | None = None, files: Mapping[str, bytes] | None = None, error: str | None = None) -> Record:
        """Keeps a record."""
        self.records[record.trial] = record
        return record

    def keep(self, write: Callable[[], object]) -> None:
        """Leaves Optuna's journal and all else that is derived unwritten."""


class _Nothing(Store):
    """A store that is never asked: simulated trials have no files."""

    def __init__(self) -> None:
        self.root = "replay"

    def lookup(self, stage: str, key: str) -> Entry | None:
        return None


def _check(plan: Plan, table: Table) -> None:
    """Compares a study with a table.

    Raises:
        TableError: with every problem at once.
    """
    problems = []
    known = [goal.score for goal in table.objectives]
    for goal in plan.study.objectives:
        if goal not in table.objectives:
            problems.append(f"objective {goal.score} ({goal.direction}): the table has {', '.join(known)}")
    if strange := [mark for mark in plan.study.search.every_mark if mark not in table.marks]:
        problems.append(f"marks {', '.join(f'{mark:g}' for mark in strange)}: the table has {', '.join(f'{mark:g}' for mark in table.marks)}")
    try:
        table.space.narrow(plan.study.space.to_plain())
    except SpaceError as error:
        problems += [f"{name}: {text}" for name, text in error.problems]
    if not problems and (bad := next((point for _, point in plan.starts if frozenset(point.items()) not in table.points), None)) is not None:
        problems.append(f"a starting point is not in the table: {bad}")
    if problems:
        raise TableError("\n".join(f"{table.where}: {text}" for text in problems))
