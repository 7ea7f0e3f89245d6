"""VAEGAN with class embedding (Cheng and Yeh 2023, section 3.1.1): TF-VAEGAN without feedback, and a reverse auto-encoder of the class embedding.

Encoder-1 (x, a) -> z, the Decoder (z, a) -> x as generator, a Discriminator, and Encoder-2 that reads a from x or from what was made; Decoder and
Encoder-2 together rebuild the class embedding, under the mean squared error (eq. 4). The embedding is usually the learned one, which
`trainables.conditioning` makes. What the paper leaves to the original is TF-VAEGAN's.
"""

from dataclasses import dataclass

from trainables.generators.tf_vaegan import ReconstructionLoss, TfVaegan, TfVaeganConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class VaeganCeConfig(TfVaeganConfig):
    """Settings of VAEGAN with class embedding: those of TF-VAEGAN, some with other defaults."""

    adaptive_gp: bool = False
    """Whether the penalty's weight adapts; not mentioned, read as fixed."""
    recons_loss: ReconstructionLoss = "mse"
    """How far the embedding that Encoder-2 reads lies from the class's own (eq. 4)."""
    unit_attributes: bool = False
    """Whether Encoder-2's output and its target are scaled to length 1; a learned embedding has lengths of its own."""
    feedback: bool = False
    """Whether every second round feeds Encoder-2's hidden layer back into the generator's; not mentioned, read as left out."""


class VaeganCe(TfVaegan):
    """The training of TF-VAEGAN under the settings of the two-stage paper."""

    VERSION = 1
    Config = VaeganCeConfig
    conditioning = "learned"
    config: VaeganCeConfig
