"""LSGAN (Mao et al. 2017) on the DCGAN stacks: squared distance of the scores to labels. A baseline of the PE-GAN paper, which states no settings."""

from dataclasses import dataclass
from typing import Literal

from trainables.generators.dcgan import Dcgan, StackConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class LsganConfig(StackConfig):
    """Settings of LSGAN."""

    targets: Literal["0,1,1", "-1,1,0"] = "0,1,1"
    """The labels a, b and c of eq. 2: of synthetic and of real images from the critic, and what the generator wants for its own. The first are
    eq. 9's; with the second, eq. 8's, what the generator minimises is a Pearson divergence."""


class Lsgan(Dcgan):
    """DCGAN with least squares in place of cross-entropy."""

    LOSS = "lsgan"
    VERSION = 1
    Config = LsganConfig
