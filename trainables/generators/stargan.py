"""StarGAN (Choi et al. 2018): one image-to-image generator for all domains, told where to go by planes beside the image.

It is PE-GAN's baseline, and its base. The batch's share of backgrounds, half, is that of PE-GAN's data: 1,000 backgrounds beside 1,260 defects.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.errors import SettingsError
from trainables.generators.bases.image_to_image import ImageToImageModel
from trainables.generators.bases.model import check_limits, to_signed
from trainables.generators.bases.subject import Batch, Subject
from trainables.generators.networks.translators import Translator, TwoHeadedCritic, with_background
from trainables.generators.training.diffaugment import Policy, diffaugment
from trainables.generators.training.losses import PENALISED, critic_loss, generator_loss, slope_penalty

STAGES = 6
"""Convolutions of stride 2 in the critic, where the image is large enough for so many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainConfig:
    """Settings that StarGAN and what is built on it share."""

    adversarial_loss: Literal["wgan_gp", "r1_logistic", "hinge", "rpgan"] = "wgan_gp"
    """What the patch scores are trained with."""
    gp_lambda: float = 10.0
    """Weight of the gradient penalty, with wgan_gp."""
    r1_gamma: float = 1.0
    """Weight of R1, with r1_logistic, and of R1 and R2, with rpgan."""
    gp_interval: int = 1
    """Critic steps between penalties; each is then weighted by as many."""
    batch: int = 16
    """Real images per critic step, half of them defects and half backgrounds."""
    mirror_backgrounds: bool = True
    """Mirrors backgrounds at random, in training and when drawing, so that few of them give more images."""
    diffaug: Policy = "none"
    """Changes to real and synthetic images before the critic sees them (DiffAugment)."""
    class_mode: Literal["conditional"] = "conditional"
    """One model that is told the class."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StarGanConfig(DomainConfig):
    """Settings of StarGAN (appendix 7.2 of its paper, and the authors' code)."""

    lr: float = 1e-4
    """Learning rate of both networks."""
    betas: Literal["0.5,0.999", "0.5,0.9", "0.9,0.99", "0,0.9"] = "0.5,0.999"
    """Adam coefficients."""
    lambda_cls: float = 1.0
    """Weight of the classification, of real images by the critic and of the generator's by it."""
    lambda_rec: float = 10.0
    """Weight of the reconstruction from the translated image; 0 leaves that pass out."""
    n_critic: int = 5
    """Critic steps for each generator step."""
    base_width: int = 64
    """Channels after the first convolution of both networks; less at small sizes saves most of the time."""
    n_res_blocks: int = 6
    """Residual blocks."""
    lr_decay: Literal["none", "linear"] = "linear"
    """linear takes the learning rate to 0 over the second half of the horizon."""
    horizon_kimg: float = 3200.0
    """Where a linear decay ends; 200,000 iterations of 16 images."""

    def __post_init__(self) -> None:
        check_domain_settings(self, "lambda_cls")

    @property
    def horizon(self) -> float | None:
        """The last mark that the schedule of the learning rate allows, in kimg."""
        return self.horizon_kimg if self.lr_decay == "linear" else None


def check_domain_settings(config: DomainConfig, *lambda_cls: str) -> None:
    """Refuses settings out of range; `lambda_cls` names the weights of the classification.

    Raises:
        SettingsError: a setting is too small, or the batch cannot be halved.
    """
    weights = [*lambda_cls, "lambda_rec", "gp_lambda", "r1_gamma", "ema_halflife_kimg", "n_res_blocks"]
    check_limits(config, above_0=["lr", "horizon_kimg"], at_least_0=weights, at_least_1=["gp_interval", "n_critic", "base_width"])
    if config.batch < 2 or config.batch % 2:
        raise SettingsError(f"batch: {config.batch} is not an even number, half defects and half backgrounds")


class StarGan(ImageToImageModel):
    """One generator and one critic with two heads, over the classes and the background."""

    class_modes = ("conditional",)
    VERSION = 2
    Config: ClassVar[type] = StarGanConfig
    critic: TwoHeadedCritic

    @property
    def domains(self) -> Subject:
        """Classes and the background, which may be one of the classes."""
        return with_background(self.subject)

    @property
    def background_domain(self) -> int:
        """Which domain the backgrounds are."""
        return self.subject.num_classes if self.subject.background_label is None else self.subject.background_label

    @property
    def lambda_cls(self) -> tuple[float, float]:
        """Weights of the classification: in the critic's loss, and in the generator's."""
        return self.config.lambda_cls, self.config.lambda_cls

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes both networks with torch's own weights.

        They have 8,446,208 and 44,803,008 parameters at 128 px with 9 classes, the background and 3 channels.
        """
        width, size_px, channels = self.config.base_width, self.subject.size_px, self.subject.channels
        stages = min(STAGES, int(math.log2(size_px)))
        return (
            Translator(width=width, blocks=self.config.n_res_blocks, side=4, channels=channels, domains=self.domains, last_bias=False),
            TwoHeadedCritic(width=width, size_px=size_px, channels=channels, domains=self.domains.num_classes, side=4, stages=stages),
        )

    @property
    def batch_size(self) -> int:
        """Defect images per step."""
        return int(self.config.batch) // 2

    @property
    def backgrounds_per_step(self) -> int:
        """Backgrounds per step."""
        return int(self.config.batch) // 2

    @property
    def steps_per_period(self) -> int:
        """Steps after which generator updates and penalties fall together again."""
        return math.lcm(self.config.n_critic, self.config.gp_interval)

    def targets(self, domains: Tensor, random: torch.Generator) -> Tensor:
        """Decides which domains a batch is translated to.

        Args:
            domains: those of the batch, int64 (batch,), defects before backgrounds.
            random: decides.

        Returns:
            int64 (n,) for the last n images of the batch, which are all that are translated.
        """
        return domains[torch.randperm(len(domains), generator=random, device=domains.device)]

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Does one critic step, and a generator step at the end of each round."""
        assert batch.backgrounds is not None, "the loop refuses a training without backgrounds"
        random = self.random(step)
        self.schedule(step)
        images = torch.cat([to_signed(batch.real), self.scenes(batch.backgrounds, random)])
        domains = torch.cat([batch.labels, torch.full((len(batch.backgrounds),), self.background_domain, device=self.device)])
        targets = self.targets(domains, random)
        sources, origins = images[-len(targets) :], domains[-len(targets) :]
        # The generator stands still while the critic moves, so that in its own step one pass serves both.
        moves = (step + 1) % self.config.n_critic == 0
        with torch.set_grad_enabled(moves), self.autocast():
            fake = self.generator(sources, targets)
        told = self._critic_step(images, domains, fake.detach(), random, step)
        if moves:
            told |= self._generator_step(images, sources, origins, fake, targets, random)
            self.average(step, self.images_per_step * self.config.n_critic)
        return told

    def _critic_step(self, images: Tensor, domains: Tensor, fake: Tensor, random: torch.Generator, step: int) -> dict[str, Tensor]:
        """Moves the critic: the adversarial loss of all images, and the classification of real ones."""
        config = self.config
        self.critic.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        real, fake = diffaugment(images, config.diffaug, random), diffaugment(fake, config.diffaug, random)
        with self.autocast():
            scores, logits = self.critic(torch.cat([real, fake]))
        on_real, on_fake = scores[: len(real)], scores[len(real) :]
        loss_adv = critic_loss(config.adversarial_loss, on_real[: len(fake)] if config.adversarial_loss == "rpgan" else on_real, on_fake)
        loss_cls = functional.cross_entropy(logits[: len(real)], domains)
        loss = loss_adv + self.lambda_cls[0] * loss_cls
        told = {"loss_d": loss_adv.detach(), "loss_cls_d": loss_cls.detach()}
        if config.adversarial_loss in PENALISED and step % config.gp_interval == 0:
            # The slope is that of a sum over patches. Where these hardly overlap, R1 of the sum is as many times that of one.
            weights = {"gp_lambda": config.gp_lambda, "r1_gamma": config.r1_gamma / scores[0].numel()}
            penalty = slope_penalty(config.adversarial_loss, self.critic.slope, real[: len(fake)], fake, random, **weights)
            loss = loss + config.gp_interval * penalty
            told["penalty"] = penalty.detach()
        loss.backward()
        self.optimizer_d.step()
        return told

    def _generator_step(
        self, images: Tensor, sources: Tensor, origins: Tensor, fake: Tensor, targets: Tensor, random: torch.Generator
    ) -> dict[str, Tensor]:
        """Moves the generator: the adversarial loss, the classification of its images, and their way back."""
        config, on_real = self.config, None
        self.critic.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        with self.autocast():
            if config.adversarial_loss == "rpgan":
                with torch.no_grad():
                    on_real, _ = self.critic(diffaugment(images[: len(fake)], config.diffaug, random))
            on_fake, logits = self.critic(diffaugment(fake, config.diffaug, random))
            back = self.generator(fake, origins) if config.lambda_rec > 0 else None
        loss_adv, loss_cls = generator_loss(config.adversarial_loss, on_fake, on_real), functional.cross_entropy(logits, targets)
        loss = loss_adv + self.lambda_cls[1] * loss_cls
        told = {"loss_g": loss_adv.detach(), "loss_cls_g": loss_cls.detach()}
        if back is not None:
            loss_rec = functional.l1_loss(back, sources)
            loss = loss + config.lambda_rec * loss_rec
            told["loss_rec"] = loss_rec.detach()
        loss.backward()
        self.optimizer_g.step()
        return told

    def produce(self, scenes: Tensor, label: int) -> Tensor:
        """Puts defects of a class on backgrounds; see `ImageToImageModel.produce`."""
        return self._to(scenes, label)

    def eliminate(self, images: Tensor) -> Tensor:
        """Takes the defects of images away; see `ImageToImageModel.eliminate`."""
        return self._to(images, self.background_domain)

    def _to(self, images: Tensor, domain: int) -> Tensor:
        out: Tensor = self.ema(images, torch.full((len(images),), domain, device=images.device))
        return out
