"""Families that learn nothing: they keep what they need of the training data, and draw from that."""

import torch
from torch import Tensor, nn

from trainables.generators.model import GeneratorModel
from trainables.generators.subject import Batch


class FittedModel(GeneratorModel):
    """`fit` fills `kept` with tensors by name; `sample` draws from them. One model knows all classes."""

    learns = False
    class_modes = ("conditional",)
    takes_vectors = False

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes no networks."""
        self.kept: dict[str, Tensor] = {}
        return nn.Module(), nn.Module()

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes optimizers of nothing."""
        nothing = torch.optim.SGD([torch.zeros(0, requires_grad=True)], lr=0.0)
        return nothing, nothing

    @property
    def batch_size(self) -> int:
        """No item is shown."""
        return 0

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Is never called: the mark of such a family is 0."""
        raise AssertionError("a family that does not learn takes no step")

    def sampler_state(self) -> dict[str, Tensor]:
        """Gives what is kept."""
        return dict(self.kept)

    def load_sampler(self, state: dict[str, Tensor]) -> None:
        """Takes what `sampler_state` gave."""
        self.kept = dict(state)

    def state(self) -> dict[str, Tensor]:
        """Gives what is kept."""
        return dict(self.kept)

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes what `state` gave."""
        self.kept = dict(state)
