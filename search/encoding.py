"""Settings as points of a cube, for models that measure how alike two trials are. Called by the model.

Numbers lie between 0 and 1, in the logarithm where their domain says so; a listed number lies at its rank. Names have a column for each choice, so
far apart that two different ones are at distance 1. A setting that does not apply
lies in the middle: what tells its trial apart is the choice above it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.domains import Choice, Domain, Fixed, Float, Int

APART = math.sqrt(0.5)
"""Of two columns in which two names differ, so that the points are at distance 1."""
MIDDLE = 0.5


@dataclass(frozen=True, slots=True)
class _Axis:
    """One setting that varies."""

    domain: Domain
    first: int
    """Its first column."""
    width: int


class Encoder:
    """Turns settings into rows of numbers.

    Args:
        domains: by dotted name; those that cannot vary are left out.
    """

    def __init__(self, domains: Mapping[str, Domain]) -> None:
        self._axes: dict[str, _Axis] = {}
        columns = 0
        for name, domain in domains.items():
            if isinstance(domain, Fixed) or (hasattr(domain, "choices") and len(domain.choices) < 2):
                continue
            width = len(domain.choices) if hasattr(domain, "choices") and not _is_ordered(domain) else 1
            self._axes[name] = _Axis(domain, columns, width)
            columns += width
        self.columns = columns
        self.settings = tuple(self._axes)
        """Names of the settings that vary, in the order of the columns."""
        self.owner: NDArray[np.intp] = np.repeat(np.arange(len(self._axes)), [axis.width for axis in self._axes.values()])
        """(columns,): which setting each column belongs to."""

    def encode(self, params: Mapping[str, Any]) -> NDArray[np.float64]:
        """Gives the row of a trial's settings, (columns,); settings that are not its own are passed over."""
        row = np.zeros(self.columns)
        for name, axis in self._axes.items():
            if name not in params:
                row[axis.first : axis.first + axis.width] = MIDDLE if axis.width == 1 else 0.0
            elif axis.width == 1:
                row[axis.first] = _share(axis.domain, params[name])
            elif (at := _place(axis.domain, params[name])) is not None:
                row[axis.first + at] = APART
        return row


def _is_ordered(domain: Domain) -> bool:
    """Says whether a list holds numbers alone, which have an order."""
    return not isinstance(domain, Choice) and all(isinstance(choice, int | float) and not isinstance(choice, bool) for choice in domain.choices)  # type: ignore[union-attr]


def _place(domain: Domain, value: Any) -> int | None:
    """Finds a value among the choices; None for one that only a study names and that is never suggested."""
    choices = domain.choices  # type: ignore[union-attr]
    return choices.index(value) if value in choices else None


def _share(domain: Domain, value: Any) -> float:
    """Says how far a number is on the way from the lowest to the highest."""
    if not isinstance(domain, Float | Int):
        ranked = sorted(domain.choices)  # type: ignore[union-attr]
        return float(np.searchsorted(ranked, value)) / (len(ranked) - 1)
    low, high, value = (math.log(max(x, 1e-300)) if domain.log else float(x) for x in (domain.low, domain.high, value))
    return (value - low) / (high - low)
