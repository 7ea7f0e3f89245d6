"""TF-VAEGAN (Narayan et al. 2020) on features: a VAE whose decoder is the generator of a WGAN, an attribute decoder, and feedback from it.

The baseline of the two-stage paper (Cheng and Yeh 2023, section 3), which leaves all settings to it: they are those of the authors' AWA2 run.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.generators.bases.features import FeatureConfig, FeatureModel, Scaling, gaussian_kl
from trainables.generators.bases.model import adam, check_limits
from trainables.generators.bases.subject import Batch, Subject
from trainables.generators.networks.layers import ClassCode, initialise_critic
from trainables.generators.training.losses import autograd_slope, critic_loss, generator_loss, gradient_penalty

BETAS = (0.5, 0.999)
PENALTY_RANGE = (1.001, 1.05)
"""Where an adaptive weight keeps the mean penalty of a round, and by which factor it moves when that is left."""
PENALTY_FACTOR = 1.1
PENALTY_HELD = 100.0
"""How far an adaptive weight may go from where it began, as a factor either way. The authors hold it by nothing: where a critic's slope stays low
for long, there is then no weight left when it rises."""

ReconstructionLoss = Literal["mse", "weighted_l1", "l1"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TfVaeganConfig(FeatureConfig):
    """Settings of TF-VAEGAN."""

    hidden: int = 4096
    """Width of the one hidden layer of each network."""
    latent_size: int = 29
    """Length of z: as many as the paper's class embedding has attributes."""
    gamma_d: float = 10.0
    """Weight of the critic's loss (gammaD, AWA2)."""
    gamma_g: float = 10.0
    """Weight of the adversarial loss beside the VAE's (gammaG, AWA2)."""
    lambda_gp: float = 10.0
    """Weight of the gradient penalty; where it begins, if it adapts."""
    adaptive_gp: bool = True
    """Whether that weight grows by a tenth after a round whose mean penalty lies above 1.05, and shrinks likewise below 1.001."""
    critic_iter: int = 5
    """Steps of the critic and of the attribute decoder for each step of the generator, which uses the last one's batch."""
    recons_weight: float = 0.1
    """Weight of the attributes' reconstruction (AWA2; 0.01 on the other sets)."""
    recons_loss: ReconstructionLoss = "weighted_l1"
    """How far the attributes that are read from features lie from the class's own; "L1" in the papers is the weighted one."""
    unit_attributes: bool = True
    """Whether the attribute decoder's output and its target are scaled to length 1."""
    freeze_dec: bool = True
    """Whether the attribute decoder stays as it is while the generator moves (AWA2)."""
    feedback: bool = True
    """Whether every second round feeds the attribute decoder's hidden layer back into the generator's, and drawing does."""
    a1: float = 0.01
    """Weight of the feedback in training (AWA2)."""
    a2: float = 0.01
    """Weight of the feedback in drawing (AWA2)."""
    encoded_noise: bool = True
    """Whether z comes from the encoder in training, or from its prior."""
    lr: float = 1e-5
    """Learning rate of encoder, generator and critic (AWA2)."""
    dec_lr: float = 1e-4
    """Learning rate of the attribute decoder (AWA2)."""
    feed_lr: float = 1e-4
    """Learning rate of the feedback (AWA2)."""
    batch: int = 64
    """Features per critic step (AWA2)."""
    ema_halflife_kimg: float = 0.0
    """Half-life of the weight average that is evaluated; 0 evaluates the weights as they are."""

    def __post_init__(self) -> None:
        check_limits(
            self,
            above_0=["classifier_lr", "lr", "dec_lr", "feed_lr", "lambda_gp", "gamma_d"],
            at_least_0=["gamma_g", "recons_weight", "a1", "a2", "ema_halflife_kimg"],
            at_least_1=["classifier_epochs", "hidden", "latent_size", "critic_iter", "batch"],
        )


class Encoder(nn.Module):
    """(x, a) -> hidden -> 2 latent_size, and from these the mean and the logarithm of the variance of z."""

    def __init__(self, config: TfVaeganConfig, subject: Subject) -> None:
        super().__init__()
        self.code, between = ClassCode(subject), 2 * config.latent_size
        self.trunk = nn.Sequential(
            nn.Linear(subject.shape[0] + self.code.width, config.hidden), nn.LeakyReLU(0.2), nn.Linear(config.hidden, between), nn.LeakyReLU(0.2)
        )
        self.mean, self.log_variance = nn.Linear(between, config.latent_size), nn.Linear(between, config.latent_size)

    def forward(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Maps scaled features (B, D) of classes (B,) to two float32 (B, latent_size)."""
        hidden = self.trunk(torch.cat([features, self.code(labels)], dim=1))
        return self.mean(hidden).float(), self.log_variance(hidden).float()


class Decoder(nn.Module):
    """(z, a) -> hidden -> x: the generator."""

    def __init__(self, config: TfVaeganConfig, subject: Subject) -> None:
        super().__init__()
        self.code = ClassCode(subject)
        self.entry = nn.Sequential(nn.Linear(config.latent_size + self.code.width, config.hidden), nn.LeakyReLU(0.2))
        self.exit = nn.Linear(config.hidden, subject.shape[0])

    def forward(self, z: Tensor, labels: Tensor, added: Tensor | float = 0.0) -> Tensor:
        """Maps latents (B, latent_size) of classes (B,) to the logits of scaled features, float32 (B, D).

        Args:
            z: latents.
            labels: classes.
            added: what is added to the hidden layer (B, hidden).
        """
        logits: Tensor = self.exit(self.entry(torch.cat([z, self.code(labels)], dim=1)) + added)
        return logits.float()


class AttributeDecoder(nn.Module):
    """x -> hidden -> a: the two-stage paper's Encoder-2."""

    def __init__(self, config: TfVaeganConfig, subject: Subject) -> None:
        super().__init__()
        self.code, self.unit = ClassCode(subject), config.unit_attributes
        self.entry = nn.Sequential(nn.Linear(subject.shape[0], config.hidden), nn.LeakyReLU(0.2))
        self.exit = nn.Linear(config.hidden, self.code.width)

    def forward(self, features: Tensor) -> Tensor:
        """Reads the class vectors (B, V) from scaled features (B, D), float32."""
        read: Tensor = self.exit(self.entry(features)).float()
        return functional.normalize(read, dim=1) if self.unit else read

    def target(self, labels: Tensor) -> Tensor:
        """Gives what should be read of classes (B,)."""
        vectors: Tensor = self.code(labels)
        return functional.normalize(vectors, dim=1) if self.unit else vectors


class FeatureGenerator(nn.Module):
    """What draws: the decoder, and where there is feedback the attribute decoder and the layers between them."""

    def __init__(self, config: TfVaeganConfig, subject: Subject, *, feedback: bool) -> None:
        super().__init__()
        self.scaling, self.decoder = Scaling(subject.shape[0]), Decoder(config, subject)
        self.attributes = AttributeDecoder(config, subject) if feedback else None
        width = config.hidden
        self.feedback = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2)) if feedback else None

    def forward(self, z: Tensor, labels: Tensor, weight: float = 0.0) -> Tensor:
        """Maps latents to the logits of scaled features (B, D); with a weight, a second time, with feedback from what the first pass gave."""
        if not weight or self.feedback is None or self.attributes is None:
            logits: Tensor = self.decoder(z, labels)
            return logits
        with torch.no_grad():
            hidden = self.attributes.entry(self.decoder(z, labels).sigmoid())
        logits = self.decoder(z, labels, weight * self.feedback(hidden))
        return logits


class FeatureCritic(nn.Module):
    """Scores (x, a), linearly; beside it what else only training needs: the encoder, and without feedback the attribute decoder."""

    def __init__(self, config: TfVaeganConfig, subject: Subject, *, attributes: bool) -> None:
        super().__init__()
        self.code, self.encoder = ClassCode(subject), Encoder(config, subject)
        self.attributes = AttributeDecoder(config, subject) if attributes else None
        # No gradient of a Wasserstein loss reaches the last bias.
        self.score = nn.Sequential(
            nn.Linear(subject.shape[0] + self.code.width, config.hidden), nn.LeakyReLU(0.2), nn.Linear(config.hidden, 1, bias=False)
        )

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Scores scaled features (B, D) as their class (B,): float32 (B,)."""
        score: Tensor = self.score(torch.cat([features, self.code(labels)], dim=1)).squeeze(1).float()
        return score


class TfVaegan(FeatureModel):
    """One step moves critic and attribute decoder; every `critic_iter`-th also encoder, generator and, in every second round, the feedback.

    The authors alternate passes over the data without and with feedback. Here rounds alternate, so that a mark of any length has as many of both.
    """

    VERSION = 1
    Config = TfVaeganConfig
    conditioning: ClassVar[Literal["one_hot", "attributes", "learned", "blend"]] = "attributes"
    sampling_settings = ("a2",)
    config: TfVaeganConfig
    generator: FeatureGenerator
    critic: FeatureCritic
    ema: FeatureGenerator

    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes all networks, by He: at the authors' widths that is their N(0, 0.02), and narrower networks pass on as much."""
        # A single class has no vector: nothing to read from features, and nothing to feed back.
        told = self.subject.num_classes > 1
        generator = FeatureGenerator(self.config, self.subject, feedback=told and self.config.feedback)
        critic = FeatureCritic(self.config, self.subject, attributes=told and not self.config.feedback)
        initialise_critic(generator)
        initialise_critic(critic)
        self.penalty_weight = torch.tensor(self.config.lambda_gp, device=self.device)
        self.penalty_sum = torch.zeros((), device=self.device)
        return generator, critic

    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes the optimizers: of what moves in generator steps, and of what moves in critic steps."""
        config = self.config
        drawing: list[dict[str, Any]] = [{"params": [*self.generator.decoder.parameters(), *self.critic.encoder.parameters()], "lr": config.lr}]
        if self.generator.feedback is not None:
            drawing.append({"params": list(self.generator.feedback.parameters()), "lr": config.feed_lr})
        judging: list[dict[str, Any]] = [{"params": list(self.critic.score.parameters()), "lr": config.lr}]
        if self.attributes is not None:
            judging.append({"params": list(self.attributes.parameters()), "lr": config.dec_lr})
        return adam(drawing, config.lr, BETAS), adam(judging, config.lr, BETAS)

    @property
    def attributes(self) -> AttributeDecoder | None:
        """The attribute decoder; None for a single class."""
        return self.generator.attributes if self.generator.attributes is not None else self.critic.attributes

    @property
    def steps_per_period(self) -> int:
        """Steps of a round, or of one without feedback and one with it."""
        return self.config.critic_iter * (2 if self.config.feedback else 1)

    def feedback_weight(self, step: int) -> float:
        """Gives the weight of the feedback in a step: 0 in the first round of each two."""
        return self.config.a1 if self.config.feedback and step // self.config.critic_iter % 2 else 0.0

    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Does one critic step, and a generator step at the end of each round."""
        random, weight = self.random(step), self.feedback_weight(step)
        real, labels = self.generator.scaling(batch.real), batch.labels
        told = self.critic_step(real, labels, random, weight)
        if (step + 1) % self.config.critic_iter == 0:
            self.adapt()
            told |= self.generator_step(real, labels, random, weight)
            self.average(step, self.images_per_step * self.config.critic_iter)
        return told

    def critic_step(self, real: Tensor, labels: Tensor, random: torch.Generator, weight: float) -> dict[str, Tensor]:
        """Moves the critic by its Wasserstein loss with penalty, and the attribute decoder on real features."""
        self.critic.score.requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        with torch.no_grad(), self.autocast():
            z = self.encode(real, labels, random)[0] if self.config.encoded_noise else self.latent(len(real), random)
            fake = self.generator(z, labels, weight).sigmoid()
        with self.autocast():
            on_real, on_fake = self.critic(torch.cat([real, fake]), torch.cat([labels, labels])).chunk(2)
        penalty = gradient_penalty(autograd_slope(lambda points: self.critic(points, labels)), real, fake, random)
        self.penalty_sum += penalty.detach()
        loss = critic_loss("wgan_gp", on_real, on_fake)
        told = {"loss_d": loss.detach(), "penalty": penalty.detach()}
        loss = self.config.gamma_d * (loss + self.penalty_weight * penalty)
        if self.attributes is not None:
            self.attributes.requires_grad_(True)
            read = self.reconstruction(real, labels)
            told["loss_attributes"] = read.detach()
            loss = loss + self.config.recons_weight * read
        loss.backward()
        self.optimizer_d.step()
        return told

    def adapt(self) -> None:
        """Moves the penalty's weight after a round, so that the mean penalty of a round stays within its range."""
        if self.config.adaptive_gp:
            mean = self.penalty_sum / self.config.critic_iter
            low, high = PENALTY_RANGE
            factor = torch.where(mean > high, PENALTY_FACTOR, torch.where(mean < low, 1.0 / PENALTY_FACTOR, 1.0))
            begun = self.config.lambda_gp
            self.penalty_weight.mul_(factor).clamp_(begun / PENALTY_HELD, begun * PENALTY_HELD)
        self.penalty_sum.zero_()

    def generator_step(self, real: Tensor, labels: Tensor, random: torch.Generator, weight: float) -> dict[str, Tensor]:
        """Moves encoder and generator by the VAE's loss, the critic's score and the attributes that are read from what was made."""
        self.critic.score.requires_grad_(False)
        if self.attributes is not None:
            self.attributes.requires_grad_(not self.config.freeze_dec)
        self.optimizer_g.zero_grad(set_to_none=True)
        self.optimizer_d.zero_grad(set_to_none=True)
        with self.autocast():
            z, mean, log_variance = self.encode(real, labels, random)
            logits = self.generator(z, labels, weight)
            made = logits.sigmoid()
            fake = made if self.config.encoded_noise else self.generator(self.latent(len(real), random), labels, weight).sigmoid()
            on_fake = self.critic(fake, labels)
        # Summed over features, averaged over the batch: the likelihood of a whole feature vector.
        rebuilt = functional.binary_cross_entropy_with_logits(logits, real, reduction="sum") / len(real)
        kl, adversarial = gaussian_kl(mean, log_variance), generator_loss("wgan_gp", on_fake)
        loss = rebuilt + kl + self.config.gamma_g * adversarial
        told = {"loss_g": adversarial.detach(), "loss_rec": rebuilt.detach(), "loss_kl": kl.detach()}
        if self.attributes is not None:
            loss = loss + self.config.recons_weight * self.reconstruction(fake, labels)
        loss.backward()
        self.optimizer_g.step()
        if not self.config.freeze_dec:
            # The critic has no gradient here, so that this moves the attribute decoder alone.
            self.optimizer_d.step()
        return told

    def encode(self, features: Tensor, labels: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draws z of features, float32 (B, latent_size), and gives the mean and the logarithm of the variance it was drawn with."""
        mean, log_variance = self.critic.encoder(features, labels)
        return mean + (0.5 * log_variance).exp() * self.latent(len(features), random), mean, log_variance

    def reconstruction(self, features: Tensor, labels: Tensor) -> Tensor:
        """Gives how far the attributes that are read from scaled features (B, D) lie from those of their classes."""
        assert self.attributes is not None
        with self.autocast():
            read = self.attributes(features)
        return reconstruction_loss(self.config.recons_loss, read, self.attributes.target(labels))

    def draw(self, z: Tensor, labels: Tensor) -> Tensor:
        """Runs the averaged generator, with its feedback."""
        scaled: Tensor = self.ema(z, labels, self.config.a2).sigmoid()
        return scaled

    def state(self) -> dict[str, Any]:
        """Gives everything that continues the training, the penalty's weight and its sum over an unfinished round included."""
        return {**super().state(), "penalty_weight": self.penalty_weight, "penalty_sum": self.penalty_sum}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        super().load(state)
        self.penalty_weight = state["penalty_weight"].to(self.device, copy=True)
        self.penalty_sum = state["penalty_sum"].to(self.device, copy=True)


def reconstruction_loss(kind: ReconstructionLoss, read: Tensor, target: Tensor) -> Tensor:
    """Measures how far attributes lie from what they should be; both float32 (B, V).

    mse: the mean over all of them (Cheng and Yeh, eq. 4). l1: likewise. weighted_l1: sum_i (d_i^2 / |d|) |d_i|, averaged over the batch alone, the
    loss of TF-VAEGAN's code.
    """
    apart = read - target
    if kind == "mse":
        return apart.square().mean()
    if kind == "l1":
        return apart.abs().mean()
    weights = apart.square() / apart.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return (weights * apart.abs()).sum(dim=1).mean()
