"""Optuna's distributions of settings. Called by the index and the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spaces.domains import Choice
from spaces.space import Space, Tree


class _Replay:
    """A trial that answers with the settings it was given, and notes what was asked."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self.found: dict[str, BaseDistribution] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        self.found[name] = FloatDistribution(low, high, log=log)
        return float(self._params[name])

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        self.found[name] = IntDistribution(low, high, log=log)
        return int(self._params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        self.found[name] = CategoricalDistribution(choices)
        return self._params[name]


def distributions(space: Space, params: Mapping[str, Any]) -> dict[str, BaseDistribution]:
    """Lists what Optuna would have drawn each setting of `params` from, in the order of the space; fixed settings are left out."""
    replay = _Replay(params)
    space.suggest(replay)
    return replay.found


Group = dict[str, BaseDistribution]
"""Settings that always apply together."""


def groups(space: Space) -> dict[str, Group]:
    """Finds the group of each setting: those that stand under the very same options. Fixed settings are left out."""
    options: list[Group] = [{}]
    _collect(space.tree, "", options, 0)
    domains = {name: domain for option in options for name, domain in option.items()}
    under = {name: tuple(i for i, option in enumerate(options) if name in option) for name in domains}
    return {name: {other: domains[other] for other in domains if under[other] == under[name]} for name in domains}


def _collect(tree: Tree, prefix: str, options: list[Group], at: int) -> None:
    """Adds the settings of a tree to the option that they stand under, and an option for each that a choice has."""
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        domain.suggest(replay := _Replay({name: domain.default}), name)
        options[at] |= replay.found
        if isinstance(domain, Choice):
            for inner in domain.options.values():
                # What the only option of a choice brings always applies.
                if len(domain.options) > 1:
                    options.append({})
                _collect(inner, name[: name.rfind(".") + 1], options, len(options) - 1 if len(domain.options) > 1 else at)
