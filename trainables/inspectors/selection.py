"""The weights of the epoch that is best on validation, and when to stop waiting for a better one. Called by `training`."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


class Selection:
    """The best epoch so far.

    Args:
        patience: epochs without a better one after which to stop; 0 never stops.
    """

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.merit: float | None = None
        """Of the best epoch; None before the first."""
        self.step = 0
        """Steps that had been taken at its end."""
        self.waited = 0
        """Epochs since."""
        self.weights: dict[str, Tensor] = {}

    def offer(self, merit: float, step: int, network: nn.Module) -> bool:
        """Keeps the weights where they are better than any before; says whether to stop.

        Args:
            merit: of the validation split; more is better. The first of equals stays.
            step: steps taken.
            network: whose weights they are.
        """
        if self.merit is None or merit > self.merit:
            self.merit, self.step, self.waited = merit, step, 0
            self.weights = {name: value.detach().clone() for name, value in network.state_dict().items()}
        else:
            self.waited += 1
        return 0 < self.patience <= self.waited

    def state(self) -> dict[str, Any]:
        """Gives what going on needs."""
        return {"merit": self.merit, "step": self.step, "waited": self.waited, "weights": self.weights}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Takes what `state` gave."""
        self.merit, self.step, self.waited, self.weights = (state[name] for name in ("merit", "step", "waited", "weights"))

    def settle(self, network: nn.Module) -> None:
        """Puts the best weights into the network."""
        if self.weights:
            network.load_state_dict(self.weights)
