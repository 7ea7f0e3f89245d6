"""Networks made elsewhere, which drop values and paths at random while they train, made to draw as seeds say. Called by `stock.py` and its kinds."""

import torch
from torch import Tensor, nn

from trainables.inspectors.base import SeededDropout
from trainables.seeds import child_seed


class SeededNetwork(SeededDropout):
    """Runs a network that draws from torch's global generator (dropout, stochastic depth) with that generator seeded anew at each call.

    The seed follows from the one that the training loop gives to this module's own generator before each step, so that a resumed training drops what
    an undisturbed one would have. The global generator is afterwards as it was. To the loop this is one more dropout.

    Args:
        network: takes and gives one tensor.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(rate=0.0)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Gives what the network gives."""
        if not self.training or self.generator is None:
            given: Tensor = self.network(x)
            return given
        # A name of its own: the same seed would draw the numbers again that moved and turned the images.
        seed = child_seed(self.generator.initial_seed(), "inside a network")
        on_gpu = x.device.type == "cuda"
        with torch.random.fork_rng(devices=[x.device] if on_gpu else []):
            torch.default_generator.manual_seed(seed)
            if on_gpu:
                with torch.cuda.device(x.device):
                    torch.cuda.manual_seed(seed)
            given = self.network(x)
            return given
