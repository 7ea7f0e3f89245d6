"""Ways from noise to images, for `flow_unet`: what a network is shown and asked for, the differential equation its answer gives, and Heun's method.

All of them work on standardised images y, of mean 0 and deviation 1, and noise n ~ N(0, 1).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Objective = Literal["flow", "edm", "v"]
"""flow: a straight line (Lipman et al. 2023). edm: preconditioned denoising (Karras et al. 2022). v: a quarter circle (Salimans and Ho 2022)."""
TimeSampling = Literal["logit_normal", "uniform"]
"""How the times of a batch are drawn: from a normal number's sigmoid (Esser et al. 2024), or all alike."""


class Path(ABC):
    """A way from noise to an image; its time is a number for each image, of shape (B, 1, 1, 1)."""

    def __init__(self, sampling: TimeSampling) -> None:
        self.sampling = sampling

    @abstractmethod
    def times(self, count: int, random: torch.Generator) -> Tensor:
        """Draws the times of a batch, (count, 1, 1, 1)."""

    @abstractmethod
    def mix(self, images: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives the noisy images at a time, and what the network is asked for there; all (B, C, H, W)."""

    @abstractmethod
    def shown(self, noisy: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives what the network is shown of noisy images: they themselves, scaled, (B, C, H, W), and how noisy they are, (B,)."""

    @abstractmethod
    def slope(self, noisy: Tensor, answer: Tensor, time: Tensor) -> Tensor:
        """Turns the network's answer into the derivative of the noisy images with respect to time."""

    @abstractmethod
    def grid(self, steps: int) -> list[float]:
        """Gives the `steps` + 1 times at which the equation is followed, from noise to images."""

    def begin(self, noise: Tensor) -> Tensor:
        """Gives the noisy images at the first time of the grid."""
        return noise

    def _shares(self, count: int, random: torch.Generator) -> Tensor:
        """Draws numbers in (0, 1) by the setting."""
        if self.sampling == "uniform":
            return torch.rand(count, 1, 1, 1, generator=random, device=random.device)
        return torch.randn(count, 1, 1, 1, generator=random, device=random.device).sigmoid()


class StraightPath(Path):
    """x_t = (1 - t) n + t y for t from 0 to 1; the network is asked for dx/dt = y - n."""

    def times(self, count: int, random: torch.Generator) -> Tensor:
        """Draws t."""
        return self._shares(count, random)

    def mix(self, images: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives x_t and y - n."""
        return torch.lerp(noise, images, time), images - noise

    def shown(self, noisy: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives x_t and t."""
        return noisy, time.flatten()

    def slope(self, noisy: Tensor, answer: Tensor, time: Tensor) -> Tensor:
        """Takes the answer as it is."""
        return answer

    def grid(self, steps: int) -> list[float]:
        """Gives equal steps from 0 to 1."""
        return [step / steps for step in range(steps + 1)]


class CirclePath(Path):
    """x_a = cos(a) y + sin(a) n for an angle a from pi/2 down to 0; the network is asked for v = cos(a) n - sin(a) y, which is dx/da."""

    def times(self, count: int, random: torch.Generator) -> Tensor:
        """Draws the angle a = pi/2 (1 - t)."""
        return (1.0 - self._shares(count, random)) * (math.pi / 2)

    def mix(self, images: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives x_a and v."""
        return time.cos() * images + time.sin() * noise, time.cos() * noise - time.sin() * images

    def shown(self, noisy: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives x_a and the share of the way, as on the straight path."""
        return noisy, 1.0 - time.flatten() / (math.pi / 2)

    def slope(self, noisy: Tensor, answer: Tensor, time: Tensor) -> Tensor:
        """Takes the answer as it is."""
        return answer

    def grid(self, steps: int) -> list[float]:
        """Gives equal steps from pi/2 to 0."""
        return [math.pi / 2 * (1.0 - step / steps) for step in range(steps + 1)]


class EdmPath(Path):
    """x = y + s n for noise levels s; the network F is preconditioned, and asked so that D(x) = c_skip x + c_out F(c_in x) is the image.

    c_skip = 1 / (s^2 + 1), c_out = s / sqrt(s^2 + 1), c_in = 1 / sqrt(s^2 + 1) (Karras et al. 2022, table 1, with sigma_data = 1). Their weights
    on the error of D make the error of F count alike at each level. The equation is dx/ds = (x - D(x)) / s. Their numbers are for images of
    deviation 0.5 and are doubled here, which is the same for images of deviation 1.
    """

    MEAN, DEVIATION = -1.2 + math.log(2.0), 1.2
    """Of ln s in training."""
    HIGHEST, LOWEST, RHO = 2 * 80.0, 2 * 0.002, 7.0
    """Ends and bend of the levels in sampling."""

    def times(self, count: int, random: torch.Generator) -> Tensor:
        """Draws the level s, log-normal."""
        return (self.MEAN + self.DEVIATION * torch.randn(count, 1, 1, 1, generator=random, device=random.device)).exp()

    def mix(self, images: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives x and (y - c_skip x) / c_out."""
        noisy = images + time * noise
        scale = (time.square() + 1.0).sqrt()
        # (y - x / scale^2) scale / s, with y and n written out: at low levels the difference would be lost in rounding.
        return noisy, (time * images - noise) / scale

    def shown(self, noisy: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Gives c_in x and ln(s) / 4."""
        return noisy / (time.square() + 1.0).sqrt(), time.flatten().log() / 4.0

    def slope(self, noisy: Tensor, answer: Tensor, time: Tensor) -> Tensor:
        """Gives (x - D(x)) / s = (s x - F sqrt(s^2 + 1)) / (s^2 + 1)."""
        square = time.square() + 1.0
        return (time * noisy - answer * square.sqrt()) / square

    def grid(self, steps: int) -> list[float]:
        """Gives levels whose 7th roots are equally far from each other, and 0 (eq. 5)."""
        high, low = self.HIGHEST ** (1 / self.RHO), self.LOWEST ** (1 / self.RHO)
        return [(high + step / max(steps - 1, 1) * (low - high)) ** self.RHO for step in range(steps)] + [0.0]

    def begin(self, noise: Tensor) -> Tensor:
        """Gives noise of the highest level."""
        return self.HIGHEST * noise


PATHS: dict[Objective, type[Path]] = {"flow": StraightPath, "edm": EdmPath, "v": CirclePath}
"""The path of each objective."""


def heun(slope: Callable[[Tensor, float], Tensor], start: Tensor, grid: list[float]) -> Tensor:
    """Follows dx/dt = slope(x, t) through the times of a grid by Heun's method, of order 2.

    The last step is Euler's (Karras et al. 2022, algorithm 1): no network was ever asked at the last time, where there is no noise. It costs one
    run of the slope less, 2 steps - 1 in all, and leaves the order as it is.
    """
    now = start
    for number, (time, after) in enumerate(pairwise(grid)):
        first = slope(now, time)
        ahead = now + (after - time) * first
        if number + 2 < len(grid):
            ahead = now + (after - time) * 0.5 * (first + slope(ahead, after))
        now = ahead
    return now
