"""What a study may use, and what else ends its search: the section `search.budget`. What is used is counted in `search.budget`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainables.errors import SettingsError


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSettings:
    """When to stop searching before all trials are through. What was found is still confirmed."""

    target: Mapping[str, float] = field(default_factory=dict)
    """Scores with the values that are enough, `{val_macro_f1: 0.95}`: reached once one trial with synthetic images has all of them and keeps the
    study's limits."""
    plateau: int | None = None
    """Finished trials after which, none of them having made the front better, the search stops."""
    least_gain: float | None = None
    """Share of the front's hypervolume that the last trials must have added for each hour that they took, GPU-hour where there are GPUs."""
    over: int = 10
    """How many finished trials are the last ones."""

    def __post_init__(self) -> None:
        problems = []
        if self.plateau is not None and self.plateau < 1:
            problems.append(f"plateau: {self.plateau} is fewer than 1 trial")
        if self.least_gain is not None and not 0 < self.least_gain < math.inf:
            problems.append(f"least_gain: {self.least_gain} is not above 0; expected a share an hour, such as 0.01")
        if self.over < 2:
            problems.append(f"over: {self.over} is fewer than 2 trials")
        if problems:
            raise SettingsError("\n".join(problems))

    @property
    def any(self) -> bool:
        """Whether anything is to stop the search."""
        return bool(self.target) or self.plateau is not None or self.least_gain is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class BudgetSettings:
    """What a run may use, over all of its starts. The search keeps what the confirmations are expected to take; nothing starts once all is used."""

    hours: float | None = None
    """Wall time in hours."""
    gpu_hours: float | None = None
    """Hours of whole GPUs, as trials hold them."""
    money: float | None = None
    """Price of the GPU-hours; needs price_per_gpu_hour."""
    price_per_gpu_hour: float | None = None
    """What an hour of one GPU costs."""
    currency: str = "EUR"
    """In what, for display."""
    disk_gib: float | None = None
    """Size of the run and of the whole store in GiB, whoever filled it."""
    stops: StopSettings = field(default_factory=StopSettings)

    def __post_init__(self) -> None:
        problems = []
        for name in ("hours", "gpu_hours", "money", "disk_gib", "price_per_gpu_hour"):
            amount = getattr(self, name)
            if amount is not None and not 0 < amount < math.inf:
                problems.append(f"{name}: {amount:g} is spent before anything begins; expected a number above 0")
        if self.money is not None and self.price_per_gpu_hour is None:
            problems.append("money: needs price_per_gpu_hour, what an hour of one GPU costs")
        if problems:
            raise SettingsError("\n".join(problems))

    @property
    def amounts(self) -> dict[str, float]:
        """What is bounded, by the names of the settings."""
        found = {name: getattr(self, name) for name in ("hours", "gpu_hours", "money", "disk_gib")}
        return {name: amount for name, amount in found.items() if amount is not None}
