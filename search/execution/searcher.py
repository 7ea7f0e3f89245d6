"""Tune's side of the asker: a Searcher that hands its trials out and takes their ends in. Imported only where trials run on Ray.

Tune's own trials are mere carriers: one whose worker died is given up, and the asker hands the same number out again under another of Tune's trials.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from search.asker import FINISHED, WAIT, Asker
from search.execution.attempt import Halt, from_json
from search.execution.worker import ITEM
from trainables.errors import StoreError
from trainables.progress import Progress


class RecordSearcher(Searcher):
    """Suggests what the asker hands out.

    Whatever the asker raises is kept in `problem` and ends the experiment: an exception passing through Tune's loop would leave its actors behind.
    """

    def __init__(self, asker: Asker, settings: Mapping[str, Any]) -> None:
        """Takes the asker, and what every worker is told beside its recipe: function, store, device, threads."""
        super().__init__()
        self._asker = asker
        self._settings = dict(settings)
        self._numbers: dict[str, int] = {}
        self._nodes = alive_nodes()
        self.problem: Exception | None = None

    def suggest(self, trial_id: str) -> Any:
        """Asks for the next trial: its config, None to be asked again later, or Tune's word for the end."""
        asked = self.guarded(self._asker.ask)
        if asked is None or asked == FINISHED:
            return str(Searcher.FINISHED)
        if asked == WAIT:
            return None
        self._numbers[trial_id] = asked.trial
        # As text, because Tune copies and flattens a config many times over.
        return {**self._settings, "trial": asked.trial, "recipe": json.dumps(asked.recipe)}

    def is_stopped_by(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Passes a sign of life on, and says whether the trial ends at it: its record is then published. Asked by `RungScheduler` alone, because
        Tune does not show a searcher the result at which a trial is stopped."""
        item = from_json(result[ITEM])
        if not isinstance(item, Progress) or trial_id not in self._numbers:
            return False
        number = self._numbers[trial_id]
        reason = self.guarded(lambda: self._asker.progress(number, item))
        if reason is None:
            return False
        del self._numbers[trial_id]
        self.guarded(lambda: self._asker.prune(number, reason))
        return True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Passes an end on. A trial that was merely stopped has said nothing final, and is run again when the study continues."""
        number = self._numbers.pop(trial_id, None)
        if number is None or self.problem is not None:
            return
        if error:
            before, self._nodes = self._nodes, alive_nodes()
            self.guarded(lambda: self._asker.lost(number, node_lost=not before <= self._nodes))
            return
        item = from_json(result[ITEM]) if result and ITEM in result else None
        if isinstance(item, Halt):
            self.problem = StoreError(item.message)
        elif item is not None and not isinstance(item, Progress):
            end = item
            self.guarded(lambda: self._asker.finish(number, end))

    def guarded(self, act: Callable[[], Any]) -> Any:
        """Acts unless something went wrong before; keeps what goes wrong now."""
        if self.problem is None:
            try:
                return act()
            except Exception as error:
                self.problem = error
        return None

    def save(self, checkpoint_path: str) -> None:
        """Keeps nothing: the records are the truth, and nothing is ever unpickled."""

    def restore(self, checkpoint_path: str) -> None:
        """Needs nothing."""

    def __getstate__(self) -> dict[str, Any]:
        """Lets Tune pickle its own settings, which nobody reads, without the run."""
        return {}


class RungScheduler(FIFOScheduler):
    """Lets trials come in their order, and stops those that end at a rung; their workers are used again."""

    def __init__(self, searcher: RecordSearcher) -> None:
        super().__init__()
        self._searcher = searcher

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decides on one result."""
        return str(self.STOP if self._searcher.is_stopped_by(trial.trial_id, result) else self.CONTINUE)

    def __getstate__(self) -> dict[str, Any]:
        """As for the searcher."""
        return {}


class StopWhen(Stopper):
    """Ends the experiment when a condition holds; asked between any two events of Tune's loop."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition = condition

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Never ends a single trial."""
        return False

    def stop_all(self) -> bool:
        """Says whether everything is to end."""
        return self._condition()

    def __getstate__(self) -> dict[str, Any]:
        """As for the searcher."""
        return {}


def alive_nodes() -> frozenset[str]:
    """Names the machines of the cluster."""
    return frozenset(node["NodeID"] for node in ray.nodes() if node["Alive"])
