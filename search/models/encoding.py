"""Settings as points of a cube, for models that measure how alike two trials are. Called by the model.

Numbers lie between 0 and 1, in the logarithm where their domain says so; a listed number lies at its rank. Names have a column for each choice, so
far apart that two different ones are at distance 1. A setting that does not apply
lies in the middle: what tells its trial apart is the choice above it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.domains import Choice, Domain, Fixed, Float, Int, Scalar

APART = math.sqrt(0.5)
"""Of two columns in which two names differ, so that the points are at distance 1."""
MIDDLE = 0.5


class Encoder:
    """Turns settings into rows of numbers.

    Args:
        domains: by dotted name; those that cannot vary are left out.
    """

    def __init__(self, domains: Mapping[str, Domain]) -> None:
        varied = {name: domain for name, domain in domains.items() if not isinstance(domain, Fixed) and len(getattr(domain, "choices", "ab")) > 1}
        self.settings = tuple(varied)
        """Names of the settings that vary, in the order of the columns."""
        self._ranges: dict[str, tuple[int, float, float, bool]] = {}
        self._listed: dict[str, dict[Any, tuple[int, float]]] = {}
        absent: list[float] = []
        owner: list[int] = []
        for at, (name, domain) in enumerate(varied.items()):
            first = len(absent)
            if isinstance(domain, Float | Int):
                low, high = (math.log(end) if domain.log else float(end) for end in (domain.low, domain.high))
                self._ranges[name] = (first, low, high - low, domain.log)
                absent.append(MIDDLE)
            elif _is_ordered(domain.choices) and not isinstance(domain, Choice):
                ranked = sorted(domain.choices, key=_number)
                self._listed[name] = {value: (first, rank / (len(ranked) - 1)) for rank, value in enumerate(ranked)}
                absent.append(MIDDLE)
            else:
                self._listed[name] = {value: (first + i, APART) for i, value in enumerate(domain.choices)}
                absent += [0.0] * len(domain.choices)
            owner += [at] * (len(absent) - first)
        self._absent = np.array(absent)
        self.columns = len(absent)
        self.owner: NDArray[np.intp] = np.array(owner, dtype=np.intp)
        """(columns,): which setting each column belongs to."""

    def encode(self, params: Mapping[str, Any]) -> NDArray[np.float64]:
        """Gives the row of a trial's settings, (columns,). Settings that are not its own are passed over, and so are names outside of a list: only a
        study's own points have such."""
        row = self._absent.copy()
        for name, value in params.items():
            if (found := self._ranges.get(name)) is not None:
                column, low, width, log = found
                row[column] = ((math.log(max(value, 1e-300)) if log else value) - low) / width
            elif (places := self._listed.get(name)) is not None and (place := places.get(value)) is not None:
                row[place[0]] = place[1]
        return row


def _is_ordered(choices: Sequence[Scalar]) -> bool:
    """Says whether a list holds numbers alone, which have an order."""
    return all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in choices)


def _number(value: Scalar) -> float:
    assert isinstance(value, int | float)
    return float(value)
