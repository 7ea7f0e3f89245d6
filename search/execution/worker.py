"""The Tune Trainable: a warm actor around one trial after another. Imported only where trials run on Ray.

A result carries one item of the trial as text, so that neither Tune nor its loggers ever interpret it; checkpoints are empty, because the store keeps
everything.
"""

import json
from typing import Any

from ray import tune

from search.execution.attempt import LAST, Attempt, to_json
from trainables.recipe import Recipe

ITEM = "item"
"""Key of a result that holds the item."""


class Worker(tune.Trainable):
    """Runs the trial that its config names: `trial`, `recipe` and where, how and with what function to run it."""

    def setup(self, config: dict[str, Any]) -> None:
        """Takes up a trial."""
        self._attempt = Attempt(
            config["function"], Recipe.from_plain(json.loads(config["recipe"])), config["store"], device=config["device"], threads=config["threads"]
        )

    def step(self) -> dict[str, Any]:
        """Pulls one item."""
        item = self._attempt.pull()
        return {ITEM: to_json(item), "done": isinstance(item, LAST)}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Takes up the next trial in the same process, with torch loaded and warm."""
        self._attempt.close()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Ends what is still at work."""
        self._attempt.close()

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keeps nothing."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Needs nothing."""
