"""Optuna's distributions of settings. Called by the index."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from spaces.space import Space


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
