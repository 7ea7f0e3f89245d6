"""Training in turns: critic steps, then a step of the generator. What every family of critic and latent generator shares."""

import contextlib
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainables.generators.bases.model import LatentModel, to_signed
from trainables.generators.bases.subject import Batch
from trainables.generators.training.diffaugment import diffaugment
from trainables.generators.training.losses import PENALISED, AdversarialLoss, Targets, autograd_slope, critic_loss, generator_loss, slope_penalty


class AdversarialModel(LatentModel):
    """One step is one critic step, and every `n_critic`-th also moves the generator.

    Of its Config it reads, where they are there: adversarial_loss, n_critic, gp_lambda, gp_interval, r1_gamma, label_smoothing, targets, diffaug.
    """

    LOSS: ClassVar[AdversarialLoss]
    """The loss of a family that has no choice of it."""
    mixes_batch: bool = False
    """Whether the critic's norm mixes the images of a batch, so that real and synthetic ones must be shown apart."""

    @property
    def loss(self) -> AdversarialLoss:
        """Which adversarial loss."""
        return self._setting("adversarial_loss", getattr(self, "LOSS", None))

    @property
    def targets(self) -> Targets:
        """Labels of least squares, written as "a,b,c"."""
        text: str = self._setting("targets", "0,1,1")
        return Targets(*map(float, text.split(",")))

    @property
    def n_critic(self) -> int:
        """Critic steps for each generator step."""
        return int(self._setting("n_critic", 1))

    @property
    def penalty_interval(self) -> int:
        """Critic steps between penalties; each is then weighted by as many."""
        return int(self._setting("gp_interval", 1))

    @property
    def steps_per_period(self) -> int:
        """Steps after which generator updates and penalties fall together again."""
        return math.lcm(self.n_critic, self.penalty_interval)

    def critic_margin(self, told: Mapping[str, Tensor]) -> float | None:
        """Says by how much the critic's loss lies above its least, for losses that end where it is sure of every image; see `GeneratorModel`.

        A Wasserstein critic has no least loss, and hinge asks for no more than a margin that healthy critics keep.
        """
        if "loss_d" not in told or self.loss not in ("bce", "r1_logistic", "rpgan", "lsgan"):
            return None
        smoothing = self._setting("label_smoothing", 0.0) if self.loss in ("bce", "r1_logistic") else 0.0
        # Smoothed labels cost their own entropy, however sure the critic is.
        least = -sum(share * math.log(share) for share in (smoothing, 1.0 - smoothing) if share > 0.0)
        return float(told["loss_d"]) - least

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Does one critic step, and a generator step at the end of each round."""
        random = self.random(step)
        real, labels = self.prepare(batch.real, random), batch.labels
        # Where both networks move in every step, one pass of the generator serves both.
        shared = self.n_critic == 1
        with contextlib.nullcontext() if shared else torch.no_grad(), self.autocast():
            fake = self.generator(self.latent(len(real), random), labels)
        told = self.critic_step(real, fake.detach(), labels, random, step)
        if (step + 1) % self.n_critic == 0:
            if not shared:
                with self.autocast():
                    fake = self.generator(self.latent(len(real), random), labels)
            told |= self.generator_step(real, fake, labels, random, step)
            self.average(step, self.images_per_step * self.n_critic)
        return told

    def critic_step(self, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator, step: int) -> dict[str, Tensor]:
        """Moves the critic, on real images and as many synthetic ones without a graph."""
        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        real, fake = self.augment(real, random), self.augment(fake, random)
        with self.autocast():
            if self.mixes_batch:
                on_real, on_fake = self.critic(real, labels), self.critic(fake, labels)
            else:
                on_real, on_fake = self.critic(torch.cat([real, fake]), torch.cat([labels, labels])).chunk(2)
        loss = critic_loss(self.loss, on_real, on_fake, smoothing=self._setting("label_smoothing", 0.0), targets=self.targets)
        told = {"loss_d": loss.detach()}
        if self.loss in PENALISED and step % self.penalty_interval == 0:
            weights = {"gp_lambda": self._setting("gp_lambda", 0.0), "r1_gamma": self._setting("r1_gamma", 0.0)}
            penalty = slope_penalty(self.loss, lambda images: self.slope(images, labels), real, fake, random, **weights)
            loss = loss + self.penalty_interval * penalty
            told["penalty"] = penalty.detach()
        loss.backward()
        self.optimizer_d.step()
        return told

    def generator_step(
        self, real: Tensor, fake: Tensor, labels: Tensor, random: torch.Generator, step: int, *, cost: Tensor | float = 0.0
    ) -> dict[str, Tensor]:
        """Moves the generator, on images of it that carry a graph; `cost` is what it pays beside the critic's opinion."""
        # The critic's own gradients are not wanted here; leaving them out saves a third of its backward pass.
        self.critic.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        on_real = None
        with self.autocast():
            if self.loss == "rpgan":
                with torch.no_grad():
                    on_real = self.critic(self.augment(real, random), labels)
            on_fake = self.critic(self.augment(fake, random), labels)
        loss = generator_loss(self.loss, on_fake, on_real, targets=self.targets)
        (loss + cost).backward()
        self.optimizer_g.step()
        return {"loss_g": loss.detach()}

    def prepare(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Turns real images, uint8, into what is to be learnt, float32 in [-1, 1]."""
        return to_signed(images)

    def augment(self, images: Tensor, random: torch.Generator) -> Tensor:
        """Changes real and synthetic images alike before the critic sees them."""
        return diffaugment(images, self._setting("diffaug", "none"), random)

    def slope(self, images: Tensor, labels: Tensor) -> Tensor:
        """Gives the gradient of the sum of the critic's scores with respect to images."""
        if hasattr(self.critic, "slope"):
            slopes: Tensor = self.critic.slope(images, labels)
            return slopes
        return autograd_slope(lambda points: self.critic(points, labels))(images)

    def _setting(self, name: str, default: Any) -> Any:
        return getattr(self.config, name, default)
