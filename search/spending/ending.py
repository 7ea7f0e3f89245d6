"""Why and when a run ends before its trials are through: its budget and its stops together, remembered in `ended.json`. Called by asker and driver.

Once closed, the search of a run stays closed, whatever its clock says on the next start, until `search.budget` or `search.sampler` is changed.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.records import ENDED, Asked, Record, write_json
from search.runs.ledger import Ledger
from search.spending.budget import Budget, Using, show_amount, used_before
from search.spending.forecast import forecast, show_range
from search.spending.stops import Stops
from search.spending.took import Todo, Took, todo, took
from search.studies.study import Study, StudyError
from trainables.settings import to_plain
from trainables.store import Store


class Ending:
    """Watches one driver's run.

    Args:
        study: what is run.
        ledger: of the run.
        workers: trials at a time.
        gpus: share of a GPU that each holds.
        store: whose size counts, where disk is bounded.
        clock: Unix time.
    """

    def __init__(
        self, study: Study, ledger: Ledger, *, workers: float, gpus: float, store: Store | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.gpus = gpus
        self._study, self._ledger, self._clock = study, ledger, clock
        size = None if store is None else lambda: size_gib(ledger.run, store)
        self._budget = Budget(study, ledger.records.values(), workers=workers, gpus=gpus, begun_s=clock(), size_gib=size)
        self._stops = Stops(study)
        self._ended: list[Took] = []
        for record in sorted(ledger.records.values(), key=lambda record: (record.ended_s, record.trial)):
            self.add(ledger.asked[record.trial], record, here=False)
        self.reason: str | None = None
        """Why the run ends early; None where it does not."""
        known = read_ended(ledger.run)
        if known is not None and {name: known.get(name) for name in self._settings()} == self._settings():
            self.reason = str(known["reason"])
        elif known is not None:
            ledger.keep(lambda: (ledger.run / ENDED).unlink(missing_ok=True))

    def add(self, asked: Asked, record: Record, *, here: bool = True) -> None:
        """Takes in a trial that has ended."""
        ended = took(asked, record)
        self._ended.append(ended)
        self._budget.add(ended, here=here)
        self._stops.add(asked, record)

    def closes(self, running: Mapping[int, float], *, through: str | None = None) -> bool:
        """Says whether nothing more is to be searched.

        Args:
            running: when the trials that run started.
            through: why nothing is left to suggest.
        """
        if self.reason is None and (reason := through or self._stops.reached() or self._closed(running)):
            self._note(reason)
        return self.reason is not None

    def _closed(self, running: Mapping[int, float]) -> str | None:
        return self._budget.closed(self._now(running), self._confirmations()) if self._budget.settings.amounts else None

    def exhausted(self, running: Mapping[int, float]) -> str | None:
        """Says what is used up, so that nothing at all may start."""
        return self._budget.exhausted(self._now(running))

    def cut(self, reason: str) -> None:
        """Notes that the run ends with something left to do; a search that was closed before keeps its reason."""
        left = self._confirmations().trials
        self._note(f"{self.reason or reason}; {left} confirmations were not run" if left else self.reason or reason)

    def used(self, running: Mapping[int, float]) -> str | None:
        """Writes what is used of the budget; None where there is none."""
        amounts, settings = self._budget.used(self._now(running)), self._budget.settings
        told = [f"{show_amount(name, used, settings)} of {show_amount(name, settings.amounts[name], settings)}" for name, used in amounts.items()]
        return ", ".join(told) or None

    def _confirmations(self) -> Todo:
        return replace(todo(self._study, self._ended, closed=self.reason is not None), baselines=(), search=0)

    def _now(self, running: Mapping[int, float]) -> Using:
        return Using(now_s=self._clock(), running=running)

    def _settings(self) -> Any:
        search = self._study.search
        return json.loads(json.dumps({"budget": to_plain(search.budget), "sampler": search.sampler}))

    def _note(self, reason: str) -> None:
        self.reason = reason
        plain = {"reason": reason, **self._settings(), "time_s": self._clock()}
        self._ledger.keep(lambda: write_json(self._ledger.run / ENDED, plain))


def read_ended(run: Path) -> dict[str, Any] | None:
    """Reads why a run ended early; None where it did not, or where that cannot be read and is found out anew."""
    with contextlib.suppress(OSError, ValueError):
        plain = json.loads((run / ENDED).read_text(encoding="utf-8"))
        return plain if isinstance(plain, dict) and "reason" in plain else None
    return None


def size_gib(run: Path, store: Store) -> float:
    """Adds up the sizes of a run's folder and of a whole store."""
    own = 0
    for folder, _, names in os.walk(run):
        for name in names:
            # A file that is being written aside may be gone by now.
            with contextlib.suppress(OSError):
                own += os.stat(os.path.join(folder, name)).st_size
    return (own + store.size_bytes()) / 2**30


def refuse_budget(
    study: Study, records: Mapping[int, Record], ended: Sequence[Took], earlier: Sequence[Took], *, workers: float, gpus: float
) -> None:
    """Refuses a budget that can never be spent, is spent already, or cannot even pay for the baselines.

    Args:
        study: with its budget.
        records: of the run so far.
        ended: what they took.
        earlier: what trials of other runs took.
        workers: trials at a time.
        gpus: share of a GPU that each will hold.

    Raises:
        StudyError: says what is too little, and what to raise.
    """
    budget = study.search.budget
    for name in ("gpu_hours", "money"):
        if name in budget.amounts and gpus == 0:
            raise StudyError(
                f"search.budget.{name}: trials hold no GPU here, so that none of it would ever be used.\n  Bound the wall time: search.budget.hours."
            )
    ahead = todo(study, ended)
    hours, gpu_hours = used_before(records.values())
    used = {"hours": hours, "gpu_hours": gpu_hours, "money": gpu_hours * (budget.price_per_gpu_hour or 0.0)}
    for name, bound in budget.amounts.items():
        if ahead.trials and used.get(name, 0.0) >= bound:
            said = f"{show_amount(name, used[name], budget)} are used already, of {show_amount(name, bound, budget)}"
            raise StudyError(
                f"{study.run_folder}: search.budget.{name}: {said}.\n  To go on, raise it: --set search.budget.{name}={_more(used[name])}"
            )
    first = Todo(baselines=ahead.baselines)
    found = forecast(study, first, ended, earlier, workers=workers, gpus=gpus) if first.trials else None
    if found is None:
        return
    price = budget.price_per_gpu_hour or 0.0
    needed = {"hours": found.hours, "gpu_hours": found.gpu_hours, "money": found.gpu_hours.times(price)}
    for name, bound in budget.amounts.items():
        if name in needed and used[name] + needed[name].low >= bound:
            said = show_range(needed[name], lambda amount, name=name: show_amount(name, amount, budget))
            cure = f"raise it, --set search.budget.{name}={_more(used[name] + needed[name].high)}, or take fewer search.baselines or inspectors"
            raise StudyError(
                f"search.budget.{name}: {show_amount(name, bound, budget)} do not pay for the {first.trials} baselines alone, "
                f"which took {said} in earlier runs.\n  There is nothing to search without them: {cure}."
            )


def _more(amount: float) -> str:
    """Suggests twice an amount, in two digits."""
    return f"{2 * amount:.2g}"
