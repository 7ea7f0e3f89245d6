"""Optuna's view of a run: `optuna.journal`, an index derived from the records, for Optuna's own plots and its dashboard.

Nothing is ever decided by this file: the search draws its suggestions from the records, in memory (`search.models`). So a journal that is missing,
torn or in disagreement with the records is simply written anew, in trial order. Called by the asker.
"""

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from reports.records import Asked, Record, append_whole
from search.distributions import distributions
from search.fronts import excesses, objective_values
from search.studies.objectives import Limit, Objective
from spaces.space import Space

JOURNAL = "optuna.journal"


def told(asked: Asked, record: Record | None, goals: tuple[Objective, ...], space: Space, limits: Sequence[Limit] = ()) -> FrozenTrial:
    """Says one trial as Optuna should know it: COMPLETE only with every objective, PRUNED where one has no meaning, FAIL with its reason.

    Limits are constraints of COMPLETE trials: above 0 where one is broken.
    Settings stand only on trials that the search drew: a baseline or a confirmation has none, so that it can bias no model.
    """
    drawn = asked.move not in ("baseline", "confirm")
    known: Mapping[str, BaseDistribution] = distributions(space, asked.params) if drawn else {}
    attrs: dict[str, Any] = {"trial": asked.trial, "move": asked.move, "reason": asked.reason, "parent": asked.parent}
    state, values, constraints = TrialState.RUNNING, None, None
    if record is not None:
        found = objective_values(record, goals)
        if record.state == "failed":
            state, attrs["failure"], attrs["message"] = TrialState.FAIL, record.failure, record.message
        elif record.state == "complete" and found is not None and asked.move != "confirm":
            state, values, constraints = TrialState.COMPLETE, list(found), excesses(record, limits)
        else:
            state = TrialState.PRUNED
            stopped = record.message or "stopped early"
            attrs["why"] = {"confirm": "a confirmation"}.get(asked.move, stopped if record.state == "pruned" else "an objective has no meaning here")
        if record.rungs:
            attrs["rungs"] = dict(record.rungs)
        if record.health:
            attrs["health"] = dict(record.health)
    params = {name: asked.params[name] for name in known}
    trial = create_trial(
        state=state,
        values=values,
        params=params,
        distributions=dict(known),
        user_attrs=attrs,
        constraints=constraints,
        intermediate_values=_intermediate(record) if record is not None else {},
    )
    # Optuna's times are local ones, and those of a trial that is added are its own: a journal that is written anew keeps the timeline.
    trial.datetime_start = datetime.fromtimestamp(record.started_s if record is not None else asked.time_s)
    trial.datetime_complete = datetime.fromtimestamp(record.ended_s) if record is not None else None
    return trial


def _intermediate(record: Record) -> dict[int, float]:
    """Gives the rung scores as Optuna counts them: by steps that are whole numbers, here of images shown."""
    return {round(1000 * float(mark)): score for mark, score in record.rungs.items() if score is not None}


class _Unlocked(JournalFileBackend):
    """Writes without a lock, because the lease makes this driver the only writer, and without flushing to disk, because what is lost is rebuilt."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Adds lines, all or none: Optuna's memory takes in what is here alone, so that a change can be tried again."""
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        append_whole(Path(self._file_path), text.encode())


class Index:
    """The journal of one run, kept in step with its records."""

    def __init__(self, run: Path, *, name: str, goals: tuple[Objective, ...], space: Space, limits: Sequence[Limit] = ()) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._path = run / JOURNAL
        self._name = name
        self._goals = goals
        self._space = space
        self._limits = limits
        self._study: optuna.Study | None = None
        self._ids: dict[int, int] = {}

    def sync(self, asked: Mapping[int, Asked], records: Mapping[int, Record]) -> bool:
        """Opens the journal; where it disagrees with the records it is written anew. Returns whether it was."""
        wanted = [told(asked[number], records.get(number), self._goals, self._space, self._limits) for number in sorted(asked)]
        found = self._read()
        rebuilt = found is None or [_story(trial) for trial in found] != [_story(trial) for trial in wanted]
        if rebuilt:
            aside = self._path.with_name(f"{JOURNAL}.part")
            aside.unlink(missing_ok=True)
            storage = JournalStorage(_Unlocked(str(aside)))
            study = optuna.create_study(study_name=self._name, storage=storage, directions=self._directions())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(self._names())
            for trial in wanted:
                study.add_trial(trial)
            os.replace(aside, self._path)
        self._study = self._load()
        self._ids = {trial.user_attrs["trial"]: trial._trial_id for trial in self._study.get_trials(deepcopy=False)}
        return rebuilt

    def _read(self) -> list[FrozenTrial] | None:
        """Reads the journal whole; None where it is missing, torn, or of other objectives."""
        try:
            text = self._path.read_bytes()
            if not text.endswith(b"\n"):
                return None
            study = self._load()
            if study.directions != self._directions() or study.metric_names != self._names():
                return None
            return study.get_trials(deepcopy=False)
        except Exception:
            # A damaged journal can raise anything from within Optuna; whatever it was, the cure is the same.
            return None

    def _directions(self) -> list[optuna.study.StudyDirection]:
        return [optuna.study.StudyDirection[goal.direction.upper()] for goal in self._goals]

    def _names(self) -> list[str]:
        return [goal.score for goal in self._goals]

    def _load(self) -> optuna.Study:
        return optuna.load_study(study_name=self._name, storage=JournalStorage(_Unlocked(str(self._path))))

    def ask(self, asked: Asked) -> None:
        """Adds a trial that was just published."""
        assert self._study is not None
        trial = told(asked, None, self._goals, self._space)
        self._ids[asked.trial] = self._study._storage.create_new_trial(self._study._study_id, template_trial=trial)

    def tell(self, asked: Asked, record: Record) -> None:
        """Ends a trial whose record was just published."""
        assert self._study is not None
        trial = told(asked, record, self._goals, self._space, self._limits)
        storage, number = self._study._storage, self._ids[asked.trial]
        for step, score in trial.intermediate_values.items():
            storage.set_trial_intermediate_value(number, step, score)
        for name in ("failure", "message", "why", "rungs", "health"):
            if name in trial.user_attrs:
                storage.set_trial_user_attr(number, name, trial.user_attrs[name])
        for name, value in trial.system_attrs.items():
            storage.set_trial_system_attr(number, name, value)
        storage.set_trial_state_values(number, trial.state, trial.values)


def _story(trial: FrozenTrial) -> tuple[Any, ...]:
    """What of a trial must agree; times need not."""
    return trial.state, trial.values, trial.params, trial.distributions, trial.user_attrs, trial.constraints, trial.intermediate_values
