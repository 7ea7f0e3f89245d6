"""What the search has learned: an Optuna study in memory, built from the records at each start and told as they come in. Called by the asker.

Each suggestion has a sampler of its own, seeded by (study seed, trial number), so that a driver that was started again suggests what the killed one
would have.
"""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import Trial, TrialState, create_trial

from reports.records import Asked, Record
from search.distributions import distributions
from search.fronts import objective_values
from search.study import Study
from spaces.domains import Scalar
from trainables.seeds import child_seed

RANDOM_FIRST = 8
"""Finished trials that TPE draws at random before it trusts its densities."""


class Model:
    """Suggests settings from those that were tried. Baselines and confirmations do not enter; nor does a trial that failed."""

    def __init__(self, study: Study) -> None:
        self._study = study
        directions = [goal.direction for goal in study.objectives]
        self._optuna = optuna.create_study(storage=optuna.storages.InMemoryStorage(), directions=directions)
        self._numbers: dict[int, int] = {}

    def suggest(self, number: int, fixed: Mapping[str, Any]) -> dict[str, Scalar]:
        """Draws the settings of a trial around those that are given."""
        return self._study.space.suggest(self._ask(number, fixed))

    def add(self, asked: Asked) -> None:
        """Takes in a trial whose settings were given, or that an earlier driver asked; one drawn by `suggest` is known already."""
        if asked.move not in ("baseline", "confirm") and asked.trial not in self._numbers:
            known = distributions(self._study.space, asked.params)
            self._optuna.add_trial(create_trial(state=TrialState.RUNNING, params={name: asked.params[name] for name in known}, distributions=known))
            self._numbers[asked.trial] = len(self._numbers)

    def tell(self, record: Record) -> None:
        """Takes in the end of a trial."""
        if (at := self._numbers.get(record.trial)) is None:
            return
        values = objective_values(record, self._study.objectives) if record.state == "complete" else None
        self._optuna.tell(at, values=values, state=TrialState.FAIL if values is None else None)

    def _ask(self, number: int, fixed: Mapping[str, Any]) -> Trial:
        seed = child_seed(self._study.seed, "sampler", number) % 2**32
        if self._study.search.sampler == "random":
            self._optuna.sampler = optuna.samplers.RandomSampler(seed=seed)
        else:
            with warnings.catch_warnings():
                # Optuna calls `group` experimental; it is what makes TPE right for families with settings of their own.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                self._optuna.sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, n_startup_trials=RANDOM_FIRST)
        self._optuna.enqueue_trial(dict(fixed))
        trial = self._optuna.ask()
        self._numbers[number] = trial.number
        return trial
