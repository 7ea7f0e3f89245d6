"""What the search has learned: a tree-structured Parzen estimator, told the records as they come in. Called by the asker.

Optuna's densities without Optuna's sampler, which copies, sorts and splits all trials anew for every branch of the space, also for those that do not
apply. Here the trials are split once, and only what applies is drawn. A suggestion depends on nothing but the study's seed, the trial's number and
the trials known so far, so that a driver that was started again suggests what the killed one would have.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.samplers import TPESampler
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator

from reports.records import Asked, Record
from search.distributions import Group, groups
from search.fronts import Value, objective_values, ranks
from search.studies.study import Study
from spaces.domains import Scalar
from trainables.seeds import child_seed

RANDOM_FIRST = 8
"""Finished trials that are drawn at random before the densities are trusted."""
CANDIDATES = 24
"""Points drawn from the density of the good trials; the one where it is largest beside that of the others is suggested."""
GOOD_ONE_OF, MOST_GOOD = 10, 25
"""One of so many trials is good, and at most so many are: the best fronts first, within a front the latest."""
MOST_OTHERS = 100
"""The density of the others is that of the latest so many."""
_PARZEN = TPESampler(multivariate=True)._parzen_estimator_parameters


class Model:
    """Suggests settings from those that were tried. Baselines and confirmations do not enter; nor does a trial that failed."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._groups = groups(study.space)
        self._params: dict[int, Mapping[str, Any]] = {}
        self._values: dict[int, Value] = {}

    def add(self, asked: Asked) -> None:
        """Takes in a trial that was asked; until it has ended, it counts among the others, so that repeats are unlikely."""
        if asked.move not in ("baseline", "confirm"):
            self._params[asked.trial] = asked.params

    def tell(self, record: Record) -> None:
        """Takes in the end of a trial."""
        if record.trial not in self._params:
            return
        values = objective_values(record, self._study.objectives) if record.state == "complete" else None
        if values is None:
            del self._params[record.trial]
        else:
            self._values[record.trial] = values

    def suggest(self, number: int, fixed: Mapping[str, Any]) -> dict[str, Scalar]:
        """Draws the settings of a trial around those that are given."""
        seed = child_seed(self._study.seed, "sampler", number) % 2**32
        if self._study.search.sampler == "random" or len(self._values) < RANDOM_FIRST:
            return self._study.space.sample(random.Random(seed), fixed)
        wanted = min(math.ceil(len(self._values) / GOOD_ONE_OF), MOST_GOOD)
        level = ranks(self._values, self._study.objectives)
        good = set(sorted(level, key=lambda trial: (level[trial], -trial))[:wanted])
        trials = [sorted(good), sorted(set(self._params) - good)]
        split = [[self._params[trial] for trial in part] for part in trials]
        return self._study.space.suggest(_Draw(self._groups, split, fixed, np.random.RandomState(seed)), fixed)


class _Draw:
    """A trial whose settings are drawn when they are asked for, each with the others of its group."""

    def __init__(
        self, known: Mapping[str, Group], split: Sequence[Sequence[Mapping[str, Any]]], fixed: Mapping[str, Any], rng: np.random.RandomState
    ) -> None:
        self._known = known
        self._split = split
        self._fixed = fixed
        self._rng = rng
        self._drawn: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return min(max(float(self._draw(name)), low), high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return int(self._draw(name))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._draw(name)

    def _draw(self, name: str) -> Any:
        if name not in self._drawn:
            group = {other: domain for other, domain in self._known[name].items() if other not in self._fixed}
            good, others = (_density(group, params) for params in self._split)
            points = good.sample(self._rng, CANDIDATES)
            best = np.argmax(good.log_pdf(points) - others.log_pdf(points))
            self._drawn |= {other: domain.to_external_repr(points[other][best].item()) for other, domain in group.items()}
        return self._drawn[name]


def _density(group: Group, params: Sequence[Mapping[str, Any]]) -> _ParzenEstimator:
    """Fits the joint density of a group of settings on the latest trials that have them."""
    rows = [row for row in params if group.keys() <= row.keys()][-MOST_OTHERS:]
    seen = {name: np.array([domain.to_internal_repr(row[name]) for row in rows]) for name, domain in group.items()}
    return _ParzenEstimator(seen, group, _PARZEN)
