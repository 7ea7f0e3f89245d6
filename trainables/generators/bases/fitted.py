"""Families that learn nothing: they keep what they need of the training data, and draw from that."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from trainables.generators.bases.model import GeneratorModel
from trainables.generators.bases.subject import Batch


class FittedModel(GeneratorModel):
    """`fit` fills `kept` with tensors by name; `sample` draws from them. One model knows all classes.

    Its mark is 0, whatever is asked for. A family whose settings decide only how items are drawn names them all in `sampling_settings`, so that
    what is kept is stored once for all of them.
    """

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

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives `sample` as a function of as many inputs as items are wanted; what is in them means nothing."""
        return lambda wanted: self.sample(0, len(wanted), 0).items, (1,)

    def is_finite(self) -> bool:
        """Says whether all that is kept are finite numbers."""
        return all(bool(kept.isfinite().all()) for kept in self.kept.values())

    def sampler_state(self) -> dict[str, Tensor]:
        """Gives what is kept."""
        return dict(self.kept)

    def load_sampler(self, state: dict[str, Tensor]) -> None:
        """Takes what `sampler_state` gave."""
        self.kept = dict(state)

    def state(self) -> dict[str, Tensor]:
        """Gives nothing: there is no training to continue, and `fit` sees the data anew."""
        return {}

    def load(self, state: dict[str, Tensor]) -> None:
        """Takes what `state` gave."""
