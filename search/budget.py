"""What trials cost: seconds on generators and seconds behind them. Called by the moves.

A stage is counted once, however many trials met it, so that the sums are the same for a run that was killed and continued.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reports.records import Record

StageCost = Callable[[Mapping[str, Any]], float]
"""Seconds of one row of `Record.stages`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """Seconds of work."""

    generators_s: float = 0.0
    downstream_s: float = 0.0
    """Pools, inspectors and scores."""


def measured(stage: Mapping[str, Any]) -> float:
    """What making the stage took, here or by whoever made it first."""
    return float(stage["seconds"])


def spent(records: Iterable[Record], cost: StageCost = measured) -> Spent:
    """Adds up what the stages of finished trials took."""
    stages = {(stage["stage"], stage["key"]): stage for record in records for stage in record.stages}
    generators = [cost(stage) for (name, _), stage in stages.items() if name == "generator"]
    rest = [cost(stage) for (name, _), stage in stages.items() if name != "generator"]
    return Spent(generators_s=sum(generators), downstream_s=sum(rest))
