"""Samplers by name, in the place of the two linked models: random, grid, and Optuna's TPE, quasi-Monte Carlo, NSGA-II and Gaussian process.

They suggest whole points, generator and all that stands behind it, so that of the moves only explore, at the ladder's lowest mark, and promote
are left: of every three generators that ended at a mark, the best goes on to the next. No generator is used again with other settings behind it.

A suggestion follows from the study's seed, the trial's number and the records alone. What Optuna needs to know stands in a study in memory that is
made anew for each, so that nothing is stored and nothing unpickled. Called by the moves.
"""

import itertools
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from reports.records import Asked, Record
from search.fronts import excesses, objective_values, ranks, violation
from search.studies.recipes import at_lowest_mark
from search.studies.study import Study
from spaces.domains import Categorical, Choice, Domain, Float, Int, Scalar
from spaces.space import Tree
from trainables.seeds import child_seed

KIMG = "generator.kimg"
PROMOTE_ONE_OF = 3
"""Generators that must have ended at a mark for each one that goes on to the next."""
POPULATION_SHARE, LEAST_POPULATION, MOST_POPULATION = 5, 6, 50
"""A generation of NSGA-II is one of so many parts of the study's trials, within these bounds."""
MOST_MODELLED = 300
"""Latest trials that a Gaussian process is told: its time grows with the cube of their number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """A whole point."""

    kind: str
    """explore or promote."""
    params: Mapping[str, Scalar]
    reason: str
    parent: int | None = None


class Sampled:
    """Suggests by the sampler that a study names.

    Args:
        study: names one that is not `linked`.
        ladder: marks of each family, lowest first; one for a family that learns nothing.
        starts: points that are tried before anything is suggested, of the paper and the user.
    """

    def __init__(self, study: Study, ladder: Mapping[str, Sequence[float]], starts: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._study, self._ladder, self._starts = study, ladder, starts
        self._name = study.search.sampler
        self._asked: dict[int, Asked] = {}
        self._records: dict[int, Record] = {}
        self._flat = dict(_flattened(study.space.tree)) if self._name in ("qmc", "nsga2", "gp") else {}
        self._points = list(_grid(study)) if self._name == "grid" else []
        self._tried: set[frozenset[tuple[str, Scalar]]] = set()

    def add(self, asked: Asked) -> None:
        """Takes in a trial that was asked."""
        if asked.move not in ("baseline", "confirm"):
            self._asked[asked.trial] = asked
            self._tried.add(_point(asked.params))

    def tell(self, record: Record) -> None:
        """Takes in the end of a trial."""
        if record.trial in self._asked:
            self._records[record.trial] = record

    @property
    def through(self) -> str | None:
        """Says that there is nothing left to suggest, which only a grid comes to; None while there is, or while trials run that may be promoted."""
        if self._name != "grid" or self._untried() is not None or len(self._records) < len(self._asked) or self._promoted() is not None:
            return None
        return f"search.sampler: all {len(self._points)} points of the grid were tried"

    def suggest(self, number: int) -> Suggestion | None:
        """Suggests the settings of a trial; None where a grid is through."""
        if (promoted := self._promoted()) is not None:
            return promoted
        if self._name == "grid":
            point = self._untried()
            return None if point is None else Suggestion(kind="explore", params=point, reason="the next point of the grid, in the order of the seed")
        params = at_lowest_mark(self._study, self._drawn(number))
        return Suggestion(kind="explore", params=params, reason=f"a new generator, suggested by {self._name}")

    def _untried(self) -> dict[str, Scalar] | None:
        """Finds the first point of the grid that was not asked for yet, at whatever mark."""
        return next((point for point in self._points if _point(point) not in self._tried), None)

    def _drawn(self, number: int) -> Mapping[str, Scalar]:
        """Draws a point of the space, at whatever mark."""
        seed = child_seed(self._study.seed, "sampler", number) % 2**32
        space = self._study.space
        if self._name == "random":
            return space.sample(random.Random(seed))
        with warnings.catch_warnings():
            # The search may use what Optuna calls experimental: its version is pinned.
            warnings.simplefilter("ignore")
            if self._name == "tpe":
                told = self._optuna(TPESampler(multivariate=True, group=True, seed=seed))
                return space.suggest(_WithoutMark(told.ask(), self._lowest()))
            if self._name == "qmc":
                sequence = _At(seed=child_seed(self._study.seed, "sequence") % 2**32, position=self._position(number))
                nothing = create_trial(state=TrialState.RUNNING)
                return space.suggest(_Given(sequence.sample_relative(optuna.create_study(), nothing, self._flat), self._lowest()))
            sampler: BaseSampler = NSGAIISampler(population_size=self._population, seed=seed)
            if self._name == "gp":
                sampler = GPSampler(seed=seed, warn_independent_sampling=False)
            return space.suggest(_Given(self._optuna(sampler).ask(self._flat).params, self._lowest()))

    def _lowest(self) -> float:
        """Gives some mark of the space: which one it is to be depends on the family."""
        return min(ladder[0] for ladder in self._ladder.values())

    def _position(self, number: int) -> int:
        """Counts what was suggested before, which gives a sequence its next place."""
        explored = sum(asked.move == "explore" for trial, asked in self._asked.items() if trial < number)
        return max(0, explored - self._starts)

    @property
    def _population(self) -> int:
        return min(MOST_POPULATION, max(LEAST_POPULATION, self._study.search.trials // POPULATION_SHARE))

    def _optuna(self, sampler: BaseSampler) -> optuna.Study:
        """Makes a study in memory of what was tried at the lowest marks, in the order of numbers; what was promoted is measured otherwise."""
        directions = [goal.direction for goal in self._study.objectives]
        study = optuna.create_study(sampler=sampler, directions=directions)
        told = [found for number in sorted(self._asked) if (found := self._told(number)) is not None]
        complete = 0
        for trial in told[-MOST_MODELLED:] if isinstance(sampler, GPSampler) else told:
            if trial.state is TrialState.COMPLETE and isinstance(sampler, NSGAIISampler):
                # As many at a time make a generation, in their order: which one a trial was made for is not in the records.
                trial.system_attrs[sampler._get_generation_key()] = complete // self._population
                complete += 1
            study.add_trial(trial)
        return study

    def _told(self, number: int) -> FrozenTrial | None:
        """Says one trial as Optuna should know it; None where it teaches nothing: of a higher mark, failed, or outside of what is suggested."""
        asked, record = self._asked[number], self._records.get(number)
        params = asked.params
        if asked.move == "promote" or params[KIMG] != self._ladder[str(params["generator.family"])][0]:
            return None
        known = self._flat or {name: found for name, domain in self._study.space.active(params).items() if (found := _distribution(name, domain))}
        values = {name: params.get(name, self._study.space.names()[name].default) for name in known}
        if any(not domain._contains(domain.to_internal_repr(values[name])) for name, domain in known.items()):
            return None
        if record is None:
            return create_trial(state=TrialState.RUNNING, params=values, distributions=dict(known))
        objectives = objective_values(record, self._study.objectives) if record.state == "complete" else None
        if objectives is None:
            return None
        limits = excesses(record, self._study.limits)
        return create_trial(
            state=TrialState.COMPLETE, values=list(objectives), params=values, distributions=dict(known), constraints=limits if limits else None
        )

    def _promoted(self) -> Suggestion | None:
        """Finds a trial whose generator has earned the next mark: the best of its mark, one for every `PROMOTE_ONE_OF` that ended there."""
        goals = self._study.objectives
        values = {
            number: value
            for number, record in self._records.items()
            if record.state == "complete" and (value := objective_values(record, goals)) is not None and not violation(record, self._study.limits)
        }
        level = ranks(values, goals)
        stood = {(_point(asked.params), asked.params[KIMG]) for asked in self._asked.values()}
        steps = {step for ladder in self._ladder.values() for step in itertools.pairwise(ladder)}
        for mark, after in sorted(steps, reverse=True):
            at = [number for number in sorted(values) if self._goes(self._asked[number].params, mark, after)]
            left = [number for number in at if (_point(self._asked[number].params), after) not in stood]
            if left and len(at) >= PROMOTE_ONE_OF * (len(at) - len(left) + 1):
                best = min(left, key=lambda number: (level[number], number))
                reason = f"trial {best} leads its mark, so its generator goes on to {after:g} kimg"
                return Suggestion(kind="promote", params={**self._asked[best].params, KIMG: after}, reason=reason, parent=best)
        return None

    def _goes(self, params: Mapping[str, Any], mark: float, after: float) -> bool:
        """Says whether a point stands at a mark from which its family goes on to another."""
        return params[KIMG] == mark and (mark, after) in itertools.pairwise(self._ladder[str(params["generator.family"])])


class _At(QMCSampler):
    """A scrambled Sobol sequence, read at one place."""

    def __init__(self, *, seed: int, position: int) -> None:
        super().__init__(qmc_type="sobol", scramble=True, seed=seed)
        self._position = position

    def _find_sample_id(self, study: optuna.Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._position


class _Given:
    """A trial that answers with values for all settings, also of those that do not apply; a setting that it lacks is the mark."""

    def __init__(self, values: Mapping[str, Any], mark: float) -> None:
        self._values = {KIMG: mark, **values}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return min(max(float(self._values[name]), low), high)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return min(max(int(self._values[name]), low), high)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._values[name]


class _WithoutMark:
    """A trial of Optuna's that is not asked for the mark."""

    def __init__(self, trial: optuna.Trial, mark: float) -> None:
        self._trial, self._mark = trial, mark

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return self._trial.suggest_float(name, low, high, log=log)

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return self._trial.suggest_int(name, low, high, log=log)

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._mark if name == KIMG else self._trial.suggest_categorical(name, choices)


def _flattened(tree: Tree, prefix: str = "") -> Iterator[tuple[str, BaseDistribution]]:
    """Lists what every setting is drawn from, whether it applies or not: a gene that may be silent, a coordinate that may not matter."""
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        if (found := _distribution(name, domain)) is not None:
            yield name, found
        if isinstance(domain, Choice):
            for inner in domain.options.values():
                yield from _flattened(inner, name[: name.rfind(".") + 1])


def _distribution(name: str, domain: Domain) -> BaseDistribution | None:
    """Gives what Optuna draws a setting from; None where it does not vary, and for the mark, which the ladder decides."""
    if name == KIMG:
        return None
    match domain:
        case Float():
            return FloatDistribution(domain.low, domain.high, log=domain.log)
        case Int():
            return IntDistribution(domain.low, domain.high, log=domain.log)
        case Categorical() | Choice() if len(domain.choices) > 1:
            return CategoricalDistribution(domain.choices)
    return None


def _grid(study: Study) -> Iterator[dict[str, Scalar]]:
    """Walks over the points of a space in an order that the seed decides, each at the lowest mark of its family.

    Optuna's own grid knows no settings that apply only beside others, and would try points that differ in what does not apply.
    """
    widest = max((domain.high - domain.low + 1 for domain in study.space.names().values() if isinstance(domain, Int)), default=2)
    seen: dict[frozenset[tuple[str, Scalar]], dict[str, Scalar]] = {}
    for point in study.space.grid(widest):
        seen.setdefault(_point(point), at_lowest_mark(study, point))
    points = list(seen.values())
    np.random.default_rng(child_seed(study.seed, "grid")).shuffle(points)
    yield from points


def _point(params: Mapping[str, Any]) -> frozenset[tuple[str, Any]]:
    """Names a point, whatever its mark."""
    return frozenset(item for item in params.items() if item[0] != KIMG)
