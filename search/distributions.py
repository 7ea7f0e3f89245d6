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
    """Finds the group of each setting: its neighbours in the tree, under the same option. Fixed settings are left out."""
    found: dict[str, Group] = {}
    _group(space.tree, "", {}, found)
    return found


def _group(tree: Tree, prefix: str, group: Group, found: dict[str, Group]) -> None:
    for key, domain in tree.items():
        name = f"{prefix}{key}"
        domain.suggest(replay := _Replay({name: domain.default}), name)
        group |= replay.found
        found |= dict.fromkeys(replay.found, group)
        if isinstance(domain, Choice):
            for inner in domain.options.values():
                # What the only option of a choice brings always applies.
                _group(inner, name[: name.rfind(".") + 1], group if len(domain.options) == 1 else {}, found)
