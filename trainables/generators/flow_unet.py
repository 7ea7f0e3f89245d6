"""A small flow-matching UNet in pixel space: from noise to an image along a differential equation, with classifier-free guidance, in few steps.

The equations are in `flow`, the network in `unet`, the augmentation in `told_changes`. There is no critic. What no paper states for a few hundred
images of steel is chosen as said beside each setting. A network this flexible can learn a small training set by heart: read its scores together
with those for copied images.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.generators.bases.model import SAMPLE_BATCH, GeneratorModel, adam, check_limits, to_pixels, to_signed
from trainables.generators.bases.subject import Batch, Drawn, TrainingData
from trainables.generators.networks.unet import UNet
from trainables.generators.training.flow import PATHS, Objective, Path, TimeSampling, heun
from trainables.generators.training.told_changes import CHANGES, change
from trainables.scores.costs import ms_per_image, multiply_adds_g
from trainables.seeds import child_seed

LEAST_DEVIATION = 1 / 127.5
"""Of the training pixels, one grey level: images that are all alike are not scaled beyond it."""
LOOK_STEPS = 4
"""Steps in which a training is looked at for collapse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowUnetConfig:
    """Settings of the flow-matching UNet."""

    objective: Objective = "flow"
    """What the network is asked for: flow, the velocity of a straight line from noise to image; edm, EDM's preconditioned denoising; v, the
    velocity along a quarter circle."""
    time_sampling: TimeSampling = "logit_normal"
    """Which times are trained on, under flow and v: mostly the middle (Esser et al. 2024), or all alike; edm has its own."""
    lr: float = 1e-4
    """Learning rate (Adam; 1e-4 in most published trainings)."""
    batch: int = 32
    """Images per step."""
    width: int = 64
    """Channels of the outermost maps; the inner ones have twice as many."""
    dropout: float = 0.1
    """Share left out on maps of up to 16 px; EDM takes 0.05 to 0.25, more for fewer images."""
    aug_prob: float = 0.15
    """Probability of each geometric change of an image, which the network is told (EDM)."""
    cfg_dropout: float = 0.1
    """Share of images whose class is not told, from which guidance learns (Ho and Salimans 2022). Without meaning for a single class."""
    cfg_scale: float = 1.0
    """Guidance in drawing: 1 is the conditional field itself, more exaggerates what tells the class from all. Without meaning for a single class."""
    sample_steps: int = 18
    """Heun steps in drawing, of two runs of the network each but for the last (EDM: 18 at 32 px, 40 at 64 px)."""
    class_mode: Literal["per_class", "conditional", "pooled"] = "conditional"
    """One model for each class, one that is told the class, or one that is not."""
    ema_halflife_kimg: float = 220.0
    """Half-life of the weight average that is evaluated: that of a decay of 0.9999 a step. It never exceeds a twentieth of what was shown."""

    def __post_init__(self) -> None:
        check_limits(self, above_0=["lr"], at_least_0=["ema_halflife_kimg"], at_least_1=["batch", "width", "sample_steps", "cfg_scale"])
        problems = [
            f"{name}: {share} is not in 0 .. 1, 1 excluded" for name in ("dropout", "cfg_dropout") if not 0.0 <= (share := getattr(self, name)) < 1.0
        ]
        if not 0.0 <= self.aug_prob <= 1.0:
            problems.append(f"aug_prob: {self.aug_prob} is not a probability")
        if self.cfg_dropout == 0.0 and self.cfg_scale != 1.0:
            problems.append(f"cfg_scale: {self.cfg_scale} needs a null class to guide away from; set cfg_dropout above 0, or cfg_scale to 1")
        if problems:
            raise SettingsError("; ".join(problems))


class FlowUnet(GeneratorModel):
    """One network, one loss: the mean squared error of what the path asks for."""

    sampling_settings = ("cfg_scale", "sample_steps")
    VERSION = 1
    Config = FlowUnetConfig
    config: FlowUnetConfig
    generator: UNet
    ema: UNet

    @property
    def path(self) -> Path:
        """The way from noise to images."""
        return PATHS[self.config.objective](self.config.time_sampling)

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes the network, and nothing in the critic's place."""
        return UNet(width=self.config.width, dropout=self.config.dropout, subject=self.subject, changes=CHANGES), nn.Module()

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes an Adam, and an optimizer of nothing in the critic's place."""
        return adam(self.generator.parameters(), self.config.lr, (0.9, 0.999)), torch.optim.SGD([torch.zeros(0, requires_grad=True)], lr=0.0)

    def fit(self, data: TrainingData) -> None:
        """Measures mean and deviation of the pixels: steel varies far less than the photographs whose settings are taken over."""
        super().fit(data)
        pixels = data.items.double() / 127.5 - 1.0
        for network in (self.generator, self.ema):
            network.mean.fill_(float(pixels.mean()))
            network.deviation.fill_(max(float(pixels.std(correction=0)), LEAST_DEVIATION))

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        super().load(state)
        self.ema.mean.copy_(self.generator.mean)
        self.ema.deviation.copy_(self.generator.deviation)

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Moves the network once."""
        random, path = self.random(step), self.path
        images = (to_signed(batch.real) - self.generator.mean) / self.generator.deviation
        images, changes = change(images, self.config.aug_prob, random)
        noise = torch.randn(images.shape, generator=random, device=self.device)
        noisy, wanted = path.mix(images, noise, time := path.times(len(images), random))
        told = (torch.rand(len(images), generator=random, device=self.device) >= self.config.cfg_dropout).float()
        self.optimizer_g.zero_grad(set_to_none=True)
        with self.autocast():
            answer = self.generator(*path.shown(noisy, time), batch.labels, told=told, changes=changes, random=random)
        loss = (answer - wanted).square().mean()
        loss.backward()
        self.optimizer_g.step()
        self.average(step, self.images_per_step)
        return {"loss": loss.detach()}

    def field(self, noisy: Tensor, time: float, labels: Tensor, scale: float) -> Tensor:
        """Gives the derivative that drawing follows: null + scale (conditional - null) (Ho and Salimans 2022), of images that are not augmented.

        Args:
            noisy: (B, C, H, W), float32, standardised.
            time: where on the path.
            labels: int64 (B,).
            scale: of the guidance; 1 asks for the conditional field alone.
        """
        count = len(noisy)
        guided = scale != 1.0 and self.subject.num_classes > 1
        told = torch.ones(count, device=noisy.device)
        if guided:
            noisy, labels, told = torch.cat([noisy, noisy]), torch.cat([labels, labels]), torch.cat([told, 0.0 * told])
        times = torch.full((len(noisy), 1, 1, 1), time, device=noisy.device)
        changes = torch.zeros(len(noisy), CHANGES, device=noisy.device)
        with self.autocast():
            answer = self.ema(*self.path.shown(noisy, times), labels, told=told, changes=changes)
        slope = self.path.slope(noisy, answer, times)
        return torch.lerp(slope[count:], slope[:count], scale) if guided else slope

    def draw(self, noise: Tensor, labels: Tensor, *, steps: int, scale: float) -> Tensor:
        """Turns noise (B, C, H, W) into images of classes (B,), in [-1, 1] or a little beyond, float32."""
        path = self.path
        images = heun(lambda noisy, time: self.field(noisy, time, labels, scale), path.begin(noise), path.grid(steps))
        return images * self.ema.deviation + self.ema.mean

    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws images of one class; there is no truncation: less noise than was trained with gives smoother images, not more typical ones."""
        return self._sample(label, count, seed, steps=self.config.sample_steps, scale=self.config.cfg_scale)

    def look(self, label: int, count: int, seed: int, *, backgrounds: Tensor | None = None) -> Drawn:
        """Draws in few steps and without guidance, whatever the settings of drawing: a training is that of all of them."""
        return self._sample(label, count, seed, steps=LOOK_STEPS, scale=1.0)

    @torch.no_grad()
    def _sample(self, label: int, count: int, seed: int, *, steps: int, scale: float) -> Drawn:
        # Noise comes from the CPU's generator, so that a seed means the same on every device.
        noise = torch.randn(count, *self.subject.shape, generator=torch.Generator().manual_seed(child_seed(seed, "sample", label)))
        labels = torch.full((count,), label, device=self.device)
        parts = [
            to_pixels(self.draw(noise[rows].to(self.device), labels[rows], steps=steps, scale=scale)).cpu()
            for rows in torch.arange(count).split(SAMPLE_BATCH)
        ]
        return Drawn(items=torch.cat(parts))

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives drawing, as a function of noise."""

        def draw(noise: Tensor) -> Tensor:
            labels = torch.zeros(len(noise), dtype=torch.int64, device=noise.device)
            return self.draw(noise, labels, steps=self.config.sample_steps, scale=self.config.cfg_scale)

        return draw, self.subject.shape

    @property
    def drawing_runs(self) -> int:
        """Runs of the network for an image: 2 steps - 1, and twice as many under guidance."""
        guided = self.config.cfg_scale != 1.0 and self.subject.num_classes > 1
        return (2 * self.config.sample_steps - 1) * (2 if guided else 1)

    def drawing_costs(self) -> dict[str, float]:
        """Measures one run of the network."""

        def run(noise: Tensor) -> Tensor:
            return self.field(noise, self.path.grid(2)[1], torch.zeros(len(noise), dtype=torch.int64, device=noise.device), 1.0)

        costs = {"generator_gmadds": multiply_adds_g, "generator_ms_per_image": ms_per_image}
        return {name: measure(run, self.subject.shape, str(self.device)) for name, measure in costs.items()}
