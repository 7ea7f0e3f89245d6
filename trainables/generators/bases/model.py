"""What every generator family is: networks, one training step, sampling from averaged weights, and a state that continues bit for bit.

`loop.train` drives a model, `stage.train_to_mark` stores it. A family subclasses `GeneratorModel` (or `LatentModel`, where images come from
a random vector; or `adversarial.AdversarialModel`, where a critic and a generator take turns) and says how its networks are built and what one
step does.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.errors import SettingsError
from trainables.generators.bases.subject import Batch, Drawn, Subject, TrainingData
from trainables.scores.costs import ms_per_image, multiply_adds_g
from trainables.seeds import child_seed

SAMPLE_BATCH = 64
"""Images drawn at a time; fixed, because the last bits of a convolution may depend on the size of its batch."""
SETTLE_BATCHES = 8
"""Batches of `SAMPLE_BATCH` over which the averaged generator's norms are measured anew."""
EMA_RAMP = 0.05
"""The half-life of the average never exceeds this share of what was shown so far, so that a short training is averaged over less (StyleGAN2-ADA)."""


def check_limits(config: Any, *, above_0: Sequence[str] = (), at_least_0: Sequence[str] = (), at_least_1: Sequence[str] = ()) -> None:
    """Refuses settings below their limits, all in one message.

    Raises:
        SettingsError: a named setting is too small.
    """
    problems = [f"{name}: {getattr(config, name)} is not above 0" for name in above_0 if not getattr(config, name) > 0]
    problems += [f"{name}: {getattr(config, name)} is negative" for name in at_least_0 if not getattr(config, name) >= 0]
    problems += [f"{name}: {getattr(config, name)} is less than 1" for name in at_least_1 if not getattr(config, name) >= 1]
    if problems:
        raise SettingsError("; ".join(problems))


def to_signed(images: Tensor) -> Tensor:
    """Turns uint8 (B, C, H, W) into float32 in [-1, 1], stored channels-last."""
    # Written into a fresh tensor: one with a single channel counts as channels-last already and would keep strides that convolutions read
    # as channels-first.
    out = torch.empty(images.shape, dtype=torch.float32, device=images.device, memory_format=torch.channels_last)
    return out.copy_(images).mul_(1 / 127.5).sub_(1.0)


def to_pixels(images: Tensor) -> Tensor:
    """Turns float (B, C, H, W) in [-1, 1] into uint8, channels-first."""
    return images.float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8).contiguous()


def read_betas(text: str) -> tuple[float, float]:
    """Reads Adam coefficients written as "0.5,0.9"."""
    first, second = text.split(",")
    return float(first), float(second)


def adam(parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]], lr: float, betas: tuple[float, float]) -> torch.optim.Optimizer:
    """Makes a fused Adam."""
    return torch.optim.Adam(parameters, lr=lr, betas=betas, fused=True)


def millions(module: nn.Module) -> float:
    """Counts parameters, in millions."""
    return sum(parameter.numel() for parameter in module.parameters()) / 1e6


class GeneratorModel(ABC):
    """One generator in training, and the averaged copy that is evaluated."""

    makes: ClassVar[Literal["images", "images and masks", "features"]] = "images"
    """What it makes."""
    learns: ClassVar[bool] = True
    """False for families that only `fit` the data: they take no training step, and their mark is 0."""
    needs_backgrounds: ClassVar[bool] = False
    """True for families that turn defect-free images into defects."""
    uses_backgrounds: ClassVar[bool] = False
    """True for families that take defect-free images where there are any, and do without elsewhere."""
    truncates: ClassVar[bool] = False
    """Whether a truncation changes what is drawn: true of families that start from a latent."""
    class_modes: ClassVar[tuple[str, ...]] = ("per_class", "conditional", "pooled")
    """How it may serve several classes: a model each, one that is told the class, or one that is not, whose images an inspector sorts."""
    takes_vectors: ClassVar[bool] = True
    """Whether, in conditional mode, a class may be told by another vector than a one-hot."""
    conditioning: ClassVar[Literal["one_hot", "attributes", "learned", "blend"]] = "one_hot"
    """How it is told the class where nothing else is asked for: the paper's way."""
    sizes_px: ClassVar[tuple[int, ...]] = (16, 32, 64, 128, 256)
    """Sides it can be built for."""
    fewest_images: ClassVar[int] = 2
    """Fewest training images of a class that it can be trained on."""
    sampling_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that decide only how images are drawn: a training serves all their values."""
    head_settings: ClassVar[tuple[str, ...]] = ()
    """Settings of families that make features, which decide only how an inspector's head learns from them: neither trained nor drawn by."""
    gradient_exempt: ClassVar[dict[str, str]] = {}
    """Parameters that no gradient reaches, and why: `generator.<name>` or `critic.<name>`."""
    VERSION: ClassVar[int]
    """Counts up when the same settings and seed would give other images."""
    Config: ClassVar[type]
    """Its settings."""

    def __init__(self, config: Any, subject: Subject, *, device: str = "cpu", precision: str = "fp32", seed: int = 0) -> None:
        """Builds networks and optimizers; equal arguments give equal weights.

        Args:
            config: the family's `Config`.
            subject: what to make.
            device: where it lives.
            precision: fp32, or bf16 for convolutions under autocast; weights, penalties, losses and averages stay float32.
            seed: decides the first weights and every random number of training.

        Raises:
            SettingsError: the family cannot be built for this size.
        """
        if self.makes != "features" and subject.size_px not in self.sizes_px:
            raise SettingsError(
                f"data.size_px: {type(self).__name__} cannot be built for {subject.size_px} px; it can for {', '.join(map(str, self.sizes_px))}"
            )
        self.config, self.subject = config, subject
        self.device, self.precision, self.seed = torch.device(device), precision, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(seed, "weights"))
            generator, critic = self.build()
        self.generator = generator.to(self.device, memory_format=self._layout(generator))  # type: ignore[call-overload]
        self.critic = critic.to(self.device, memory_format=self._layout(critic))  # type: ignore[call-overload]
        self.ema = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.optimizer_g, self.optimizer_d = self.optimizers()
        self.label_share = torch.full((subject.num_classes,), 1.0 / subject.num_classes)
        self._averages = list(self.ema.parameters())
        self._weights = [parameter.data for parameter in self.generator.parameters()]
        self._settled = False

    # What a family says of itself.

    @abstractmethod
    def build(self) -> tuple[nn.Module, nn.Module]:
        """Makes generator and critic, drawing weights from torch's current state."""

    @abstractmethod
    def optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Makes the generator's and the critic's optimizer."""

    @abstractmethod
    def train_step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Does one step of training.

        Args:
            batch: what is shown.
            step: position in the training, from 0; with the seed it decides every random number of the step.

        Returns:
            Losses as scalar tensors on the device, detached.
        """

    @abstractmethod
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws items of one class from the averaged generator.

        Args:
            label: the class, from 0; 0 for an unconditional model.
            count: how many, at least 1.
            seed: equal seeds give equal items.
            truncation: scale of the latent in (0, 1], for families that have one.
            backgrounds: uint8 (M, C, H, W), for families that need them.
        """

    def look(self, label: int, count: int, seed: int, *, backgrounds: Tensor | None = None) -> Drawn:
        """Draws as `sample` does, to look at a training on its way; never by `sampling_settings`, so that all their values share its outcome."""
        return self.sample(label, count, seed, backgrounds=backgrounds)

    @abstractmethod
    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives what draws images from one input, and that input's shape without the batch: for counting and timing."""

    @property
    def batch_size(self) -> int:
        """Labelled real images per step."""
        return int(self.config.batch)

    @property
    def backgrounds_per_step(self) -> int:
        """Backgrounds per step."""
        return 0

    @property
    def images_per_step(self) -> int:
        """Real images that the critic is shown per step, which is what kimg counts."""
        return self.batch_size + self.backgrounds_per_step

    @property
    def steps_per_period(self) -> int:
        """Steps after which the pattern of updates repeats; marks fall on its multiples."""
        return 1

    def critic_margin(self, told: Mapping[str, Tensor]) -> float | None:
        """Says by how much the critic's loss lies above the least that it can be; None where that is unknown, or no sign of anything.

        Args:
            told: what `train_step` gave.
        """
        return None

    def fit(self, data: TrainingData) -> None:
        """Takes what it needs of the data beside batches, before the first step of a training and before each continued one."""
        self.label_share = torch.bincount(data.labels, minlength=data.num_classes).double() / len(data.labels)

    def extra_scores(self, data: TrainingData, seed: int, *, features: Callable[[Tensor], Tensor], extractor: str) -> dict[str, float]:
        """Measures what is particular to the family on its averaged generator; most have nothing.

        Args:
            data: real items to compare with, of the classes it serves.
            seed: decides what is drawn.
            features: turns uint8 images (N, C, H, W) into features (N, D).
            extractor: whose features these are; it belongs in the name of every number taken in them (`scores.names.distance_names`).

        Returns:
            Numbers by name, without a split.
        """
        return {}

    def extra_pictures(self, data: TrainingData, seed: int) -> dict[str, Tensor]:
        """Draws, with its averaged generator, what shows the particularity of the family; most have nothing.

        Args:
            data: real items to start from or to stand beside, of the classes it serves.
            seed: decides what is drawn.

        Returns:
            Sheets by name, uint8 (rows, columns, C, H, W) on the CPU.
        """
        return {}

    # What all families share.

    def random(self, step: int) -> torch.Generator:
        """Makes the random numbers of one step: a pure function of seed and step, so that resuming needs no state of them."""
        return torch.Generator(self.device).manual_seed(child_seed(self.seed, "step", step))

    def _layout(self, network: nn.Module) -> torch.memory_format:
        """Says how a network keeps its weights: channels-last, unless instance norms on a CPU would lose more by it than convolutions gain."""
        turned = self.device.type == "cpu" and any(isinstance(part, nn.InstanceNorm2d) for part in network.modules())
        return torch.contiguous_format if turned else torch.channels_last

    def autocast(self) -> torch.autocast:
        """Enters bf16 where the precision asks for it. One context per pass: casts of weights are cached inside and stale after an update."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def average(self, step: int, images: int) -> None:
        """Moves the averaged weights towards the current ones, after an update that `images` shown images led to."""
        half_life = 1000.0 * self.config.ema_halflife_kimg
        half_life = min(half_life, max(EMA_RAMP * (step + 1) * self.images_per_step, 1.0))
        weight = 1.0 if self.config.ema_halflife_kimg == 0 else 1.0 - 0.5 ** (images / half_life)
        torch._foreach_lerp_(self._averages, self._weights, weight)
        self._settled = False

    def sampler_state(self) -> dict[str, Any]:
        """Gives what drawing images needs, and no more."""
        return dict(self.ema.state_dict())

    def load_sampler(self, state: dict[str, Any]) -> None:
        """Takes what `sampler_state` gave."""
        self.ema.load_state_dict(state)

    def state(self) -> dict[str, Any]:
        """Gives everything that continues the training."""
        return {
            "generator": dict(self.generator.state_dict()),
            "critic": dict(self.critic.state_dict()),
            "ema": dict(self.ema.named_parameters()),  # without what `settle` measures, so that looking at a training does not change its state
            "optimizer_g": self.optimizer_g.state_dict()["state"],
            "optimizer_d": self.optimizer_d.state_dict()["state"],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave; the next step then gives the bits it would have given."""
        self.generator.load_state_dict(state["generator"])
        self.critic.load_state_dict(state["critic"])
        self.ema.load_state_dict(state["ema"], strict=False)
        for name in ("optimizer_g", "optimizer_d"):
            _load_optimizer(getattr(self, name), state[name])
        self._settled = False

    def is_finite(self) -> bool:
        """Says whether every weight is a finite number."""
        parameters = [*self.generator.parameters(), *self.critic.parameters(), *self.ema.parameters()]
        return bool(torch.stack([parameter.detach().isfinite().all() for parameter in parameters]).all())

    @property
    def drawing_runs(self) -> int:
        """How often drawing an item runs what `drawing_costs` measures, where `sampling_settings` decide it."""
        return 1

    def drawing_costs(self) -> dict[str, float]:
        """Measures what drawing one item costs in each of `drawing_runs`: multiply-adds in thousands of millions, and milliseconds."""
        device = str(self.device)
        return {"generator_gmadds": multiply_adds_g(*self.probe(), device), "generator_ms_per_image": ms_per_image(*self.probe(), device)}

    def parameters_m(self) -> float:
        """Counts the generator's parameters, in millions."""
        return millions(self.generator)


class LatentModel(GeneratorModel):
    """A family whose generator maps a latent (B, latent_dim) and a label (B,) to images."""

    truncates = True

    def latent(self, count: int, random: torch.Generator) -> Tensor:
        """Draws latents N(0, 1), float32 (count, latent_dim)."""
        return torch.randn(count, self.config.latent_dim, generator=random, device=random.device)

    def sampler_state(self) -> dict[str, Any]:
        """Gives what drawing images needs, after `settle` where the weights have moved since."""
        if not self._settled:
            self.settle()
            self._settled = True
        return super().sampler_state()

    def load_sampler(self, state: dict[str, Any]) -> None:
        """Takes what `sampler_state` gave."""
        super().load_sampler(state)
        self._settled = True

    def settle(self) -> None:
        """Measures the batch statistics of the averaged generator anew: those of the generator in training belong to other weights."""
        norms = [part for part in self.ema.modules() if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d)]
        random = torch.Generator().manual_seed(child_seed(self.seed, "settle"))
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean over batches
            norm.train()
        with torch.no_grad(), self.autocast():
            for _ in range(SETTLE_BATCHES if norms else 0):
                labels = torch.multinomial(self.label_share, SAMPLE_BATCH, replacement=True, generator=random)
                self.ema(self.latent(SAMPLE_BATCH, random).to(self.device), labels.to(self.device))
        for norm in norms:
            norm.eval()

    def probe(self) -> tuple[Callable[[Tensor], Tensor], tuple[int, ...]]:
        """Gives the averaged generator as a function of latents."""
        return lambda z: self.draw(z, torch.zeros(len(z), dtype=torch.int64, device=z.device), 1.0), (self.config.latent_dim,)

    def draw(self, z: Tensor, labels: Tensor, truncation: float, noise: torch.Generator | None = None) -> Tensor:
        """Runs the averaged generator on latents, scaled by the truncation; `noise` is for networks that take some."""
        images: Tensor = self.ema(z * truncation, labels)
        return images

    @torch.no_grad()
    def sample(self, label: int, count: int, seed: int, *, truncation: float = 1.0, backgrounds: Tensor | None = None) -> Drawn:
        """Draws images of one class; see `GeneratorModel.sample`."""
        self.sampler_state()
        # Latents come from the CPU's generator, so that a seed means the same latents on every device.
        z = self.latent(count, torch.Generator().manual_seed(child_seed(seed, "sample", label))).to(self.device)
        labels = torch.full((count,), label, device=self.device)
        parts = []
        for number, rows in enumerate(torch.arange(count).split(SAMPLE_BATCH)):
            noise = torch.Generator().manual_seed(child_seed(seed, "noise", label, number))
            with self.autocast():
                parts.append(to_pixels(self.draw(z[rows], labels[rows], truncation, noise)).cpu())
        return Drawn(items=torch.cat(parts))


def _load_optimizer(optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Any]]) -> None:
    """Restores moments in the memory layout of their parameters: a fused update walks both by address."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments = {
        index: {
            name: torch.empty_like(parameters[index]).copy_(value) if isinstance(value, Tensor) and value.shape == parameters[index].shape else value
            for name, value in entry.items()
        }
        for index, entry in state.items()
    }
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
